from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import pytest

from export.formats import open_format
from pipeline.config.fields import load_section
from pipeline.config.params import Params
from pipeline.curate.verifiers import find_verifier
from pipeline.generate.generators import find_generator
from tests import smoke


@pytest.mark.parametrize("policy", ["helmet", "mask"])
def test_the_params_of_the_smoke_run_are_valid(policy: str) -> None:
    params = Params.model_validate(smoke.small_params(policy))
    assert params.policy == policy
    plug_ins: list[tuple[str, object, Callable[[str], ModuleType]]] = [
        ("generate", params.generate, find_generator),
        ("curate", params.curate, find_verifier),
    ]
    for stage, section, find in plug_ins:
        for name, values in (section.model_extra or {}).items():
            load_section(find(name).Params, values, f"{stage}.{name}")
    for name, values in params.convert.formats.items():
        load_section(open_format(name).Params, values, f"convert.formats.{name}")


def test_the_smoke_run_is_small_and_converts_a_float_and_where_there_is_one_an_8_bit_recipe_of_each_format() -> None:
    params = Params.model_validate(smoke.small_params("helmet"))
    assert (params.prompts.count, params.selfies.count) < (300, 100)
    kinds = [["ai8" in recipe for recipe in section["recipes"]] for section in params.convert.formats.values()]
    assert all(kind in ([False], [False, True]) for kind in kinds)
    assert kinds.count([False, True]) >= 3


def test_a_change_of_a_key_that_params_do_not_have_is_refused() -> None:
    with pytest.raises(KeyError, match=r"params.yaml measure.camera.workers: no such key"):
        smoke.override({"measure": {"camera": {"selfies": 9}}}, {"measure": {"camera": {"workers": 1}}})
