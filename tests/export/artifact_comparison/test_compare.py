from __future__ import annotations

import math
import shutil
from pathlib import Path

import numpy as np
import pytest

from export.artifact_comparison.compare import compare_artifacts, record_of, show
from export.bundle.bundle import BundleContent, build
from export.bundle.card_figures import CardFigures
from export.convert import ConvertRows
from pipeline.data.preprocess import encode_png
from pipeline.data.shards import Encoded, write_images
from pipeline.errors import DataError, ModelError
from tests.export.bundle.small_bundle import MODELS, write_small_bundle
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
def test_layers_of_an_8_bit_artifact_have_a_finite_signal_to_noise_ratio(
    convert: Convert, rows: ConvertRows, name: str, reference: str, artifact: str
) -> None:
    folder = convert(name)[1]
    comparison = compare_artifacts(folder / reference, folder / artifact, rows.images, 6, layers=True)
    ratios = [layer.snr_db for layer in comparison.layers]
    assert len(ratios) > 60
    assert all(ratio > 3 for ratio in ratios)
    assert min(ratios) < 45
    assert 0 < comparison.parity.max_abs_probability_diff < 0.5


def test_float32_artifacts_of_two_formats_agree(
    convert: Convert, rows: ConvertRows, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = convert("onnx")[1] / "float32.onnx", convert("tflite")[1] / "float32.tflite"
    comparison = compare_artifacts(*paths, rows.images, 12, layers=False)
    assert (comparison.parity.images, comparison.parity.agreement, comparison.layers) == (12, 1.0, [])
    assert comparison.parity.max_abs_probability_diff < 1e-4
    show(comparison)
    printed = capsys.readouterr().out
    assert "tflite-float32 against onnx-float32, 12 images: 100.00% equal decisions" in printed


def test_an_artifact_compared_with_itself_has_no_layer_that_differs(
    convert: Convert, rows: ConvertRows, capsys: pytest.CaptureFixture[str]
) -> None:
    path = convert("onnx")[1] / "float16.onnx"
    comparison = compare_artifacts(path, path, rows.images, 2, layers=True)
    assert all(layer.snr_db == math.inf for layer in comparison.layers)
    show(comparison)
    assert "no layer differs" in capsys.readouterr().out


def test_another_file_than_the_recorded_one_is_refused_before_it_is_opened(tmp_path: Path) -> None:
    bundle = write_small_bundle(tmp_path)
    onnx, package = (bundle / file for file in MODELS.values())
    with pytest.raises(ModelError, match="not a whole ONNX model"):
        compare_artifacts(onnx, package, write_shard_of_one(tmp_path / "images"), 1, layers=False)
    (package / "M.json").write_text("damaged", encoding="utf-8")
    with pytest.raises(ModelError, match=r"float16\.mlpackage: not the file that its record describes"):
        compare_artifacts(onnx, package, tmp_path / "images", 1, layers=False)
    onnx.unlink()
    with pytest.raises(ModelError, match=r"float32\.onnx: missing; expected an artifact; run dvc repro convert"):
        compare_artifacts(onnx, package, tmp_path / "images", 1, layers=False)


def write_shard_of_one(folder: Path) -> Path:
    write_images(folder, [Encoded("a", "g", "helmet", {}, encode_png(np.zeros((8, 6, 3), np.uint8)), 6, 8)], 1)
    return folder


def test_layers_of_two_formats_are_refused(convert: Convert, rows: ConvertRows) -> None:
    paths = convert("onnx")[1] / "float32.onnx", convert("tflite")[1] / "float32.tflite"
    with pytest.raises(ModelError, match="tflite; expected onnx: layers of two formats share no names"):
        compare_artifacts(*paths, rows.images, 2, layers=True)


def test_the_error_for_an_ort_file_names_the_file_to_compare_instead(convert: Convert, rows: ConvertRows) -> None:
    folder = convert("onnx")[1]
    with pytest.raises(ModelError, match=r"has no intermediate results; compare the \.onnx file beside it"):
        compare_artifacts(folder / "float32.onnx", folder / "float32_ort.ort", rows.images, 2, layers=True)


def test_the_record_is_read_beside_an_artifact_or_from_its_bundle(convert: Convert, tmp_path: Path) -> None:
    folder = convert("onnx")[1]
    assert record_of(folder / "float32.onnx").id == "onnx-float32"
    with pytest.raises(DataError, match=r"not listed in the record beside it; expected one of float32\.onnx, "):
        record_of(folder / "int4.onnx")
    content = BundleContent("helmet", "1.0.0", "?", (folder,), draw_frames(2, 8), CardFigures())
    bundle = build(content, tmp_path).path
    assert record_of(bundle / "onnx" / "float32_ort.ort").id == "onnx-float32_ort"
    shutil.copyfile(folder / "float32.onnx", tmp_path / "stray.onnx")
    with pytest.raises(DataError, match=r"neither .*artifact\.json nor .*contract\.json exists"):
        record_of(tmp_path / "stray.onnx")
