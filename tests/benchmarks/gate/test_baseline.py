"""The baseline: which candidates are accepted, what accepted.json records, and which files are refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from benchmarks.evaluation.predictions import Predictions, write_predictions
from benchmarks.gate import stage as gate
from benchmarks.gate.baseline import (
    ACCEPTED,
    MEASURED,
    PREDICTIONS,
    Release,
    read_accepted,
    read_baseline,
    write_baseline,
)
from benchmarks.gate.stage import Candidate
from pipeline.cli import app
from pipeline.config.params import GateParams
from pipeline.data.storage import write_json
from pipeline.errors import DataError, ReleaseRefusedError
from tests.benchmarks.evaluation.measurements import changed, measurement_of
from tests.benchmarks.gate.verdicts import EQUAL_RESOURCES, INT8, judge, saved

Table = Callable[..., Predictions]


def test_the_first_baseline_is_accepted_and_read_back(gate_params: GateParams, table: Table, tmp_path: Path) -> None:
    folder = tmp_path / "baseline"
    assert read_baseline(folder) is None
    assert gate.accept(gate_params, Candidate(*saved(tmp_path, table())), folder).verdict == "pass"
    baseline = read_baseline(folder)
    assert baseline is not None
    assert baseline.accepted.selfies_dataset_id == table().dataset_id()
    assert judge(gate_params, measurement_of(table()), table(), baseline).verdict == "pass"


def test_a_failing_candidate_is_not_accepted(gate_params: GateParams, table: Table, tmp_path: Path) -> None:
    folder = tmp_path / "baseline"
    gate.accept(gate_params, Candidate(*saved(tmp_path, table())), folder)
    before = (folder / MEASURED).read_bytes()
    with pytest.raises(ReleaseRefusedError, match=f"fail: accuracy_vs_baseline: {INT8}: accuracy fell by 3 points"):
        gate.accept(gate_params, Candidate(*saved(tmp_path, table(wrong={INT8: 100}))), folder)
    assert (folder / MEASURED).read_bytes() == before


def test_an_identical_candidate_is_accepted_however_few_selfies_there_are(
    gate_params: GateParams, table: Table, tmp_path: Path
) -> None:
    candidate = Candidate(*saved(tmp_path, table(400)))
    gate.accept(gate_params, candidate, tmp_path / "baseline")
    assert gate.accept(gate_params, candidate, tmp_path / "baseline").verdict == "pass"


def test_an_undecided_candidate_is_not_accepted(gate_params: GateParams, table: Table, tmp_path: Path) -> None:
    few = saved(tmp_path, table(100, wrong={INT8: 6}))
    with pytest.raises(ReleaseRefusedError, match="more selfies"):
        gate.accept(gate_params, Candidate(*few), tmp_path / "baseline")
    assert read_baseline(tmp_path / "baseline") is None


def test_new_selfies_may_replace_a_baseline_they_cannot_be_compared_with(
    gate_params: GateParams, table: Table, tmp_path: Path
) -> None:
    folder = tmp_path / "baseline"
    gate.accept(gate_params, Candidate(*saved(tmp_path, table())), folder)
    verdict = gate.accept(gate_params, Candidate(*saved(tmp_path, table(prefix="other", wrong={INT8: 39}))), folder)
    assert verdict.verdict == "unmeasured"
    baseline = read_baseline(folder)
    assert baseline is not None
    assert baseline.predictions.ids[0] == "other-0"


@pytest.mark.parametrize("name", [MEASURED, PREDICTIONS])
def test_a_tampered_baseline_is_refused(table: Table, tmp_path: Path, name: str) -> None:
    write_baseline(tmp_path / "baseline", *saved(tmp_path, table(100)))
    path = tmp_path / "baseline" / name
    path.write_bytes(path.read_bytes() + b"\n")
    with pytest.raises(DataError, match=f"{name}: not the file that .* names; restore"):
        read_baseline(tmp_path / "baseline")


@pytest.mark.parametrize("name", [MEASURED, PREDICTIONS, ACCEPTED])
def test_half_a_baseline_is_refused(table: Table, tmp_path: Path, name: str) -> None:
    write_baseline(tmp_path / "baseline", *saved(tmp_path, table(100)))
    (tmp_path / "baseline" / name).unlink()
    with pytest.raises(DataError, match=f"{name}: missing beside the rest"):
        read_baseline(tmp_path / "baseline")


def test_a_damaged_predictions_table_is_refused(table: Table, tmp_path: Path) -> None:
    paths = saved(tmp_path, table(100))
    paths[1].write_bytes(b"PAR1 and nothing else")
    with pytest.raises(DataError, match="not a predictions table"):
        write_baseline(tmp_path / "baseline", *paths)
    assert json.loads(paths[0].read_text())["confidence"] == 0.95


def test_a_baseline_records_the_release_and_the_sha256_of_every_artifact(
    gate_params: GateParams, table: Table, tmp_path: Path
) -> None:
    measurement = measurement_of(table())
    for number, name in enumerate(measurement.artifacts):
        measurement = changed(measurement, name, sha256=f"{number:064x}")
    write_predictions(tmp_path / "predictions.parquet", table())
    write_json(tmp_path / "measure.json", measurement)
    release = Release("v1.2.0", "c" * 40)
    candidate = Candidate(tmp_path / "measure.json", tmp_path / "predictions.parquet", release=release)
    gate.accept(gate_params, candidate, tmp_path / "baseline")
    baseline = read_baseline(tmp_path / "baseline")
    assert baseline is not None
    assert (baseline.accepted.release, baseline.accepted.revision) == ("v1.2.0", "c" * 40)
    assert baseline.accepted.artifacts == {name: row.sha256 for name, row in measurement.artifacts.items()}
    assert baseline.name().startswith("v1.2.0: checkpoint abc on 2000 selfies")


def test_a_baseline_records_which_artifacts_could_be_timed(
    gate_params: GateParams, table: Table, tmp_path: Path
) -> None:
    bench = replace(EQUAL_RESOURCES, why_not_timeable=lambda name: "needs a Mac" if name == "coreml" else "")
    gate.accept(gate_params, Candidate(*saved(tmp_path, table()), bench), tmp_path / "baseline")
    baseline = read_baseline(tmp_path / "baseline")
    assert baseline is not None
    assert set(baseline.accepted.timeable) == {n for n in baseline.measurement.artifacts if not n.startswith("coreml")}
    assert INT8 in baseline.accepted.timeable


@pytest.mark.parametrize("flip", [0x01, 0x20, 0xFF])
def test_every_changed_byte_of_accepted_json_is_found(table: Table, tmp_path: Path, flip: int) -> None:
    write_baseline(tmp_path / "baseline", *saved(tmp_path, table(100)), Release("v1", "c" * 40), (INT8,))
    path = tmp_path / "baseline" / ACCEPTED
    whole = path.read_bytes()
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ flip]) + whole[at + 1 :])
        with pytest.raises(DataError, match=r"accepted\.json: "):
            read_accepted(tmp_path / "baseline")
    path.write_bytes(whole)
    assert read_accepted(tmp_path / "baseline").release == "v1"


def test_a_baseline_of_an_earlier_version_is_to_be_accepted_again(table: Table, tmp_path: Path) -> None:
    write_baseline(tmp_path / "baseline", *saved(tmp_path, table(100)))
    path = tmp_path / "baseline" / ACCEPTED
    old = {key: value for key, value in json.loads(path.read_text()).items() if key.endswith(("sha256", "_id"))}
    path.write_text(json.dumps(old))
    with pytest.raises(DataError, match=r"no id, as earlier versions wrote it; .* run gossamer baseline accept"):
        read_baseline(tmp_path / "baseline")


def test_commands_of_the_baseline_name_what_is_missing(
    root: Path, table: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "params.yaml").write_text((root / "params.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["baseline", "fetch"])
    assert (result.exit_code, "no accepted baseline" in result.stderr) == (2, True)
    result = CliRunner().invoke(app, ["baseline", "accept", *map(str, saved(tmp_path, table()))])
    assert (result.exit_code, "no revision of" in result.stderr) == (2, True)
