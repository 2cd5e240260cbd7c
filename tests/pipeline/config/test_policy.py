from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.config.policy import load_policy
from pipeline.errors import PolicyError


def refuse(path: Path, values: dict[str, Any]) -> str:
    path.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
    with pytest.raises(PolicyError) as caught:
        load_policy(path)
    return str(caught.value)


@pytest.mark.parametrize("name", ["helmet", "mask"])
def test_the_policies_that_come_with_gossamer_are_valid(root: Path, name: str) -> None:
    policy = load_policy(root / "policies" / f"{name}.yaml")
    assert policy.name == name
    assert list(policy.labels)[-1] == name
    assert {"skin_tone", "light", "place"} <= {factor.name for factor in policy.factors}
    assert all(abs(sum(factor.shares) - 1) < 1e-9 for factor in policy.factors)


def test_a_scenario_has_a_cost_for_each_wrong_prediction(root: Path) -> None:
    policy = load_policy(root / "policies" / "helmet.yaml")
    night = policy.scenarios[0]
    assert (night.risk, dict(night.costs)) == ("high", {"helmet": 20, "no_helmet": 2})


def test_a_picture_gets_the_first_scenario_whose_conditions_it_meets(root: Path) -> None:
    policy = load_policy(root / "policies" / "helmet.yaml")
    assert policy.scenario_of({"light": "night", "place": "home"}) == "night_ride"
    assert policy.scenario_of({"light": "backlit", "place": "home"}) == "check_indoors"
    assert policy.scenario_of({"light": "day", "place": "park"}) == "day_ride"


def test_the_error_for_a_missing_policy_lists_the_policies_in_its_folder(policy_file: Path) -> None:
    with pytest.raises(PolicyError, match=r"hat\.yaml is missing; policies in that folder: helmet"):
        load_policy(policy_file.with_name("hat.yaml"))


def test_a_policy_with_one_label_is_refused(policy_file: Path, policy_values: dict[str, Any]) -> None:
    del policy_values["labels"]["no_helmet"]
    for scenario in policy_values["scenarios"].values():
        del scenario["cost"]["false_no_helmet"]
    policy_values["rules"] = []
    assert "labels: helmet; expected two or more" in refuse(policy_file, policy_values)


def test_the_error_for_an_unknown_key_gives_its_place(policy_file: Path, policy_values: dict[str, Any]) -> None:
    policy_values["colour"] = 3
    assert "helmet.yaml colour: 3; no such key" in refuse(policy_file, policy_values)


def test_a_policy_that_is_not_yaml_is_refused(policy_file: Path) -> None:
    policy_file.write_text("labels: [", encoding="utf-8")
    with pytest.raises(PolicyError, match="not YAML"):
        load_policy(policy_file)


def test_a_negation_in_the_words_of_a_caption_is_refused(policy_file: Path, policy_values: dict[str, Any]) -> None:
    policy_values["factors"]["glasses"]["none"] = [6, "without glasses"]
    message = refuse(policy_file, policy_values)
    assert "factors.glasses.none: 'without' in 'without glasses'; describe what is visible" in message


def test_words_for_an_unknown_factor_are_refused(policy_file: Path, policy_values: dict[str, Any]) -> None:
    policy_values["caption"].append("on a {bicycle}")
    assert "{bicycle}; expected the name of a factor" in refuse(policy_file, policy_values)


def test_a_rule_about_an_unknown_value_is_refused(policy_file: Path, policy_values: dict[str, Any]) -> None:
    policy_values["rules"][0]["when"] = {"light": ["moonlight"]}
    assert "rules.0.when.light: moonlight; expected values of this factor: backlit, day" in refuse(
        policy_file, policy_values
    )


def test_a_rule_about_an_unknown_factor_is_refused(policy_file: Path, policy_values: dict[str, Any]) -> None:
    policy_values["rules"][0]["never"] = {"weather": ["rain"]}
    assert "rules.0.never.weather: no such factor" in refuse(policy_file, policy_values)


def test_labels_that_no_factor_distinguishes_are_refused(policy_file: Path, policy_values: dict[str, Any]) -> None:
    policy_values["labels"]["helmet"]["headwear"]["none"] = [1, "bare-headed"]
    assert "no factor distinguishes no_helmet from helmet" in refuse(policy_file, policy_values)


def test_a_scenario_without_one_of_the_costs_is_refused(policy_file: Path, policy_values: dict[str, Any]) -> None:
    del policy_values["scenarios"]["day_ride"]["cost"]["false_helmet"]
    message = refuse(policy_file, policy_values)
    assert "scenarios.day_ride.cost: false_no_helmet; expected false_helmet, false_no_helmet" in message


def test_a_factor_whose_weights_are_all_zero_is_refused(policy_file: Path, policy_values: dict[str, Any]) -> None:
    policy_values["factors"]["age"] = {"young": [0, "young"]}
    assert "factors.age: no value has a weight above 0" in refuse(policy_file, policy_values)


def test_a_value_of_weight_zero_is_not_a_value_of_the_policy(policy_file: Path, policy_values: dict[str, Any]) -> None:
    policy_values["factors"]["light"]["dusk"][0] = 0
    policy_file.write_text(yaml.safe_dump(policy_values, sort_keys=False), encoding="utf-8")
    light = next(factor for factor in load_policy(policy_file).factors if factor.name == "light")
    assert "dusk" not in light.values
