"""Benchmarks are found by name, changed by ``--set``, and stored with how they were produced."""

from __future__ import annotations

import json
import sys
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner
from typer.testing import Result as CliResult

from benchmarks import experiments
from benchmarks.evaluation.conditions import SECTIONS
from benchmarks.experiment_harness.results import ResultRecord
from benchmarks.experiment_harness.workspace import ReportProgress
from pipeline.cli import app
from pipeline.config.fields import Section
from pipeline.errors import ParamsError


class Params(Section):
    size: int = 3
    seeds: tuple[int, ...] = (1,)


class About(ResultRecord):
    b: tuple[int, ...]
    a: bool


class Result(ResultRecord):
    zeal: int
    about: About
    unset: int | None = None


def run(params: Params, work: Path, report_progress: ReportProgress) -> Result:
    report_progress(1, 2, "half of it")
    return Result(zeal=params.size, about=About(b=params.seeds, a=work.is_dir()))


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes this module the only benchmark, with the name ``toy``."""
    names = experiments.plugins.names
    toy_or = {experiments.__name__: ("toy",)}
    monkeypatch.setattr(experiments.plugins, "names", lambda package: toy_or.get(package) or names(package))
    monkeypatch.setattr(experiments, "summary", lambda _: "What a toy costs.")
    monkeypatch.setattr(experiments, "result_name", lambda name: name)
    monkeypatch.setitem(sys.modules, "benchmarks.experiments.toy", sys.modules[__name__])


def gossamer(*arguments: str) -> CliResult:
    return CliRunner().invoke(app, ["benchmark", *arguments])


@pytest.mark.parametrize("name", experiments.benchmark_names())
def test_a_benchmark_has_a_summary_params_with_defaults_and_a_run(name: str) -> None:
    module = experiments.find_benchmark(name)
    assert experiments.summary(name)
    assert issubclass(module.Params, Section)
    assert module.Params() == experiments.read_changes(module.Params, [])
    assert callable(module.run)


def test_without_a_name_all_benchmarks_are_listed_with_their_result_files() -> None:
    result = gossamer()
    assert result.exit_code == 0
    for line, name in zip(result.output.splitlines(), experiments.benchmark_names(), strict=True):
        assert line.split() == [name, f"{experiments.result_name(name)}.json", *experiments.summary(name).split()]


@pytest.mark.parametrize("result", ["embedded", "curation", "exports", "gate", "compare", "presets"])
def test_a_benchmark_is_found_by_its_former_name_which_its_result_file_keeps(result: str, root: Path) -> None:
    module = experiments.find_benchmark(result)
    assert module is experiments.find_benchmark(experiments.canonical_name(result))
    assert experiments.result_name(experiments.canonical_name(result)) == result
    assert (root / "benchmarks" / "results" / f"{result}.json").is_file()


def test_the_error_for_an_unknown_benchmark_lists_all() -> None:
    result = gossamer("nothing")
    assert result.exit_code == 2
    assert "gossamer benchmark: 'nothing'; expected one of bundled_diffusion, " in result.stderr


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("sice=3", "--set sice=3: no such key; expected KEY=VALUE, KEY one of seeds, size"),
        ("size", "--set size: no such key; expected KEY=VALUE"),
        ("size=big", "--set size: 'big'; expected a valid integer"),
        ("seeds=[1", "--set seeds=[1: not YAML"),
    ],
)
def test_a_wrong_change_is_an_error_that_names_it(change: str, expected: str) -> None:
    with pytest.raises(ParamsError) as raised:
        experiments.read_changes(Params, [change])
    assert str(raised.value).startswith(expected)


def test_changes_are_parsed_as_the_types_of_the_params() -> None:
    assert experiments.read_changes(Params, ["size=7", "seeds=[1, 2]"]) == Params(size=7, seeds=(1, 2))


@pytest.mark.usefixtures("toy")
def test_a_result_file_has_figures_command_versions_and_machine_with_sorted_keys(tmp_path: Path) -> None:
    results, work = tmp_path / "results", tmp_path / "work"
    result = gossamer("toy", "--set", "size=7", "--set", "seeds=[1, 2]", str(results), str(work))
    assert result.exit_code == 0, result.output
    text = (results / "toy.json").read_text(encoding="utf-8")
    stored = json.loads(text)
    assert "unset" not in stored
    assert stored["zeal"] == 7
    assert stored["about"] == {"a": True, "b": [1, 2]}
    assert stored["command"] == "gossamer benchmark toy --set size=7 --set 'seeds=[1, 2]'"
    assert stored["params"] == {"size": 7, "seeds": [1, 2]}
    assert date.fromisoformat(stored["date"]) <= datetime.now(tz=UTC).date()
    assert stored["conditions"]["policy"] == "helmet"
    assert set(stored["conditions"]["params"]) == set(SECTIONS)
    assert all((stored["conditions"]["policy_hash"], stored["conditions"]["weights"]))
    assert {"python", "gossamer", "torch", "timm"} <= stored["versions"].keys()
    assert stored["machine"].keys() == {"cpu", "cores", "memory_gib", "system", "architecture"}
    assert text == json.dumps(stored, indent=2, sort_keys=True) + "\n"
    assert (work / "toy").is_dir()
