"""Verifiers: what tells labels apart, the network that comes with Gossamer, and a tiny CLIP."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipeline.config.params import CurateParams, load_params
from pipeline.config.policy import Policy, load_policy
from pipeline.curate import stage as curate
from pipeline.curate.verifiers import attributes, clip, find_telling, find_verifier
from pipeline.data.preprocess import Pixels, encode_png
from pipeline.data.records import Prompt
from pipeline.data.shards import Encoded, write_images
from pipeline.errors import ModelError, ParamsError
from pipeline.prompts.prompt_sampler import draw_prompts
from pipeline.renderer import render
from tests.pipeline.tiny_diffusion import build_tokenizer, text_config

BUNDLED = attributes.Params(weights="bundled")


@pytest.fixture(params=["helmet", "mask"])
def policy(request: pytest.FixtureRequest, root: Path) -> Policy:
    return load_policy(root / "policies" / f"{request.param}.yaml")


def drawn(prompts: list[Prompt], size: tuple[int, int] = (96, 128)) -> list[Pixels]:
    return [render(prompt.factors, prompt.seed, size) for prompt in prompts]


def targets(policy: Policy, prompts: list[Prompt]) -> list[int]:
    return [list(policy.labels).index(prompt.label) for prompt in prompts]


@pytest.fixture(scope="session")
def tiny_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole CLIP that is tiny and randomly initialised."""
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPProcessor

    folder = tmp_path_factory.mktemp("tiny-clip")
    torch.manual_seed(0)
    vision: dict[str, Any] = {
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "image_size": 32,
        "patch_size": 8,
    }
    text = text_config(200).to_dict()
    CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=16)).save_pretrained(folder)
    pictures = CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    CLIPProcessor(pictures, build_tokenizer(folder, 200)).save_pretrained(folder)
    return folder


def test_labels_are_told_apart_by_the_factor_whose_values_they_do_not_share(root: Path) -> None:
    helmet = find_telling(load_policy(root / "policies" / "helmet.yaml"))
    assert helmet is not None
    assert helmet.name == "headwear"
    assert "cap" in helmet.factors["no_helmet"].values
    assert all("helmet" in value for value in helmet.factors["helmet"].values)
    mask = find_telling(load_policy(root / "policies" / "mask.yaml"))
    assert mask is not None
    assert mask.name == "face_mask"


def test_a_label_has_the_probability_of_its_values_together(root: Path) -> None:
    telling = find_telling(load_policy(root / "policies" / "mask.yaml"))
    assert telling is not None
    values = ("ffp2", "none", "elsewhere", "cloth", "surgical")
    pooled = telling.pool(values, np.asarray([[0.1, 0.3, 0.2, 0.1, 0.3], [0, 0, 1, 0, 0]], np.float32))
    np.testing.assert_allclose(pooled, [[0.375, 0.625], [0.5, 0.5]], atol=1e-6)


def test_of_a_policy_it_does_not_know_a_verifier_has_no_opinion_but_features(root: Path, tiny_clip: Path) -> None:
    policy = load_policy(root / "policies" / "helmet.yaml")
    assert find_telling(policy, {"headwear": ("cap",)}) is None
    pictures = drawn(draw_prompts(policy, 6, 1, seed=1))
    strange = replace(policy, labels={"yes": (), "no": ()})
    for seen in (
        attributes.create(BUNDLED, strange)(pictures),
        clip.create(clip_params(tiny_clip), strange)(pictures),
    ):
        np.testing.assert_array_equal(seen.probabilities, np.full((6, 2), 0.5))
        assert len(np.unique(seen.features[:, 0])) == 6


def test_the_network_that_comes_with_gossamer_knows_rendered_portraits(policy: Policy) -> None:
    prompts = draw_prompts(policy, 120, 1, seed=8642)
    verify = attributes.create(BUNDLED, policy)
    seen = verify(drawn(prompts))
    answers = seen.probabilities
    assert len(seen.features) == 120
    assert answers.shape == (120, 2)
    np.testing.assert_allclose(answers.sum(1), 1)
    assert np.mean(answers.argmax(1) == targets(policy, prompts)) >= 0.9
    np.testing.assert_array_equal(verify(drawn(prompts[:7])).probabilities, answers[:7])


def test_pictures_of_another_size_are_fitted(root: Path) -> None:
    policy = load_policy(root / "policies" / "helmet.yaml")
    prompts = draw_prompts(policy, 40, 1, seed=8642)
    answers = attributes.create(BUNDLED, policy)(drawn(prompts, (192, 256))).probabilities
    assert np.mean(answers.argmax(1) == targets(policy, prompts)) >= 0.85


@pytest.mark.parametrize("content", [None, b"not safetensors"])
def test_weights_that_are_no_network_are_refused(root: Path, tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "weights.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ModelError, match=r"curate\.attributes\.weights: .*weights\.safetensors"):
        attributes.create(attributes.Params(weights=str(path)), load_policy(root / "policies" / "helmet.yaml"))


def clip_params(model: Path | str, batch_size: int = 3) -> clip.Params:
    return clip.Params(model=str(model), revision=None, batch_size=batch_size, device="cpu")


def test_clip_answers_for_every_label_whatever_the_batch(policy: Policy, tiny_clip: Path) -> None:
    prompts = draw_prompts(policy, 8, 1, seed=1)
    pictures = [*drawn(prompts), *drawn(prompts[:2], (192, 256))]
    answers = clip.create(clip_params(tiny_clip), policy)(pictures).probabilities
    assert answers.shape == (10, 2)
    np.testing.assert_allclose(answers.sum(1), 1)
    assert len(np.unique(answers[:, 0].round(6))) == 10
    whole = clip.create(clip_params(tiny_clip, 10), policy)(pictures)
    np.testing.assert_allclose(whole.probabilities, answers, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(whole.features, axis=1), 1, atol=1e-5)


def test_clip_is_asked_in_the_words_of_the_policy(root: Path) -> None:
    policy = load_policy(root / "policies" / "mask.yaml")
    said = list(clip.sentences(policy, "mask", "wearing a cloth face mask"))
    assert said[0] == "a photo of a person wearing a cloth face mask"
    assert len(said) == len(set(said)) == len(clip.FRAMES)
    coloured = list(clip.sentences(policy, "no_mask", "wearing a {headwear_colour} cap"))
    assert len(coloured) == 4 * len(clip.FRAMES)
    assert "a selfie of a person wearing a red cap" in coloured


def test_curation_hears_clip_where_it_knows_better_than_chance(root: Path, tmp_path: Path, tiny_clip: Path) -> None:
    policy = load_policy(root / "policies" / "helmet.yaml")
    prompts = draw_prompts(policy, 24, 1, seed=1)
    pictures = [
        Encoded(p.id, p.group, p.label, p.factors, encode_png(pixels), 96, 128)
        for p, pixels in zip(prompts, drawn(prompts), strict=True)
    ]
    images = write_images(tmp_path, pictures, 12)
    section = {"model": str(tiny_clip), "revision": None, "batch_size": 5, "device": "cpu"}
    raw = {**load_params().curate.model_dump(), "verifier": "clip", "clip": section, "workers": 1}
    result = curate.run(CurateParams.model_validate(raw), images, curate.Sources(tmp_path, tmp_path / "work"), policy)
    assert len(result.kept) + len(result.rejected) == 24
    opinions = result.metrics["opinions"]
    assert 0 < opinions["verifier"]["agreement"] < 1
    assert not opinions["verifier"]["counts"], "random weights know nothing"


def test_a_folder_that_is_no_clip_is_refused(root: Path, tmp_path: Path) -> None:
    policy = load_policy(root / "policies" / "mask.yaml")
    with pytest.raises(ModelError, match=r"curate\.clip\.model: .*no CLIP.*expected a folder that CLIPModel"):
        clip.create(clip_params(tmp_path), policy)


def test_answers_are_known_again_by_what_they_depend_on(root: Path, tiny_clip: Path, tmp_path: Path) -> None:
    helmet, mask = (load_policy(root / "policies" / f"{name}.yaml") for name in ("helmet", "mask"))
    other = tmp_path / "other"
    other.mkdir()
    (other / "config.json").write_text("{}", encoding="utf-8")
    told = {
        attributes.identify(BUNDLED, helmet),
        attributes.identify(BUNDLED, mask),
        clip.identify(clip_params(tiny_clip), helmet),
        clip.identify(clip_params(tiny_clip), mask),
        clip.identify(clip_params(other), helmet),
    }
    assert len(told) == 5
    assert clip.identify(clip_params(tiny_clip, 9), helmet) in told


def test_verifiers_are_found_by_file_name() -> None:
    assert find_verifier("clip") is clip
    with pytest.raises(ParamsError, match=r"'clipp'; expected one of attributes, clip; did you mean 'clip'\?"):
        find_verifier("clipp")


def test_the_former_name_of_the_bundled_weights_is_accepted() -> None:
    assert attributes.Params(weights="embedded") == BUNDLED
