"""What figures were taken on: the machine, and the versions of Gossamer and of all it builds on. Changes nothing."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
from pathlib import Path

import psutil

PRODUCT = "gossamer"
_CPU_FILE = Path("/proc/cpuinfo")


def machine() -> dict[str, str | int | float]:
    """Name the processor, its cores, the memory in GiB, and the system."""
    return {
        "cpu": _cpu(_CPU_FILE.read_text(encoding="utf-8") if _CPU_FILE.is_file() else ""),
        "cores": os.cpu_count() or 0,
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": platform.system(),
        "architecture": platform.machine(),
    }


def versions() -> dict[str, str]:
    """Versions of Python, of Gossamer and of every package it asks for that is installed here."""
    found = {"python": platform.python_version(), PRODUCT: importlib.metadata.version(PRODUCT)}
    for requirement in importlib.metadata.requires(PRODUCT) or ():
        name = re.split(r"[^\w.-]", requirement, maxsplit=1)[0]
        if "extra ==" not in requirement:
            found |= _version(name)
    return found


def _version(name: str) -> dict[str, str]:
    try:
        return {name: importlib.metadata.version(name)}
    except importlib.metadata.PackageNotFoundError:
        return {}


def _cpu(text: str) -> str:
    """The model's name as Linux tells it; elsewhere what Python knows."""
    named = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return named[1].strip() if named else platform.processor() or platform.machine()
