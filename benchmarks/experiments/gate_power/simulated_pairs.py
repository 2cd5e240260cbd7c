"""Simulated pairs of a baseline and a candidate whose difference is known, so that the right verdict is known.

Selfies have labels and factors as the policy's prompts do, but no pictures. The baseline decides each correctly with a
given probability; the candidate decides alike except for what an ``Effect`` changes. Size, memory, instructions and
time get realistic noise. Runs no model and no clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.evaluation.accuracy import abstention_figures, accuracy_figures, parity_figures
from benchmarks.evaluation.estimates import Estimate
from benchmarks.evaluation.measurement import (
    Arm64Figures,
    ArtifactFigures,
    CameraFigures,
    CheckpointFigures,
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
"""Standard deviations: of memory between runs, and of the ratio of a process with identical artifacts."""
_CAMERA_HALF_WIDTH = 0.06
"""Half the width of the interval of ``camera_accuracy`` with 40 selfies."""
_ARTIFACT_FLIPS = 0.002
"""Share of decisions in which a float artifact differs from its checkpoint."""
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class SimulatedSelfies:
    """Selfies without pictures.

    Attributes:
        ids: Ids of the selfies.
        targets: True labels as indices, int64 (n,).
        labels: Names of the labels.
        factors: Factor -> value of each selfie.
    """

    ids: tuple[str, ...]
    targets: NDArray[np.int64]
    labels: tuple[str, ...]
    factors: tuple[Mapping[str, str], ...]


@dataclass(frozen=True, slots=True)
class Effect:
    """How the candidate differs from the baseline.

    Attributes:
        discordance: Share of selfies decided otherwise by chance, half of them better, as after another training.
        fall: Fall of the accuracy over all selfies.
        within: (factor, value) pairs that define a slice.
        slice_fall: Fall of the accuracy in that slice.
        false_negatives: Factor on the number of false negatives.
        false_positives: Factor on the number of false positives.
        artifact_fall: Fall of the artifact's accuracy; its checkpoint does not change.
        size: Growth of the size, e.g. 0.05.
        memory: Growth of the peak memory.
        instructions: Growth of the instruction count.
        time: Growth of the latency.
        camera_fall: Fall of ``camera_accuracy``.
    """

    discordance: float = 0.0
    fall: float = 0.0
    within: tuple[tuple[str, str], ...] = ()
    slice_fall: float = 0.0
    false_negatives: float = 1.0
    false_positives: float = 1.0
    artifact_fall: float = 0.0
    size: float = 0.0
    memory: float = 0.0
    instructions: float = 0.0
    time: float = 0.0
    camera_fall: float = 0.0


NO_REGRESSION: Mapping[str, Effect] = {
    "identical": Effect(),
    "as_good": Effect(discordance=0.02),
    "as_good_retrained": Effect(discordance=0.06),
}
"""Nothing is worse: the same model exported again, and other models with the same accuracy."""
DAMAGES: Mapping[str, Effect] = {
    "accuracy_2_points": Effect(fall=0.02, discordance=0.02),
    "accuracy_3_points": Effect(fall=0.03, discordance=0.02),
    "slice_10_points": Effect(within=(("light", "night"),), slice_fall=0.10, discordance=0.02),
    "slice_7_points": Effect(within=(("light", "night"),), slice_fall=0.07, discordance=0.02),
    "small_slice_20_points": Effect(within=(("skin_tone", "monk_10"),), slice_fall=0.20, discordance=0.02),
    "small_pair_half_lost": Effect(within=(("skin_tone", "monk_10"), ("light", "night")), slice_fall=0.5),
    "false_negatives_half_more": Effect(false_negatives=1.5, discordance=0.02),
    "false_positives_half_more": Effect(false_positives=1.5, discordance=0.02),
    "quantised_4_points": Effect(artifact_fall=0.04),
    "camera_20_points": Effect(camera_fall=0.20),
    "size_5_percent": Effect(size=0.05),
    "memory_20_percent": Effect(memory=0.20),
    "instructions_3_percent": Effect(instructions=0.03),
    "time_10_percent": Effect(time=0.10),
}
"""Each is above the margin of the check that covers it."""


@dataclass(frozen=True, slots=True)
class Case:
    """The input of the gate: a candidate's measurement and predictions, a baseline, and a bench to time both."""

    measurement: Measurement
    predictions: Predictions
    baseline: Baseline
    bench: Bench


def draw_selfies(policy: Policy, count: int, seed: int) -> SimulatedSelfies:
    """Draw labels and factors with the policy's weights."""
    prompts = draw_prompts(policy, count, 1, seed)
    labels = tuple(policy.labels)
    targets = np.array([labels.index(prompt.label) for prompt in prompts], np.int64)
    ids, factors = (tuple(getattr(prompt, name) for prompt in prompts) for name in ("id", "factors"))
    return SimulatedSelfies(ids, targets, labels, factors)


def simulate(selfies: SimulatedSelfies, effect: Effect, accuracy: float, random: np.random.Generator) -> Case:
    """Draw a baseline with this accuracy, and a candidate that differs from it by an effect."""
    old = random.random(len(selfies.ids)) < accuracy
    new = _apply(effect, selfies, old, random)
    tables = []
    for correct, fall in ((old, 0.0), (new, effect.artifact_fall)):
        # the same seed for both: an identical candidate is wrong on the same selfies as its baseline
        flips = np.random.default_rng(0).random(len(correct)) < _ARTIFACT_FLIPS
        artifact = correct ^ flips
        artifact &= ~(random.random(len(correct)) < fall / accuracy)
        tables.append(_table(selfies, {CHECKPOINT: correct, ARTIFACT: artifact}))
    noise = 1 + random.normal(0, _MEMORY_NOISE, 2)
    memory = PairedMemory(round(_MEMORY_BYTES * noise[1] * (1 + effect.memory)), round(_MEMORY_BYTES * noise[0]))
    before, after = _measurement(tables[0], Effect(), "baseline"), _measurement(tables[1], effect, "candidate")
    accepted = Accepted(measure_sha256="", predictions_sha256="", selfies_dataset_id="", checkpoint_id="simulated")
    return Case(after, tables[1], Baseline(before, tables[0], accepted), _bench(effect.time, memory, random))


def measure(
    table: Predictions, file: ModelFile, camera: CameraFigures | None = None, arm64: Arm64Figures | None = None
) -> Measurement:
    """Measurement of one artifact with these predictions, in columns of the checkpoint and of the artifact."""
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


def _apply(effect: Effect, selfies: SimulatedSelfies, old: Bools, random: np.random.Generator) -> Bools:
    """Which selfies the candidate decides correctly.

    Falls are shares of all selfies (or of all in the slice) and only change correct decisions; discordance changes
    equally many correct and wrong ones.
    """
    share = max(float(old.mean()), 1e-9)
    lose = np.full(len(old), (effect.fall + effect.discordance / 2) / share)
    for factor, among in (
        (effect.false_negatives, selfies.targets == 1),
        (effect.false_positives, selfies.targets == 0),
    ):
        rate = float((~old[among]).mean())
        lose += among * (factor - 1) * rate / max(1 - rate, 1e-9)
    inside = [all(row.get(name) == value for name, value in effect.within) for row in selfies.factors]
    lose += np.array(inside) * effect.slice_fall / share if effect.within else 0.0
    gain = effect.discordance / 2 / max(1 - share, 1e-9)
    drawn = random.random(len(old))
    return np.where(old, drawn >= lose, drawn < gain)


def _measurement(table: Predictions, effect: Effect, sha256: str) -> Measurement:
    camera = 0.85 - effect.camera_fall
    return measure(
        table,
        ModelFile(format=FORMAT, recipe=RECIPE, sha256=sha256, size_bytes=round(3_000_000 * (1 + effect.size))),
        CameraFigures(
            camera_accuracy=Estimate(value=camera, low=camera - _CAMERA_HALF_WIDTH, high=camera + _CAMERA_HALF_WIDTH)
        ),
        Arm64Figures(arm64_instructions=round(27_070_000 * (1 + effect.instructions))),
    )


def _bench(slower: float, memory: PairedMemory, random: np.random.Generator) -> Bench:
    def time(_: str, __: int) -> PairedTiming:
        ratios = (1 + slower) * np.exp(random.normal(0, _PROCESS_BIAS, _PROCESSES))
        return PairedTiming(ratios=tuple(ratios.tolist()), candidate_p50_ms=1 + slower, baseline_p50_ms=1.0)

    return Bench(time, lambda _: memory)


def _table(selfies: SimulatedSelfies, correct: Mapping[str, Bools]) -> Predictions:
    probabilities = {}
    for column, rows in correct.items():
        decided = np.where(rows, selfies.targets, 1 - selfies.targets)
        positive = np.where(decided == 1, 0.9, 0.2)
        probabilities[column] = np.stack([1 - positive, positive], axis=1).astype(np.float32)
    thresholds = dict.fromkeys(correct, 0.5)
    ids, targets, labels = selfies.ids, selfies.targets, selfies.labels
    return Predictions(ids, ids, targets, labels, thresholds, probabilities, selfies.factors)
