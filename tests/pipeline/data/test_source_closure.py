"""Source files a module depends on, and their hash without comments and docstrings."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pipeline.data.source_closure import TOP_FOLDERS, VALIDATION, hash_code, import_closure
from tests.house import closure

ENTRIES = {
    "pipeline.generate.shard_job": "pipeline.generate.generators.stable_diffusion",
    "pipeline.train.stage": "pipeline.train.trainer",
    "pipeline.curate.feature_cache": "pipeline.curate.image_quality",
    "benchmarks.latency.side_by_side": "benchmarks.latency.isolated_process",
}


@pytest.fixture
def tree(root: Path, tmp_path: Path) -> Path:
    """A copy of the product's code, to edit."""
    for folder in TOP_FOLDERS:
        ignore = shutil.ignore_patterns("weights", "results", "baseline", "__pycache__")
        shutil.copytree(root / folder, tmp_path / folder, ignore=ignore)
    return tmp_path


def write(tree: Path, name: str, text: str) -> None:
    path = tree / f"{name.replace('.', '/')}.py"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def test_imports_inside_functions_and_packages_are_followed(tmp_path: Path) -> None:
    write(tmp_path, "pipeline.one", "import numpy\nfrom pipeline.two import Thing\n")
    write(tmp_path, "pipeline.two", "def late():\n    from export import three\n    return three\n")
    write(tmp_path, "export.three", "from pipeline.room.four import CONSTANT\nimport pipeline.one\n")
    write(tmp_path, "pipeline.room.four", "CONSTANT = 4\n")
    write(tmp_path, "pipeline.room.__init__", "from pipeline.five import other\n")
    write(tmp_path, "pipeline.five", "other = 5\n")
    write(tmp_path, "pipeline.unused", "")
    expected = ["export.three", "pipeline.five", "pipeline.one", "pipeline.room", "pipeline.room.four", "pipeline.two"]
    assert list(import_closure(["pipeline.one"], tmp_path)) == expected


def test_skipped_modules_exclude_what_only_they_import(tmp_path: Path) -> None:
    write(tmp_path, "pipeline.one", "import pipeline.two\n")
    write(tmp_path, "pipeline.two", "import pipeline.three\n")
    write(tmp_path, "pipeline.three", "")
    assert list(import_closure(["pipeline.one"], tmp_path, skipped={"pipeline.two"})) == ["pipeline.one"]


def test_an_unknown_module_is_an_error_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(ModuleNotFoundError, match=r"pipeline\.gone: no such module below"):
        import_closure(["pipeline.gone"], tmp_path)


@pytest.mark.parametrize("entry", list(ENTRIES))
def test_the_closure_equals_the_one_that_dvc_yaml_is_checked_with(entry: str) -> None:
    assert set(import_closure([entry], skipped=())) == closure(entry)


@pytest.mark.parametrize(("entry", "needed"), ENTRIES.items())
def test_an_edit_of_the_cli_keeps_the_hash_and_an_edit_of_the_closure_changes_it(
    tree: Path, entry: str, needed: str
) -> None:
    def hashed() -> str:
        return hash_code(import_closure([entry, needed], tree).values())

    def edit(name: str, line: str) -> None:
        path = tree / f"{name.replace('.', '/')}.py"
        path.write_text(f"{path.read_text(encoding='utf-8')}\n{line}\n", encoding="utf-8")

    before = hashed()
    for name in ("pipeline.cli", "pipeline.cli_commands", "pipeline.machine.doctor", *VALIDATION):
        edit(name, "EDITED = True")
    assert hashed() == before
    edit(needed, "# only a comment")
    assert hashed() == before
    edit(needed, "EDITED = True")
    assert hashed() != before


def test_comments_docstrings_and_layout_do_not_change_the_hash_and_code_does(tmp_path: Path) -> None:
    def hashed(text: str) -> str:
        path = tmp_path / "module.py"
        path.write_text(text, encoding="utf-8")
        return hash_code([path])

    plain = hashed("LIMIT = 3\n\ndef double(x):\n    return 2 * x\n")
    prose = '"""Text."""\nLIMIT = 3  # why\n"""Text."""\n\n\ndef double(x):\n    """Doc."""\n    return (2 * x)\n'
    assert hashed(prose) == plain
    assert hashed("LIMIT = 4\n\ndef double(x):\n    return 2 * x\n") != plain
    assert hashed("LIMIT = 3\n\ndef double(x):\n    return x * 2\n") != plain
    assert hashed("LIMIT = 3\n\ndef double(x):\n    'text'\n    return 2 * x\n") == plain
