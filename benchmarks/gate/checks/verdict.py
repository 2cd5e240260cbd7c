"""Figures, answers and a baseline -> the verdict."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from benchmarks.evaluation.predictions import Predictions
from benchmarks.gate.baseline import Baseline
from benchmarks.gate.checks.absolute_limits import floors, required
from benchmarks.gate.checks.check_results import (
    ADVISORY,
    COMPARABLE,
    EVERYTHING,
    Measured,
    artifacts_of,
    figure,
    unmeasured,
)
from benchmarks.gate.checks.paired_accuracy import Pair, compare
from benchmarks.gate.checks.resource_growth import Bench, compare_costs, compare_latency
from benchmarks.gate.checks.robustness import compare_camera
from benchmarks.gate.checks.slices import compare_slices
from pipeline.config.params import GateParams
from pipeline.data.records import Check, Outcome, Verdict
from pipeline.errors import DataError


def judge(
    params: GateParams, measured: Measured, predictions: Predictions, baseline: Baseline | None, bench: Bench
) -> Verdict:
    """Judge one set of measurements.

    Args:
        params: Floors, margins and the formats that must be there.
        measured: metrics/measure.json.
        predictions: The answers it was computed from.
        baseline: What must not be fallen behind, or None: then floors only.
        bench: Where artifacts are timed beside the baseline's.

    Raises:
        DataError: Measurements and predictions do not belong together.
    """
    _check_consistent(measured, predictions)
    checks = [*required(params, measured)]
    for name in artifacts_of(measured):
        checks += floors(params, measured, predictions, name)
    if baseline is not None:
        checks += _against(params, measured, predictions, baseline, bench)
    if not checks:
        checks = [unmeasured("artifacts", EVERYTHING, "none")]
    return Verdict(verdict=_overall(checks), baseline=_name(measured, baseline), checks=tuple(checks))


def holding_back(checks: Iterable[Check]) -> list[Check]:
    """Checks for which nothing may be released: all that did not pass, but for advice that could not be had."""
    return [
        each
        for each in checks
        if each.verdict != "pass" and not (each.verdict == "unmeasured" and each.name in ADVISORY)
    ]


def _overall(checks: Iterable[Check]) -> Outcome:
    checks = list(checks)
    found = {each.verdict for each in holding_back(checks)}
    if "fail" in found:
        return "fail"
    return "unmeasured" if found or not any(each.verdict == "pass" for each in checks) else "pass"


def _name(measured: Measured, baseline: Baseline | None) -> str:
    if baseline is None:
        return "none accepted yet: floors only"
    new = sorted(set(artifacts_of(measured)) - set(artifacts_of(baseline.measured)))
    return baseline.name() + (f"; new, so floors only: {', '.join(new)}" if new else "")


def _check_consistent(measured: Measured, predictions: Predictions) -> None:
    for name in artifacts_of(measured):
        said = figure(measured, name, "accuracy")
        if said is None or not predictions.is_whole(name):
            continue
        found = float(np.mean(predictions.decisions(name) == predictions.targets))
        if abs(found - said) > 1e-9:
            raise DataError(
                f"measure.json artifacts.{name}.accuracy: {said:.6f}, but the predictions give {found:.6f}; "
                "expected one run's files; run dvc repro measure"
            )


def _against(
    params: GateParams, measured: Measured, predictions: Predictions, baseline: Baseline, bench: Bench
) -> Iterator[Check]:
    problem = _incomparable(predictions, baseline.predictions)
    if problem:
        yield unmeasured(COMPARABLE, EVERYTHING, problem)
        return
    rows = {key: row for row, key in enumerate(baseline.predictions.ids)}
    order = np.array([rows[key] for key in predictions.ids], np.int64)
    pairs = []
    for name in artifacts_of(baseline.measured):
        if name not in artifacts_of(measured):
            yield unmeasured(COMPARABLE, name, "the baseline has this artifact and this run has not")
            continue
        pairs.append(Pair(name, predictions, baseline.predictions, order))
        yield from compare(params, pairs[-1])
        yield from compare_costs(params, measured, baseline.measured, name)
        yield from compare_camera(params, measured, baseline.measured, name)
    yield from compare_slices(params, pairs)
    yield from compare_latency(params, measured, baseline.measured, [pair.artifact for pair in pairs], bench)


def _incomparable(new: Predictions, old: Predictions) -> str:
    """Why two tables cannot be paired; empty where they can."""
    if new.labels != old.labels:
        return f"another task: labels {', '.join(new.labels)}; the baseline's are {', '.join(old.labels)}"
    if new.dataset_id() != old.dataset_id():
        shared = len(set(zip(new.ids, new.sha256, strict=True)) & set(zip(old.ids, old.sha256, strict=True)))
        return f"other selfies: {shared} of {len(new.ids)} are among the baseline's {len(old.ids)}"
    return ""
