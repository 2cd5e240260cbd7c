from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.config.fields import Section, load_section
from pipeline.config.params import Params, load_params
from pipeline.errors import ParamsError
from pipeline.train.package_weights import check_preprocessing, find_package_weights


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
    assert "params.yaml train.epoch: 3; no such key; expected one of method, backbone, pretrained, " in message
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
    values["dataset"]["part"] = part
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
    assert "params.yaml generate.dall_e: no such key; expected one of generator, mix, images_per_shard" in message
    values["generate"]["rendered"] = 3
    del values["generate"]["dall_e"]
    assert "params.yaml generate.rendered: 3; expected a section of its own" in refuse(tmp_path, values)


def test_selfies_with_the_seed_of_the_prompts_are_refused(tmp_path: Path, values: dict[str, Any]) -> None:
    values["selfies"]["seed"] = values["prompts"]["seed"]
    assert "the same as prompts.seed; expected another seed" in refuse(tmp_path, values)


STREET = {"name": "street", "folder": "photographs", "licence": "our own"}


def test_test_sets_are_the_rendered_one_and_any_number_of_photographs(values: dict[str, Any]) -> None:
    values["selfies"]["photographs"] = [STREET, {**STREET, "name": "garage", "factors": "f.csv"}]
    values["gate"]["sets"] = {"garage": {"min_accuracy": 0.8}}
    params = Params.model_validate(values)
    assert params.selfies.names == ("rendered", "street", "garage")
    assert (params.measure.headline, params.gate.sets["garage"].min_agreement) == ("rendered", None)
    values["selfies"]["count"], values["measure"]["headline"] = 0, "street"
    assert Params.model_validate(values).selfies.names == ("street", "garage")


@pytest.mark.parametrize(
    ("section", "change", "problem"),
    [
        ("selfies", {"photographs": [STREET, STREET]}, "photographs.1.name: 'street', also the name of photographs.0"),
        ("selfies", {"photographs": [{**STREET, "name": "rendered"}]}, "also the name of the rendered selfies"),
        ("selfies", {"photographs": [{**STREET, "name": "Our street"}]}, "expected small letters, digits and _"),
        ("selfies", {"photographs": [{"name": "street", "folder": "f"}]}, "photographs.0.licence; missing"),
        ("selfies", {"photographs": STREET}, "expected a list"),
        ("selfies", {"source": "photos"}, "selfies.source: 'photos'; renamed to selfies.photographs"),
        ("selfies", {"folder": "f"}, "selfies.folder: 'f'; renamed to selfies.photographs.0.folder"),
        ("selfies", {"count": 0}, "expected at least one test set"),
        (
            "measure",
            {"headline": "rendred"},
            "measure.headline: 'rendred', no test set of selfies; expected one of",
        ),
        ("gate", {"sets": {"street": {}}}, "gate.sets.street: no test set of selfies; expected one of rendered"),
        ("gate", {"sets": {"rendered": {}}}, "gate.sets.rendered: this is measure.headline"),
        ("gate", {"sets": {"street": {"min_acuracy": 1}}}, "did you mean 'min_accuracy'?"),
    ],
)
def test_test_sets_that_do_not_fit_each_other_are_refused(
    tmp_path: Path, values: dict[str, Any], section: str, change: dict[str, Any], problem: str
) -> None:
    values[section] |= change
    assert problem in refuse(tmp_path, values)


def replaced(root: Path, folder: Path, old: str, new: str) -> str:
    """The message for the params that come with Gossamer with one text replaced by another."""
    text, path = (root / "params.yaml").read_text(encoding="utf-8"), folder / "params.yaml"
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ParamsError) as caught:
        load_params(path)
    return str(caught.value)


def test_a_key_that_is_given_twice_is_refused_with_both_lines(root: Path, tmp_path: Path) -> None:
    message = replaced(root, tmp_path, "  batch_size: 64\n", "  batch_size: 64\n  batch_size: 2\n")
    assert re.search(
        r"params\.yaml line (\d+): train\.batch_size: given twice, first in line \d+; expected it once", message
    )


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("policy: helmet ", "policy: off ", "policy: false; expected text; YAML reads yes, no, on and off as true"),
        ("count: 6400", "count: yes", "prompts.count: true; expected a number; YAML reads yes, no, on and off"),
        ("val_fraction: 0.15", "val_fraction: on", "split.val_fraction: true; expected a number"),
        ("part: [0.0, 1.0]", "part: 0.5", "dataset.part: 0.5; expected a list: write [A, B]"),
        ("required: [coreml, tflite, onnx]", "required: coreml", "gate.required: 'coreml'; expected a list"),
        ("top_up: {}", "top_up: []", "prompts.top_up: []; expected a section: write KEY: VALUE"),
        ("source: generated", "source: generate", "did you mean 'generated'?"),
    ],
)
def test_the_error_for_a_value_of_another_kind_says_what_to_write(
    root: Path, tmp_path: Path, old: str, new: str, expected: str
) -> None:
    assert expected in replaced(root, tmp_path, old, new)


@pytest.mark.parametrize(
    "value", ["x" * 10_000, str([1] * 10_000), "{a: {b: {c: {d: 1}}}}"], ids=["text", "list", "section"]
)
def test_an_error_never_prints_a_whole_value(root: Path, tmp_path: Path, value: str) -> None:
    assert len(replaced(root, tmp_path, "count: 6400", f"count: {value}")) < 300


@pytest.mark.parametrize("name", ["$(touch x)helmet", "helmet;ls", "../helmet", "a b", "`id`", "'", "helmet\\n", ""])
def test_a_policy_is_named_by_letters_digits_and_dashes(root: Path, tmp_path: Path, name: str) -> None:
    message = replaced(root, tmp_path, "policy: helmet ", f'policy: "{name}" ')
    assert "policy: " in message
    assert "expected letters, digits, _ and -" in message


@pytest.mark.parametrize("name", ["$(touch x)onnx", "../onnx", "onnx;ls", "On nx"])
def test_a_format_is_named_by_letters_digits_and_underscores(root: Path, tmp_path: Path, name: str) -> None:
    message = replaced(root, tmp_path, "    onnx:\n", f'    "{name}":\n')
    assert "convert.formats: the key " in message
    assert "expected small letters, digits and _" in message


def test_the_values_for_photographs_in_the_docs_are_params_that_suit_their_weights(root: Path) -> None:
    lines = (root / "docs/training.md").read_text(encoding="utf-8").splitlines()
    block = "\n".join(line[4:] for line in lines if line.startswith("    "))
    base = yaml.safe_load((root / "params.yaml").read_text(encoding="utf-8"))
    changes = yaml.safe_load(block)
    merged = {**base, **{section: {**base[section], **changed} for section, changed in changes.items()}}
    train = Params.model_validate(merged).train
    assert (train.method, train.pretrained) == ("head", "package")
    check_preprocessing(find_package_weights(train.backbone), train.padding, train.mean, train.std)
