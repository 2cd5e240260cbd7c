"""Stage convert: its artifacts, records and metrics; it leaves nothing behind when it fails."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import logit

from export import convert as stage
from export.convert import ARTIFACT_JSON, ConvertRows, run
from export.formats import ExportJob, onnx
from export.parity import Predict
from pipeline.data.finished_work import clear_finished_work
from pipeline.data.hashing import sha256_of, size_of
from pipeline.data.records import Artifacts, Quantisation
from pipeline.data.storage import read_json
from pipeline.errors import DataError, ModelError, ParamsError, UnmeasurableError, UsageError
from pipeline.metrics.decision_threshold import OperatingPoint, choose_operating_point
from pipeline.train.backbone import build_network
from pipeline.train.model import Checkpoint
from tests.export.conftest import COSTS, Convert
from tests.export.tiny import LABELS, RECIPES, SPEC, convert_params


def test_artifact_json_describes_input_output_and_origin_of_every_artifact(
    convert: Convert, checkpoint: Checkpoint
) -> None:
    result, folder = convert("onnx")
    written = read_json(folder / ARTIFACT_JSON, Artifacts)
    assert written == result.artifacts
    assert [artifact.id for artifact in written.artifacts] == [f"onnx-{recipe}" for recipe in RECIPES["onnx"]]
    for artifact in written.artifacts:
        path = folder / artifact.file
        assert (artifact.sha256, artifact.size_bytes) == (sha256_of(path), size_of(path))
        assert (artifact.input.name, artifact.input.shape, artifact.input.dtype) == ("image", (1, 64, 48, 3), "uint8")
        assert (artifact.output.name, artifact.output.shape) == ("probs", (1, 2))
        assert artifact.labels == LABELS
        assert artifact.preprocess == SPEC.model_dump(mode="json")
        assert artifact.checkpoint_id == checkpoint.config.checkpoint_id
        assert artifact.dataset_id == checkpoint.config.dataset_id
        assert "onnxruntime" in artifact.tools


def test_every_artifact_has_a_threshold_and_a_retake_band_of_its_own(convert: Convert, checkpoint: Checkpoint) -> None:
    artifacts = convert("onnx")[0].artifacts.artifacts
    points = {artifact.recipe: OperatingPoint(artifact.threshold, artifact.retake_band) for artifact in artifacts}
    theirs = choose_operating_point(checkpoint.config.temperature, COSTS)
    exact, band = points["float32"], theirs.abstention_band
    assert band is not None
    assert exact.threshold == pytest.approx(theirs.threshold, abs=1e-4)
    assert exact.abstention_band == pytest.approx(band, abs=1e-4)
    assert abs(points["static_wi8_ai8"].threshold - exact.threshold) > 1e-4


def test_an_artifact_with_doubled_log_odds_gets_a_threshold_at_doubled_log_odds(
    checkpoint: Checkpoint, rows: ConvertRows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = onnx.load

    def load_overconfident(path: Path, threads: int = 1) -> Predict:
        predict = original(path, threads)
        return lambda frame: np.asarray((odds := predict(frame) ** 2) / odds.sum(), np.float32)

    monkeypatch.setattr(onnx, "load", load_overconfident)
    params = convert_params(onnx={"recipes": ["float16"], "opset": 18})
    (artifact,) = run(params, "onnx", checkpoint, rows, tmp_path / "onnx").artifacts.artifacts
    theirs = choose_operating_point(checkpoint.config.temperature, COSTS)
    assert logit(artifact.threshold) == pytest.approx(2 * logit(theirs.threshold), rel=0.02)


def test_an_artifact_that_this_machine_cannot_run_is_kept_and_unmeasured(
    checkpoint: Checkpoint, rows: ConvertRows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, threads: int = 1) -> Predict:
        raise UnmeasurableError(f"the MIL executor lacks the op warp ({path.name}, {threads})")

    monkeypatch.setattr(onnx, "load", refuse)
    params = convert_params(onnx={"recipes": ["float32"], "opset": 18})
    result = run(params, "onnx", checkpoint, rows, tmp_path / "onnx")
    (artifact,) = result.artifacts.artifacts
    assert (tmp_path / "onnx" / artifact.file).is_file()
    assert artifact.threshold == choose_operating_point(checkpoint.config.temperature, COSTS).threshold
    figures = result.metrics["float32"]
    assert (figures["agreement"], figures["images"]) == (None, None)
    assert figures["unmeasured"].startswith("the MIL executor lacks the op warp")


def test_a_recipe_whose_8_bits_cannot_be_calibrated_here_is_left_out_and_the_others_are_written(
    checkpoint: Checkpoint, rows: ConvertRows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = onnx.export

    def export(job: ExportJob, recipe: str, params: onnx.Params, path: Path) -> Quantisation | None:
        if recipe != "float32":
            raise UnmeasurableError("the MIL executor lacks the op warp")
        return original(job, recipe, params, path)

    monkeypatch.setattr(onnx, "export", export)
    params = convert_params(onnx={"recipes": ["float32", "static_wi8_ai8"], "opset": 18})
    result = run(params, "onnx", checkpoint, rows, tmp_path / "onnx")
    assert [artifact.recipe for artifact in result.artifacts.artifacts] == ["float32"]
    assert result.metrics["static_wi8_ai8"]["unmeasured"] == "the MIL executor lacks the op warp"


def test_artifact_json_records_how_8_bits_were_chosen(convert: Convert) -> None:
    records = {artifact.recipe: artifact.quantisation for artifact in convert("onnx")[0].artifacts.artifacts}
    assert records["float32"] is None
    assert records["float16"] is None
    searched = records["static_wi8_ai8"]
    assert searched is not None
    assert searched == records["static_wi8_ai8_ort"]
    assert (searched.percentile, searched.float_ops) == (95.0, ())
    assert len(searched.trials) == 1
    assert 0 < searched.trials[0].log_odds_error < 2


def test_metrics_are_numbers_by_recipe(convert: Convert) -> None:
    result, folder = convert("onnx")
    assert set(result.metrics) == set(RECIPES["onnx"])
    figures = result.metrics["float32"]
    assert figures["agreement"] == 1.0
    assert figures["max_abs_probability_diff"] < 1e-4
    assert figures["images"] == 24
    assert figures["size_bytes"] == size_of(folder / "float32.onnx")
    json.dumps(result.metrics, allow_nan=False)


def test_only_the_artifacts_and_their_record_are_written(convert: Convert) -> None:
    _, folder = convert("onnx")
    models = {"float32.onnx", "float16.onnx", "static_wi8_ai8.onnx", "float32_ort.ort", "static_wi8_ai8_ort.ort"}
    names = {*models, ARTIFACT_JSON}
    assert {file.name for file in folder.iterdir()} == names
    assert [file.name for file in folder.parent.iterdir()] == ["onnx"]


@pytest.fixture
def exported(convert: Convert, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Recipes that were exported, in order; files that were made once stand for the exports."""
    source = convert("onnx")[1]
    recipes: list[str] = []

    def export(_job: object, recipe: str, _params: object, path: Path) -> None:
        recipes.append(recipe)
        path.write_bytes((source / path.name).read_bytes())

    monkeypatch.setattr(onnx, "export", export)
    return recipes


TWO_RECIPES = {"recipes": ["float32", "float16"], "opset": 18}


def test_a_killed_convert_resumes_with_the_first_missing_recipe_and_leaves_nothing_in_the_artifacts(
    checkpoint: Checkpoint, rows: ConvertRows, tmp_path: Path, exported: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    params, out = convert_params(onnx=TWO_RECIPES), tmp_path / "artifacts" / "onnx"
    copy = onnx.export

    def interrupt(job: object, recipe: str, section: object, path: Path) -> None:
        if recipe == "float16":
            raise KeyboardInterrupt
        copy(job, recipe, section, path)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(onnx, "export", interrupt)
        with pytest.raises(KeyboardInterrupt):
            run(params, "onnx", checkpoint, rows, out)
    assert not list((tmp_path / "artifacts").glob("*"))
    result = run(params, "onnx", checkpoint, rows, out)
    assert exported == ["float32", "float16"]
    assert set(result.metrics) == {"float32", "float16"}


def test_a_kill_after_the_artifacts_are_in_place_exports_nothing_again_when_dvc_deletes_them(
    checkpoint: Checkpoint, rows: ConvertRows, tmp_path: Path, exported: list[str]
) -> None:
    params, out = convert_params(onnx=TWO_RECIPES), tmp_path / "artifacts" / "onnx"
    first = run(params, "onnx", checkpoint, rows, out)
    shutil.rmtree(out)
    clear_finished_work(tmp_path)
    again = run(params, "onnx", checkpoint, rows, out)
    assert exported == ["float32", "float16"]
    assert again == first
    clear_finished_work(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["artifacts"]


def test_a_damaged_recipe_of_the_work_area_is_exported_again_and_it_is_reported(
    checkpoint: Checkpoint, rows: ConvertRows, tmp_path: Path, exported: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    params, out = convert_params(onnx=TWO_RECIPES), tmp_path / "artifacts" / "onnx"
    first = run(params, "onnx", checkpoint, rows, out)
    shutil.rmtree(out)
    (model,) = stage.work_area_of(out).glob("*/float16/float16.onnx")
    model.write_bytes(model.read_bytes()[:-1])
    assert run(params, "onnx", checkpoint, rows, out).artifacts == first.artifacts
    assert exported == ["float32", "float16", "float16"]
    assert "float16: not as it was written; it is made again" in capsys.readouterr().err


def test_a_float32_artifact_that_decides_differently_is_refused_and_nothing_is_written(
    checkpoint: Checkpoint, rows: ConvertRows, tmp_path: Path, convert: Convert, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = convert("onnx")[1] / "static_wi8_ai8.onnx"
    monkeypatch.setattr(onnx, "export", lambda _job, _recipe, _params, path: path.write_bytes(source.read_bytes()))
    with pytest.raises(ModelError, match=r"float32\.onnx: Parity\(images=24.*; expected agreement of at least 0\.999"):
        run(convert_params(), "onnx", checkpoint, rows, tmp_path / "artifacts" / "onnx")
    assert not (tmp_path / "artifacts").exists()


def test_an_artifact_with_other_labels_is_refused(
    checkpoint: Checkpoint, rows: ConvertRows, tmp_path: Path, convert: Convert, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = convert("onnx")[1] / "float32.onnx"
    monkeypatch.setattr(onnx, "export", lambda _job, _recipe, _params, path: path.write_bytes(source.read_bytes()))
    other = Checkpoint(checkpoint.network, checkpoint.config.model_copy(update={"labels": ("helmet", "no_helmet")}))
    with pytest.raises(ModelError, match=r"float32\.onnx: reads back as"):
        run(convert_params(), "onnx", other, rows, tmp_path / "onnx")


def test_a_network_that_cannot_be_exported_gives_a_one_line_error(
    checkpoint: Checkpoint, rows: ConvertRows, tmp_path: Path
) -> None:
    class DataDependent(torch.nn.Module):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            if float(image.mean()) > 100:  # a decision on pixels cannot be traced
                return torch.zeros(len(image), 2)
            return torch.stack([image.mean(dim=(1, 2, 3)), image.amax(dim=(1, 2, 3))], dim=1)

    broken = Checkpoint(DataDependent().eval(), checkpoint.config)
    with pytest.raises(ModelError, match=r"cannot be exported to onnx float32: [^\n]*; try another train\.backbone$"):
        run(convert_params(), "onnx", broken, rows, tmp_path / "onnx")
    assert list(tmp_path.iterdir()) == []


def test_an_older_folder_is_replaced_completely(tmp_path: Path) -> None:
    out = tmp_path / "onnx"
    out.mkdir()
    (out / "stale.onnx").write_bytes(b"old")
    with stage.atomic_folder(out, own=("*.onnx",)) as folder:
        (folder / "new.onnx").write_bytes(b"new")
        assert (out / "stale.onnx").exists()
    assert [file.name for file in out.iterdir()] == ["new.onnx"]


def test_a_folder_of_somebody_else_is_refused_before_anything_is_converted(
    checkpoint: Checkpoint, rows: ConvertRows, tmp_path: Path
) -> None:
    (tmp_path / "onnx").mkdir()
    (tmp_path / "onnx" / "thesis.pdf").touch()
    with pytest.raises(UsageError, match=r"onnx: not a folder that Gossamer wrote: it holds 'thesis\.pdf'"):
        run(convert_params(), "onnx", checkpoint, rows, tmp_path / "onnx")
    assert (tmp_path / "onnx" / "thesis.pdf").exists()


def test_wrong_params_and_missing_rows_are_refused_before_anything_is_converted(
    checkpoint: Checkpoint, rows: ConvertRows, tmp_path: Path
) -> None:
    with pytest.raises(ParamsError, match=r"convert\.formats\.onnx\.opset: 17; expected 18, 20, 21 or 23"):
        run(convert_params(onnx={"recipes": ["float32"], "opset": 17}), "onnx", checkpoint, rows, tmp_path / "onnx")
    with pytest.raises(ParamsError, match=r"convert\.formats\.tflite\.recipes: \[\]"):
        run(convert_params(tflite={"recipes": []}), "tflite", checkpoint, rows, tmp_path / "tflite")
    with pytest.raises(DataError, match="no image to calibrate on"):
        run(convert_params(), "onnx", checkpoint, ConvertRows(rows.images, [], rows.parity), tmp_path / "onnx")
    helmets = [row for row in rows.calibration if row.label == "helmet"]
    with pytest.raises(DataError, match=r"\d+ images to calibrate on, all helmet; expected some of each of no_helm"):
        run(convert_params(), "onnx", checkpoint, ConvertRows(rows.images, helmets, rows.parity), tmp_path / "onnx")
    with pytest.raises(DataError, match="no image to compare on"):
        run(convert_params(), "onnx", checkpoint, ConvertRows(rows.images, rows.calibration, []), tmp_path / "onnx")
    assert list(tmp_path.iterdir()) == []


def test_branches_are_fused_before_export(checkpoint: Checkpoint, rows: ConvertRows, tmp_path: Path) -> None:
    torch.manual_seed(5)
    network = build_network("repvgg_a0", 2, input_size=SPEC.input_size).eval()
    branched = Checkpoint(network, checkpoint.config.model_copy(update={"backbone": "repvgg_a0"}))
    params = convert_params(onnx={"recipes": ["float32"], "opset": 18})
    result = run(params, "onnx", branched, rows, tmp_path / "onnx")
    parameters = sum(parameter.numel() for parameter in network.parameters())
    assert result.artifacts.artifacts[0].size_bytes < 4 * 0.91 * parameters
    assert result.metrics["float32"]["max_abs_probability_diff"] < 1e-5
