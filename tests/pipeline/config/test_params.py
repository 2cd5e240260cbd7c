from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.config.fields import Section, load_section
from pipeline.config.params import load_params
from pipeline.errors import ParamsError


@pytest.fixture
def values(root: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((root / "params.yaml").read_text(encoding="utf-8"))
    return loaded


def refuse(folder: Path, values: object) -> str:
    path = folder / "params.yaml"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    with pytest.raises(ParamsError) as caught:
        load_params(path)
    return str(caught.value)


def test_the_params_that_come_with_gossamer_are_valid_and_frozen(root: Path) -> None:
    params = load_params(root / "params.yaml")
    assert params.policy == "helmet"
    with pytest.raises(ValueError, match="frozen"):
        params.train.epochs = 3


def test_the_error_for_an_unknown_key_lists_the_known_keys_and_guesses_the_meant_one(
    tmp_path: Path, values: dict[str, Any]
) -> None:
    values["train"]["epoch"] = 3
    message = refuse(tmp_path, values)
    assert "params.yaml train.epoch: 3; no such key; expected one of backbone, pretrained, " in message
    assert message.endswith("did you mean 'epochs'?")


def test_the_error_for_a_value_out_of_range_gives_the_value_and_the_range(
    tmp_path: Path, values: dict[str, Any]
) -> None:
    values["train"]["epochs"] = 0
    assert "params.yaml train.epochs: 0; expected greater than 0" in refuse(tmp_path, values)


def test_one_error_names_every_problem(tmp_path: Path, values: dict[str, Any]) -> None:
    values["dataset"]["source"] = "films"
    del values["split"]["seed"]
    message = refuse(tmp_path, values)
    assert "params.yaml dataset.source: 'films'; expected 'generated' or 'photos'" in message
    assert "params.yaml split.seed; missing" in message


@pytest.mark.parametrize("part", [[0.5, 0.5], [0.8, 0.2], [-0.1, 1.0]])
def test_a_part_that_is_not_a_range_is_refused(tmp_path: Path, values: dict[str, Any], part: list[float]) -> None:
    values["selfies"]["part"] = part
    assert "expected [low, high] with 0 <= low < high <= 1" in refuse(tmp_path, values)


def test_a_missing_empty_or_malformed_params_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match="missing; run from the root"):
        load_params(tmp_path / "params.yaml")
    assert "params.yaml" in refuse(tmp_path, None)
    (tmp_path / "params.yaml").write_text("a: [", encoding="utf-8")
    with pytest.raises(ParamsError, match="not YAML"):
        load_params(tmp_path / "params.yaml")


def test_an_error_in_the_section_of_a_plug_in_gives_the_path_of_the_section() -> None:
    class Params(Section):
        opset: int

    with pytest.raises(ParamsError, match=r"params.yaml convert.formats.onnx.opset: 'x'; expected a valid integer"):
        load_section(Params, {"opset": "x"}, "convert.formats.onnx")


def test_a_plug_in_section_takes_only_sections_of_existing_plug_ins(tmp_path: Path, values: dict[str, Any]) -> None:
    values["generate"]["dall_e"] = {}
    message = refuse(tmp_path, values)
    assert "params.yaml generate.dall_e: no such key; expected one of generator, images_per_shard, workers" in message
    values["generate"]["rendered"] = 3
    del values["generate"]["dall_e"]
    assert "params.yaml generate.rendered: 3; expected a section of its own" in refuse(tmp_path, values)


def test_selfies_with_the_seed_of_the_prompts_are_refused(tmp_path: Path, values: dict[str, Any]) -> None:
    values["selfies"]["seed"] = values["prompts"]["seed"]
    assert "the same as prompts.seed; expected another seed" in refuse(tmp_path, values)
