"""Prompt sampler: reproducible sequences, counterfactuals, proportions, and rules that always hold."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.config.policy import Policy, load_policy
from pipeline.errors import PolicyError
from pipeline.prompts.prompt_sampler import draw_prompts, space_size


@pytest.fixture(scope="module")
def helmet(root: Path) -> Policy:
    return load_policy(root / "policies" / "helmet.yaml")


def write_policy(path: Path, values: dict[str, Any]) -> Policy:
    path.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
    return load_policy(path)


def test_a_larger_count_keeps_the_first_prompts(helmet: Policy) -> None:
    assert draw_prompts(helmet, 1300, 2, seed=5)[:401] == draw_prompts(helmet, 401, 2, seed=5)


def test_prompts_depend_on_the_seed_only(helmet: Policy) -> None:
    assert draw_prompts(helmet, 40, 2, seed=5) == draw_prompts(helmet, 40, 2, seed=5)
    texts = {prompt.text for prompt in draw_prompts(helmet, 400, 2, seed=5)}
    assert texts.isdisjoint(prompt.text for prompt in draw_prompts(helmet, 400, 2, seed=6))


def test_ids_are_unique_and_only_counterfactuals_share_a_noise_seed(helmet: Policy) -> None:
    prompts = draw_prompts(helmet, 2000, 2, seed=5)
    assert len({prompt.id for prompt in prompts}) == 2000
    assert set(Counter(prompt.seed for prompt in prompts).values()) == {2}
    assert all(0 <= prompt.seed < 2**63 for prompt in prompts)


def test_counterfactuals_differ_only_in_factors_of_the_label(helmet: Policy) -> None:
    bare, helmeted = draw_prompts(helmet, 2, 1, seed=5)
    own = helmet.slots()
    assert (bare.label, helmeted.label) == ("no_helmet", "helmet")
    assert (bare.group, bare.seed) == (helmeted.group, helmeted.seed)
    assert {k: v for k, v in bare.factors.items() if k not in own} == {
        k: v for k, v in helmeted.factors.items() if k not in own
    }
    assert bare.factors["headwear"] != helmeted.factors["headwear"]


def test_each_caption_has_the_configured_number_of_seeds(helmet: Policy) -> None:
    prompts = draw_prompts(helmet, 600, 3, seed=5)
    assert set(Counter((prompt.group, prompt.text) for prompt in prompts).values()) == {3}


def test_values_occur_in_proportion_to_their_weights(helmet: Policy) -> None:
    prompts = draw_prompts(helmet, 2000, 2, seed=5)
    for label in helmet.labels:
        rows = [prompt.factors for prompt in prompts if prompt.label == label]
        for factor in helmet.factors_of(label):
            counts = Counter(row[factor.name] for row in rows)
            for value, share in zip(factor.values, factor.shares, strict=True):
                assert counts[value] / len(rows) == pytest.approx(share, abs=0.01), (factor.name, value)


@pytest.mark.parametrize("name", ["helmet", "mask"])
def test_no_prompt_violates_a_rule(root: Path, name: str) -> None:
    policy = load_policy(root / "policies" / f"{name}.yaml")
    for prompt in draw_prompts(policy, 2000, 2, seed=5):
        values = {**prompt.factors, "label": prompt.label}
        for rule in policy.rules:
            if all(values.get(factor) in allowed for factor, allowed in rule.when.items()):
                assert not any(values.get(factor) in never for factor, never in rule.never.items())


def test_the_size_of_the_prompt_space_is_exact(policy_file: Path, policy_values: dict[str, Any]) -> None:
    policy_values["factors"] = {
        "light": {"day": [1, "by day"], "night": [1, "at night"]},
        "glasses": {"clear": [1, "glasses"], "sunglasses": [1, "sunglasses"], "round": [1, "round glasses"]},
    }
    policy_values["labels"] = {
        "no_helmet": {"headwear": {"cap": [1, "a cap"], "beanie": [1, "a beanie"]}},
        "helmet": {"headwear": {"road_helmet": [1, "a helmet"]}},
    }
    policy_values["scenarios"] = {}
    policy_values["rules"] = [{"when": {"light": ["night"]}, "never": {"glasses": ["sunglasses"]}, "because": "dark"}]
    policy_values["caption"] = ["{headwear}", "{light}", "{glasses}"]
    policy = write_policy(policy_file, policy_values)
    assert space_size(policy) == 5 * 2 + 5 * 1
    texts = {prompt.text for prompt in draw_prompts(policy, 4000, 1, seed=1)}
    assert len(texts) == 15


def test_the_helmet_policy_has_millions_of_captions(helmet: Policy) -> None:
    assert space_size(helmet) > 10_000_000


def test_rules_that_exclude_every_scene_are_an_error_that_names_the_factors(
    policy_file: Path, policy_values: dict[str, Any]
) -> None:
    lights = list(policy_values["factors"]["light"])
    places = list(policy_values["factors"]["place"])
    policy_values["rules"].append({"when": {"light": lights}, "never": {"place": places}, "because": "nowhere to be"})
    with pytest.raises(PolicyError, match=r"exclude every picture of label no_helmet \(between .*light.*place"):
        draw_prompts(write_policy(policy_file, policy_values), 10, 1, seed=1)


def test_rules_that_exclude_a_value_are_an_error_that_names_it(
    policy_file: Path, policy_values: dict[str, Any]
) -> None:
    lights = list(policy_values["factors"]["light"])
    policy_values["rules"].append({"when": {"light": lights}, "never": {"place": ["park"]}, "because": "closed"})
    with pytest.raises(PolicyError, match="place: park can never appear with label no_helmet"):
        draw_prompts(write_policy(policy_file, policy_values), 10, 1, seed=1)


def test_scenes_are_plausible_even_if_no_swap_repairs_them(policy_file: Path, policy_values: dict[str, Any]) -> None:
    policy_values["factors"]["light"] = {"indoor": [9, "in lamp light"], "day": [1, "by day"]}
    policy_values["scenarios"] = {}
    policy_values["rules"] = policy_values["rules"][1:2]
    policy = write_policy(policy_file, policy_values)
    outdoors = {"street", "park", "bridge", "forest"}
    assert all(
        prompt.factors["place"] not in outdoors
        for prompt in draw_prompts(policy, 800, 1, seed=1)
        if prompt.factors["light"] == "indoor"
    )
