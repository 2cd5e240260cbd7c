from __future__ import annotations

import pytest

from pipeline.bundled_diffusion.save_pipeline import build_sampler

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword")


def test_the_sampler_predicts_velocities_and_starts_from_pure_noise() -> None:
    sampler = build_sampler()
    assert sampler.config.prediction_type == "v_prediction"
    assert sampler.config.algorithm_type == "dpmsolver++"
    sampler.set_timesteps(4)
    assert int(sampler.timesteps[0]) == 999
