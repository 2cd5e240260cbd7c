"""Test sets beside the headline: limits of their own where params give some, and no fall since the baseline.

A limit in ``gate.sets`` must be shown to hold, or the verdict is no pass. A comparison with the baseline fails where
something is shown to be worse; where a set is too small to show anything, that is advisory: photographs are few.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from benchmarks.evaluation.measurement import Measurement
from benchmarks.evaluation.predictions import Predictions
from benchmarks.gate.baseline import Baseline
from benchmarks.gate.checks.absolute_limits import SetSample, check_set_limits
from benchmarks.gate.checks.check_results import (
    ALL_ARTIFACTS,
    BASELINE_COMPARABLE,
    MORE_SELFIES,
    SEE_MISCLASSIFIED,
    SET_MEASURED,
    UNDERSIZED_SLICES,
    unmeasured,
)
from benchmarks.gate.checks.identical_files import pass_identical
from benchmarks.gate.checks.paired_accuracy import compare_accuracy
from benchmarks.gate.checks.slices import compare_slices
from benchmarks.gate.paired_predictions import pair_predictions, why_not_comparable
from pipeline.config.params import GateParams, SetLimits
from pipeline.config.selfie_params import RENDERED
from pipeline.data.records import Check


def check_limits_of_other_sets(
    params: GateParams, measurement: Measurement, predictions: Predictions
) -> Iterator[Check]:
    """Every limit of ``gate.sets``, on each artifact."""
    for name, limits in params.sets.items():
        if name not in measurement.other_sets:
            if name == measurement.headline:
                why = "this is the headline, whose limits are those of gate itself; remove it from gate.sets"
            else:
                why = "gate.sets has limits for this test set, and it was not measured; run dvc repro selfies measure"
            yield _on_set(name, unmeasured(SET_MEASURED, ALL_ARTIFACTS, why))
            continue
        for check in _limits(params, measurement, predictions.of_set(name), (name, limits)):
            yield _on_set(name, check)


def compare_other_sets(
    params: GateParams,
    measurement: Measurement,
    predictions: Predictions,
    baseline: Baseline,
    same: frozenset[str] = frozenset(),
) -> Iterator[Check]:
    """Accuracy, agreement, error rates and slices of every other set that the baseline was measured on as well.

    Args:
        params: Limits and levels.
        measurement: The candidate.
        predictions: Its predictions on all sets.
        baseline: The accepted baseline.
        same: Artifacts whose file is the baseline's.
    """
    names = [name for name in baseline.measurement.artifacts if name in measurement.artifacts]
    known = set(baseline.predictions.set_names) - {baseline.measurement.headline}
    for name in sorted({*measurement.other_sets, *known}):
        own, theirs = predictions.of_set(name), baseline.predictions.of_set(name)
        if not own.ids or not theirs.ids:
            who = "the baseline" if own.ids else "this run"
            checks = [unmeasured(BASELINE_COMPARABLE, ALL_ARTIFACTS, f"{who} was not measured on this test set")]
        elif problem := why_not_comparable(own, theirs):
            checks = [unmeasured(BASELINE_COMPARABLE, ALL_ARTIFACTS, problem)]
        else:
            checks = list(_compare(params, own, theirs, names, same))
        yield from (_on_set(name, check) for check in checks)


def _on_set(name: str, check: Check) -> Check:
    """The check as one on a set beside the headline: with its name, and where to look and what to add there."""
    more = "raise selfies.count" if name == RENDERED else "add photographs to its folder"
    reason = check.reason.replace(SEE_MISCLASSIFIED, f"its errors: report/index.html#set-{name}")
    return check.model_copy(update={"test_set": name, "reason": reason.replace(MORE_SELFIES, more)})


def _limits(
    params: GateParams, measurement: Measurement, predictions: Predictions, entry: tuple[str, SetLimits]
) -> Iterator[Check]:
    name, limits = entry
    figures = measurement.other_sets[name]
    sample = SetSample(figures, predictions, measurement.confidence, limits, f"gate.sets.{name}")
    for row in figures.artifacts.values():
        yield from check_set_limits(params, sample, row)


def _compare(
    params: GateParams, own: Predictions, theirs: Predictions, names: Sequence[str], same: frozenset[str]
) -> Iterator[Check]:
    pairs = pair_predictions(own, theirs)
    for name in names:
        yield from (pass_identical(check, name in same) for check in compare_accuracy(params, pairs, name))
    if any(own.factors):
        yield from (check for check in compare_slices(params, pairs, names, same) if _says_something(check))


def _says_something(check: Check) -> bool:
    """Whether a check on slices is more than a count of those that are too small, which few photographs always are."""
    return check.name != UNDERSIZED_SLICES or check.verdict == "fail"
