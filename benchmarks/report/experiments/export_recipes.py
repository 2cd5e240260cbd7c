"""What each export recipe costs in decisions, backbone by backbone, for the report.

Reads nothing itself: the committed result of ``gossamer benchmark exports`` comes with the report's input. A figure
that is not there is None and reads "unmeasured".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.evaluation.predictions import CHECKPOINT
from benchmarks.report.inputs import ReportInput
from benchmarks.report.result_fields import Bounded, bounded, machine_words, section

NAME = "exports"
PHOTOGRAPHS = "photographs"
_PLAIN = "_plain"
_EXTRAS = ("params", "machine", "versions", PHOTOGRAPHS)


@dataclass(frozen=True, slots=True)
class Cost:
    """One artifact beside its checkpoint.

    Attributes:
        name: FORMAT-RECIPE.
        plain: Whether the toolkit's defaults made it.
        drop: Accuracy lost, in points.
        agreement: Share of equal decisions; ``sure`` where the checkpoint was sure.
        fnr_ratio: False negative rate over the checkpoint's; None where that is 0.
        size_bytes: Of the file or package.
    """

    name: str
    plain: bool
    drop: float | None
    agreement: float | None
    sure: float | None
    fnr_ratio: float | None
    size_bytes: int | None


@dataclass(frozen=True, slots=True)
class Exports:
    """All artifacts of one backbone: what it is called here, its accuracy before export, and a row each."""

    title: str
    accuracy: Bounded
    rows: Sequence[Cost]


@dataclass(frozen=True, slots=True)
class Recipes:
    """The tables; empty where nothing was measured. ``where``: the machine, in words."""

    backbones: Sequence[Exports]
    where: str


def recipes(found: ReportInput) -> Recipes:
    """Gather what the benchmark found."""
    figures = section(found.results, NAME)
    tables = [_exports(name, section(figures, name)) for name in _backbones(figures)]
    photographed = section(figures, PHOTOGRAPHS)
    tables += [_exports(f"{name}, on photographs", section(photographed, name)) for name in photographed]
    return Recipes(tables, machine_words(figures))


def gaps(found: ReportInput) -> dict[str, str]:
    """Results that are not there -> the command that makes them."""
    return {} if NAME in found.results else {f"benchmarks/results/{NAME}.json": f"run gossamer benchmark {NAME}"}


def _backbones(figures: Mapping[str, Any]) -> Iterator[str]:
    yield from (name for name in figures if name not in _EXTRAS and CHECKPOINT in section(figures, name))


def _exports(title: str, figures: Mapping[str, Any]) -> Exports:
    reference = section(figures, CHECKPOINT)
    names = sorted((name for name in figures if name != CHECKPOINT), key=_by_format)
    rows = [_cost(name, section(figures, name), reference.get("fnr")) for name in names]
    return Exports(title, bounded(reference, "accuracy"), rows)


def _by_format(name: str) -> tuple[str, str, bool]:
    """Sort by format; what the toolkit's defaults make stands right below Gossamer's own recipe."""
    return name.partition("-")[0], name.removesuffix(_PLAIN), name.endswith(_PLAIN)


def _cost(name: str, figures: Mapping[str, Any], reference: float | None) -> Cost:
    fnr = figures.get("fnr")
    return Cost(
        name=name.removesuffix(_PLAIN),
        plain=name.endswith(_PLAIN),
        drop=figures.get("accuracy_drop_points"),
        agreement=figures.get("agreement"),
        sure=figures.get("agreement_sure"),
        fnr_ratio=fnr / reference if fnr is not None and reference else None,
        size_bytes=figures.get("size_bytes"),
    )
