"""The smoke run is small and valid for each policy, and with CI it runs all that README.md and the Makefile name."""

from __future__ import annotations

import re
from collections.abc import Callable
from types import ModuleType

import pytest

from export.formats import open_format
from pipeline.config.fields import load_section
from pipeline.config.params import Params
from pipeline.curate.verifiers import find_verifier
from pipeline.generate.generators import find_generator
from tests import smoke
from tests.house import ROOT

ELSEWHERE = {
    "gossamer review": "tests/pipeline/curate/review_app/test_command.py",
    "python -m benchmarks.arm64.setup": "tests/benchmarks/arm64/test_setup.py",
    "make bundled": "tests/pipeline/bundled_diffusion/test_training_steps.py",
    "dvc repro curate": "tests/smoke.py",  # a part of make repro
    "dvc repro": "tests/smoke.py",
    "git clone": "tests/smoke.py",
}
"""Commands that the smoke run does not name -> the file that runs what they do."""
NEEDS_THE_NETWORK = {"make lock"}


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


def command_name(line: str) -> str:
    """A command without its paths and values: ``dvc exp run -S train.epochs=30`` is ``dvc exp run``."""
    if line.startswith("python "):
        return " ".join(line.split()[:3])
    names = []
    for word in line.split():
        if not re.fullmatch(r"-{0,2}[a-z]+(-[a-z]+)*", word) or len(names) == 3 or word == "main":
            break
        names.append(word)
    return " ".join(names)


def named_commands() -> set[str]:
    """Names of the commands in README.md, and of the targets of the Makefile."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    texts = re.findall(r"`([^`\n]+)`", readme) + re.findall(r"^ {4}(\S.*)$", readme, flags=re.MULTILINE)
    lines = [text.partition("#")[0] for text in texts if re.match(r"(gossamer|dvc|make|git|python -m) ", text)]
    return {command_name(line) for line in lines} | {f"make {name}" for name in re.findall(r"(?m)^([a-z]+):", makefile)}


def test_everything_that_readme_and_the_makefile_name_is_run_somewhere_in_ci() -> None:
    ci = (ROOT / ".ci/run").read_text(encoding="utf-8").splitlines()
    run = {command_name(line) for line in [*smoke.COMMANDS, *ci]} | {"make repro"}
    named = named_commands()
    assert {"make gate", "make clean", "gossamer baseline fetch", "dvc plots diff"} <= named
    assert sorted(named - run - ELSEWHERE.keys() - NEEDS_THE_NETWORK) == []
    assert all((ROOT / file).is_file() for file in ELSEWHERE.values())


def test_each_policy_is_smoked_in_turn() -> None:
    turns = [smoke.whose_turn(f"{number:040x}\n") for number in range(4)]
    assert turns == ["helmet", "mask", "helmet", "mask"]
