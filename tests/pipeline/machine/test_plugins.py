"""Plug-ins: modules and packages found by name; one error wording for unknown names."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pipeline.errors import ParamsError
from pipeline.machine.plugins import expected, find, names


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An importable package whose own file must not be imported, with two plug-ins."""
    folder = tmp_path / "toy_shop" / "toys"
    (folder / "train").mkdir(parents=True)
    (folder / "empty").mkdir()
    (tmp_path / "toy_shop" / "__init__.py").touch()
    (folder / "__init__.py").write_text("OPENED = True\n", encoding="utf-8")
    (folder / "ball.py").write_text("COLOUR = 'red'\n", encoding="utf-8")
    (folder / "train" / "__init__.py").write_text("WAGONS = 3\n", encoding="utf-8")
    (folder / "_shared.py").touch()
    (folder / "notes.txt").touch()
    monkeypatch.syspath_prepend(tmp_path)
    return "toy_shop.toys"


def test_modules_and_packages_are_plug_ins_and_other_files_are_not(package: str) -> None:
    assert names(package) == ("ball", "train")
    assert package not in sys.modules


def test_a_plug_in_is_imported_by_its_name(package: str) -> None:
    assert find(package, "ball", "params.yaml toys").COLOUR == "red"
    assert find(package, "train", "params.yaml toys").WAGONS == 3


@pytest.mark.parametrize("name", ["bell", "_shared", "empty", "../ball", ""])
def test_an_unknown_plug_in_is_an_error_with_its_place_and_all_names(package: str, name: str) -> None:
    with pytest.raises(ParamsError, match=r"^params\.yaml toys: '.*'; expected one of ball, train"):
        find(package, name, "params.yaml toys")


def test_a_misspelt_name_gets_a_suggestion() -> None:
    known = ("rendered", "stable_diffusion")
    assert expected(known, "stable-difusion").endswith("; did you mean 'stable_diffusion'?")
    assert expected(known, "dalle") == "expected one of rendered, stable_diffusion"


@pytest.mark.parametrize(
    "package", ["pipeline.generate.generators", "pipeline.curate.verifiers", "export.formats", "benchmarks.experiments"]
)
def test_every_kind_of_plug_in_is_found(package: str) -> None:
    assert len(names(package)) >= 2


def test_a_package_that_does_not_exist_has_no_plug_ins() -> None:
    assert names("pipeline.nothing") == ()
