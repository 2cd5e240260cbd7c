"""Pure: figures -> the text a reader sees, for the page and the pull-request comment.

A value that is missing, or that is not a finite number, reads "unmeasured". Units are separated by a space that does
not break.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from benchmarks.report.baseline_changes import Change

UNMEASURED = "unmeasured"
UNMEASURED_HERE = "unmeasured on this machine"
_COUNTS_AND_RATIOS = ("required", "fnr_vs_baseline", "fpr_vs_baseline")
"""Gate checks whose value is a count or a ratio; all others but ``size_bytes`` are shares."""
_ESCAPED = {"<": "&lt;", ">": "&gt;"}
_CELL_CHARACTERS = 240


def percent(value: object, digits: int = 1) -> str:
    """A share in [0, 1] as a percentage."""
    return _format(value, lambda share: f"{100 * share:.{digits}f}\u00a0%")


def number(value: object, digits: int = 4) -> str:
    """A number with ``digits`` significant digits; 1,000 and more as a whole number with separators."""
    return _format(value, lambda amount: f"{amount:,.0f}" if abs(amount) >= 1000 else f"{amount:.{digits}g}")


def check_figure(value: object, check: str) -> str:
    """The value or limit of a gate check, in that check's unit."""
    if check == "size_bytes":
        return megabytes(value)
    return number(value) if check in _COUNTS_AND_RATIOS else percent(value, 2)


def milliseconds(value: object) -> str:
    """A duration in ms."""
    return _format(value, lambda time: f"{time:.2f}\u00a0ms" if time < 100 else f"{time:.0f}\u00a0ms")


def megabytes(value: object) -> str:
    """A size in bytes as MB (10**6 bytes)."""
    return _format(value, lambda size: f"{size / 1e6:.2f}\u00a0MB" if size < 1e8 else f"{size / 1e6:.0f}\u00a0MB")


def points(value: object, unit: str = "\u00a0points") -> str:
    """A difference of percentages, in percentage points."""
    return _format(value, lambda difference: f"{difference:.1f}{unit}")


def minutes(value: object) -> str:
    """A duration in seconds; from two minutes on in minutes."""
    return _format(value, lambda time: f"{time / 60:.0f}\u00a0min" if time >= 120 else f"{time:.0f}\u00a0s")


def change_in_points(change: Change) -> str:
    """The change of a share in percentage points, with arrow and assessment."""
    return _with_arrow(change, f"{100 * (change.difference or 0):+.2f}")


def change_in_percent(change: Change) -> str:
    """The change of a size or a time relative to the baseline's, with arrow and assessment."""
    return _with_arrow(change, f"{100 * (change.difference or 0):+.1f}\u00a0%")


def markdown_cell(text: object, most: int = _CELL_CHARACTERS) -> str:
    """Text for a cell of a Markdown table: cut to ``most`` characters, markup escaped."""
    plain = " ".join(str(text).split())
    plain = plain if len(plain) <= most else f"{plain[: most - 1].rstrip()}\u2026"
    for mark in "\\`*_[]<>|~":
        plain = plain.replace(mark, _ESCAPED.get(mark, f"\\{mark}"))
    return plain


def _with_arrow(change: Change, shown: str) -> str:
    if change.difference is None:
        return ""
    if change.assessment == "same":
        return " ="
    arrow = "\u2191" if change.difference > 0 else "\u2193" if change.difference < 0 else "\u2192"
    return f" {arrow}\u00a0{shown} {'**worse**' if change.assessment == 'worse' else change.assessment}"


def _format(value: object, show: Callable[[float], str]) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return UNMEASURED
    return show(float(value))
