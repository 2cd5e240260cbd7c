from __future__ import annotations

import math
import shutil
from pathlib import Path

import pytest

from export.artifact_comparison.compare import compare_artifacts, record_of, show
from export.bundle.bundle import BundleContent, build
from export.bundle.card_figures import CardFigures
from export.convert import ConvertRows
from pipeline.errors import DataError, ModelError
from tests.export.conftest import Convert
from tests.export.tiny import draw_frames

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("name", "reference", "artifact"),
    [
        ("onnx", "float32.onnx", "static_wi8_ai8.onnx"),
        ("tflite", "float32.tflite", "static_wi8_ai8.tflite"),
        ("coreml", "float16.mlpackage", "wi8_ai8.mlpackage"),
    ],
)
def test_layers_of_8_bits_stand_above_the_noise_and_some_of_it_shows(
    convert: Convert, rows: ConvertRows, name: str, reference: str, artifact: str
) -> None:
    folder = convert(name)[1]
    found = compare_artifacts(folder / reference, folder / artifact, rows.images, 6, layers=True)
    ratios = [layer.snr_db for layer in found.layers]
    assert len(ratios) > 60
    assert all(ratio > 3 for ratio in ratios)
    assert min(ratios) < 45
    assert 0 < found.parity.max_abs_probability_diff < 0.5


def test_formats_answer_alike_in_float32(
    convert: Convert, rows: ConvertRows, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = convert("onnx")[1] / "float32.onnx", convert("tflite")[1] / "float32.tflite"
    found = compare_artifacts(*paths, rows.images, 12, layers=False)
    assert (found.parity.images, found.parity.agreement, found.layers) == (12, 1.0, [])
    assert found.parity.max_abs_probability_diff < 1e-4
    show(found)
    told = capsys.readouterr().out
    assert "tflite-float32 against onnx-float32, 12 images: 100.00% equal decisions" in told


def test_an_artifact_beside_itself_loses_nothing(
    convert: Convert, rows: ConvertRows, capsys: pytest.CaptureFixture[str]
) -> None:
    path = convert("onnx")[1] / "float16.onnx"
    found = compare_artifacts(path, path, rows.images, 2, layers=True)
    assert all(layer.snr_db == math.inf for layer in found.layers)
    show(found)
    assert "nothing is lost at any layer" in capsys.readouterr().out


def test_layers_of_two_formats_have_no_names_in_common(convert: Convert, rows: ConvertRows) -> None:
    paths = convert("onnx")[1] / "float32.onnx", convert("tflite")[1] / "float32.tflite"
    with pytest.raises(ModelError, match="tflite beside onnx; layers go by one format's names"):
        compare_artifacts(*paths, rows.images, 2, layers=True)


def test_the_form_for_mobile_names_the_file_that_shows_its_layers(convert: Convert, rows: ConvertRows) -> None:
    folder = convert("onnx")[1]
    with pytest.raises(ModelError, match=r"does not show its insides; compare the \.onnx file beside it"):
        compare_artifacts(folder / "float32.onnx", folder / "float32_ort.ort", rows.images, 2, layers=True)


def test_what_an_artifact_takes_is_found_beside_it_or_in_its_bundle(convert: Convert, tmp_path: Path) -> None:
    folder = convert("onnx")[1]
    assert record_of(folder / "float32.onnx").id == "onnx-float32"
    with pytest.raises(DataError, match=r"not named beside it; expected one of float32\.onnx, "):
        record_of(folder / "int4.onnx")
    content = BundleContent("helmet", "1.0.0", "?", (folder,), draw_frames(2, 8), CardFigures())
    bundle = build(content, tmp_path)
    assert record_of(bundle / "onnx" / "float32_ort.ort").id == "onnx-float32_ort"
    shutil.copyfile(folder / "float32.onnx", tmp_path / "stray.onnx")
    with pytest.raises(DataError, match=r"neither .*artifact\.json nor .*contract\.json says what it takes"):
        record_of(tmp_path / "stray.onnx")
