"""What ExecuTorch programs promise beyond the contract of all formats (tests/export/formats/test_formats.py)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from export.decision import Decision
from export.formats import open_format
from export.formats.executorch.runtime import open_program, run_constant
from pipeline.errors import ModelError
from tests.export.conftest import Convert, artifact_of
from tests.export.tiny import RECIPES, draw_frames

LOWER = """
import sys
from pathlib import Path

import torch

from export.formats.executorch.lowering import capture, lower
from export.toolkit_output import quiet_toolkits


class Small(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.convolutions = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.Conv2d(4, 2, 3))

    def forward(self, image):
        pixels = image.permute(0, 3, 1, 2).float() / 255
        return torch.softmax(torch.nn.functional.hardsigmoid(self.convolutions(pixels)).mean((2, 3)), 1)


torch.manual_seed(5)
with quiet_toolkits():
    content = lower(capture(Small().eval(), (16, 16)), {"labels": "[]", "author": "Gossamer", "version": "1"})
Path(sys.argv[1]).write_bytes(content)
"""


@pytest.mark.parametrize("recipe", RECIPES["executorch"])
def test_constant_methods_return_names_labels_and_metadata(convert: Convert, recipe: str) -> None:
    path = artifact_of(convert, "executorch", recipe)
    program = open_program(path, path.read_bytes())
    artifact = next(each for each in convert("executorch")[0].artifacts.artifacts if each.recipe == recipe)
    decision = Decision(artifact.threshold, artifact.retake_band)
    expected = {
        "labels": '["no_helmet", "helmet"]',
        "input_name": "image",
        "output_name": "probs",
        "author": "Gossamer",
        "license": "Apache-2.0",
        "description": f"Does the rider wear a helmet? {decision.sentence(artifact.labels)}",
        "threshold": repr(artifact.threshold),
        "retake_band": json.dumps(artifact.retake_band),
    }
    assert {name: run_constant(path, program, name) for name in expected} == expected
    identity = run_constant(path, program, "checkpoint_id")
    assert run_constant(path, program, "version") == identity[:12]
    with pytest.raises(ModelError, match="no method 'colour'"):
        run_constant(path, program, "colour")


@pytest.mark.parametrize("recipe", RECIPES["executorch"])
def test_xnnpack_runs_all_but_the_conversion_of_pixels(convert: Convert, recipe: str) -> None:
    path = artifact_of(convert, "executorch", recipe)
    content = path.read_bytes()
    assert b"XnnpackBackend" in content
    assert b"aten::permute_copy" in content
    assert not [op for op in (b"aten::convolution", b"aten::linear", b"aten::_softmax") if op in content]


def test_programs_with_other_threads_can_be_open_at_the_same_time(convert: Convert) -> None:
    paths = [artifact_of(convert, "executorch", recipe) for recipe in RECIPES["executorch"]]
    (frame,) = draw_frames(1, 3)
    executorch = open_format("executorch")
    alone = [executorch.load(path)(frame) for path in paths]
    single, double = executorch.load(paths[0], 1), executorch.load(paths[1], 2)
    for _ in range(3):
        np.testing.assert_allclose(single(frame), alone[0], atol=1e-6)
        np.testing.assert_allclose(double(frame), alone[1], atol=1e-6)


def test_a_program_without_a_classifier_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.pte"
    path.write_bytes(b"TFL3" * 64)
    with pytest.raises(ModelError, match=r"other\.pte: not a whole ExecuTorch program"):
        open_format("executorch").load(path)


@pytest.mark.slow
def test_two_processes_write_the_same_bytes(tmp_path: Path, root: Path) -> None:
    """In another process, sets have another order."""
    script = tmp_path / "lower.py"
    script.write_text(LOWER, encoding="utf-8")
    outs = [tmp_path / f"{seed}.pte" for seed in (1, 2)]
    for out in outs:
        environment = {**os.environ, "PYTHONPATH": str(root), "PYTHONHASHSEED": out.stem}
        subprocess.run([sys.executable, str(script), str(out)], check=True, env=environment)
    assert outs[0].read_bytes() == outs[1].read_bytes()
