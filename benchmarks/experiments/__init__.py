"""Experiments about Gossamer itself. One file or folder each; its name is the benchmark's name; there is no registry.

An experiment is a module that has, after a docstring whose first line states what it measures:

    Params      a frozen pydantic model with defaults: what ``--set key=value`` may change
    run(...)    measures: (Params, work area, Tell) -> figures; a stopped run resumes from the work area
    RESULT      optional: the stem of the result file where it is not the module's name; `gossamer benchmark` takes both

Writes RESULTS/NAME.json: the figures, and beside them the command, its params, the versions and the machine.
Experiments may import the product; the product never imports experiments.
"""

from __future__ import annotations

import ast
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml
from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from benchmarks.experiment_harness.environment import machine, versions
from pipeline.config.fields import Section, explain
from pipeline.data.storage import write_json
from pipeline.errors import ParamsError
from pipeline.machine import plugins

Tell = Callable[[int, int, str], None]
"""Says how far a benchmark is: (done, total, what it does now)."""


def benchmark_names() -> tuple[str, ...]:
    """Names of all benchmarks: the folders and files of this package."""
    return plugins.names(__name__)


def summary(name: str) -> str:
    """First line of a benchmark's docstring; the file is parsed, not imported."""
    return (ast.get_docstring(_parse(name)) or "").partition("\n")[0]


def result_name(name: str) -> str:
    """Stem of a benchmark's result file: its ``RESULT`` constant, else its name; the file is parsed, not imported."""
    for node in _parse(name).body:
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ["RESULT"]:
            return str(ast.literal_eval(node.value))
    return name


def _parse(name: str) -> ast.Module:
    package = Path(__file__).parent / name
    path = package / "__init__.py" if package.is_dir() else package.with_suffix(".py")
    return ast.parse(path.read_text(encoding="utf-8"))


def listing() -> str:
    """Every benchmark with what it measures, a line each."""
    names = benchmark_names()
    width = max(map(len, names), default=0)
    return "\n".join(f"{name:{width}}  {summary(name)}" for name in names)


def find_benchmark(name: str) -> ModuleType:
    """Import a benchmark's module, by its name or the name of its result file.

    Raises:
        ParamsError: There is no such benchmark; the message lists those that exist.
    """
    name = {result_name(known): known for known in benchmark_names()}.get(name, name)
    return plugins.find(__name__, name, "gossamer benchmark")


def read_changes(kind: type[Section], changes: Sequence[str]) -> Section:
    """Turn ``key=value`` texts into a benchmark's Params; values are YAML, e.g. ``seeds=[11, 12]``.

    Raises:
        ParamsError: A text is not of that form, its key is unknown, or its value is wrong.
    """
    values: dict[str, Any] = {}
    keys = sorted(kind.model_fields)
    for change in changes:
        key, equals, value = change.partition("=")
        if not equals or key not in {*keys, *kind.RENAMED}:
            raise ParamsError(f"--set {change}: no such key; expected KEY=VALUE, KEY one of {', '.join(keys)}")
        try:
            values[key] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise ParamsError(f"--set {change}: not YAML: {error}") from error
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise ParamsError(explain("--set", error)) from error


def measure(name: str, changes: Sequence[str], results: Path, work: Path) -> Path:
    """Run a benchmark and write its figures; returns the file.

    Raises:
        ParamsError: No such benchmark, or a change that it does not know.
    """
    module = find_benchmark(name)
    params = read_changes(module.Params, changes)
    work.mkdir(parents=True, exist_ok=True)
    with _progress() as progress:
        task = progress.add_task(name, total=None)

        def tell(done: int, total: int, what: str) -> None:
            progress.update(task, completed=done, total=total, description=what)

        figures = module.run(params, work.resolve(), tell)
    path = results / f"{getattr(module, 'RESULT', name)}.json"
    write_json(path, in_order({**figures, **provenance(name, params, changes)}))
    return path


def provenance(name: str, params: Section, changes: Sequence[str]) -> dict[str, Any]:
    """How figures came about: command, params, versions and machine."""
    settings = [part for change in changes for part in ("--set", change)]
    return {
        "command": shlex.join(["gossamer", "benchmark", name, *settings]),
        "params": params.model_dump(mode="json"),
        "versions": versions(),
        "machine": machine(),
    }


def in_order(figures: Mapping[str, Any]) -> dict[str, Any]:
    """Figures with their keys sorted, nested ones too: equal figures give equal files."""
    return {
        str(key): in_order(value) if isinstance(value, Mapping) else value
        for key, value in sorted(figures.items(), key=lambda item: str(item[0]))
    }


def _progress() -> Progress:
    columns = (
        SpinnerColumn(),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
    )
    return Progress(*columns, console=Console(stderr=True))
