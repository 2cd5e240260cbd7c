from __future__ import annotations

from typing import Any

import pytest

from pipeline.bundled_diffusion.prompt_alignment import measure_agreement
from pipeline.data.records import Prompt


def prompt(**factors: str) -> Prompt:
    return Prompt(id="p", group="g", label="helmet", text="a rider", seed=1, factors=factors)


def sight(**changed: Any) -> dict[str, str]:
    plain = {"headwear": "none", "light": "day", "glasses": "none", "face_mask": "none", "skin_tone": "monk_05"}
    return {**plain, **changed}


def test_any_helmet_agrees_with_any_other() -> None:
    found = measure_agreement([prompt(headwear="road_helmet")] * 2, [sight(headwear="urban_helmet"), sight()])
    assert found["helmet"].share == pytest.approx(0.5)
    assert found["helmet"].low < 0.5 < found["helmet"].high
    assert found["helmet"].count == 2


def test_a_cap_taken_for_a_helmet_is_a_miss() -> None:
    found = measure_agreement([prompt(headwear="cap")], [sight(headwear="road_helmet")])
    assert (found["helmet"].share, found["headwear"].share) == (0, 0)


def test_which_headwear_counts_only_where_it_may_confuse() -> None:
    asked = [prompt(headwear="cap"), prompt(headwear="beanie"), prompt(headwear="none"), prompt(headwear="road_helmet")]
    seen = [sight(headwear="cap"), sight(headwear="turban"), sight(headwear="hood"), sight()]
    assert (found := measure_agreement(asked, seen)["headwear"]).count == 2
    assert found.share == pytest.approx(0.5)


@pytest.mark.parametrize(("seen", "share"), [("monk_04", 1), ("monk_06", 1), ("monk_07", 0), ("monk_10", 0)])
def test_skin_tone_may_be_one_step_off(seen: str, share: float) -> None:
    found = measure_agreement([prompt(skin_tone="monk_05")], [sight(skin_tone=seen)])
    assert found["skin_tone_within_1"].share == share


def test_what_nobody_asked_for_is_left_out() -> None:
    assert measure_agreement([prompt(light="night")], [sight()]).keys() == {"light"}
