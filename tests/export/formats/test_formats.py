"""The contract that every format of export/formats/ keeps, and what each alone promises."""

from __future__ import annotations

import json
import platform
import shutil
import zipfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

import export.formats
from export.convert import ConvertRows, run
from export.formats import format_names, open_format
from export.formats.coreml import Params as CoremlParams
from export.formats.coreml.interpreter.program import Program, read_spec
from export.parity import compare, run_artifact
from export.toolkit_output import quiet_toolkits
from pipeline.config.fields import load_section
from pipeline.data.hashing import files_of, size_of
from pipeline.data.preprocess import Pixels
from pipeline.errors import DataError, ModelError, ParamsError
from pipeline.train.model import Checkpoint, PortableClassifier, predict
from tests.export.conftest import Convert
from tests.export.tiny import LABELS, RECIPES, SPEC, build_lively_network, convert_params, draw_frames, job_of

EVERY = [(name, recipe) for name, recipes in RECIPES.items() for recipe in recipes]
every_format = pytest.mark.parametrize("name", format_names())
every_recipe = pytest.mark.parametrize(("name", "recipe"), EVERY)


def artifact_of(convert: Convert, name: str, recipe: str) -> Path:
    return convert(name)[1] / f"{recipe}{open_format(name).suffix(recipe)}"


def test_the_files_of_the_folder_are_the_formats_and_each_is_tried_here() -> None:
    folder = Path(export.formats.__file__).parent
    assert format_names() == tuple(sorted(path.parent.name for path in folder.glob("*/__init__.py")))
    assert set(format_names()) == set(RECIPES)


def test_an_unknown_format_names_those_there_are() -> None:
    with pytest.raises(ParamsError, match="'tensorrt'; expected one of coreml, onnx, tflite"):
        open_format("tensorrt")


@every_format
def test_an_unknown_recipe_names_the_place_and_the_recipes(name: str) -> None:
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
    answers = run_artifact(open_format(name).load(artifact_of(convert, name, recipe)), frames)
    assert answers.dtype == np.float32
    np.testing.assert_allclose(answers.sum(axis=1), 1, atol=2e-3)
    parity = compare(reference, answers)
    # The network is random and calibrated on 16 frames: 8-bit activations cost it more than a trained one.
    bounds = {
        "float32": (1.0, 1e-4),
        "float16": (0.97, 0.02),
        "wi8": (0.95, 0.2),
        "dynamic_wi8_afp32": (0.92, 0.25),
        "palette6": (0.85, 0.35),
        "palette4": (0.6, 0.9),
        "static_wi8_ai8": (0.85, 0.45),
        "wi8_ai8": (0.85, 0.45),
    }
    agreement, difference = bounds[recipe.removesuffix("_ort")]
    assert parity.agreement >= agreement
    assert parity.max_abs_probability_diff <= difference


@every_recipe
def test_an_artifact_s_own_reader_finds_the_contract(convert: Convert, name: str, recipe: str) -> None:
    interface = open_format(name).describe(artifact_of(convert, name, recipe))
    assert (interface.input_name, interface.output_name) == ("image", "probs")
    assert (interface.height, interface.width, interface.dtype) == (64, 48, "uint8")
    assert interface.labels == LABELS


@pytest.mark.slow
@every_format
def test_exporting_twice_gives_the_same_bytes(
    convert: Convert, checkpoint: Checkpoint, rows: ConvertRows, tmp_path: Path, name: str
) -> None:
    first, _ = convert(name)
    again = run(convert_params(), name, checkpoint, rows, tmp_path / name)
    sums = [{each.recipe: each.sha256 for each in made.artifacts.artifacts} for made in (first, again)]
    assert sums[0] == sums[1]


@every_recipe
def test_no_artifact_tells_where_it_was_made(convert: Convert, name: str, recipe: str) -> None:
    repository = str(Path(export.formats.__file__).parents[2]).encode()
    for file in files_of(artifact_of(convert, name, recipe)):
        content = file.read_bytes()
        assert repository not in content
        assert b"site-packages" not in content


@every_recipe
def test_a_quantised_artifact_is_much_smaller(convert: Convert, name: str, recipe: str) -> None:
    reference = artifact_of(convert, name, RECIPES[name][0])
    if recipe.removesuffix("_ort") != RECIPES[name][0]:
        assert size_of(artifact_of(convert, name, recipe)) < 0.7 * size_of(reference)


@every_format
def test_a_frame_of_another_size_is_refused_with_both_sizes(convert: Convert, name: str) -> None:
    answer = open_format(name).load(artifact_of(convert, name, RECIPES[name][0]))
    with pytest.raises(DataError, match=r"frame of uint8 \(48, 64, 3\); expected uint8 \(64, 48, 3\), RGB"):
        answer(np.zeros((48, 64, 3), np.uint8))
    with pytest.raises(DataError, match=r"frame of float64 \(64, 48, 3\)"):
        answer(np.zeros((64, 48, 3)))  # type: ignore[arg-type]


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


@pytest.mark.slow
def test_later_core_ml_targets_give_the_same_answers(checkpoint: Checkpoint, tmp_path: Path) -> None:
    job = job_of(PortableClassifier(checkpoint.network, SPEC).eval(), draw_frames(1, 0))
    frame, answers = draw_frames(1, 3)[0], []
    for target in ("iOS16", "iOS18"):
        path = tmp_path / f"{target}.mlpackage"
        params = CoremlParams(recipes=("palette4",), minimum_deployment_target=target)
        coreml = open_format("coreml")
        coreml.export(job, "palette4", params, path)
        answers.append(coreml.load(path)(frame))
    np.testing.assert_allclose(answers[0], answers[1], atol=1e-2)  # halves, in another order


def test_onnx_halves_all_but_the_normalisation_and_the_softmax(convert: Convert) -> None:
    graph = onnx.load(artifact_of(convert, "onnx", "float16")).graph
    weights = {each.name: each.data_type for each in graph.initializer}
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    assert convolutions
    assert {weights[node.input[1]] for node in convolutions} == {onnx.TensorProto.FLOAT16}
    assert graph.output[0].type.tensor_type.elem_type == onnx.TensorProto.FLOAT


def test_the_form_for_mobile_holds_the_same_network_and_no_processor_s_own_layout(convert: Convert) -> None:
    frame = draw_frames(1, 12)[0]
    for recipe in ("float32", "static_wi8_ai8"):
        plain, mobile = (artifact_of(convert, "onnx", name) for name in (recipe, f"{recipe}_ort"))
        content = mobile.read_bytes()
        assert content[4:8] == b"ORTM"
        assert b"ReorderInput" not in content  # of the layout that x86 likes
        answers = [open_format("onnx").load(path)(frame) for path in (plain, mobile)]
        np.testing.assert_allclose(answers[0], answers[1], atol=2e-2)


def test_onnx_quantises_neither_the_normalisation_nor_the_softmax(convert: Convert) -> None:
    graph = onnx.load(artifact_of(convert, "onnx", "static_wi8_ai8")).graph
    writer = {output: node.op_type for node in graph.node for output in node.output}
    first = next(index for index, node in enumerate(graph.node) if node.op_type == "QuantizeLinear" and index > 0)
    assert {"Cast", "Div", "Sub"} <= {node.op_type for node in graph.node[: first + 1]}
    for node in graph.node:
        if node.op_type in ("Div", "Sub", "Cast"):
            assert all(writer.get(name) != "DequantizeLinear" for name in node.input)
        if node.op_type == "Softmax":
            assert graph.output[0].name == node.output[0]
    assert any(tensor.data_type == onnx.TensorProto.INT8 for tensor in graph.initializer)


def test_tflite_quantises_pixels_over_their_whole_range(convert: Convert) -> None:
    model = schema.ModelT.InitFromPackedBuf(artifact_of(convert, "tflite", "static_wi8_ai8").read_bytes(), 0)
    tensors, operators = model.subgraphs[0].tensors, model.subgraphs[0].operators
    codes = [model.operatorCodes[operator.opcodeIndex].builtinCode for operator in operators]
    convolution = codes.index(schema.BuiltinOperator.CONV_2D)
    scaled = [tensors[operator.outputs[0]].quantization for operator in operators[:convolution]]
    scales = [
        float(quantization.scale[0]) for quantization in scaled if quantization and quantization.scale is not None
    ]
    assert any(np.isclose(scale, 1 / 255, rtol=1e-3) or np.isclose(scale, 1.0, rtol=1e-3) for scale in scales)
    assert schema.BuiltinOperator.HARD_SWISH in codes
    for operator, code in zip(operators, codes, strict=True):
        if code in (schema.BuiltinOperator.HARD_SWISH, schema.BuiltinOperator.SOFTMAX):
            assert tensors[operator.outputs[0]].type == schema.TensorType.FLOAT32


def test_tflite_carries_its_labels_where_android_looks_for_them(convert: Convert) -> None:
    with zipfile.ZipFile(artifact_of(convert, "tflite", "float32")) as archive:
        assert archive.read("labels.txt").decode().splitlines() == list(LABELS)


@pytest.mark.skipif(platform.system() == "Darwin", reason="Core ML itself runs there")
def test_the_executor_runs_on_the_threads_it_is_given_and_leaves_torch_as_it_was(
    convert: Convert, monkeypatch: pytest.MonkeyPatch
) -> None:
    package, (frame,) = artifact_of(convert, "coreml", "float16"), draw_frames(1, 3)
    seen = []
    run_as_it_is = Program.run

    def watch(program: Program, frame: Pixels) -> NDArray[np.float32]:
        seen.append(torch.get_num_threads())
        return run_as_it_is(program, frame)

    monkeypatch.setattr(Program, "run", watch)
    before = torch.get_num_threads()
    for threads in (1, 3):
        open_format("coreml").load(package, threads)(frame)
    assert seen == [1, 3]
    assert torch.get_num_threads() == before


def test_coreml_takes_an_image_and_carries_no_date(convert: Convert) -> None:
    spec = read_spec(artifact_of(convert, "coreml", "float16"))
    image = spec.description.input[0].type.imageType
    assert (image.height, image.width) == (64, 48)
    assert spec.description.metadata.author == "Gossamer"
    assert spec.description.metadata.shortDescription == "Does the rider wear a helmet?"
    assert not any("date" in key for key in spec.description.metadata.userDefined)


@pytest.mark.slow
@pytest.mark.parametrize(("recipe", "target"), [("float16", 7), ("palette4", 7), ("wi8_ai8", 8)])
def test_coremltools_reads_who_made_a_package_and_which_system_it_needs(
    convert: Convert, recipe: str, target: int
) -> None:
    with quiet_toolkits():
        import coremltools

        model = coremltools.models.MLModel(str(artifact_of(convert, "coreml", recipe)), skip_model_load=True)
    assert (model.author, model.license) == ("Gossamer", "Apache-2.0")
    assert model.short_description == "Does the rider wear a helmet?"
    assert model.user_defined_metadata["checkpoint_id"].startswith(model.version)
    spec = model.get_spec()
    assert spec.specificationVersion == target  # 7: iOS 16, 8: iOS 17
    assert spec.description.predictedFeatureName == "label"
    assert [output.name for output in spec.description.output] == ["label", "probs"]
    assert spec.description.input[0].type.WhichOneof("Type") == "imageType"


@pytest.mark.parametrize("recipe", ["float32", "static_wi8_ai8", "float32_ort"])
def test_onnx_runtime_reads_who_made_a_model(convert: Convert, recipe: str) -> None:
    session = onnxruntime.InferenceSession(artifact_of(convert, "onnx", recipe).read_bytes())
    about = session.get_modelmeta()
    assert about.custom_metadata_map["author"] == "Gossamer"
    assert about.custom_metadata_map["license"] == "Apache-2.0"
    assert about.custom_metadata_map["labels"] == '["no_helmet", "helmet"]'
    if recipe != "float32_ort":  # the form for mobile keeps no description
        assert about.description == "Does the rider wear a helmet?"
    assert all(isinstance(side, int) for side in session.get_inputs()[0].shape)


@pytest.mark.parametrize("recipe", RECIPES["tflite"])
def test_litert_reads_names_from_the_signature_and_shapes_are_static(convert: Convert, recipe: str) -> None:
    path = artifact_of(convert, "tflite", recipe)
    runner = Interpreter(model_path=str(path)).get_signature_runner("classify")
    (frame,) = runner.get_input_details().items()
    (answer,) = runner.get_output_details().items()
    assert (frame[0], tuple(frame[1]["shape_signature"]), frame[1]["dtype"]) == ("image", (1, 64, 48, 3), np.uint8)
    assert (answer[0], tuple(answer[1]["shape_signature"]), answer[1]["dtype"]) == ("probs", (1, 2), np.float32)
    with zipfile.ZipFile(path) as archive:
        assert json.loads(archive.read("metadata.json"))["author"] == "Gossamer"


@pytest.mark.slow
def test_coreml_converts_tensorflow_s_padding(tmp_path: Path) -> None:
    network = PortableClassifier(build_lively_network("same"), SPEC).eval()
    artifact_format = open_format("coreml")
    path = tmp_path / "float16.mlpackage"
    job = job_of(network, draw_frames(1, 0))
    artifact_format.export(job, "float16", CoremlParams(recipes=("float16",)), path)
    frames = draw_frames(6, 4)
    reference = network(torch.from_numpy(frames)).detach().numpy()
    assert compare(reference, run_artifact(artifact_format.load(path), frames)).max_abs_probability_diff < 0.02
