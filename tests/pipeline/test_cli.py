"""Errors of a user end with a message and exit status 2, never with a traceback; help describes every argument."""

from __future__ import annotations

import errno
import os
import shlex
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import yaml
from typer.main import get_command
from typer.testing import CliRunner, Result

from benchmarks.experiments import benchmark_names
from export.formats import format_names, open_format
from pipeline.cli import app
from pipeline.cli_arguments import name_format
from pipeline.config.fields import load_section
from pipeline.config.params import load_params
from pipeline.errors import ParamsError
from tests.house import FINGERPRINT, STAGES, dvc_stages


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
    assert (metrics["images"], metrics["rejected"]) == (6, 1)


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


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (errno.ENOSPC, "no space left on device; free some space"),
        (errno.EDQUOT, "free some space"),
        (errno.EACCES, "permission denied; expected a path that you may read and write"),
        (errno.EROFS, "read-only file system; expected a file system that can be written"),
        (errno.ENAMETOOLONG, "expected a shorter path"),
    ],
)
def test_a_refusal_of_the_system_ends_with_a_message_and_writes_no_file(
    home: Path, monkeypatch: pytest.MonkeyPatch, number: int, expected: str
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(number, os.strerror(number), "data/prompts.jsonl")

    monkeypatch.setattr("pipeline.data.storage.write_rows", refuse)
    refused(gossamer("prompts"), "error: data/prompts.jsonl: ", expected)
    assert not (home / "data/prompts.jsonl").exists()


@pytest.mark.usefixtures("home")
def test_an_error_of_the_system_that_no_path_explains_is_a_defect(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> int:
        raise OSError(errno.ECHILD, os.strerror(errno.ECHILD))

    monkeypatch.setattr("pipeline.data.storage.write_rows", fail)
    assert isinstance(gossamer("prompts").exception, OSError)


def test_an_output_folder_that_is_a_file_is_refused(home: Path) -> None:
    (home / "data").write_text("", encoding="utf-8")
    refused(gossamer("prompts"), "error: data: file exists", "or a folder; move it away")


def test_the_defaults_of_a_command_are_the_paths_of_dvc_yaml() -> None:
    commands = get_command(app).commands  # type: ignore[attr-defined]
    for name in (FINGERPRINT, *STAGES):
        words = shlex.split(dvc_stages()[name]["cmd"])
        arguments = [each for each in commands[name].params if each.param_type_name == "argument"]
        defaults = [str(each.default) for each in arguments if not each.required]
        assert words[len(words) - len(defaults) :] == defaults, name
        before = words[words.index(name) + 1 : len(words) - len(defaults)]
        assert before == (["$DVC_STAGE"] if name == "convert" else []), name


def test_a_command_without_a_policy_takes_the_one_that_params_yaml_names(home: Path) -> None:
    change(home / "params.yaml", "policy", "mask")
    assert gossamer("policy", "check").output.startswith("policies/mask.yaml: Does the person wear a face mask?")
    change(home / "params.yaml", "prompts.count", 4)
    assert gossamer("prompts").exit_code == 0
    assert '"label":"mask"' in (home / "data/prompts.jsonl").read_text(encoding="utf-8")


def test_a_policy_that_params_yaml_names_and_that_is_missing_is_refused_with_those_that_exist(home: Path) -> None:
    change(home / "params.yaml", "policy", "hivis")
    refused(gossamer("prompts"), "policies/hivis.yaml is missing; policies in that folder: helmet, mask")


def test_a_format_may_be_given_as_the_name_of_its_dvc_stage() -> None:
    assert [name_format(name) for name in ("convert@onnx", "../dvc.yaml:convert@onnx", "onnx")] == ["onnx"] * 3


def test_no_value_of_params_yaml_reaches_a_shell() -> None:
    for name, stage in dvc_stages().items():
        assert "${" not in stage["cmd"], name


def test_help_names_every_benchmark_and_format() -> None:
    assert all(name in gossamer("benchmark", "--help").output for name in benchmark_names())
    assert all(name in gossamer("convert", "--help").output for name in format_names())


def test_the_version_is_that_of_the_package() -> None:
    assert gossamer("--version").output == f"gossamer {version('gossamer')}\n"


def test_shells_complete_commands_benchmarks_and_formats() -> None:
    def complete(line: str) -> str:
        words = {"_GOSSAMER_COMPLETE": "complete_zsh", "_TYPER_COMPLETE_ARGS": line}
        return CliRunner().invoke(app, prog_name="gossamer", env=words).output

    assert "policy" in complete("gossamer pol")
    assert "gate_power" in complete("gossamer benchmark ga")
    assert "tflite" in complete("gossamer convert tf")


def test_a_policy_that_the_bundled_model_cannot_draw_is_refused_before_anything_is_drawn(home: Path) -> None:
    net = {"net": [1, "wearing a white disposable hair net"]}
    change(home / "policies/helmet.yaml", "labels.helmet.headwear", net)
    change(home / "params.yaml", "prompts.count", 4)
    (home / "data").mkdir()
    (home / "data/prompts.jsonl").write_text("", encoding="utf-8")
    for command in (("policy", "check"), ("prompts",), ("generate",)):
        result = gossamer(*command)
        refused(
            result, "labels.helmet.headwear.net", "does not know disposable, net", "prompts.allow_unknown_words: true"
        )
        assert "verifier attributes: cannot check the labels" in result.output
    assert not (home / "data/images").exists()
    change(home / "params.yaml", "prompts.allow_unknown_words", True)
    change(home / "params.yaml", "generate.mix", {"rendered": 0.25})
    refused(gossamer("policy", "check"), "labels.helmet.headwear.net: cannot draw it", "set generate.mix: {}")
    change(home / "params.yaml", "generate.mix", {})
    assert gossamer("policy", "check").exit_code == 0
    assert gossamer("prompts").exit_code == 0


def test_a_policy_is_checked_without_params_but_not_against_models(home: Path) -> None:
    (home / "params.yaml").unlink()
    result = gossamer("policy", "check", "policies/mask.yaml")
    assert result.exit_code == 0, result.output
    assert "params.yaml: missing, so no generator, verifier or renderer was checked" in result.output
