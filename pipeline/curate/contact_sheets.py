"""Contact sheets: thumbnails of rejected images, one sheet per reason, and of a random sample of kept images.

Reads images from their shards; writes SHEETS/REASON.png (lowest scores first) and SHEETS/kept.png. Sheets of an earlier
run are deleted first, so that no sheet of an outdated reason remains. Decisions are made in ``review_app``, not here.
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
from pipeline.data.storage import atomic_folder
from pipeline.errors import DataError

COLUMNS = 8
CELL = (120, 160)
CAPTION = 40
MARGIN = 6
PAPER, INK, GREY = (250, 250, 248), (20, 20, 20), (110, 110, 110)


class CurationOutcome(Protocol):
    """Kept and rejected images: the part of ``CurateResult`` that sheets need."""

    @property
    def kept(self) -> list[Image]:
        """Kept images."""

    @property
    def rejected(self) -> list[Rejection]:
        """Rejections, each with its reason and score."""


@dataclass(frozen=True, slots=True)
class Card:
    """One cell of a sheet: uint8 (height, width, 3) RGB, or None if undecodable, and the three lines below it."""

    pixels: Pixels | None
    lines: tuple[str, str, str]


def write_contact_sheets(params: CurateParams, result: CurationOutcome, images: Path, sheets: Path) -> list[Path]:
    """Write one contact sheet per rejection reason, and one of kept images.

    Args:
        params: ``sheet_images`` limits the images of a sheet; ``seed`` selects the kept ones.
        result: Kept and rejected images.
        images: Folder of the shards that hold them.
        sheets: Folder to write; sheets of an earlier run are replaced.

    Raises:
        UsageError: The folder holds anything else.

    Returns:
        Paths of the sheets, kept.png last.
    """
    by_id = {image.id: image for image in read_index(images)}
    reasons = dict.fromkeys(row.reason for row in result.rejected)
    pages: dict[str, list[Card]] = {}
    for reason in reasons:
        rows = sorted((row for row in result.rejected if row.reason == reason), key=lambda row: row.score)
        pages[reason] = [_rejected_card(images, by_id[row.image_id], row) for row in rows[: params.sheet_images]]
    pages["kept"] = [_kept_card(images, image) for image in _sample(result.kept, params)]
    with atomic_folder(sheets, own=("kept.png", "*.png")) as folder:
        for name, cards in pages.items():
            (folder / f"{name}.png").write_bytes(draw_sheet(cards))
    return [sheets / f"{name}.png" for name in pages]


def draw_sheet(cards: Sequence[Card]) -> bytes:
    """Lay cards out in rows of ``COLUMNS`` and encode the sheet as PNG."""
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
    """Replace the middle of a text that is wider than a cell by dots: ids differ at both ends."""
    length = len(text)
    short = text
    while font.getlength(short) > CELL[0] and length > 4:
        length -= 1
        short = f"{text[: length // 2]}..{text[len(text) - (length - length // 2) :]}"
    return short


def _rejected_card(folder: Path, image: Image, row: Rejection) -> Card:
    summary = row.detail.partition(" (")[0]  # a cell is narrow; the review app shows the part in brackets too
    return Card(_read_pixels(folder, image), (f"{row.label}, score {row.score:.3f}", row.image_id, summary))


def _kept_card(folder: Path, image: Image) -> Card:
    return Card(_read_pixels(folder, image), (image.label, image.id, ""))


def _read_pixels(folder: Path, image: Image) -> Pixels | None:
    try:
        return read_pixels(folder, image)
    except DataError:  # an unreadable image was rejected for just that: the sheet shows an empty frame
        return None


def _sample(kept: Sequence[Image], params: CurateParams) -> list[Image]:
    count = min(params.sheet_images, len(kept))
    rows = np.random.default_rng(params.seed).choice(len(kept), count, replace=False)
    return [kept[row] for row in sorted(rows)]
