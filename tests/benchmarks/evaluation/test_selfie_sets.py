"""Test sets are found in data/selfies, and what is no finished set is an error."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.evaluation.selfie_sets import CARD, read_selfie_sets, set_folder, take_headline
from pipeline.errors import DataError
from tests.benchmarks.small_task import write_photographs, write_selfies


def test_the_rendered_set_lies_at_the_top_and_every_other_in_a_folder_of_its_name(tmp_path: Path) -> None:
    rows, street = write_selfies(tmp_path), write_photographs(tmp_path)
    sets = read_selfie_sets(tmp_path)
    assert list(sets) == ["rendered", "street"]
    assert (sets["rendered"].folder, sets["rendered"].rows) == (tmp_path, rows)
    assert sets["street"] == street
    assert set_folder(tmp_path, "street") == street.folder


def test_the_headline_is_taken_by_its_name(tmp_path: Path) -> None:
    write_selfies(tmp_path)
    write_photographs(tmp_path)
    headline, others = take_headline(read_selfie_sets(tmp_path), "street", tmp_path)
    assert (headline.card.name, [one.card.name for one in others]) == ("street", ["rendered"])
    with pytest.raises(DataError, match=r"no test set 'stret', which is measure\.headline.*found rendered, street"):
        take_headline(read_selfie_sets(tmp_path), "stret", tmp_path)


def test_a_folder_without_a_card_is_unfinished(tmp_path: Path) -> None:
    write_selfies(tmp_path)
    (write_photographs(tmp_path).folder / CARD).unlink()
    with pytest.raises(DataError, match=rf"street: no {CARD}; expected a finished test set"):
        read_selfie_sets(tmp_path)


def test_a_renamed_folder_is_refused(tmp_path: Path) -> None:
    folder = write_photographs(tmp_path).folder
    folder.rename(folder.with_name("garage"))
    with pytest.raises(DataError, match="of the test set 'street'; expected 'garage'"):
        read_selfie_sets(tmp_path)


def test_no_test_set_at_all_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no selfies; run dvc repro selfies"):
        read_selfie_sets(tmp_path / "none")
