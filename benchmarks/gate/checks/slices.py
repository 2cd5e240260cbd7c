"""Slices of the selfies, named before anybody looked: every value of every factor, and the pairs of ``slice_pairs``.

Of slices large enough to be cleared (``min_slice_selfies``) each must be shown not to have fallen, an artifact at a
time. To call one of many fallen, its p-value is Holm's; to clear them all, each is tested at the full level, for a pass
claims every one of them (the intersection-union test: Berger, Technometrics 24, 1982). Slices that are smaller cannot
be cleared, only convicted: a family of their own under Holm, so that a disaster among 200 selfies is not missed.
Unconvicted they are one line, which holds no release back: a rare trait must neither make every release impossible nor
be silently forgotten.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.gate.checks.check_results import EVERYTHING, NO_SLICES, SMALL_SLICES, Bools, limited, needs, unmeasured
from benchmarks.gate.checks.paired_accuracy import Change, Pair
from pipeline.config.params import GateParams
from pipeline.data.records import Check, Outcome
from pipeline.metrics.statistics import holm, paired_difference_interval, paired_sample_size

CHECK = "slices_vs_baseline"
Rows = NDArray[np.int64]


def find_slices(factors: Sequence[Mapping[str, str]], pairs: Sequence[tuple[str, str]]) -> dict[str, Rows]:
    """Name of a slice -> its rows, in the order of names; a slice that is all of the selfies is none."""
    names = dict.fromkeys(name for row in factors for name in row)
    keys = [(name,) for name in names] + [pair for pair in pairs if set(pair) <= set(names)]
    found: dict[str, Rows] = {}
    for key in keys:
        rows: dict[tuple[str | None, ...], list[int]] = {}
        for at, row in enumerate(factors):
            rows.setdefault(tuple([row.get(name) for name in key]), []).append(at)
        for values, at_rows in rows.items():
            if None not in values and len(at_rows) < len(factors):
                title = " ".join(f"{name}={value}" for name, value in zip(key, values, strict=True))
                found[title] = np.array(at_rows)
    return dict(sorted(found.items()))


def compare_slices(params: GateParams, pairs: Sequence[Pair]) -> Iterator[Check]:
    """A line an artifact for the large slices, one more where a small one has fallen, and one for all small ones."""
    if not pairs:
        return
    slices = find_slices(pairs[0].new.factors, params.slice_pairs)
    if not slices:
        yield unmeasured(NO_SLICES, EVERYTHING, "the selfies carry no factors (photographs do not)")
        return
    large = {name: rows for name, rows in slices.items() if len(rows) >= params.min_slice_selfies}
    small = {name: rows for name, rows in slices.items() if name not in large}
    convicted = False
    for pair in pairs:
        right = pair.right()
        if right is None:
            yield limited(CHECK, pair.artifact, None, -params.slice_margin, at_least=True)
            continue
        if large:
            yield _clear(params, pair.artifact, _look(params, right, large))
        fallen = [each for each in _look(params, right, small) if each.fallen]
        convicted = convicted or bool(fallen)
        if fallen:
            yield _convict(params, pair.artifact, fallen)
    if small and not convicted:
        yield unmeasured(SMALL_SLICES, EVERYTHING, _too_small(params, small, len(pairs[0].new.ids)))


@dataclass(frozen=True, slots=True)
class _Look:
    """One slice of one artifact, and the answer about it."""

    name: str
    change: Change
    adjusted: float
    fallen: bool
    cleared: bool

    def told(self) -> str:
        return f"{self.name}: {self.change.told()} ({self.change.difference:+.4f}, Holm p {self.adjusted:.2g})"


def _look(params: GateParams, right: tuple[Bools, Bools], slices: Mapping[str, Rows]) -> list[_Look]:
    """Each slice of a family; the worst first."""
    old, new = right
    changes = [Change.of(old[rows], new[rows]) for rows in slices.values()]
    looks = []
    for (name, rows), change, adjusted in zip(
        slices.items(), changes, holm([each.fell for each in changes]), strict=True
    ):
        low, _ = paired_difference_interval(old[rows], new[rows], 1 - 2 * params.alpha)
        fallen = adjusted < params.fail_alpha and change.difference < -params.slice_margin
        looks.append(_Look(name, change, adjusted, fallen, cleared=low > -params.max_slice_fall))
    return sorted(looks, key=lambda each: (not each.fallen, each.change.difference))


def _clear(params: GateParams, artifact: str, looks: Sequence[_Look]) -> Check:
    """One answer for all large slices: the worst of theirs."""
    fallen = [each for each in looks if each.fallen]
    unclear = [each for each in looks if not each.cleared]
    verdict: Outcome = "fail" if fallen else "unmeasured" if unclear else "pass"
    worst = (fallen or unclear or looks)[0]
    reason = f"{len(looks)} slices; " + "; ".join(each.told() for each in fallen or [worst])
    if verdict == "unmeasured":
        reason += f"; {len(unclear)} may have fallen by {params.max_slice_fall:g} or more; {_power(params, unclear)}"
    value, limit = worst.change.difference, -params.slice_margin
    return Check(name=CHECK, artifact=artifact, value=value, limit=limit, verdict=verdict, reason=reason)


def _power(params: GateParams, unclear: Sequence[_Look]) -> str:
    """What the one that needs most needs, among its own."""
    limit = -params.max_slice_fall
    totals = {
        each: paired_sample_size(each.change.difference, limit, each.change.discordance, params.alpha, params.power)
        for each in unclear
    }
    most = max(unclear, key=lambda each: (totals[each] or math.inf) - each.change.rows)
    return f"{needs(totals[most], most.change.rows)} of {most.name}"


def _convict(params: GateParams, artifact: str, fallen: Sequence[_Look]) -> Check:
    return Check(
        name=SMALL_SLICES,
        artifact=artifact,
        value=fallen[0].change.difference,
        limit=-params.slice_margin,
        verdict="fail",
        reason="; ".join(each.told() for each in fallen),
    )


def _too_small(params: GateParams, small: Mapping[str, Rows], selfies: int) -> str:
    """How many selfies in all would make every small slice, and half of them, large enough."""
    sizes = sorted(len(rows) for rows in small.values())
    rarest, middle = (params.min_slice_selfies * selfies / size for size in (sizes[0], sizes[len(sizes) // 2]))
    return (
        f"{len(small)} slices of fewer than {params.min_slice_selfies} selfies: none has significantly fallen, none is "
        f"cleared; {needs(middle, selfies)} to judge half of them, all: {needs(rarest, selfies)}"
    )
