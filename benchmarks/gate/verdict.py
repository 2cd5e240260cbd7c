"""Runs every check on one measurement and draws the verdict from them.

Pure, apart from the bench that is passed in:

    absolute limits  with a baseline or without: accuracy, its share of the checkpoint's, agreement, size, camera
    pairs            against a baseline of the same task on the same selfies, row by row: accuracy, agreement, false
                     negatives and false positives
    slices           every value of every factor, and pairs of factors, because a mean can hide a slice
    other sets       limits of their own, and falls since the baseline, on test sets beside the headline
    resources        size, ARM instructions, memory and latency
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from benchmarks.evaluation.measurement import Measurement, SetFigures
from benchmarks.evaluation.predictions import Predictions
from benchmarks.gate.baseline import Baseline, why_not_comparable_headlines
from benchmarks.gate.checks.absolute_limits import check_absolute_limits, check_required_formats, headline_sample
from benchmarks.gate.checks.check_results import (
    ALL_ARTIFACTS,
    BASELINE_COMPARABLE,
    CAMERA_ACCURACY,
    NO_FIGURE,
    is_advisory,
    unmeasured,
)
from benchmarks.gate.checks.identical_files import find_identical, pass_identical
from benchmarks.gate.checks.other_sets import check_limits_of_other_sets, compare_other_sets
from benchmarks.gate.checks.paired_accuracy import compare_accuracy
from benchmarks.gate.checks.resource_growth import Bench, compare_memory_and_latency, compare_size_and_instructions
from benchmarks.gate.checks.robustness import compare_camera
from benchmarks.gate.checks.slices import compare_slices
from benchmarks.gate.paired_predictions import pair_predictions
from pipeline.config.params import GateParams
from pipeline.data.records import Check, Outcome, Verdict
from pipeline.errors import DataError

_TOLERANCE = 1e-9
_GONE = (
    "the baseline has this artifact, this run has not; add its recipe to convert.formats and run dvc repro, or "
    "gossamer baseline accept to go on without it"
)
_ACCEPT = "gossamer baseline accept makes this run the baseline, if every other check passes"
_NEVER_MEASURED = "metrics/measure.json has none; run dvc repro measure"


def decide_verdict(
    params: GateParams, measurement: Measurement, predictions: Predictions, baseline: Baseline | None, bench: Bench
) -> Verdict:
    """Run all checks on one measurement.

    Args:
        params: Limits, margins and required formats.
        measurement: metrics/measure.json.
        predictions: The predictions it was computed from.
        baseline: The accepted baseline; None: only the absolute limits are checked.
        bench: Measures artifacts beside the baseline's.

    Raises:
        DataError: Measurement and predictions do not belong together.
    """
    _check_consistent(measurement, predictions)
    checks, sample = [*check_required_formats(params, measurement)], headline_sample(params, measurement, predictions)
    for row in measurement.artifacts.values():
        checks += check_absolute_limits(params, sample, row)
    checks += check_limits_of_other_sets(params, measurement, predictions)
    if baseline is not None:
        checks += _compare(params, measurement, predictions, baseline, bench)
    if not checks:
        checks = [unmeasured("artifacts", ALL_ARTIFACTS, "no artifact was measured; run dvc repro measure")]
    checks = [_complete_reason(measurement, check) for check in checks]
    return Verdict(
        verdict=_overall(checks),
        baseline=_describe(measurement, baseline),
        checks=tuple(checks),
        headline=measurement.headline,
    )


def add_checks(verdict: Verdict, checks: Sequence[Check]) -> Verdict:
    """Add checks to a verdict, and decide it again."""
    together = (*verdict.checks, *checks)
    return verdict.model_copy(update={"checks": together, "verdict": _overall(together)})


def failed_or_missing(checks: Iterable[Check]) -> list[Check]:
    """Checks that refuse a release: all that did not pass, except advisory ones that are unmeasured."""
    return [
        check
        for check in checks
        if check.verdict != "pass" and not (check.verdict == "unmeasured" and is_advisory(check))
    ]


def _overall(checks: Iterable[Check]) -> Outcome:
    """Fail if any check failed, else unmeasured if any is missing or none passed, else pass."""
    checks = list(checks)
    against = {check.verdict for check in failed_or_missing(checks)}
    if "fail" in against:
        return "fail"
    return "unmeasured" if against or not any(check.verdict == "pass" for check in checks) else "pass"


def _describe(measurement: Measurement, baseline: Baseline | None) -> str:
    if baseline is None:
        return "none accepted yet: absolute limits only"
    new = sorted(set(measurement.artifacts) - set(baseline.measurement.artifacts))
    return baseline.name() + (f"; new, so absolute limits only: {', '.join(new)}" if new else "")


def _check_consistent(measurement: Measurement, predictions: Predictions) -> None:
    if measurement.inputs is not None and measurement.inputs.predictions != predictions.content_hash():
        raise DataError(
            "measure.json: made of other predictions than those given; expected files of one run; run dvc repro measure"
        )
    for set_name, figures in measurement.every_set.items():
        place = "" if set_name == measurement.headline else f"sets.{set_name}."
        _check_accuracies(place, figures, predictions.of_set(set_name))


def _check_accuracies(place: str, figures: SetFigures, predictions: Predictions) -> None:
    """Compare the accuracies of one test set with what its predictions give."""
    for name, row in figures.artifacts.items():
        if row.accuracy is None or not predictions.is_whole(name):
            continue
        computed = float(np.mean(predictions.decisions(name) == predictions.targets))
        if not abs(computed - row.accuracy.value) <= _TOLERANCE:
            raise DataError(
                f"measure.json {place}artifacts.{name}.accuracy: {row.accuracy.value:.6f}, but the predictions give "
                f"{computed:.6f}; expected files of one run; run dvc repro measure"
            )


def _compare(
    params: GateParams, new: Measurement, predictions: Predictions, baseline: Baseline, bench: Bench
) -> Iterator[Check]:
    """All checks against the baseline."""
    own, old = predictions.of_set(new.headline), baseline.measurement
    problem = why_not_comparable_headlines(new.headline, predictions, baseline)
    same = find_identical(new, own, baseline)
    yield from compare_other_sets(params, new, predictions, baseline, same)
    if problem:
        yield _incomparable(problem, other=[name for name in old.artifacts if name not in same])
        return
    pairs = pair_predictions(own, baseline.headline_predictions)
    names = [name for name in old.artifacts if name in new.artifacts]
    for name in old.artifacts:
        if name not in new.artifacts:
            yield unmeasured(BASELINE_COMPARABLE, name, _GONE)
            continue
        yield from (
            pass_identical(check, name in same)
            for check in (
                *compare_accuracy(params, pairs, name),
                *compare_size_and_instructions(params, new.artifacts[name], old.artifacts[name]),
                *compare_camera(params, new, old, name),
            )
        )
    yield from compare_slices(params, pairs, names, same)
    yield from compare_memory_and_latency(params, new, baseline, names, bench)


def _incomparable(problem: str, other: Sequence[str]) -> Check:
    """The only check on a baseline whose selfies or labels differ; ``other``: artifacts that are not its files."""
    if other:
        return unmeasured(BASELINE_COMPARABLE, ALL_ARTIFACTS, f"{problem}; {_ACCEPT}")
    return Check(
        name=BASELINE_COMPARABLE,
        artifact=ALL_ARTIFACTS,
        value=None,
        limit=None,
        verdict="pass",
        reason=f"{problem}; but every artifact is the baseline's file",
    )


def _complete_reason(measurement: Measurement, check: Check) -> Check:
    """Say why there is no figure, as metrics/measure.json gives it."""
    if check.reason != NO_FIGURE:
        return check
    missing = CAMERA_ACCURACY if check.name == CAMERA_ACCURACY else "accuracy"
    figures = measurement.every_set.get(check.test_set, measurement)
    why = figures.unmeasured.get(f"artifacts.{check.artifact}.{missing}", _NEVER_MEASURED)
    return check.model_copy(update={"reason": f"{NO_FIGURE}: {why}"})
