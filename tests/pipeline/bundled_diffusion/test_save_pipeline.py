from __future__ import annotations

import os
from pathlib import Path

import pytest
from diffusers import StableDiffusionPipeline

from pipeline.bundled_diffusion.save_pipeline import build_sampler, save_pipeline
from tests.pipeline.tiny_diffusion import save_tiny

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword")


def test_the_sampler_predicts_velocities_and_starts_from_pure_noise() -> None:
    sampler = build_sampler()
    assert sampler.config.prediction_type == "v_prediction"
    assert sampler.config.algorithm_type == "dpmsolver++"
    sampler.set_timesteps(4)
    assert int(sampler.timesteps[0]) == 999


def test_a_saved_model_has_files_of_the_mode_that_the_umask_leaves_and_keeps_the_card(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    pipe = StableDiffusionPipeline.from_pretrained(save_tiny(tmp_path / "source"))
    out = tmp_path / "weights"
    out.mkdir()
    (out / "README.md").write_text("the card", encoding="utf-8")
    before = os.umask(0o027)
    try:
        save_pipeline(pipe, out)
    finally:
        os.umask(before)
    saved = {path.name: path.stat().st_mode & 0o777 for path in out.rglob("*.safetensors")}
    assert set(saved.values()) == {0o640}, saved
    assert (out / "README.md").read_text(encoding="utf-8") == "the card"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source", "weights"]
