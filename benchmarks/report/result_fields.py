"""Reads figures out of recorded results, for the report: what is not there, or is another thing, is empty or None."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Bounded = tuple[float | None, float | None, float | None]
"""A figure and the ends of its interval."""


def section(figures: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A mapping inside figures; empty where there is none, or another thing."""
    value = figures.get(name)
    return value if isinstance(value, Mapping) else {}


def bounded(figures: Mapping[str, Any], name: str) -> Bounded:
    """NAME, NAME_low and NAME_high."""
    return figures.get(name), figures.get(f"{name}_low"), figures.get(f"{name}_high")


def machine_words(figures: Mapping[str, Any]) -> str:
    """The machine that a result was measured on, in words."""
    machine = section(figures, "machine")
    return f"{machine['cpu']}, {machine['cores']} cores" if {"cpu", "cores"} <= machine.keys() else ""
