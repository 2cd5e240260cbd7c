"""A benchmark's folder: params of its own, and steps that are done once as long as nothing they need has changed."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmarks.experiment_harness.workspace import Step, carry_out, derive, gossamer, open_folder, stage_modules
from pipeline.errors import DataError

Change = Callable[[str, str, Any], None]


@pytest.fixture
def values(root: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((root / "params.yaml").read_text(encoding="utf-8"))
    return loaded


@pytest.fixture
def folder(tmp_path: Path, values: dict[str, Any], policy_file: Path) -> Path:
    return open_folder(tmp_path / "work", values, policy_file.parent)


@pytest.fixture
def done() -> list[str]:
    """Names of the steps that were done, in order."""
    return []


@pytest.fixture
def steps(folder: Path, done: list[str]) -> list[Step]:
    def act(name: str) -> None:
        done.append(name)
        (folder / name).write_text(name, encoding="utf-8")

    return [
        Step("a/prompts", "prompts", folder, partial(act, "prompts"), (folder / "prompts",)),
        Step("a/split", "split", folder, partial(act, "split"), (folder / "split",), ("a/prompts",)),
    ]


def silent(_done: int, _total: int, _what: str) -> None: ...


def test_finished_steps_are_not_done_again(steps: list[Step], done: list[str]) -> None:
    told: list[tuple[int, int, str]] = []
    marks = carry_out(steps, lambda *words: told.append(words))
    assert told == [(0, 2, "a/prompts"), (1, 2, "a/split"), (2, 2, "done")]
    assert carry_out(steps, silent) == marks
    assert done == ["prompts", "split"]


def test_a_step_that_failed_is_done_again_and_those_before_it_not(steps: list[Step], done: list[str]) -> None:
    def fail() -> None:
        raise DataError("no luck")

    first, second = steps
    with pytest.raises(DataError, match="no luck"):
        carry_out([first, Step("a/split", "split", second.folder, fail, second.outs, second.before)], silent)
    carry_out(steps, silent)
    assert done == ["prompts", "split"]


def test_a_step_whose_output_is_gone_is_done_again(steps: list[Step], folder: Path, done: list[str]) -> None:
    carry_out(steps, silent)
    (folder / "prompts").unlink()
    carry_out(steps, silent)
    assert done == ["prompts", "split", "prompts"]


@pytest.mark.parametrize(
    ("section", "again"), [("prompts", ["prompts", "split"]), ("split", ["split"]), ("curate", [])]
)
def test_a_changed_section_redoes_what_reads_it_and_what_follows(
    steps: list[Step], folder: Path, done: list[str], values: dict[str, Any], section: str, again: list[str]
) -> None:
    carry_out(steps, silent)
    done.clear()
    values[section]["seed"] += 1
    open_folder(folder, values, (folder / "policies").resolve())
    carry_out(steps, silent)
    assert done == again


def test_a_changed_policy_redoes_what_reads_it(steps: list[Step], done: list[str], policy_file: Path) -> None:
    carry_out(steps, silent)
    policy_file.write_text(f"{policy_file.read_text(encoding='utf-8')}\n# another\n", encoding="utf-8")
    carry_out(steps, silent)
    assert done == ["prompts", "split", "prompts", "split"]


def test_the_modules_of_a_stage_include_the_plug_ins_it_finds(values: dict[str, Any]) -> None:
    values["generate"]["generator"] = "rendered"
    assert stage_modules("generate", values) == ["pipeline.generate.stage", "pipeline.generate.generators.rendered"]
    assert stage_modules("curate", values)[1:] == ["pipeline.curate.verifiers.attributes"]
    assert stage_modules("convert", values, "onnx") == ["export.convert", "export.formats.onnx"]
    assert stage_modules("split", values) == ["pipeline.split"]
    assert set(stage_modules("measure", values)) > {"benchmarks.measure", "export.formats.coreml"}
    assert set(stage_modules("gate", values)) > {"benchmarks.gate.stage", "export.formats.tflite"}


def test_derived_params_keep_all_but_the_changes_and_find_models(
    values: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models/weights.safetensors").touch()
    values["train"]["pretrained"] = "models/weights.safetensors"
    monkeypatch.chdir(tmp_path)
    derived = derive(values, {"prompts": {"count": 7}})
    assert derived["prompts"] == {**values["prompts"], "count": 7}
    assert derived["train"]["pretrained"] == str((tmp_path / "models/weights.safetensors").resolve())
    assert values["prompts"]["count"] != 7
    assert derived["curate"] == values["curate"]


def test_a_command_runs_in_the_folder_and_leaves_its_log(folder: Path, values: dict[str, Any]) -> None:
    open_folder(folder, derive(values, {"prompts": {"count": 12}}), (folder / "policies").resolve())
    gossamer(folder, "prompts", Path("policies/helmet.yaml"), Path("data/prompts.jsonl"))
    assert len((folder / "data/prompts.jsonl").read_text(encoding="utf-8").splitlines()) == 12
    assert (folder / "prompts.log").is_file()


def test_a_command_that_fails_tells_what_it_said(folder: Path) -> None:
    with pytest.raises(DataError, match=r"gossamer curate ended with 2; see .*curate\.log:\nerror: data/images"):
        gossamer(folder, "curate")
