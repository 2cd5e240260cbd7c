"""Errors planted among images whose labels are certain, and how well they are found: a function of images and seed.

Noise changes labels alone: uniformly, or only among the images of one value of a factor. Defects change pictures:

- wrong_content: a picture of another label under this one, of those that are easily taken for it;
- blank: one colour all over;
- duplicate: an earlier picture, compressed anew;
- blur: a picture out of focus.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageFilter
from numpy.typing import NDArray

from pipeline.data.preprocess import Pixels, encode_png
from pipeline.data.records import Image
from pipeline.data.shards import Encoded, read_bytes, read_pixels, repack
from pipeline.metrics.statistics import wilson_interval

KINDS = ("wrong_content", "blank", "duplicate", "blur")
BLUR_RADIUS = 7
"""Of the Gaussian, in pixels of a picture 128 high; other heights in proportion."""
JPEG_QUALITY = 80
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Defects:
    """How many of each kind, what wrong content claims to be, and the seed of the choice."""

    count: int
    label: str
    seed: int


def choose(images: Sequence[Image], share: float, seed: int, within: tuple[str, str] | None = None) -> Mask:
    """Choose images for a wrong label: a share of all, or of those with one value of a factor; bool (n,)."""
    drawn = np.random.default_rng(seed).random(len(images)) < share
    if within is None:
        return drawn
    factor, value = within
    return np.asarray([hit and image.factors.get(factor) == value for hit, image in zip(drawn, images, strict=True)])


def relabel(images: Sequence[Image], wrong: Mask, labels: Sequence[str]) -> list[Image]:
    """Give the chosen ones the label after their own."""
    after = dict(zip(labels, [*labels[1:], labels[0]], strict=True))
    return [
        image.model_copy(update={"label": after[image.label]}) if chosen else image
        for image, chosen in zip(images, wrong, strict=True)
    ]


def score(accused: Mask, wrong: Mask) -> dict[str, float | int | None]:
    """Precision, recall, F1 of an accusation, with 95 % Wilson intervals; None where nothing was accused, or wrong."""
    hits, said, all_wrong = int((accused & wrong).sum()), int(accused.sum()), int(wrong.sum())
    precision_low, precision_high = wilson_interval(hits, said)
    recall_low, recall_high = wilson_interval(hits, all_wrong)
    return {
        "planted": all_wrong,
        "accused": said,
        "precision": hits / said if said else None,
        "precision_low": precision_low if said else None,
        "precision_high": precision_high if said else None,
        "recall": hits / all_wrong if all_wrong else None,
        "recall_low": recall_low if all_wrong else None,
        "recall_high": recall_high if all_wrong else None,
        "f1": 2 * hits / (said + all_wrong) if said + all_wrong else None,
    }


def spoil(
    folder: Path, images: Sequence[Image], confusing: Sequence[Image], defects: Defects
) -> Iterator[tuple[str, Encoded]]:
    """Yield every image as it is, then the defects of each kind: (kind or "", image).

    Args:
        folder: Where the images' shards lie.
        images: Good ones.
        confusing: Those of another label that are easily taken for the one that wrong content claims.
        defects: How many; of wrong content fewer where there are not as many confusing images.
    """
    count = defects.count
    for image in images:
        yield "", repack(image, read_bytes(folder, image))
    rng = np.random.default_rng(defects.seed)
    chosen = [images[row] for row in rng.choice(len(images), 3 * count, replace=False)]
    for row in rng.choice(len(confusing), min(count, len(confusing)), replace=False):
        image = confusing[row]
        changed = image.model_copy(update={"id": f"wrong_content-{image.id}", "label": defects.label})
        yield "wrong_content", repack(changed, read_bytes(folder, image))
    for number, image in enumerate(chosen):
        kind = KINDS[1:][number % 3]
        changed = image.model_copy(update={"id": f"{kind}-{image.id}", "group": f"{kind}-{image.group}"})
        yield kind, repack(changed, _spoiled(kind, read_pixels(folder, image), rng))


def _spoiled(kind: str, pixels: Pixels, rng: np.random.Generator) -> bytes:
    if kind == "blank":
        return encode_png(np.full_like(pixels, rng.integers(0, 256, 3)))
    picture = PIL.Image.fromarray(pixels)
    if kind == "blur":
        radius = BLUR_RADIUS * pixels.shape[0] / 128
        return encode_png(np.asarray(picture.filter(PIL.ImageFilter.GaussianBlur(radius))))
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue()
