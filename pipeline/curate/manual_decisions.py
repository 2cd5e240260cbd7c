"""A person's decisions on pictures: data/decisions.jsonl, which only grows.

One JSON line a decision, on disk (fsync) before ``append_decision`` returns. A decision holds for one very picture: an
id *and* the sha256 of its encoded bytes. The last line of a picture wins; "undo" clears it. Whoever is killed in the
middle of a line leaves half of one: reading passes over it, the next append removes it.
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
class Standing:
    """What holds of all that was decided.

    Attributes:
        rows: Row of an image -> the keep or drop that holds for it.
        unknown: Decisions on ids that no image has.
        stale: Decisions on pictures that have since been drawn anew.
    """

    rows: dict[int, Decision]
    unknown: list[Decision]
    stale: list[Decision]


def append_decision(path: Path, decision: Decision) -> None:
    """Put one decision on disk; removes a half-written last line first, and its own where it cannot be finished.

    Raises:
        OSError: The disk is full, or the file may not be written; it is as it was before.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    is_new = not path.exists()
    with path.open("a+b", buffering=0) as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # two desks on one file take turns
        end = _mend(file)
        try:
            _write(file, decision.model_dump_json().encode() + b"\n")
            os.fsync(file.fileno())
        except OSError:
            file.truncate(end)
            raise
    if is_new:
        _sync_folder(path.parent)


def read_decisions(path: Path) -> list[Decision]:
    """Read every decision, in the order they were made; a missing file holds none.

    Raises:
        DataError: A line that is not the last, half-written one is no decision (with its number).
    """
    if not path.exists():
        return []
    lines = path.read_bytes().split(b"\n")
    decisions: list[Decision] = []
    for number, line in enumerate(lines, start=1):
        is_last = number == len(lines)
        if is_last and not line:
            break
        try:
            decisions.append(Decision.model_validate_json(line))
        except ValidationError as error:
            if not is_last:
                raise DataError(
                    f"{path}:{number}: not a Decision row: {error.errors()[0]['msg']}; expected image_id, sha256, "
                    f"decision, reason and decided_at; mend the line, or: git checkout {path}"
                ) from error
    return decisions


def standing(decisions: Sequence[Decision], images: Sequence[Image]) -> Standing:
    """Say which decisions hold for these images, and which hold for none of them."""
    last = {(decision.image_id, decision.sha256): decision for decision in decisions}
    rows = {image.id: row for row, image in enumerate(images)}
    found = Standing({}, [], [])
    for (image_id, sha256), decision in last.items():
        if decision.decision == "undo":
            continue
        row = rows.get(image_id)
        if row is None:
            found.unknown.append(decision)
        elif images[row].sha256 != sha256:
            found.stale.append(decision)
        else:
            found.rows[row] = decision
    return found


def _mend(file: IO[bytes]) -> int:
    """End the file with a whole line: finish one that only lacks its newline, remove half a one; returns the end."""
    file.seek(0)
    head, newline, tail = file.read().rpartition(b"\n")
    whole = len(head) + len(newline)
    if not tail:
        return whole
    try:
        Decision.model_validate_json(tail)
    except ValidationError:
        file.truncate(whole)
        return whole
    _write(file, b"\n")
    return whole + len(tail) + 1


def _write(file: IO[bytes], data: bytes) -> None:
    while data:
        data = data[file.write(data) :]


def _sync_folder(folder: Path) -> None:
    """Make a new file's name last, too."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
