"""Curation: every image once, kept or rejected for a reason; the label never changes."""

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
from pipeline.curate.stage import CurateResult, Sources, run
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


def clean(scenes: int) -> list[Encoded]:
    return [
        encoded(f"{scene}-{label}", scene, label, portrait(scene, label)) for scene in range(scenes) for label in LABELS
    ]


def with_threshold(**values: float) -> CurateParams:
    return PARAMS.model_copy(update=values)


def curate(folder: Path, images: list[Encoded], params: CurateParams = PARAMS) -> CurateResult:
    return judge(folder, write_images(folder, images, 10), params)


def judge(
    folder: Path, records: list[Image], params: CurateParams = PARAMS, decisions: Sequence[Decision] = ()
) -> CurateResult:
    return run(params, records, Sources(folder, folder / "looks", decisions), POLICY)


def broken() -> list[Encoded]:
    """One picture a defect, named after the reason it must be rejected for."""
    day = portrait(3, "helmet")
    blurred = np.asarray(PIL.Image.fromarray(day).filter(PIL.ImageFilter.GaussianBlur(9)))
    unreadable = Encoded("unreadable", "u", "helmet", {}, b"\x89PNG torn", 96, 128)
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


def test_every_image_is_kept_or_rejected_for_the_reason_it_has(tmp_path: Path) -> None:
    images = [*clean(6), *broken()]
    result = curate(tmp_path, images)
    assert {row.image_id: row.reason for row in result.rejected} == {image.id: image.id for image in broken()}
    assert [image.id for image in result.kept] == [image.id for image in clean(6)]
    assert all(0 <= row.score < row.threshold <= 1 for row in result.rejected)


def test_kept_images_and_rejections_keep_their_label_and_record(tmp_path: Path) -> None:
    records = write_images(tmp_path, [*clean(6), *broken()], 10)
    result = judge(tmp_path, records)
    assert set(map(Image.model_dump_json, result.kept)) <= set(map(Image.model_dump_json, records))
    labels = {record.id: record.label for record in records}
    assert all(row.label == labels[row.image_id] for row in result.rejected)


def test_the_first_reason_is_recorded_and_the_others_are_told(tmp_path: Path) -> None:
    result = curate(tmp_path, [*clean(6), *broken()])
    details = {row.image_id: row.detail for row in result.rejected}
    assert details["dark"].startswith("also low_information")
    assert details["near_duplicate"] == "repeats 3-helmet"
    assert "cannot be decoded" in details["unreadable"]


def test_a_blurred_picture_does_not_displace_its_sharp_copy(tmp_path: Path) -> None:
    sharp = portrait(3, "helmet")
    soft = np.asarray(PIL.Image.fromarray(sharp).filter(PIL.ImageFilter.GaussianBlur(9)))
    images = [encoded("soft", 40, "helmet", soft), encoded("sharp", 41, "helmet", sharp), *clean(3)]
    kept = {image.id for image in curate(tmp_path, images).kept}
    assert "sharp" in kept
    assert "soft" not in kept


def test_thresholds_of_zero_switch_filters_off(tmp_path: Path) -> None:
    images = [*clean(6), *broken()[4:]]
    off = with_threshold(dark=0, light=0, low_information=0, blurry=0, near_duplicate=0, label_error=0, out_of_sample=0)
    assert curate(tmp_path, images, off).rejected == []


def test_a_persons_decisions_are_obeyed_and_the_checks_find_the_same(tmp_path: Path) -> None:
    records = write_images(tmp_path, [*clean(6), *broken()], 10)
    sha256 = {record.id: record.sha256 for record in records}
    at = datetime(2026, 1, 2, tzinfo=UTC)
    wishes: dict[str, Literal["keep", "drop"]] = {"dark": "keep", "3-helmet": "drop", "unreadable": "keep"}
    decisions = [
        Decision(image_id=name, sha256=sha256[name], decision=wish, reason="", decided_at=at)
        for name, wish in wishes.items()
    ]
    result = judge(tmp_path, records, PARAMS, decisions)
    reasons = {row.image_id: row.reason for row in result.rejected}
    expected = {image.id: image.id for image in broken() if image.id != "dark"}
    assert reasons == {**expected, "3-helmet": "decision"}
    assert "dark" in {image.id for image in result.kept}
    assert result.metrics["decisions"] == {"kept": 1, "dropped": 1, "unknown": 0, "stale": 0}
    assert result.metrics["images"] == result.metrics["kept"] + result.metrics["rejected"]


def test_the_metrics_add_up_and_tell_who_was_thrown_away(tmp_path: Path) -> None:
    result = curate(tmp_path, [*clean(6), *broken()])
    metrics = result.metrics
    assert metrics["images"] == metrics["kept"] + metrics["rejected"] == 21
    assert metrics["reasons"] == {image.id: 1 for image in broken()}
    by = metrics["rejection_rate_by"]
    assert {value: found["rate"] for value, found in by["label"].items()} == {"helmet": 8 / 14, "no_helmet": 1 / 7}
    assert {value: found["rate"] for value, found in by["light"].items()} == {
        "day": 2 / 6,
        "indoor": 1 / 5,
        "night": 2 / 6,
    }
    assert all(found["low"] < found["rate"] < found["high"] for of in by.values() for found in of.values())
    assert metrics["losing_slices"] == {}
    assert metrics["opinions"]["verifier"]["agreement"] > 0.5


def test_a_slice_that_loses_more_than_its_share_is_warned_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dark = np.full((128, 96, 3), 3, np.uint8)
    by_day = [encoded(f"dark-{scene}", scene, "helmet", dark) for scene in range(60, 108, 3)]
    result = curate(tmp_path, [*clean(36), *by_day])
    assert result.metrics["losing_slices"] == {"light=day": 27}
    said = capsys.readouterr().err
    assert "light=day loses 40.0% of 40 images" in said
    assert "prompts.top_up: {light=day: 27}" in said


def test_labels_that_cannot_be_judged_are_said_to_be_unjudged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = clean(4)
    wrong = [replace(image, label=OTHER[image.label]) if row < 4 else image for row, image in enumerate(images)]
    result = curate(tmp_path, wrong)
    assert [opinion["counts"] for opinion in result.metrics["opinions"].values()] == [False, False]
    said = capsys.readouterr().err
    assert "the out_of_fold opinion on labels does not count: only 4 images of" in said
    assert "the verifier opinion on labels does not count: it agrees with only 50% of the labels" in said
    assert "curate: labels were not judged" in said
    assert result.rejected == []


def test_planted_label_errors_go_and_good_labels_stay(tmp_path: Path) -> None:
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
    result = judge(tmp_path, records)
    accused = {row.image_id: row for row in result.rejected if row.reason == "label_error"}
    assert set(accused) == {records[row].id for row in swapped}
    for row in accused.values():
        assert row.detail.startswith(f"looks like {OTHER[row.label]} (out_of_fold ")
        assert ", verifier " in row.detail
    assert 2 <= result.metrics["expected_label_errors"] <= 6
    assert all(opinion["counts"] for opinion in result.metrics["opinions"].values())


def test_what_is_like_nothing_else_goes(tmp_path: Path) -> None:
    stripes = np.random.default_rng(0).integers(0, 255, (128, 96, 3)).astype(np.uint8)
    stranger = encoded("stranger", 60, "helmet", stripes)
    result = curate(tmp_path, [*clean(30), stranger], with_threshold(label_error=0, out_of_sample=0.23))
    assert [(row.image_id, row.reason) for row in result.rejected] == [("stranger", "out_of_sample")]


def test_a_changed_threshold_looks_at_nothing_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records = write_images(tmp_path, [*clean(6), *broken()], 10)
    judge(tmp_path, records)
    monkeypatch.setattr("pipeline.curate.feature_cache.read_bytes", lambda *_: pytest.fail("read again"))
    result = judge(tmp_path, records, with_threshold(dark=0))
    assert {row.image_id: row.reason for row in result.rejected}["dark"] == "low_information"


def test_a_verifier_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match="verifier: 'clipp'; expected one of attributes, clip"):
        curate(tmp_path, clean(3), PARAMS.model_copy(update={"verifier": "clipp"}))


def test_the_verifiers_section_is_checked(tmp_path: Path) -> None:
    params = CurateParams.model_validate({**PARAMS.model_dump(), "attributes": {"weights": 3}})
    with pytest.raises(ParamsError, match=r"curate\.attributes\.weights: 3"):
        curate(tmp_path, clean(3), params)


def test_no_images_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no images; expected at least one of each label"):
        judge(tmp_path, [])


def test_a_label_the_policy_does_not_know_is_refused(tmp_path: Path) -> None:
    images = [*clean(3), encoded("turban", 9, "turban", portrait(9, "helmet"))]
    with pytest.raises(DataError, match=r"found images of .*turban 1; expected images of no_helmet, helmet"):
        curate(tmp_path, images)


def test_a_label_without_images_is_refused(tmp_path: Path) -> None:
    only = [image for image in clean(4) if image.label == "helmet"]
    with pytest.raises(DataError, match="found images of helmet 4; expected images of no_helmet, helmet"):
        curate(tmp_path, only)


def test_images_that_share_an_id_all_go(tmp_path: Path) -> None:
    result = curate(tmp_path, [*clean(3), *clean(1)])
    assert [(row.image_id, row.reason, row.detail) for row in result.rejected] == [
        (name, "duplicate_id", "2 images have this id") for name in ["0-no_helmet", "0-helmet"] * 2
    ]


def test_a_label_with_three_images_leaves_its_labels_to_the_verifier(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = [image for row, image in enumerate(clean(8)) if image.label == "helmet" or row < 6]
    result = curate(tmp_path, images)
    assert result.metrics["kept"] == 11
    assert "only 3 images of no_helmet in 3 groups" in capsys.readouterr().err


def test_nothing_kept_names_the_threshold_that_did_it(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"none of 4 images of no_helmet would be kept; 4 were rejected as dark .*below 1"
    ):
        curate(tmp_path, clean(4), with_threshold(dark=1.0))


def test_a_picture_that_is_not_the_indexs_goes_and_the_others_stay(tmp_path: Path) -> None:
    records = write_images(tmp_path, clean(3), 10)
    shard = tmp_path / records[0].shard
    data = bytearray(shard.read_bytes())
    data[records[2].offset + 40] ^= 255
    shard.write_bytes(bytes(data))
    (row,) = judge(tmp_path, records).rejected
    assert (row.image_id, row.reason) == (records[2].id, "unreadable")
    assert "is not the one in index.jsonl" in row.detail


def test_shards_that_are_gone_are_named(tmp_path: Path) -> None:
    records = write_images(tmp_path, clean(3), 10)
    (tmp_path / records[0].shard).unlink()
    with pytest.raises(DataError, match=r"none of 3 images of no_helmet would be kept; 3 were rejected as unreadable"):
        judge(tmp_path, records)
