"""Verifiers: the label factor of a policy, the bundled attribute network, and a tiny CLIP."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipeline.config.params import CurateParams, load_params
from pipeline.config.policy import Policy, load_policy
from pipeline.curate import stage as curate
from pipeline.curate.verifiers import attributes, clip, find_label_factor, find_verifier
from pipeline.data.preprocess import Pixels, encode_png
from pipeline.data.records import Prompt
from pipeline.data.shards import Encoded, write_images
from pipeline.errors import ModelError, ParamsError, PolicyError
from pipeline.prompts.prompt_sampler import draw_prompts
from pipeline.renderer import render
from tests.pipeline.tiny_diffusion import build_tokenizer, text_config

BUNDLED = attributes.Params(weights="bundled")


@pytest.fixture(params=["helmet", "mask"])
def policy(request: pytest.FixtureRequest, root: Path) -> Policy:
    return load_policy(root / "policies" / f"{request.param}.yaml")


def rendered(prompts: list[Prompt], size: tuple[int, int] = (96, 128)) -> list[Pixels]:
    return [render(prompt.factors, prompt.seed, size) for prompt in prompts]


def targets(policy: Policy, prompts: list[Prompt]) -> list[int]:
    return [list(policy.labels).index(prompt.label) for prompt in prompts]


@pytest.fixture(scope="session")
def tiny_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save a complete but tiny CLIP with random weights."""
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
    processor = CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    CLIPProcessor(processor, build_tokenizer(folder, 200)).save_pretrained(folder)
    return folder


def test_the_label_factor_has_no_value_under_two_labels(root: Path) -> None:
    helmet = find_label_factor(load_policy(root / "policies" / "helmet.yaml"))
    assert helmet is not None
    assert helmet.name == "headwear"
    assert "cap" in helmet.factors["no_helmet"].values
    assert all("helmet" in value for value in helmet.factors["helmet"].values)
    mask = find_label_factor(load_policy(root / "policies" / "mask.yaml"))
    assert mask is not None
    assert mask.name == "face_mask"


def test_the_probability_of_a_label_is_the_sum_over_its_values(root: Path) -> None:
    label_factor = find_label_factor(load_policy(root / "policies" / "mask.yaml"))
    assert label_factor is not None
    values = ("ffp2", "none", "elsewhere", "cloth", "surgical")
    pooled = label_factor.pool(values, np.asarray([[0.1, 0.3, 0.2, 0.1, 0.3], [0, 0, 1, 0, 0]], np.float32))
    np.testing.assert_allclose(pooled, [[0.375, 0.625], [0.5, 0.5]], atol=1e-6)


def test_a_policy_without_label_factor_gets_uniform_probabilities_and_valid_features(
    root: Path, tiny_clip: Path
) -> None:
    policy = load_policy(root / "policies" / "helmet.yaml")
    assert find_label_factor(policy, {"headwear": ("cap",)}) is None
    images = rendered(draw_prompts(policy, 6, 1, seed=1))
    without_factor = replace(policy, labels={"yes": (), "no": ()})
    for output in (
        attributes.create(BUNDLED, without_factor)(images),
        clip.create(clip_params(tiny_clip), without_factor)(images),
    ):
        np.testing.assert_array_equal(output.probabilities, np.full((6, 2), 0.5))
        assert len(np.unique(output.features[:, 0])) == 6


def test_the_bundled_network_predicts_the_labels_of_rendered_portraits(policy: Policy) -> None:
    prompts = draw_prompts(policy, 120, 1, seed=8642)
    verify = attributes.create(BUNDLED, policy)
    output = verify(rendered(prompts))
    probabilities = output.probabilities
    assert len(output.features) == 120
    assert probabilities.shape == (120, 2)
    np.testing.assert_allclose(probabilities.sum(1), 1)
    assert np.mean(probabilities.argmax(1) == targets(policy, prompts)) >= 0.9
    np.testing.assert_array_equal(verify(rendered(prompts[:7])).probabilities, probabilities[:7])


def test_images_of_another_size_are_resized(root: Path) -> None:
    policy = load_policy(root / "policies" / "helmet.yaml")
    prompts = draw_prompts(policy, 40, 1, seed=8642)
    probabilities = attributes.create(BUNDLED, policy)(rendered(prompts, (192, 256))).probabilities
    assert np.mean(probabilities.argmax(1) == targets(policy, prompts)) >= 0.85


@pytest.mark.parametrize("content", [None, b"not safetensors"])
def test_missing_or_damaged_weights_are_an_error(root: Path, tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "weights.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ModelError, match=r"curate\.attributes\.weights: .*weights\.safetensors"):
        attributes.create(attributes.Params(weights=str(path)), load_policy(root / "policies" / "helmet.yaml"))


def clip_params(model: Path | str, batch_size: int = 3) -> clip.Params:
    return clip.Params(model=str(model), revision=None, batch_size=batch_size, device="cpu")


def test_clip_probabilities_do_not_depend_on_the_batch_size(policy: Policy, tiny_clip: Path) -> None:
    prompts = draw_prompts(policy, 8, 1, seed=1)
    images = [*rendered(prompts), *rendered(prompts[:2], (192, 256))]
    probabilities = clip.create(clip_params(tiny_clip), policy)(images).probabilities
    assert probabilities.shape == (10, 2)
    np.testing.assert_allclose(probabilities.sum(1), 1)
    assert len(np.unique(probabilities[:, 0].round(6))) == 10
    one_batch = clip.create(clip_params(tiny_clip, 10), policy)(images)
    np.testing.assert_allclose(one_batch.probabilities, probabilities, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(one_batch.features, axis=1), 1, atol=1e-5)


def test_clip_sentences_are_phrases_of_the_policy_in_templates(root: Path) -> None:
    policy = load_policy(root / "policies" / "mask.yaml")
    plain = list(clip.sentences(policy, "mask", "wearing a cloth face mask"))
    assert plain[0] == "a photo of a person wearing a cloth face mask"
    assert len(plain) == len(set(plain)) == len(clip.TEMPLATES)
    coloured = list(clip.sentences(policy, "no_mask", "wearing a {headwear_colour} cap"))
    assert len(coloured) == 4 * len(clip.TEMPLATES)
    assert "a selfie of a person wearing a red cap" in coloured


def test_curation_excludes_a_clip_with_random_weights(root: Path, tmp_path: Path, tiny_clip: Path) -> None:
    policy = load_policy(root / "policies" / "helmet.yaml")
    prompts = draw_prompts(policy, 24, 1, seed=1)
    encoded = [
        Encoded(p.id, p.group, p.label, p.factors, encode_png(pixels), 96, 128)
        for p, pixels in zip(prompts, rendered(prompts), strict=True)
    ]
    images = write_images(tmp_path, encoded, 12)
    section = {"model": str(tiny_clip), "revision": None, "batch_size": 5, "device": "cpu"}
    raw = {**load_params().curate.model_dump(), "verifier": "clip", "clip": section, "workers": 1}
    result = curate.run(
        CurateParams.model_validate(raw), images, curate.CurateInputs(tmp_path, tmp_path / "work"), policy
    )
    assert len(result.kept) + len(result.rejected) == 24
    predictor = result.metrics["label_predictors"]["verifier"]
    assert 0 < predictor["agreement"] < 1
    assert not predictor["used"]


def test_a_folder_without_a_clip_model_is_an_error(root: Path, tmp_path: Path) -> None:
    policy = load_policy(root / "policies" / "mask.yaml")
    with pytest.raises(ModelError, match=r"curate\.clip\.model: .*no CLIP.*expected a folder that CLIPModel"):
        clip.create(clip_params(tmp_path), policy)


@pytest.mark.parametrize("content", [{"weight": torch.zeros(2)}, "not weights"])
def test_a_clip_whose_weights_are_a_pickle_is_refused_unopened(
    root: Path, tmp_path: Path, tiny_clip: Path, content: object
) -> None:
    folder = shutil.copytree(tiny_clip, tmp_path / "clip")
    (folder / "model.safetensors").unlink()
    torch.save(content, folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"clip/pytorch_model\.bin is a pickle, .*expected weights as \.safetensors"):
        clip.create(clip_params(folder), load_policy(root / "policies" / "mask.yaml"))


def test_a_clip_whose_weights_are_damaged_is_refused(root: Path, tmp_path: Path, tiny_clip: Path) -> None:
    folder = shutil.copytree(tiny_clip, tmp_path / "clip")
    (folder / "model.safetensors").write_bytes(b"garbage")
    with pytest.raises(ModelError, match=r"curate\.clip\.model: .*no CLIP: .*header"):
        clip.create(clip_params(folder), load_policy(root / "policies" / "mask.yaml"))


def test_a_clip_without_its_tokenizer_is_refused(root: Path, tmp_path: Path, tiny_clip: Path) -> None:
    folder = shutil.copytree(tiny_clip, tmp_path / "clip")
    for name in ("tokenizer.json", "vocab.json", "merges.txt"):
        (folder / name).unlink(missing_ok=True)
    with pytest.raises(ModelError, match="a tokenizer of 2 tokens; expected 190"):
        clip.create(clip_params(folder), load_policy(root / "policies" / "mask.yaml"))


def test_clip_reads_words_that_name_a_factor_of_another_label_as_without_it(root: Path) -> None:
    policy = load_policy(root / "policies" / "helmet.yaml")
    assert next(clip.sentences(policy, "no_helmet", "a cap {straps}")) == "a photo of a person a cap"


def test_words_that_stand_for_too_many_sentences_are_refused(root: Path) -> None:
    policy = load_policy(root / "policies" / "helmet.yaml")
    with pytest.raises(PolicyError, match="48,000 sentences; expected at most 10,000"):
        list(clip.sentences(policy, "helmet", "{skin_tone} {headwear_colour} {place} {light} {age} {hair_colour}"))


def test_the_identity_of_a_verifier_covers_weights_and_policy(root: Path, tiny_clip: Path, tmp_path: Path) -> None:
    helmet, mask = (load_policy(root / "policies" / f"{name}.yaml") for name in ("helmet", "mask"))
    other = tmp_path / "other"
    other.mkdir()
    (other / "config.json").write_text("{}", encoding="utf-8")
    identities = {
        attributes.identify(BUNDLED, helmet),
        attributes.identify(BUNDLED, mask),
        clip.identify(clip_params(tiny_clip), helmet),
        clip.identify(clip_params(tiny_clip), mask),
        clip.identify(clip_params(other), helmet),
    }
    assert len(identities) == 5
    assert clip.identify(clip_params(tiny_clip, 9), helmet) in identities


def test_verifiers_are_found_by_file_name() -> None:
    assert find_verifier("clip") is clip
    with pytest.raises(ParamsError, match=r"'clipp'; expected one of attributes, clip; did you mean 'clip'\?"):
        find_verifier("clipp")


def test_the_former_name_of_the_bundled_weights_is_accepted() -> None:
    assert attributes.Params(weights="embedded") == BUNDLED
