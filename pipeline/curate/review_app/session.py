"""Review session: all curated images, their rejections, and the decisions that a person makes on them.

Reads an image folder's index, data/kept.jsonl, data/rejected.jsonl and data/decisions.jsonl; appends to the latter.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pipeline.curate.manual_decisions import append_decision, read_decisions, resolve_decisions
from pipeline.data.decoding.decode import decode, displays_alike
from pipeline.data.preprocess import encode_png
from pipeline.data.records import Decision, Image, Rejection
from pipeline.data.shards import INDEX, read_bytes, read_index
from pipeline.data.storage import read_rows
from pipeline.errors import DataError

Choice = Literal["keep", "drop", "undo"]
KEPT = "kept"


@dataclass(frozen=True, slots=True)
class ReviewPaths:
    """Files of a session: the folder of shards, and the rows of ``curate``."""

    images: Path
    kept: Path
    rejected: Path
    decisions: Path


@dataclass(frozen=True, slots=True)
class ReviewItem:
    """One image and its rejection; None if curation kept it."""

    image: Image
    rejection: Rejection | None


@dataclass(slots=True)
class ReviewSession:
    """Images in the order of display, and the decisions in force.

    Attributes:
        paths: Files of the session.
        items: Image id -> item. Rejected ones first, by label, reason and score (lowest first), then kept ones.
        decisions: Image id -> the keep or drop in force.
        decision_count: Number of decisions made in this session, undos included.
    """

    paths: ReviewPaths
    items: dict[str, ReviewItem]
    decisions: dict[str, Choice]
    decision_count: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def decide(self, image_id: str, choice: Choice, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        """Write a decision to disk, then apply it to the session.

        Raises:
            KeyError: There is no such image.
            OSError: The decision could not be written, and is not applied.
        """
        item = self.items[image_id]
        with self._lock:
            reason = item.rejection.reason if item.rejection else ""
            decision = Decision(
                image_id=image_id, sha256=item.image.sha256, decision=choice, reason=reason, decided_at=clock()
            )
            append_decision(self.paths.decisions, decision)
            self.decision_count += 1
            if choice == "undo":
                self.decisions.pop(image_id, None)
            else:
                self.decisions[image_id] = choice

    def encoded(self, image_id: str) -> bytes:
        """Read an image as a browser should show it, PNG or JPEG.

        These are the bytes of its shard or, where a browser would show other pixels than training sees (of transparent,
        16-bit and CMYK images), those pixels as PNG.

        Raises:
            KeyError: There is no such image.
            DataError: Its shard is missing or has other bytes, or it cannot be decoded.
        """
        image = self.items[image_id].image
        data = read_bytes(self.paths.images, image)
        return data if displays_alike(data) else encode_png(decode(data, image_id))

    def listing(self) -> dict[str, Any]:
        """Return the items as columns, ready for JSON: each distinct label, reason and factor value occurs once."""
        items = list(self.items.values())
        names = dict.fromkeys(name for item in items for name in item.image.factors)
        return {
            "id": [item.image.id for item in items],
            "label": _column([item.image.label for item in items]),
            "reason": _column([item.rejection.reason if item.rejection else KEPT for item in items]),
            "score": [item.rejection.score if item.rejection else None for item in items],
            "threshold": [item.rejection.threshold if item.rejection else None for item in items],
            "detail": [item.rejection.detail if item.rejection else "" for item in items],
            "decision": [self.decisions.get(item.image.id, "") for item in items],
            "factors": {name: _column([item.image.factors.get(name, "") for item in items]) for name in names},
        }


def open_session(paths: ReviewPaths) -> ReviewSession:
    """Read the files of a session.

    Raises:
        DataError: A file is missing or damaged, rows refer to images that are not in the index, or there are no rows.
    """
    images = read_index(paths.images)
    by_id = {image.id: image for image in images}
    rejected = [(paths.rejected, row.image_id, row) for row in read_rows(paths.rejected, Rejection)]
    kept = [(paths.kept, row.id, None) for row in read_rows(paths.kept, Image)]
    items: list[ReviewItem] = []
    for path, image_id, rejection in [*rejected, *kept]:
        if image_id not in by_id:
            raise DataError(
                f"{path}: image {image_id} is not in {paths.images / INDEX}; expected rows of these very images; "
                "run: dvc repro curate"
            )
        items.append(ReviewItem(by_id[image_id], rejection))
    if not items:
        raise DataError(f"{paths.kept}, {paths.rejected}: no images; expected at least one; run: dvc repro curate")
    items.sort(key=_display_order)
    by_row = resolve_decisions(read_decisions(paths.decisions), images).by_row
    decisions: dict[str, Choice] = {images[row].id: decision.decision for row, decision in by_row.items()}
    return ReviewSession(paths, {item.image.id: item for item in items}, decisions)


def _display_order(item: ReviewItem) -> tuple[bool, str, str, float]:
    rejection = item.rejection
    reason, score = (rejection.reason, rejection.score) if rejection else ("", 0.0)
    return (rejection is None, item.image.label, reason, score)


def _column(values: Sequence[str]) -> dict[str, list[str] | list[int]]:
    distinct = {value: number for number, value in enumerate(sorted(set(values)))}
    return {"values": list(distinct), "rows": [distinct[value] for value in values]}
