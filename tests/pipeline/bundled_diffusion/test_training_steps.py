"""The whole learning, from captions to a model folder, on a recipe of seconds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file

from pipeline.bundled_diffusion import training_steps
from pipeline.bundled_diffusion.config import load_recipe
from pipeline.bundled_diffusion.networks.widen_channels import TOLD
from pipeline.errors import ModelError, ParamsError

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword")

LEARNING = {"steps": 2, "batch_size": 2, "learning_rate": 0.001, "warmup_steps": 1, "ema_decay": 0.5, "seed": 1}
NETWORK = {"epochs": 1, "batch_size": 8, "learning_rate": 0.003, "precision": "float32", "seed": 1}

PULLS = {"look": 1.0, "decoded": 1.0, "pull": 1.0}


@pytest.fixture
def values(root: Path, tmp_path: Path) -> dict[str, object]:
    return {
        "policies": str(root / "policies"),
        "work": str(tmp_path / "work"),
        "out": str(tmp_path / "model"),
        "start": None,
        "device": "cpu",
        "width": 96,
        "height": 128,
        "world": {"policies": {"helmet": 20, "mask": 4}, "held_out": 8, "seed": 7, "images_per_chunk": 8, "workers": 1},
        "attributes": NETWORK,
        "reader": NETWORK,
        "judge": NETWORK,
        "autoencoder": {
            "latent_channels": 4,
            "widths": [8, 8, 8, 8],
            "head_weight": 2.0,
            "eye_weight": 8.0,
            "perceptual": 0.3,
            "told": {"glasses": 0.1},
            "precision": "float32",
            "helmets_read": 0.0,
            "rough": LEARNING,
            "fine": LEARNING,
            "decoder": LEARNING,
        },
        "text": {
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
            "alignment": 0.5,
            "precision": "float32",
            "processes": 1,
            "learning": LEARNING,
            "guidance": [1.0, 5.0],
            "guided": {**LEARNING, "learning_rate": 0.1},
            "reward": {"told": {"glasses": 1.0}, **PULLS, "steps": [2, 3], "learning": LEARNING},
        },
    }


def write(values: dict[str, object], tmp_path: Path) -> Path:
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return path


def test_a_recipe_becomes_a_folder_that_the_stock_pipeline_opens(values: dict[str, object], tmp_path: Path) -> None:
    from diffusers import StableDiffusionPipeline

    path = write(values, tmp_path)
    training_steps.run(load_recipe(path), path)
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
    assert (model / "reward.csv").read_text(encoding="utf-8").startswith("step,loss,told,look,decoded,drift,norm")
    assert 0 <= yaml.safe_load((tmp_path / "work" / "judge.json").read_text(encoding="utf-8"))["helmet"] <= 1
    made = {file: file.stat().st_mtime_ns for file in (tmp_path / "work").rglob("*") if file.is_file()}
    training_steps.run(load_recipe(path), path)
    assert made == {file: file.stat().st_mtime_ns for file in made if file.name != "recipe.json"} | {
        file: time for file, time in made.items() if file.name == "recipe.json"
    }


def test_a_learning_goes_on_from_a_model_that_was_learned_before(values: dict[str, object], tmp_path: Path) -> None:
    path = write(values, tmp_path)
    training_steps.run(load_recipe(path), path)
    still = {**LEARNING, "learning_rate": 1e-12}
    start = {"folder": str(tmp_path / "model"), "parts": ["attributes", "text", "autoencoder", "denoiser", "judge"]}
    values |= {"work": str(tmp_path / "again"), "out": str(tmp_path / "second"), "start": start}
    reward = {"told": {"glasses": 1.0}, **PULLS, "steps": [2, 3], "learning": still}
    taught = {"learning": still, "guided": still, "reward": reward}
    values["denoiser"] = {**values["denoiser"], **taught}  # type: ignore[dict-item]
    values["autoencoder"] = {**values["autoencoder"], "fine": still, "decoder": still}  # type: ignore[dict-item]
    path = write(values, tmp_path)
    training_steps.run(load_recipe(path), path)
    for name in ("vae/diffusion_pytorch_model", "text_encoder/model", "unet/diffusion_pytorch_model", "judge"):
        first, second = (load_file(tmp_path / model / f"{name}.safetensors") for model in ("model", "second"))
        assert all((first[key] - second[key]).abs().max() < 1e-3 for key in first if key != TOLD), name
    assert "told" in (tmp_path / "again" / "autoencoder-fine.csv").read_text(encoding="utf-8")
    logs = sorted(file.name for file in (tmp_path / "again").glob("autoencoder-*.csv"))
    assert logs == ["autoencoder-decoder.csv", "autoencoder-fine.csv"]


def test_the_reward_alone_goes_on_from_a_model_that_was_learned_before(
    values: dict[str, object], tmp_path: Path
) -> None:
    path = write(values, tmp_path)
    training_steps.run(load_recipe(path), path)
    start = {"folder": str(tmp_path / "model"), "parts": ["attributes", "text", "guided", "judge"]}
    path = write({**values, "work": str(tmp_path / "again"), "out": str(tmp_path / "second"), "start": start}, tmp_path)
    training_steps.run(load_recipe(path), path)
    parts = ("vae/diffusion_pytorch_model", "unet/diffusion_pytorch_model")
    vae, unet = (
        [load_file(tmp_path / model / f"{part}.safetensors") for model in ("model", "second")] for part in parts
    )
    learned = {key.split(".")[0] for key in vae[0] if not torch.equal(vae[0][key], vae[1][key])}
    assert learned == {"decoder", "post_quant_conv"}
    assert max((unet[0][key].float() - unet[1][key].float()).abs().max() for key in unet[0]) > 1e-4
    assert not (tmp_path / "again" / "teacher").exists()
    assert not (tmp_path / "second" / "learning.csv").exists()


def test_a_start_without_its_parts_is_refused(values: dict[str, object], tmp_path: Path) -> None:
    start = {"folder": str(tmp_path), "parts": ["attributes"]}
    path = write({**values, "start": start}, tmp_path)
    with pytest.raises(ModelError, match=r"start\.folder: .*attributes\.safetensors is missing"):
        training_steps.run(load_recipe(path), path)


def test_a_work_folder_of_another_recipe_is_refused(values: dict[str, object], tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "recipe.json").write_text("{}", encoding="utf-8")
    path = write(values, tmp_path)
    with pytest.raises(ParamsError, match="begun with another recipe; delete it, or name another folder"):
        training_steps.run(load_recipe(path), path)


def test_an_autoencoder_that_loses_helmets_stops_the_learning(values: dict[str, object], tmp_path: Path) -> None:
    values["autoencoder"] = {**values["autoencoder"], "helmets_read": 1.0}  # type: ignore[dict-item]
    path = write(values, tmp_path)
    with pytest.raises(ModelError, match=r"helmets read through encode-decode 0\.\d+; expected at least 1\.0"):
        training_steps.run(load_recipe(path), path)
    assert not (tmp_path / "work" / "unet").exists()


def test_a_wrong_value_names_its_place(values: dict[str, object], tmp_path: Path) -> None:
    values["width"] = 90
    with pytest.raises(ParamsError, match=r"recipe\.yaml width: 90; expected a multiple of 8"):
        load_recipe(write(values, tmp_path))


def test_more_held_out_than_there_are_is_refused(values: dict[str, object], tmp_path: Path) -> None:
    values["world"] = {**values["world"], "held_out": 24}  # type: ignore[dict-item]
    with pytest.raises(ParamsError, match=r"world\.held_out: 24; expected less than all 24 images"):
        load_recipe(write(values, tmp_path))


def test_a_denoiser_without_the_autoencoder_it_knows_is_refused(values: dict[str, object], tmp_path: Path) -> None:
    values["start"] = {"folder": str(tmp_path), "parts": ["denoiser"]}
    with pytest.raises(ParamsError, match=r"start\.parts: denoiser without autoencoder; expected both"):
        load_recipe(write(values, tmp_path))


def test_a_guided_start_beside_what_it_is_made_of_is_refused(values: dict[str, object], tmp_path: Path) -> None:
    values["start"] = {"folder": str(tmp_path), "parts": ["guided", "autoencoder"]}
    with pytest.raises(
        ParamsError, match=r"start\.parts: guided beside autoencoder or denoiser; expected one or the other"
    ):
        load_recipe(write(values, tmp_path))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_device_that_is_not_there_is_refused(values: dict[str, object], tmp_path: Path) -> None:
    path = write({**values, "device": "cuda"}, tmp_path)
    with pytest.raises(ParamsError, match=r"recipe.device: cuda; this machine has cpu; expected"):
        training_steps.run(load_recipe(path), path)
    assert not (tmp_path / "work").exists()
