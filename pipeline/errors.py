"""Errors that a user can correct. A message gives the place, what was found, what was expected and the next command.

Only ``pipeline.cli_errors`` catches every kind: it prints the message, not a traceback, and exits with ``exit_code``.
``shown`` and ``listed`` keep a message short, however large the value or the list that it is about.
"""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Literal

MAX_SHOWN = 100
"""Longest text of one value in a message, in characters."""
MAX_LISTED = 40
"""Most names in one list of a message."""
_MAX_BITS = 256


class GossamerError(Exception):
    """Base of every error that a user can correct; ``gossamer`` exits with ``exit_code``."""

    exit_code = 2


class UsageError(GossamerError):
    """An argument of a command is wrong."""


class ParamsError(GossamerError):
    """A key or value in params.yaml is unknown, missing or out of range."""


class PolicyError(GossamerError):
    """A policy file cannot be read, contradicts itself, or excludes every picture."""


class DataError(GossamerError):
    """Rows, images or measurements on disk are missing, corrupt, or do not belong together."""


class ImageError(DataError):
    """An image file cannot be used.

    Attributes:
        reason: "unreadable" (damaged, truncated or empty), "unsupported_format", "needs_pillow_heif" (a HEIC, and
            pillow-heif is not installed) or "too_large" (too many bytes or pixels to decode).
    """

    def __init__(
        self,
        message: str,
        reason: Literal["unreadable", "unsupported_format", "needs_pillow_heif", "too_large"] = "unreadable",
    ) -> None:
        super().__init__(message)
        self.reason = reason


class ModelError(GossamerError):
    """A model folder, checkpoint or artifact is missing, corrupt, or not of the expected kind."""


class UnmeasurableError(ModelError):
    """A model is intact, but this machine has no means to run it: it is kept, and its figures are unmeasured."""


class ReleaseRefusedError(GossamerError):
    """The gate's verdict is not a pass."""

    exit_code = 1


class InterruptedRunError(KeyboardInterrupt):
    """Ctrl-C in a stage that keeps finished work; the message says what is kept, and where."""


@contextmanager
def report_kept(describe: Callable[[], str]) -> Iterator[None]:
    """Add what is kept to a Ctrl-C.

    Args:
        describe: Words it, e.g. "72 of 240 images are kept in data/images.work"; called after the interruption.

    Raises:
        InterruptedRunError: Ctrl-C was pressed.
    """
    try:
        yield
    except KeyboardInterrupt as error:
        raise InterruptedRunError(describe()) from error


class _Short(reprlib.Repr):
    """``repr`` with limits on depth, length and number of entries."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxstring, self.maxother = 2, MAX_SHOWN - 10, 60

    def repr_int(self, value: int, level: int) -> str:  # noqa: ARG002 - reprlib's
        """Word a number; Python refuses to write one of thousands of digits."""
        return repr(value) if value.bit_length() <= _MAX_BITS else f"a number of {value.bit_length():,} bits"


def shown(value: object) -> str:
    """Word a value for a message, as Python writes it; what is long, deep or large is cut in the middle.

    >>> shown("helmet"), shown([1, [2, [3, [4]]]])
    ("'helmet'", '[1, [2, [...]]]')
    """
    text = _Short().repr(value)
    half = MAX_SHOWN // 2 - 2
    return text if len(text) <= MAX_SHOWN else f"{text[:half]}...{text[-half:]}"


def cut(text: str, length: int = 2 * MAX_SHOWN) -> str:
    """Put a text on one line, without control characters, and cut it where it is longer than ``length`` characters."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text[: 4 * length]).split())
    return line if len(line) <= length else f"{line[: length - 3]}..."


def listed(names: Collection[str], nothing: str = "none") -> str:
    """List names, separated by commas: at most ``MAX_LISTED``, each cut like a value; ``nothing`` if there are none."""
    first = [cut(name, MAX_SHOWN) for _, name in zip(range(MAX_LISTED), names, strict=False)]
    more = len(names) - len(first)
    return ", ".join(first) + (f" and {more:,} more" if more else "") if first else nothing
