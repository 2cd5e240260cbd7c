from __future__ import annotations

from typing import Any

import pytest

from pipeline.bundled_diffusion.prompt_alignment import measure_alignment
from pipeline.data.records import Prompt


def prompt(**factors: str) -> Prompt:
    return Prompt(id="p", group="g", label="helmet", text="a rider", seed=1, factors=factors)


def prediction(**changed: Any) -> dict[str, str]:
    plain = {"headwear": "none", "light": "day", "glasses": "none", "face_mask": "none", "skin_tone": "monk_05"}
    return {**plain, **changed}


def test_any_helmet_counts_as_a_helmet() -> None:
    alignment = measure_alignment(
        [prompt(headwear="road_helmet")] * 2, [prediction(headwear="urban_helmet"), prediction()]
    )
    assert alignment["helmet"].share == pytest.approx(0.5)
    assert alignment["helmet"].low < 0.5 < alignment["helmet"].high
    assert alignment["helmet"].count == 2


def test_a_helmet_in_place_of_a_cap_is_a_miss() -> None:
    alignment = measure_alignment([prompt(headwear="cap")], [prediction(headwear="road_helmet")])
    assert (alignment["helmet"].share, alignment["headwear"].share) == (0, 0)


def test_headwear_counts_only_kinds_that_resemble_a_helmet() -> None:
    prompts = [
        prompt(headwear="cap"),
        prompt(headwear="beanie"),
        prompt(headwear="none"),
        prompt(headwear="road_helmet"),
    ]
    predicted = [prediction(headwear="cap"), prediction(headwear="turban"), prediction(headwear="hood"), prediction()]
    assert (alignment := measure_alignment(prompts, predicted)["headwear"]).count == 2
    assert alignment.share == pytest.approx(0.5)


@pytest.mark.parametrize(("predicted", "share"), [("monk_04", 1), ("monk_06", 1), ("monk_07", 0), ("monk_10", 0)])
def test_skin_tone_may_be_one_step_off(predicted: str, share: float) -> None:
    alignment = measure_alignment([prompt(skin_tone="monk_05")], [prediction(skin_tone=predicted)])
    assert alignment["skin_tone_within_1"].share == share


def test_factors_of_no_prompt_are_left_out() -> None:
    assert measure_alignment([prompt(light="night")], [prediction()]).keys() == {"light"}
