"""A policy is checked against the generator, the verifier and the renderer that params.yaml chooses."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.config.params import Params
from pipeline.config.policy import Policy, load_policy
from pipeline.config.policy_check import check_policy, examine
from pipeline.errors import PolicyError

Change = Callable[[dict[str, Any]], None]


@pytest.fixture
def hair_net(policy_file: Path, policy_values: dict[str, Any]) -> Policy:
    """The helmet policy with hair nets in place of helmets."""
    net = {"net": [1, "wearing a white disposable hair net"]}
    policy_values["labels"]["helmet"]["headwear"] = net
    policy_file.write_text(yaml.safe_dump(policy_values, sort_keys=False), encoding="utf-8")
    return load_policy(policy_file)


def params(root: Path, change: Change = lambda _: None) -> Params:
    values = yaml.safe_load((root / "params.yaml").read_text(encoding="utf-8"))
    change(values)
    return Params.model_validate(values)


def told(params: Params, policy: Policy) -> str:
    lines: list[str] = []
    check_policy(params, policy, "p.yaml", lines.append)
    return "\n".join(lines)


@pytest.mark.parametrize("name", ["helmet", "mask"])
def test_the_policies_that_come_with_gossamer_are_known_to_all_parts(root: Path, name: str) -> None:
    def mixed(values: dict[str, Any]) -> None:
        values["generate"]["mix"] = {"rendered": 0.25}

    comparisons = examine(params(root, mixed), load_policy(root / "policies" / f"{name}.yaml"))
    assert [comparison.summary.partition(":")[0] for comparison in comparisons] == [
        "generator stable_diffusion (preset bundled)",
        "generator rendered (generate.mix)",
        "verifier attributes",
        "renderer of the selfies",
    ]
    assert re.fullmatch(r".*: knows all \d+ words of the policy", comparisons[0].summary)
    assert "checks the labels by" in comparisons[2].summary
    assert comparisons[1].summary.endswith("draws all factors and values of the policy")
    assert comparisons[3].summary.endswith("draws all factors and values of the policy")


def test_a_label_that_the_bundled_model_would_draw_as_something_else_is_refused_with_ways_out(
    root: Path, hair_net: Policy
) -> None:
    with pytest.raises(PolicyError) as caught:
        told(params(root), hair_net)
    message = str(caught.value)
    assert message.startswith("p.yaml labels.helmet.headwear.net: 'wearing a white disposable hair net': does not know")
    assert "disposable, net" in message
    ways_out = ("preset: sd15, turbo, sdxl", "dataset.source: photos", "prompts.allow_unknown_words: true")
    assert all(way_out in message for way_out in ways_out)


def allow(values: dict[str, Any]) -> None:
    values["generate"]["mix"] = {}
    values["prompts"]["allow_unknown_words"] = True


def another_preset(values: dict[str, Any]) -> None:
    values["generate"]["mix"] = {}
    values["generate"]["stable_diffusion"]["preset"] = "sd15"


def photographs(values: dict[str, Any]) -> None:
    values["dataset"]["source"] = "photos"


@pytest.mark.parametrize("way_out", [allow, another_preset, photographs])
def test_each_way_out_lets_the_policy_pass_and_tells_what_verifier_and_renderer_do_not_know(
    root: Path, hair_net: Policy, way_out: Change
) -> None:
    printed = told(params(root, way_out), hair_net)
    assert ("does not know disposable, net" in printed) == (way_out is allow)
    assert "verifier attributes: cannot check the labels" in printed
    assert "labels.helmet.headwear.net: cannot draw it; expected none, cap" in printed
    assert "selfies.count: 0, selfies.photographs, measure.headline" in printed


def test_what_the_renderer_cannot_draw_is_refused_where_it_is_the_generator(root: Path, hair_net: Policy) -> None:
    def rendered(values: dict[str, Any]) -> None:
        allow(values)
        values["generate"]["generator"] = "rendered"

    with pytest.raises(PolicyError, match=r"p\.yaml labels\.helmet\.headwear\.net: cannot draw it"):
        told(params(root, rendered), hair_net)


def test_a_generator_of_the_mix_that_cannot_draw_a_label_is_refused_with_a_way_out(
    root: Path, hair_net: Policy
) -> None:
    def mixed(values: dict[str, Any]) -> None:
        another_preset(values)
        values["generate"]["mix"] = {"rendered": 0.1}

    with pytest.raises(PolicyError, match=r"(?s)headwear\.net: cannot draw it.*set generate\.mix: \{\} so that"):
        told(params(root, mixed), hair_net)


def test_with_photographs_throughout_neither_generator_nor_renderer_is_checked(root: Path, hair_net: Policy) -> None:
    def photographed(values: dict[str, Any]) -> None:
        photographs(values)
        values["selfies"] |= {"count": 0, "photographs": [{"name": "street", "folder": "f", "licence": "our own"}]}
        values["measure"]["headline"] = "street"
        values["curate"]["verifier"] = "clip"

    assert told(params(root, photographed), hair_net) == "verifier clip: checks the labels by headwear"
