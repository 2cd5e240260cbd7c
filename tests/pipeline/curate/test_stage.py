"""Curation keeps or rejects every image once, with the expected reason, and changes no label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import numpy as np
import PIL.Image
import PIL.ImageFilter
import pytest

from pipeline.config.params import CurateParams, load_params
from pipeline.config.policy import load_policy
from pipeline.curate.stage import CurateInputs, CurateResult, run
from pipeline.data.preprocess import Pixels, encode_png
from pipeline.data.records import Decision, Image
from pipeline.data.shards import Encoded, write_images
from pipeline.errors import DataError, ParamsError
from pipeline.renderer import render
from tests.conftest import ROOT

LABELS = ("no_helmet", "helmet")
OTHER = {"helmet": "no_helmet", "no_helmet": "helmet"}
HEADWEAR = {"no_helmet": "none", "helmet": "road_helmet"}
PARAMS = load_params().curate.model_copy(update={"workers": 1})
POLICY = load_policy(ROOT / "policies" / "helmet.yaml")


def portrait(scene: int, label: str) -> Pixels:
    light = ("day", "indoor", "night")[scene % 3]
    return render({"headwear": HEADWEAR[label], "light": light, "framing": "close_up"}, scene, (96, 128))


def encoded(name: str, scene: int, label: str, pixels: Pixels) -> Encoded:
    height, width = pixels.shape[:2]
    factors = {"light": ("day", "indoor", "night")[scene % 3]}
    return Encoded(name, f"scene-{scene}", label, factors, encode_png(pixels), width, height)


def intact(scenes: int) -> list[Encoded]:
    return [
        encoded(f"{scene}-{label}", scene, label, portrait(scene, label)) for scene in range(scenes) for label in LABELS
    ]


def with_threshold(**values: float) -> CurateParams:
    return PARAMS.model_copy(update=values)


def curate(folder: Path, images: list[Encoded], params: CurateParams = PARAMS) -> CurateResult:
    return curate_records(folder, write_images(folder, images, 10), params)


def curate_records(
    folder: Path, records: list[Image], params: CurateParams = PARAMS, decisions: Sequence[Decision] = ()
) -> CurateResult:
    return run(params, records, CurateInputs(folder, folder / "work", decisions), POLICY)


def defective() -> list[Encoded]:
    """Return one image per defect; its id is the reason for which it must be rejected."""
    day = portrait(3, "helmet")
    blurred = np.asarray(PIL.Image.fromarray(day).filter(PIL.ImageFilter.GaussianBlur(9)))
    unreadable = Encoded("unreadable", "u", "helmet", {}, b"\x89PNG truncated", 96, 128)
    black = Encoded("black", "b", "no_helmet", {}, encode_png(np.zeros((128, 96, 3), np.uint8)), 96, 128, "black")
    nan = Encoded("nan", "n", "helmet", {}, encode_png(np.zeros((128, 96, 3), np.uint8)), 96, 128, "nan")
    nsfw = Encoded("nsfw", "s", "helmet", {}, encode_png(np.zeros((128, 96, 3), np.uint8)), 96, 128, "nsfw")
    return [
        unreadable,
        black,
        nan,
        nsfw,
        encoded("dark", 50, "helmet", np.full((128, 96, 3), 3, np.uint8)),
        encoded("light", 51, "helmet", np.full((128, 96, 3), 254, np.uint8)),
        encoded("low_information", 52, "helmet", np.full((128, 96, 3), 128, np.uint8)),
        encoded("blurry", 53, "helmet", blurred),
        encoded("near_duplicate", 54, "helmet", day),
    ]


def test_each_image_is_kept_or_rejected_for_its_defect(tmp_path: Path) -> None:
    images = [*intact(6), *defective()]
    result = curate(tmp_path, images)
    assert {row.image_id: row.reason for row in result.rejected} == {image.id: image.id for image in defective()}
    assert [image.id for image in result.kept] == [image.id for image in intact(6)]
    assert all(0 <= row.score < row.threshold <= 1 for row in result.rejected)


def test_kept_images_are_unchanged_and_rejections_keep_their_label(tmp_path: Path) -> None:
    records = write_images(tmp_path, [*intact(6), *defective()], 10)
    result = curate_records(tmp_path, records)
    assert set(map(Image.model_dump_json, result.kept)) <= set(map(Image.model_dump_json, records))
    labels = {record.id: record.label for record in records}
    assert all(row.label == labels[row.image_id] for row in result.rejected)


def test_the_first_reason_is_recorded_and_the_detail_lists_the_others(tmp_path: Path) -> None:
    result = curate(tmp_path, [*intact(6), *defective()])
    details = {row.image_id: row.detail for row in result.rejected}
    assert details["dark"].startswith("also low_information")
    assert details["near_duplicate"] == "repeats 3-helmet"
    assert "cannot be decoded" in details["unreadable"]


def test_a_blurred_image_does_not_displace_its_sharp_duplicate(tmp_path: Path) -> None:
    sharp = portrait(3, "helmet")
    soft = np.asarray(PIL.Image.fromarray(sharp).filter(PIL.ImageFilter.GaussianBlur(9)))
    images = [encoded("soft", 40, "helmet", soft), encoded("sharp", 41, "helmet", sharp), *intact(3)]
    kept = {image.id for image in curate(tmp_path, images).kept}
    assert "sharp" in kept
    assert "soft" not in kept


def test_thresholds_of_zero_switch_checks_off(tmp_path: Path) -> None:
    images = [*intact(6), *defective()[4:]]
    off = with_threshold(dark=0, light=0, low_information=0, blurry=0, near_duplicate=0, label_error=0, out_of_sample=0)
    assert curate(tmp_path, images, off).rejected == []


def test_manual_decisions_override_the_checks_and_do_not_change_other_findings(tmp_path: Path) -> None:
    records = write_images(tmp_path, [*intact(6), *defective()], 10)
    sha256 = {record.id: record.sha256 for record in records}
    at = datetime(2026, 1, 2, tzinfo=UTC)
    choices: dict[str, Literal["keep", "drop"]] = {"dark": "keep", "3-helmet": "drop", "unreadable": "keep"}
    decisions = [
        Decision(image_id=name, sha256=sha256[name], decision=choice, reason="", decided_at=at)
        for name, choice in choices.items()
    ]
    result = curate_records(tmp_path, records, PARAMS, decisions)
    reasons = {row.image_id: row.reason for row in result.rejected}
    expected = {image.id: image.id for image in defective() if image.id != "dark"}
    assert reasons == {**expected, "3-helmet": "decision"}
    assert "dark" in {image.id for image in result.kept}
    assert result.metrics["decisions"] == {"kept": 1, "dropped": 1, "unknown": 0, "stale": 0}
    assert result.metrics["images"] == result.metrics["kept"] + result.metrics["rejected"]


def test_the_metrics_add_up_and_give_the_rejection_rate_of_each_slice(tmp_path: Path) -> None:
    result = curate(tmp_path, [*intact(6), *defective()])
    metrics = result.metrics
    assert metrics["images"] == metrics["kept"] + metrics["rejected"] == 21
    assert metrics["reasons"] == {image.id: 1 for image in defective()}
    by = metrics["rejection_rate_by"]
    assert {value: row["rate"] for value, row in by["label"].items()} == {"helmet": 8 / 14, "no_helmet": 1 / 7}
    assert {value: row["rate"] for value, row in by["light"].items()} == {
        "day": 2 / 6,
        "indoor": 1 / 5,
        "night": 2 / 6,
    }
    assert all(row["low"] < row["rate"] < row["high"] for values in by.values() for row in values.values())
    assert metrics["over_rejected_slices"] == {}
    assert metrics["label_predictors"]["verifier"]["agreement"] > 0.5


def test_a_warning_names_an_over_rejected_slice_and_its_replacement(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dark = np.full((128, 96, 3), 3, np.uint8)
    by_day = [encoded(f"dark-{scene}", scene, "helmet", dark) for scene in range(60, 108, 3)]
    result = curate(tmp_path, [*intact(36), *by_day])
    assert result.metrics["over_rejected_slices"] == {"light=day": 27}
    warnings = capsys.readouterr().err
    assert "light=day: 40.0% of 40 images are rejected" in warnings
    assert "prompts.top_up: {light=day: 27}" in warnings


def test_a_warning_says_that_labels_were_not_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images = intact(4)
    wrong = [replace(image, label=OTHER[image.label]) if row < 4 else image for row, image in enumerate(images)]
    result = curate(tmp_path, wrong)
    assert [predictor["used"] for predictor in result.metrics["label_predictors"].values()] == [False, False]
    warnings = capsys.readouterr().err
    assert "label predictor out_of_fold is not used: only 4 images of" in warnings
    assert "label predictor verifier is not used: it agrees with 4 of 8 labels, not significantly more" in warnings
    assert "the verifier does not know these labels, or the images do not show them" in warnings
    assert "the gate is unmeasured" in warnings
    assert "curate: labels were not checked" in warnings
    assert result.rejected == []


def test_planted_label_errors_are_rejected_and_right_labels_kept(tmp_path: Path) -> None:
    hats = {"no_helmet": {"headwear": "none"}, "helmet": {"headwear": "urban_helmet", "headwear_colour": "yellow"}}
    images = [
        encoded(f"{scene}-{label}", scene, label, render({**hats[label], "framing": "close_up"}, scene, (96, 128)))
        for scene in range(40)
        for label in LABELS
    ]
    swapped = {5, 22, 47, 68}
    records = [
        record.model_copy(update={"label": OTHER[record.label]}) if row in swapped else record
        for row, record in enumerate(write_images(tmp_path, images, 50))
    ]
    result = curate_records(tmp_path, records)
    rejected = {row.image_id: row for row in result.rejected if row.reason == "label_error"}
    assert set(rejected) == {records[row].id for row in swapped}
    for row in rejected.values():
        assert row.detail.startswith(f"looks like {OTHER[row.label]} (out_of_fold ")
        assert ", verifier " in row.detail
    assert 2 <= result.metrics["expected_label_errors"] <= 6
    assert all(predictor["used"] for predictor in result.metrics["label_predictors"].values())


def test_an_image_unlike_all_others_is_rejected(tmp_path: Path) -> None:
    stripes = np.random.default_rng(0).integers(0, 255, (128, 96, 3)).astype(np.uint8)
    outlier = encoded("outlier", 60, "helmet", stripes)
    result = curate(tmp_path, [*intact(30), outlier], with_threshold(label_error=0, out_of_sample=0.23))
    assert [(row.image_id, row.reason) for row in result.rejected] == [("outlier", "out_of_sample")]


def test_a_changed_threshold_reads_no_image_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records = write_images(tmp_path, [*intact(6), *defective()], 10)
    curate_records(tmp_path, records)
    monkeypatch.setattr("pipeline.curate.feature_cache.read_bytes", lambda *_: pytest.fail("read again"))
    result = curate_records(tmp_path, records, with_threshold(dark=0))
    assert {row.image_id: row.reason for row in result.rejected}["dark"] == "low_information"


def test_an_unknown_verifier_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match="verifier: 'clipp'; expected one of attributes, clip"):
        curate(tmp_path, intact(3), PARAMS.model_copy(update={"verifier": "clipp"}))


def test_the_section_of_the_verifier_is_validated(tmp_path: Path) -> None:
    params = CurateParams.model_validate({**PARAMS.model_dump(), "attributes": {"weights": 3}})
    with pytest.raises(ParamsError, match=r"curate\.attributes\.weights: 3"):
        curate(tmp_path, intact(3), params)


def test_a_folder_without_images_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no images; expected at least one of each label"):
        curate_records(tmp_path, [])


def test_a_label_that_is_not_in_the_policy_is_an_error(tmp_path: Path) -> None:
    images = [*intact(3), encoded("turban", 9, "turban", portrait(9, "helmet"))]
    with pytest.raises(DataError, match=r"found images of .*turban 1; expected images of no_helmet, helmet"):
        curate(tmp_path, images)


def test_a_label_without_images_is_an_error(tmp_path: Path) -> None:
    only = [image for image in intact(4) if image.label == "helmet"]
    with pytest.raises(DataError, match="found images of helmet 4; expected images of no_helmet, helmet"):
        curate(tmp_path, only)


def test_all_images_of_a_duplicate_id_are_rejected(tmp_path: Path) -> None:
    result = curate(tmp_path, [*intact(3), *intact(1)])
    assert [(row.image_id, row.reason, row.detail) for row in result.rejected] == [
        (name, "duplicate_id", "2 images have this id") for name in ["0-no_helmet", "0-helmet"] * 2
    ]


def test_labels_are_checked_by_the_verifier_alone_if_a_label_has_three_images(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = [image for row, image in enumerate(intact(8)) if image.label == "helmet" or row < 6]
    result = curate(tmp_path, images)
    assert result.metrics["kept"] == 11
    assert "only 3 images of no_helmet in 3 groups" in capsys.readouterr().err


def test_rejecting_all_images_of_a_label_is_an_error_that_names_the_threshold(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"none of 4 images of no_helmet would be kept; 4 were rejected as dark .*below 1"
    ):
        curate(tmp_path, intact(4), with_threshold(dark=1.0))


def test_an_image_that_differs_from_the_index_is_rejected(tmp_path: Path) -> None:
    records = write_images(tmp_path, intact(3), 10)
    shard = tmp_path / records[0].shard
    data = bytearray(shard.read_bytes())
    data[records[2].offset + 40] ^= 255
    shard.write_bytes(bytes(data))
    (row,) = curate_records(tmp_path, records).rejected
    assert (row.image_id, row.reason) == (records[2].id, "unreadable")
    assert "is not the one in index.jsonl" in row.detail


def test_a_missing_shard_is_an_error_that_names_the_reason(tmp_path: Path) -> None:
    records = write_images(tmp_path, intact(3), 10)
    (tmp_path / records[0].shard).unlink()
    with pytest.raises(DataError, match=r"none of 3 images of no_helmet would be kept; 3 were rejected as unreadable"):
        curate_records(tmp_path, records)
