"""Manual decisions on images: data/decisions.jsonl, an append-only log with one JSON line per decision.

A line is on disk (fsync) before ``append_decision`` returns. A decision applies to an image id *and* the sha256 of its
encoded bytes; the last line of an image wins, and "undo" clears it. A process killed while writing leaves an incomplete
last line: reading ignores it, the next append removes it. Empty lines are skipped: without decisions, the file has one,
since DVC warns of a file of zero bytes in every run.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from pydantic import ValidationError

from pipeline.data.records import Decision, Image
from pipeline.errors import DataError


@dataclass(frozen=True, slots=True)
class ResolvedDecisions:
    """Which decisions apply to a set of images.

    Attributes:
        by_row: Row of an image -> the keep or drop that applies to it.
        unknown: Decisions on ids that no image has.
        stale: Decisions on images whose bytes have changed since, because they were generated again.
    """

    by_row: dict[int, Decision]
    unknown: list[Decision]
    stale: list[Decision]


def append_decision(path: Path, decision: Decision) -> None:
    """Append one decision and sync it to disk, after removing an incomplete last line.

    Raises:
        OSError: The disk is full or the file is not writable; the file is left unchanged.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    is_new = not path.exists()
    with path.open("a+b", buffering=0) as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # two review sessions may write to one file
        end = _repair_last_line(file)
        try:
            _write(file, decision.model_dump_json().encode() + b"\n")
            os.fsync(file.fileno())
        except OSError:
            file.truncate(end)
            raise
    if is_new:
        _sync_folder(path.parent)


def read_decisions(path: Path) -> list[Decision]:
    """Read all decisions, in the order they were made; none if the file is missing.

    Raises:
        DataError: A line is damaged and is not the last one; the message gives its number.
    """
    if not path.exists():
        return []
    lines = path.read_bytes().split(b"\n")
    decisions: list[Decision] = []
    for number, line in enumerate(lines, start=1):
        is_last = number == len(lines)
        if not line.strip():
            continue
        try:
            decisions.append(Decision.model_validate_json(line))
        except ValidationError as error:
            if not is_last:
                raise DataError(
                    f"{path}:{number}: not a Decision row: {error.errors()[0]['msg']}; expected image_id, sha256, "
                    f"decision, reason and decided_at; repair the line, or: git checkout {path}"
                ) from error
    return decisions


def resolve_decisions(decisions: Sequence[Decision], images: Sequence[Image]) -> ResolvedDecisions:
    """Find the decisions that apply to these images, and those that apply to none of them."""
    last = {(decision.image_id, decision.sha256): decision for decision in decisions}
    rows = {image.id: row for row, image in enumerate(images)}
    resolved = ResolvedDecisions({}, [], [])
    for (image_id, sha256), decision in last.items():
        if decision.decision == "undo":
            continue
        row = rows.get(image_id)
        if row is None:
            resolved.unknown.append(decision)
        elif images[row].sha256 != sha256:
            resolved.stale.append(decision)
        else:
            resolved.by_row[row] = decision
    return resolved


def _repair_last_line(file: IO[bytes]) -> int:
    """Complete a last line that lacks only its newline, remove an incomplete one; returns the new end of the file."""
    file.seek(0)
    head, newline, tail = file.read().rpartition(b"\n")
    end = len(head) + len(newline)
    if not tail:
        return end
    try:
        Decision.model_validate_json(tail)
    except ValidationError:
        file.truncate(end)
        return end
    _write(file, b"\n")
    return end + len(tail) + 1


def _write(file: IO[bytes], data: bytes) -> None:
    while data:
        data = data[file.write(data) :]


def _sync_folder(folder: Path) -> None:
    """Sync the directory entry of a new file."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
