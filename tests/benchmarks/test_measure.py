"""Figures equal those computed by hand, and what cannot be measured has a reason instead."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks import measure
from benchmarks.evaluation.accuracy import (
    PolicyFacts,
    abstention_figures,
    accuracy_figures,
    expected_cost,
    parity_figures,
    policy_facts,
)
from benchmarks.evaluation.inference import (
    EvaluationSet,
    Runtimes,
    check_evaluation_set,
    local_runtimes,
    read_artifacts,
    read_reference,
)
from benchmarks.evaluation.machine_figures import read_measured_machine
from benchmarks.evaluation.measurement import ModelFile, SliceFigures, read_measurement
from benchmarks.evaluation.predictions import CHECKPOINT, read_predictions
from benchmarks.evaluation.selfie_sets import SelfieFolder
from benchmarks.evaluation.training_overlap import read_training_images
from benchmarks.latency.single_artifact import LatencyRequest, Timing
from pipeline.config.params import MeasureParams
from pipeline.config.policy import load_policy
from pipeline.data.preprocess import PreprocessSpec
from pipeline.data.records import Artifact, Artifacts
from pipeline.data.shards import load_batch
from pipeline.data.storage import write_json
from pipeline.errors import DataError, ModelError
from tests.benchmarks.small_task import NAMES, SPEC, artifact, brightness, write_photographs


def value_of(result: measure.MeasureResult, artifact_name: str) -> float | None:
    """Accuracy of one artifact without its interval."""
    accuracy = result.measurement.artifacts[artifact_name].accuracy
    return accuracy.value if accuracy else None


COSTS = PolicyFacts(
    ("scenario", "light"),
    {"street": {"helmet": 10.0, "no_helmet": 1.0}, "indoors": {"helmet": 4.0, "no_helmet": 1.0}},
)


def test_every_artifact_has_every_figure(
    measure_params: MeasureParams, evaluation_set: EvaluationSet, runtimes: Runtimes
) -> None:
    result = measure.run(measure_params, evaluation_set, runtimes)
    measurement, machine = result.measurement, result.machine
    assert list(measurement.artifacts) == list(NAMES)
    row = measurement.artifacts["tflite-float32"]
    assert (row.format, row.recipe, row.name) == ("tflite", "float32", "tflite-float32")
    assert row.accuracy is not None
    assert row.accuracy.value == 36 / 40
    assert 0.76 < row.accuracy.low < 0.9 < row.accuracy.high < 0.97
    assert (row.fnr, row.fpr) == (2 / 20, 2 / 20)
    assert row.auc is not None
    assert 0.8 < row.auc < 1
    assert row.ece is not None
    assert 0 <= row.ece < 0.2
    assert (row.agreement, row.max_abs_probability_diff) == (1.0, 0.0)
    assert (row.size_bytes, row.sha256) == (1234, "0" * 64)
    assert (measurement.threads, measurement.threads_many) == (1, 2)
    timing = machine.artifacts["tflite-float32"]
    assert (timing.latency_p90_ms, timing.load_ms, timing.latency_many_p50_ms) == (1.5, 2.0, 0.6)
    assert machine.preprocess["camera"].preprocess_p50_ms == 7.0
    assert measurement.checkpoint.accuracy == row.accuracy
    assert (measurement.checkpoint.macs, measurement.checkpoint.parameters) == (None, None)
    assert measurement.selfies.count == 40
    assert measurement.selfies.labels == {"no_helmet": 20, "helmet": 20}
    assert measurement.confusion == {
        "no_helmet": {"no_helmet": 18, "helmet": 2},
        "helmet": {"no_helmet": 2, "helmet": 18},
    }


def test_a_retake_band_gives_an_abstention_rate_and_the_accuracy_on_the_other_selfies(
    measure_params: MeasureParams, evaluation_set: EvaluationSet, runtimes: Runtimes
) -> None:
    (path, record), *others = evaluation_set.artifacts
    unsure = (path, record.model_copy(update={"retake_band": (0.5, 0.99999)}))
    result = measure.run(measure_params, replace(evaluation_set, artifacts=[unsure, *others]), runtimes)
    probability = result.predictions.probabilities[NAMES[0]][:, 1]
    abstained = (probability > 0.5) & (probability < 0.99999)
    correct = (probability >= 0.5) == (result.predictions.targets == 1)
    assert 0 < abstained.sum() < len(abstained)
    row, without_band = (result.measurement.artifacts[name] for name in NAMES[:2])
    assert (row.abstention_rate, row.selective_accuracy) == (abstained.mean(), correct[~abstained].mean())
    assert without_band.accuracy is not None
    assert (without_band.abstention_rate, without_band.selective_accuracy) == (0, without_band.accuracy.value)


def test_an_artifact_that_cannot_be_timed_here_has_a_reason_and_its_other_figures(
    measure_params: MeasureParams, evaluation_set: EvaluationSet, runtimes: Runtimes
) -> None:
    result = measure.run(measure_params, evaluation_set, runtimes)
    assert value_of(result, "coreml-float16") == 36 / 40
    assert set(result.machine.artifacts) == set(NAMES) - {"coreml-float16"}
    assert result.machine.unmeasured == {"artifacts.coreml-float16.latency": "Core ML needs a Mac"}
    assert not [place for place in result.measurement.unmeasured if place.endswith("latency")]


def test_two_machines_write_the_same_measurement(
    measure_params: MeasureParams, evaluation_set: EvaluationSet, runtimes: Runtimes
) -> None:
    def time_slowly(request: LatencyRequest) -> Timing:
        return runtimes.time(request).model_copy(update={"latency_p50_ms": 70.0, "peak_rss_bytes": 10**9})

    first = measure.run(measure_params, evaluation_set, runtimes)
    second = measure.run(measure_params, evaluation_set, replace(runtimes, time=time_slowly, unmeasured=lambda _: ""))
    assert first.machine != second.machine
    assert first.measurement.model_dump_json() == second.measurement.model_dump_json()
    assert first.plots == second.plots


def test_an_artifact_that_does_not_load_is_unmeasured_and_the_others_are_measured(
    measure_params: MeasureParams, evaluation_set: EvaluationSet, runtimes: Runtimes
) -> None:
    def open_some(path: Path, record: Artifact, _threads: int) -> object:
        if record.format == "onnx":
            raise ModelError(f"{path}: torn")
        return brightness

    result = measure.run(measure_params, evaluation_set, replace(runtimes, open=open_some))  # type: ignore[arg-type]
    row = result.measurement.artifacts["onnx-float32"].model_dump()
    assert row["size_bytes"] == 1234
    assert {value for name, value in row.items() if name not in ModelFile.model_fields} == {None}
    assert "torn" in result.measurement.unmeasured["artifacts.onnx-float32.accuracy"]
    assert "torn" in result.machine.unmeasured["artifacts.onnx-float32.latency"]
    assert "onnx-float32" not in result.predictions.probabilities
    assert value_of(result, "tflite-float32") == 36 / 40


def test_an_artifact_with_a_prediction_that_is_not_finite_is_unmeasured(
    measure_params: MeasureParams, evaluation_set: EvaluationSet, runtimes: Runtimes
) -> None:
    def sometimes(frame: np.ndarray) -> np.ndarray:
        return np.full(2, np.nan, np.float32) if frame.mean() > 130 else brightness(frame)

    broken = replace(
        runtimes, open=lambda _path, record, _threads: sometimes if record.format == "onnx" else brightness
    )
    measurement = measure.run(measure_params, evaluation_set, broken).measurement
    row = measurement.artifacts["onnx-float32"]
    assert (row.accuracy, row.agreement) == (None, None)
    assert measurement.unmeasured["artifacts.onnx-float32.accuracy"] == "20 of 40 predictions are not finite"
    json.dumps(measurement.model_dump(mode="json"), allow_nan=False)


def brightness_by_name(_path: Path, _record: Artifact, _threads: int) -> object:
    """Worker processes import the function that opens an artifact by its name."""
    return brightness


def test_worker_processes_measure_what_this_process_measures(
    measure_params: MeasureParams, evaluation_set: EvaluationSet, runtimes: Runtimes
) -> None:
    here = measure.run(measure_params, evaluation_set, runtimes)
    workers = measure.run(
        measure_params.model_copy(update={"workers": 2}),
        evaluation_set,
        replace(runtimes, open=brightness_by_name),  # type: ignore[arg-type]
    )
    assert workers.measurement == here.measurement
    assert workers.machine == here.machine


def test_an_artifact_that_cannot_be_timed_still_has_its_accuracy(
    measure_params: MeasureParams, evaluation_set: EvaluationSet, runtimes: Runtimes
) -> None:
    def fail(_request: LatencyRequest) -> Timing:
        raise ModelError("no memory")

    result = measure.run(measure_params, evaluation_set, replace(runtimes, time=fail))
    assert value_of(result, "tflite-float32") == 36 / 40
    assert result.machine.artifacts == {}
    assert result.machine.unmeasured["artifacts.tflite-float32.latency"] == "no memory"


def test_slices_are_counted_and_measured_on_their_own_rows(
    measure_params: MeasureParams, evaluation_set: EvaluationSet, runtimes: Runtimes
) -> None:
    slices = measure.run(measure_params, replace(evaluation_set, policy=COSTS), runtimes).measurement.slices
    assert list(slices) == ["scenario", "light"]
    night, day = slices["light"]["night"], slices["light"]["day"]
    assert night.accuracy is not None
    assert day.accuracy is not None
    assert (night.count, night.accuracy.value, day.count, day.accuracy.value) == (10, 1.0, 30, 26 / 30)
    assert (night.fnr, day.fpr) == (0.0, 2 / 15)
    assert day.artifacts == dict.fromkeys(NAMES, 26 / 30)
    assert day.accuracy.low < 26 / 30 < day.accuracy.high


def test_pairs_of_factors_are_slices_of_their_own(
    measure_params: MeasureParams, evaluation_set: EvaluationSet, runtimes: Runtimes
) -> None:
    paired = replace(evaluation_set, policy=replace(COSTS, pairs=(("light", "scenario"),)))
    pairs = measure.run(measure_params, paired, runtimes).measurement.slice_pairs["light x scenario"]
    assert {name: figures.count for name, figures in pairs.items()} == {
        "day x indoors": 16,
        "day x street": 14,
        "night x indoors": 4,
        "night x street": 6,
    }
    assert pairs["day x indoors"].accuracy is not None
    assert pairs["day x indoors"].accuracy.value == 14 / 16


def test_a_slice_below_the_minimum_is_counted_and_has_no_figures(
    measure_params: MeasureParams, evaluation_set: EvaluationSet, runtimes: Runtimes
) -> None:
    strict = measure_params.model_copy(update={"min_slice": 11})
    night = measure.run(strict, evaluation_set, runtimes).measurement.slices["light"]["night"]
    assert night == SliceFigures(count=10)


def test_costs_are_those_of_the_policy_per_thousand_checks(
    measure_params: MeasureParams, evaluation_set: EvaluationSet, runtimes: Runtimes
) -> None:
    # the four wrong decisions are selfies 36 to 39: two on the street and two indoors, one of each kind
    costs = measure.run(measure_params, replace(evaluation_set, policy=COSTS), runtimes).measurement.cost_per_1000
    assert costs["checkpoint"].overall == pytest.approx(400.0)
    assert costs["checkpoint"].by_scenario == pytest.approx({"street": 550.0, "indoors": 250.0})
    assert costs["tflite-static_wi8_ai8"] == costs["checkpoint"]


def test_without_factors_slices_and_costs_are_missing_with_a_reason(
    measure_params: MeasureParams, evaluation_set: EvaluationSet, runtimes: Runtimes
) -> None:
    bare = replace(evaluation_set, rows=[row.model_copy(update={"factors": {}}) for row in evaluation_set.rows])
    measurement = measure.run(measure_params, bare, runtimes).measurement
    assert (measurement.slices, measurement.cost_per_1000) == ({}, {})
    assert {"slices", "cost_per_1000"} <= set(measurement.unmeasured)


def test_every_test_set_has_figures_of_its_own_and_the_headline_those_it_has_alone(
    measure_params: MeasureParams, evaluation_set: EvaluationSet, runtimes: Runtimes, tmp_path: Path
) -> None:
    street = write_photographs(tmp_path / "sets")
    alone = measure.run(measure_params, evaluation_set, runtimes)
    both = measure.run(measure_params, evaluation_set, runtimes, [street])
    top = both.measurement
    assert (alone.measurement.sets, list(top.sets)) == ({}, ["rendered", "street"])
    assert (top.checkpoint, top.artifacts, top.slices) == (
        alone.measurement.checkpoint,
        alone.measurement.artifacts,
        alone.measurement.slices,
    )
    assert both.predictions.of_set("rendered").content_hash() == alone.predictions.content_hash()
    own = top.sets["street"]
    assert own.checkpoint.accuracy is not None
    assert (own.selfies.count, own.selfies.source, own.selfies.licence) == (20, "photos", "our own")
    assert own.checkpoint.accuracy.value == 12 / 20
    assert own.checkpoint.balanced_accuracy == pytest.approx(0.6)
    night = own.slices["light"]["night"].accuracy
    assert (night and night.value, list(own.artifacts)) == (2 / 10, list(NAMES))
    measure.write(both, tmp_path / "measure.json", tmp_path / "predictions.parquet", tmp_path / "plots")
    assert read_measurement(tmp_path / "measure.json") == top
    stored = json.loads((tmp_path / "measure.json").read_text(encoding="utf-8"))
    assert stored["sets"]["street"]["artifacts"]["onnx-float32"]["accuracy"] == 12 / 20
    assert stored["sets"]["rendered"]["checkpoint"]["accuracy"] == stored["checkpoint"]["accuracy"] == 36 / 40
    assert read_predictions(tmp_path / "predictions.parquet").set_names == ("rendered", "street")


def test_photographs_can_be_the_headline(
    measure_params: MeasureParams, evaluation_set: EvaluationSet, runtimes: Runtimes, tmp_path: Path
) -> None:
    rendered = SelfieFolder(evaluation_set.card, evaluation_set.selfies, evaluation_set.rows)
    on_street = evaluation_set.on(write_photographs(tmp_path / "sets"))
    measurement = measure.run(measure_params, on_street, runtimes, [rendered]).measurement
    assert (measurement.headline, list(measurement.every_set)) == ("street", ["street", "rendered"])
    assert list(measurement.photograph_sets) == ["street"]


def test_an_artifact_that_fails_on_one_set_is_unmeasured_there_and_measured_on_the_other(
    measure_params: MeasureParams, evaluation_set: EvaluationSet, runtimes: Runtimes, tmp_path: Path
) -> None:
    street = write_photographs(tmp_path / "sets")
    photographs = {load_batch(street.folder, [row], SPEC).tobytes() for row in street.rows}

    def not_on_photographs(frame: np.ndarray) -> np.ndarray:
        return np.full(2, np.nan, np.float32) if frame.tobytes() in photographs else brightness(frame)

    broken = replace(
        runtimes, open=lambda _path, record, _threads: not_on_photographs if record.format == "onnx" else brightness
    )
    result = measure.run(measure_params, evaluation_set, broken, [street])
    own = result.measurement.sets["street"]
    assert own.artifacts["onnx-float32"].accuracy is None
    assert own.unmeasured["artifacts.onnx-float32.accuracy"] == "20 of 20 predictions are not finite"
    assert value_of(result, "onnx-float32") == 36 / 40


def test_photographs_without_factors_or_without_training_images_to_compare_with_say_so(
    measure_params: MeasureParams, evaluation_set: EvaluationSet, runtimes: Runtimes, tmp_path: Path
) -> None:
    street = write_photographs(tmp_path / "sets", factors=False)
    measurement = measure.run(measure_params, evaluation_set, runtimes, [street]).measurement
    assert "selfies.photographs.N.factors" in measurement.sets["street"].unmeasured["slices"]
    assert "not compared with training images" in measurement.unmeasured["training_images"]
    assert "training_images" not in measure.run(measure_params, evaluation_set, runtimes).measurement.unmeasured


def test_photographs_that_are_training_images_are_not_measured(
    measure_params: MeasureParams, evaluation_set: EvaluationSet, runtimes: Runtimes, tmp_path: Path
) -> None:
    street = write_photographs(tmp_path / "sets")
    training = read_training_images(street.folder)
    with pytest.raises(DataError, match="20 of 20 photographs are among the training images"):
        measure.run(measure_params, evaluation_set, runtimes, [street], training)


def test_plots_tell_the_test_sets_apart(
    measure_params: MeasureParams, evaluation_set: EvaluationSet, runtimes: Runtimes, tmp_path: Path
) -> None:
    plots = measure.run(measure_params, evaluation_set, runtimes, [write_photographs(tmp_path / "sets")]).plots
    assert {(row["set"], row["artifact"]) for row in plots["roc"]} >= {
        ("rendered", "checkpoint"),
        ("street", "street: checkpoint"),
        ("street", "street: onnx-float32"),
    }
    assert {row["slice"] for row in plots["slices"]} >= {"light=night", "street: light=night"}
    assert {row["set"] for row in plots["confusion"]} == {"rendered"}


def test_results_machine_figures_predictions_and_plots_are_written(
    measure_params: MeasureParams, evaluation_set: EvaluationSet, runtimes: Runtimes, tmp_path: Path
) -> None:
    result = measure.run(measure_params, replace(evaluation_set, policy=COSTS), runtimes)
    measure.write(result, tmp_path / "measure.json", tmp_path / "predictions.parquet", tmp_path / "plots")
    assert read_measurement(tmp_path / "measure.json") == result.measurement
    assert read_measured_machine(tmp_path / "machine.json", result.measurement) == result.machine
    assert read_predictions(tmp_path / "predictions.parquet").ids == tuple(row.id for row in evaluation_set.rows)
    tables = {path.stem: list(csv.DictReader(path.read_text().splitlines())) for path in (tmp_path / "plots").iterdir()}
    assert set(tables) == {"confusion", "roc", "calibration", "coverage", "slices", "accuracy_size"}
    assert len(tables["confusion"]) == 40
    assert {row["artifact"] for row in tables["roc"]} == {CHECKPOINT, *NAMES}
    assert {row["slice"] for row in tables["slices"]} >= {"light=night", "scenario=street"}
    assert sum(int(row["count"]) for row in tables["calibration"] if row["artifact"] == CHECKPOINT) == 40


def test_an_artifact_of_another_checkpoint_is_refused(evaluation_set: EvaluationSet) -> None:
    stale = artifact("onnx", "float32").model_copy(update={"checkpoint_id": "e" * 64})
    with pytest.raises(DataError, match=r"another checkpoint; run dvc repro convert@onnx"):
        check_evaluation_set(replace(evaluation_set, artifacts=[(Path("model.onnx"), stale)]))


def test_selfies_of_other_labels_are_refused(evaluation_set: EvaluationSet) -> None:
    rows = [row.model_copy(update={"label": "mask"}) for row in evaluation_set.rows]
    with pytest.raises(DataError, match=r"label 'mask'; expected the checkpoint's: no_helmet, helmet"):
        check_evaluation_set(replace(evaluation_set, rows=rows))


def test_no_selfies_are_refused(evaluation_set: EvaluationSet) -> None:
    with pytest.raises(DataError, match="no selfies; run dvc repro selfies"):
        check_evaluation_set(replace(evaluation_set, rows=[]))


def test_artifacts_are_read_with_the_files_they_name(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no artifacts"):
        read_artifacts(tmp_path)
    for name in ("tflite", "onnx"):
        (tmp_path / name).mkdir()
        rows = Artifacts(format=name, artifacts=(artifact(name, "float32"),))
        write_json(tmp_path / name / "artifact.json", rows)
        (tmp_path / name / f"model.{name}").write_bytes(b"x")
    assert [path.name for path, _ in read_artifacts(tmp_path)] == ["model.onnx", "model.tflite"]
    (tmp_path / "onnx" / "model.onnx").unlink()
    with pytest.raises(ModelError, match=r"model\.onnx: missing; .* convert@onnx"):
        read_artifacts(tmp_path)


def test_a_policy_gives_factors_and_costs(root: Path) -> None:
    facts = policy_facts(load_policy(root / "policies" / "helmet.yaml"))
    assert facts.factors[0] == "scenario"
    assert {"light", "headwear", "straps"} <= set(facts.factors)
    assert len(facts.factors) == len(set(facts.factors))
    assert set(facts.costs["night_ride"]) == {"helmet", "no_helmet"}


def test_figures_of_no_selfies_are_null(
    evaluation_set: EvaluationSet, runtimes: Runtimes, measure_params: MeasureParams
) -> None:
    table = measure.run(measure_params, evaluation_set, runtimes).predictions
    empty = replace(
        table,
        ids=(),
        sha256=(),
        targets=table.targets[:0],
        probabilities={CHECKPOINT: table.probabilities[CHECKPOINT][:0]},
    )
    assert set(accuracy_figures(empty, CHECKPOINT, 0.95).model_dump().values()) == {None}
    assert set(parity_figures(empty, CHECKPOINT).model_dump().values()) == {None}
    assert set(abstention_figures(empty, CHECKPOINT, (0.1, 0.9)).model_dump().values()) == {None}
    assert expected_cost(empty, CHECKPOINT, [], COSTS.costs) is None


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # the exporter's own dependencies
def test_a_real_checkpoint_and_its_onnx_artifact_agree(
    measure_params: MeasureParams, evaluation_set: EvaluationSet, tmp_path: Path
) -> None:
    import torch
    from torch import nn

    from export.formats import open_format
    from pipeline.train.backbone import build_network
    from pipeline.train.model import (
        CheckpointConfig,
        PortableClassifier,
        load_checkpoint,
        save_checkpoint,
    )
    from tests.export.tiny import job_of

    torch.manual_seed(0)
    spec = PreprocessSpec(input_size=(64, 48))
    network: nn.Module = build_network("mobilenetv3_small_050", 2)
    config = CheckpointConfig(
        backbone="mobilenetv3_small_050",
        padding="symmetric",
        labels=("no_helmet", "helmet"),
        preprocess=spec,
        threshold=0.5,
        checkpoint_id="",
        dataset_id="d",
    )
    config = save_checkpoint(tmp_path / "checkpoint", network, config)
    onnx = open_format("onnx")
    portable = PortableClassifier(load_checkpoint(tmp_path / "checkpoint").network, spec).eval()
    job = job_of(portable, np.zeros((1, 64, 48, 3), np.uint8))
    onnx.export(job, "float32", onnx.Params(recipes=("float32",)), tmp_path / "model.onnx")
    update = {"checkpoint_id": config.checkpoint_id, "preprocess": spec.model_dump(mode="json")}
    record = artifact("onnx", "float32").model_copy(update=update)
    real = replace(
        evaluation_set, reference=read_reference(tmp_path / "checkpoint"), artifacts=[(tmp_path / "model.onnx", record)]
    )
    result = measure.run(measure_params, real, local_runtimes())
    checkpoint, row = result.measurement.checkpoint, result.measurement.artifacts["onnx-float32"]
    assert row.agreement == 1.0
    assert row.max_abs_probability_diff is not None
    assert row.max_abs_probability_diff < 1e-4
    assert row.accuracy == checkpoint.accuracy
    assert checkpoint.parameters == sum(parameter.numel() for parameter in network.parameters())
    assert checkpoint.macs is not None
    assert checkpoint.macs > 10**6
    timing = result.machine.artifacts["onnx-float32"]
    assert timing.latency_p50_ms > 0
    assert timing.peak_rss_bytes > timing.baseline_rss_bytes
    assert result.machine.preprocess["selfie"].width == 6
    assert timing.load_ms > 0
