"""A folder has its own params, and a step is repeated only if something that it depends on has changed."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from benchmarks.experiment_harness.workspace import (
    Step,
    derive_params,
    open_folder,
    run_gossamer,
    run_steps,
    stage_modules,
    step_key,
)
from pipeline.config.params import Params, load_params
from pipeline.errors import DataError, ParamsError


@pytest.fixture
def params(root: Path) -> Params:
    return load_params(root / "params.yaml")


@pytest.fixture
def folder(tmp_path: Path, params: Params, policy_file: Path) -> Path:
    return open_folder(tmp_path / "work", params, policy_file.parent)


@pytest.fixture
def done() -> list[str]:
    """Names of the steps that were run, in order."""
    return []


@pytest.fixture
def steps(folder: Path, done: list[str]) -> list[Step]:
    def run(name: str) -> None:
        done.append(name)
        (folder / name).write_text(name, encoding="utf-8")

    return [
        Step("a/prompts", "prompts", folder, partial(run, "prompts"), (folder / "prompts",)),
        Step("a/split", "split", folder, partial(run, "split"), (folder / "split",), ("a/prompts",)),
    ]


def silent(_done: int, _total: int, _activity: str) -> None: ...


def test_finished_steps_are_skipped(steps: list[Step], done: list[str]) -> None:
    reports: list[tuple[int, int, str]] = []
    marks = run_steps(steps, lambda *report: reports.append(report))
    assert reports == [(0, 2, "a/prompts"), (1, 2, "a/split"), (2, 2, "done")]
    assert run_steps(steps, silent) == marks
    assert done == ["prompts", "split"]


def test_after_a_failure_only_the_failed_step_is_repeated(steps: list[Step], done: list[str]) -> None:
    def fail() -> None:
        raise DataError("no luck")

    first, second = steps
    with pytest.raises(DataError, match="no luck"):
        run_steps([first, Step("a/split", "split", second.folder, fail, second.outs, second.needs)], silent)
    run_steps(steps, silent)
    assert done == ["prompts", "split"]


def test_a_step_whose_output_is_missing_is_repeated(steps: list[Step], folder: Path, done: list[str]) -> None:
    run_steps(steps, silent)
    (folder / "prompts").unlink()
    run_steps(steps, silent)
    assert done == ["prompts", "split", "prompts"]


@pytest.mark.parametrize("text", ["prom", "PROMPTS", ""])
def test_a_step_whose_output_has_changed_is_repeated_and_it_is_reported(
    text: str, steps: list[Step], folder: Path, done: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    run_steps(steps, silent)
    (folder / "prompts").write_text(text, encoding="utf-8")
    run_steps(steps, silent)
    assert done == ["prompts", "split", "prompts"]
    assert (folder / "prompts").read_text(encoding="utf-8") == "prompts"
    assert "an output of a/prompts is not as the step wrote it; it is made again" in capsys.readouterr().err


def test_a_step_with_a_damaged_mark_is_repeated(steps: list[Step], done: list[str]) -> None:
    run_steps(steps, silent)
    (mark,) = steps[0].marks.glob("*/mark.json")
    mark.write_bytes(mark.read_bytes()[:-5])
    run_steps(steps, silent)
    assert done == ["prompts", "split", "prompts"]


@pytest.mark.parametrize(
    ("section", "repeated"), [("prompts", ["prompts", "split"]), ("split", ["split"]), ("curate", [])]
)
def test_a_changed_section_repeats_its_stage_and_what_needs_it(
    steps: list[Step], folder: Path, done: list[str], params: Params, section: str, repeated: list[str]
) -> None:
    run_steps(steps, silent)
    done.clear()
    changed = derive_params(params, {section: {"seed": getattr(params, section).seed + 1}})
    open_folder(folder, changed, (folder / "policies").resolve())
    run_steps(steps, silent)
    assert done == repeated


def test_a_changed_policy_repeats_the_stages_that_read_it(
    steps: list[Step], done: list[str], policy_file: Path
) -> None:
    run_steps(steps, silent)
    policy_file.write_text(f"{policy_file.read_text(encoding='utf-8')}\n# another\n", encoding="utf-8")
    run_steps(steps, silent)
    assert done == ["prompts", "split", "prompts", "split"]


def test_the_modules_of_a_stage_include_the_plug_ins_it_finds(params: Params) -> None:
    params = derive_params(params, {"generate": {"generator": "rendered"}})
    assert stage_modules("generate", params) == ["pipeline.generate.stage", "pipeline.generate.generators.rendered"]
    assert stage_modules("curate", params)[1:] == ["pipeline.curate.verifiers.attributes"]
    assert stage_modules("convert", params, "onnx") == ["export.convert", "export.formats.onnx"]
    assert stage_modules("split", params) == ["pipeline.split"]
    assert set(stage_modules("measure", params)) > {"benchmarks.measure", "export.formats.coreml"}
    assert set(stage_modules("gate", params)) > {"benchmarks.gate.stage", "export.formats.tflite"}


def test_derived_params_have_only_the_changes_and_absolute_paths_of_models(
    params: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models/weights.safetensors").touch()
    monkeypatch.chdir(tmp_path)
    derived = derive_params(params, {"prompts": {"count": 7}, "train": {"pretrained": "models/weights.safetensors"}})
    assert derived.prompts == params.prompts.model_copy(update={"count": 7})
    assert derived.train.pretrained == str((tmp_path / "models/weights.safetensors").resolve())
    assert derived.curate == params.curate


def test_an_unknown_key_in_a_change_is_an_error(params: Params) -> None:
    with pytest.raises(ParamsError, match=r"params\.yaml prompts\.cuont: 7; no such key"):
        derive_params(params, {"prompts": {"cuont": 7}})


def test_the_params_of_a_folder_are_those_it_was_opened_with(folder: Path, params: Params) -> None:
    assert load_params(folder / "params.yaml") == params


def test_the_key_of_a_step_depends_on_its_inputs(steps: list[Step]) -> None:
    keys = {step_key(replace(steps[0], inputs=inputs), []) for inputs in ({}, {"count": 1}, {"count": 2})}
    assert len(keys) == 3


def test_a_command_runs_in_its_folder_and_writes_a_log(folder: Path, params: Params) -> None:
    open_folder(folder, derive_params(params, {"prompts": {"count": 12}}), (folder / "policies").resolve())
    run_gossamer(folder, "prompts", Path("policies/helmet.yaml"), Path("data/prompts.jsonl"))
    assert len((folder / "data/prompts.jsonl").read_text(encoding="utf-8").splitlines()) == 12
    assert (folder / "prompts.log").is_file()


def test_the_error_of_a_failed_command_has_its_last_output(folder: Path) -> None:
    with pytest.raises(DataError, match=r"gossamer curate ended with 2; see .*curate\.log:\nerror: data/images"):
        run_gossamer(folder, "curate")
