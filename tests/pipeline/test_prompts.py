from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.params import PromptsParams
from pipeline.policy import load_policy
from pipeline.prompts import describe, run


@pytest.mark.parametrize("name", ["helmet", "mask"])
def test_no_shared_factor_tells_the_label(root: Path, name: str) -> None:
    policy = load_policy(root / "policies" / f"{name}.yaml")
    metrics = run(PromptsParams(count=2000, seeds_per_caption=2, seed=1), policy).metrics
    assert metrics["labels"] == dict.fromkeys(sorted(policy.labels), 1000)
    assert metrics["largest_label_information"] <= 0.001
    assert metrics["largest_share_error"] <= 0.01
    assert set(metrics["label_information"]) == {factor.name for factor in policy.factors} | {"scenario"}


def test_a_factor_that_leans_towards_a_label_shows(root: Path) -> None:
    policy = load_policy(root / "policies" / "helmet.yaml")
    prompts = run(PromptsParams(count=2000, seeds_per_caption=2, seed=1), policy).prompts
    leaning = [prompt for prompt in prompts if prompt.label == "helmet" or prompt.factors["light"] != "night"]
    metrics = describe(policy, leaning)
    assert metrics["label_information"]["light"] > 0.01
    assert metrics["largest_share_error"] > 0.03


def test_captions_say_what_is_there(root: Path) -> None:
    policy = load_policy(root / "policies" / "helmet.yaml")
    texts = [prompt.text for prompt in run(PromptsParams(count=400, seeds_per_caption=2, seed=1), policy).prompts]
    assert not any(word in text.split() for text in texts for word in ("no", "not", "without"))
    assert not any("{" in text or ", ," in text or text.endswith(",") for text in texts)
    assert any("bare-headed, short black hair visible" in text for text in texts)


def test_a_count_that_cuts_a_scene_is_met_exactly(root: Path) -> None:
    policy = load_policy(root / "policies" / "helmet.yaml")
    result = run(PromptsParams(count=7, seeds_per_caption=2, seed=1), policy)
    assert len(result.prompts) == result.metrics["count"] == 7
