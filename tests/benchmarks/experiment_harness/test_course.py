"""Folders of an experiment, and the commands that stages run in them."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import yaml

from benchmarks.experiment_harness.course import ROWS, Experiment, StageFolder, open_experiment
from benchmarks.experiment_harness.workspace import Step
from pipeline.config.fields import Section
from pipeline.config.params import load_params
from pipeline.errors import ParamsError


class Params(Section):
    images: int = 60


@pytest.fixture
def experiment(root: Path, tmp_path: Path) -> Experiment[Params]:
    return Experiment(tmp_path, Params(), load_params(root / "params.yaml"), root / "policies")


@pytest.fixture
def folder(experiment: Experiment[Params]) -> StageFolder:
    return experiment.open("arm", {"prompts": {"count": experiment.params.images}})


def arguments(step: Step) -> list[str]:
    assert isinstance(step.action, partial)
    return [str(argument) for argument in step.action.args[1:]]


def test_a_folder_has_the_checkouts_params_with_the_changes(
    experiment: Experiment[Params], folder: StageFolder
) -> None:
    params = load_params(folder.path / "params.yaml")
    assert params.prompts == experiment.base.prompts.model_copy(update={"count": 60})
    assert params.curate == experiment.base.curate
    assert (folder.path / folder.policy).is_file()


def test_a_wrong_change_names_the_key(experiment: Experiment[Params]) -> None:
    with pytest.raises(ParamsError, match=r"params\.yaml prompts\.count: -1"):
        experiment.open("arm", {"prompts": {"count": -1}})


def test_stages_of_a_folder_follow_each_other(folder: StageFolder) -> None:
    steps = [folder.prompts(), folder.generate(), folder.curate(), folder.split()]
    assert [step.name for step in steps] == ["arm/prompts", "arm/generate", "arm/curate", "arm/split"]
    assert [step.needs for step in steps] == [(), ("arm/prompts",), ("arm/generate",), ("arm/curate",)]
    assert all(step.folder == folder.path for step in steps)


def test_stages_get_the_arguments_of_dvc_yaml(folder: StageFolder, root: Path) -> None:
    stages = yaml.safe_load((root / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    images = Path("data/images")
    steps = [folder.prompts(), folder.selfies(), folder.generate(), folder.curate(), folder.split()]
    steps += [folder.train(ROWS, images, ()), folder.convert("onnx", ROWS, images, ())]
    for step in steps:
        command = stages[step.stage].get("do", stages[step.stage])["cmd"]
        own = {"policies": "policies/helmet.yaml", '"$DVC_STAGE"': step.key}
        words = [own.get(word, word) for word in command.removeprefix("python -m pipeline.cli ").split()]
        expected = [word for word in words if word != "data/decisions.jsonl"]  # decisions are the checkout's own
        assert arguments(step) == expected


def test_a_stage_may_read_files_of_another_folder(folder: StageFolder, tmp_path: Path) -> None:
    step = folder.curate(tmp_path / "images", ("images/generate",))
    assert arguments(step)[1] == str(tmp_path / "images")
    assert step.outs[0] == folder.path / "data/kept.jsonl"
    assert step.needs == ("images/generate",)


def test_a_conversion_is_a_step_of_its_format(folder: StageFolder) -> None:
    step = folder.convert("onnx", ROWS, Path("data/images"), ("arm/train",))
    assert (step.name, step.stage, step.key) == ("arm/convert-onnx", "convert", "onnx")
    assert step.outs == (folder.path / "artifacts/onnx",)


def test_an_experiment_may_use_another_policy(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root)
    experiment = open_experiment(Params(), tmp_path, policy="mask")
    assert experiment.policy_file == Path("policies/mask.yaml")
    assert load_params(experiment.open("arm", {}).path / "params.yaml").policy == "mask"
