from __future__ import annotations

import re
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


def replaced(path: Path, old: str, new: str) -> str:
    """The message for the helmet policy with one text replaced by another."""
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(PolicyError) as caught:
        load_policy(path)
    return str(caught.value)


def test_the_error_for_a_missing_policy_guesses_the_one_that_was_meant(policy_file: Path) -> None:
    with pytest.raises(PolicyError, match=r"policies in that folder: helmet; did you mean .*helmet\.yaml\?"):
        load_policy(policy_file.with_name("hlmet.yaml"))


def test_a_factor_that_is_given_twice_is_refused_with_both_lines(policy_file: Path) -> None:
    message = replaced(policy_file, "\n  age:\n", "\n  skin_tone: {}\n  age:\n")
    assert re.search(r"helmet\.yaml line (\d+): factors\.skin_tone: given twice, first in line \d+", message)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("{straps!z}", "{straps!z}; expected {straps}: a plain name"),
        ("{straps:d}", "{straps:d}; expected {straps}: a plain name"),
        ("{straps:>300000000}", "expected {straps}: a plain name"),
        ("{straps.upper}", "expected {straps}: a plain name"),
        ("{straps[0]}", "expected {straps}: a plain name"),
        ("{straps:{nosuch}}", "expected braces only around the name of a factor"),
        ("{{straps}}", "expected braces only around the name of a factor"),
        ("{straps", "expected braces only around the name of a factor"),
        ("straps}", "expected braces only around the name of a factor"),
        ("{}", "{}; expected the name of a factor: age, "),
        ("{0}", "{0}; expected the name of a factor: age, "),
        ("{label}", "{label}; expected the name of a factor: age, "),
    ],
)
def test_braces_in_a_caption_are_plain_names_of_factors(policy_file: Path, words: str, expected: str) -> None:
    message = replaced(policy_file, '- "{straps}"', f'- "{words}"')
    assert message.startswith(f"{policy_file} caption.3: ")
    assert expected in message


def test_words_that_other_words_name_are_plain(policy_file: Path) -> None:
    message = replaced(policy_file, '[3, "black"]', '[3, "{hair_colour}"]')
    assert "labels.no_helmet.headwear.cap: {headwear_colour}; the words of headwear_colour have braces" in message


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (
            'no: [6, ""]',
            "factors.glasses: the key false; expected text; YAML reads yes, no, on and off as true or false",
        ),
        ('2024: [6, ""]', 'factors.glasses: the key 2024; expected text; put it in quotes, e.g. "2024"'),
        ('2020-01-01: [6, ""]', 'the key 2020-01-01; expected text; put it in quotes, e.g. "2020-01-01"'),
        ("none: [6, off]", "factors.glasses.none.1: false; expected text; YAML reads yes, no, on and off as true"),
        ("none: [6, 12]", 'factors.glasses.none.1: 12; expected text; put it in quotes, e.g. "12"'),
        ("none: 6", "factors.glasses.none: 6; expected a list: write [A, B]"),
        ("none: {weight: 6}", "factors.glasses.none: {'weight': 6}; expected a list: write [A, B]"),
        ("none: [6]", "factors.glasses.none: [6]; entry 2 is missing"),
        ('none: [6, "", 1]', "factors.glasses.none: [6, '', 1]; expected a list of at most 2"),
        ('none: [no, ""]', "factors.glasses.none.0: false; expected a number; YAML reads yes, no, on and off"),
        ('none: [.inf, ""]', "factors.glasses.none.0: inf; expected less than or equal to 1000000"),
        ('None: [6, ""]', "factors.glasses: the key 'None'; expected small letters, digits and _, beginning with"),
        ('none: [6, "\\e[2J"]', "expected text without control characters"),
        (f'none: [6, "{"long " * 200}"]', "expected text of at most 500 characters"),
    ],
)
def test_the_error_for_a_wrong_value_says_what_to_write(policy_file: Path, entry: str, expected: str) -> None:
    message = replaced(policy_file, 'none: [6, ""]\n    clear', f"{entry}\n    clear")
    assert expected in message
    assert len(message) < 1000


def test_a_condition_that_is_not_a_list_is_told_to_be_one(policy_file: Path) -> None:
    message = replaced(policy_file, "when: {light: [night, dusk]}", "when: {light: night}")
    assert "scenarios.night_ride.when.light: 'night'; expected a list: write [A, B]" in message


def test_a_choice_that_is_misspelt_is_guessed(policy_file: Path) -> None:
    message = replaced(policy_file, "risk: high", "risk: hihg")
    assert message.endswith("risk: 'hihg'; expected 'low', 'medium' or 'high'; did you mean 'high'?")


def test_a_message_lists_the_first_problems_and_counts_the_others(policy_file: Path) -> None:
    keys = "".join(f"key_{number}: 1\n" for number in range(500))
    message = replaced(policy_file, "name: helmet\n", f"name: helmet\n{keys}")
    assert len(message.splitlines()) == 31
    assert message.endswith("and 470 more problems")
