"""Figures of distorted selfies, against ones worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.robustness import metrics
from benchmarks.robustness.distortions import DISTORTIONS, MISTAKES
from benchmarks.robustness.metrics import CLEAN, Decisions, Look, every_look, looks_at

TARGETS = np.tile([0, 1], 10)


def decided(wrong: int, count: int = 20) -> np.ndarray:
    """Decisions of which the first so many are wrong."""
    return np.where(np.arange(count) < wrong, 1 - TARGETS[:count], TARGETS[:count])


@pytest.fixture
def found() -> Decisions:
    """Twenty selfies, ten shown to one artifact; JPEG harms more with severity, night noise at once, the rest not."""
    own = {look: decided(2) for look in every_look()}
    own |= {Look("jpeg", k): decided(2 + k) for k in range(1, 6)} | {Look("night_noise", 3): decided(10)}
    own[Look("bgr", 1)] = decided(20)
    seen = {look: decided(2, 10) for look in (CLEAN, *looks_at(3))} | {Look("jpeg", 3): decided(7, 10)}
    return Decisions(TARGETS, own, {"onnx-float32": seen}, few=10, severity=3, confidence=0.95)


def test_each_severity_has_its_rate_and_its_interval(found: Decisions) -> None:
    rows = metrics.camera(found)
    assert list(rows) == list(DISTORTIONS)
    assert [rows["jpeg"][str(k)]["accuracy"] for k in range(1, 6)] == [0.85, 0.8, 0.75, 0.7, 0.65]
    row = rows["jpeg"]["3"]
    assert row["count"] == 20
    assert row["accuracy_low"] < 0.75 < row["accuracy_high"]
    assert list(rows["mirror"]) == ["1"]


def test_artifacts_stand_at_their_severity_beside_the_checkpoint_on_the_same_selfies(found: Decisions) -> None:
    rows = metrics.camera(found)
    row = rows["jpeg"]["3"]
    assert (row["artifacts_count"], row["checkpoint_of_same"], row["artifacts"]) == (10, 0.5, {"onnx-float32": 0.3})
    assert "artifacts" not in rows["jpeg"]["2"]
    assert rows["mirror"]["1"]["artifacts"] == {"onnx-float32": 0.8}, "what has one severity is shown at it"


def test_the_mean_over_distortions_and_how_it_compares(found: Decisions) -> None:
    kinds = len(DISTORTIONS)
    row = metrics.columns(found)["onnx-float32"]
    mean = ((kinds - 1) * 0.8 + 0.3) / kinds
    assert row["camera_accuracy"] == pytest.approx(mean)
    assert row["camera_drop"] == pytest.approx(0.8 - mean)
    # of ten selfies it decides two of jpeg and eight of night noise unlike the checkpoint
    assert row["camera_agreement"] == pytest.approx(1 - (0.2 + 0.8) / kinds)
    assert row["mean_corruption_error"] == pytest.approx((1 - mean) / 0.2)
    assert row["camera_accuracy_low"] < mean < row["camera_accuracy_high"]


def test_the_interval_takes_the_selfies_for_what_varies(found: Decisions) -> None:
    # eight of ten selfies are right throughout and two wrong throughout: as wide as with one picture a selfie
    seen = {look: decided(2, 10) for look in (CLEAN, *looks_at(3))}
    row = metrics.columns(replace(found, artifacts={"a": seen}))["a"]
    spread = 1.959964 * np.std([0, 0] + [1] * 8, ddof=1) / np.sqrt(10)
    assert row["camera_accuracy_low"] == pytest.approx(0.8 - spread, abs=1e-6)
    assert row["camera_accuracy_high"] == 1.0


def test_the_checkpoint_has_all_severities_of_all_selfies_too(found: Decisions) -> None:
    row = metrics.checkpoint(found)
    assert row["camera_agreement"] == 1.0
    kinds = len(DISTORTIONS)
    errors = (kinds - 2) * 0.1 + np.mean([0.15, 0.2, 0.25, 0.3, 0.35]) + np.mean([0.1, 0.1, 0.5, 0.1, 0.1])
    assert row["mean_corruption_error_all_severities"] == pytest.approx(errors / kinds / 0.1)


def test_mistakes_name_the_artifacts_that_were_asked(found: Decisions) -> None:
    assert metrics.mistakes(found)["bgr"]["accuracy"] == 0.0
    assert metrics.mistakes(found)["bgr"]["artifacts"] == {}
    asked = {"onnx-float32": {**found.artifacts["onnx-float32"], Look("bgr", 1): decided(9, 10)}}
    assert metrics.mistakes(replace(found, artifacts=asked))["bgr"]["artifacts"] == {"onnx-float32": 0.1}
    assert list(metrics.mistakes(found)) == list(MISTAKES)


def test_nothing_is_divided_by_no_mistakes(found: Decisions) -> None:
    own = {**found.checkpoint, CLEAN: decided(0)}
    flawless = replace(found, checkpoint=own)
    assert metrics.columns(flawless)["onnx-float32"]["mean_corruption_error"] is None
    assert metrics.checkpoint(flawless)["mean_corruption_error_all_severities"] is None


def test_without_artifacts_the_checkpoint_still_has_its_severities(found: Decisions) -> None:
    alone = replace(found, artifacts={}, few=0)
    row = metrics.checkpoint(alone)
    assert row["camera_accuracy"] is None
    assert row["mean_corruption_error_all_severities"] > 1
    assert "artifacts" not in metrics.camera(alone)["jpeg"]["3"]


def test_one_selfie_has_no_interval(found: Decisions) -> None:
    one = replace(
        found, artifacts={name: {k: v[:1] for k, v in seen.items()} for name, seen in found.artifacts.items()}
    )
    row = metrics.columns(replace(one, few=1))["onnx-float32"]
    assert (row["camera_accuracy"], row["camera_accuracy_low"]) == (0.0, None)


def test_the_basis_says_how_many_and_how_they_fare(found: Decisions) -> None:
    row = metrics.basis(found)
    assert (row["selfies"], row["artifact_selfies"], row["severity"], row["clean_accuracy"]) == (20, 10, 3, 0.9)
    kinds = len(DISTORTIONS)
    assert row["mean_accuracy"] == pytest.approx(((kinds - 2) * 0.9 + 0.75 + 0.5) / kinds)
