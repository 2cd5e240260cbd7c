"""Which values of params.yaml name files, by stage."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.config.external_files import STAGES, named_paths
from pipeline.config.params import Params


@pytest.fixture
def values(root: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((root / "params.yaml").read_text(encoding="utf-8"))
    return loaded


def named(values: Mapping[str, Any], stage: str) -> dict[str, str]:
    return {entry.key: str(entry.path) for entry in named_paths(Params.model_validate(values), stage)}


def test_no_value_of_the_default_params_names_a_file_that_exists(
    values: dict[str, Any], root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root)
    paths = [path for stage in STAGES for path in named(values, stage).values()]
    assert [path for path in paths if Path(path).exists()] == []


def test_photographs_are_read_by_generate_and_selfies_in_place_of_models(values: dict[str, Any]) -> None:
    values["dataset"] |= {"source": "photos", "folder": "/photos"}
    street = {"name": "street", "folder": "shots", "licence": "our own", "factors": "shots.csv"}
    values["selfies"]["photographs"] = [street, {"name": "garage", "folder": "other", "licence": "our own"}]
    assert named(values, "generate") == {"dataset.folder": "/photos"}
    assert named(values, "selfies") == {
        "selfies.photographs.0.folder": "shots",
        "selfies.photographs.0.factors": "shots.csv",
        "selfies.photographs.1.folder": "other",
    }


def test_a_folder_of_photographs_that_is_not_used_is_not_named(values: dict[str, Any]) -> None:
    values["dataset"]["folder"] = "photos"
    assert "photos" not in named(values, "generate").values()


def test_the_model_of_the_chosen_preset_is_named_and_that_of_another_is_not(values: dict[str, Any]) -> None:
    presets = values["generate"]["stable_diffusion"]["presets"]
    presets["mine"], presets["other"] = {"model": "../models/mine"}, {"model": "../models/other"}
    values["generate"]["stable_diffusion"]["preset"] = "mine"
    found = named(values, "generate")
    assert found["generate.stable_diffusion.presets.mine.model"] == "../models/mine"
    assert "../models/other" not in found.values()


def test_the_model_of_the_chosen_verifier_is_named(values: dict[str, Any]) -> None:
    values["curate"]["attributes"]["weights"] = "mine.safetensors"
    assert named(values, "curate") == {"curate.attributes.weights": "mine.safetensors"}
    values["curate"] |= {"verifier": "clip", "clip": {"model": "models/clip"}}
    assert named(values, "curate") == {"curate.clip.model": "models/clip"}


def test_pretrained_weights_are_named_unless_they_are_none_or_come_with_a_package_or_from_the_hub(
    values: dict[str, Any],
) -> None:
    found = []
    for pretrained in ("none", "package", "hub", "weights.safetensors"):
        values["train"]["pretrained"] = pretrained
        found.append(named(values, "train"))
    assert found == [{}, {}, {}, {"train.pretrained": "weights.safetensors"}]


@pytest.mark.parametrize("text", ["", ".", "../", "/", "a\0b"])
def test_a_text_that_names_the_checkout_or_a_folder_around_it_is_no_model(values: dict[str, Any], text: str) -> None:
    values["train"]["pretrained"] = values["curate"]["attributes"]["weights"] = text
    assert (named(values, "train"), named(values, "curate")) == ({}, {})
