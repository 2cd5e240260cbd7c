"""The files of one small run in a folder, as the stages write them, so that a test can mix them with another run's."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import yaml

from benchmarks import measure
from benchmarks.evaluation.accuracy import policy_facts
from benchmarks.evaluation.inference import EvaluationSet, Runtimes, artifact_name, read_artifacts
from benchmarks.evaluation.measurement import read_measurement
from benchmarks.evaluation.predictions import read_predictions
from benchmarks.gate.baseline import read_baseline
from benchmarks.gate.provenance import RunPaths, gate_inputs
from pipeline.config.params import Params, load_params
from pipeline.config.policy import Policy, load_policy
from pipeline.data.hashing import content_hash, sha256_of
from pipeline.data.records import Artifacts, Check, ConvertInputs, Verdict
from pipeline.data.storage import write_json
from tests.benchmarks.small_task import NAMES, artifact

CHECKPOINT_ID = "c" * 64


@dataclass(frozen=True)
class WholeRun:
    """A folder with params.yaml, policies/, artifacts/, data/ and metrics/, and what makes them again."""

    root: Path
    evaluation_set: EvaluationSet
    runtimes: Runtimes

    def copy(self, root: Path) -> WholeRun:
        """The same run in a new folder."""
        shutil.copytree(self.root, root)
        return WholeRun(root, replace(self.evaluation_set, selfies=root / "data" / "selfies"), self.runtimes)

    @property
    def paths(self) -> RunPaths:
        places = {name: self.root / getattr(RunPaths(), name) for name in RunPaths.__dataclass_fields__}
        return RunPaths(**places)

    @property
    def policy(self) -> Policy:
        return load_policy(self.root / "policies" / "helmet.yaml")

    @property
    def params(self) -> Params:
        return load_params(self.root / "params.yaml")

    def convert(self, weights: str = "weights", threshold: float = 0.5, checkpoint_id: str = CHECKPOINT_ID) -> None:
        """Write artifacts/FORMAT/ with models of these bytes."""
        for format_name in sorted({name.partition("-")[0] for name in NAMES}):
            folder = self.paths.artifacts / format_name
            folder.mkdir(parents=True, exist_ok=True)
            records = []
            for name in NAMES:
                if name.startswith(f"{format_name}-"):
                    file = folder / f"{name.partition('-')[2]}.{format_name}"
                    file.write_text(f"{name}: {weights}", encoding="utf-8")
                    changes = {"file": file.name, "sha256": sha256_of(file), "size_bytes": file.stat().st_size}
                    decision = {"threshold": threshold, "checkpoint_id": checkpoint_id}
                    records.append(artifact(*name.split("-")).model_copy(update={**changes, **decision}))
            inputs = ConvertInputs(
                policy=content_hash(self.policy), params=content_hash(self.params.convert.of_format(format_name))
            )
            listed = Artifacts(format=format_name, artifacts=tuple(records), inputs=inputs)
            write_json(folder / "artifact.json", listed)

    def train(self, checkpoint_id: str = CHECKPOINT_ID, images: str = "a" * 64) -> None:
        """Write metrics/train.json and metrics/generate.json."""
        trained = {"checkpoint_id": checkpoint_id, "index_sha256": images, "backbone": "mobilenetv3_small_100"}
        write_json(self.paths.training, {**trained, "labels": {"no_helmet": 40, "helmet": 60}, "val_accuracy": 0.9})
        write_json(self.paths.generation, {"generator": "rendered", "index_sha256": images, "images": 100})

    def measure(self) -> None:
        """Write metrics/measure.json, data/predictions.parquet, and the figures of this machine."""
        facts = policy_facts(self.policy, self.params.gate.slice_pairs)
        own = replace(self.evaluation_set, artifacts=read_artifacts(self.paths.artifacts), policy=facts)
        result = measure.run(self.params.measure, own, self.runtimes)
        measure.write(result, self.paths.measurement, self.paths.predictions, self.root / "plots")

    def decide(self) -> None:
        """Write a passing metrics/gate.json on what was measured."""
        measurement, predictions = read_measurement(self.paths.measurement), read_predictions(self.paths.predictions)
        baseline = read_baseline(self.paths.baseline)
        checks = tuple(
            Check(name="accuracy", artifact=name, value=0.9, limit=0.5, verdict="pass", reason="high")
            for name in measurement.artifacts
        )
        inputs = gate_inputs(self.params.gate, measurement, predictions, baseline)
        write_json(self.paths.verdict, Verdict(verdict="pass", baseline="none", checks=checks, inputs=inputs))

    def change_params(self, section: str, **values: object) -> None:
        """Change values of one section of params.yaml."""
        path = self.root / "params.yaml"
        params = yaml.safe_load(path.read_text(encoding="utf-8"))
        params[section] |= values
        path.write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")

    def names(self) -> list[str]:
        """Names of the artifacts."""
        return [artifact_name(record) for _, record in read_artifacts(self.paths.artifacts)]


def write_whole_run(root: Path, checkout: Path, evaluation_set: EvaluationSet, runtimes: Runtimes) -> WholeRun:
    """Write every file of a run into a folder; ``checkout`` gives params.yaml and the policy."""
    for name in ("params.yaml", "policies/helmet.yaml"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text((checkout / name).read_text(encoding="utf-8"), encoding="utf-8")
    run = WholeRun(root, evaluation_set, runtimes)
    named = {name.partition("-")[0] for name in NAMES}
    formats = yaml.safe_load((root / "params.yaml").read_text(encoding="utf-8"))["convert"]["formats"]
    run.change_params("convert", formats={name: recipes for name, recipes in formats.items() if name in named})
    run.change_params("measure", workers=0, min_slice=5, arm64={"use": "never", "folder": "lab", "selfies": 1})
    run.change_params("measure", camera={**run.params.measure.camera.model_dump(), "selfies": 0})
    run.convert()
    run.train()
    run.measure()
    run.decide()
    return run
