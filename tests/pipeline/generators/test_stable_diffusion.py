"""The diffusers path, on a whole Stable Diffusion pipeline that is tiny and randomly initialised."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.errors import ModelError, ParamsError, PolicyError
from pipeline.generate import to_pixels
from pipeline.generators import stable_diffusion
from pipeline.generators.stable_diffusion import Params
from pipeline.records import Prompt

# diffusers hands numpy a tensor whose __array__ has no copy keyword yet
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword")
SIZE = (48, 64)


def character_vocabulary() -> dict[str, int]:
    letters = [chr(code) for code in range(33, 127)]
    tokens = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    return {token: number for number, token in enumerate(tokens)}


def build_text_encoder(folder: Path) -> tuple[Any, Any]:
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    words = character_vocabulary()
    (folder / "vocab.json").write_text(json.dumps(words), encoding="utf-8")
    (folder / "merges.txt").write_text("#version: 0.2\n", encoding="utf-8")
    tokenizer = CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=32)
    config = CLIPTextConfig(
        vocab_size=len(words),
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=32,
        bos_token_id=words["<|startoftext|>"],
        eos_token_id=words["<|endoftext|>"],
    )
    return tokenizer, CLIPTextModel(config)


def build_unet_and_vae() -> tuple[Any, Any]:
    from diffusers import AutoencoderKL, UNet2DConditionModel

    unet = UNet2DConditionModel(
        sample_size=8,
        layers_per_block=1,
        block_out_channels=(8, 16),
        norm_num_groups=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=16,
        attention_head_dim=4,
    )
    vae = AutoencoderKL(
        block_out_channels=(8, 8, 8, 8),
        norm_num_groups=4,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=1,
    )
    return unet, vae


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch
    from diffusers import DPMSolverMultistepScheduler, StableDiffusionPipeline

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("diffusers")
    tokenizer, text_encoder = build_text_encoder(folder)
    unet, vae = build_unet_and_vae()
    pipe = StableDiffusionPipeline(
        vae=vae,
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        unet=unet,
        scheduler=DPMSolverMultistepScheduler(steps_offset=1),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipe.save_pretrained(folder / "model")
    return folder / "model"


@pytest.fixture
def params(model_folder: Path) -> Params:
    return Params(
        model=str(model_folder),
        revision=None,
        scheduler="dpmsolver++",
        steps=2,
        guidance=2.5,
        negative_prompt="",
        dtype="float32",
        device="cpu",
        batch_size=3,
    )


def prompt(number: int, text: str = "a rider") -> Prompt:
    return Prompt(id=f"p{number}", group=str(number), label="helmet", text=text, seed=number * 7919, factors={})


def test_pictures_have_the_asked_size_and_range(params: Params) -> None:
    drawn = list(stable_diffusion.create(params, SIZE)([prompt(n) for n in range(4)]))
    assert [picture.shape for picture in drawn] == [(64, 48, 3)] * 4
    assert all(picture.min() >= 0 and picture.max() <= 1 for picture in drawn)
    assert all(to_pixels(picture)[1] is None for picture in drawn)


def test_a_picture_depends_on_its_seed_and_not_on_its_batch(params: Params) -> None:
    prompts = [prompt(n) for n in range(4)]
    together = list(stable_diffusion.create(params, SIZE)(prompts))
    alone = list(stable_diffusion.create(params.model_copy(update={"batch_size": 1}), SIZE)(prompts[3:]))
    np.testing.assert_allclose(together[3], alone[0], atol=1e-4)
    assert np.abs(together[3] - together[0]).max() > 0.05


def test_a_picture_depends_on_its_text(params: Params) -> None:
    draw = stable_diffusion.create(params.model_copy(update={"guidance": 7.5}), SIZE)
    first, second = draw([prompt(1, "a rider"), prompt(1, "qqqqqqqqqq")])
    assert np.abs(first - second).max() > 1e-4


@pytest.mark.parametrize("scheduler", ["ddim", "euler", "lcm"])
def test_every_scheduler_draws(params: Params, scheduler: str) -> None:
    draw = stable_diffusion.create(params.model_copy(update={"scheduler": scheduler}), SIZE)
    assert np.isfinite(next(draw([prompt(1)]))).all()


def test_a_model_whose_weights_are_nan_is_seen(params: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    real = stable_diffusion._load

    def spoiled(given: Params) -> Any:
        pipe = real(given)
        with torch.no_grad():
            pipe.vae.decoder.conv_out.weight.fill_(float("nan"))
        return pipe

    monkeypatch.setattr(stable_diffusion, "_load", spoiled)
    assert to_pixels(next(stable_diffusion.create(params, SIZE)([prompt(1)])))[1] == "nan"


def test_a_caption_the_text_encoder_would_cut_is_refused(params: Params) -> None:
    draw = stable_diffusion.create(params, SIZE)
    with pytest.raises(PolicyError, match=r"prompt p1: \d+ tokens; expected at most 32"):
        next(draw([prompt(1, "a very long caption " * 5)]))


def test_a_size_the_autoencoder_cannot_make_names_the_nearest(params: Params) -> None:
    with pytest.raises(ParamsError, match=r"generate.width: 50; expected a multiple of 8.*e.g. 48"):
        stable_diffusion.create(params, (50, 64))


def test_a_negative_prompt_without_guidance_is_refused(params: Params) -> None:
    wrong = params.model_copy(update={"negative_prompt": "blurry", "guidance": 1.0})
    with pytest.raises(ParamsError, match=r"negative_prompt: 'blurry' with guidance 1\.0; expected guidance above 1"):
        stable_diffusion.create(wrong, SIZE)


def test_a_missing_model_says_what_to_do(params: Params) -> None:
    with pytest.raises(ModelError, match=r"models/absent is no folder here, and the hub did not give it"):
        stable_diffusion.create(params.model_copy(update={"model": "models/absent"}), SIZE)


def test_a_folder_that_is_no_model_is_refused(params: Params, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"has no model_index\.json"):
        stable_diffusion.create(params.model_copy(update={"model": str(tmp_path)}), SIZE)


def test_a_model_without_one_of_its_parts_is_refused(params: Params, model_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "model_index.json").write_bytes((model_folder / "model_index.json").read_bytes())
    with pytest.raises(ModelError, match="is not a whole diffusers model"):
        stable_diffusion.create(params.model_copy(update={"model": str(tmp_path)}), SIZE)


def test_a_changed_model_has_another_fingerprint(params: Params, tmp_path: Path) -> None:
    (tmp_path / "weights").write_bytes(b"1")
    before = stable_diffusion.fingerprint(params.model_copy(update={"model": str(tmp_path)}))
    (tmp_path / "weights").write_bytes(b"22")
    assert stable_diffusion.fingerprint(params.model_copy(update={"model": str(tmp_path)})) != before
