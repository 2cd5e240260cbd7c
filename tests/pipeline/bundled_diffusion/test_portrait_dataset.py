from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.bundled_diffusion.config import WorldRecipe
from pipeline.bundled_diffusion.portrait_dataset import (
    code_factors,
    draw_world,
    head_weights,
    open_world,
    world_prompts,
)
from pipeline.data.records import Prompt

RECIPE = WorldRecipe(policies={"helmet": 9, "mask": 3}, held_out=2, seed=5, images_per_chunk=5, workers=1)


@pytest.fixture(scope="module")
def prompts(root: Path) -> list[Prompt]:
    return world_prompts(root / "policies", RECIPE.policies, RECIPE.seed)


def test_captions_of_all_policies_are_interleaved(prompts: list[Prompt]) -> None:
    assert len(prompts) == 12
    assert [sum("mask" in prompt.label for prompt in prompts[at : at + 4]) for at in (0, 4, 8)] == [1, 1, 1]


def test_a_world_is_drawn_once_and_goes_on_with_what_is_missing(prompts: list[Prompt], tmp_path: Path) -> None:
    draw_world(prompts, RECIPE, (96, 128), tmp_path)
    whole = open_world(prompts, tmp_path)
    assert whole.pixels.shape == (12, 128, 96, 3)
    first, kept = sorted(tmp_path.glob("*.npy"))[:2]
    first.unlink()
    before = kept.stat().st_mtime_ns
    draw_world(prompts, RECIPE, (96, 128), tmp_path)
    assert kept.stat().st_mtime_ns == before
    np.testing.assert_array_equal(open_world(prompts, tmp_path).pixels, whole.pixels)
    assert not list(tmp_path.glob("*.partial"))


def test_factors_become_codes_and_what_is_missing_minus_one(prompts: list[Prompt]) -> None:
    factors, codes = code_factors(prompts)
    assert "scenario" not in factors
    for row, prompt in enumerate(prompts):
        for name, values in factors.items():
            asked = prompt.factors.get(name)
            assert codes[name][row] == (values.index(asked) if asked is not None else -1)


def test_codes_of_other_prompts_keep_the_order_they_were_given(prompts: list[Prompt]) -> None:
    _, codes = code_factors(prompts[:1], {"light": ("nowhere", prompts[0].factors["light"])})
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
