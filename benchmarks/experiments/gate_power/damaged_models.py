"""Real pairs of models for the gate: one that is sound, and others spoilt on purpose, each in a way that happens.

    reexported              the same weights, exported again
    jittered_slightly       weights off by a thousandth: nothing should be noticed
    jittered                weights off by ``jitter``
    labels_flipped          trained with a share of labels wrong
    night_dropped           trained without the pictures of one slice
    labels_swapped          the artifact's outputs in the other order
    normalisation_dropped   the artifact without its mean and standard deviation
    int8_badly_calibrated   8 bits calibrated on one dark picture, beside 8 bits calibrated on training images
    slower_graph            the same answers, by a graph with idle work in it

Reads rendered images, whose labels are certain; leaves checkpoints, artifacts and answers in the work area.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.evaluation.inference import EvaluationSet, local_runtimes, read_artifacts, read_reference, run_inference
from benchmarks.evaluation.measurement import ModelFile
from benchmarks.evaluation.predictions import write_predictions
from benchmarks.experiment_harness.planted_errors import choose, relabel
from benchmarks.experiment_harness.toolkit_defaults import SUFFIX, write_plain
from benchmarks.experiment_harness.workspace import Step, gossamer
from pipeline.config.fields import Positive, Section, Seed, Share
from pipeline.data.hashing import sha256_of, size_of
from pipeline.data.records import Image
from pipeline.data.shards import load_batch, read_index
from pipeline.data.storage import read_rows, write_json, write_rows
from pipeline.data.stratified_subset import choose_rows
from pipeline.train.model import Checkpoint, load_checkpoint, save_checkpoint

SOUND, QUANTISED = "sound", "int8"
TRAINED = ("labels_flipped", "night_dropped")
REWRITTEN = ("reexported", "jittered_slightly", "jittered", "labels_swapped", "normalisation_dropped")
HARMLESS = ("reexported", "jittered_slightly")
PAIRS = {
    **dict.fromkeys((*REWRITTEN, *TRAINED, "slower_graph"), SOUND),
    "int8_badly_calibrated": QUANTISED,
}
"""Candidate -> its baseline."""
CHECKPOINT, ARTIFACTS = Path("models/checkpoint"), Path("artifacts")
IMAGES, ROWS = Path("data/images"), (Path("data/train.jsonl"), Path("data/val.jsonl"))
PREDICTIONS, FIGURES = "predictions.parquet", "figures.json"
SLIGHTLY = 0.001


class Strengths(Section):
    """How hard models are hit.

    Attributes:
        jitter: Standard deviation of the factor that each weight is multiplied by.
        flipped: Share of training labels.
        without: Factor and value that training never sees.
        idle: Pairs of multiplications that undo each other, after the first convolution.
        calibration: Images that the sound 8 bits are calibrated on.
        seed: Of jitter and flips.
    """

    jitter: Share = 0.15
    flipped: Share = 0.30
    without: tuple[str, str] = ("light", "night")
    idle: Positive = 16
    calibration: Positive = 128
    seed: Seed = 77


@dataclass(frozen=True, slots=True)
class Ground:
    """Where models are made.

    Attributes:
        data: Folder with images, rows and selfies.
        open: Makes a folder to run commands in, by name.
        policy: The policy's file, as commands are told it.
        strengths: How hard.
        before: Names of the steps that make the data.
    """

    data: Path
    open: Callable[[str], Path]
    policy: str
    strengths: Strengths
    before: tuple[str, ...]

    @property
    def rows(self) -> tuple[Path, ...]:
        """Training and validation rows with true labels."""
        return tuple(self.data / each for each in ROWS)

    def model(self, name: str) -> Path:
        """The ONNX file of one of the models."""
        if name in (QUANTISED, "int8_badly_calibrated"):
            return self.open(name) / f"int8/static_wi8_ai8{SUFFIX}.onnx"
        return self.open(name) / ("float32.onnx" if name == "slower_graph" else ARTIFACTS / "onnx/float32.onnx")


def steps(ground: Ground) -> Iterator[Step]:
    """Train, spoil, export and answer."""
    yield from _trained(ground, SOUND)
    for name in TRAINED:
        folder, strength = ground.open(name), ground.strengths
        told = f"{name}-{strength.flipped if name == 'labels_flipped' else '-'.join(strength.without)}/rows"
        outs = tuple(folder / each for each in ROWS)
        yield Step(told, "split", folder, partial(_spoil_rows, ground, name), outs, ground.before)
        yield from _trained(ground, name, outs, (told,))
    for name in REWRITTEN:
        folder = ground.open(name)
        told = f"{name}-{ground.strengths.jitter}/checkpoint"
        made = (folder / CHECKPOINT,)
        yield Step(told, "train", folder, partial(_rewrite, ground, name), made, (f"{SOUND}/train",))
        yield from _exported(ground, name, (told,))
    told = f"int8-{ground.strengths.calibration}-{ground.strengths.idle}"
    for name in (QUANTISED, "int8_badly_calibrated", "slower_graph"):
        act = partial(_slow if name == "slower_graph" else _quantise, ground, name)
        made = (ground.model(name),)
        yield Step(f"{name}/{told}", "convert", ground.open(name), act, made, (f"{SOUND}/convert",), "onnx")
        yield _answered(ground, name, (f"{name}/{told}",))


def _trained(
    ground: Ground, name: str, rows: tuple[Path, ...] | None = None, before: tuple[str, ...] = ()
) -> Iterator[Step]:
    folder = ground.open(name)
    outs = CHECKPOINT, Path("metrics/train.json"), Path("plots/train.csv")
    act = partial(gossamer, folder, "train", *(rows or ground.rows), ground.data / IMAGES, ground.policy, *outs)
    made = tuple(folder / out for out in outs)
    yield Step(f"{name}/train", "train", folder, act, made, (*ground.before, *before))
    yield from _exported(ground, name, (f"{name}/train",))


def _exported(ground: Ground, name: str, before: tuple[str, ...]) -> Iterator[Step]:
    folder = ground.open(name)
    places = CHECKPOINT, *ground.rows, ground.data / IMAGES, Path(ground.policy), ARTIFACTS, Path("metrics")
    act = partial(gossamer, folder, "convert", "onnx", *places)
    yield Step(f"{name}/convert", "convert", folder, act, (ground.model(name),), before, "onnx")
    yield _answered(ground, name, (f"{name}/convert",))


def _answered(ground: Ground, name: str, before: tuple[str, ...]) -> Step:
    folder = ground.open(name)
    outs = folder / PREDICTIONS, folder / FIGURES
    return Step(f"{name}/answer", "measure", folder, partial(_answer, ground, name), outs, (*before, *ground.before))


def _spoil_rows(ground: Ground, name: str) -> None:
    """Training rows with some labels wrong, or without a slice; validation rows, which choose the threshold, alike."""
    factor, value = ground.strengths.without
    for source, place in zip(ground.rows, ROWS, strict=True):
        images = read_rows(source, Image)
        if name == "labels_flipped":
            labels = sorted({image.label for image in images})
            images = relabel(images, choose(images, ground.strengths.flipped, ground.strengths.seed), labels)
        else:
            images = [image for image in images if image.factors.get(factor) != value]
        write_rows(ground.open(name) / place, images)


def _rewrite(ground: Ground, name: str) -> None:
    """Write the sound checkpoint again, changed or not."""
    sound = load_checkpoint(ground.open(SOUND) / CHECKPOINT)
    config = sound.config
    if name.startswith("jittered"):
        _jitter(sound, SLIGHTLY if name.endswith("slightly") else ground.strengths.jitter, ground.strengths.seed)
    elif name == "labels_swapped":
        head = sound.network.get_classifier()  # type: ignore[operator]
        head.weight.data, head.bias.data = head.weight.data.flip(0), head.bias.data.flip(0)
    elif name == "normalisation_dropped":
        bare = config.preprocess.model_copy(update={"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)})
        config = config.model_copy(update={"preprocess": bare})
    save_checkpoint(ground.open(name) / CHECKPOINT, sound.network, config)


def _jitter(checkpoint: Checkpoint, spread: float, seed: int) -> None:
    import torch

    generator = torch.Generator().manual_seed(seed)
    for weights in checkpoint.network.parameters():
        weights.data *= 1 + spread * torch.randn(weights.shape, generator=generator)


def _quantise(ground: Ground, name: str) -> None:
    """Quantise the sound float32 model, calibrated on training images or on a dark one."""
    sound = ground.open(SOUND)
    spec = load_checkpoint(sound / CHECKPOINT).config.preprocess
    chosen = choose_rows(read_rows(ground.rows[0], Image), ground.strengths.calibration, ground.strengths.seed)
    frames = load_batch(ground.data / IMAGES, chosen, spec)
    if name != QUANTISED:
        frames = (frames[:1] // 8).astype(np.uint8)
    write_plain(sound / ARTIFACTS / "onnx", frames, ground.open(name) / "int8")


def _slow(ground: Ground, name: str) -> None:
    """Put work into the sound graph that changes no answer: a tensor is doubled and halved, again and again."""
    import onnx

    model = onnx.load(str(ground.model(SOUND)))
    graph = model.graph
    at, first = next((at, node) for at, node in enumerate(graph.node) if node.op_type == "Conv")
    found, last = first.output[0], f"{first.output[0]}_busy_0"
    first.output[0] = last
    nodes = 2 * ground.strengths.idle
    for number in range(1, nodes + 1):
        factor = f"busy_factor_{number}"
        graph.initializer.append(onnx.numpy_helper.from_array(np.array(2.0 if number % 2 else 0.5, np.float32), factor))
        after = found if number == nodes else f"{found}_busy_{number}"
        graph.node.insert(at + number, onnx.helper.make_node("Mul", [last, factor], [after]))
        last = after
    onnx.checker.check_model(model, full_check=True)
    path = ground.model(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(model.SerializeToString(deterministic=True))


def _answer(ground: Ground, name: str) -> None:
    """Answer the pool; a model spoilt after training stands beside the sound checkpoint it should equal."""
    folder, selfies = ground.open(name), ground.data / "data/selfies"
    reference = read_reference((folder if name in TRAINED else ground.open(SOUND)) / CHECKPOINT)
    source = folder if name in (*TRAINED, *REWRITTEN) else ground.open(SOUND)
    record = next(record for _, record in read_artifacts(source / ARTIFACTS) if record.recipe == "float32")
    evaluation_set = EvaluationSet(reference, [(ground.model(name), record)], selfies, read_index(selfies))
    table, _ = run_inference(evaluation_set, local_runtimes(), threads=1)
    write_predictions(folder / PREDICTIONS, table)
    path = ground.model(name)
    write_json(
        folder / FIGURES, ModelFile(format="onnx", recipe="float32", sha256=sha256_of(path), size_bytes=size_of(path))
    )
