"""The bundled model: complete, small enough to ship, and aligned with its prompts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml

from pipeline.bundled_diffusion.config import load_config
from pipeline.bundled_diffusion.networks.attribute_net import load_attribute_net
from pipeline.bundled_diffusion.prompt_alignment import measure_alignment, predict_factors
from pipeline.bundled_diffusion.save_pipeline import LIMIT_BYTES
from pipeline.config.policy import load_policy
from pipeline.data.hashing import folder_bytes
from pipeline.data.records import Prompt
from pipeline.generate.diffusion.model_source import WEIGHTS
from pipeline.generate.generators import stable_diffusion
from pipeline.generate.generators.stable_diffusion import Params
from pipeline.generate.shard_job import to_pixels
from pipeline.prompts.prompt_sampler import draw_prompts

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword")


@pytest.fixture(scope="module")
def params(root: Path) -> Params:
    """The bundled preset as params.yaml has it."""
    values = yaml.safe_load((root / "params.yaml").read_text(encoding="utf-8"))
    return Params(**{**values["generate"]["stable_diffusion"], "preset": "bundled"})


@pytest.fixture(scope="module")
def prompts(root: Path) -> list[Prompt]:
    return draw_prompts(load_policy(root / "policies" / "helmet.yaml"), 40, 1, seed=4711)


def with_batch(params: Params, size: int) -> Params:
    preset = params.chosen.model_copy(update={"batch_size": size})
    return params.model_copy(update={"presets": {**params.presets, "bundled": preset}})


def draw(params: Params, prompts: list[Prompt]) -> np.ndarray:
    return np.stack([to_pixels(picture)[0] for picture in stable_diffusion.create(params)(prompts)])


@pytest.fixture(scope="module")
def pictures(params: Params, prompts: list[Prompt]) -> np.ndarray:
    return draw(with_batch(params, 20), prompts)


def test_the_model_is_small_enough_to_ship_and_its_card_names_a_licence() -> None:
    assert folder_bytes(WEIGHTS) <= LIMIT_BYTES
    card = (WEIGHTS / "README.md").read_text(encoding="utf-8")
    assert yaml.safe_load(card.split("---")[1])["license"] == "apache-2.0"


def test_the_stock_pipeline_opens_the_model_without_arguments() -> None:
    from diffusers import StableDiffusionPipeline

    pipe = StableDiffusionPipeline.from_pretrained(WEIGHTS, low_cpu_mem_usage=False)
    pipe.set_progress_bar_config(disable=True)
    picture = pipe("portrait selfie photo, a rider", width=96, height=128, num_inference_steps=2, output_type="np")
    assert picture.images[0].shape == (128, 96, 3)


def test_the_model_has_the_sizes_in_params_yaml() -> None:
    from diffusers import AutoencoderKL, UNet2DConditionModel

    config = load_config(WEIGHTS.parent / "params.yaml")
    assert tuple(UNet2DConditionModel.load_config(WEIGHTS / "unet")["block_out_channels"]) == config.denoiser.widths
    assert AutoencoderKL.load_config(WEIGHTS / "vae")["latent_channels"] == config.autoencoder.latent_channels
    assert len((WEIGHTS / "learning.csv").read_text(encoding="utf-8").splitlines()) > 100


def test_the_judge_recognises_the_requested_helmets_and_light(pictures: np.ndarray, prompts: list[Prompt]) -> None:
    predicted = predict_factors(load_attribute_net(WEIGHTS / "judge.safetensors"), pictures)
    alignment = measure_alignment(prompts, predicted)
    assert alignment["helmet"].share >= 0.85
    assert alignment["light"].share >= 0.75


def test_pictures_have_contrast_and_differ(pictures: np.ndarray) -> None:
    assert pictures.shape[1:] == (128, 96, 3)
    assert pictures.std((1, 2, 3)).min() > 5
    flat = pictures.reshape(len(pictures), -1).astype(float)
    distances = [np.abs(flat[row] - flat[other]).mean() for row in range(0, 40, 2) for other in range(row + 2, 40, 2)]
    assert min(distances) > 5


@pytest.mark.parametrize("size", [1, 3])
def test_a_picture_hardly_depends_on_the_rest_of_its_batch(
    params: Params, pictures: np.ndarray, prompts: list[Prompt], size: int
) -> None:
    again = draw(with_batch(params, size), prompts[6:12])
    difference = np.abs(again.astype(int) - pictures[6:12].astype(int))
    assert (difference <= 1).mean() >= 0.999


def test_counterfactual_pairs_share_their_noise_and_so_their_scene(pictures: np.ndarray, prompts: list[Prompt]) -> None:
    assert [prompt.seed for prompt in prompts[::2]] == [prompt.seed for prompt in prompts[1::2]]
    pairs = np.abs(pictures[::2].astype(int) - pictures[1::2].astype(int)).mean()
    others = np.abs(pictures[::2].astype(int) - np.roll(pictures[1::2], 1, 0).astype(int)).mean()
    assert pairs < 0.5 * others


@pytest.mark.parametrize("policy", ["helmet", "mask"])
def test_every_caption_of_the_bundled_policies_fits_the_tokenizer(root: Path, policy: str) -> None:
    from transformers import CLIPTokenizer

    tokenizer = CLIPTokenizer.from_pretrained(WEIGHTS / "tokenizer")
    drawn = draw_prompts(load_policy(root / "policies" / f"{policy}.yaml"), 4000, 1, seed=1)
    ids = tokenizer([prompt.text for prompt in drawn]).input_ids
    assert max(map(len, ids)) <= tokenizer.model_max_length
    assert not any(tokenizer.unk_token_id in caption[1:-1] for caption in ids)
