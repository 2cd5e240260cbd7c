"""Measuring: the figures against ones worked out by hand, and what happens where something cannot be measured."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks import measure
from benchmarks.evaluation.accuracy import PolicyFacts, ask_again, compare, equalised_odds, expected_cost, rate
from benchmarks.evaluation.inference import (
    EvaluationSet,
    Runtimes,
    check_evaluation_set,
    local_runtimes,
    read_artifacts,
    read_reference,
)
from benchmarks.evaluation.predictions import CHECKPOINT, read_predictions
from benchmarks.latency.single_artifact import LatencyRequest, Timing
from pipeline.config.params import MeasureParams
from pipeline.config.policy import load_policy
from pipeline.data.preprocess import PreprocessSpec
from pipeline.data.records import Artifact, Artifacts
from pipeline.data.storage import write_json
from pipeline.errors import DataError, ModelError
from tests.benchmarks.small_task import NAMES, artifact, brightness

COSTS = PolicyFacts(
    ("scenario", "light"),
    {"street": {"helmet": 10.0, "no_helmet": 1.0}, "indoors": {"helmet": 4.0, "no_helmet": 1.0}},
)


def test_every_artifact_has_every_figure(
    measure_params: MeasureParams, evaluation_set: EvaluationSet, runtimes: Runtimes
) -> None:
    figures = measure.run(measure_params, evaluation_set, runtimes).metrics
    assert list(figures["artifacts"]) == list(NAMES)
    row = figures["artifacts"]["tflite-float32"]
    assert row["accuracy"] == 36 / 40
    assert 0.76 < row["accuracy_low"] < 0.9 < row["accuracy_high"] < 0.97
    assert (row["fnr"], row["fpr"]) == (2 / 20, 2 / 20)
    assert 0.8 < row["auc"] < 1
    assert 0 <= row["ece"] < 0.2
    assert (row["agreement"], row["max_abs_probability_diff"]) == (1.0, 0.0)
    assert (row["size_bytes"], row["latency_p90_ms"], row["load_ms"]) == (1234, 1.5, 2.0)
    assert (row["latency_valid"], row["latency_profile"], row["latency_many_p50_ms"]) == (True, "quick", 0.6)
    assert (figures["threads"], figures["threads_many"]) == (1, 2)
    assert figures["preprocess"]["camera"]["preprocess_p50_ms"] == 7.0
    assert row["sha256"] == "0" * 64
    assert figures["checkpoint"]["accuracy"] == 36 / 40
    assert (figures["checkpoint"]["macs"], figures["checkpoint"]["parameters"]) == (None, None)
    assert figures["selfies"]["count"] == 40
    assert figures["selfies"]["labels"] == {"no_helmet": 20, "helmet": 20}
    assert figures["confusion"] == {
        "no_helmet": {"no_helmet": 18, "helmet": 2},
        "helmet": {"no_helmet": 2, "helmet": 18},
    }


def test_an_artifact_with_a_retake_band_says_how_often_it_asks_and_how_well_it_does_on_the_rest(
    measure_params: MeasureParams, evaluation_set: EvaluationSet, runtimes: Runtimes
) -> None:
    (path, record), *others = evaluation_set.artifacts
    unsure = (path, record.model_copy(update={"retake_band": (0.5, 0.99999)}))
    result = measure.run(measure_params, replace(evaluation_set, artifacts=[unsure, *others]), runtimes)
    probability = result.predictions.probabilities[NAMES[0]][:, 1]
    asked = (probability > 0.5) & (probability < 0.99999)
    right = (probability >= 0.5) == (result.predictions.targets == 1)
    assert 0 < asked.sum() < len(asked)
    row, never = (result.metrics["artifacts"][name] for name in NAMES[:2])
    assert (row["retake_rate"], row["accuracy_outside_band"]) == (asked.mean(), right[~asked].mean())
    assert (never["retake_rate"], never["accuracy_outside_band"]) == (0, never["accuracy"])


def test_what_cannot_be_timed_is_null_and_never_zero(
    measure_params: MeasureParams, evaluation_set: EvaluationSet, runtimes: Runtimes
) -> None:
    figures = measure.run(measure_params, evaluation_set, runtimes).metrics
    row = figures["artifacts"]["coreml-float16"]
    assert row["accuracy"] == 36 / 40
    assert {row[name] for name in measure.TIMES} == {None}
    assert figures["unmeasured"]["artifacts.coreml-float16.latency"] == "Core ML needs a Mac"
    assert "artifacts.onnx-float32.latency" not in figures["unmeasured"]


def test_an_artifact_that_does_not_load_is_unmeasured_and_the_others_go_on(
    measure_params: MeasureParams, evaluation_set: EvaluationSet, runtimes: Runtimes
) -> None:
    def open_some(path: Path, record: Artifact, _threads: int) -> object:
        if record.format == "onnx":
            raise ModelError(f"{path}: torn")
        return brightness

    result = measure.run(measure_params, evaluation_set, replace(runtimes, open=open_some))  # type: ignore[arg-type]
    row = result.metrics["artifacts"]["onnx-float32"]
    assert row["size_bytes"] == 1234
    assert {value for name, value in row.items() if name not in {"size_bytes", "sha256"}} == {None}
    assert "torn" in result.metrics["unmeasured"]["artifacts.onnx-float32.accuracy"]
    assert "onnx-float32" not in result.predictions.probabilities
    assert result.metrics["artifacts"]["tflite-float32"]["accuracy"] == 36 / 40


def test_answers_that_are_no_numbers_are_unmeasured(
    measure_params: MeasureParams, evaluation_set: EvaluationSet, runtimes: Runtimes
) -> None:
    def sometimes(frame: np.ndarray) -> np.ndarray:
        return np.full(2, np.nan, np.float32) if frame.mean() > 130 else brightness(frame)

    broken = replace(
        runtimes, open=lambda _path, record, _threads: sometimes if record.format == "onnx" else brightness
    )
    figures = measure.run(measure_params, evaluation_set, broken).metrics
    assert figures["artifacts"]["onnx-float32"]["accuracy"] is None
    assert figures["artifacts"]["onnx-float32"]["agreement"] is None
    assert figures["unmeasured"]["artifacts.onnx-float32.accuracy"] == "20 of 40 answers are not numbers"
    json.dumps(figures, allow_nan=False)


def brightness_by_name(_path: Path, _record: Artifact, _threads: int) -> object:
    """In a worker an artifact is opened by a function that pickle can name."""
    return brightness


def test_processes_of_their_own_find_what_this_one_finds(
    measure_params: MeasureParams, evaluation_set: EvaluationSet, runtimes: Runtimes
) -> None:
    here = measure.run(measure_params, evaluation_set, runtimes)
    apart = measure.run(
        measure_params.model_copy(update={"workers": 2}),
        evaluation_set,
        replace(runtimes, open=brightness_by_name),  # type: ignore[arg-type]
    )
    assert apart.metrics == here.metrics


def test_a_harness_that_fails_leaves_accuracy_alone(
    measure_params: MeasureParams, evaluation_set: EvaluationSet, runtimes: Runtimes
) -> None:
    def give_up(_request: LatencyRequest) -> Timing:
        raise ModelError("no memory")

    figures = measure.run(measure_params, evaluation_set, replace(runtimes, time=give_up)).metrics
    row = figures["artifacts"]["tflite-float32"]
    assert (row["accuracy"], row["latency_p50_ms"], row["peak_rss_bytes"]) == (36 / 40, None, None)
    assert figures["unmeasured"]["artifacts.tflite-float32.latency"] == "no memory"


def test_slices_count_and_rate_their_own_rows(
    measure_params: MeasureParams, evaluation_set: EvaluationSet, runtimes: Runtimes
) -> None:
    figures = measure.run(measure_params, replace(evaluation_set, policy=COSTS), runtimes).metrics
    assert list(figures["slices"]) == ["scenario", "light"]
    night, day = figures["slices"]["light"]["night"], figures["slices"]["light"]["day"]
    assert (night["count"], night["accuracy"], day["count"], day["accuracy"]) == (10, 1.0, 30, 26 / 30)
    assert (night["fnr"], day["fpr"]) == (0.0, 2 / 15)
    assert day["artifacts"] == dict.fromkeys(NAMES, 26 / 30)
    assert day["accuracy_low"] < 26 / 30 < day["accuracy_high"]


def test_pairs_of_factors_are_slices_of_their_own(
    measure_params: MeasureParams, evaluation_set: EvaluationSet, runtimes: Runtimes
) -> None:
    paired = replace(evaluation_set, policy=replace(COSTS, pairs=(("light", "scenario"),)))
    pairs = measure.run(measure_params, paired, runtimes).metrics["slice_pairs"]["light x scenario"]
    assert {name: figures["count"] for name, figures in pairs.items()} == {
        "day x indoors": 16,
        "day x street": 14,
        "night x indoors": 4,
        "night x street": 6,
    }
    assert pairs["day x indoors"]["accuracy"] == 14 / 16


def test_equalised_odds_are_the_widest_gaps_between_values_of_a_factor() -> None:
    slices = {
        "skin_tone": {
            "monk_01": {"fnr": 0.02, "fpr": 0.05},
            "monk_05": {"fnr": 0.10, "fpr": 0.01},
            "monk_10": {"fnr": 0.06, "fpr": 0.04},
            "rare": {"count": 2, "accuracy": None},
        },
        "headwear": {"cap": {"fnr": None, "fpr": 0.1}, "road_helmet": {"fnr": 0.1, "fpr": None}},
        "glasses": {"none": {"fnr": 0.1, "fpr": 0.1}},
    }
    found = equalised_odds(slices)
    assert list(found) == ["skin_tone"]
    odds = found["skin_tone"]
    assert (odds["fnr_worst"], odds["fpr_worst"]) == ("monk_05", "monk_01")
    assert [odds[name] for name in ("gap", "fnr_gap", "fpr_gap")] == pytest.approx([0.08, 0.08, 0.04])


def test_a_small_slice_is_counted_but_not_rated(
    measure_params: MeasureParams, evaluation_set: EvaluationSet, runtimes: Runtimes
) -> None:
    strict = measure_params.model_copy(update={"min_slice": 11})
    night = measure.run(strict, evaluation_set, runtimes).metrics["slices"]["light"]["night"]
    assert night == {"count": 10, "accuracy": None}


def test_costs_are_the_policys_per_thousand_checks(
    measure_params: MeasureParams, evaluation_set: EvaluationSet, runtimes: Runtimes
) -> None:
    # the four mistakes are selfies 36 to 39: two on the street and two indoors, one of each kind
    costs = measure.run(measure_params, replace(evaluation_set, policy=COSTS), runtimes).metrics["cost_per_1000"]
    assert costs["checkpoint"] == pytest.approx({"overall": 400.0, "street": 550.0, "indoors": 250.0})
    assert costs["tflite-static_wi8_ai8"] == costs["checkpoint"]


def test_without_factors_slices_and_costs_say_why_they_are_missing(
    measure_params: MeasureParams, evaluation_set: EvaluationSet, runtimes: Runtimes
) -> None:
    bare = replace(evaluation_set, rows=[row.model_copy(update={"factors": {}}) for row in evaluation_set.rows])
    figures = measure.run(measure_params, bare, runtimes).metrics
    assert (figures["slices"], figures["cost_per_1000"]) == ({}, {})
    assert {"slices", "cost_per_1000"} <= set(figures["unmeasured"])


def test_the_three_kinds_of_file_are_written(
    measure_params: MeasureParams, evaluation_set: EvaluationSet, runtimes: Runtimes, tmp_path: Path
) -> None:
    result = measure.run(measure_params, replace(evaluation_set, policy=COSTS), runtimes)
    measure.write(result, tmp_path / "measure.json", tmp_path / "predictions.parquet", tmp_path / "plots")
    assert json.loads((tmp_path / "measure.json").read_text()) == result.metrics
    assert read_predictions(tmp_path / "predictions.parquet").ids == tuple(row.id for row in evaluation_set.rows)
    tables = {path.stem: list(csv.DictReader(path.read_text().splitlines())) for path in (tmp_path / "plots").iterdir()}
    assert set(tables) == {"confusion", "roc", "calibration", "coverage", "slices", "accuracy_latency"}
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
    facts = measure.policy_facts(load_policy(root / "policies" / "helmet.yaml"))
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
    assert set(rate(empty, CHECKPOINT, 0.95).values()) == {None}
    assert set(compare(empty, CHECKPOINT, CHECKPOINT).values()) == {None}
    assert set(ask_again(empty, CHECKPOINT, (0.1, 0.9)).values()) == {None}
    assert expected_cost(empty, CHECKPOINT, [], COSTS.costs) == {}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # the exporter's own dependencies
def test_a_real_checkpoint_and_its_onnx_artifact_agree(
    measure_params: MeasureParams, evaluation_set: EvaluationSet, tmp_path: Path
) -> None:
    import torch
    from torch import nn

    from export.formats import open_format
    from pipeline.train.model import (
        CheckpointConfig,
        PortableClassifier,
        build_network,
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
    figures = measure.run(measure_params, real, local_runtimes()).metrics
    row = figures["artifacts"]["onnx-float32"]
    assert row["agreement"] == 1.0
    assert row["max_abs_probability_diff"] < 1e-4
    assert row["accuracy"] == figures["checkpoint"]["accuracy"]
    assert row["latency_p50_ms"] > 0
    assert figures["checkpoint"]["parameters"] == sum(each.numel() for each in network.parameters())
    assert figures["checkpoint"]["macs"] > 10**6
    assert figures["preprocess"]["selfie"]["width"] == 6
    assert row["peak_rss_bytes"] > row["baseline_rss_bytes"]
    assert not math.isnan(row["load_ms"])
