"""Pairs of a baseline and a candidate whose difference is known, for it was drawn: what the gate should say is known.

Selfies have the factors of a policy's own prompts. The baseline is right on each with a known probability; the
candidate decides as it does but for what an ``Effect`` takes away or changes. Figures that are no decisions (bytes,
memory, instructions, time) come with the noise FACTS give them; nothing here runs a model or a clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.evaluation.accuracy import abstention_figures, accuracy_figures, parity_figures
from benchmarks.evaluation.measurement import (
    Arm64Figures,
    ArtifactFigures,
    CameraFigures,
    CheckpointFigures,
    Estimate,
    Measurement,
    ModelFile,
    SelfieSet,
)
from benchmarks.evaluation.predictions import CHECKPOINT, Predictions
from benchmarks.gate.baseline import Accepted, Baseline
from benchmarks.gate.checks.resource_growth import Bench, PairedMemory
from benchmarks.latency.side_by_side import PairedTiming
from pipeline.config.policy import Policy
from pipeline.prompts.prompt_sampler import draw_prompts

FORMAT, RECIPE = "tflite", "float32"
ARTIFACT = f"{FORMAT}-{RECIPE}"
CONFIDENCE = 0.95
_PROCESSES = 9
_MEMORY_BYTES = 90_000_000
_MEMORY_NOISE, _PROCESS_BIAS = 0.01, 0.019
"""Standard deviations: of memory from run to run, and of a process's ratio between identical artifacts."""
_CAMERA_HALF = 0.06
"""Half the interval of accuracy under a camera's distortions, of 40 selfies."""
_ARTIFACT_FLIPS = 0.002
"""Share of decisions in which a float artifact differs from its checkpoint, at most."""
Rows = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class World:
    """Selfies without pictures: ids, true labels and factors."""

    ids: tuple[str, ...]
    targets: NDArray[np.int64]
    labels: tuple[str, ...]
    factors: tuple[Mapping[str, str], ...]


@dataclass(frozen=True, slots=True)
class Effect:
    """What is different about the candidate.

    Attributes:
        discordance: Share of selfies decided otherwise for no reason, half of them for the better: another training.
        fall: Of accuracy, all over.
        within: Factor values a slice is made of, and ``slice_fall``, the fall among them.
        misses: So many times the false negatives.
        alarms: So many times the false positives.
        artifact_fall: Of the artifact alone; its checkpoint stays as good as it was.
        size: Growth; memory, instructions and time likewise.
        camera_fall: Of the accuracy under a camera's distortions.
    """

    discordance: float = 0.0
    fall: float = 0.0
    within: tuple[tuple[str, str], ...] = ()
    slice_fall: float = 0.0
    misses: float = 1.0
    alarms: float = 1.0
    artifact_fall: float = 0.0
    size: float = 0.0
    memory: float = 0.0
    instructions: float = 0.0
    time: float = 0.0
    camera_fall: float = 0.0


QUIET: Mapping[str, Effect] = {
    "identical": Effect(),
    "as_good": Effect(discordance=0.02),
    "as_good_retrained": Effect(discordance=0.06),
}
"""Nothing is worse: the same model exported anew, and others that are as good but not the same."""
DAMAGES: Mapping[str, Effect] = {
    "accuracy_2_points": Effect(fall=0.02, discordance=0.02),
    "accuracy_3_points": Effect(fall=0.03, discordance=0.02),
    "slice_10_points": Effect(within=(("light", "night"),), slice_fall=0.10, discordance=0.02),
    "slice_7_points": Effect(within=(("light", "night"),), slice_fall=0.07, discordance=0.02),
    "small_slice_20_points": Effect(within=(("skin_tone", "monk_10"),), slice_fall=0.20, discordance=0.02),
    "small_pair_half_lost": Effect(within=(("skin_tone", "monk_10"), ("light", "night")), slice_fall=0.5),
    "false_negatives_half_more": Effect(misses=1.5, discordance=0.02),
    "false_positives_half_more": Effect(alarms=1.5, discordance=0.02),
    "quantised_4_points": Effect(artifact_fall=0.04),
    "camera_20_points": Effect(camera_fall=0.20),
    "size_5_percent": Effect(size=0.05),
    "memory_20_percent": Effect(memory=0.20),
    "instructions_3_percent": Effect(instructions=0.03),
    "time_10_percent": Effect(time=0.10),
}
"""Each above the margin of the check that is for it."""


@dataclass(frozen=True, slots=True)
class Case:
    """What the gate is given."""

    measurement: Measurement
    predictions: Predictions
    baseline: Baseline
    bench: Bench


def draw_world(policy: Policy, count: int, seed: int) -> World:
    """Draw selfies as the policy weighs them."""
    prompts = draw_prompts(policy, count, 1, seed)
    labels = tuple(policy.labels)
    targets = np.array([labels.index(prompt.label) for prompt in prompts], np.int64)
    return World(
        tuple(prompt.id for prompt in prompts),
        targets,
        labels,
        tuple(prompt.factors for prompt in prompts),
    )


def simulate(world: World, effect: Effect, accuracy: float, random: np.random.Generator) -> Case:
    """Draw a baseline of this accuracy, and a candidate that differs from it by an effect."""
    old = random.random(len(world.ids)) < accuracy
    new = _change(world, effect, old, random)
    tables = []
    for right, fall in ((old, 0.0), (new, effect.artifact_fall)):
        # an identical candidate is wrong where its baseline is: the artifact's own flips are drawn from one seed
        flips = np.random.default_rng(0).random(len(right)) < _ARTIFACT_FLIPS
        artifact = right ^ flips
        artifact &= ~(random.random(len(right)) < fall / accuracy)
        tables.append(_table(world, {CHECKPOINT: right, ARTIFACT: artifact}))
    noise = 1 + random.normal(0, _MEMORY_NOISE, 2)
    memory = PairedMemory(round(_MEMORY_BYTES * noise[1] * (1 + effect.memory)), round(_MEMORY_BYTES * noise[0]))
    before, after = _measurement(tables[0], Effect(), "baseline"), _measurement(tables[1], effect, "candidate")
    accepted = Accepted(measure_sha256="", predictions_sha256="", selfies_dataset_id="", checkpoint_id="simulated")
    return Case(after, tables[1], Baseline(before, tables[0], accepted), _bench(effect.time, memory, random))


def measure(
    table: Predictions, file: ModelFile, camera: CameraFigures | None = None, arm64: Arm64Figures | None = None
) -> Measurement:
    """The measurement of one artifact that made these predictions."""
    row = ArtifactFigures(
        **dict(file),
        **dict(accuracy_figures(table, file.name, CONFIDENCE)),
        **dict(parity_figures(table, file.name)),
        **dict(abstention_figures(table, file.name, None)),
        **dict(camera or CameraFigures()),
        **dict(arm64 or Arm64Figures()),
    )
    return Measurement(
        labels=table.labels,
        confidence=CONFIDENCE,
        selfies=SelfieSet(count=len(table.ids), dataset_id=table.dataset_id(), labels={}),
        checkpoint=CheckpointFigures(id="simulated", **dict(accuracy_figures(table, CHECKPOINT, CONFIDENCE))),
        artifacts={row.name: row},
    )


def _change(world: World, effect: Effect, old: Rows, random: np.random.Generator) -> Rows:
    """Which selfies the candidate is right on.

    Falls are shares of all selfies (of all in the slice) and are taken from those that were right; what another
    training does for no reason is taken and given alike.
    """
    share = max(float(old.mean()), 1e-9)
    lose = np.full(len(old), (effect.fall + effect.discordance / 2) / share)
    for more, among in ((effect.misses, world.targets == 1), (effect.alarms, world.targets == 0)):
        rate = float((~old[among]).mean())
        lose += among * (more - 1) * rate / max(1 - rate, 1e-9)
    inside = [all(row.get(name) == value for name, value in effect.within) for row in world.factors]
    lose += np.array(inside) * effect.slice_fall / share if effect.within else 0.0
    gain = effect.discordance / 2 / max(1 - share, 1e-9)
    drawn = random.random(len(old))
    return np.where(old, drawn >= lose, drawn < gain)


def _measurement(table: Predictions, effect: Effect, sha256: str) -> Measurement:
    camera = 0.85 - effect.camera_fall
    return measure(
        table,
        ModelFile(format=FORMAT, recipe=RECIPE, sha256=sha256, size_bytes=round(3_000_000 * (1 + effect.size))),
        CameraFigures(camera_accuracy=Estimate(value=camera, low=camera - _CAMERA_HALF, high=camera + _CAMERA_HALF)),
        Arm64Figures(arm64_instructions=round(27_070_000 * (1 + effect.instructions))),
    )


def _bench(slower: float, memory: PairedMemory, random: np.random.Generator) -> Bench:
    def time(_: str, __: int) -> PairedTiming:
        ratios = (1 + slower) * np.exp(random.normal(0, _PROCESS_BIAS, _PROCESSES))
        return PairedTiming(ratios=tuple(ratios.tolist()), candidate_p50_ms=1 + slower, baseline_p50_ms=1.0)

    return Bench(time, lambda _: memory)


def _table(world: World, right: Mapping[str, Rows]) -> Predictions:
    probabilities = {}
    for column, rows in right.items():
        decided = np.where(rows, world.targets, 1 - world.targets)
        positive = np.where(decided == 1, 0.9, 0.2)
        probabilities[column] = np.stack([1 - positive, positive], axis=1).astype(np.float32)
    return Predictions(
        world.ids, world.ids, world.targets, world.labels, dict.fromkeys(right, 0.5), probabilities, world.factors
    )
