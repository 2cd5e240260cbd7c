"""Contact sheets: one per reason, lowest scores first, none left from an earlier run."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from pipeline.config.params import CurateParams, load_params
from pipeline.curate.contact_sheets import CAPTION, CELL, COLUMNS, MARGIN, Card, draw_sheet, write_contact_sheets
from pipeline.data.preprocess import encode_png
from pipeline.data.records import Image, Rejection
from pipeline.data.shards import Encoded, write_images
from pipeline.errors import UsageError

PARAMS = load_params().curate
STEP_X, STEP_Y = CELL[0] + MARGIN, CELL[1] + CAPTION + MARGIN


@dataclass(frozen=True, slots=True)
class Outcome:
    kept: list[Image]
    rejected: list[Rejection] = field(default_factory=list)


def write(folder: Path, count: int) -> list[Image]:
    """Write plain images; the red of image n is 10 n."""
    shades = (np.full((32, 24, 3), (10 * number, 0, 0), np.uint8) for number in range(count))
    images = [
        Encoded(f"scene-{number}", f"g{number}", "helmet", {}, encode_png(shade), 24, 32)
        for number, shade in enumerate(shades)
    ]
    return write_images(folder, images, 10)


def rejection(image: Image, reason: str, score: float) -> Rejection:
    return Rejection(image_id=image.id, label=image.label, reason=reason, score=score, threshold=0.5)


def small(count: int) -> CurateParams:
    return PARAMS.model_copy(update={"sheet_images": count})


def shade_at(sheet: Path, cell: int) -> int:
    """Return the red value at the centre of a cell."""
    left, top = MARGIN + cell % COLUMNS * STEP_X, MARGIN + cell // COLUMNS * STEP_Y
    with PIL.Image.open(sheet) as picture:
        return int(np.asarray(picture)[top + CELL[1] // 2, left + CELL[0] // 2, 0])


def test_each_reason_gets_a_sheet_with_the_lowest_scores_first(tmp_path: Path) -> None:
    images = write(tmp_path / "images", 6)
    rejected = [
        rejection(images[1], "dark", 0.4),
        rejection(images[2], "blurry", 0.2),
        rejection(images[3], "dark", 0.1),
    ]
    outcome = Outcome([images[0], *images[4:]], rejected)
    written = write_contact_sheets(small(8), outcome, tmp_path / "images", tmp_path / "sheets")
    assert [path.name for path in written] == ["dark.png", "blurry.png", "kept.png"]
    assert [shade_at(written[0], cell) for cell in (0, 1)] == [30, 10]
    assert shade_at(written[1], 0) == 20
    assert [shade_at(written[2], cell) for cell in range(3)] == [0, 40, 50]


def test_a_sheet_holds_at_most_the_configured_number_of_images(tmp_path: Path) -> None:
    images = write(tmp_path / "images", 20)
    (path,) = write_contact_sheets(small(9), Outcome(images), tmp_path / "images", tmp_path / "sheets")
    with PIL.Image.open(path) as sheet:
        assert sheet.size == (COLUMNS * STEP_X + MARGIN, 2 * STEP_Y + MARGIN)
    assert shade_at(path, 8) < 250 == shade_at(path, 9)


def test_sheets_of_an_earlier_run_are_deleted_but_no_pictures_of_somebody_else(tmp_path: Path) -> None:
    images = write(tmp_path / "images", 2)
    (tmp_path / "sheets").mkdir()
    (tmp_path / "sheets" / "light.png").write_bytes(b"old")
    with pytest.raises(UsageError, match=r"not a folder that Gossamer wrote: it has no kept\.png"):
        write_contact_sheets(PARAMS, Outcome(images), tmp_path / "images", tmp_path / "sheets")
    assert [path.name for path in (tmp_path / "sheets").iterdir()] == ["light.png"]
    (tmp_path / "sheets" / "kept.png").write_bytes(b"old")
    write_contact_sheets(PARAMS, Outcome(images), tmp_path / "images", tmp_path / "sheets")
    assert [path.name for path in (tmp_path / "sheets").iterdir()] == ["kept.png"]


def test_an_image_that_cannot_be_decoded_leaves_an_empty_frame(tmp_path: Path) -> None:
    damaged = Encoded("damaged", "g", "helmet", {}, b"\x89PNG but no more", 24, 32)
    images = write_images(tmp_path / "images", [damaged], 1)
    outcome = Outcome([], [rejection(images[0], "unreadable", 0.0)])
    written = write_contact_sheets(PARAMS, outcome, tmp_path / "images", tmp_path / "sheets")
    assert [path.name for path in written] == ["unreadable.png", "kept.png"]
    assert shade_at(written[0], 0) == 250


def test_the_same_decisions_give_the_same_bytes(tmp_path: Path) -> None:
    images = write(tmp_path / "images", 12)
    first = write_contact_sheets(small(4), Outcome(images), tmp_path / "images", tmp_path / "a")[0].read_bytes()
    assert first == write_contact_sheets(small(4), Outcome(images), tmp_path / "images", tmp_path / "b")[0].read_bytes()


@pytest.mark.parametrize("text", ["short", "scene-00001-helmet-with-a-very-long-name-indeed"])
def test_captions_stay_inside_their_cell(text: str) -> None:
    cards = [Card(None, (text, text, text)), Card(None, ("", "", ""))]
    sheet = np.asarray(PIL.Image.open(io.BytesIO(draw_sheet(cards))))
    below = sheet[MARGIN + CELL[1] : MARGIN + CELL[1] + CAPTION]
    assert below[:, : MARGIN + CELL[0]].min() < 200
    assert below[:, MARGIN + CELL[0] :].min() >= 248
