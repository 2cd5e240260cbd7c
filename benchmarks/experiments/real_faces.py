"""Classifiers trained without one photograph, judged on photographs, beside the same network trained on photographs.

Four sources of training images, all with the checkout's train section: ``generated`` (the main generator),
``rendered`` (the renderer), ``mixed`` (both, as ``generate.mix`` of params.yaml says, or a quarter rendered), and
``photographs``: the same network trained on one half of the photographs and judged on the other half, and the other way
round. Curation, split and training are the ``gossamer`` commands. No photograph is in training, validation or threshold
of the first three. The photographs stay where they are, except for copies in the work area.

Reads params.yaml, policies/, the photographs and the code; leaves its work in the work area.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from benchmarks.evaluation.estimates import Estimate
from benchmarks.evaluation.inference import EvaluationSet, local_runtimes, read_reference, run_inference
from benchmarks.evaluation.predictions import CHECKPOINT as CHECKPOINT_COLUMN
from benchmarks.evaluation.predictions import Predictions, read_predictions, write_predictions
from benchmarks.experiment_harness.course import (
    CHECKPOINT,
    IMAGES,
    PROMPTS,
    ROWS,
    Experiment,
    StageFolder,
    open_experiment,
)
from benchmarks.experiment_harness.results import ResultRecord
from benchmarks.experiment_harness.workspace import ReportProgress, Step, run_steps
from pipeline.config.fields import Positive, Section, Seed
from pipeline.data.shards import INDEX, read_index
from pipeline.errors import ParamsError
from pipeline.metrics.classification import roc_auc

Source = Literal["generated", "rendered", "mixed", "photographs"]
SYNTHETIC: tuple[Source, ...] = ("generated", "rendered", "mixed")
HALVES = ((0.0, 0.5), (0.5, 1.0))
PREDICTIONS = Path("predictions.parquet")
_MIX = {"rendered": 0.25}
_RESAMPLES = 1000
_CONFIDENCE = 0.95


class Params(Section):
    """What is trained, and the photographs it is judged on.

    Attributes:
        photographs: Folder of LABEL/*.jpg with the labels of the policy.
        images: Number of prompts per source.
        seeds: Seeds of the trainings per source.
        sources: Sources to run.
        split_seed: Seed that divides the photographs into halves.
    """

    photographs: Path | None = None
    images: Positive = 4800
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1)] = (11, 12, 13)
    sources: Annotated[tuple[Source, ...], Field(min_length=1)] = (*SYNTHETIC, "photographs")
    split_seed: Seed = 1


class SourceResult(ResultRecord):
    """Figures on the photographs: means over the trainings, with 95 % bootstrap intervals over the photographs.

    Attributes:
        seeds: Seeds of the trainings.
        photographs: Number of photographs that were judged.
        auc: Area under the ROC curve.
        balanced_accuracy: Mean of both labels' recalls at the checkpoint's own threshold.
        best_balanced_accuracy: The same at the best threshold in hindsight: what a better threshold could gain.
        aucs: AUC of each training.
    """

    seeds: tuple[int, ...]
    photographs: int
    auc: Estimate
    balanced_accuracy: Estimate
    best_balanced_accuracy: Estimate
    aucs: tuple[float, ...]


class Result(ResultRecord):
    """Task -> source -> figures."""

    INLINE: ClassVar[str] = "tasks"

    tasks: dict[str, dict[str, SourceResult]]


@dataclass(frozen=True, slots=True)
class Judged:
    """Photographs judged by one training.

    Attributes:
        log_odds: Log-odds of the positive label minus those of the threshold, float64 (photographs,).
        positive: Whether each shows the positive label, bool (photographs,).
    """

    log_odds: NDArray[np.float64]
    positive: NDArray[np.bool_]


def run(params: Params, work: Path, report_progress: ReportProgress) -> Result:
    """Make, train and judge every source.

    Raises:
        ParamsError: No folder of photographs is named, or the checkout's params.yaml is missing or wrong.
        DataError: A command failed.
    """
    if params.photographs is None:
        raise ParamsError(
            "benchmark real_faces photographs: null; expected a folder of LABEL/*.jpg; run gossamer benchmark "
            "real_faces --set photographs=FOLDER"
        )
    experiment = open_experiment(params, work)
    run_steps(list(plan(experiment)), report_progress)
    return Result(tasks={experiment.base.policy: {source: _read(experiment, source) for source in params.sources}})


def plan(experiment: Experiment[Params]) -> Iterator[Step]:
    """List all steps in order."""
    whole = _open_photographs(experiment, "photographs", (0.0, 1.0), 0)
    packed = whole.generate(Path("none"), ())
    yield packed
    for source in experiment.params.sources:
        if source == "photographs":
            yield from _plan_halves(experiment)
        else:
            yield from _plan_source(experiment, source, whole.path / IMAGES, packed.name)


def summarise(trainings: Sequence[Judged], seeds: Sequence[int]) -> SourceResult:
    """Average the figures of several trainings that judged the same photographs."""
    return SourceResult(
        seeds=tuple(seeds),
        photographs=len(trainings[0].positive),
        auc=_estimate(trainings, lambda judged: roc_auc(judged.log_odds, judged.positive)),
        balanced_accuracy=_estimate(trainings, balanced_accuracy),
        best_balanced_accuracy=_estimate(trainings, best_balanced_accuracy),
        aucs=tuple(float(roc_auc(judged.log_odds, judged.positive)) for judged in trainings),
    )


def balanced_accuracy(judged: Judged, shift: float = 0.0) -> float:
    """Mean of both labels' recalls where the positive label is claimed from ``shift`` above the threshold on."""
    claimed = judged.log_odds >= shift
    return float((claimed[judged.positive].mean() + (~claimed)[~judged.positive].mean()) / 2)


def best_balanced_accuracy(judged: Judged) -> float:
    """The largest balanced accuracy of any threshold."""
    order = np.argsort(-judged.log_odds, kind="stable")
    hits = np.cumsum(judged.positive[order]) / judged.positive.sum()
    false_alarms = np.cumsum(~judged.positive[order]) / (~judged.positive).sum()
    last_of_value = np.append(np.diff(judged.log_odds[order]) != 0, True)
    return float(max(0.5, ((hits + 1 - false_alarms) / 2)[last_of_value].max()))


def _estimate(trainings: Sequence[Judged], figure: Callable[[Judged], float]) -> Estimate:
    """Mean over trainings; resamples photographs of each label, the same ones for every training."""
    rng = np.random.default_rng(0)
    groups = [np.flatnonzero(trainings[0].positive == label) for label in (False, True)]
    means = []
    for _ in range(_RESAMPLES):
        rows = np.concatenate([rng.choice(group, len(group)) for group in groups])
        means.append(np.mean([figure(Judged(each.log_odds[rows], each.positive[rows])) for each in trainings]))
    low, high = np.quantile(means, [(1 - _CONFIDENCE) / 2, (1 + _CONFIDENCE) / 2])
    value = float(np.mean([figure(each) for each in trainings]))
    return Estimate(value=value, low=min(float(low), value), high=max(float(high), value))


def _open(experiment: Experiment[Params], source: Source, name: str, seed: int | None = None) -> StageFolder:
    base = experiment.base.generate
    generators: Mapping[Source, Mapping[str, object]] = {
        "generated": {"generator": base.generator, "mix": {}},
        "rendered": {"generator": "rendered", "mix": {}},
        "mixed": {"generator": base.generator, "mix": base.mix or _MIX},
    }
    return experiment.open(
        name,
        {
            "dataset": {"source": "generated"},
            "prompts": {"count": experiment.params.images, "top_up": {}},
            "generate": dict(generators[source]),
            "train": {} if seed is None else {"seed": seed},
        },
    )


def _open_photographs(experiment: Experiment[Params], name: str, part: tuple[float, float], seed: int) -> StageFolder:
    params = experiment.params
    folder = str(params.photographs.resolve()) if params.photographs else None
    source = {"source": "photos", "folder": folder, "part": list(part), "seed": params.split_seed}
    return experiment.open(name, {"dataset": source, "train": {"seed": seed}})


def _plan_source(experiment: Experiment[Params], source: Source, photographs: Path, packed: str) -> Iterator[Step]:
    data = _open(experiment, source, source)
    yield from (data.prompts(), data.generate(PROMPTS), data.curate(), data.split())
    rows = data.path / ROWS[0], data.path / ROWS[1]
    for seed in experiment.params.seeds:
        folder = _open(experiment, source, f"{source}-seed-{seed}", seed)
        train = folder.train(rows, data.path / IMAGES, (f"{source}/split",))
        yield train
        yield _judge(folder, photographs, (train.name, packed))


def _plan_halves(experiment: Experiment[Params]) -> Iterator[Step]:
    packed = {}
    for number, part in enumerate(HALVES):
        data = _open_photographs(experiment, f"half-{number}", part, 0)
        generate = data.generate(Path("none"), ())
        yield generate
        split = data.split(IMAGES / INDEX, (generate.name,))  # labels of photographs are certain: no curation
        yield split
        packed[number] = (data.path, (generate.name, split.name))
    for seed in experiment.params.seeds:
        for number, part in enumerate(HALVES):
            (own, needs), (other, other_needs) = packed[number], packed[1 - number]
            folder = _open_photographs(experiment, f"half-{number}-seed-{seed}", part, seed)
            train = folder.train((own / ROWS[0], own / ROWS[1]), own / IMAGES, needs)
            yield train
            yield _judge(folder, other / IMAGES, (train.name, *other_needs))


def _judge(folder: StageFolder, photographs: Path, needs: tuple[str, ...]) -> Step:
    return folder.step("judge", "measure", partial(_predict, folder.path, photographs), (PREDICTIONS,), needs)


def _predict(folder: Path, photographs: Path) -> None:
    """Write the checkpoint's predictions for packed photographs, with its own threshold."""
    evaluation_set = EvaluationSet(read_reference(folder / CHECKPOINT), (), photographs, read_index(photographs))
    table, _ = run_inference(evaluation_set, local_runtimes(), threads=1)
    write_predictions(folder / PREDICTIONS, table)


def _read(experiment: Experiment[Params], source: Source) -> SourceResult:
    work, seeds = experiment.work, experiment.params.seeds
    if source != "photographs":
        return summarise(
            [judge(read_predictions(work / f"{source}-seed-{seed}" / PREDICTIONS)) for seed in seeds], seeds
        )
    trainings = []
    for seed in seeds:
        halves = [judge(read_predictions(work / f"half-{n}-seed-{seed}" / PREDICTIONS)) for n in range(len(HALVES))]
        trainings.append(
            Judged(
                np.concatenate([half.log_odds for half in halves]), np.concatenate([half.positive for half in halves])
            )
        )
    return summarise(trainings, seeds)


def judge(table: Predictions) -> Judged:
    """Read the checkpoint's log-odds, relative to its threshold, from a table of predictions."""
    probability = np.clip(table.probabilities[CHECKPOINT_COLUMN][:, -1].astype(np.float64), 1e-9, 1 - 1e-9)
    threshold = table.thresholds[CHECKPOINT_COLUMN]
    log_odds = np.log(probability / (1 - probability)) - np.log(threshold / (1 - threshold))
    return Judged(log_odds, table.targets == len(table.labels) - 1)
