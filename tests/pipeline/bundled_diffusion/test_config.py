from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.bundled_diffusion.config import load_config
from pipeline.errors import ParamsError


@pytest.fixture
def values(root: Path) -> dict[str, Any]:
    text = (root / "pipeline" / "bundled_diffusion" / "params.yaml").read_text(encoding="utf-8")
    loaded: dict[str, Any] = yaml.safe_load(text)
    return loaded


def write(values: dict[str, Any], folder: Path) -> Path:
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("section", "old", "new"),
    [
        ((), "world", "dataset"),
        ((), "attributes", "attribute_net"),
        ((), "reader", "reward_model"),
        ((), "text", "text_encoder"),
        (("autoencoder",), "helmets_read", "min_helmet_accuracy"),
        (("autoencoder",), "perceptual", "perceptual_weight"),
        (("autoencoder",), "told", "attribute_weight"),
        (("autoencoder",), "rough", "reconstruction_phase"),
        (("autoencoder",), "fine", "perceptual_phase"),
        (("autoencoder",), "decoder", "decoder_phase"),
        (("autoencoder", "decoder_phase"), "clip", "clip_norm"),
        (("denoiser",), "alignment", "alignment_weight"),
        (("denoiser",), "learning", "training"),
        (("denoiser",), "guidance", "guidance_range"),
        (("denoiser",), "guided", "distillation"),
        (("denoiser", "reward"), "told", "attribute_weight"),
        (("denoiser", "reward"), "look", "feature_matching_weight"),
        (("denoiser", "reward"), "decoded", "reconstruction_weight"),
        (("denoiser", "reward"), "pull", "drift_penalty_weight"),
        (("denoiser", "reward"), "steps", "sampling_steps"),
        (("denoiser", "reward"), "learning", "training"),
    ],
)
def test_the_error_for_a_key_of_an_earlier_version_names_the_new_key(
    values: dict[str, Any], tmp_path: Path, section: tuple[str, ...], old: str, new: str
) -> None:
    holder = values
    for name in section:
        holder = holder[name]
    holder[old] = holder.pop(new, 1.0)
    places = [".".join([*section, key]) for key in (old, new)]
    with pytest.raises(
        ParamsError, match=rf"config\.yaml {re.escape(places[0])}: .*; renamed to {re.escape(places[1])}"
    ):
        load_config(write(values, tmp_path))


def test_the_error_for_a_wrong_value_names_its_key(values: dict[str, Any], tmp_path: Path) -> None:
    values["width"] = 90
    with pytest.raises(ParamsError, match=r"config\.yaml width: 90; expected a multiple of 8"):
        load_config(write(values, tmp_path))


def test_at_least_one_portrait_must_not_be_held_out(values: dict[str, Any], tmp_path: Path) -> None:
    values["dataset"]["policies"] = {"helmet": 20, "mask": 4}
    values["dataset"]["held_out"] = 24
    with pytest.raises(ParamsError, match=r"dataset\.held_out: 24; expected less than all 24 images"):
        load_config(write(values, tmp_path))


def test_a_denoiser_cannot_start_without_its_autoencoder(values: dict[str, Any], tmp_path: Path) -> None:
    values["start"] = {"folder": str(tmp_path), "parts": ["denoiser"]}
    with pytest.raises(ParamsError, match=r"start\.parts: denoiser without autoencoder; expected both"):
        load_config(write(values, tmp_path))


def test_a_distilled_start_excludes_its_own_parts(values: dict[str, Any], tmp_path: Path) -> None:
    values["start"] = {"folder": str(tmp_path), "parts": ["distilled", "autoencoder"]}
    expected = r"start\.parts: distilled beside autoencoder or denoiser; expected one or the other"
    with pytest.raises(ParamsError, match=expected):
        load_config(write(values, tmp_path))


def test_a_missing_file_is_an_error_of_the_user(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match=r"absent\.yaml is missing; expected YAML"):
        load_config(tmp_path / "absent.yaml")
