from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.bundled_diffusion.config import DatasetConfig
from pipeline.bundled_diffusion.portrait_dataset import (
    encode_factors,
    head_weights,
    load_dataset,
    render_dataset,
    sample_dataset_prompts,
)
from pipeline.data.records import Prompt

CONFIG = DatasetConfig(policies={"helmet": 9, "mask": 3}, held_out=2, seed=5, images_per_chunk=5, workers=1)


@pytest.fixture(scope="module")
def prompts(root: Path) -> list[Prompt]:
    return sample_dataset_prompts(root / "policies", CONFIG.policies, CONFIG.seed)


def test_prompts_of_all_policies_are_interleaved(prompts: list[Prompt]) -> None:
    assert len(prompts) == 12
    assert [sum("mask" in prompt.label for prompt in prompts[at : at + 4]) for at in (0, 4, 8)] == [1, 1, 1]


def test_rendering_resumes_with_the_missing_chunks(prompts: list[Prompt], tmp_path: Path) -> None:
    render_dataset(prompts, CONFIG, (96, 128), tmp_path)
    whole = load_dataset(prompts, tmp_path)
    assert whole.pixels.shape == (12, 128, 96, 3)
    first, kept = sorted(tmp_path.glob("*.npy"))[:2]
    first.unlink()
    before = kept.stat().st_mtime_ns
    render_dataset(prompts, CONFIG, (96, 128), tmp_path)
    assert kept.stat().st_mtime_ns == before
    np.testing.assert_array_equal(load_dataset(prompts, tmp_path).pixels, whole.pixels)
    assert not list(tmp_path.glob("*.partial"))


def test_factors_become_codes_and_missing_ones_minus_one(prompts: list[Prompt]) -> None:
    factors, codes = encode_factors(prompts)
    assert "scenario" not in factors
    for row, prompt in enumerate(prompts):
        for name, values in factors.items():
            value = prompt.factors.get(name)
            assert codes[name][row] == (values.index(value) if value is not None else -1)


def test_codes_follow_the_given_order_of_values(prompts: list[Prompt]) -> None:
    _, codes = encode_factors(prompts[:1], {"light": ("nowhere", prompts[0].factors["light"])})
    assert codes["light"].tolist() == [1]


def test_the_head_weighs_more_and_all_weights_average_one(prompts: list[Prompt]) -> None:
    maps = head_weights(prompts, (16, 12), 3.0, 3.0)
    np.testing.assert_allclose(maps.mean((1, 2)), 1, rtol=1e-5)
    for prompt, weights in zip(prompts, maps, strict=True):
        assert weights.max() == pytest.approx(3 * weights.min()), prompt.factors["framing"]
        assert weights[-1].max() < weights.max()  # the chest is not the head


def test_the_eyes_weigh_most_and_lie_on_the_head(prompts: list[Prompt]) -> None:
    for shape in ((64, 48), (16, 12)):
        maps = head_weights(prompts, shape, 3.0, 12.0)
        np.testing.assert_allclose(maps.mean((1, 2)), 1, rtol=1e-5)
        for prompt, weights in zip(prompts, maps, strict=True):
            eyes = weights == weights.max()
            assert weights.max() == pytest.approx(12 * weights.min()), prompt.factors["framing"]
            assert 0 < eyes.mean() < 0.2
            rows, columns = np.nonzero(eyes)
            assert weights[max(rows.min() - 1, 0), int(columns.mean())] == pytest.approx(3 * weights.min())
