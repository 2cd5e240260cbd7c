"""Enforces docs/architecture.md: who may import whom, how large things may grow, and that DVC sees every import."""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from typer.main import get_command

from pipeline.cli import app
from pipeline.config.params import Params
from tests import house
from tests.house import CLI, PLUG_INS, ROOT, STAGES, TOP_FOLDERS, covered, dvc_stages, imports, modules, within

FOUNDATION = ("pipeline.errors", "pipeline.config", "pipeline.data", "pipeline.machine")
TOOLS = (
    "pipeline.metrics",
    "pipeline.renderer",
    "pipeline.prompts.prompt_sampler",
    "pipeline.generate.diffusion",
    "pipeline.generate.generated_image",
    "pipeline.bundled_diffusion",
    "pipeline.train.backbone",
    "pipeline.train.branch_fusion",
    "pipeline.train.complexity",
    "pipeline.train.feature_classifier",
    "pipeline.train.model",
    "pipeline.train.package_weights",
)
EXPORT_TOOLS = ("export.formats", "export.parity", "export.toolkit_output")
EXPERIMENTS = ("benchmarks.experiments", "benchmarks.experiment_harness")
PLUG_IN_FOLDERS = (*sorted(set(PLUG_INS.values())), "benchmarks.experiments")
STAGE_MODULES = {house.stage_module(stage) for stage in STAGES}

MAX_ROOMS = 16
BUDGETS = {"pipeline": (16, 60), "export": (11, 24), "benchmarks": (12, 20)}
"""Top-level folder -> most files and folders directly inside it, and most import arrows between them."""
MAX_MODULE_LINES = 400
MAX_FUNCTION_LINES = 60


def within_any(name: str, packages: tuple[str, ...]) -> bool:
    return any(within(name, package) for package in packages)


def foreign_imports(name: str, *allowed: str) -> list[str]:
    """Modules that a module imports though they lie in none of the allowed packages."""
    return sorted(other for other in imports(name) if not within_any(other, allowed))


def test_the_foundation_imports_only_itself() -> None:
    for name in modules():
        if within_any(name, FOUNDATION):
            assert foreign_imports(name, *FOUNDATION) == [], name


def test_tools_import_only_the_foundation_and_tools() -> None:
    for name in modules():
        if within_any(name, TOOLS):
            assert foreign_imports(name, *FOUNDATION, *TOOLS) == [], name


def test_a_stage_imports_only_the_foundation_tools_and_its_own_folder() -> None:
    for name in modules().keys() - CLI:
        if name.startswith("pipeline."):
            own = ".".join(name.split(".")[:2])
            assert foreign_imports(name, *FOUNDATION, *TOOLS, own) == [], name


def test_only_the_cli_imports_stages() -> None:
    for name in modules().keys() - CLI:
        assert not imports(name) & STAGE_MODULES, name


def test_nothing_imports_the_cli() -> None:
    assert [name for name in modules().keys() - CLI if imports(name) & CLI] == []
    assert "pipeline.cli" not in imports("pipeline.cli_commands") | imports("pipeline.cli_errors")


def test_export_never_imports_benchmarks_and_pipeline_imports_neither() -> None:
    for name in modules().keys() - CLI:
        used = {other.partition(".")[0] for other in imports(name)}
        allowed = TOP_FOLDERS[: TOP_FOLDERS.index(name.partition(".")[0]) + 1]
        assert used <= set(allowed), name


def test_export_and_benchmarks_import_only_the_foundation_tools_and_formats() -> None:
    for name in modules():
        top = name.partition(".")[0]
        if top != "pipeline" and not within_any(name, EXPERIMENTS):
            assert foreign_imports(name, *FOUNDATION, *TOOLS, *EXPORT_TOOLS, top) == [], name


def test_the_product_never_imports_experiments() -> None:
    for name in modules().keys() - CLI:
        if not within_any(name, EXPERIMENTS):
            assert [other for other in imports(name) if within_any(other, EXPERIMENTS)] == [], name


@pytest.mark.parametrize("folder", PLUG_IN_FOLDERS)
def test_plug_ins_never_import_each_other(folder: str) -> None:
    assert {room: others for room, others in house.room_imports(folder.replace(".", "/")).items() if others} == {}


def test_modules_do_not_import_each_other_in_a_circle() -> None:
    assert house.circles({name: set(imports(name)) for name in modules()}) == set()


@pytest.mark.parametrize("folder", house.folders())
def test_files_and_folders_do_not_import_each_other_in_a_circle(folder: str) -> None:
    assert house.circles(house.room_imports(folder)) == set()


@pytest.mark.parametrize("folder", TOP_FOLDERS)
def test_a_top_level_folder_keeps_its_budget_of_rooms_and_arrows(folder: str) -> None:
    most_rooms, most_arrows = BUDGETS[folder]
    arrows = house.room_imports(folder)
    assert len(house.rooms(folder)) <= most_rooms, house.rooms(folder)
    assert sum(map(len, arrows.values())) <= most_arrows, arrows


def test_a_folder_holds_few_files_and_folders() -> None:
    rooms = {folder: len(house.rooms(folder)) for folder in house.folders()}
    assert {folder: n for folder, n in rooms.items() if n > MAX_ROOMS} == {}


def test_tests_mirror_the_folders_of_the_product() -> None:
    files = [path.relative_to(ROOT / "tests").as_posix() for path in (ROOT / "tests").rglob("test_*.py")]
    untested = [folder for folder in house.folders() if not any(file.startswith(f"{folder}/") for file in files)]
    assert untested == []
    assert sorted({file.rpartition("/")[0] for file in files} - {"", *house.folders()}) == [], "folders that are gone"


def test_the_architecture_page_names_every_folder_and_file() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    _, *parts = re.split(r"^### `(.+)/`$", page, flags=re.MULTILINE)
    named = {
        folder: set(re.findall(r"`([a-z]\w*\.py)`", text)) for folder, text in zip(parts[::2], parts[1::2], strict=True)
    }
    present = {folder: {path.name for path in (ROOT / folder).glob("[a-z]*.py")} for folder in house.folders()}
    differing = {folder: named.get(folder, set()) ^ present.get(folder, set()) for folder in named | present}
    assert {folder: files for folder, files in differing.items() if files} == {}, "named but gone, or not named"


def test_a_stage_is_one_word_in_five_places() -> None:
    commands = get_command(app).commands  # type: ignore[attr-defined]
    for stage in STAGES:
        assert stage in dvc_stages(), "a DVC stage"
        assert stage in commands, "a command"
        assert house.stage_module(stage) in modules(), "a module"
        assert stage in Params.model_fields, "a section of params.yaml"
        folder, _, module = house.stage_module(stage).replace(".", "/").rpartition("/")
        assert (ROOT / "tests" / folder / f"test_{module}.py").is_file(), "a test file"
    assert list(dvc_stages()) == [house.FINGERPRINT, *STAGES]


def deps(stage: str) -> list[str]:
    """The dependencies of a stage as written; a dependency on one format stands for each format."""
    formats = list(house.room_imports("export/formats"))
    return [dep.replace("${key}", name) for dep in dvc_stages()[stage]["deps"] for name in formats]


@pytest.mark.parametrize("stage", list(STAGES))
def test_dvc_sees_all_code_that_a_stage_runs(stage: str) -> None:
    missing = sorted(path for path in house.code_needed(stage) if not covered(path, deps(stage)))
    assert missing == [], "run: python -m tests.house --write"


@pytest.mark.parametrize("stage", list(STAGES))
def test_dvc_sees_no_code_that_a_stage_does_not_run(stage: str) -> None:
    assert sorted({dep for dep in deps(stage) if dep.endswith(".py")} - house.code_needed(stage)) == []


def test_the_code_that_dvc_yaml_lists_is_up_to_date() -> None:
    text = (ROOT / "dvc.yaml").read_text(encoding="utf-8")
    assert house.with_code_deps(text) == text, "run: python -m tests.house --write"


def test_code_dependencies_are_replaced_and_all_other_lines_of_dvc_yaml_stay() -> None:
    text = (ROOT / "dvc.yaml").read_text(encoding="utf-8")
    stale = text.replace("    - pipeline/split.py\n", "    - pipeline/moved_away.py\n    - pipeline/cli.py\n")
    assert stale != text
    assert house.with_code_deps(stale) == text


def test_the_report_depends_on_its_templates() -> None:
    assert covered("benchmarks/report/templates/report.html.j2", deps("report"))


def test_every_stage_reads_its_section_of_params() -> None:
    for stage in STAGES:
        names = {str(entry).partition(".")[0] for entry in dvc_stages()[stage].get("params", [])}
        assert stage in names, stage


def test_params_and_policies_are_plain_yaml() -> None:
    for path in itertools.chain([ROOT / "params.yaml", ROOT / "dvc.yaml"], (ROOT / "policies").glob("*.yaml")):
        assert isinstance(yaml.safe_load(path.read_text(encoding="utf-8")), dict), path


def test_modules_and_functions_stay_small() -> None:
    for name, path in modules().items():
        text = path.read_text(encoding="utf-8")
        assert text.count("\n") <= MAX_MODULE_LINES, name
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert (node.end_lineno or 0) - node.lineno < MAX_FUNCTION_LINES, f"{name}.{node.name}"


def public(tree: ast.Module | ast.ClassDef) -> Iterator[ast.ClassDef | ast.FunctionDef]:
    """Public functions and classes of a module, and the public methods of these classes, properties apart."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_"):
            if not any(ast.unparse(decorator) == "property" for decorator in node.decorator_list):
                yield node
            if isinstance(node, ast.ClassDef):
                yield from public(node)


def test_everything_public_has_a_docstring() -> None:
    for name, path in modules().items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        assert ast.get_docstring(tree), name
        assert [node.name for node in public(tree) if not ast.get_docstring(node)] == [], name


def test_the_lock_names_no_host() -> None:
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert "://" not in lock
    assert "--hash=sha256:" in lock
    assert Path(ROOT / "LICENSE").read_text(encoding="utf-8").count("Apache License") >= 1
