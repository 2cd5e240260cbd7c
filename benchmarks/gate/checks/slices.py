"""Slices of the selfies, defined before any result is seen: every value of every factor, and pairs in ``slice_pairs``.

A slice of at least ``min_slice_selfies`` must be shown not to have fallen, for each artifact. To call one of many
slices fallen, its p-value is adjusted by Holm's method. To clear them all, each is tested at the full level, because a
pass claims all of them (intersection-union test: Berger, Technometrics 24, 1982). Smaller slices cannot be cleared, but
they can fail: they are a family of their own under Holm's method, so that a disaster among 200 selfies is not missed.
Those that did not fail are one advisory check, so that a rare trait neither blocks every release nor is forgotten.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.gate.checks.check_results import (
    ALL_ARTIFACTS,
    NO_FIGURE,
    NO_SLICES,
    SLICES,
    UNDERSIZED_SLICES,
    explain,
    more_selfies,
    points,
    rise_or_fall,
    unmeasured,
)
from benchmarks.gate.checks.identical_files import pass_identical
from benchmarks.gate.checks.paired_accuracy import Change
from benchmarks.gate.paired_predictions import PairedPredictions, PairedRows
from pipeline.config.params import GateParams
from pipeline.data.records import Check, Outcome
from pipeline.metrics.statistics import holm, paired_difference_interval, paired_sample_size

_MAX_LISTED = 3
Rows = NDArray[np.int64]
"""Indices of the rows of a slice, int64 (n,)."""


def find_slices(factors: Sequence[Mapping[str, str]], pairs: Sequence[tuple[str, str]]) -> dict[str, Rows]:
    """Name of each slice -> its rows, sorted by name; a slice that holds all selfies is left out."""
    names = dict.fromkeys(name for row in factors for name in row)
    keys = [(name,) for name in names] + [pair for pair in pairs if set(pair) <= set(names)]
    slices: dict[str, Rows] = {}
    for key in keys:
        rows: dict[tuple[str | None, ...], list[int]] = {}
        for at, row in enumerate(factors):
            rows.setdefault(tuple([row.get(name) for name in key]), []).append(at)
        for values, at_rows in rows.items():
            if None not in values and len(at_rows) < len(factors):
                title = " ".join(f"{name}={value}" for name, value in zip(key, values, strict=True))
                slices[title] = np.array(at_rows)
    return dict(sorted(slices.items()))


def compare_slices(
    params: GateParams, pairs: PairedPredictions, artifacts: Sequence[str], same: frozenset[str] = frozenset()
) -> Iterator[Check]:
    """One check per artifact on large slices, one more where a small one fell, and one on all other small slices.

    Args:
        params: Limits and sizes.
        pairs: Decisions on the same selfies.
        artifacts: Artifacts of both sides.
        same: Those whose file is the baseline's.
    """
    if not artifacts:
        return
    slices = find_slices(pairs.candidate.factors, params.slice_pairs)
    if not slices:
        without_factors = "the selfies carry no factors (photographs do not), so no slice can be compared"
        yield pass_identical(unmeasured(NO_SLICES, ALL_ARTIFACTS, without_factors), same >= set(artifacts))
        return
    large = {name: rows for name, rows in slices.items() if len(rows) >= params.min_slice_selfies}
    small = {name: rows for name, rows in slices.items() if name not in large}
    small_fell = False
    for artifact in artifacts:
        correct = pairs.correct(artifact)
        if correct is None:
            yield unmeasured(SLICES, artifact, NO_FIGURE, -params.slice_margin)
            continue
        if large:
            yield pass_identical(_check_large(params, artifact, _changes(params, correct, large)), artifact in same)
        fallen = [change for change in _changes(params, correct, small) if change.fallen]
        if fallen:
            small_fell = True
            yield pass_identical(_fail_small(params, artifact, fallen), artifact in same)
    if small and not small_fell:
        reason = _describe_undersized(params, small, len(pairs.candidate.ids))
        yield pass_identical(unmeasured(UNDERSIZED_SLICES, ALL_ARTIFACTS, reason), same >= set(artifacts))


@dataclass(frozen=True, slots=True)
class SliceChange:
    """What became of one slice under one artifact.

    Attributes:
        name: The slice.
        change: Correct rows that were lost and gained.
        adjusted_p: P-value of a fall, adjusted for the family of slices.
        fallen: Whether it fell significantly, by more than the margin.
        cleared: Whether a harmful fall is excluded.
    """

    name: str
    change: Change
    adjusted_p: float
    fallen: bool
    cleared: bool

    def describe(self) -> str:
        """The change in words."""
        return f"{self.name} {rise_or_fall(self.change.difference)}, {self.change.describe()}"


def _changes(params: GateParams, correct: PairedRows, slices: Mapping[str, Rows]) -> list[SliceChange]:
    """The change of each slice of a family, the worst first."""
    old, new = correct
    counted = [Change.of(old[rows], new[rows]) for rows in slices.values()]
    adjusted_p_values = holm([change.p_value for change in counted])
    changes = []
    for (name, rows), change, adjusted_p in zip(slices.items(), counted, adjusted_p_values, strict=True):
        low, _ = paired_difference_interval(old[rows], new[rows], 1 - 2 * params.alpha)
        fallen = adjusted_p < params.fail_alpha and change.difference < -params.slice_margin
        changes.append(SliceChange(name, change, adjusted_p, fallen, cleared=low > -params.max_slice_fall))
    return sorted(changes, key=lambda change: (not change.fallen, change.change.difference))


def _check_large(params: GateParams, artifact: str, changes: Sequence[SliceChange]) -> Check:
    """One verdict on all large slices: that of the worst."""
    fallen = [change for change in changes if change.fallen]
    unclear = [change for change in changes if not change.cleared]
    worst = (fallen or unclear or changes)[0]
    verdict: Outcome
    if fallen:
        verdict, reason = "fail", _describe_fallen(params, fallen)
    elif unclear:
        verdict = "unmeasured"
        what = f"{len(unclear)} of {len(changes)} slices may have fallen by {points(params.max_slice_fall)} or more"
        reason = explain(f"{what} (gate.max_slice_fall), e.g. {worst.describe()}", _most_needed(params, unclear))
    else:
        verdict = "pass"
        reason = f"none of {len(changes)} slices fell by {points(params.max_slice_fall)} or more; {worst.describe()}"
    return Check(
        name=SLICES,
        artifact=artifact,
        value=worst.change.difference,
        limit=-params.slice_margin,
        verdict=verdict,
        reason=explain(reason, statistics=f"Holm p {worst.adjusted_p:.2g}"),
    )


def _describe_fallen(params: GateParams, fallen: Sequence[SliceChange]) -> str:
    """The slices that fell, the worst first, and what to do."""
    listed = "; ".join(change.describe() for change in fallen[:_MAX_LISTED])
    more = f"; and {len(fallen) - _MAX_LISTED} more slices fell" if len(fallen) > _MAX_LISTED else ""
    bound = f"gate.slice_margin allows a fall of {points(params.slice_margin)}"
    return explain(f"{listed}{more}; {bound}", "add training images of it: prompts.top_up, or photographs")


def _most_needed(params: GateParams, unclear: Sequence[SliceChange]) -> str:
    """How many more of its selfies the slice needs that needs most."""
    limit = -params.max_slice_fall
    totals = {
        row: paired_sample_size(row.change.difference, limit, row.change.discordance, params.alpha, params.power)
        for row in unclear
    }
    most = max(unclear, key=lambda row: (totals[row] or math.inf) - row.change.rows)
    return more_selfies(totals[most], most.change.rows, of=most.name)


def _fail_small(params: GateParams, artifact: str, fallen: Sequence[SliceChange]) -> Check:
    return Check(
        name=UNDERSIZED_SLICES,
        artifact=artifact,
        value=fallen[0].change.difference,
        limit=-params.slice_margin,
        verdict="fail",
        reason=explain(_describe_fallen(params, fallen), statistics=f"Holm p {fallen[0].adjusted_p:.2g}"),
    )


def _describe_undersized(params: GateParams, small: Mapping[str, Rows], selfies: int) -> str:
    """How many selfies in all would make half of the small slices, and all of them, large enough."""
    sizes = sorted(len(rows) for rows in small.values())
    rarest, middle = (
        max(1, math.ceil(params.min_slice_selfies * selfies / size - selfies))
        for size in (sizes[0], sizes[len(sizes) // 2])
    )
    count = "1 slice has" if len(small) == 1 else f"{len(small)} slices have"
    half = f"about {middle:,} more selfies would make half of them large enough, " if middle < rarest else ""
    enough = f"{half}about {rarest:,} {'all' if half else 'more selfies would make all'} of them large enough"
    return (
        f"{count} fewer than {params.min_slice_selfies} selfies (gate.min_slice_selfies): none fell significantly, "
        f"none can be cleared; {enough}"
    )
