"""Folders in which an experiment runs Gossamer's commands with its own params, and steps that are not repeated.

A folder has a params.yaml and a link to the checkout's policies, like the checkout itself. A finished step leaves a
mark in FOLDER/STEP.done/ (``pipeline.data.work_cache``). It is skipped as long as its outputs are as it wrote them, and
everything it depends on is unchanged: the params and files that dvc.yaml declares for its stage, the code of the stage,
and the steps before it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from pydantic import ValidationError

from pipeline.config.fields import ROOT, explain
from pipeline.config.params import Params, load_params
from pipeline.config.selfie_params import RENDERED
from pipeline.config.yaml_file import read_yaml
from pipeline.data.hashing import sha256_of
from pipeline.data.records import Record
from pipeline.data.source_closure import TOP_FOLDERS, find_file
from pipeline.data.storage import atomic_write, read_json
from pipeline.data.work_cache import WorkCache, open_work, work_key
from pipeline.errors import DataError, ParamsError
from pipeline.machine import plugins

PARAMS = "params.yaml"
POLICIES = "policies"
Changes = Mapping[str, Mapping[str, object]]
"""Section of params.yaml -> key -> new value."""
ReportProgress = Callable[[int, int, str], None]
"""Shows the progress of an experiment: (finished units, all units, what is being done)."""
_RENDERED_ONLY: Changes = {"selfies": {"photographs": []}, "measure": {"headline": RENDERED}, "gate": {"sets": {}}}
_MARK = "mark.json"
_LOG_LINES = 12


class FinishedStep(Record):
    """The mark of a finished step.

    Attributes:
        key: SHA-256 of everything the step depends on.
        seconds: Duration of its last run.
        outs: SHA-256 of each output, in order.
    """

    key: str
    seconds: float
    outs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """One step of an experiment.

    Attributes:
        name: Unique in the experiment, e.g. ``arm-mix/curate``.
        stage: The stage of dvc.yaml whose params, files and code the step depends on.
        folder: The folder it runs in (``open_folder``), which also gets its mark.
        action: Does the work.
        outs: Files and folders it writes; the step is repeated if one is missing or has changed.
        needs: Names of the steps whose results it uses.
        key: Value of ``${key}`` in dvc.yaml if the stage has ``foreach``: the format of a ``convert`` stage.
        inputs: Further values that the result depends on, such as params of the experiment.
    """

    name: str
    stage: str
    folder: Path
    action: Callable[[], object]
    outs: tuple[Path, ...]
    needs: tuple[str, ...] = ()
    key: str = ""
    inputs: Mapping[str, object] = field(default_factory=dict)

    @property
    def marks(self) -> Path:
        """Work area of the mark."""
        return self.folder / f"{self.name.rpartition('/')[2]}.done"


def derive_params(params: Params, changes: Changes) -> Params:
    """Change some values of params, and make relative paths of generators' and backbones' files absolute.

    The test sets are the rendered selfies alone unless the changes list others.

    Raises:
        ParamsError: A section has no such key, or a value is wrong.
    """
    values = params.model_dump(mode="json")
    for section in dict.fromkeys((*_RENDERED_ONLY, *changes)):
        values[section] = {**values[section], **_RENDERED_ONLY.get(section, {}), **changes.get(section, {})}
    for section in ("generate", "train"):
        values[section] = _absolute_paths(values[section])
    try:
        return Params.model_validate(values)
    except ValidationError as error:
        raise ParamsError(explain(PARAMS, error)) from error


def open_folder(folder: Path, params: Params, policies: Path) -> Path:
    """Make a folder to run commands in, or update its params.yaml; outputs of earlier commands stay."""
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_write(folder / PARAMS) as file:
        file.write(yaml.safe_dump(params.model_dump(mode="json"), sort_keys=False).encode())
    link = folder / POLICIES
    if not link.is_symlink() or link.resolve() != policies.resolve():
        if link.is_symlink():
            link.unlink()
        link.symlink_to(policies.resolve(), target_is_directory=True)
    return folder


def run_gossamer(folder: Path, *arguments: str | Path) -> None:
    """Run a command of Gossamer in a folder; its output goes to FOLDER/COMMAND.log.

    Raises:
        DataError: The command failed; the message has the last lines of its output.
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
        last = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-_LOG_LINES:])
        raise DataError(f"{folder}: gossamer {' '.join(words)} ended with {done.returncode}; see {log}:\n{last}")


def run_steps(steps: Sequence[Step], report_progress: ReportProgress) -> dict[str, FinishedStep]:
    """Run steps in order, except those that are finished; returns the mark of each by name."""
    marks: dict[str, FinishedStep] = {}
    for number, step in enumerate(steps):
        report_progress(number, len(steps), step.name)
        key = step_key(step, [marks[name].key for name in step.needs])
        marks[step.name] = _find_mark(step, key) or _run(step, key)
    report_progress(len(steps), len(steps), "done")
    return marks


def step_key(step: Step, needs: Sequence[str]) -> str:
    """Hash what a step depends on: keys of earlier steps, its stage's params and files as in dvc.yaml, and its code."""
    params = load_params(step.folder / PARAMS)
    values = params.model_dump(mode="json")
    stage = read_yaml(ROOT / "dvc.yaml", DataError)["stages"][step.stage]
    declared = stage.get("do", stage)
    names = [str(name).replace("${key}", step.key) for name in declared.get("params", ())]
    files = [
        path
        for dep in declared["deps"]
        for path in _data_files(step.folder, dep.replace("${key}", step.key).replace("${policy}", params.policy))
    ]
    inputs = {
        "step": step.name,
        "needs": needs,
        "inputs": step.inputs,
        "params": {name: _find_value(values, name) for name in names},
        "files": [[path.name, path] for path in files],
    }
    return work_key(inputs, stage_modules(step.stage, params, step.key))


def stage_modules(stage: str, params: Params, key: str = "") -> list[str]:
    """Name the module of a stage, and of the plug-ins that it finds by name.

    Args:
        stage: A stage of dvc.yaml.
        params: Contents of params.yaml.
        key: The format of a ``convert`` stage.
    """
    candidates = (f"{room}.{name}" for room in TOP_FOLDERS for name in (f"{stage}.stage", stage))
    module = next(name for name in candidates if find_file(name))
    match stage:
        case "generate":
            plug_ins = [f"pipeline.generate.generators.{name}" for name in params.generate.generators]
        case "curate":
            plug_ins = [f"pipeline.curate.verifiers.{params.curate.verifier}"]
        case "convert":
            plug_ins = [f"export.formats.{key}"]
        case "measure" | "gate":
            plug_ins = [f"export.formats.{name}" for name in plugins.names("export.formats")]
        case _:
            plug_ins = []
    return [module, *plug_ins]


def _find_mark(step: Step, key: str) -> FinishedStep | None:
    cache = WorkCache(step.marks / key)
    if not all(path.exists() for path in step.outs) or not cache.has(_MARK):
        return None
    mark = read_json(cache.path(_MARK), FinishedStep)
    if mark.outs == _hash_outs(step):
        return mark
    cache.reject(_MARK, f"an output of {step.name} is not as the step wrote it")
    return None


def _run(step: Step, key: str) -> FinishedStep:
    cache = open_work(step.marks, key)
    cache.remove(_MARK)
    start = time.perf_counter()
    step.action()
    mark = FinishedStep(key=key, seconds=round(time.perf_counter() - start, 2), outs=_hash_outs(step))
    with cache.write(_MARK) as file:
        file.write(mark.model_dump_json().encode())
    return mark


def _hash_outs(step: Step) -> tuple[str, ...]:
    return tuple(sha256_of(path) for path in step.outs)


def _absolute_paths(value: object) -> object:
    if isinstance(value, dict):
        return {key: _absolute_paths(inner) for key, inner in value.items()}
    if isinstance(value, str) and "/" in value and Path(value).exists():
        return str(Path(value).resolve())
    return value


def _find_value(values: object, name: str) -> object:
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
