"""Checks this machine for ``gossamer doctor``: Python, cores, memory, disk, packages and accelerators.

Reads package metadata and system figures; measures nothing and changes nothing.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

from pipeline.machine.devices import choose_device

PACKAGES = (
    "torch",
    "timm",
    "diffusers",
    "cleanlab",
    "cleanvision",
    "dvc",
)
ENOUGH_DISK_GB = 10
ENOUGH_MEMORY_GB = 6


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the doctor's table.

    Attributes:
        name: What was checked.
        value: What was found.
        good: Whether that is enough for the chain.
        advice: What is expected, or how to get it; printed where ``good`` is false.
    """

    name: str
    value: str
    good: bool
    advice: str = ""


def examine(
    folder: Path, toolkits: Iterable[str], unmeasured: Mapping[str, str], weights: Mapping[str, str] | None = None
) -> Iterator[Finding]:
    """Check this machine.

    Args:
        folder: A folder on the disk to check.
        toolkits: Packages that convert to the formats and run them.
        unmeasured: Format -> why this machine cannot measure its latency; empty if it can.
        weights: Backbone -> the package of its pretrained weights, and whether it is installed.
    """
    version = sys.version_info[:2]
    yield Finding("python", platform.python_version(), (3, 11) <= version <= (3, 12), "expected 3.11 or 3.12")
    yield Finding("cores", str(os.cpu_count()), True)
    memory = psutil.virtual_memory().available / 2**30
    yield Finding("memory", f"{memory:.1f} GiB free", memory >= ENOUGH_MEMORY_GB, f"expected {ENOUGH_MEMORY_GB} GiB")
    disk = shutil.disk_usage(folder).free / 2**30
    yield Finding("disk", f"{disk:.0f} GiB free", disk >= ENOUGH_DISK_GB, f"expected {ENOUGH_DISK_GB} GiB")
    for name in (*PACKAGES, *toolkits):
        yield _package(name)
    heic = importlib.util.find_spec("pillow_heif") is not None
    words = "read by pillow-heif" if heic else "named, not read: pip install pillow-heif reads them"
    yield Finding("HEIC photographs", words, good=True)
    for backbone, found in (weights or {}).items():
        yield Finding(f"weights of {backbone}", found, good=True)
    yield _accelerator()
    for name, reason in unmeasured.items():
        words = f"unmeasured ({reason}); accuracy and parity are measured" if reason else "can be measured"
        yield Finding(f"latency of {name}", words, good=True)


def show(findings: Iterable[Finding]) -> None:
    """Print findings as a table."""
    table = Table("", "found", "", box=None)
    for finding in findings:
        table.add_row(finding.name, finding.value, "[green]ok[/]" if finding.good else f"[red]{finding.advice}[/]")
    Console().print(table)


def _package(name: str) -> Finding:
    try:
        return Finding(name, importlib.metadata.version(name), good=True)
    except importlib.metadata.PackageNotFoundError:
        return Finding(name, "missing", good=False, advice="make repro installs it")


def _accelerator() -> Finding:
    import torch

    best = choose_device("auto", "doctor")
    if best == "cuda":
        return Finding("accelerator", torch.cuda.get_device_name(0), good=True)
    words = "Apple GPU" if best == "mps" else "none: training and generation run on the CPU"
    return Finding("accelerator", words, good=True)
