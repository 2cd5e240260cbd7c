"""Plants errors among images whose labels are certain, and scores how well they are found; reproducible from a seed.

Label noise changes labels only: uniformly, or only among the images of one value of a factor. Defects change images:

- wrong_content: an image of another label that is easily confused with the label it gets;
- blank: a single colour;
- duplicate: a copy of another image, compressed again;
- blur: an image out of focus.
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

from benchmarks.evaluation.estimates import Estimate
from benchmarks.experiment_harness.results import ResultRecord
from pipeline.data.preprocess import Pixels, encode_png
from pipeline.data.records import Image
from pipeline.data.shards import Encoded, read_bytes, read_pixels, repack
from pipeline.metrics.statistics import wilson_interval

KINDS = ("wrong_content", "blank", "duplicate", "blur")
BLUR_RADIUS = 7
"""Standard deviation of the Gaussian blur in pixels for an image 128 pixels high; proportional for other heights."""
JPEG_QUALITY = 80
Mask = NDArray[np.bool_]
"""One value per image, bool (n,)."""


@dataclass(frozen=True, slots=True)
class Defects:
    """Number of defects of each kind, the label that wrong content gets, and the seed."""

    count: int
    label: str
    seed: int


class DetectionScore(ResultRecord):
    """How well planted errors were found; None where a ratio is undefined.

    Attributes:
        planted: Number of planted errors.
        accused: Number of images reported as errors.
        precision: Share of the reported images that are errors, with its 95 % Wilson interval.
        recall: Share of the errors that were reported, with its interval.
        f1: Harmonic mean of precision and recall.
    """

    planted: int
    accused: int
    precision: Estimate | None
    recall: Estimate | None
    f1: float | None


def choose(images: Sequence[Image], share: float, seed: int, within: tuple[str, str] | None = None) -> Mask:
    """Choose images at random: a share of all, or of those with one value of a factor (factor, value)."""
    drawn = np.random.default_rng(seed).random(len(images)) < share
    if within is None:
        return drawn
    factor, value = within
    return np.asarray([hit and image.factors.get(factor) == value for hit, image in zip(drawn, images, strict=True)])


def relabel(images: Sequence[Image], wrong: Mask, labels: Sequence[str]) -> list[Image]:
    """Give the chosen images the label after their own, cyclically."""
    after = dict(zip(labels, [*labels[1:], labels[0]], strict=True))
    return [
        image.model_copy(update={"label": after[image.label]}) if chosen else image
        for image, chosen in zip(images, wrong, strict=True)
    ]


def score(accused: Mask, wrong: Mask) -> DetectionScore:
    """Compare the images reported as errors with the planted errors."""
    hits, all_accused, all_wrong = int((accused & wrong).sum()), int(accused.sum()), int(wrong.sum())
    return DetectionScore(
        planted=all_wrong,
        accused=all_accused,
        precision=share_estimate(hits, all_accused),
        recall=share_estimate(hits, all_wrong),
        f1=2 * hits / (all_accused + all_wrong) if all_accused + all_wrong else None,
    )


def share_estimate(count: int, total: int) -> Estimate | None:
    """A share with its 95 % Wilson interval; None of nothing."""
    if not total:
        return None
    low, high = wilson_interval(count, total)
    return Estimate(value=count / total, low=low, high=high)


def plant_defects(
    folder: Path, images: Sequence[Image], confusing: Sequence[Image], defects: Defects
) -> Iterator[tuple[str, Encoded]]:
    """Yield every image unchanged, then the defects of each kind: (kind or "", image).

    Args:
        folder: Folder of the images' shards.
        images: The images.
        confusing: Images of another label that are easily confused with ``defects.label``.
        defects: What to plant; fewer with wrong content if there are not enough confusing images.
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
        yield kind, repack(changed, _damage(kind, read_pixels(folder, image), rng))


def _damage(kind: str, pixels: Pixels, rng: np.random.Generator) -> bytes:
    if kind == "blank":
        return encode_png(np.full_like(pixels, rng.integers(0, 256, 3)))
    picture = PIL.Image.fromarray(pixels)
    if kind == "blur":
        radius = BLUR_RADIUS * pixels.shape[0] / 128
        return encode_png(np.asarray(picture.filter(PIL.ImageFilter.GaussianBlur(radius))))
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue()
