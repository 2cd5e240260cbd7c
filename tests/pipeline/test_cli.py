"""Errors of a user end with a message and exit status 2, never with a traceback; help describes every argument."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import yaml
from typer.main import get_command
from typer.testing import CliRunner, Result

from export.formats import open_format
from pipeline.cli import app
from pipeline.config.fields import load_section
from pipeline.config.params import load_params
from pipeline.errors import ParamsError
from tests.house import STAGES


@pytest.fixture
def home(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with params and policies but no data."""
    (tmp_path / "policies").mkdir()
    for name in ("params.yaml", "policies/helmet.yaml", "policies/mask.yaml"):
        (tmp_path / name).write_text((root / name).read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def change(path: Path, place: str, value: object) -> None:
    values: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    *sections, key = place.split(".")
    inner = values
    for section in sections:
        inner = inner[section]
    inner[key] = value
    path.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")


def gossamer(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def refused(result: Result, *expected: str) -> None:
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    for words in expected:
        assert words in result.stderr


def pictures(folder: Path, count: int) -> None:
    rng = np.random.default_rng(1)
    for label in ("no_helmet", "helmet"):
        (folder / label).mkdir(parents=True)
        for number in range(count):
            PIL.Image.fromarray(rng.integers(0, 255, (128, 96, 3), np.uint8)).save(folder / label / f"{number}.jpg")


def test_prompts_are_written_with_their_metrics(home: Path) -> None:
    change(home / "params.yaml", "prompts.count", 40)
    result = gossamer("prompts")
    assert result.exit_code == 0, result.output
    assert len((home / "data/prompts.jsonl").read_text(encoding="utf-8").splitlines()) == 40
    assert (home / "metrics/prompts.json").is_file()


def test_an_unknown_key_in_params_is_refused(home: Path) -> None:
    change(home / "params.yaml", "train.epoch", 3)
    refused(gossamer("prompts"), "params.yaml train.epoch: 3; no such key")


def test_an_unknown_value_in_params_is_refused(home: Path) -> None:
    change(home / "params.yaml", "train.device", "tpu")
    refused(gossamer("prompts"), "params.yaml train.device: 'tpu'; expected 'auto', 'cpu', 'cuda' or 'mps'")


def test_the_error_for_an_unknown_recipe_lists_the_known_recipes(home: Path) -> None:
    change(home / "params.yaml", "convert.formats.tflite.recipes", ["int8"])
    with pytest.raises(ParamsError, match=r"convert.formats.tflite.recipes.0: 'int8'; expected 'float32'"):
        load_section(open_format("tflite").Params, load_params().convert.formats["tflite"], "convert.formats.tflite")


def test_a_policy_whose_rules_exclude_every_picture_is_refused(home: Path) -> None:
    never = {"skin_tone": [f"monk_{tone:02d}" for tone in range(1, 11)]}
    rule = {"when": {"label": ["helmet"]}, "never": never, "because": "nobody is left"}
    change(home / "policies/helmet.yaml", "rules", [rule])
    refused(gossamer("prompts"), "exclude every picture of label helmet")


def test_a_policy_with_one_label_is_refused(home: Path) -> None:
    change(home / "policies/mask.yaml", "labels", {"mask": {"face_mask": {"cloth": [1, "a mask"]}}})
    refused(gossamer("prompts", "policies/mask.yaml"), "mask.yaml labels: mask; expected two or more")


@pytest.mark.usefixtures("home")
def test_the_error_for_a_missing_input_names_the_command_that_writes_it() -> None:
    refused(gossamer("generate"), "data/prompts.jsonl: missing", "dvc repro")


def test_a_missing_model_folder_is_refused(home: Path) -> None:
    change(home / "params.yaml", "prompts.count", 4)
    change(home / "params.yaml", "generate.generator", "stable_diffusion")
    change(home / "params.yaml", "generate.stable_diffusion.presets.bundled.model", "models/absent")
    gossamer("prompts")
    refused(gossamer("generate"), "models/absent is not a local folder", "generate.generator: rendered")


def test_an_empty_photo_folder_is_refused(home: Path) -> None:
    (home / "photos").mkdir()
    change(home / "params.yaml", "dataset", {"source": "photos", "folder": "photos", "part": [0, 1], "seed": 1})
    refused(gossamer("generate"), "photos", "no_helmet, helmet")


def test_a_corrupt_photograph_is_counted_and_the_others_are_packed(home: Path) -> None:
    pictures(home / "photos", 3)
    (home / "photos/helmet/broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 not a picture")
    change(home / "params.yaml", "dataset", {"source": "photos", "folder": "photos", "part": [0, 1], "seed": 1})
    result = gossamer("generate")
    assert result.exit_code == 0, result.output
    metrics = yaml.safe_load((home / "metrics/generate.json").read_text(encoding="utf-8"))
    assert (metrics["images"], metrics["unreadable_images"]) == (6, 1)


def test_curate_warns_if_a_label_has_fewer_images_than_folds(home: Path) -> None:
    pictures(home / "photos", 1)
    change(home / "params.yaml", "dataset", {"source": "photos", "folder": "photos", "part": [0, 1], "seed": 1})
    assert gossamer("generate").exit_code == 0
    done = gossamer("curate")
    assert done.exit_code == 0, done.output
    assert "only 1 images of" in done.output
    assert "curate: labels were not checked" in done.output


def test_help_lists_every_command_and_imports_no_heavy_package(root: Path) -> None:
    heavy = ["torch", "numpy", "timm", "diffusers", "skia", "pandas", "sklearn"]
    check = f"import sys, pipeline.cli; print([name for name in {heavy} if name in sys.modules])"
    environment = {**os.environ, "PYTHONPATH": str(root)}
    done = subprocess.run([sys.executable, "-c", check], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    shown = gossamer("--help").output
    others = ("release", "verify", "doctor", "policy", "baseline", "benchmark", "review")
    assert all(command in shown for command in (*STAGES, *others))


def test_help_describes_every_argument_and_option_of_every_command() -> None:
    commands = dict(get_command(app).commands)  # type: ignore[attr-defined]
    for group in ("policy", "baseline"):
        commands |= {f"{group} {name}": command for name, command in commands.pop(group).commands.items()}
    for name, command in commands.items():
        assert command.help, name
        assert [parameter.name for parameter in command.params if not parameter.help] == [], name


def test_a_full_disk_ends_with_a_message_and_writes_no_file(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device", "data/prompts.jsonl")

    monkeypatch.setattr("pipeline.data.storage.write_rows", full)
    refused(gossamer("prompts"), "data/prompts.jsonl: no space left")
    assert not (home / "data/prompts.jsonl").exists()
