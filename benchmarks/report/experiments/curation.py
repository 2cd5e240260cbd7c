"""What curation is worth, for the report: are errors found, and does a classifier gain by it?

Reads nothing itself: the committed result of ``gossamer benchmark curation`` comes with the report's input. A figure
that is not there is None and reads "unmeasured".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.report.inputs import ReportInput
from benchmarks.report.result_fields import Bounded, bounded, machine_words, section

NAME = "curation"
FINDERS = {
    "uniform": "both opinions, pooled",
    "out_of_fold_uniform": "probes out of fold",
    "verifier_uniform": "the verifier",
    "cleanlab_default": "plain cleanlab, its defaults",
    "clustered": "both opinions, errors in one slice",
    "cleanlab_default_clustered": "plain cleanlab, errors in one slice",
}
ARMS = {
    "everything": "everything",
    "curated": "what curation kept",
    "random": "as many at random",
    "oracle": "everything, labelled by the judge",
}
DEFECTS = {
    "wrong_content": "another label's content",
    "blank": "blank",
    "duplicate": "duplicate",
    "blur": "out of focus",
}


@dataclass(frozen=True, slots=True)
class Payoff:
    """One way to choose what is learned from.

    Attributes:
        words: Which.
        images: How many.
        accuracy: (mean over seeds, low, high).
        seeds: Accuracy of each training, in order.
        gain: Points over learning from everything (mean, low, high); None for everything itself.
    """

    words: str
    images: int | None
    accuracy: Bounded
    seeds: Sequence[float]
    gain: Bounded | None


@dataclass(frozen=True, slots=True)
class Worth:
    """The tables; empty where nothing was measured.

    Attributes:
        shares: Shares of labels that were changed, as texts.
        found: (finder in words, a (precision, recall) a share).
        defects: (kind in words, (recall, low, high)).
        mislabelled: Share of the embedded model's images that show another label: before, after, judge's own error.
        payoffs: Share of labels changed before -> a row a way.
        cost: (images, images a second, bytes) of each size.
        seeds: Trainings of each way.
        where: The machine, in words.
    """

    shares: Sequence[str]
    found: Sequence[tuple[str, Sequence[tuple[float | None, float | None]]]]
    defects: Sequence[tuple[str, Bounded]]
    mislabelled: tuple[Bounded, Bounded, Bounded]
    payoffs: Mapping[str, Sequence[Payoff]]
    cost: Sequence[tuple[int, float, int]]
    seeds: int
    where: str


def worth(found: ReportInput) -> Worth:
    """Gather what the benchmark found."""
    figures = section(found.results, NAME)
    shares = list(section(figures, "uniform"))
    defects = section(figures, "defects")
    pays = section(figures, "pays")
    cost = section(figures, "cost")
    columns = [cost.get(name, ()) for name in ("images", "images_per_second", "peak_rss_bytes")]
    return Worth(
        shares=shares,
        found=[
            (words, [_pair(section(section(figures, name), share)) for share in shares])
            for name, words in FINDERS.items()
            if name in figures
        ],
        defects=[
            (words, bounded(section(defects, name), "recall")) for name, words in DEFECTS.items() if name in defects
        ],
        mislabelled=(
            bounded(figures, "embedded_mislabel_rate_before"),
            bounded(figures, "embedded_mislabel_rate_after"),
            bounded(figures, "judge_error_on_rendered"),
        ),
        payoffs={share: [_payoff(row) for row in rows if isinstance(row, Mapping)] for share, rows in pays.items()},
        cost=list(zip(*columns, strict=False)),
        seeds=len(section(figures, "params").get("pays_seeds", ())),
        where=machine_words(figures),
    )


def gaps(found: ReportInput) -> dict[str, str]:
    """Results that are not there -> the command that makes them."""
    return {} if NAME in found.results else {f"benchmarks/results/{NAME}.json": f"run gossamer benchmark {NAME}"}


def _payoff(row: Mapping[str, Any]) -> Payoff:
    arm = str(row.get("arm", ""))
    gain = bounded(row, "gain_points") if "gain_points" in row else None
    seeds = row.get("accuracies")
    told = [each for each in seeds if isinstance(each, float)] if isinstance(seeds, list) else []
    return Payoff(ARMS.get(arm, arm), row.get("images"), bounded(row, "accuracy"), told, gain)


def _pair(figures: Mapping[str, Any]) -> tuple[float | None, float | None]:
    return figures.get("precision"), figures.get("recall")
