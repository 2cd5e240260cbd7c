"""`gossamer verify` with the extra `verify` alone, as on a mobile engineer's machine."""

from __future__ import annotations

import importlib.metadata
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from export.bundle import verify
from export.bundle.verify import Verification
from pipeline.cli import app
from tests.export.bundle.small_bundle import DECISION, brightness_model, write_small_bundle
from tests.export.tiny import LABELS

PACKAGE = "coreml/float16.mlpackage/Data/weights.bin"
STATED = f"{DECISION.sentence(LABELS)}\0threshold\0{DECISION.threshold}".encode()
BLOCK = """
import sys

class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Block())
"""


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[^\w.-]", line, maxsplit=1)[0].lower() for line in requirements}


def modules_that_only_stages_need(root: Path) -> set[str]:
    """Top-level modules of the extra "stages", except those of "verify" and of what that needs itself."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    runtime = names(project["optional-dependencies"]["verify"])
    needed = runtime | {name for each in runtime for name in names(importlib.metadata.requires(each) or [])}
    heavy = names(project["optional-dependencies"]["stages"]) - needed - names(project["dependencies"])
    return {
        module
        for module, distributions in importlib.metadata.packages_distributions().items()
        if heavy.intersection(name.lower() for name in distributions) and module.isidentifier()
    }


def run_with_the_extra_alone(root: Path, tmp_path: Path, *words: str) -> subprocess.CompletedProcess[str]:
    blocked = modules_that_only_stages_need(root)
    assert {"torch", "diffusers", "timm", "pandas", "coremltools", "ai_edge_litert", "executorch"} <= blocked
    (tmp_path / "block").mkdir()
    (tmp_path / "block" / "sitecustomize.py").write_text(BLOCK.format(blocked=blocked), encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path / 'block'}{os.pathsep}{root}"}
    command = [sys.executable, "-m", "pipeline.cli", *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, cwd=tmp_path)


def test_the_extra_verifies_a_bundle_without_any_toolkit_of_the_stages(root: Path, tmp_path: Path) -> None:
    contents = {"onnx/float32.onnx": brightness_model(), PACKAGE: STATED}
    bundle = write_small_bundle(tmp_path, contents, (1.0, 0.0))
    done = run_with_the_extra_alone(root, tmp_path, "verify", str(bundle))
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "coreml-float16: not run: torch is not installed"
    assert "helmet-1.2.0: complete; digest sha256:" in lines[1]
    assert lines[2] == "ran 1 of 2 artifacts: each gives the expected outputs on the golden images"


def test_a_command_of_the_stages_names_the_extra_that_it_lacks(root: Path, tmp_path: Path) -> None:
    done = run_with_the_extra_alone(root, tmp_path, "doctor")
    assert done.returncode == 2, done.stderr
    assert re.fullmatch(r"error: \w+ is not installed; .* pip install 'gossamer\[stages\]'", done.stderr.strip())


@pytest.mark.parametrize("content", [b"", STATED.replace(b"0.5", b"0.1"), STATED.replace(b"0.9", b"0.8")])
def test_a_file_that_cannot_be_run_must_state_the_decision_of_the_contract(
    content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = write_small_bundle(tmp_path, {"onnx/float32.onnx": STATED, PACKAGE: content})
    monkeypatch.setattr(verify, "_open_pool", Uninstalled)
    found = verify.verify(bundle)
    assert [finding.file for finding in found.findings] == ["coreml/float16.mlpackage"]
    assert "its own metadata do not state Decision(threshold=0.5" in found.findings[0].problem
    assert [name for name, _ in found.not_run] == ["onnx-float32", "coreml-float16"]


class Uninstalled:
    """A pool in which no runtime can be imported."""

    def submit(self, *_: object) -> Uninstalled:
        return self

    def exception(self) -> ImportError:
        return ModuleNotFoundError("No module named 'runtime.sub'", name="runtime.sub")

    def shutdown(self) -> None:
        pass


def test_a_bundle_of_which_nothing_could_be_run_is_not_called_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    none_run = Verification("d" * 64, (), (), (("tflite-float32", "ai_edge_litert is not installed"),))
    monkeypatch.setattr(verify, "verify", lambda *_: none_run)
    result = CliRunner().invoke(app, ["verify", str(tmp_path)])
    assert result.exit_code == 1
    assert "tflite-float32: not run: ai_edge_litert is not installed" in result.stdout
    assert "complete" not in result.stdout
    assert "no artifact could be run here; expected a runtime: pip install 'gossamer[verify]'" in result.stderr
