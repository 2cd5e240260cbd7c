"""Exports: what does each recipe cost in decisions, for each backbone, and what would plain use of the toolkits cost?

Every backbone learns from the same curated images, is exported in every recipe of params.yaml, and answers the same
rendered selfies in each format's own runtime (Core ML in our executor). Beside each 8-bit recipe stands what the
toolkit's defaults make of the same weights and the same calibration images.

Where a folder of photographs is given, backbones that have weights to start from learn from one part of it as well, and
their exports answer the rest: real pictures, and networks that saw a million others before.

Reads params.yaml, policies/ and the code; leaves its work in the work area.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
import yaml
from pydantic import Field, model_validator

from benchmarks.evaluation.inference import (
    EvaluationSet,
    artifact_name,
    check_evaluation_set,
    local_runtimes,
    read_artifacts,
    read_reference,
    run_inference,
)
from benchmarks.evaluation.predictions import CHECKPOINT, Predictions, read_predictions, write_predictions
from benchmarks.experiment_harness.toolkit_defaults import write_plain
from benchmarks.experiment_harness.workspace import PARAMS, POLICIES, Step, carry_out, derive, gossamer, open_folder
from benchmarks.experiments import Tell
from pipeline.config.fields import Positive, Section, Seed, Share
from pipeline.config.params import load_params
from pipeline.data.records import Image, Record
from pipeline.data.shards import INDEX, load_batch, read_index
from pipeline.data.storage import read_json, read_rows, write_json
from pipeline.data.stratified_subset import choose_rows
from pipeline.metrics.classification import false_negative_rate
from pipeline.metrics.statistics import wilson_interval

RESULT = "exports"

CHECKPOINT_FOLDER, ARTIFACTS = Path("models/checkpoint"), Path("artifacts")
IMAGES, KEPT = Path("data/images"), Path("data/kept.jsonl")
ROWS = Path("data/train.jsonl"), Path("data/val.jsonl")
PREDICTIONS = "predictions.parquet"
_PHOTOGRAPHS = "photographs"
_LEARNED = 0.6
"""Share of the photographs that is learned from."""
_FINE_TUNING = {"learning_rate": 0.001, "epochs": 20}
"""Some hundred photographs: gentle steps from weights that know pictures already."""


class Params(Section):
    """What is trained and exported.

    Attributes:
        backbones: Names of timm.
        images: Prompts that the generator draws.
        generator: Who draws them.
        selfies: That every artifact answers.
        sure: Decisions count as sure where the checkpoint's probability lies further from the threshold than this.
        seed: Of prompts.
        photographs: Folder of LABEL/*.jpg; None: not measured.
        weights: Folder of BACKBONE.safetensors to start from there, trained with TensorFlow's padding.
    """

    backbones: Annotated[tuple[str, ...], Field(min_length=1)] = (
        "mobilenetv3_small_100",
        "mobilenetv2_100",
        "mobilenetv4_conv_small",
        "tf_efficientnet_lite0",
    )
    images: Positive = 6400
    generator: Literal["stable_diffusion", "rendered"] = "stable_diffusion"
    selfies: Positive = 2000
    sure: Share = 0.1
    seed: Seed = 2312
    photographs: Path | None = None
    weights: Path | None = None

    @model_validator(mode="after")
    def _photographs_have_weights(self) -> Self:
        if self.photographs is not None and not self.from_weights():
            raise ValueError(
                f"weights: {self.weights}; expected a folder with one of {', '.join(self.backbones)}.safetensors, "
                "which training on photographs starts from"
            )
        return self

    def from_weights(self) -> tuple[str, ...]:
        """Backbones that have weights to start from; none where there are no photographs."""
        if self.photographs is None or self.weights is None:
            return ()
        return tuple(name for name in self.backbones if (self.weights / f"{name}.safetensors").is_file())


class Sizes(Record):
    """Artifact -> bytes, of those that toolkits' defaults made as well."""

    size_bytes: dict[str, int]


@dataclass(frozen=True, slots=True)
class Course:
    """The benchmark's work area, and what its steps need to know."""

    work: Path
    values: Mapping[str, Any]
    params: Params

    @property
    def policy(self) -> str:
        """The policy's file, as commands are told it."""
        return f"{POLICIES}/{self.values['policy']}.yaml"

    @property
    def formats(self) -> tuple[str, ...]:
        """Formats of params.yaml ``convert.formats``, in alphabetical order."""
        return tuple(sorted(self.values["convert"]["formats"]))

    def open_photographs(self, name: str, backbone: str = "") -> Path:
        """Make a folder to run commands on photographs in: trained on one part of them, measured on the rest."""
        folder, weights = self.params.photographs, self.params.weights
        source = {"source": "photos", "folder": str(folder.resolve()) if folder else None}
        start = str((weights / f"{backbone}.safetensors").resolve()) if weights else "none"
        recipe = {"backbone": backbone, "pretrained": start, "padding": "same", **_FINE_TUNING}
        changes: dict[str, dict[str, Any]] = {
            "dataset": {**source, "part": [0.0, _LEARNED], "seed": self.params.seed},
            "selfies": {**source, "part": [_LEARNED, 1.0]},
            "train": recipe if backbone else {},
        }
        return open_folder(self.work / name, derive(self.values, changes), Path(POLICIES))

    def open(self, name: str, backbone: str = "") -> Path:
        """Make a folder to run commands in."""
        changes: dict[str, dict[str, Any]] = {
            "dataset": {"source": "generated"},
            "prompts": {"count": self.params.images, "seed": self.params.seed, "top_up": {}},
            "generate": {"generator": self.params.generator},
            "selfies": {"source": "rendered", "count": self.params.selfies},
            "train": {"backbone": backbone, "pretrained": "none"} if backbone else {},
        }
        return open_folder(self.work / name, derive(self.values, changes), Path(POLICIES))


def run(params: Params, workspace: Path, tell: Tell) -> dict[str, Any]:
    """Draw, curate, train, export and answer; what is done already is not done again.

    Raises:
        ParamsError: The checkout's params.yaml is missing or wrong.
        DataError: A command failed.
    """
    load_params()
    course = Course(workspace, yaml.safe_load(Path(PARAMS).read_text(encoding="utf-8")), params)
    carry_out(list(plan(course)), tell)
    measured = {backbone: figures(course.work / backbone, params.sure) for backbone in params.backbones}
    photographed = {
        backbone: figures(course.work / f"{_PHOTOGRAPHS}-{backbone}", params.sure) for backbone in params.from_weights()
    }
    return {**measured, _PHOTOGRAPHS: photographed} if photographed else measured


def plan(course: Course) -> Iterator[Step]:
    """Every step: images, selfies, and for each backbone its training, exports and answers."""
    data = course.open("data")
    act = partial(gossamer, data, "selfies", course.policy, "data/selfies")
    yield Step("data/selfies", "selfies", data, act, (data / "data/selfies" / INDEX,))
    outs: tuple[Path, ...] = (data / "data/prompts.jsonl", data / "metrics/prompts.json")
    yield Step("data/prompts", "prompts", data, partial(gossamer, data, "prompts", course.policy, *outs), outs)
    act = partial(gossamer, data, "generate", outs[0], course.policy, IMAGES, "metrics/generate.json")
    yield Step("data/generate", "generate", data, act, (data / IMAGES / INDEX,), ("data/prompts",))
    curated = KEPT, Path("data/rejected.jsonl"), Path("metrics/curate.json"), Path("report/curation")
    act = partial(gossamer, data, "curate", IMAGES, course.policy, *curated)
    yield Step("data/curate", "curate", data, act, tuple(data / out for out in curated), ("data/generate",))
    act = partial(gossamer, data, "split", KEPT, *ROWS)
    yield Step("data/split", "split", data, act, tuple(data / rows for rows in ROWS), ("data/curate",))
    for backbone in course.params.backbones:
        yield from _backbone(course, backbone, course.open(backbone, backbone), data)
    yield from _photographs(course)


def figures(folder: Path, sure: float) -> dict[str, Any]:
    """A row for the checkpoint and each artifact of one backbone; what was not answered has no figures."""
    table = read_predictions(folder / PREDICTIONS)
    sizes = read_json(folder / "sizes.json", Sizes).size_bytes
    right = table.decisions(CHECKPOINT) == table.targets
    low, high = wilson_interval(int(right.sum()), len(right))
    reference = {"accuracy": float(right.mean()), "accuracy_low": low, "accuracy_high": high, "fnr": _fnr(table)}
    rows: dict[str, Any] = {CHECKPOINT: reference}
    for name, size in sizes.items():
        told = artifact_figures(table, name, sure) if table.is_whole(name) else {}
        rows[name] = {**told, "size_bytes": size, "arm64_instructions": None}
    return rows


def artifact_figures(table: Predictions, name: str, sure: float) -> dict[str, float]:
    """How one artifact's answers differ from the checkpoint's on the same selfies.

    ``agreement`` is over all of them, ``agreement_sure`` over those on which the checkpoint's probability of the
    positive label lies further than ``sure`` from the threshold.
    """
    decided, theirs = table.decisions(name), table.decisions(CHECKPOINT)
    probabilities = table.probabilities[CHECKPOINT]
    certain = np.abs(probabilities[:, -1] - table.thresholds[CHECKPOINT]) > sure
    equal = decided == theirs
    drop = float((theirs == table.targets).mean()) - float((decided == table.targets).mean())
    return {
        "accuracy_drop_points": 100 * drop,
        "agreement": float(equal.mean()),
        "agreement_sure": float(equal[certain].mean()) if certain.any() else float("nan"),
        "max_abs_probability_diff": float(np.abs(table.probabilities[name] - probabilities).max()),
        "fnr": _fnr(table, name),
    }


def _fnr(table: Predictions, column: str = CHECKPOINT) -> float:
    return false_negative_rate(table.decisions(column), table.targets, len(table.labels) - 1)


def _photographs(course: Course) -> Iterator[Step]:
    """The same on photographs; their labels are taken as they are: people gave them."""
    backbones = course.params.from_weights()
    if not backbones:
        return
    name = f"{_PHOTOGRAPHS}-data"
    data = course.open_photographs(name)
    act = partial(gossamer, data, "selfies", course.policy, "data/selfies")
    yield Step(f"{name}/selfies", "selfies", data, act, (data / "data/selfies" / INDEX,))
    act = partial(gossamer, data, "generate", "none", course.policy, IMAGES, "metrics/generate.json")
    yield Step(f"{name}/generate", "generate", data, act, (data / IMAGES / INDEX,))
    act = partial(gossamer, data, "split", IMAGES / INDEX, *ROWS)
    yield Step(f"{name}/split", "split", data, act, tuple(data / rows for rows in ROWS), (f"{name}/generate",))
    for backbone in backbones:
        own = f"{_PHOTOGRAPHS}-{backbone}"
        yield from _backbone(course, own, course.open_photographs(own, backbone), data)


def _backbone(course: Course, name: str, folder: Path, data: Path) -> Iterator[Step]:
    rows = tuple(data / each for each in ROWS)
    outs = CHECKPOINT_FOLDER, Path("metrics/train.json"), Path("plots/train.csv")
    act = partial(gossamer, folder, "train", *rows, data / IMAGES, course.policy, *outs)
    trained = f"{name}/train"
    yield Step(trained, "train", folder, act, tuple(folder / out for out in outs), (f"{data.name}/split",))
    for target in course.formats:
        places = CHECKPOINT_FOLDER, *rows, data / IMAGES, Path(course.policy), ARTIFACTS, Path("metrics")
        act = partial(gossamer, folder, "convert", target, *places)
        made = folder / ARTIFACTS / target / "artifact.json"
        yield Step(f"{name}/convert-{target}", "convert", folder, act, (made,), (trained,), target)
    judge = partial(_judge, course, folder, data)
    needs = (*(f"{name}/convert-{target}" for target in course.formats), f"{data.name}/selfies")
    outcome = folder / PREDICTIONS, folder / "sizes.json"
    yield Step(f"{name}/judge", "measure", folder, judge, outcome, needs)


def _judge(course: Course, folder: Path, data: Path) -> None:
    """Quantise plainly as well, and write everyone's answers on the selfies.

    All decide as they would be shipped: the checkpoint and each recipe at its own threshold, chosen on validation
    images; what the toolkits' defaults make has none of its own, and decides at the checkpoint's.
    """
    reference = read_reference(folder / CHECKPOINT_FOLDER)
    section = course.values["convert"]
    chosen = choose_rows(read_rows(data / ROWS[0], Image), section["calibration_images"], section["seed"])
    frames = load_batch(data / IMAGES, chosen, reference.preprocess)
    artifacts = read_artifacts(folder / ARTIFACTS)
    for name in course.formats:
        plain = write_plain(folder / ARTIFACTS / name, frames, folder / "plain" / name)
        artifacts += [(path, record.model_copy(update={"threshold": reference.threshold})) for path, record in plain]
    selfies = data / "data/selfies"
    evaluation_set = EvaluationSet(reference, artifacts, selfies, read_index(selfies))
    check_evaluation_set(evaluation_set)
    table, _ = run_inference(evaluation_set, local_runtimes(), threads=1, workers=course.values["measure"]["workers"])
    write_predictions(folder / PREDICTIONS, table)
    sizes = {artifact_name(record): record.size_bytes for _, record in artifacts}
    write_json(folder / "sizes.json", Sizes(size_bytes=sizes))
