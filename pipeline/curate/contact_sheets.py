"""Contact sheets of what curation rejected, and of a sample of what it kept; ``review_app`` is where a person decides.

Reads images from their shards; writes SHEETS/REASON.png (a reason each, the most doubtful first) and SHEETS/kept.png (a
random sample). Sheets of an earlier run are removed, so that none outlives its reason.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont
import PIL.ImageOps

from pipeline.config.params import CurateParams
from pipeline.data.preprocess import Pixels
from pipeline.data.records import Image, Rejection
from pipeline.data.shards import read_index, read_pixels
from pipeline.data.storage import atomic_write
from pipeline.errors import DataError

COLUMNS = 8
CELL = (120, 160)
CAPTION = 40
MARGIN = 6
PAPER, INK, GREY = (250, 250, 248), (20, 20, 20), (110, 110, 110)


class Curated(Protocol):
    """What curation decided."""

    @property
    def kept(self) -> list[Image]:
        """Images that stay."""

    @property
    def rejected(self) -> list[Rejection]:
        """Images put aside, each with its reason."""


@dataclass(frozen=True, slots=True)
class Card:
    """One picture of a sheet and the three lines under it; pixels None where it cannot be decoded."""

    pixels: Pixels | None
    lines: tuple[str, str, str]


def write_sheets(params: CurateParams, result: Curated, images: Path, sheets: Path) -> list[Path]:
    """Write a contact sheet for each reason and one of kept images.

    Args:
        params: ``sheet_images`` a sheet at most; ``seed`` chooses the kept ones.
        result: What curation decided.
        images: Folder of the shards that the rejected and kept images lie in.
        sheets: Where the sheets go.

    Returns:
        The files written, kept.png last.
    """
    found = {image.id: image for image in read_index(images)}
    for stale in sheets.glob("*.png"):
        stale.unlink()
    reasons = dict.fromkeys(row.reason for row in result.rejected)
    pages: dict[str, list[Card]] = {}
    for reason in reasons:
        rows = sorted((row for row in result.rejected if row.reason == reason), key=lambda row: row.score)
        pages[reason] = [_rejected_card(images, found[row.image_id], row) for row in rows[: params.sheet_images]]
    pages["kept"] = [_kept_card(images, image) for image in _sample(result.kept, params)]
    written: list[Path] = []
    for name, cards in pages.items():
        written.append(sheets / f"{name}.png")
        with atomic_write(written[-1]) as file:
            file.write(draw_sheet(cards))
    return written


def draw_sheet(cards: Sequence[Card]) -> bytes:
    """Lay cards out in rows of eight and encode the sheet as PNG."""
    rows = max(1, -(-len(cards) // COLUMNS))
    step_x, step_y = CELL[0] + MARGIN, CELL[1] + CAPTION + MARGIN
    sheet = PIL.Image.new("RGB", (COLUMNS * step_x + MARGIN, rows * step_y + MARGIN), PAPER)
    pen = PIL.ImageDraw.Draw(sheet)
    font = PIL.ImageFont.load_default(10)
    for number, card in enumerate(cards):
        left, top = MARGIN + number % COLUMNS * step_x, MARGIN + number // COLUMNS * step_y
        if card.pixels is None:
            pen.rectangle((left, top, left + CELL[0] - 1, top + CELL[1] - 1), outline=GREY)
        else:
            sheet.paste(PIL.ImageOps.pad(PIL.Image.fromarray(card.pixels), CELL, color=PAPER), (left, top))
        for line, text in enumerate(card.lines):
            place = (left, top + CELL[1] + 2 + 12 * line)
            pen.text(place, _shorten(text, font), font=font, fill=INK if line == 0 else GREY)
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG")
    return buffer.getvalue()


def _shorten(text: str, font: PIL.ImageFont.FreeTypeFont | PIL.ImageFont.ImageFont) -> str:
    """Cut the middle out of a text that is wider than a cell: ids differ at both ends."""
    kept = len(text)
    short = text
    while font.getlength(short) > CELL[0] and kept > 4:
        kept -= 1
        short = f"{text[: kept // 2]}..{text[len(text) - (kept - kept // 2) :]}"
    return short


def _rejected_card(folder: Path, image: Image, row: Rejection) -> Card:
    said = row.detail.partition(" (")[0]  # what stands in brackets is for the desk: a cell is narrow
    return Card(_picture(folder, image), (f"{row.label}, score {row.score:.3f}", row.image_id, said))


def _kept_card(folder: Path, image: Image) -> Card:
    return Card(_picture(folder, image), (image.label, image.id, ""))


def _picture(folder: Path, image: Image) -> Pixels | None:
    try:
        return read_pixels(folder, image)
    except DataError:  # an image that cannot be read is on its sheet for that very reason: an empty frame shows it
        return None


def _sample(kept: Sequence[Image], params: CurateParams) -> list[Image]:
    count = min(params.sheet_images, len(kept))
    rows = np.random.default_rng(params.seed).choice(len(kept), count, replace=False)
    return [kept[row] for row in sorted(rows)]
