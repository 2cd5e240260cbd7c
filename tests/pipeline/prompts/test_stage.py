from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.config.params import PromptsParams
from pipeline.config.policy import load_policy
from pipeline.errors import ParamsError
from pipeline.prompts.stage import describe, run


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


def test_a_top_up_keeps_the_first_prompts_and_adds_what_a_slice_wants(root: Path) -> None:
    policy = load_policy(root / "policies" / "helmet.yaml")
    first = PromptsParams(count=401, seeds_per_caption=2, seed=1)
    more = first.model_copy(update={"top_up": {"skin_tone=monk_10": 30, "light=night": 12, "label=helmet": 5}})
    before, after = run(first, policy).prompts, run(more, policy).prompts
    added = after[401:]
    assert after[:401] == before
    assert len({prompt.id for prompt in after}) == len(after)
    assert sum(prompt.factors["skin_tone"] == "monk_10" for prompt in added) == 30
    assert sum(prompt.factors["light"] == "night" for prompt in added) >= 12
    assert all(
        prompt.factors["skin_tone"] == "monk_10" or prompt.factors["light"] == "night" or prompt.label == "helmet"
        for prompt in added
    )
    sequence = run(first.model_copy(update={"count": 4000}), policy).prompts
    assert all(prompt in sequence for prompt in added)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "skin_tone=monk_11",
            "no such slice in policy helmet; expected factor=value, skin_tone= one of monk_01, monk_02",
        ),
        ("colour=red", "no such slice in policy helmet; expected factor=value, one of label"),
        ("night", "no such slice"),
    ],
)
def test_a_top_up_of_an_unknown_slice_is_refused(root: Path, name: str, expected: str) -> None:
    policy = load_policy(root / "policies" / "helmet.yaml")
    with pytest.raises(ParamsError, match=f"top_up: {name}: {expected}"):
        run(PromptsParams(count=4, seeds_per_caption=1, seed=1, top_up={name: 3}), policy)
