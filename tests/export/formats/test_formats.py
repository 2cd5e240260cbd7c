"""The contract of export.formats, tested on every recipe of every folder there."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import export.formats
from export.convert import ConvertRows, run
from export.decision import Decision, decision_metadata
from export.formats import Extras, extras_of, format_names, open_format
from export.parity import compare, run_artifact
from pipeline.config.fields import load_section
from pipeline.data.hashing import files_of, sha256_of, size_of
from pipeline.errors import DataError, ModelError, ParamsError
from pipeline.train.model import Checkpoint, predict
from tests.export.conftest import Convert, artifact_of
from tests.export.tiny import LABELS, RECIPES, convert_params, draw_frames

EVERY = [(name, recipe) for name, recipes in RECIPES.items() for recipe in recipes]
every_format = pytest.mark.parametrize("name", format_names())
every_recipe = pytest.mark.parametrize(("name", "recipe"), EVERY)


def test_the_folders_are_the_formats() -> None:
    folder = Path(export.formats.__file__).parent
    assert format_names() == tuple(sorted(path.parent.name for path in folder.glob("*/__init__.py")))


def test_the_error_for_an_unknown_format_lists_the_formats() -> None:
    with pytest.raises(ParamsError, match=f"'tensorrt'; expected one of {', '.join(format_names())}"):
        open_format("tensorrt")


@every_format
def test_the_error_for_an_unknown_recipe_gives_its_place_and_lists_the_recipes(name: str) -> None:
    with pytest.raises(ParamsError) as caught:
        load_section(open_format(name).Params, {"recipes": ["int4"]}, f"convert.formats.{name}")
    assert f"params.yaml convert.formats.{name}.recipes.0: 'int4'; expected " in str(caught.value)
    assert all(recipe in str(caught.value) for recipe in RECIPES[name])


@pytest.mark.slow
@every_recipe
def test_an_artifact_decides_as_its_checkpoint_does(
    convert: Convert, checkpoint: Checkpoint, name: str, recipe: str
) -> None:
    frames = draw_frames(40, 31)
    reference = predict(checkpoint, frames)
    assert 0.25 < float(np.mean(reference[:, 1] > 0.5)) < 0.75
    probabilities = run_artifact(open_format(name).load(artifact_of(convert, name, recipe)), frames)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=2e-3)
    parity = compare(reference, probabilities)
    # The network is random and calibrated on 16 frames: 8-bit activations cost it more than a trained one.
    bounds = {
        "float32": (1.0, 1e-4),
        "float16": (0.97, 0.02),
        "wi8_ai8": (0.85, 0.45),
        "wi8": (0.95, 0.2),
        "dynamic_wi8_afp32": (0.92, 0.25),
        "palette6": (0.85, 0.35),
        "palette4": (0.6, 0.9),
    }
    named = (bound for prefix, bound in bounds.items() if recipe.startswith(prefix))
    agreement, difference = next(named, (0.85, 0.45))
    assert parity.agreement >= agreement
    assert parity.max_abs_probability_diff <= difference


@every_recipe
def test_the_reader_of_the_format_returns_the_contract(convert: Convert, name: str, recipe: str) -> None:
    interface = open_format(name).describe(artifact_of(convert, name, recipe))
    assert (interface.input_name, interface.output_name) == ("image", "probs")
    assert (interface.height, interface.width, interface.dtype) == (64, 48, "uint8")
    assert interface.labels == LABELS


@every_recipe
def test_a_file_that_is_passed_on_alone_states_its_labels_threshold_and_retake_band(
    convert: Convert, name: str, recipe: str
) -> None:
    result, _ = convert(name)
    artifact = next(each for each in result.artifacts.artifacts if each.recipe == recipe)
    stated = open_format(name).describe(artifact_of(convert, name, recipe)).decision
    assert stated == Decision(artifact.threshold, artifact.retake_band)


@every_recipe
def test_metadata_are_replaced_reproducibly_and_predictions_stay(
    convert: Convert, tmp_path: Path, name: str, recipe: str
) -> None:
    artifact_format, source = open_format(name), artifact_of(convert, name, recipe)
    target = tmp_path / source.name
    if source.is_dir():
        shutil.copytree(source, target)
    else:
        shutil.copyfile(source, target)
    annotate = extras_of(artifact_format).annotate
    assert annotate is not None
    for decision in (Decision(0.25, None), Decision(0.8125, (0.1, 0.975))):
        facts = {"author": "a", "license": "l", "version": "v", "description": "Is it?"}
        metadata = decision_metadata(facts, LABELS, decision)
        annotate(target, metadata)
        first = sha256_of(target)
        assert artifact_format.describe(target).decision == decision
        annotate(target, metadata)
        assert sha256_of(target) == first
    frames = draw_frames(2, 4)
    before, after = (run_artifact(artifact_format.load(path), frames) for path in (source, target))
    np.testing.assert_array_equal(before, after)


@pytest.mark.slow
@every_format
def test_exporting_twice_gives_the_same_bytes(
    convert: Convert, checkpoint: Checkpoint, rows: ConvertRows, tmp_path: Path, name: str
) -> None:
    first, _ = convert(name)
    again = run(convert_params(), name, checkpoint, rows, tmp_path / name)
    sums = [{artifact.recipe: artifact.sha256 for artifact in made.artifacts.artifacts} for made in (first, again)]
    assert sums[0] == sums[1]


@every_recipe
def test_no_artifact_contains_a_path_of_this_machine(convert: Convert, name: str, recipe: str) -> None:
    repository = str(Path(export.formats.__file__).parents[2]).encode()
    for file in files_of(artifact_of(convert, name, recipe)):
        content = file.read_bytes()
        assert repository not in content
        assert b"site-packages" not in content


@every_recipe
def test_a_quantised_artifact_is_much_smaller(convert: Convert, name: str, recipe: str) -> None:
    reference = artifact_of(convert, name, RECIPES[name][0])
    if not recipe.startswith(RECIPES[name][0]):
        assert size_of(artifact_of(convert, name, recipe)) < 0.7 * size_of(reference)


@every_format
def test_a_frame_of_another_size_is_refused_with_both_sizes(convert: Convert, name: str) -> None:
    predict_frame = open_format(name).load(artifact_of(convert, name, RECIPES[name][0]))
    with pytest.raises(DataError, match=r"frame of uint8 \(48, 64, 3\); expected uint8 \(64, 48, 3\), RGB"):
        predict_frame(np.zeros((48, 64, 3), np.uint8))
    with pytest.raises(DataError, match=r"frame of float64 \(64, 48, 3\)"):
        predict_frame(np.zeros((64, 48, 3)))  # type: ignore[arg-type]


@every_format
def test_a_missing_artifact_is_a_model_error(name: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=f"missing.*dvc repro convert@{name}"):
        open_format(name).load(tmp_path / f"float32{open_format(name).suffix('float32')}")


@every_recipe
@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_an_artifact_cut_short_is_a_model_error(
    convert: Convert, tmp_path: Path, name: str, recipe: str, share: float
) -> None:
    source = artifact_of(convert, name, recipe)
    target = tmp_path / source.name
    if source.is_dir():
        shutil.copytree(source, target)
    else:
        shutil.copyfile(source, target)
    largest = max(files_of(target), key=lambda file: file.stat().st_size)
    largest.write_bytes(largest.read_bytes()[: int(share * largest.stat().st_size)])
    with pytest.raises(ModelError, match=str(target)):
        open_format(name).load(target)


@every_format
def test_the_params_of_a_format_accept_exactly_its_recipes(name: str) -> None:
    artifact_format = open_format(name)
    recipes = load_section(artifact_format.Params, {"recipes": list(artifact_format.RECIPES)}, "").recipes
    assert recipes == artifact_format.RECIPES


@every_format
def test_every_format_with_8_bit_activations_has_tests_of_its_quantiser(name: str) -> None:
    static = any("ai8" in recipe for recipe in RECIPES[name])
    assert (Path(__file__).parent / name / "test_quantiser.py").is_file() == static


def test_a_format_without_extras_has_the_defaults(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delattr("export.formats.onnx.EXTRAS")
    extras = extras_of(open_format("onnx"))
    assert extras == Extras()
    assert (extras.snippets, extras.toolkit_defaults, extras.arm64_guest) == ((), None, None)
    assert extras.short_name("conv_1") == "conv_1"
    with pytest.raises(ModelError, match="does not show intermediate results"):
        extras.trace(tmp_path / "float32.onnx")
