"""A network built to overflow is refused with the name of the op; a sound one is not."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from export.formats import ExportJob, open_format
from export.formats.coreml import Params
from export.formats.coreml.interpreter.float16_overflow import find_overflow
from export.formats.coreml.interpreter.program import open_package
from pipeline.errors import ModelError
from pipeline.train.model import PortableClassifier
from tests.export.conftest import Convert
from tests.export.tiny import SPEC, draw_frames, job_of


class Overflowing(torch.nn.Module):
    """Three convolutions, the second of which multiplies by a large number that the third divides by."""

    def __init__(self, gain: float) -> None:
        super().__init__()
        self.layers = torch.nn.ModuleList(torch.nn.Conv2d(width, 4, 3, padding=1) for width in (3, 4, 4))
        self.head = torch.nn.Linear(4, 2)
        with torch.no_grad():
            for layer, scale in zip(self.layers, (1.0, gain, 1 / gain), strict=True):
                layer.weight.mul_(scale)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            image = torch.relu(layer(image))
        return self.head(image.mean((2, 3)))


def job(gain: float) -> ExportJob:
    torch.manual_seed(3)
    return job_of(PortableClassifier(Overflowing(gain).eval(), SPEC).eval(), draw_frames(4, 2))


def test_a_sound_program_does_not_overflow(convert: Convert) -> None:
    program = open_package(convert("coreml")[1] / "float16.mlpackage")
    assert find_overflow(program, draw_frames(2, 8)) is None


def test_a_program_that_overflows_is_refused_with_the_op_and_not_written(tmp_path: Path) -> None:
    path = tmp_path / "float16.mlpackage"
    with pytest.raises(ModelError, match=r"float16\.mlpackage: op conv with the output .* overflows float16 .* 65504"):
        open_format("coreml").export(job(3e5), "float16", Params(recipes=("float16",)), path)
    assert not path.exists()


def test_the_first_op_that_overflows_is_found_with_its_magnitude(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("export.formats.coreml._check_overflow", lambda *_: None)
    path = tmp_path / "float16.mlpackage"
    open_format("coreml").export(job(3e5), "float16", Params(recipes=("float16",)), path)
    program = open_package(path)
    overflow = find_overflow(program, draw_frames(2, 2))
    assert overflow is not None
    assert (overflow.kind, overflow.frame) == ("conv", 0)
    assert overflow.magnitude > 65504
    kinds = [step.kind for step, _ in program.trace(draw_frames(1, 2)[0])]
    earlier = kinds[: [step.output for step in program.steps].index(overflow.output)]
    assert earlier.count("conv") == 1
