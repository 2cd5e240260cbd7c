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
    NO_SLICES,
    SLICES,
    UNDERSIZED_SLICES,
    more_selfies,
    unmeasured,
)
from benchmarks.gate.checks.paired_accuracy import Change
from benchmarks.gate.paired_predictions import PairedPredictions, PairedRows
from pipeline.config.params import GateParams
from pipeline.data.records import Check, Outcome
from pipeline.metrics.statistics import holm, paired_difference_interval, paired_sample_size

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


def compare_slices(params: GateParams, pairs: PairedPredictions, artifacts: Sequence[str]) -> Iterator[Check]:
    """One check per artifact on large slices, one more where a small one fell, and one on all other small slices."""
    if not artifacts:
        return
    slices = find_slices(pairs.candidate.factors, params.slice_pairs)
    if not slices:
        yield unmeasured(NO_SLICES, ALL_ARTIFACTS, "the selfies carry no factors (photographs do not)")
        return
    large = {name: rows for name, rows in slices.items() if len(rows) >= params.min_slice_selfies}
    small = {name: rows for name, rows in slices.items() if name not in large}
    small_fell = False
    for artifact in artifacts:
        correct = pairs.correct(artifact)
        if correct is None:
            yield unmeasured(SLICES, artifact, "no figure", -params.slice_margin)
            continue
        if large:
            yield _check_large(params, artifact, _changes(params, correct, large))
        fallen = [change for change in _changes(params, correct, small) if change.fallen]
        if fallen:
            small_fell = True
            yield _fail_small(params, artifact, fallen)
    if small and not small_fell:
        reason = _describe_undersized(params, small, len(pairs.candidate.ids))
        yield unmeasured(UNDERSIZED_SLICES, ALL_ARTIFACTS, reason)


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
        """The change as reasons print it."""
        return f"{self.name}: {self.change.describe()} ({self.change.difference:+.4f}, Holm p {self.adjusted_p:.2g})"


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
    verdict: Outcome = "fail" if fallen else "unmeasured" if unclear else "pass"
    worst = (fallen or unclear or changes)[0]
    reason = f"{len(changes)} slices; " + "; ".join(change.describe() for change in fallen or [worst])
    if verdict == "unmeasured":
        reason += (
            f"; {len(unclear)} may have fallen by {params.max_slice_fall:g} or more; {_most_needed(params, unclear)}"
        )
    value, limit = worst.change.difference, -params.slice_margin
    return Check(name=SLICES, artifact=artifact, value=value, limit=limit, verdict=verdict, reason=reason)


def _most_needed(params: GateParams, unclear: Sequence[SliceChange]) -> str:
    """How many more of its selfies the slice needs that needs most."""
    limit = -params.max_slice_fall
    totals = {
        row: paired_sample_size(row.change.difference, limit, row.change.discordance, params.alpha, params.power)
        for row in unclear
    }
    most = max(unclear, key=lambda row: (totals[row] or math.inf) - row.change.rows)
    return f"{more_selfies(totals[most], most.change.rows)} of {most.name}"


def _fail_small(params: GateParams, artifact: str, fallen: Sequence[SliceChange]) -> Check:
    return Check(
        name=UNDERSIZED_SLICES,
        artifact=artifact,
        value=fallen[0].change.difference,
        limit=-params.slice_margin,
        verdict="fail",
        reason="; ".join(change.describe() for change in fallen),
    )


def _describe_undersized(params: GateParams, small: Mapping[str, Rows], selfies: int) -> str:
    """How many selfies in all would make half of the small slices, and all of them, large enough."""
    sizes = sorted(len(rows) for rows in small.values())
    rarest, middle = (params.min_slice_selfies * selfies / size for size in (sizes[0], sizes[len(sizes) // 2]))
    return (
        f"{len(small)} slices of fewer than {params.min_slice_selfies} selfies: none has significantly fallen, none is "
        f"cleared; {more_selfies(middle, selfies)} to check half of them, all: {more_selfies(rarest, selfies)}"
    )
