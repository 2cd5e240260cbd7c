"""Photographs of a test set that are also among the training images: the same picture, or nearly the same.

Compares decoded pixels and perceptual hashes, the mirror image's too. A picture that was re-encoded, resized,
brightened or cropped by a percent is found; two photographs of the same person at another moment are not. Reads the
training images and the test sets; writes nothing.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from benchmarks.evaluation.selfie_sets import SelfieFolder
from pipeline.data.perceptual_hash import differing_share, fingerprint
from pipeline.data.photo_folder import SAME_SCENE
from pipeline.data.preprocess import Pixels
from pipeline.data.shards import INDEX, iterate_pixels, read_index
from pipeline.errors import DataError

_MAX_NAMED = 10
"""Photographs that one message names."""


@dataclass(frozen=True, slots=True)
class TrainingImages:
    """What photographs are compared with.

    Attributes:
        ids: Ids of the images.
        contents: SHA-256 of their decoded pixels and size.
        hashes: Their perceptual hashes, uint64 (n, 3).
    """

    ids: tuple[str, ...]
    contents: tuple[str, ...]
    hashes: NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Overlap:
    """A photograph that is also a training image; ``is_same`` where all pixels are equal."""

    name: str
    training_id: str
    is_same: bool

    def __str__(self) -> str:
        how = "the same picture as" if self.is_same else "nearly the same as"
        return f"{self.name} ({how} {self.training_id})"


def read_training_images(folder: Path) -> TrainingImages | None:
    """Hash all images of a folder of shards, those that curation rejects too; None where there is no such folder."""
    if not (folder / INDEX).is_file():
        return None
    rows = read_index(folder)
    hashed = [
        (_content(pixels), fingerprint(pixels))
        for pixels in _progress(iterate_pixels(folder, rows), f"comparing with {folder}", len(rows))
    ]
    hashes = np.stack([own for _, own in hashed]) if hashed else np.empty((0, 3), np.uint64)
    return TrainingImages(tuple(row.id for row in rows), tuple(content for content, _ in hashed), hashes)


def refuse_overlaps(
    place: str, names: Sequence[str], pictures: Iterable[Pixels], training: TrainingImages | None
) -> None:
    """Refuse a test set with a photograph that is also a training image.

    Args:
        place: The test set, for the message.
        names: Names of its photographs.
        pictures: Their pixels, uint8 (height, width, 3) RGB each, in this order.
        training: The training images; None: there are none to compare with.

    Raises:
        DataError: Names both pictures.
    """
    overlaps = find_overlaps(names, pictures, training) if training else []
    if overlaps:
        named = "; ".join(map(str, overlaps[:_MAX_NAMED]))
        more = f"; and {len(overlaps) - _MAX_NAMED} more" if len(overlaps) > _MAX_NAMED else ""
        raise DataError(
            f"{place}: {len(overlaps)} of {len(names)} photographs are among the training images: {named}{more}; "
            "expected photographs that training does not see; remove them from this folder, or from the one that "
            "training reads, or give both parts that do not overlap (dataset.part, selfies.photographs.N.part)"
        )


def refuse_overlapping_sets(sets: Iterable[SelfieFolder], training: TrainingImages | None) -> None:
    """Refuse test sets of photographs, as they were packed, that training images are among.

    Raises:
        DataError: Names both pictures.
    """
    for one in sets:
        if one.card.source == "photos":
            names = [row.id for row in one.rows]
            refuse_overlaps(f"test set {one.card.name}", names, iterate_pixels(one.folder, one.rows), training)


def find_overlaps(names: Sequence[str], pictures: Iterable[Pixels], training: TrainingImages) -> list[Overlap]:
    """Find the photographs that are also training images, in order; arguments as of ``refuse_overlaps``."""
    if not training.ids:
        return []
    by_content = dict(zip(training.contents, training.ids, strict=True))
    found = []
    for name, pixels in zip(names, pictures, strict=True):
        same = by_content.get(_content(pixels))
        nearest = same or _nearest(pixels, training)
        if nearest:
            found.append(Overlap(name, nearest, is_same=same is not None))
    return found


def _nearest(pixels: Pixels, training: TrainingImages) -> str | None:
    """Id of the most similar training image; None where none is similar enough to show the same scene."""
    sides = pixels, pixels[:, ::-1]
    shares = np.minimum(*(differing_share(fingerprint(side), training.hashes) for side in sides))
    best = int(np.argmin(shares))
    return training.ids[best] if shares[best] < SAME_SCENE else None


def _content(pixels: Pixels) -> str:
    return hashlib.sha256(repr(pixels.shape).encode() + np.ascontiguousarray(pixels).tobytes()).hexdigest()


def _progress(pixels: Iterable[Pixels], what: str, total: int) -> Iterator[Pixels]:
    console = Console(file=sys.stderr)
    yield from track(pixels, what, total=total, console=console, transient=True, disable=not console.is_terminal)
