"""The executor on real packages, intact and damaged."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from export.formats.coreml.interpreter.program import DATA, open_package, read_spec
from pipeline.data.hashing import sha256_of
from pipeline.errors import ModelError, UnmeasurableError
from pipeline.train.model import PortableClassifier
from tests.export.conftest import Convert
from tests.export.tiny import LABELS, draw_frames


@pytest.fixture
def package(convert: Convert, tmp_path: Path) -> Path:
    return Path(shutil.copytree(convert("coreml")[1] / "float16.mlpackage", tmp_path / "model.mlpackage"))


@pytest.mark.slow
def test_without_rounding_a_float16_program_differs_only_by_its_weights(
    package: Path, classifier: PortableClassifier
) -> None:
    program = open_package(package)
    frames = draw_frames(8, 2)
    with torch.inference_mode():
        expected = classifier(torch.from_numpy(frames)).numpy()
    exact = np.stack([program.run(frame, "float32") for frame in frames])
    rounded = np.stack([program.run(frame, "declared") for frame in frames])
    assert np.abs(exact - expected).max() < 5e-3
    assert not np.array_equal(exact, rounded)
    assert np.abs(rounded - expected).max() < 2e-2


def test_every_value_of_a_float16_program_is_rounded_to_a_half(package: Path) -> None:
    program = open_package(package)
    probabilities = program.run(draw_frames(1, 1)[0])
    assert np.array_equal(probabilities, probabilities.astype(np.float16).astype(np.float32))
    assert sum(step.half for step in program.steps) > 100


def test_a_program_states_its_image_and_labels(package: Path) -> None:
    program = open_package(package)
    assert (program.input_name, program.height, program.width) == ("image", 64, 48)
    assert program.labels == LABELS


@pytest.mark.parametrize("recipe", ["wi8", "palette6", "palette4"])
def test_compressed_weights_are_unpacked_as_coremltools_does(convert: Convert, tmp_path: Path, recipe: str) -> None:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # coremltools deprecates its own calls
        import coremltools
        from coremltools.optimize.coreml import decompress_weights

        path = Path(shutil.copytree(convert("coreml")[1] / f"{recipe}.mlpackage", tmp_path / "copy.mlpackage"))
        plain = decompress_weights(coremltools.models.MLModel(str(path), skip_model_load=True))
        unpacked = open_package(Path(plain.package_path))
    assert sha256_of(path) == sha256_of(convert("coreml")[1] / f"{recipe}.mlpackage"), "coremltools rewrote the package"
    frame = draw_frames(1, 6)[0]
    np.testing.assert_array_equal(open_package(path).run(frame), unpacked.run(frame))


def rename_op(package: Path, kind: str, name: str) -> None:
    spec = read_spec(package)
    function = spec.mlProgram.functions["main"]
    operations = function.block_specializations[function.opset].operations
    next(operation for operation in operations if operation.type == kind).type = name
    (package / DATA / "model.mlmodel").write_bytes(spec.SerializeToString())


def test_a_program_with_an_op_that_is_not_implemented_is_read_and_named_when_it_is_run(package: Path) -> None:
    rename_op(package, "relu", "unsupported_relu")
    program = open_package(package)
    assert program.labels == LABELS
    with pytest.raises(UnmeasurableError, match="the MIL executor lacks the op unsupported_relu: measure on a Mac"):
        program.run(draw_frames(1, 1)[0])


def test_a_program_without_a_classify_op_is_refused(package: Path) -> None:
    spec = read_spec(package)
    function = spec.mlProgram.functions["main"]
    operations = function.block_specializations[function.opset].operations
    del operations[-1]
    (package / DATA / "model.mlmodel").write_bytes(spec.SerializeToString())
    with pytest.raises(ModelError, match="no classify op; expected a classifier"):
        open_package(package)


def test_a_model_without_an_image_is_refused(package: Path) -> None:
    spec = read_spec(package)
    spec.description.input[0].type.stringType.SetInParent()
    (package / DATA / "model.mlmodel").write_bytes(spec.SerializeToString())
    with pytest.raises(ModelError, match="expected an ML program that takes an image"):
        open_package(package)


def test_missing_and_damaged_weights_are_named(package: Path) -> None:
    weights = package / DATA / "weights" / "weight.bin"
    content = bytearray(weights.read_bytes())
    content[64:68] = b"\0\0\0\0"
    weights.write_bytes(content)
    with pytest.raises(ModelError, match=r"weight\.bin: no blob of \d+ bytes at 64"):
        open_package(package)
    weights.unlink()
    with pytest.raises(ModelError, match=r"weight\.bin: missing; the program refers to it"):
        open_package(package)
