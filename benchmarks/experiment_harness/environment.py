"""Describes the environment of a measurement: the machine, and the versions of Gossamer and its dependencies."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
from pathlib import Path

import psutil

from pipeline.data.records import Record

PRODUCT = "gossamer"
_CPU_FILE = Path("/proc/cpuinfo")
_STAGES = 'extra == "stages"'


class Machine(Record):
    """A machine.

    Attributes:
        cpu: Model name of the processor.
        cores: Number of logical cores.
        memory_gib: Memory in GiB.
        system: Operating system, e.g. "Linux".
        architecture: Instruction set, e.g. "x86_64".
    """

    cpu: str
    cores: int
    memory_gib: float
    system: str
    architecture: str


def machine() -> Machine:
    """Describe this machine."""
    return Machine(
        cpu=_cpu_name(_CPU_FILE.read_text(encoding="utf-8") if _CPU_FILE.is_file() else ""),
        cores=os.cpu_count() or 0,
        memory_gib=round(psutil.virtual_memory().total / 2**30, 1),
        system=platform.system(),
        architecture=platform.machine(),
    )


def versions() -> dict[str, str]:
    """Versions of Python, Gossamer and each of its installed dependencies, except those for development."""
    installed = {"python": platform.python_version(), PRODUCT: importlib.metadata.version(PRODUCT)}
    for requirement in importlib.metadata.requires(PRODUCT) or ():
        name = re.split(r"[^\w.-]", requirement, maxsplit=1)[0]
        if "extra ==" not in requirement or _STAGES in requirement:
            installed |= _version(name)
    return installed


def _version(name: str) -> dict[str, str]:
    try:
        return {name: importlib.metadata.version(name)}
    except importlib.metadata.PackageNotFoundError:
        return {}


def _cpu_name(cpuinfo: str) -> str:
    """Model name in /proc/cpuinfo; without one, what Python reports."""
    match = re.search(r"^model name\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    return match[1].strip() if match else platform.processor() or platform.machine()
