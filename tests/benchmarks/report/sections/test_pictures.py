"""Pictures of the page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from benchmarks.evaluation.predictions import CHECKPOINT, Predictions
from benchmarks.report.inputs import Gallery, ReportInput
from benchmarks.report.sections.pictures import contact_sheets, misclassified_selfies, training_samples
from pipeline.data.records import Image

Table = Callable[..., Predictions]


@pytest.fixture
def gallery(selfies: tuple[Path, list[Image]]) -> Gallery:
    return Gallery(*selfies)


def test_misclassified_selfies_come_with_the_highest_probability_first(gallery: Gallery, table: Table) -> None:
    predictions = table(40, {CHECKPOINT: 4})
    predictions.probabilities[CHECKPOINT][2] = (0.05, 0.95)  # selfie-2 has no helmet: the surest of four errors
    inputs = ReportInput("helmet", "?", selfies={"rendered": gallery}, predictions=predictions)
    shown = misclassified_selfies(inputs, 3)
    assert shown is not None
    assert [picture.title for picture in shown] == [
        "no_helmet, decided helmet",
        "no_helmet, decided helmet",
        "helmet, decided no_helmet",
    ]
    assert shown[0].lines[0] == "p(helmet) 0.95"
    assert shown[0].lines[1].startswith("artifacts 0.20 (")
    assert shown[0].factors == ("light=night", "scenario=indoors")
    assert all(picture.uri.startswith("data:image/jpeg;base64,") for picture in shown)


def test_selfies_that_are_no_longer_there_are_left_out(gallery: Gallery, table: Table) -> None:
    inputs = ReportInput("helmet", "?", selfies={"rendered": gallery}, predictions=table(40, {CHECKPOINT: 4}))
    fewer = replace(inputs, selfies={"rendered": Gallery(gallery.folder, gallery.rows[3:])})
    shown = misclassified_selfies(fewer, 10)
    assert shown is not None
    assert len(shown) == 1


def test_without_valid_predictions_misclassified_selfies_are_unmeasured(gallery: Gallery, table: Table) -> None:
    broken = table(40)
    broken.probabilities[CHECKPOINT][3] = np.nan
    inputs = ReportInput("helmet", "?", selfies={"rendered": gallery})
    assert misclassified_selfies(replace(inputs, predictions=broken), 3) is None
    assert misclassified_selfies(inputs, 3) is None


def test_samples_are_spread_over_the_training_images(gallery: Gallery) -> None:
    inputs = ReportInput("helmet", "?", training=gallery)
    assert len(training_samples(inputs, 6)) == 6
    assert len(training_samples(inputs, 100)) == 40
    assert training_samples(inputs, 0) == []
    first, *_, last = training_samples(inputs, 6)
    assert (first.title, first.factor_values) == ("no_helmet", "street, night")
    assert (last.title, last.factor_values) == ("helmet", "indoors, day")


def test_contact_sheets_are_titled_by_their_file(tmp_path: Path) -> None:
    PIL.Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(tmp_path / "label_error.png")
    (sheet,) = contact_sheets(ReportInput("helmet", "?", contact_sheets=[tmp_path / "label_error.png"]))
    assert sheet.title == "label error"
