"""Loading a pipeline: sizes, schedulers, dtypes, memory layout, compilation and the safety checker."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipeline.errors import ModelError, ParamsError
from pipeline.generate.diffusion.model_source import find_source
from pipeline.generate.diffusion.pipeline_loader import (
    SCHEDULERS,
    check_size,
    choose_dtype,
    open_pipeline,
    set_scheduler,
)
from pipeline.generate.generators import stable_diffusion
from tests.pipeline.tiny_diffusion import prompt, save_tiny, tiny_preset

# diffusers hands numpy a tensor whose __array__ has no copy keyword yet
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword")


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("diffusers"))


def open_tiny(folder: Path, **changes: Any) -> Any:
    preset = tiny_preset(folder, **changes)
    return open_pipeline(preset, find_source(preset, "here"), "cpu", "here")


def test_a_size_that_is_no_multiple_of_the_autoencoders_scale_is_an_error_with_the_nearest(model_folder: Path) -> None:
    with pytest.raises(ParamsError, match=r"here.width: 50; expected a multiple of 8.*e.g. 48"):
        open_tiny(model_folder, width=50)
    with pytest.raises(ParamsError, match=r"here.height: 70; expected a multiple of 8.*e.g. 72"):
        open_tiny(model_folder, height=70)


def test_a_size_too_small_for_the_unets_levels_is_an_error(model_folder: Path) -> None:
    pipe = open_tiny(model_folder, width=16, height=24)
    pipe.unet.register_to_config(block_out_channels=(8, 16, 16))
    with pytest.raises(ParamsError, match=r"here.width: 16; expected 32 or more"):
        check_size(pipe, tiny_preset(model_folder, width=16, height=40), "here")


@pytest.mark.parametrize("part", ["text_encoder", "unet", "vae"])
def test_a_part_whose_weights_are_a_pickle_is_refused_unopened(model_folder: Path, tmp_path: Path, part: str) -> None:
    folder = shutil.copytree(model_folder, tmp_path / "model")
    weights = next((folder / part).glob("*.safetensors"))
    torch.save("not weights", weights.with_suffix(".bin"))
    weights.unlink()
    with pytest.raises(ModelError, match=rf"{part}/{weights.stem}\.bin is a pickle, .*expected .*\.safetensors"):
        open_tiny(folder)


@pytest.mark.parametrize("part", ["text_encoder", "unet", "vae"])
def test_a_part_whose_weights_are_damaged_is_refused(model_folder: Path, tmp_path: Path, part: str) -> None:
    folder = shutil.copytree(model_folder, tmp_path / "model")
    next((folder / part).glob("*.safetensors")).write_bytes(b"garbage")
    with pytest.raises(ModelError, match=r"here\.model: .* is not a complete diffusers model"):
        open_tiny(folder)


def test_a_model_without_its_tokenizer_is_refused(model_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(model_folder, tmp_path / "model")
    for path in (folder / "tokenizer").glob("*"):
        path.unlink()
    with pytest.raises(ModelError, match=r"here\.model: .*(a tokenizer of 2 tokens|not a complete diffusers model)"):
        open_tiny(folder)


@pytest.mark.parametrize("scheduler", [*SCHEDULERS, "own"])
def test_every_scheduler_draws(model_folder: Path, scheduler: str) -> None:
    params = stable_diffusion.Params(preset="t", presets={"t": tiny_preset(model_folder, scheduler=scheduler)})
    assert np.isfinite(next(stable_diffusion.create(params)([prompt(1)])).pixels).all()


@pytest.mark.parametrize("scheduler", [*SCHEDULERS, "own"])
def test_a_model_with_zero_terminal_snr_starts_from_pure_noise(model_folder: Path, scheduler: str) -> None:
    from diffusers import DDPMScheduler

    pipe = open_tiny(model_folder)
    pipe.scheduler = DDPMScheduler(
        beta_schedule="squaredcos_cap_v2",
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        timestep_spacing="leading" if scheduler != "own" else "trailing",
        clip_sample=False,
    )
    set_scheduler(pipe, scheduler)
    config = pipe.scheduler.config
    assert (config.prediction_type, config.rescale_betas_zero_snr) == ("v_prediction", True)
    pipe.scheduler.set_timesteps(8)
    assert int(pipe.scheduler.timesteps[0]) == 999
    with torch.inference_mode():
        drawn = pipe("a rider", width=48, height=64, num_inference_steps=8, output_type="pt").images
    assert bool(torch.isfinite(drawn).all())


@pytest.mark.parametrize("spacing", ["trailing", "leading"])
def test_other_models_keep_their_timestep_spacing(model_folder: Path, spacing: str) -> None:
    from diffusers import EulerDiscreteScheduler

    pipe = open_tiny(model_folder)
    pipe.scheduler = EulerDiscreteScheduler(timestep_spacing=spacing)
    set_scheduler(pipe, "dpmsolver++")
    assert pipe.scheduler.config.timestep_spacing == spacing
    assert pipe.scheduler.config.algorithm_type == "dpmsolver++"


def test_ddim_does_not_clip_latents(model_folder: Path) -> None:
    assert open_tiny(model_folder, scheduler="ddim").scheduler.config.clip_sample is False


def test_the_dtype_fits_the_device() -> None:
    assert [choose_dtype("auto", device, "here") for device in ("cpu", "cuda", "mps")] == [
        "float32",
        "float16",
        "float32",
    ]
    assert choose_dtype("bfloat16", "cpu", "here") == "bfloat16"
    with pytest.raises(ParamsError, match=r"here.dtype: float16 on the CPU.*expected auto, float32 or bfloat16"):
        choose_dtype("float16", "cpu", "here")


def test_bfloat16_draws_on_the_cpu(model_folder: Path) -> None:
    pipe = open_tiny(model_folder, dtype="bfloat16")
    assert {part.dtype for part in (pipe.unet, pipe.vae, pipe.text_encoder)} == {torch.bfloat16}


def test_channels_last_lays_out_the_unet_and_the_autoencoder(model_folder: Path) -> None:
    pipe = open_tiny(model_folder, channels_last=True)
    for part in (pipe.unet, pipe.vae):
        convolutions = [m for m in part.modules() if isinstance(m, torch.nn.Conv2d) and m.kernel_size == (3, 3)]
        assert all(m.weight.is_contiguous(memory_format=torch.channels_last) for m in convolutions)


def test_compile_compiles_the_unet(model_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[str] = []

    def compile_nothing(module: torch.nn.Module) -> torch.nn.Module:
        compiled.append(type(module).__name__)
        return module

    monkeypatch.setattr(torch, "compile", compile_nothing)
    open_tiny(model_folder, compile=True)
    assert compiled == ["UNet2DConditionModel"]


def test_a_safety_checker_that_the_model_lacks_is_an_error(model_folder: Path) -> None:
    with pytest.raises(ParamsError, match=r"here.safety_checker: true, but .* has none; expected false"):
        open_tiny(model_folder, safety_checker=True)
