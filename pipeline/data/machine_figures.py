"""Figures that belong to the machine: seconds, images per second, latencies and memory, apart from the results.

Reads and writes metrics/machine.json, one section per stage. Git ignores the file and no DVC stage declares it, so a
run on another machine changes no tracked file whose result is the same (HOUSE.md, DVC trap 5):

    {"generate": {"seconds": 231.0, "images_per_second": 27.7}, "convert-onnx": {"float32": {"seconds": 5.3}}}

A stage that DVC skips leaves its section as it was; a fresh clone has no file until a stage runs.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias, cast

from rich.console import Console
from rich.markup import escape

from pipeline.data.storage import atomic_write

MACHINE_JSON = "machine.json"
Figures: TypeAlias = Mapping[str, "float | Figures | None"]
"""Figures by name, nested by recipe or artifact; None: not measured in this run."""


def record_machine_figures(path: Path, stage: str, figures: Figures) -> None:
    """Replace one stage's section of a machine.json and keep the others; processes that write at once take turns.

    A damaged file is replaced, with a warning on stderr: what it held can be measured again.

    Args:
        path: metrics/machine.json, beside the metrics file of the stage.
        stage: Name of the section, as the metrics file without its suffix: ``generate``, ``convert-onnx``.
        figures: The whole section.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f".{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        sections = {**read_machine_figures(path), stage: figures}
        text = json.dumps(sections, indent=2, allow_nan=False)
        with atomic_write(path) as file:
            file.write(text.encode() + b"\n")


def read_machine_figures(path: Path) -> dict[str, Figures]:
    """Read all sections, by stage; empty where the file is missing, or damaged (then with a warning on stderr)."""
    if not path.is_file():
        return {}
    try:
        sections = json.loads(path.read_bytes())
    except ValueError as error:
        _warn(path, f"not JSON ({error})")
        return {}
    if not isinstance(sections, dict) or not all(isinstance(section, dict) for section in sections.values()):
        _warn(path, "not an object with one section per stage")
        return {}
    return cast("dict[str, Figures]", sections)


def find_figure(figures: Figures, *names: str) -> float | None:
    """Follow names down nested figures, e.g. ``generate``, ``seconds``; None where nothing was measured."""
    value: float | Figures | None = figures
    for name in names:
        value = value.get(name) if isinstance(value, Mapping) else None
    return None if isinstance(value, Mapping) else value


def _warn(path: Path, found: str) -> None:
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    console.print(
        escape(f"{path}: {found}; expected figures of this machine by stage; ignored, and replaced by the next stage")
    )
