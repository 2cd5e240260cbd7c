"""Guards the house: who may import whom, one word a stage, and DVC seeing every import."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
import yaml
from typer.main import get_command

from pipeline.cli import app
from pipeline.config.params import Params
from tests.house import ROOF, ROOMS, ROOT, STAGES, code_needed, dvc_stages, imports, modules, stage_module

FOUNDATION = {"pipeline.errors"} | {
    name for name in modules() if f"{name}.".startswith(("pipeline.config.", "pipeline.data.", "pipeline.machine."))
}
STAGE_MODULES = {stage_module(stage) for stage in STAGES}
PLUG_INS = (
    "pipeline.generate.generators",
    "pipeline.engines",
    "pipeline.curate.verifiers",
    "export.formats",
    "benchmarks.experiments",
)


def test_the_foundation_stands_on_itself() -> None:
    for name in FOUNDATION:
        assert imports(name) <= FOUNDATION, name


def test_stages_never_import_stages() -> None:
    for name in STAGE_MODULES:
        assert not imports(name) & STAGE_MODULES, name


def test_tools_never_import_stages() -> None:
    for name in modules().keys() - STAGE_MODULES - ROOF:
        assert not imports(name) & STAGE_MODULES, name


def test_nobody_imports_the_roof() -> None:
    assert [name for name in modules().keys() - ROOF if imports(name) & ROOF] == []
    assert "pipeline.cli" not in imports("pipeline.cli_commands")


def test_rooms_look_one_way() -> None:
    for name in modules().keys() - ROOF:
        rooms = {other.partition(".")[0] for other in imports(name)}
        allowed = ROOMS[: ROOMS.index(name.partition(".")[0]) + 1]
        assert rooms <= set(allowed), name


@pytest.mark.parametrize("folder", PLUG_INS)
def test_plug_ins_never_import_each_other(folder: str) -> None:
    owner = {name: name.split(".")[folder.count(".") + 1] for name in modules() if name.startswith(f"{folder}.")}
    for name, plug_in in owner.items():
        assert {other for other in imports(name) if owner.get(other, plug_in) != plug_in} == set(), name


def test_the_product_never_imports_experiments() -> None:
    experiments = ("benchmarks.experiments", "benchmarks.experiment_harness")
    for name in modules().keys() - ROOF:
        if not name.startswith(experiments):
            assert {other for other in imports(name) if other.startswith(experiments)} == set(), name


def test_there_are_no_import_cycles() -> None:
    for name in modules():
        seen, stack = set(), list(imports(name))
        while stack:
            current = stack.pop()
            assert current != name, f"{name} imports itself by way of {sorted(seen)}"
            if current not in seen:
                seen.add(current)
                stack += imports(current)


def test_a_stage_is_one_word_in_five_places() -> None:
    commands = get_command(app).commands  # type: ignore[attr-defined]
    for stage in STAGES:
        assert stage in dvc_stages(), "a DVC stage"
        assert stage in commands, "a command"
        assert stage_module(stage) in modules(), "a module"
        assert stage in Params.model_fields, "a section of params.yaml"
        folder, _, module = stage_module(stage).replace(".", "/").rpartition("/")
        assert (ROOT / "tests" / folder / f"test_{module}.py").is_file(), "a test file"
    assert list(dvc_stages()) == list(STAGES)


def covered(path: str, deps: list[str]) -> bool:
    return any(path == dep or path.startswith(f"{dep}/") for dep in deps)


def code_deps(stage: str) -> list[str]:
    """A stage's deps as written; one of a format stands for all formats."""
    formats = [name.rpartition(".")[2] for name in modules() if name.startswith("export.formats.")]
    deps = dvc_stages()[stage]["deps"]
    return [dep.replace("${item.format}", name) for dep in deps for name in formats]


@pytest.mark.parametrize("stage", list(STAGES))
def test_dvc_sees_all_code_a_stage_runs(stage: str) -> None:
    missing = sorted(path for path in code_needed(stage) if not covered(path, code_deps(stage)))
    assert missing == [], f"dvc.yaml {stage}.deps: add them"


@pytest.mark.parametrize("stage", list(STAGES))
def test_dvc_sees_no_code_a_stage_does_not_run(stage: str) -> None:
    assert sorted({dep for dep in code_deps(stage) if dep.endswith(".py")} - code_needed(stage)) == []


def test_every_stage_reads_its_section_of_params() -> None:
    for stage in STAGES:
        names = {str(entry).partition(".")[0] for entry in dvc_stages()[stage].get("params", [])}
        assert stage in names, stage


def test_params_and_policies_are_plain_yaml() -> None:
    for path in itertools.chain([ROOT / "params.yaml", ROOT / "dvc.yaml"], (ROOT / "policies").glob("*.yaml")):
        assert isinstance(yaml.safe_load(path.read_text(encoding="utf-8")), dict), path


def test_modules_stay_small() -> None:
    sizes = {name: len(path.read_text(encoding="utf-8").splitlines()) for name, path in modules().items()}
    assert {name: lines for name, lines in sizes.items() if lines > 300} == {}


def test_the_lock_names_no_host() -> None:
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert "://" not in lock
    assert "--hash=sha256:" in lock
    assert Path(ROOT / "LICENSE").read_text(encoding="utf-8").count("Apache License") >= 1
