"""Figures of corrupted selfies equal those computed by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.robustness import metrics
from benchmarks.robustness.distortions import DISTORTIONS, INTEGRATION_ERRORS
from benchmarks.robustness.metrics import CLEAN, Corruption, Decisions, all_corruptions, distortions_at

TARGETS = np.tile([0, 1], 10)


def decided(wrong: int, count: int = 20) -> np.ndarray:
    """Decisions of which the first ``wrong`` are wrong."""
    return np.where(np.arange(count) < wrong, 1 - TARGETS[:count], TARGETS[:count])


@pytest.fixture
def decisions() -> Decisions:
    """Twenty selfies, ten of them for one artifact; only JPEG, by severity, and night noise at severity 3 do harm."""
    checkpoint = {look: decided(2) for look in all_corruptions()}
    checkpoint |= {Corruption("jpeg", k): decided(2 + k) for k in range(1, 6)} | {
        Corruption("night_noise", 3): decided(10)
    }
    checkpoint[Corruption("bgr", 1)] = decided(20)
    own_decisions = {look: decided(2, 10) for look in (CLEAN, *distortions_at(3))} | {
        Corruption("jpeg", 3): decided(7, 10)
    }
    return Decisions(
        TARGETS, checkpoint, {"onnx-float32": own_decisions}, artifact_selfies=10, severity=3, confidence=0.95
    )


def test_each_severity_has_its_accuracy_and_interval(decisions: Decisions) -> None:
    rows = metrics.camera_accuracies(decisions)
    assert list(rows) == list(DISTORTIONS)
    assert [rows["jpeg"][k].accuracy.value for k in range(1, 6)] == [0.85, 0.8, 0.75, 0.7, 0.65]
    row = rows["jpeg"][3]
    assert row.count == 20
    assert row.accuracy.low < 0.75 < row.accuracy.high
    assert list(rows["mirror"]) == [1]


def test_at_the_artifacts_severity_a_row_has_the_accuracies_on_the_same_selfies(decisions: Decisions) -> None:
    rows = metrics.camera_accuracies(decisions)
    row = rows["jpeg"][3]
    assert (row.artifact_selfies, row.checkpoint_accuracy, row.artifacts) == (
        10,
        0.5,
        {"onnx-float32": 0.3},
    )
    assert rows["jpeg"][2].artifacts == {}
    assert rows["mirror"][1].artifacts == {"onnx-float32": 0.8}, "a distortion with one severity is used at that one"


def test_means_are_taken_over_distortions_and_compared_with_the_checkpoint(decisions: Decisions) -> None:
    kinds = len(DISTORTIONS)
    row = metrics.artifact_figures(decisions)["onnx-float32"]
    mean = ((kinds - 1) * 0.8 + 0.3) / kinds
    assert row.camera_accuracy is not None
    assert row.camera_accuracy.value == pytest.approx(mean)
    assert row.camera_drop == pytest.approx(0.8 - mean)
    # on ten selfies its decisions differ from the checkpoint's twice under jpeg and eight times under night noise
    assert row.camera_agreement == pytest.approx(1 - (0.2 + 0.8) / kinds)
    assert row.mean_corruption_error == pytest.approx((1 - mean) / 0.2)
    assert row.camera_accuracy.low < mean < row.camera_accuracy.high


def test_the_interval_treats_pictures_of_one_selfie_as_one_observation(decisions: Decisions) -> None:
    # eight of ten selfies are always right and two always wrong: as wide as with one picture per selfie
    own_decisions = {look: decided(2, 10) for look in (CLEAN, *distortions_at(3))}
    row = metrics.artifact_figures(replace(decisions, artifacts={"a": own_decisions}))["a"]
    spread = 1.959964 * np.std([0, 0] + [1] * 8, ddof=1) / np.sqrt(10)
    assert row.camera_accuracy is not None
    assert row.camera_accuracy.low == pytest.approx(0.8 - spread, abs=1e-6)
    assert row.camera_accuracy.high == 1.0


def test_the_checkpoints_corruption_error_covers_all_severities_and_selfies(decisions: Decisions) -> None:
    row = metrics.checkpoint_figures(decisions)
    assert row.camera_agreement == 1.0
    kinds = len(DISTORTIONS)
    errors = (kinds - 2) * 0.1 + np.mean([0.15, 0.2, 0.25, 0.3, 0.35]) + np.mean([0.1, 0.1, 0.5, 0.1, 0.1])
    assert row.mean_corruption_error_all_severities == pytest.approx(errors / kinds / 0.1)


def test_integration_errors_list_the_artifacts_that_were_run(decisions: Decisions) -> None:
    assert metrics.integration_error_accuracies(decisions)["bgr"].accuracy.value == 0.0
    assert metrics.integration_error_accuracies(decisions)["bgr"].artifacts == {}
    under_bgr = {"onnx-float32": {**decisions.artifacts["onnx-float32"], Corruption("bgr", 1): decided(9, 10)}}
    assert metrics.integration_error_accuracies(replace(decisions, artifacts=under_bgr))["bgr"].artifacts == {
        "onnx-float32": 0.1
    }
    assert list(metrics.integration_error_accuracies(decisions)) == list(INTEGRATION_ERRORS)


def test_a_flawless_checkpoint_leaves_the_corruption_error_undefined(decisions: Decisions) -> None:
    checkpoint = {**decisions.checkpoint, CLEAN: decided(0)}
    flawless = replace(decisions, checkpoint=checkpoint)
    assert metrics.artifact_figures(flawless)["onnx-float32"].mean_corruption_error is None
    assert metrics.checkpoint_figures(flawless).mean_corruption_error_all_severities is None


def test_without_artifacts_the_checkpoint_is_still_measured(decisions: Decisions) -> None:
    alone = replace(decisions, artifacts={}, artifact_selfies=0)
    row = metrics.checkpoint_figures(alone)
    assert row.camera_accuracy is None
    assert (row.mean_corruption_error_all_severities or 0) > 1
    assert metrics.camera_accuracies(alone)["jpeg"][3].artifacts == {}


def test_a_single_selfie_has_no_interval_and_so_no_camera_accuracy(decisions: Decisions) -> None:
    one = replace(
        decisions,
        artifacts={
            name: {k: v[:1] for k, v in own_decisions.items()} for name, own_decisions in decisions.artifacts.items()
        },
    )
    row = metrics.artifact_figures(replace(one, artifact_selfies=1))["onnx-float32"]
    assert row.camera_accuracy is None
    assert row.camera_drop == 0.0


def test_the_basis_counts_selfies_and_gives_their_accuracy(decisions: Decisions) -> None:
    row = metrics.camera_basis(decisions, 6, "selfie-1")
    assert (row.selfies, row.artifact_selfies, row.severity, row.clean_accuracy.value) == (20, 10, 3, 0.9)
    kinds = len(DISTORTIONS)
    assert row.mean_accuracy == pytest.approx(((kinds - 2) * 0.9 + 0.75 + 0.5) / kinds)
