"""Presets: values that are wrong for every model are errors that name their place."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.config.fields import load_section
from pipeline.errors import ParamsError
from pipeline.generate.generators.stable_diffusion import Params
from tests.pipeline.tiny_diffusion import tiny_preset


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"width": 64, "height": 64}, "width: 64 with height 64; expected a portrait: width below height"),
        ({"width": 96, "height": 64}, "width: 96 with height 64; expected a portrait: width below height"),
        ({"steps": 0}, "steps: 0; expected greater than or equal to 1"),
        ({"guidance": -1}, "guidance: -1; expected greater than or equal to 0"),
        ({"scheduler": "heun"}, "scheduler: 'heun'; expected 'dpmsolver++', 'ddim', 'euler', 'euler_ancestral', 'lcm'"),
        ({"batch_size": 0}, "batch_size: 0; expected auto, or a number of images, 1 or more"),
        ({"batch_size": "all"}, "batch_size: 'all'; expected auto, or a number of images, 1 or more"),
        ({"dtype": "float16", "device": "cpu"}, "dtype: float16 on the CPU, where it is slow"),
        (
            {"negative_prompt": "blurry", "guidance": 1.0},
            "negative_prompt: 'blurry' with guidance 1.0; expected guidance above 1, or an empty one",
        ),
        ({"model": ""}, "model: ''; "),
        ({"sampler": "x"}, "sampler: 'x'; no such key"),
    ],
)
def test_a_wrong_value_is_an_error_with_place_value_and_expectation(changes: dict[str, Any], message: str) -> None:
    values = {**tiny_preset("models/tiny").model_dump(), **changes}
    with pytest.raises(ParamsError) as caught:
        load_section(Params, {"preset": "mine", "presets": {"mine": values}}, "generate.stable_diffusion")
    assert f"params.yaml generate.stable_diffusion.presets.mine.{message}" in str(caught.value)


def test_the_batch_size_may_be_auto() -> None:
    assert tiny_preset("models/tiny", batch_size="auto").batch_size == "auto"
