"""A tiny checkpoint, its images on disk, and the artifacts of every format, made once per session."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from export.convert import ConvertResult, ConvertRows, run
from export.formats import open_format
from pipeline.data.preprocess import encode_png
from pipeline.data.records import Image
from pipeline.data.shards import Encoded, write_images
from pipeline.metrics.decision_threshold import Costs
from pipeline.train.model import (
    Checkpoint,
    CheckpointConfig,
    PortableClassifier,
    load_checkpoint,
    predict,
    save_checkpoint,
)
from tests.export.tiny import BACKBONE, LABELS, SPEC, build_lively_network, convert_params, draw_frames

COSTS = Costs(false_positive=8.0, false_negative=1.0, abstention=0.3)
Convert = Callable[[str], tuple[ConvertResult, Path]]


def lively_checkpoint(folder: Path, backbone: str = BACKBONE) -> Checkpoint:
    """Write a checkpoint of ``build_lively_network``, and load it."""
    config = CheckpointConfig(
        backbone=backbone,
        padding="symmetric",
        labels=LABELS,
        preprocess=SPEC,
        threshold=0.5,
        checkpoint_id="",
        dataset_id="d" * 64,
    )
    save_checkpoint(folder, build_lively_network(backbone=backbone), config)
    return load_checkpoint(folder)


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return lively_checkpoint(tmp_path_factory.mktemp("checkpoint"))


@pytest.fixture(scope="session")
def classifier(checkpoint: Checkpoint) -> PortableClassifier:
    return PortableClassifier(checkpoint.network, SPEC).eval()


@pytest.fixture(scope="session")
def rows(checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> ConvertRows:
    """Frames labelled as the checkpoint decides, except every fifth, so that thresholds and bands are not trivial."""
    folder = tmp_path_factory.mktemp("images")
    frames = draw_frames(48, 5)
    decisions = predict(checkpoint, np.stack(frames)).argmax(1)
    encoded = [
        Encoded(
            id=f"i{number}",
            group=f"g{number}",
            label=LABELS[decisions[number] ^ (number % 5 == 0)],
            factors={"light": ("day", "night")[number // 2 % 2]},
            data=encode_png(frame),
            width=48,
            height=64,
        )
        for number, frame in enumerate(frames)
    ]
    records: list[Image] = write_images(folder, encoded, 24)
    return ConvertRows(folder, records[:24], records[24:], "Does the rider wear a helmet?", COSTS)


def artifact_of(convert: Convert, name: str, recipe: str) -> Path:
    """The artifact of a format and recipe."""
    return convert(name)[1] / f"{recipe}{open_format(name).suffix(recipe)}"


@pytest.fixture(scope="session")
def convert(checkpoint: Checkpoint, rows: ConvertRows, tmp_path_factory: pytest.TempPathFactory) -> Convert:
    """Converts to a format once; later calls return the same result and folder."""

    @cache
    def once(name: str) -> tuple[ConvertResult, Path]:
        out = tmp_path_factory.mktemp("artifacts") / name
        return run(convert_params(), name, checkpoint, rows, out), out

    return once
