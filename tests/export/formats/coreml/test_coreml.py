"""What Core ML packages promise beyond the contract of all formats (tests/export/formats/test_formats.py)."""

from __future__ import annotations

import platform
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from export.formats import open_format
from export.formats.coreml import Params
from export.formats.coreml.interpreter.program import Program, read_spec
from export.parity import compare, run_artifact
from export.toolkit_output import quiet_toolkits
from pipeline.data.preprocess import Pixels
from pipeline.train.model import Checkpoint, PortableClassifier
from tests.export.conftest import Convert, artifact_of
from tests.export.tiny import SPEC, build_lively_network, draw_frames, job_of


@pytest.mark.slow
def test_later_deployment_targets_give_the_same_probabilities(checkpoint: Checkpoint, tmp_path: Path) -> None:
    job = job_of(PortableClassifier(checkpoint.network, SPEC).eval(), draw_frames(1, 0))
    frame, answers = draw_frames(1, 3)[0], []
    for target in ("iOS16", "iOS18"):
        path = tmp_path / f"{target}.mlpackage"
        params = Params(recipes=("palette4",), minimum_deployment_target=target)
        coreml = open_format("coreml")
        coreml.export(job, "palette4", params, path)
        answers.append(coreml.load(path)(frame))
    np.testing.assert_allclose(answers[0], answers[1], atol=1e-2)  # halves, in another order


@pytest.mark.skipif(platform.system() == "Darwin", reason="Core ML itself runs there")
def test_the_executor_uses_the_requested_threads_and_restores_those_of_torch(
    convert: Convert, monkeypatch: pytest.MonkeyPatch
) -> None:
    package, (frame,) = artifact_of(convert, "coreml", "float16"), draw_frames(1, 3)
    threads_used = []
    original = Program.run

    def watch(program: Program, frame: Pixels) -> NDArray[np.float32]:
        threads_used.append(torch.get_num_threads())
        return original(program, frame)

    monkeypatch.setattr(Program, "run", watch)
    before = torch.get_num_threads()
    for threads in (1, 3):
        open_format("coreml").load(package, threads)(frame)
    assert threads_used == [1, 3]
    assert torch.get_num_threads() == before


def test_a_package_takes_an_image_and_holds_no_date(convert: Convert) -> None:
    spec = read_spec(artifact_of(convert, "coreml", "float16"))
    image = spec.description.input[0].type.imageType
    assert (image.height, image.width) == (64, 48)
    assert spec.description.metadata.author == "Gossamer"
    assert spec.description.metadata.shortDescription.startswith("Does the rider wear a helmet? Decide ")
    assert not any("date" in key for key in spec.description.metadata.userDefined)


@pytest.mark.slow
@pytest.mark.parametrize(("recipe", "target"), [("float16", 7), ("palette4", 7), ("wi8_ai8", 8)])
def test_coremltools_reads_metadata_and_the_required_system(convert: Convert, recipe: str, target: int) -> None:
    with quiet_toolkits():
        import coremltools

        model = coremltools.models.MLModel(str(artifact_of(convert, "coreml", recipe)), skip_model_load=True)
    assert (model.author, model.license) == ("Gossamer", "Apache-2.0")
    assert model.short_description.startswith("Does the rider wear a helmet? Decide ")
    assert model.user_defined_metadata["checkpoint_id"].startswith(model.version)
    spec = model.get_spec()
    assert spec.specificationVersion == target  # 7: iOS 16, 8: iOS 17
    assert spec.description.predictedFeatureName == "label"
    assert [output.name for output in spec.description.output] == ["label", "probs"]
    assert spec.description.input[0].type.WhichOneof("Type") == "imageType"


@pytest.mark.slow
def test_padding_of_tensorflow_is_converted(tmp_path: Path) -> None:
    network = PortableClassifier(build_lively_network("same"), SPEC).eval()
    artifact_format = open_format("coreml")
    path = tmp_path / "float16.mlpackage"
    job = job_of(network, draw_frames(1, 0))
    artifact_format.export(job, "float16", Params(recipes=("float16",)), path)
    frames = draw_frames(6, 4)
    reference = network(torch.from_numpy(frames)).detach().numpy()
    assert compare(reference, run_artifact(artifact_format.load(path), frames)).max_abs_probability_diff < 0.02


class Halves(torch.nn.Module):
    """A convolution and a slice of the whole of an axis, as GhostNet ends its modules."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(11)
        self.convolution = torch.nn.Conv2d(3, 2, 5, stride=4)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        features: torch.Tensor = self.convolution(pixels)
        return 20 * features[:, :2, :, :].mean((2, 3))


def test_a_slice_of_a_whole_axis_is_converted(tmp_path: Path) -> None:
    classifier = PortableClassifier(Halves(), SPEC).eval()
    frames = draw_frames(3, 12)
    artifact_format = open_format("coreml")
    path = tmp_path / "float16.mlpackage"
    artifact_format.export(job_of(classifier, frames), "float16", Params(recipes=("float16",)), path)
    reference = classifier(torch.from_numpy(frames)).detach().numpy()
    assert compare(reference, run_artifact(artifact_format.load(path), frames)).max_abs_probability_diff < 0.02
