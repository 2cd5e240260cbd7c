"""Whether the files of a run belong together: every link from the policy to the verdict, in one place.

    policy, params.yaml  <-  artifacts/FORMAT/artifact.json  <-  metrics/measure.json  ->  data/predictions.parquet
                                                                        ^   ->  data/selfies/
    params.yaml, benchmarks/baseline/accepted.json  <-  metrics/gate.json
    metrics/generate.json  <-  metrics/train.json  ->  the checkpoint of the artifacts

Each record names what it was made of by its hash (``ConvertInputs``, ``MeasureInputs``, ``GateInputs``). DVC keeps
these files in step; a command run by hand, a copied folder or a merge need not. ``gossamer release``, ``verdict``,
``baseline accept``, ``gate`` and ``report`` refuse files that do not belong together. Reads all of them and writes
nothing. Hashes are of contents (``content_hash``), so that line ends and layout do not count.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from pydantic import ConfigDict, Field

from benchmarks.evaluation.accuracy import measure_params_hash, policy_facts
from benchmarks.evaluation.inference import artifact_name
from benchmarks.evaluation.measurement import Measurement, read_measurement
from benchmarks.evaluation.predictions import Predictions, read_predictions
from benchmarks.evaluation.selfie_sets import read_selfie_sets, set_folder
from benchmarks.gate.baseline import Baseline, read_baseline
from benchmarks.gate.machine_figures import read_verdict
from pipeline.config.params import GateParams, Params
from pipeline.config.policy import Policy
from pipeline.data.hashing import content_hash, dataset_id, sha256_of
from pipeline.data.records import Artifact, Artifacts, GateInputs, Record, Verdict
from pipeline.data.shards import INDEX
from pipeline.data.storage import read_json
from pipeline.errors import DataError, ReleaseRefusedError

ARTIFACT_JSON = "artifact.json"


@dataclass(frozen=True, slots=True)
class RunPaths:
    """Where the chain leaves the files of a run; the defaults are those of dvc.yaml, relative to the repository."""

    artifacts: Path = Path("artifacts")
    selfies: Path = Path("data/selfies")
    measurement: Path = Path("metrics/measure.json")
    predictions: Path = Path("data/predictions.parquet")
    baseline: Path = Path("benchmarks/baseline")
    verdict: Path = Path("metrics/gate.json")

    @property
    def training(self) -> Path:
        """metrics/train.json, beside the measurement."""
        return self.measurement.with_name("train.json")

    @property
    def generation(self) -> Path:
        """metrics/generate.json, beside the measurement."""
        return self.measurement.with_name("generate.json")


class TrainingFigures(Record):
    """The part of metrics/train.json that says what the checkpoint was trained on; its other keys are ignored.

    Attributes:
        checkpoint_id: Id of the checkpoint; empty in a file of an earlier version.
        index_sha256: SHA-256 of data/images/index.jsonl.
        backbone: Name of the timm model.
        labels: Label -> number of training images.
    """

    model_config = ConfigDict(extra="ignore")
    checkpoint_id: str = ""
    index_sha256: str = ""
    backbone: str = ""
    labels: dict[str, int] = Field(default_factory=dict)


class GenerationFigures(Record):
    """The part of metrics/generate.json that says where training images come from; its other keys are ignored.

    Attributes:
        index_sha256: SHA-256 of data/images/index.jsonl; empty in a file of an earlier version.
        generator: Name of the generator, or "photos".
        model: Model of a diffusion generator.
        model_revision: Its revision.
        model_licence: Its licence.
    """

    model_config = ConfigDict(extra="ignore", protected_namespaces=())
    index_sha256: str = ""
    generator: str
    model: str | None = None
    model_revision: str | None = None
    model_licence: str | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """The files of a run that are there; None or empty where one is missing.

    Attributes:
        paths: Where they were read.
        artifacts: artifact.json of every format, by format.
        measurement: metrics/measure.json.
        predictions: data/predictions.parquet.
        verdict: metrics/gate.json, with the figures of this machine.
        baseline: The accepted baseline.
        selfies_ids: Name of each test set -> its id, from its index.
        training: metrics/train.json.
        generation: metrics/generate.json.
    """

    paths: RunPaths
    artifacts: Mapping[str, Artifacts] = field(default_factory=dict)
    measurement: Measurement | None = None
    predictions: Predictions | None = None
    verdict: Verdict | None = None
    baseline: Baseline | None = None
    selfies_ids: Mapping[str, str] = field(default_factory=dict)
    training: TrainingFigures | None = None
    generation: GenerationFigures | None = None

    def without_verdict(self) -> Run:
        """The run before the gate: a stored verdict may be stale where it is decided again."""
        return replace(self, verdict=None)


@dataclass(frozen=True, slots=True)
class CompleteRun:
    """The files of a run that a release takes; they are all there and belong together."""

    artifacts: Mapping[str, Artifacts]
    measurement: Measurement
    verdict: Verdict
    training: TrainingFigures | None
    generation: GenerationFigures | None


@dataclass(frozen=True, slots=True)
class Mismatch:
    """Two files that do not belong together: the later one, what is wrong with it, and the command that mends it."""

    file: Path
    problem: str
    command: str

    def __str__(self) -> str:
        return f"{self.file}: {self.problem}; run {self.command}"


def gate_inputs(
    params: GateParams, measurement: Measurement, predictions: Predictions, baseline: Baseline | None
) -> GateInputs:
    """Hash what a verdict is decided on."""
    return GateInputs(
        measurement=content_hash(measurement),
        predictions=predictions.content_hash(),
        baseline=baseline.accepted.id if baseline else None,
        params=content_hash(params),
    )


def read_run(paths: RunPaths) -> Run:
    """Read the files of a run that are there.

    Raises:
        DataError: A file is there and damaged.
    """
    folders = sorted(path.parent for path in paths.artifacts.glob(f"*/{ARTIFACT_JSON}"))
    sets = read_selfie_sets(paths.selfies) if paths.selfies.is_dir() else {}
    return Run(
        paths=paths,
        artifacts={folder.name: read_json(folder / ARTIFACT_JSON, Artifacts) for folder in folders},
        measurement=read_measurement(paths.measurement) if paths.measurement.is_file() else None,
        predictions=read_predictions(paths.predictions) if paths.predictions.is_file() else None,
        verdict=read_verdict(paths.verdict) if paths.verdict.is_file() else None,
        baseline=read_baseline(paths.baseline),
        selfies_ids={
            name: dataset_id((row.id, row.sha256, row.label) for row in one.rows) for name, one in sets.items()
        },
        training=read_json(paths.training, TrainingFigures) if paths.training.is_file() else None,
        generation=read_json(paths.generation, GenerationFigures) if paths.generation.is_file() else None,
    )


def find_mismatches(run: Run, policy: Policy | None = None, params: Params | None = None) -> list[Mismatch]:
    """Find every two files of a run that do not belong together; a file that is missing belongs to all.

    Args:
        run: The files.
        policy: The policy that the run should be of; None: not compared.
        params: The params that the run should be of; None: not compared.
    """
    return [
        *_artifact_mismatches(run, policy, params),
        *_measurement_mismatches(run, policy, params),
        *_verdict_mismatches(run, params),
        *_training_mismatches(run),
    ]


def check_run(run: Run, policy: Policy | None = None, params: Params | None = None) -> None:
    """Refuse to work on files that do not belong together.

    Raises:
        DataError: Names each, and the command that mends it.
    """
    found = find_mismatches(run, policy, params)
    if found:
        raise DataError("\n".join(["files of different runs:", *(f"  {mismatch}" for mismatch in found)]))


def refuse_mismatches(run: Run, policy: Policy, params: Params) -> None:
    """Refuse a release, a verdict or a baseline of files that do not belong together.

    Raises:
        ReleaseRefusedError: Names each, and the command that mends it.
    """
    found = find_mismatches(run, policy, params)
    if found:
        lines = "\n".join(f"  {mismatch}" for mismatch in found)
        raise ReleaseRefusedError(f"refused: files of different runs\n{lines}")


def complete_run(run: Run, policy: Policy, params: Params) -> CompleteRun:
    """Require everything that a release takes, all of one run, policy and params.

    Raises:
        DataError: A file is missing.
        ReleaseRefusedError: Two do not belong together.
    """
    require_measured(run)
    if run.measurement is None or run.verdict is None:
        raise DataError(f"{run.paths.verdict}: missing; expected a verdict; run dvc repro gate")
    refuse_mismatches(run, policy, params)
    return CompleteRun(run.artifacts, run.measurement, run.verdict, run.training, run.generation)


def require_measured(run: Run) -> None:
    """Require artifacts, selfies, and what was measured of them.

    Raises:
        DataError: A file is missing; names the stage that writes it.
    """
    paths = run.paths
    present = {
        (paths.artifacts / f"FORMAT/{ARTIFACT_JSON}", "convert"): bool(run.artifacts),
        (paths.selfies / INDEX, "selfies"): bool(run.selfies_ids),
        (paths.measurement, "measure"): run.measurement is not None,
        (paths.predictions, "measure"): run.predictions is not None,
    }
    for (path, stage), there in present.items():
        if not there:
            raise DataError(f"{path}: missing; expected the files of one whole run; run dvc repro {stage}")


def _artifact_mismatches(run: Run, policy: Policy | None, params: Params | None) -> Iterator[Mismatch]:
    """Artifacts against their files, the policy and params.yaml."""
    for name, listed in run.artifacts.items():
        path, command = run.paths.artifacts / name / ARTIFACT_JSON, f"dvc repro convert@{name}"
        for artifact in listed.artifacts:
            model = path.with_name(artifact.file)
            if not model.exists() or sha256_of(model) != artifact.sha256:
                yield Mismatch(model, f"missing, or not the file that {path} describes", command)
        if listed.inputs is None:
            yield Mismatch(path, "does not say what it was made with", command)
            continue
        if policy is not None and listed.inputs.policy != content_hash(policy):
            yield Mismatch(path, f"made with another policy than today's {policy.name}", command)
        if params is not None and name not in params.convert.formats:
            yield Mismatch(path, f"{name} is not among convert.formats of params.yaml", f"rm -r {path.parent}")
        elif params is not None and listed.inputs.params != content_hash(params.convert.of_format(name)):
            yield Mismatch(path, "made with other params than today's convert section of params.yaml", command)
    if params is not None and run.artifacts:
        for name in sorted(params.convert.formats.keys() - run.artifacts.keys()):
            path = run.paths.artifacts / name / ARTIFACT_JSON
            yield Mismatch(path, "missing, and convert.formats of params.yaml lists it", f"dvc repro convert@{name}")


def _measurement_mismatches(run: Run, policy: Policy | None, params: Params | None) -> Iterator[Mismatch]:
    """The measurement against artifacts, predictions, selfies, the policy and params.yaml."""
    measurement, path, command = run.measurement, run.paths.measurement, "dvc repro measure"
    if measurement is None:
        return
    if measurement.inputs is None:
        yield Mismatch(path, "does not say what it was made of", command)
        return
    inputs = measurement.inputs
    if policy is not None and inputs.policy != content_hash(policy):
        yield Mismatch(path, f"made with another policy than today's {policy.name}", command)
    if policy is not None and params is not None:
        facts = policy_facts(policy, params.gate.slice_pairs)
        if inputs.params != measure_params_hash(params.measure, facts):
            yield Mismatch(path, "made with other params than today's measure section of params.yaml", command)
    if run.artifacts:
        yield from _measured_artifacts(run, measurement)
    if run.predictions is not None and inputs.predictions != run.predictions.content_hash():
        yield Mismatch(path, f"made of other predictions than those in {run.paths.predictions}", command)
    if run.selfies_ids:
        yield from _measured_sets(run, measurement)
    if params is not None and set(measurement.every_set) != set(params.selfies.names):
        names, listed = ", ".join(measurement.every_set), ", ".join(params.selfies.names)
        yield Mismatch(path, f"made on the test sets {names}; params.yaml lists {listed}", "dvc repro selfies measure")


def _measured_sets(run: Run, measurement: Measurement) -> Iterator[Mismatch]:
    """Test sets that were measured and are others now, or are there and were not measured."""
    path, folder, command = run.paths.measurement, run.paths.selfies, "dvc repro measure"
    measured = {name: figures.selfies.dataset_id for name, figures in measurement.every_set.items()}
    for name in sorted(measured.keys() | run.selfies_ids.keys()):
        own, there = measured.get(name), run.selfies_ids.get(name)
        if own is not None and there is not None and own != there:
            yield Mismatch(path, f"made of other selfies than those in {set_folder(folder, name)}", command)
        elif there is None:
            yield Mismatch(path, f"made on the test set {name}, which is not in {folder}", command)
        elif own is None:
            yield Mismatch(path, f"not made on the test set {name}, which is in {folder}", command)


def _measured_artifacts(run: Run, measurement: Measurement) -> Iterator[Mismatch]:
    """Artifacts that were measured and are others now, or are there and were not measured."""
    path, command = run.paths.measurement, "dvc repro measure"
    records = {artifact_name(artifact): artifact for listed in run.artifacts.values() for artifact in listed.artifacts}
    hashes = measurement.inputs.artifacts if measurement.inputs else {}
    for name in sorted(records.keys() | measurement.artifacts.keys() | hashes.keys()):
        if name not in records:
            yield Mismatch(path, f"has figures of {name}, which is not in {run.paths.artifacts}", command)
        elif name not in measurement.artifacts or name not in hashes:
            yield Mismatch(path, f"has no figures of {name}, which is in {run.paths.artifacts}", command)
        elif not _is_measured(records[name], hashes[name], measurement):
            problem = f"its figures of {name} are of another model than the one in {run.paths.artifacts}"
            yield Mismatch(path, problem, command)


def _is_measured(artifact: Artifact, recorded: str, measurement: Measurement) -> bool:
    figures = measurement.artifacts[artifact_name(artifact)]
    same = (artifact.sha256, artifact.checkpoint_id) == (figures.sha256, measurement.checkpoint.id)
    return same and content_hash(artifact) == recorded


def _verdict_mismatches(run: Run, params: Params | None) -> Iterator[Mismatch]:
    """The verdict against measurement, predictions, baseline and params.yaml."""
    path, command = run.paths.verdict, "dvc repro gate"
    if run.verdict is None:
        return
    if run.verdict.inputs is None:
        yield Mismatch(path, "does not say what it was decided on", command)
        return
    inputs = run.verdict.inputs
    if run.measurement is None:
        yield Mismatch(run.paths.measurement, f"missing, and {path} was decided on it", "dvc repro measure")
    elif inputs.measurement != content_hash(run.measurement):
        yield Mismatch(path, f"decided on another measurement than {run.paths.measurement}", command)
    if run.predictions is not None and inputs.predictions != run.predictions.content_hash():
        yield Mismatch(path, f"decided on other predictions than those in {run.paths.predictions}", command)
    if inputs.baseline != (run.baseline.accepted.id if run.baseline else None):
        yield Mismatch(path, f"decided against another baseline than {run.paths.baseline}", command)
    if params is not None and inputs.params != content_hash(params.gate):
        yield Mismatch(path, "decided with other limits than today's gate section of params.yaml", command)


def _training_mismatches(run: Run) -> Iterator[Mismatch]:
    """What the model card says of the training data, against the artifacts."""
    if run.training is None:
        return
    checkpoints = {artifact.checkpoint_id for listed in run.artifacts.values() for artifact in listed.artifacts}
    if not run.training.checkpoint_id or checkpoints - {run.training.checkpoint_id}:
        yield Mismatch(run.paths.training, "of another checkpoint than the artifacts'", "dvc repro train")
    if run.generation is not None and run.generation.index_sha256 != run.training.index_sha256:
        problem = f"trained on other images than those of {run.paths.generation}"
        yield Mismatch(run.paths.training, problem, "dvc repro train")
