"""The founding claim, for the report: how good a classifier gets that learned from generated images alone.

Reads nothing itself: the committed results of ``gossamer benchmark compare`` and ``gossamer benchmark embedded`` come
with the report's input. A figure that is not there is None and reads "unmeasured".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.report.inputs import ReportInput
from benchmarks.report.result_fields import bounded, machine_words, section

COMPARE, EMBEDDED = "compare", "embedded"
ARMS = {"synthetic": "generated images", "rendered": "as many rendered", "mix": "half of each"}
TRAITS = ("helmet", "light", "glasses", "mask", "skin_tone_within_1", "headwear")


@dataclass(frozen=True, slots=True)
class ArmRow:
    """One way to come by training images, and how good the classifier got; shares, seconds, None: unmeasured."""

    name: str
    words: str
    accuracy: float | None
    low: float | None
    high: float | None
    kept: int | None
    generate_seconds: float | None
    train_seconds: float | None


@dataclass(frozen=True, slots=True)
class Agreement:
    """How often a picture shows what its prompt says.

    Attributes:
        setting: How it was drawn, in words.
        shares: A (share, low, high) a trait, in the order of ``TRAITS``; None: unmeasured.
        shipped: Whether this is how the product draws.
    """

    setting: str
    shares: tuple[tuple[float | None, float | None, float | None], ...]
    shipped: bool = False


@dataclass(frozen=True, slots=True)
class Thesis:
    """The headline and the tables below it.

    Attributes:
        arms: In the order of ``ARMS``; those that were trained; empty: unmeasured.
        gap: (points that the synthetic arm lies behind the rendered one, low, high).
        images: Prompts an arm drew.
        seeds: Trainings an arm had.
        selfies: Pictures the classifiers were judged on.
        agreements: As shipped first, then other settings, last what the renderer drew; empty: unmeasured.
        embedded: The other figures of the embedded model.
        where: Machine of each benchmark, in words.
    """

    arms: Sequence[ArmRow]
    gap: tuple[float | None, float | None, float | None]
    images: int | None
    seeds: Sequence[int]
    selfies: int | None
    agreements: Sequence[Agreement]
    embedded: Mapping[str, Any]
    where: Mapping[str, str]

    def accuracy(self, arm: str) -> ArmRow | None:
        """The row of an arm, or None where it is unmeasured."""
        return next((row for row in self.arms if row.name == arm and row.accuracy is not None), None)


def thesis(found: ReportInput) -> Thesis:
    """Gather what the two benchmarks found."""
    compared, embedded = (section(found.results, name) for name in (COMPARE, EMBEDDED))
    arms = [_arm(name, section(compared, name)) for name in ARMS if name in compared]
    seeds = next((seeds for name in ARMS if (seeds := section(compared, name).get("seeds"))), ())
    return Thesis(
        arms=arms,
        gap=bounded(compared, "gap_points"),
        images=compared.get("images"),
        seeds=tuple(seeds) if isinstance(seeds, list | tuple) else (),
        selfies=compared.get("selfies"),
        agreements=_agreements(embedded),
        embedded=embedded,
        where={name: machine_words(section(found.results, name)) for name in (COMPARE, EMBEDDED)},
    )


def gaps(found: ReportInput) -> dict[str, str]:
    """Results that are not there -> the command that makes them."""
    names = (name for name in (COMPARE, EMBEDDED) if name not in found.results)
    return {f"benchmarks/results/{name}.json": f"run gossamer benchmark {name}" for name in names}


def _arm(name: str, figures: Mapping[str, Any]) -> ArmRow:
    trained = figures.get("train_seconds")
    return ArmRow(
        name,
        ARMS[name],
        *bounded(figures, "accuracy"),
        kept=figures.get("kept_images"),
        generate_seconds=figures.get("generate_seconds"),
        train_seconds=sum(trained) / len(trained) if isinstance(trained, list) and trained else None,
    )


def _agreements(figures: Mapping[str, Any]) -> list[Agreement]:
    bounds = [section(figures, name) for name in ("agreement", "agreement_low", "agreement_high")]
    rows = [Agreement("as shipped", tuple(_triple(bounds, trait) for trait in TRAITS), shipped=True)]
    rows += [
        _plain(f"{row.get('steps', '?')} steps, guidance {row.get('guidance', '?')}", row)
        for row in figures.get("table", ())
    ]
    if "judge_on_rendered" in figures:
        rows.append(_plain("by the renderer", section(figures, "judge_on_rendered")))
    return rows if figures else []


def _plain(setting: str, shares: Mapping[str, Any]) -> Agreement:
    return Agreement(setting, tuple((shares.get(trait), None, None) for trait in TRAITS))


def _triple(bounds: Sequence[Mapping[str, Any]], trait: str) -> tuple[float | None, float | None, float | None]:
    value, low, high = (each.get(trait) for each in bounds)
    return value, low, high
