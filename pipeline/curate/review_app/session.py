"""What lies on the desk: every curated picture, what curation said of it, and what a person decides.

Reads an image folder's index, the rows that curation kept and put aside, and the decisions so far; appends decisions.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pipeline.curate.manual_decisions import append_decision, read_decisions, standing
from pipeline.data.records import Decision, Image, Rejection
from pipeline.data.shards import INDEX, read_bytes, read_index
from pipeline.data.storage import read_rows
from pipeline.errors import DataError

Choice = Literal["keep", "drop", "undo"]
KEPT = "kept"


@dataclass(frozen=True, slots=True)
class DeskPaths:
    """Where everything lies."""

    images: Path
    kept: Path
    rejected: Path
    decisions: Path


@dataclass(frozen=True, slots=True)
class Tile:
    """One picture; ``said`` is None where curation kept it."""

    image: Image
    said: Rejection | None


@dataclass(slots=True)
class Desk:
    """The pictures in the order they are shown, and the decisions that hold.

    Attributes:
        paths: Where everything lies.
        tiles: Image id -> picture; by label, then reason, the most doubtful first, kept ones last.
        decided: Image id -> the keep or drop that holds for it.
        made: How many decisions were made at this desk.
    """

    paths: DeskPaths
    tiles: dict[str, Tile]
    decided: dict[str, Choice]
    made: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def decide(self, image_id: str, choice: Choice, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        """Put a decision on disk, then remember it.

        Raises:
            KeyError: There is no such picture.
            OSError: It could not be written, and does not hold.
        """
        tile = self.tiles[image_id]
        with self._lock:
            reason = tile.said.reason if tile.said else ""
            decision = Decision(
                image_id=image_id, sha256=tile.image.sha256, decision=choice, reason=reason, decided_at=clock()
            )
            append_decision(self.paths.decisions, decision)
            self.made += 1
            if choice == "undo":
                self.decided.pop(image_id, None)
            else:
                self.decided[image_id] = choice

    def encoded(self, image_id: str) -> bytes:
        """Read a picture as it lies in its shard."""
        return read_bytes(self.paths.images, self.tiles[image_id].image)

    def listing(self) -> dict[str, Any]:
        """All the page needs, in columns: a factor value is written once, however many pictures have it."""
        tiles = list(self.tiles.values())
        names = dict.fromkeys(name for tile in tiles for name in tile.image.factors)
        return {
            "id": [tile.image.id for tile in tiles],
            "label": _column([tile.image.label for tile in tiles]),
            "reason": _column([tile.said.reason if tile.said else KEPT for tile in tiles]),
            "score": [tile.said.score if tile.said else None for tile in tiles],
            "threshold": [tile.said.threshold if tile.said else None for tile in tiles],
            "detail": [tile.said.detail if tile.said else "" for tile in tiles],
            "decision": [self.decided.get(tile.image.id, "") for tile in tiles],
            "factors": {name: _column([tile.image.factors.get(name, "") for tile in tiles]) for name in names},
        }


def open_desk(paths: DeskPaths) -> Desk:
    """Lay the pictures out.

    Raises:
        DataError: A file is missing or damaged, the rows are of other images than the index, or there are none.
    """
    images = read_index(paths.images)
    by_id = {image.id: image for image in images}
    rejected = [(paths.rejected, row.image_id, row) for row in read_rows(paths.rejected, Rejection)]
    kept = [(paths.kept, row.id, None) for row in read_rows(paths.kept, Image)]
    tiles: list[Tile] = []
    for path, image_id, said in [*rejected, *kept]:
        if image_id not in by_id:
            raise DataError(
                f"{path}: image {image_id} is not in {paths.images / INDEX}; expected rows of these very images; "
                "run: dvc repro curate"
            )
        tiles.append(Tile(by_id[image_id], said))
    if not tiles:
        raise DataError(f"{paths.kept}, {paths.rejected}: no images; expected at least one; run: dvc repro curate")
    tiles.sort(key=_place)
    found = standing(read_decisions(paths.decisions), images).rows
    decided: dict[str, Choice] = {images[row].id: decision.decision for row, decision in found.items()}
    return Desk(paths, {tile.image.id: tile for tile in tiles}, decided)


def _place(tile: Tile) -> tuple[bool, str, str, float]:
    said = tile.said
    return (said is None, tile.image.label, said.reason if said else "", said.score if said else 0.0)


def _column(values: Sequence[str]) -> dict[str, list[str] | list[int]]:
    distinct = {value: number for number, value in enumerate(sorted(set(values)))}
    return {"values": list(distinct), "rows": [distinct[value] for value in values]}
