"""Files of different runs are refused by name, whichever of them was changed and whichever command meets them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from benchmarks.evaluation.measurement import read_measurement
from benchmarks.evaluation.predictions import read_predictions, write_predictions
from benchmarks.gate.baseline import write_baseline
from benchmarks.gate.provenance import check_run, complete_run, find_mismatches, read_run
from pipeline.cli import app
from pipeline.data.hashing import content_hash
from pipeline.data.records import Artifacts, Verdict
from pipeline.data.storage import read_json, write_json
from pipeline.errors import DataError, ReleaseRefusedError
from tests.benchmarks.evaluation.measurements import full_measurement
from tests.benchmarks.small_task import write_photographs
from tests.benchmarks.whole_run import WholeRun

LOCK = "stages:\n  convert@onnx:\n    outs: [artifacts/onnx]\n"


def told(run: WholeRun) -> str:
    """Every mismatch, a line each, with paths relative to the folder of the run."""
    found = find_mismatches(read_run(run.paths), run.policy, run.params)
    return "\n".join(str(each).replace(f"{run.root}/", "") for each in found)


def rewrite(path: Path, **changes: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), **changes}), encoding="utf-8")


def commit(root: Path) -> None:
    """Make the folder a git checkout whose dvc.lock names the artifacts."""
    (root / "dvc.lock").write_text(LOCK, encoding="utf-8")
    names = {f"GIT_{role}_{what}": "a@b.example" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    for words in (["init", "--quiet"], ["add", "dvc.lock"], ["commit", "--quiet", "--message", "v1"]):
        subprocess.run(["git", *words], cwd=root, check=True, env={**os.environ, **names})


def other_weights(run: WholeRun) -> None:
    run.convert(weights="of another training")


def other_checkpoint(run: WholeRun) -> None:
    run.convert(weights="of another training", checkpoint_id="e" * 64)


def other_threshold(run: WholeRun) -> None:
    run.convert(threshold=0.25)


def fewer_artifacts(run: WholeRun) -> None:
    path = run.paths.artifacts / "tflite" / "artifact.json"
    listed = read_json(path, Artifacts)
    write_json(path, listed.model_copy(update={"artifacts": listed.artifacts[:1]}))


def more_artifacts(run: WholeRun) -> None:
    path = run.paths.artifacts / "onnx" / "artifact.json"
    listed = read_json(path, Artifacts)
    extra = listed.artifacts[0].model_copy(update={"id": "onnx-float16", "recipe": "float16"})
    write_json(path, listed.model_copy(update={"artifacts": (*listed.artifacts, extra)}))


def an_edited_model(run: WholeRun) -> None:
    (run.paths.artifacts / "onnx" / "float32.onnx").write_bytes(b"edited")


def a_missing_format(run: WholeRun) -> None:
    shutil.rmtree(run.paths.artifacts / "coreml")


def another_policy(run: WholeRun) -> None:
    path = run.root / "policies" / "helmet.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("question: ", "question: Tell me. ", 1), encoding="utf-8")


def other_selfies(run: WholeRun) -> None:
    index = run.paths.selfies / "index.jsonl"
    index.write_text("".join(index.read_text(encoding="utf-8").splitlines(keepends=True)[1:]), encoding="utf-8")


def a_test_set_that_was_not_measured(run: WholeRun) -> None:
    write_photographs(run.paths.selfies)


def other_predictions(run: WholeRun) -> None:
    table = read_predictions(run.paths.predictions)
    values = np.array(table.probabilities["onnx-float32"])
    values[3] = values[3][::-1]
    probabilities = {**table.probabilities, "onnx-float32": values}
    write_predictions(run.paths.predictions, replace(table, probabilities=probabilities))


def a_measurement_measured_again(run: WholeRun) -> None:
    run.change_params("measure", min_slice=6)
    run.measure()


def a_forged_accuracy(run: WholeRun) -> None:
    text = run.paths.measurement.read_text(encoding="utf-8")
    accuracy = read_measurement(run.paths.measurement).checkpoint.accuracy
    assert accuracy is not None
    run.paths.measurement.write_text(text.replace(f'"accuracy": {accuracy.value}', '"accuracy": 0.999', 1))


def a_new_baseline(run: WholeRun) -> None:
    write_baseline(run.paths.baseline, run.paths.measurement, run.paths.predictions)


def another_training(run: WholeRun) -> None:
    run.train(checkpoint_id="e" * 64)


def other_training_images(run: WholeRun) -> None:
    rewrite(run.paths.generation, index_sha256="b" * 64)


CHANGES: dict[Callable[[WholeRun], None], str] = {
    other_weights: "its figures of onnx-float32 are of another model than the one in artifacts; run dvc repro measure",
    other_checkpoint: "metrics/train.json: of another checkpoint than the artifacts'",
    other_threshold: "its figures of tflite-float32 are of another model",
    fewer_artifacts: "has figures of tflite-static_wi8_ai8, which is not in artifacts",
    more_artifacts: "has no figures of onnx-float16, which is in artifacts",
    an_edited_model: "artifacts/onnx/float32.onnx: missing, or not the file that artifacts/onnx/artifact.json",
    a_missing_format: "artifacts/coreml/artifact.json: missing, and convert.formats of params.yaml lists it",
    another_policy: "artifacts/onnx/artifact.json: made with another policy than today's helmet",
    a_test_set_that_was_not_measured: "metrics/measure.json: not made on the test set street, which is in data/selfies",
    other_selfies: "metrics/measure.json: made of other selfies than those in data/selfies",
    other_predictions: "metrics/measure.json: made of other predictions than those in data/predictions.parquet",
    a_measurement_measured_again: "metrics/gate.json: decided on another measurement than metrics/measure.json",
    a_forged_accuracy: "metrics/gate.json: decided on another measurement than metrics/measure.json",
    a_new_baseline: "metrics/gate.json: decided against another baseline than benchmarks/baseline",
    another_training: "metrics/train.json: of another checkpoint than the artifacts'; run dvc repro train",
    other_training_images: "metrics/train.json: trained on other images than those of metrics/generate.json",
}
PARAMS = {
    "convert": ({"seed": 99}, "artifacts/coreml/artifact.json: made with other params than today's convert section"),
    "measure": ({"confidence": 0.9}, "metrics/measure.json: made with other params than today's measure section"),
    "selfies": (
        {"photographs": [{"name": "street", "folder": "f", "licence": "our own"}]},
        "metrics/measure.json: made on the test sets rendered; params.yaml lists rendered, street",
    ),
    "gate": ({"min_accuracy": 0.1}, "metrics/gate.json: decided with other limits than today's gate section"),
}


def test_the_files_of_one_run_belong_together(whole_run: WholeRun) -> None:
    assert told(whole_run) == ""
    found = complete_run(read_run(whole_run.paths), whole_run.policy, whole_run.params)
    assert found.verdict.verdict == "pass"
    assert list(found.measurement.artifacts) == whole_run.names()


@pytest.mark.parametrize("change", list(CHANGES), ids=lambda change: change.__name__)
def test_a_file_of_another_run_is_refused_by_name(whole_run: WholeRun, change: Callable[[WholeRun], None]) -> None:
    change(whole_run)
    assert CHANGES[change] in told(whole_run)
    with pytest.raises(ReleaseRefusedError, match="refused: files of different runs"):
        complete_run(read_run(whole_run.paths), whole_run.policy, whole_run.params)


@pytest.mark.parametrize("section", list(PARAMS))
def test_params_that_changed_since_are_refused_by_their_section(whole_run: WholeRun, section: str) -> None:
    values, problem = PARAMS[section]
    whole_run.change_params(section, **values)
    assert problem in told(whole_run)


def test_pairs_of_slices_that_changed_since_need_a_new_measurement(whole_run: WholeRun) -> None:
    whole_run.change_params("gate", slice_pairs=[["light", "glasses"]])
    assert "metrics/measure.json: made with other params" in told(whole_run)


def test_params_that_no_file_of_the_run_depends_on_may_change(whole_run: WholeRun) -> None:
    whole_run.change_params("report", sample_images=3)
    formats = whole_run.params.convert.formats
    whole_run.change_params("convert", formats={**formats, "onnx": {**formats["onnx"], "opset": 20}})
    lines = told(whole_run).splitlines()
    assert [line.partition(":")[0] for line in lines] == ["artifacts/onnx/artifact.json"]


@pytest.mark.parametrize("path", ["artifact.json", "measure.json", "gate.json"])
def test_a_record_that_does_not_say_what_it_was_made_of_is_refused(whole_run: WholeRun, path: str) -> None:
    files = {
        "artifact.json": whole_run.paths.artifacts / "onnx" / "artifact.json",
        "measure.json": whole_run.paths.measurement,
        "gate.json": whole_run.paths.verdict,
    }
    rewrite(files[path], inputs=None)
    assert f"{files[path].relative_to(whole_run.root)}: does not say what it was" in told(whole_run)


@pytest.mark.parametrize("missing", ["artifacts", "selfies", "measurement", "predictions", "verdict"])
def test_a_release_needs_every_file_of_the_run(whole_run: WholeRun, missing: str) -> None:
    path: Path = getattr(whole_run.paths, missing)
    path.rename(path.with_name("elsewhere"))
    with pytest.raises(DataError, match=r"missing; .*; run dvc repro "):
        complete_run(read_run(whole_run.paths), whole_run.policy, whole_run.params)


def test_a_stage_by_hand_compares_only_what_is_there(whole_run: WholeRun) -> None:
    whole_run.paths.predictions.unlink()
    shutil.rmtree(whole_run.paths.artifacts)
    check_run(read_run(whole_run.paths), whole_run.policy)
    other_selfies(whole_run)
    with pytest.raises(DataError, match=r"files of different runs:\n.*made of other selfies"):
        check_run(read_run(whole_run.paths))


def test_line_ends_and_layout_of_a_record_do_not_count(whole_run: WholeRun) -> None:
    for path in (whole_run.paths.measurement, whole_run.paths.verdict):
        path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8"))).replace(", ", ",\r\n"))
    assert told(whole_run) == ""


def test_a_hash_is_the_same_before_writing_and_after_reading(whole_run: WholeRun, tmp_path: Path) -> None:
    write_json(tmp_path / "full.json", full_measurement())
    assert content_hash(read_measurement(tmp_path / "full.json")) == content_hash(full_measurement())
    table = read_predictions(whole_run.paths.predictions)
    write_predictions(tmp_path / "again.parquet", table)
    assert read_predictions(tmp_path / "again.parquet").content_hash() == table.content_hash()


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (["release", "1.0.0"], 1),
        (["verdict"], 1),
        (["verdict", "--allow-unmeasured"], 1),
        (["baseline", "accept"], 1),
        (["report"], 2),
        (["gate"], 2),
    ],
    ids=str,
)
def test_no_command_takes_a_verdict_on_models_that_were_not_measured(
    whole_run: WholeRun, monkeypatch: pytest.MonkeyPatch, command: list[str], code: int
) -> None:
    monkeypatch.chdir(whole_run.root)
    commit(whole_run.root)
    other_weights(whole_run)
    found = CliRunner().invoke(app, command)
    assert found.exit_code == code, found.output
    assert "its figures of onnx-float32 are of another model than the one in artifacts" in found.stderr
    assert not Path("release").exists()
    assert not Path("report").exists()
    assert not Path("benchmarks/baseline").exists()


def test_the_verdict_of_a_whole_run_is_printed(whole_run: WholeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(whole_run.root)
    found = CliRunner().invoke(app, ["verdict"])
    assert (found.exit_code, found.stdout.partition(":")[0]) == (0, "pass"), found.output
    assert read_json(whole_run.paths.verdict, Verdict).inputs is not None
