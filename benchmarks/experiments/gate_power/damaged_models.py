"""Real pairs of models for the gate: a sound baseline, and candidates that are damaged in ways that occur in practice.

    reexported              the same weights, exported again
    jittered_slightly       weights changed by a thousandth, which should make no difference
    jittered                weights changed by ``jitter``
    labels_flipped          trained with a share of labels wrong
    night_dropped           trained without the images of one slice
    labels_swapped          the outputs of the artifact in the other order
    normalisation_dropped   the artifact without its mean and standard deviation
    int8_badly_calibrated   8 bits calibrated on a dark image; the baseline's 8 bits are calibrated on training images
    slower_graph            the same answers from a graph with superfluous work

Reads rendered images, whose labels are certain; leaves checkpoints, artifacts and predictions in the work area.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.evaluation.inference import EvaluationSet, local_runtimes, read_artifacts, read_reference, run_inference
from benchmarks.evaluation.measurement import ModelFile
from benchmarks.evaluation.predictions import write_predictions
from benchmarks.experiment_harness.course import ARTIFACTS, CHECKPOINT, IMAGES, ROWS, SELFIES, StageFolder
from benchmarks.experiment_harness.planted_errors import choose, relabel
from benchmarks.experiment_harness.toolkit_defaults import SUFFIX, export_toolkit_defaults
from benchmarks.experiment_harness.training_run import PREDICTIONS
from benchmarks.experiment_harness.workspace import PARAMS, Step
from pipeline.config.fields import Positive, Section, Seed, Share
from pipeline.config.params import load_params
from pipeline.data.hashing import sha256_of, size_of
from pipeline.data.records import Image
from pipeline.data.shards import load_batch, read_index
from pipeline.data.storage import read_rows, write_json, write_rows
from pipeline.data.stratified_subset import choose_rows
from pipeline.train.model import Checkpoint, load_checkpoint, save_checkpoint

SOUND, INT8, INT8_BADLY, SLOWER = "sound", "int8", "int8_badly_calibrated", "slower_graph"
TRAINED = ("labels_flipped", "night_dropped")
REWRITTEN = ("reexported", "jittered_slightly", "jittered", "labels_swapped", "normalisation_dropped")
HARMLESS = ("reexported", "jittered_slightly")
PAIRS = {**dict.fromkeys((*REWRITTEN, *TRAINED, SLOWER), SOUND), INT8_BADLY: INT8}
"""Candidate -> its baseline."""
MODEL_FILE = Path("model_file.json")
FORMAT, RECIPE = "onnx", "float32"
_SLIGHT_JITTER = 0.001


class Strengths(Section):
    """How strong the damages are.

    Attributes:
        jitter: Standard deviation of the factor that each weight is multiplied by.
        flipped: Share of training labels that are changed.
        without: (factor, value) of the images that training does not see.
        idle: Number of pairs of multiplications after the first convolution that cancel each other.
        calibration: Number of images that the baseline's 8 bits are calibrated on.
        seed: Seed of the jitter and of the changed labels.
    """

    jitter: Share = 0.15
    flipped: Share = 0.30
    without: tuple[str, str] = ("light", "night")
    idle: Positive = 16
    calibration: Positive = 128
    seed: Seed = 77


@dataclass(frozen=True, slots=True)
class ModelPairsConfig:
    """Data of the models, and where they are made.

    Attributes:
        data: Folder with images, rows and selfies.
        open: Opens the folder of a model, by name.
        strengths: How strong the damages are.
        needs: Names of the steps that write the data.
    """

    data: Path
    open: Callable[[str], StageFolder]
    strengths: Strengths
    needs: tuple[str, ...]

    @property
    def rows(self) -> tuple[Path, ...]:
        """Training and validation rows with true labels."""
        return tuple(self.data / path for path in ROWS)

    def path(self, name: str) -> Path:
        """Folder of a model."""
        return self.open(name).path

    def model(self, name: str) -> Path:
        """The ONNX file of a model."""
        if name in (INT8, INT8_BADLY):
            return self.path(name) / f"int8/static_wi8_ai8{SUFFIX}.onnx"
        return self.path(name) / ("float32.onnx" if name == SLOWER else ARTIFACTS / "onnx/float32.onnx")


def plan(config: ModelPairsConfig) -> Iterator[Step]:
    """List all steps: train, damage, convert and test each model."""
    strengths = config.strengths
    yield from _train(config, SOUND, config.rows, config.needs)
    for name in TRAINED:
        action = partial(_damage_rows, config, name)
        rows = config.open(name).step("rows", "split", action, ROWS, config.needs, strengths=strengths)
        yield rows
        yield from _train(config, name, rows.outs, (*config.needs, rows.name))
    for name in REWRITTEN:
        action, needs = partial(_rewrite_checkpoint, config, name), (f"{SOUND}/train",)
        checkpoint = config.open(name).step("checkpoint", "train", action, (CHECKPOINT,), needs, strengths=strengths)
        yield checkpoint
        yield from _convert(config, name, (checkpoint.name,))
    for name in (INT8, INT8_BADLY, SLOWER):
        action, needs = partial(_slow_down if name == SLOWER else _quantise, config, name), (converted(SOUND),)
        outs = (config.model(name),)
        model = config.open(name).step("model", "convert", action, outs, needs, strengths=strengths)
        yield replace(model, key=FORMAT)
        yield _test(config, name, (model.name,))


def converted(name: str) -> str:
    """Name of the step that converts a model."""
    return f"{name}/convert-{FORMAT}"


def _train(config: ModelPairsConfig, name: str, rows: tuple[Path, ...], needs: tuple[str, ...]) -> Iterator[Step]:
    train = config.open(name).train(rows, config.data / IMAGES, needs)
    yield train
    yield from _convert(config, name, (train.name,))


def _convert(config: ModelPairsConfig, name: str, needs: tuple[str, ...]) -> Iterator[Step]:
    yield config.open(name).convert(FORMAT, config.rows, config.data / IMAGES, needs)
    yield _test(config, name, (converted(name),))


def _test(config: ModelPairsConfig, name: str, needs: tuple[str, ...]) -> Step:
    outs = PREDICTIONS, MODEL_FILE
    return config.open(name).step("test", "measure", partial(_predict, config, name), outs, (*needs, *config.needs))


def _damage_rows(config: ModelPairsConfig, name: str) -> None:
    """Change some labels, or drop a slice; also in the validation rows, which choose the threshold."""
    strengths = config.strengths
    factor, value = strengths.without
    for source, path in zip(config.rows, ROWS, strict=True):
        images = read_rows(source, Image)
        if name == "labels_flipped":
            labels = sorted({image.label for image in images})
            images = relabel(images, choose(images, strengths.flipped, strengths.seed), labels)
        else:
            images = [image for image in images if image.factors.get(factor) != value]
        write_rows(config.path(name) / path, images)


def _rewrite_checkpoint(config: ModelPairsConfig, name: str) -> None:
    """Write the sound checkpoint again, with or without a change."""
    sound = load_checkpoint(config.path(SOUND) / CHECKPOINT)
    checkpoint_config = sound.config
    if name.startswith("jittered"):
        jitter = _SLIGHT_JITTER if name.endswith("slightly") else config.strengths.jitter
        _jitter(sound, jitter, config.strengths.seed)
    elif name == "labels_swapped":
        head = sound.network.get_classifier()  # type: ignore[operator]
        head.weight.data, head.bias.data = head.weight.data.flip(0), head.bias.data.flip(0)
    elif name == "normalisation_dropped":
        bare = checkpoint_config.preprocess.model_copy(update={"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)})
        checkpoint_config = checkpoint_config.model_copy(update={"preprocess": bare})
    save_checkpoint(config.path(name) / CHECKPOINT, sound.network, checkpoint_config)


def _jitter(checkpoint: Checkpoint, deviation: float, seed: int) -> None:
    import torch

    generator = torch.Generator().manual_seed(seed)
    for weights in checkpoint.network.parameters():
        weights.data *= 1 + deviation * torch.randn(weights.shape, generator=generator)


def _quantise(config: ModelPairsConfig, name: str) -> None:
    """Quantise the sound float32 model, calibrated on training images or on a dark one."""
    sound, strengths = config.path(SOUND), config.strengths
    checkpoint, convert = load_checkpoint(sound / CHECKPOINT), load_params(sound / PARAMS).convert
    calibration = choose_rows(read_rows(config.rows[0], Image), strengths.calibration, strengths.seed)
    frames = load_batch(config.data / IMAGES, calibration, checkpoint.config.preprocess)
    if name == INT8_BADLY:
        frames = (frames[:1] // 8).astype(np.uint8)
    export_toolkit_defaults(checkpoint, convert, frames, sound / ARTIFACTS / FORMAT, config.path(name) / "int8")


def _slow_down(config: ModelPairsConfig, name: str) -> None:
    """Add work to the sound graph that changes no answer: a tensor is doubled and halved repeatedly."""
    import onnx

    model = onnx.load(str(config.model(SOUND)))
    graph = model.graph
    index, first = next((index, node) for index, node in enumerate(graph.node) if node.op_type == "Conv")
    output, last = first.output[0], f"{first.output[0]}_busy_0"
    first.output[0] = last
    nodes = 2 * config.strengths.idle
    for number in range(1, nodes + 1):
        factor = f"busy_factor_{number}"
        graph.initializer.append(onnx.numpy_helper.from_array(np.array(2.0 if number % 2 else 0.5, np.float32), factor))
        after = output if number == nodes else f"{output}_busy_{number}"
        graph.node.insert(index + number, onnx.helper.make_node("Mul", [last, factor], [after]))
        last = after
    onnx.checker.check_model(model, full_check=True)
    path = config.model(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(model.SerializeToString(deterministic=True))


def _predict(config: ModelPairsConfig, name: str) -> None:
    """Test on all selfies; the reference of a model that was damaged after training is the sound checkpoint."""
    folder, sound, selfies = config.path(name), config.path(SOUND), config.data / SELFIES
    reference = read_reference((folder if name in TRAINED else sound) / CHECKPOINT)
    source = folder if name in (*TRAINED, *REWRITTEN) else sound
    record = next(record for _, record in read_artifacts(source / ARTIFACTS) if record.recipe == RECIPE)
    model = config.model(name)
    evaluation_set = EvaluationSet(reference, [(model, record)], selfies, read_index(selfies))
    table, _ = run_inference(evaluation_set, local_runtimes(), threads=1)
    write_predictions(folder / PREDICTIONS, table)
    file = ModelFile(format=FORMAT, recipe=RECIPE, sha256=sha256_of(model), size_bytes=size_of(model))
    write_json(folder / MODEL_FILE, file)
