"""Report section: how well images of the bundled Stable Diffusion match their prompts.

Shows benchmarks/results/embedded.json, which ``gossamer benchmark bundled_diffusion`` writes. An attribute network
trained apart from the generator, on rendered portraits, reads the attributes off each image.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from benchmarks.evaluation.estimates import Number
from benchmarks.report.experiments.experiment_result import ExperimentResult, ResultRecord


class AttributeShares(ResultRecord):
    """Share of images that show an attribute as prompted; one field per attribute, None where it was not measured."""

    helmet: Number | None = None
    light: Number | None = None
    glasses: Number | None = None
    mask: Number | None = None
    skin_tone_within_1: Number | None = None
    headwear: Number | None = None

    def shares(self) -> tuple[float | None, ...]:
        """The shares in the order of ``ATTRIBUTES``."""
        return (self.helmet, self.light, self.glasses, self.mask, self.skin_tone_within_1, self.headwear)


ATTRIBUTES = ("helmet", "light", "glasses", "mask", "skin_tone_within_1", "headwear")


class SamplerSetting(AttributeShares):
    """The same at another number of denoising steps and guidance scale."""

    steps: int
    guidance: float


class BundledDiffusionResult(ExperimentResult):
    """The figures of benchmarks/results/embedded.json that the report shows.

    Attributes:
        agreement: Shares at the shipped setting; ``agreement_low`` and ``agreement_high`` are their 95 % intervals.
        judge_on_rendered: Shares the attribute network finds on rendered images of the same prompts.
        table: Shares at other settings.
        kid: Kernel inception distance to rendered images, in features of the attribute network.
        images_per_second: Speed of ``gossamer generate``.
        speedup_over_plain_loop: Over calling the pipeline prompt by prompt.
        size_bytes: Size of the weights.
    """

    NAME: ClassVar[str] = "embedded"
    BENCHMARK: ClassVar[str] = "bundled_diffusion"
    agreement: AttributeShares = AttributeShares()
    agreement_low: AttributeShares = AttributeShares()
    agreement_high: AttributeShares = AttributeShares()
    judge_on_rendered: AttributeShares | None = None
    table: tuple[SamplerSetting, ...] = ()
    kid: Number | None = None
    images_per_second: Number | None = None
    speedup_over_plain_loop: Number | None = None
    size_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class ShareCell:
    """A share in [0, 1] and the ends of its interval; None where it was not measured."""

    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class AlignmentRow:
    """Shares of all ``ATTRIBUTES`` at one setting; ``shipped`` marks the setting of params.yaml."""

    setting: str
    cells: Sequence[ShareCell]
    shipped: bool = False


def alignment_rows(result: BundledDiffusionResult | None) -> list[AlignmentRow]:
    """Build the table: the shipped setting, other settings, rendered images; empty without a result."""
    if result is None:
        return []
    bounds = (result.agreement.shares(), result.agreement_low.shares(), result.agreement_high.shares())
    shipped = [ShareCell(value, low, high) for value, low, high in zip(*bounds, strict=True)]
    rows = [AlignmentRow("as shipped", shipped, shipped=True)]
    rows += [_plain_row(f"{row.steps} steps, guidance {row.guidance:g}", row) for row in result.table]
    if result.judge_on_rendered is not None:
        rows.append(_plain_row("rendered images", result.judge_on_rendered))
    return rows


def _plain_row(setting: str, shares: AttributeShares) -> AlignmentRow:
    return AlignmentRow(setting, [ShareCell(value) for value in shares.shares()])
