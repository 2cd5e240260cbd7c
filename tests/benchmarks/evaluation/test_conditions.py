"""What other figures differ in from this run: policy, params and weights; what was not recorded is not equal."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.evaluation.conditions import SECTIONS, Conditions, differences, read_conditions
from pipeline.config.params import Params
from pipeline.config.policy import load_policy


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "model.safetensors").write_bytes(b"1")
    return tmp_path / "weights"


def test_the_same_checkout_has_no_differences_and_any_change_is_named(
    params: Params, policy_file: Path, weights: Path
) -> None:
    policy = load_policy(policy_file)
    here = read_conditions(params, policy, weights)
    assert set(here.params) == set(SECTIONS)
    assert differences(here, read_conditions(params, policy, weights)) == ()
    longer = params.model_copy(update={"train": params.train.model_copy(update={"epochs": 99})})
    assert differences(read_conditions(longer, policy, weights), here) == ("other params train",)
    (weights / "README.md").write_text("a corrected card", encoding="utf-8")
    assert differences(read_conditions(params, policy, weights), here) == ()
    (weights / "model.safetensors").write_bytes(b"2")
    assert differences(read_conditions(params, policy, weights), here) == ("other weights of the bundled model",)


def test_a_comment_in_a_policy_is_no_difference_and_another_text_is(
    params: Params, policy_file: Path, weights: Path
) -> None:
    here = read_conditions(params, load_policy(policy_file), weights)
    text = policy_file.read_text(encoding="utf-8")
    policy_file.write_text(f"# a comment\n{text}", encoding="utf-8")
    assert differences(read_conditions(params, load_policy(policy_file), weights), here) == ()
    policy_file.write_text(text.replace("Does the rider wear", "Does anybody wear"), encoding="utf-8")
    other = read_conditions(params, load_policy(policy_file), weights)
    assert differences(other, here) == ("other text of policy helmet",)


def test_what_was_not_recorded_differs_even_from_what_was_not_recorded() -> None:
    bare = Conditions(policy="helmet")
    assert len(differences(bare, bare)) == 3
    assert all("not recorded" in difference for difference in differences(bare, bare))
    assert differences(Conditions(policy="mask"), bare)[0] == "policy mask instead of helmet"
