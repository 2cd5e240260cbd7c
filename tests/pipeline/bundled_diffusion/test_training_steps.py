"""The whole training, from captions to a model folder, with a configuration that takes seconds."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file

from pipeline.bundled_diffusion import training_steps
from pipeline.bundled_diffusion.config import load_config
from pipeline.bundled_diffusion.networks.widen_channels import GUIDANCE_WEIGHT
from pipeline.errors import ModelError, ParamsError

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword")

LOOP = {"steps": 2, "batch_size": 2, "learning_rate": 0.001, "warmup_steps": 1, "ema_decay": 0.5, "seed": 1}
NETWORK = {"epochs": 1, "batch_size": 8, "learning_rate": 0.003, "precision": "float32", "seed": 1}

REWARD = {
    "attribute_weight": {"glasses": 1.0},
    "feature_matching_weight": 1.0,
    "reconstruction_weight": 1.0,
    "drift_penalty_weight": 1.0,
    "sampling_steps": [2, 3],
    "training": LOOP,
}


@pytest.fixture
def values(root: Path, tmp_path: Path) -> dict[str, Any]:
    return {
        "policies": str(root / "policies"),
        "work": str(tmp_path / "work"),
        "out": str(tmp_path / "model"),
        "start": None,
        "device": "cpu",
        "width": 96,
        "height": 128,
        "dataset": {
            "policies": {"helmet": 20, "mask": 4},
            "held_out": 8,
            "seed": 7,
            "images_per_chunk": 8,
            "workers": 1,
        },
        "attribute_net": NETWORK,
        "reward_model": NETWORK,
        "judge": NETWORK,
        "autoencoder": {
            "latent_channels": 4,
            "widths": [8, 8, 8, 8],
            "head_weight": 2.0,
            "eye_weight": 8.0,
            "perceptual_weight": 0.3,
            "attribute_weight": {"glasses": 0.1},
            "precision": "float32",
            "min_helmet_accuracy": 0.0,
            "reconstruction_phase": LOOP,
            "perceptual_phase": LOOP,
            "decoder_phase": LOOP,
        },
        "text_encoder": {
            "tokens": 80,
            "width": 32,
            "layers": 1,
            "steps": 2,
            "batch_size": 4,
            "learning_rate": 0.002,
            "seed": 3,
        },
        "denoiser": {
            "widths": [16, 32, 32],
            "layers": 1,
            "caption_dropout": 0.1,
            "head_weight": 3.0,
            "eye_weight": 6.0,
            "alignment_weight": 0.5,
            "precision": "float32",
            "processes": 1,
            "training": LOOP,
            "guidance_range": [1.0, 5.0],
            "distillation": {**LOOP, "learning_rate": 0.1},
            "reward": REWARD,
        },
    }


def write(values: dict[str, Any], tmp_path: Path) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return path


def test_training_writes_a_folder_that_the_stock_pipeline_opens_and_resumes_without_retraining(
    values: dict[str, Any], tmp_path: Path
) -> None:
    from diffusers import StableDiffusionPipeline

    path = write(values, tmp_path)
    training_steps.run(load_config(path), path)
    model = tmp_path / "model"
    pipe = StableDiffusionPipeline.from_pretrained(model)
    pipe.set_progress_bar_config(disable=True)
    setting = {"width": 96, "height": 128, "num_inference_steps": 2, "output_type": "np"}
    pictures = [
        pipe("a rider", guidance_scale=scale, generator=torch.Generator().manual_seed(1), **setting).images[0]
        for scale in (1.0, 4.0)
    ]
    assert pictures[0].shape == (128, 96, 3)
    assert np.isfinite(pictures).all()
    assert pipe.unet.config.time_cond_proj_dim is not None
    assert not [config for config in model.rglob("*.json") if str(tmp_path) in config.read_text(encoding="utf-8")]
    assert np.abs(pictures[0] - pictures[1]).max() > 0
    assert (model / "learning.csv").read_text(encoding="utf-8").startswith("step,loss,low_noise,middle,high_noise,")
    assert (model / "reward.csv").read_text(encoding="utf-8").startswith("step,loss,attributes,feature_matching,")
    assert 0 <= yaml.safe_load((tmp_path / "work" / "judge.json").read_text(encoding="utf-8"))["helmet"] <= 1
    outputs = [file for file in (tmp_path / "work").rglob("*") if file.is_file() and file.name != "config.json"]
    written = {file: file.stat().st_mtime_ns for file in outputs}
    training_steps.run(load_config(path), path)
    assert written == {file: file.stat().st_mtime_ns for file in outputs}


def test_training_starts_from_the_parts_of_an_earlier_model(values: dict[str, Any], tmp_path: Path) -> None:
    path = write(values, tmp_path)
    training_steps.run(load_config(path), path)
    frozen = {**LOOP, "learning_rate": 1e-12}
    start = {
        "folder": str(tmp_path / "model"),
        "parts": ["attribute_net", "text_encoder", "autoencoder", "denoiser", "judge"],
    }
    values |= {"work": str(tmp_path / "again"), "out": str(tmp_path / "second"), "start": start}
    trainings = {"training": frozen, "distillation": frozen, "reward": {**REWARD, "training": frozen}}
    values["denoiser"] |= trainings
    values["autoencoder"] |= {"perceptual_phase": frozen, "decoder_phase": frozen}
    path = write(values, tmp_path)
    training_steps.run(load_config(path), path)
    for name in ("vae/diffusion_pytorch_model", "text_encoder/model", "unet/diffusion_pytorch_model", "judge"):
        first, second = (load_file(tmp_path / model / f"{name}.safetensors") for model in ("model", "second"))
        assert all((first[key] - second[key]).abs().max() < 1e-3 for key in first if key != GUIDANCE_WEIGHT), name
    assert "attributes" in (tmp_path / "again" / "autoencoder-perceptual.csv").read_text(encoding="utf-8")
    logs = sorted(file.name for file in (tmp_path / "again").glob("autoencoder-*.csv"))
    assert logs == ["autoencoder-decoder.csv", "autoencoder-perceptual.csv"]


def test_a_distilled_start_leaves_only_the_reward_fine_tuning(values: dict[str, Any], tmp_path: Path) -> None:
    path = write(values, tmp_path)
    training_steps.run(load_config(path), path)
    start = {"folder": str(tmp_path / "model"), "parts": ["attribute_net", "text_encoder", "distilled", "judge"]}
    path = write({**values, "work": str(tmp_path / "again"), "out": str(tmp_path / "second"), "start": start}, tmp_path)
    training_steps.run(load_config(path), path)
    parts = ("vae/diffusion_pytorch_model", "unet/diffusion_pytorch_model")
    vae, unet = (
        [load_file(tmp_path / model / f"{part}.safetensors") for model in ("model", "second")] for part in parts
    )
    changed = {key.split(".")[0] for key in vae[0] if not torch.equal(vae[0][key], vae[1][key])}
    assert changed == {"decoder", "post_quant_conv"}
    assert max((unet[0][key].float() - unet[1][key].float()).abs().max() for key in unet[0]) > 1e-4
    assert not (tmp_path / "again" / "teacher").exists()
    assert not (tmp_path / "second" / "learning.csv").exists()


def test_a_start_folder_without_the_parts_is_an_error(values: dict[str, Any], tmp_path: Path) -> None:
    start = {"folder": str(tmp_path), "parts": ["attribute_net"]}
    path = write({**values, "start": start}, tmp_path)
    with pytest.raises(ModelError, match=r"start\.folder: .*attributes\.safetensors is missing"):
        training_steps.run(load_config(path), path)


@pytest.mark.parametrize("file", ["config.json", "recipe.json"])
def test_a_work_folder_of_another_configuration_is_an_error(values: dict[str, Any], tmp_path: Path, file: str) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / file).write_text("{}", encoding="utf-8")
    path = write(values, tmp_path)
    with pytest.raises(ParamsError, match="belongs to a training with other params; expected a new folder"):
        training_steps.run(load_config(path), path)


def test_training_stops_when_the_autoencoder_loses_helmets(values: dict[str, Any], tmp_path: Path) -> None:
    values["autoencoder"]["min_helmet_accuracy"] = 1.0
    path = write(values, tmp_path)
    with pytest.raises(ModelError, match=r"helmet accuracy after encoding and decoding 0\.\d+; expected at least 1\.0"):
        training_steps.run(load_config(path), path)
    assert not (tmp_path / "work" / "unet").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_make_bundled_ends_with_a_message_where_its_params_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["bundled_diffusion", "nowhere/params.yaml"])
    with pytest.raises(SystemExit, match=r"error: nowhere/params\.yaml"):
        runpy.run_module("pipeline.bundled_diffusion", run_name="__main__")


def test_a_missing_device_is_an_error(values: dict[str, Any], tmp_path: Path) -> None:
    path = write({**values, "device": "cuda"}, tmp_path)
    with pytest.raises(ParamsError, match=r"bundled_diffusion\.device: cuda; this machine has cpu; expected"):
        training_steps.run(load_config(path), path)
    assert not (tmp_path / "work").exists()
