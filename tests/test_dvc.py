"""What DVC does with the stages of dvc.yaml, in a small repository."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmarks.evaluation.summary import CurationSummary, TrainingSummary, summarise
from pipeline.config.external_files import STAGES as EXTERNAL
from pipeline.data.records import Check, Verdict
from tests.benchmarks.evaluation.measurements import artifact_figures, full_measurement
from tests.house import FINGERPRINT, ROOT, dvc_stages
from tests.small_repository import make_repository


def test_a_stage_runs_the_code_of_the_folder_it_runs_in() -> None:
    for name, stage in dvc_stages().items():
        assert stage["cmd"].startswith(f"python -m pipeline.cli {name} "), name


def test_metrics_that_dvc_shows_are_one_file_of_about_twenty_figures_whatever_the_number_of_artifacts() -> None:
    """``dvc metrics show``, ``dvc metrics diff`` and ``dvc exp show`` print every figure of every declared file."""
    written = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))
    declared = [out for stage in dvc_stages().values() for out in stage.get("metrics", [])]
    assert (written.get("metrics", []), declared) == ([], [{"metrics/summary.json": {"cache": False}}])
    measurement = full_measurement()
    artifacts = [artifact_figures(name, f"recipe{i}") for name in ("coreml", "onnx", "tflite") for i in range(20)]
    measurement = measurement.model_copy(update={"artifacts": {row.name: row for row in artifacts}})
    check = Check(name="accuracy", artifact="*", value=1, limit=1, verdict="pass", reason="")
    verdict = Verdict(verdict="pass", baseline="", checks=(check,) * 500)
    curation, training = CurationSummary(kept=96, rejection_rate=0.04), TrainingSummary(val_accuracy=0.9)
    stored = summarise(measurement, verdict, curation, training).model_dump(mode="json")
    assert len(json.dumps(stored, indent=2)) < 2_000
    assert sum(len(figures) for figures in stored.values()) == 24


@pytest.mark.slow
def test_a_queued_experiment_runs_its_own_copy_of_the_code(tmp_path: Path) -> None:
    repository = make_repository(tmp_path / "repository", ["prompts"])
    repository.change_params(lambda values: values["prompts"].update(count=40))
    repository.change_params(lambda values: values["generate"].update(generator="rendered"))
    weights = Path("pipeline/bundled_diffusion/weights/attributes.safetensors")  # the verifier's vocabulary
    (repository.folder / weights).parent.mkdir()
    shutil.copy(ROOT / weights, repository.folder / weights)
    repository.commit()
    stage = repository.folder / "pipeline/prompts/stage.py"
    text = stage.read_text(encoding="utf-8")
    changed = text.replace("distribution_metrics(policy, prompts),", '{"changed": 7},')
    assert changed != text
    stage.write_text(changed, encoding="utf-8")
    printed = repository.run("dvc", "exp", "run", "--temp", "--name", "changed")
    assert "Ran experiment" in printed, printed
    experiment = repository.run("git", "for-each-ref", "--format=%(objectname)", "refs/exps").split()[0]
    assert '"changed": 7' in repository.run("git", "show", f"{experiment}:metrics/prompts.json")
    assert not (repository.folder / "metrics").exists(), "the workspace is as it was"


def use_photographs(values: dict[str, Any]) -> None:
    values["selfies"]["photographs"] = [{"name": "street", "folder": "photos", "licence": "our own"}]


@pytest.mark.slow
def test_dvc_sees_that_a_photograph_was_overwritten_and_runs_nothing_else(tmp_path: Path) -> None:
    repository = make_repository(tmp_path / "repository", ["selfies"])
    repository.change_params(use_photographs)
    declared = repository.folder / "dvc.yaml"
    stages = yaml.safe_load(declared.read_text(encoding="utf-8"))
    stages["stages"]["selfies"]["cmd"] = "mkdir data/selfies && cp -r photos data/selfies"
    declared.write_text(yaml.safe_dump(stages), encoding="utf-8")
    shot = repository.folder / "photos/helmet/1.jpg"
    shot.parent.mkdir(parents=True)
    shot.write_bytes(b"old")
    assert repository.repro() == ["selfies"]
    assert repository.repro() == [], "nothing changed"
    assert repository.run("dvc", "status").split() == [f"{FINGERPRINT}:", "always", "changed"]
    times = shot.stat()
    shot.write_bytes(b"new")
    os.utime(shot, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert repository.repro() == ["selfies"], "one was overwritten, with the time and the size of the old one"
    shutil.rmtree(repository.folder / "photos")
    printed = repository.run("dvc", "repro")
    assert "params.yaml selfies.photographs.0.folder: photos is not here; selfies counts it as unchanged" in printed
    assert "Running stage 'selfies'" not in printed


def test_the_stages_that_read_files_of_params_yaml_depend_on_their_fingerprints() -> None:
    files = [next(iter(out)) for out in dvc_stages()[FINGERPRINT]["outs"]]
    assert files == [f"data/external/{stage}.json" for stage in EXTERNAL]
    assert all(file in dvc_stages()[stage]["deps"] for stage, file in zip(EXTERNAL, files, strict=True))
