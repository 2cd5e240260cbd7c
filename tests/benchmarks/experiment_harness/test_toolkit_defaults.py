from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.experiment_harness.toolkit_defaults import export_toolkit_defaults
from export.convert import ARTIFACT_JSON
from export.formats import extras_of, format_names, open_format
from export.parity import run_artifact
from pipeline.data.records import Artifact, Artifacts, Tensor
from pipeline.data.storage import write_json
from pipeline.train.model import Checkpoint, predict
from tests.export.conftest import lively_checkpoint
from tests.export.tiny import LABELS, SPEC, convert_params, draw_frames

RECORD = Artifact(
    id="",
    format="",
    recipe="float32",
    file="float32",
    sha256="",
    size_bytes=1,
    input=Tensor(name="image", shape=(1, 64, 48, 3), dtype="uint8", layout="NHWC", range=(0, 255), meaning=""),
    output=Tensor(name="probs", shape=(1, 2), dtype="float32", layout="NC", range=(0, 1), meaning=""),
    labels=LABELS,
    threshold=0.5,
    retake_band=None,
    preprocess=SPEC.model_dump(mode="json"),
    tools={},
    checkpoint_id="",
    dataset_id="",
)


def converted(folder: Path, name: str) -> Path:
    """A folder artifacts/FORMAT with a record and no models: the defaults start from the checkpoint."""
    write_json(folder / name / ARTIFACT_JSON, Artifacts(format=name, artifacts=(RECORD,)))
    return folder / name


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    """Of a third of the ops of tests/export: a converter's time grows with their number."""
    return lively_checkpoint(tmp_path_factory.mktemp("checkpoint"), "test_efficientnet")


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in format_names() if extras_of(open_format(name)).toolkit_defaults])
def test_defaults_give_small_artifacts_that_predict_nearly_as_the_checkpoint_does(
    checkpoint: Checkpoint,
    tmp_path: Path,
    name: str,
) -> None:
    folder = converted(tmp_path / "artifacts", name)
    exported = export_toolkit_defaults(checkpoint, convert_params(), draw_frames(16, 8), folder, tmp_path / "plain")
    defaults = extras_of(open_format(name)).toolkit_defaults
    assert defaults is not None
    assert [record.recipe for _, record in exported] == [f"{recipe}_plain" for recipe in defaults.recipes]
    frames = draw_frames(12, 31)
    reference = predict(checkpoint, frames)
    for path, record in exported:
        probabilities = run_artifact(open_format(name).load(path), frames)
        assert np.abs(probabilities - reference).max() > 1e-3
        assert np.abs(probabilities - reference).mean() < 0.3
        assert record.size_bytes < 0.5 * checkpoint_bytes(checkpoint)


def checkpoint_bytes(checkpoint: Checkpoint) -> int:
    return 4 * sum(weights.numel() for weights in checkpoint.network.parameters())


def test_a_format_without_defaults_of_its_toolkit_gives_no_artifacts(
    checkpoint: Checkpoint,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr("export.formats.onnx.EXTRAS")
    folder = converted(tmp_path / "artifacts", "onnx")
    out = tmp_path / "plain"
    assert export_toolkit_defaults(checkpoint, convert_params(), draw_frames(2, 8), folder, out) == []
