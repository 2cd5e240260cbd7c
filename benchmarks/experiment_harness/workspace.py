"""A folder in which a benchmark uses Gossamer as its users do: params of its own, the checkout's policies, commands.

Work is a plan of steps. A finished step leaves a mark in FOLDER/STEP.done/ (``pipeline.data.work_cache``) and is not
done again as long as all it depends on is the same: the params that dvc.yaml declares for its stage, the code of the
stage, the policy, and the steps before it.
"""

from __future__ import annotations

import copy
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from pipeline.config.fields import ROOT
from pipeline.data.records import Record
from pipeline.data.source_closure import TOP_FOLDERS, find_file
from pipeline.data.storage import atomic_write, read_json
from pipeline.data.work_cache import WorkCache, open_work, work_key
from pipeline.errors import DataError
from pipeline.machine import plugins

PARAMS = "params.yaml"
POLICIES = "policies"
_MARK = "mark.json"
_TOLD_LINES = 12


class Done(Record):
    """That a step is finished: the key of what it depended on, and how long its last run took."""

    key: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Step:
    """One piece of work.

    Attributes:
        name: Unique in the plan, e.g. ``mix/curate``.
        stage: The stage of dvc.yaml whose params and code the outcome depends on.
        folder: Holds params.yaml and policies/ (``open_folder``), and afterwards the mark of having finished.
        act: Does the work.
        outs: What it leaves; a step with a missing one is done again.
        before: Names of the steps whose outcome goes into this one.
        key: Value of ``${key}`` in dvc.yaml if the stage has ``foreach``: the format of a ``convert`` stage.
    """

    name: str
    stage: str
    folder: Path
    act: Callable[[], object]
    outs: tuple[Path, ...]
    before: tuple[str, ...] = ()
    key: str = ""

    @property
    def marks(self) -> Path:
        """Work area of the mark that the step is finished."""
        return self.folder / f"{self.name.rpartition('/')[2]}.done"


def derive(values: Mapping[str, Any], changes: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Params with other values in some sections; relative paths of models lead to the checkout they are relative to."""
    derived = copy.deepcopy(dict(values))
    for section, changed in changes.items():
        derived[section] = {**derived[section], **changed}
    return {name: _anchored(value) if name in ("generate", "train") else value for name, value in derived.items()}


def open_folder(folder: Path, values: Mapping[str, Any], policies: Path) -> Path:
    """Make a folder that ``gossamer`` can be run in; params.yaml is written anew, what stages made stays."""
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_write(folder / PARAMS) as file:
        file.write(yaml.safe_dump(dict(values), sort_keys=False).encode())
    link = folder / POLICIES
    if not link.is_symlink() or link.resolve() != policies.resolve():
        link.unlink(missing_ok=True)
        link.symlink_to(policies.resolve(), target_is_directory=True)
    return folder


def gossamer(folder: Path, *arguments: str | Path) -> None:
    """Run a command of Gossamer in a folder; what it prints goes to FOLDER/COMMAND.log.

    Raises:
        DataError: It failed; the last it printed is told.
    """
    words = [str(argument) for argument in arguments]
    log = folder / f"{words[0]}.log"
    with log.open("wb") as file:
        done = subprocess.run(
            [sys.executable, "-m", "pipeline.cli", *words],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            check=False,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    if done.returncode:
        last = log.read_text(encoding="utf-8", errors="replace").splitlines()[-_TOLD_LINES:]
        told = "\n".join(last)
        raise DataError(f"{folder}: gossamer {' '.join(words)} ended with {done.returncode}; see {log}:\n{told}")


def carry_out(plan: Sequence[Step], tell: Callable[[int, int, str], None]) -> dict[str, Done]:
    """Do the steps in order, those apart that are finished; returns each step's mark by name."""
    marks: dict[str, Done] = {}
    for number, step in enumerate(plan):
        tell(number, len(plan), step.name)
        key = step_key(step, [marks[name].key for name in step.before])
        marks[step.name] = _finished(step, key) or _do(step, key)
    tell(len(plan), len(plan), "done")
    return marks


def step_key(step: Step, before: Sequence[str]) -> str:
    """Hash what a step depends on: earlier steps, its stage's params and files as dvc.yaml names them, and its code."""
    values = yaml.safe_load((step.folder / PARAMS).read_text(encoding="utf-8"))
    stage = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"][step.stage]
    declared = stage.get("do", stage)
    names = [str(name).replace("${key}", step.key) for name in declared.get("params", ())]
    params = {name: _look_up(values, name) for name in names}
    files = [
        path
        for dep in declared["deps"]
        for path in _data_files(step.folder, dep.replace("${key}", step.key).replace("${policy}", values["policy"]))
    ]
    inputs = {"step": step.name, "before": before, "params": params, "files": [[path.name, path] for path in files]}
    return work_key(inputs, stage_modules(step.stage, values, step.key))


def stage_modules(stage: str, values: Mapping[str, Any], key: str = "") -> list[str]:
    """Name the module of a stage, and of the plug-ins that it finds by name.

    Args:
        stage: A stage of dvc.yaml.
        values: Contents of params.yaml.
        key: The format of a ``convert`` stage.
    """
    places = (f"{room}.{name}" for room in TOP_FOLDERS for name in (f"{stage}.stage", stage))
    module = next(place for place in places if find_file(place))
    match stage:
        case "generate":
            found = [f"pipeline.generate.generators.{values['generate']['generator']}"]
        case "curate":
            found = [f"pipeline.curate.verifiers.{values['curate']['verifier']}"]
        case "convert":
            found = [f"export.formats.{key}"]
        case "measure" | "gate":
            found = [f"export.formats.{name}" for name in plugins.names("export.formats")]
        case _:
            found = []
    return [module, *found]


def _finished(step: Step, key: str) -> Done | None:
    cache = WorkCache(step.marks / key)
    if not cache.has(_MARK) or not all(path.exists() for path in step.outs):
        return None
    return read_json(cache.path(_MARK), Done)


def _do(step: Step, key: str) -> Done:
    cache = open_work(step.marks, key)
    cache.remove(_MARK)
    start = time.perf_counter()
    step.act()
    done = Done(key=key, seconds=round(time.perf_counter() - start, 2))
    with cache.write(_MARK) as file:
        file.write(done.model_dump_json().encode())
    return done


def _anchored(value: Any) -> Any:  # noqa: ANN401 - any YAML value
    if isinstance(value, dict):
        return {key: _anchored(inner) for key, inner in value.items()}
    if isinstance(value, str) and "/" in value and Path(value).exists():
        return str(Path(value).resolve())
    return value


def _look_up(values: Any, name: str) -> Any:  # noqa: ANN401 - any YAML value
    for part in name.split("."):
        values = values.get(part) if isinstance(values, dict) else None
    return values


def _data_files(folder: Path, dep: str) -> list[Path]:
    """List policies and weights of a dependency; code is hashed by module, other outputs by their stages' keys."""
    top = dep.partition("/")[0]
    if top not in (POLICIES, *TOP_FOLDERS):
        return []
    path = (folder if top == POLICIES else ROOT) / dep
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    return [file for file in files if file.is_file() and file.suffix not in (".py", ".pyc")]
