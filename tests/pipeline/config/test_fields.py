from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import pytest
from pydantic import ValidationError

from benchmarks.experiments import read_changes
from pipeline.config.fields import Section, explain, load_section
from pipeline.errors import ParamsError


class Training(Section):
    RENAMED: ClassVar[Mapping[str, str]] = {"lr": "learning_rate", "bs": "batch_size"}
    learning_rate: float = 0.1
    batch_size: int = 8


class Whole(Section):
    RENAMED: ClassVar[Mapping[str, str]] = {"learn": "train"}
    train: Training = Training()
    seed: int


def test_an_error_names_the_new_key_of_every_renamed_key_of_a_plug_in() -> None:
    with pytest.raises(ParamsError) as caught:
        load_section(Training, {"lr": 0.2, "bs": 4}, "convert.onnx")
    assert str(caught.value).splitlines() == [
        "params.yaml convert.onnx.lr: 0.2; renamed to convert.onnx.learning_rate",
        "params.yaml convert.onnx.bs: 4; renamed to convert.onnx.batch_size",
    ]


def test_an_error_names_the_new_key_in_a_nested_section_beside_other_problems() -> None:
    with pytest.raises(ValidationError) as caught:
        Whole.model_validate({"train": {"lr": 0.2}, "seed": "x"})
    lines = explain("policies/a.yaml", caught.value).splitlines()
    assert lines[0] == "policies/a.yaml train.lr: 0.2; renamed to train.learning_rate"
    assert lines[1].startswith("policies/a.yaml seed: 'x'; expected a valid integer")


def test_an_error_names_the_new_name_of_a_whole_section() -> None:
    with pytest.raises(ValidationError) as caught:
        Whole.model_validate({"learn": {"learning_rate": 0.2}, "seed": 1})
    assert explain("params.yaml", caught.value) == "params.yaml learn: a section; renamed to train"


def test_an_error_names_the_new_key_of_a_benchmark_param() -> None:
    with pytest.raises(ParamsError, match=r"^--set lr: 0\.2; renamed to learning_rate$"):
        read_changes(Training, ["lr=0.2"])


def test_a_section_without_renamed_keys_is_read() -> None:
    assert load_section(Training, {"batch_size": 4}, "train") == Training(batch_size=4)
