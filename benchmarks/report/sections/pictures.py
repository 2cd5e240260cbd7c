"""Pictures of the page: training images, misclassified selfies and contact sheets, inlined as small JPEGs.

Reads images from the folders of the report's input. Each picture becomes a data URI, so that the page needs no other
file.
"""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import PIL.Image

from benchmarks.evaluation.predictions import CHECKPOINT, Predictions
from benchmarks.report.inputs import ReportInput
from pipeline.data.decoding.decode import decode
from pipeline.data.preprocess import Pixels
from pipeline.data.records import Image
from pipeline.data.shards import read_pixels

_HEIGHT = 192
"""Largest height of a selfie on the page, in pixels."""
_SHEET_WIDTH = 1400
"""Largest width of a contact sheet on the page, in pixels."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture with its caption.

    Attributes:
        uri: The picture itself, as a data URI.
        title: First line of the caption.
        lines: Further lines.
        factors: Factors of the image, as ``name=value``.
        factor_values: The values alone, the label's own factors first, as one text.
    """

    uri: str
    title: str
    lines: tuple[str, ...] = ()
    factors: tuple[str, ...] = ()
    factor_values: str = ""


def training_samples(inputs: ReportInput, count: int) -> list[Picture]:
    """Kept training images, spread evenly over the rows so that labels and scenes mix."""
    rows = inputs.training.rows
    chosen = sorted({int(index) for index in np.linspace(0, len(rows) - 1, min(count, len(rows)))})
    return [_training_sample(inputs, rows[index]) for index in chosen]


def misclassified_selfies(inputs: ReportInput, count: int, name: str = "") -> list[Picture] | None:
    """Selfies the checkpoint misclassifies, highest probability first; None without valid predictions.

    Args:
        inputs: The outputs of the chain.
        count: Most pictures.
        name: Test set; empty for the headline.
    """
    name = name or inputs.headline
    table = inputs.predictions.of_set(name) if inputs.predictions else None
    if table is None or not table.is_whole(CHECKPOINT):
        return None
    gallery = inputs.selfies_of(name)
    images = {image.id: image for image in gallery.rows}
    decisions, probabilities = table.decisions(CHECKPOINT), table.probabilities[CHECKPOINT]
    wrong = [int(row) for row in np.flatnonzero(decisions != table.targets) if table.ids[row] in images]
    wrong.sort(key=lambda row: (-probabilities[row, decisions[row]], table.ids[row]))
    return [_misclassified(gallery.folder, table, row, images[table.ids[row]]) for row in wrong[:count]]


def contact_sheets(inputs: ReportInput) -> list[Picture]:
    """Contact sheets of curation."""
    return [
        Picture(data_uri(decode(path.read_bytes(), str(path)), width=_SHEET_WIDTH), path.stem.replace("_", " "))
        for path in inputs.contact_sheets
    ]


def data_uri(pixels: Pixels, width: int | None = None) -> str:
    """Encode RGB pixels as a JPEG in a data URI, scaled down to the size on the page.

    Args:
        pixels: uint8 (height, width, 3), RGB.
        width: Largest width; None limits the height to that of a selfie on the page instead.
    """
    image = PIL.Image.fromarray(pixels)
    image.thumbnail((width, 10**6) if width else (10**6, _HEIGHT))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=88)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _training_sample(inputs: ReportInput, image: Image) -> Picture:
    factors = _factors(image)
    return Picture(
        data_uri(read_pixels(inputs.training.folder, image)),
        image.label,
        factors=tuple(f"{name}={value}" for name, value in factors.items()),
        factor_values=", ".join(reversed(factors.values())),
    )


def _misclassified(folder: Path, table: Predictions, row: int, image: Image) -> Picture:
    decided = table.labels[table.decisions(CHECKPOINT)[row]]
    positive = {name: float(each[row, -1]) for name, each in table.probabilities.items() if table.is_whole(name)}
    lines = [f"p({table.labels[-1]}) {positive.pop(CHECKPOINT):.2f}"]
    if positive:
        low, high = min(positive, key=positive.__getitem__), max(positive, key=positive.__getitem__)
        lines += [f"artifacts {positive[low]:.2f} ({low})", f"to {positive[high]:.2f} ({high})"]
    factors = tuple(f"{name}={value}" for name, value in _factors(image).items())
    uri = data_uri(read_pixels(folder, image))
    return Picture(uri, f"{image.label}, decided {decided}", tuple(lines), factors)


def _factors(image: Image) -> dict[str, str]:
    """Factors the image has; the value "none" says that it has none of the kind."""
    return {name: value for name, value in image.factors.items() if value != "none"}
