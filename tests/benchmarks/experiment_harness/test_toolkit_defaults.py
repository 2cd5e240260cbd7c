from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.experiment_harness.toolkit_defaults import SOURCES, quantise_by_default
from export.convert import ConvertRows, run
from export.formats import open_format
from export.parity import run_artifact
from pipeline.errors import DataError
from pipeline.train.model import Checkpoint, predict
from tests.export.conftest import checkpoint, rows  # noqa: F401 - fixtures
from tests.export.tiny import convert_params, draw_frames

FLOATS = {"onnx": "float32", "tflite": "float32", "coreml": "float16"}


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(SOURCES))
def test_artifacts_of_the_defaults_are_small_and_near_the_checkpoint(
    checkpoint: Checkpoint,  # noqa: F811
    rows: ConvertRows,  # noqa: F811
    tmp_path: Path,
    name: str,
) -> None:
    folder = tmp_path / "artifacts" / name
    run(convert_params(**{name: {"recipes": [FLOATS[name]]}}), name, checkpoint, rows, folder)
    quantised = quantise_by_default(folder, draw_frames(16, 8), tmp_path / "plain")
    assert {record.recipe for _, record in quantised} == {f"{recipe}_plain" for recipe in SOURCES[name]}
    frames = draw_frames(12, 31)
    reference = predict(checkpoint, frames)
    for path, record in quantised:
        answers = run_artifact(open_format(name).load(path), frames)
        assert np.abs(answers - reference).max() > 1e-3
        assert np.abs(answers - reference).mean() < 0.3
        assert record.size_bytes < 0.5 * checkpoint_bytes(checkpoint)


def checkpoint_bytes(checkpoint: Checkpoint) -> int:  # noqa: F811
    return 4 * sum(each.numel() for each in checkpoint.network.parameters())


def test_a_missing_float_artifact_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "artifact.json").write_text('{"format": "onnx", "artifacts": []}', encoding="utf-8")
    with pytest.raises(
        DataError, match=r"no float32\.onnx; expected it among params\.yaml convert\.formats\.onnx\.recipes"
    ):
        quantise_by_default(tmp_path, draw_frames(1, 1), tmp_path / "plain")
