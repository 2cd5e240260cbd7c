"""Benchmarks of Gossamer itself, one file or folder each; the name of the file or folder is the benchmark's name.

A benchmark is a module with a docstring, whose first line states what it measures, and these names:

    Params      a frozen pydantic model with defaults: what ``--set KEY=VALUE`` may change
    run         (Params, work area, ReportProgress) -> ResultRecord; an interrupted run resumes from the work area
    RESULT      optional: former name of the benchmark, which `gossamer benchmark` accepts and its result file keeps
    POLICY      optional: the policy it always uses; else that of params.yaml

Writes RESULTS/NAME.json: the result with the date, command, params, conditions, versions and machine that produced it.
Benchmarks may import the product; the product never imports benchmarks.
"""

from __future__ import annotations

import ast
import shlex
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol, cast

from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from benchmarks.evaluation.conditions import Conditions, read_conditions
from benchmarks.experiment_harness.environment import machine, versions
from benchmarks.experiment_harness.results import Provenance, ResultRecord
from benchmarks.experiment_harness.workspace import PARAMS, POLICIES, ReportProgress
from pipeline.config.fields import Section, explain
from pipeline.config.params import load_params
from pipeline.config.policy import load_policy
from pipeline.config.yaml_file import YamlError, parse_yaml
from pipeline.data.storage import write_json
from pipeline.errors import ParamsError, cut
from pipeline.machine import plugins


class Benchmark(Protocol):
    """What the module of a benchmark defines."""

    Params: type[Section]

    def run(self, params: Section, work: Path, report_progress: ReportProgress) -> ResultRecord:
        """Run the benchmark; ``work`` is an absolute path."""


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
    """One line per benchmark: its name, its result file and its summary."""
    rows = [(name, f"{result_name(name)}.json", summary(name)) for name in benchmark_names()]
    widths = [max(map(len, column), default=0) for column in list(zip(*rows, strict=True))[:2]]
    return "\n".join("  ".join((*map(str.ljust, row[:2], widths), row[2])) for row in rows)


def canonical_name(name: str) -> str:
    """Name of the benchmark whose former name this is; other names are returned unchanged."""
    return {result_name(known): known for known in benchmark_names()}.get(name, name)


def find_benchmark(name: str) -> Benchmark:
    """Import the module of a benchmark, by its name or its former name.

    Raises:
        ParamsError: There is no such benchmark; the message lists those that exist.
    """
    return cast("Benchmark", plugins.find(__name__, canonical_name(name), "gossamer benchmark"))


def read_changes(kind: type[Section], changes: Sequence[str]) -> Section:
    """Parse ``KEY=VALUE`` texts as a benchmark's Params; values are YAML, e.g. ``seeds=[11, 12]``.

    Raises:
        ParamsError: A text has another form, its key is unknown, or its value is wrong.
    """
    values: dict[str, object] = {}
    keys = sorted(kind.model_fields)
    for change in changes:
        key, equals, value = change.partition("=")
        if not equals or key not in {*keys, *kind.RENAMED}:
            known = plugins.expected(tuple(keys), key).removeprefix("expected ")
            raise ParamsError(f"--set {cut(change)}: no such key; expected KEY=VALUE, KEY {known}")
        try:
            values[key] = parse_yaml(value)
        except YamlError as error:
            reason = str(error).partition(": ")[2]  # without the line
            raise ParamsError(f"--set {cut(change)}: {reason}; expected KEY=VALUE, VALUE in YAML") from error
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise ParamsError(explain("--set", error)) from error


def run_benchmark(name: str, changes: Sequence[str], results: Path, work: Path) -> Path:
    """Run a benchmark in WORK/NAME and write its result file; returns the file.

    Raises:
        ParamsError: There is no such benchmark, or a change is wrong.
    """
    module, name = find_benchmark(name), canonical_name(name)
    params = read_changes(module.Params, changes)
    folder = work / name
    folder.mkdir(parents=True, exist_ok=True)
    conditions = read_checkout(getattr(module, "POLICY", None))
    with _progress_bar() as progress:
        task = progress.add_task(name, total=None)

        def report_progress(done: int, total: int, activity: str) -> None:
            progress.update(task, completed=done, total=total, description=activity)

        result = module.run(params, folder.resolve(), report_progress)
    path = results / f"{result_name(name)}.json"
    records = result, provenance(name, params, changes, conditions)
    write_json(path, sort_keys({key: value for record in records for key, value in _dump(record).items()}))
    return path


def provenance(name: str, params: Section, changes: Sequence[str], conditions: Conditions | None) -> Provenance:
    """How a result is produced on this machine, today."""
    settings = [part for change in changes for part in ("--set", change)]
    return Provenance(
        date=datetime.now(tz=UTC).date().isoformat(),
        conditions=conditions,
        command=shlex.join(["gossamer", "benchmark", name, *settings]),
        params=params.model_dump(mode="json"),
        versions=versions(),
        machine=machine(),
    )


def read_checkout(policy: str | None = None) -> Conditions | None:
    """Read policy, params and weights of the checkout; None where the current folder has no params.yaml.

    Args:
        policy: Name of the policy that replaces the one of params.yaml.

    Raises:
        GossamerError: params.yaml or the policy is wrong.
    """
    if not Path(PARAMS).is_file():
        return None
    params = load_params(Path(PARAMS))
    return read_conditions(params, load_policy(Path(POLICIES) / f"{policy or params.policy}.yaml"))


def sort_keys(values: Mapping[str, object]) -> dict[str, object]:
    """Sort keys, also of nested mappings, so that equal results give equal files."""
    return {
        key: sort_keys(value) if isinstance(value, Mapping) else value
        for key, value in sorted(values.items(), key=lambda item: item[0])
    }


def _dump(record: ResultRecord) -> dict[str, object]:
    return record.model_dump(mode="json", exclude_unset=True)


def _progress_bar() -> Progress:
    columns = (
        SpinnerColumn(),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
    )
    return Progress(*columns, console=Console(stderr=True))
