"""Stage: the checkpoint and every artifact on selfies that training never used.

Reads models/checkpoint/, artifacts/FORMAT/ and the test sets in data/selfies/. Writes metrics/measure.json
(``Measurement``), section ``measure`` of metrics/machine.json (``MachineFigures``), plots/*.csv and
data/predictions.parquet. Predictions come from each format's own runtime (``benchmarks.evaluation.inference``), latency
and memory from one fresh process per artifact (``benchmarks.latency.single_artifact``), preprocessing time apart from
both (``benchmarks.latency.preprocessing``). What could not be measured is null, and ``unmeasured`` gives the reason.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.arm64.evaluate import measure_on_arm
from benchmarks.evaluation import machine_figures
from benchmarks.evaluation.accuracy import (
    PolicyFacts,
    abstention_figures,
    accuracy_figures,
    confusion_counts,
    expected_cost,
    measure_params_hash,
    parity_figures,
)
from benchmarks.evaluation.inference import (
    EvaluationSet,
    Runtimes,
    artifact_name,
    check_evaluation_set,
    local_runtimes,
    run_inference,
)
from benchmarks.evaluation.machine_figures import MachineFigures
from benchmarks.evaluation.measurement import (
    Arm64Figures,
    ArtifactFigures,
    CameraFigures,
    CheckpointFigures,
    ExpectedCost,
    Measurement,
    SelfieSet,
    SetFigures,
    SliceFigures,
)
from benchmarks.evaluation.plots import Row, plot_rows
from benchmarks.evaluation.predictions import CHECKPOINT, Predictions, join_predictions, write_predictions
from benchmarks.evaluation.selfie_sets import SelfieFolder
from benchmarks.evaluation.slices import RowsByValue, equalised_odds, rows_by_pair, rows_by_value, slice_figures
from benchmarks.evaluation.training_overlap import TrainingImages, refuse_overlapping_sets
from benchmarks.latency.single_artifact import LatencyRequest, Timing
from benchmarks.robustness import evaluate as robustness
from pipeline.config.params import MeasureParams
from pipeline.config.policy import SCENARIO
from pipeline.data.hashing import content_hash
from pipeline.data.machine_figures import MACHINE_JSON, record_machine_figures
from pipeline.data.preprocess import PreprocessSpec
from pipeline.data.records import Artifact, MeasureInputs
from pipeline.data.shards import load_batch, read_bytes
from pipeline.data.storage import write_csv, write_json
from pipeline.errors import GossamerError

_TIMED_FRAMES = 32
_NOT_COMPARED = "the photographs were not compared with training images: there are none; run dvc repro measure"
_FACTORS_CSV = "selfies.photographs.N.factors"


@dataclass(frozen=True, slots=True)
class MeasureResult:
    """What the stage writes.

    Attributes:
        measurement: metrics/measure.json.
        machine: Section ``measure`` of metrics/machine.json.
        predictions: data/predictions.parquet.
        plots: NAME -> rows of plots/NAME.csv.
    """

    measurement: Measurement
    machine: MachineFigures
    predictions: Predictions
    plots: Mapping[str, Sequence[Row]]


def run(
    params: MeasureParams,
    evaluation_set: EvaluationSet,
    runtimes: Runtimes | None = None,
    others: Sequence[SelfieFolder] = (),
    training: TrainingImages | None = None,
) -> MeasureResult:
    """Measure the checkpoint and every artifact.

    Args:
        params: Conditions of the measurements.
        evaluation_set: The models, and the test set that the verdict stands on.
        runtimes: Runs and times artifacts.
        others: Further test sets. Time, ARM and a camera's distortions are measured on the first set only.
        training: The training images, which photographs must not be among; None: there are none to compare with.

    Raises:
        DataError: There are no selfies, or they have other labels; artifacts were made from another checkpoint; a
            photograph is also a training image.
    """
    runtimes = runtimes or local_runtimes()
    refuse_overlapping_sets([evaluation_set.test_set, *others], training)
    further = [evaluation_set.on(other) for other in others]
    for each in (evaluation_set, *further):
        check_evaluation_set(each)
    table, failed = run_inference(evaluation_set, runtimes, params.threads, params.workers)
    machine = _time(params, evaluation_set, runtimes, failed)
    arm = measure_on_arm(params.arm64, evaluation_set, table, params.seed, params.confidence)
    camera = robustness.run(params, evaluation_set, runtimes)
    headline = _set_figures(
        params, evaluation_set, table, failed, _Extras(camera.checkpoint, camera.artifacts, arm.figures)
    )
    sets, tables = {headline.selfies.name: headline}, [table]
    for other in further:
        own, reasons = run_inference(other, runtimes, params.threads, params.workers)
        tables.append(own)
        sets[other.card.name] = _set_figures(params, other, own, reasons)
    joined = join_predictions(tables)
    measurement = Measurement(
        **dict(headline),
        labels=table.labels,
        confidence=params.confidence,
        threads=params.threads,
        threads_many=params.threads_many,
        camera={name: dict(rows) for name, rows in camera.camera.items()},
        camera_basis=camera.camera_basis,
        integration_errors=dict(camera.integration_errors),
        arm64=arm.lab,
        sets=sets if others else {},
        inputs=_inputs(params, evaluation_set, joined),
    )
    gaps = {**measurement.unmeasured, **arm.unmeasured, **camera.unmeasured}
    if training is None and measurement.photograph_sets:
        gaps["training_images"] = _NOT_COMPARED
    measurement = measurement.model_copy(update={"unmeasured": gaps})
    return MeasureResult(measurement, machine, joined, plot_rows(joined, measurement))


@dataclass(frozen=True, slots=True)
class _Extras:
    """Figures of a set that come from elsewhere than the predictions; columns without any have none."""

    checkpoint: CameraFigures = field(default_factory=CameraFigures)
    camera: Mapping[str, CameraFigures] = field(default_factory=dict)
    arm64: Mapping[str, Arm64Figures] = field(default_factory=dict)


_NO_EXTRAS = _Extras()


def _set_figures(
    params: MeasureParams,
    evaluation_set: EvaluationSet,
    table: Predictions,
    failed: Mapping[str, str],
    extras: _Extras = _NO_EXTRAS,
) -> SetFigures:
    """All figures on one test set."""
    artifacts = [
        _artifact_figures(artifact, table, params.confidence, extras.camera.get(name), extras.arm64.get(name))
        for name, artifact in ((artifact_name(artifact), artifact) for _, artifact in evaluation_set.artifacts)
    ]
    factors, policy = [row.factors for row in evaluation_set.rows], evaluation_set.policy
    slices = _slices(params, table, rows_by_value(factors, policy.factors))
    costs = _costs(table, [row.get(SCENARIO) for row in factors], policy)
    card = evaluation_set.card
    return SetFigures(
        selfies=SelfieSet(
            count=len(table.ids),
            dataset_id=table.dataset_id(),
            labels={name: int(np.sum(table.targets == i)) for i, name in enumerate(table.labels)},
            name=card.name,
            source=card.source,
            licence=card.licence,
            note=card.note,
        ),
        checkpoint=_checkpoint_figures(evaluation_set, table, params.confidence, extras.checkpoint),
        artifacts={row.name: row for row in artifacts},
        slices=slices,
        slice_pairs=_slices(params, table, rows_by_pair(factors, policy.pairs)),
        equalised_odds=equalised_odds(slices),
        confusion=confusion_counts(table, CHECKPOINT),
        cost_per_1000=costs,
        unmeasured=_gaps(failed, slices, costs),
    )


def write(result: MeasureResult, metrics: Path, predictions: Path, plots: Path) -> None:
    """Write metrics/measure.json with its section of machine.json beside it, data/predictions.parquet and the plots."""
    write_json(metrics, result.measurement)
    section = result.machine.model_dump(mode="json")
    record_machine_figures(metrics.with_name(MACHINE_JSON), machine_figures.STAGE, section)
    write_predictions(predictions, result.predictions)
    for name, rows in result.plots.items():
        write_csv(plots / f"{name}.csv", rows)


def _inputs(params: MeasureParams, evaluation_set: EvaluationSet, table: Predictions) -> MeasureInputs:
    return MeasureInputs(
        policy=evaluation_set.policy.policy,
        params=measure_params_hash(params, evaluation_set.policy),
        artifacts={artifact_name(artifact): content_hash(artifact) for _, artifact in evaluation_set.artifacts},
        predictions=table.content_hash(),
    )


def _artifact_figures(
    artifact: Artifact,
    table: Predictions,
    confidence: float,
    camera: CameraFigures | None,
    arm64: Arm64Figures | None,
) -> ArtifactFigures:
    name = artifact_name(artifact)
    return ArtifactFigures(
        format=artifact.format,
        recipe=artifact.recipe,
        sha256=artifact.sha256,
        size_bytes=artifact.size_bytes,
        **dict(accuracy_figures(table, name, confidence)),
        **dict(parity_figures(table, name)),
        **dict(abstention_figures(table, name, artifact.retake_band)),
        **dict(camera or CameraFigures()),
        **dict(arm64 or Arm64Figures()),
    )


def _checkpoint_figures(
    evaluation_set: EvaluationSet, table: Predictions, confidence: float, camera: CameraFigures
) -> CheckpointFigures:
    complexity = evaluation_set.reference.complexity
    return CheckpointFigures(
        id=evaluation_set.reference.id,
        parameters=complexity.parameters if complexity else None,
        macs=complexity.macs if complexity else None,
        **dict(accuracy_figures(table, CHECKPOINT, confidence)),
        **dict(camera),
    )


def _slices(params: MeasureParams, table: Predictions, rows: RowsByValue) -> dict[str, dict[str, SliceFigures]]:
    return {
        name: {value: slice_figures(table, at, params.confidence, params.min_slice) for value, at in values.items()}
        for name, values in rows.items()
    }


def _costs(table: Predictions, scenarios: Sequence[str | None], policy: PolicyFacts) -> dict[str, ExpectedCost]:
    costs = {name: expected_cost(table, name, scenarios, policy.costs) for name in table.probabilities}
    return {name: cost for name, cost in costs.items() if cost is not None}


def _gaps(failed: Mapping[str, str], slices: Mapping[str, object], costs: Mapping[str, object]) -> dict[str, str]:
    """Place -> why the figures there are missing."""
    gaps = {f"artifacts.{name}.accuracy": reason for name, reason in failed.items()}
    if not slices:
        gaps["slices"] = f"the selfies carry no factors (photographs have those of {_FACTORS_CSV})"
    if CHECKPOINT not in costs:
        gaps["cost_per_1000"] = "no selfie belongs to a scenario with costs"
    return gaps


def _time(
    params: MeasureParams, evaluation_set: EvaluationSet, runtimes: Runtimes, failed: Mapping[str, str]
) -> MachineFigures:
    """Time every artifact whose predictions can be used, and the preprocessing."""
    timings: dict[str, Timing] = {}
    unmeasured: dict[str, str] = {}
    for path, artifact in evaluation_set.artifacts:
        name = artifact_name(artifact)
        timing = failed.get(name) or _time_artifact(params, evaluation_set, (path, artifact), runtimes)
        if isinstance(timing, str):
            unmeasured[f"artifacts.{name}.latency"] = timing
        else:
            timings[name] = timing
    pictures = [read_bytes(evaluation_set.selfies, row) for row in evaluation_set.rows[:_TIMED_FRAMES]]
    preprocess = runtimes.preprocess(pictures, evaluation_set.reference.preprocess)
    sha256 = {artifact_name(artifact): artifact.sha256 for _, artifact in evaluation_set.artifacts}
    return MachineFigures(artifacts=timings, sha256=sha256, preprocess=preprocess, unmeasured=unmeasured)


def _time_artifact(
    params: MeasureParams, evaluation_set: EvaluationSet, artifact: tuple[Path, Artifact], runtimes: Runtimes
) -> Timing | str:
    """Time one artifact, or return the reason why that is impossible."""
    path, record = artifact
    reason = runtimes.unmeasured(record.format)
    if reason:
        return reason
    with tempfile.TemporaryDirectory() as folder:
        frames = Path(folder) / "frames.npy"
        spec = PreprocessSpec.model_validate(record.preprocess)
        np.save(frames, load_batch(evaluation_set.selfies, evaluation_set.rows[:_TIMED_FRAMES], spec))
        request = LatencyRequest(
            format=record.format,
            path=path.resolve(),
            frames=frames,
            threads=params.threads,
            threads_many=params.threads_many,
            warmup=params.latency.warmup,
            profile=params.latency.profile,
        )
        try:
            return runtimes.time(request)
        except GossamerError as error:
            return str(error)
