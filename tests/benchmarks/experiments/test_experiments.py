"""Benchmarks: found by file name, changed by ``--set``, written with how the figures came about."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from benchmarks import experiments
from benchmarks.experiment_harness.environment import _cpu, machine, versions
from pipeline.cli import app
from pipeline.config.fields import Section
from pipeline.errors import ParamsError


class Params(Section):
    size: int = 3
    seeds: tuple[int, ...] = (1,)


def run(params: Params, workspace: Path, tell: Callable[[int, int, str], None]) -> dict[str, Any]:
    tell(1, 2, "half of it")
    return {"zeal": params.size, "about": {"b": list(params.seeds), "a": workspace.is_dir()}}


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A benchmark named ``toy``: this module."""
    monkeypatch.setattr(experiments.plugins, "names", lambda _: ("toy",))
    monkeypatch.setattr(experiments, "summary", lambda _: "What a toy costs.")
    monkeypatch.setattr(experiments, "result_name", lambda name: name)
    monkeypatch.setitem(sys.modules, "benchmarks.experiments.toy", sys.modules[__name__])


def gossamer(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["benchmark", *arguments])


@pytest.mark.parametrize("name", experiments.benchmark_names())
def test_a_benchmark_has_a_summary_params_with_defaults_and_a_run(name: str) -> None:
    module: ModuleType = experiments.find_benchmark(name)
    assert experiments.summary(name)
    assert issubclass(module.Params, Section)
    assert module.Params() == experiments.read_changes(module.Params, [])
    assert callable(module.run)


def test_without_a_name_all_benchmarks_are_listed() -> None:
    result = gossamer()
    assert result.exit_code == 0
    for line, name in zip(result.output.splitlines(), experiments.benchmark_names(), strict=True):
        assert line.split() == [name, *experiments.summary(name).split()]


@pytest.mark.parametrize("result", ["embedded", "curation", "exports", "gate", "compare", "presets"])
def test_a_benchmark_is_found_by_the_name_of_its_result_file(result: str, root: Path) -> None:
    module = experiments.find_benchmark(result)
    assert getattr(module, "RESULT", module.__name__.rpartition(".")[2]) == result
    assert (root / "benchmarks" / "results" / f"{result}.json").is_file()


def test_an_unknown_benchmark_names_those_there_are() -> None:
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
def test_a_wrong_change_is_told(change: str, expected: str) -> None:
    with pytest.raises(ParamsError) as raised:
        experiments.read_changes(Params, [change])
    assert str(raised.value).startswith(expected)


def test_changes_have_the_types_of_the_params() -> None:
    assert experiments.read_changes(Params, ["size=7", "seeds=[1, 2]"]) == Params(size=7, seeds=(1, 2))


@pytest.mark.usefixtures("toy")
def test_results_hold_figures_command_versions_and_machine_in_order(tmp_path: Path) -> None:
    results, work = tmp_path / "results", tmp_path / "work"
    result = gossamer("toy", "--set", "size=7", "--set", "seeds=[1, 2]", str(results), str(work))
    assert result.exit_code == 0, result.output
    text = (results / "toy.json").read_text(encoding="utf-8")
    found = json.loads(text)
    assert found["zeal"] == 7
    assert found["about"] == {"a": True, "b": [1, 2]}
    assert found["command"] == "gossamer benchmark toy --set size=7 --set 'seeds=[1, 2]'"
    assert found["params"] == {"size": 7, "seeds": [1, 2]}
    assert {"python", "gossamer", "torch", "timm"} <= found["versions"].keys()
    assert found["machine"].keys() == {"cpu", "cores", "memory_gib", "system", "architecture"}
    assert text == json.dumps(found, indent=2, sort_keys=True) + "\n"
    assert (work / "toy").is_dir()


def test_the_machine_is_told_by_name() -> None:
    assert _cpu("processor\t: 0\nmodel name\t: A Fine CPU @ 2 GHz\nmodel name\t: A Fine CPU @ 2 GHz\n") == (
        "A Fine CPU @ 2 GHz"
    )
    assert _cpu("processor : 0\n")
    told = machine()
    assert int(told["cores"]) >= 1
    assert float(told["memory_gib"]) > 0


def test_versions_leave_out_what_only_developers_install() -> None:
    assert {"pytest", "ruff"}.isdisjoint(versions())
