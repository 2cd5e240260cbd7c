"""Stage prompts: metrics of the distribution, and prompts added for slices."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.config.params import PromptsParams
from pipeline.config.policy import load_policy
from pipeline.errors import ParamsError
from pipeline.prompts.stage import distribution_metrics, run


@pytest.mark.parametrize("name", ["helmet", "mask"])
def test_no_shared_factor_depends_on_the_label(root: Path, name: str) -> None:
    policy = load_policy(root / "policies" / f"{name}.yaml")
    metrics = run(PromptsParams(count=2000, seeds_per_caption=2, seed=1), policy).metrics
    assert metrics["labels"] == dict.fromkeys(sorted(policy.labels), 1000)
    assert metrics["largest_label_mutual_information"] <= 0.001
    assert metrics["largest_proportion_error"] <= 0.01
    assert set(metrics["label_mutual_information"]) == {factor.name for factor in policy.factors} | {"scenario"}


def test_a_factor_that_depends_on_the_label_is_measured(root: Path) -> None:
    policy = load_policy(root / "policies" / "helmet.yaml")
    prompts = run(PromptsParams(count=2000, seeds_per_caption=2, seed=1), policy).prompts
    biased = [prompt for prompt in prompts if prompt.label == "helmet" or prompt.factors["light"] != "night"]
    metrics = distribution_metrics(policy, biased)
    assert metrics["label_mutual_information"]["light"] > 0.01
    assert metrics["largest_proportion_error"] > 0.03


def test_captions_are_positive_and_complete(root: Path) -> None:
    policy = load_policy(root / "policies" / "helmet.yaml")
    texts = [prompt.text for prompt in run(PromptsParams(count=400, seeds_per_caption=2, seed=1), policy).prompts]
    assert not any(word in text.split() for text in texts for word in ("no", "not", "without"))
    assert not any("{" in text or ", ," in text or text.endswith(",") for text in texts)
    assert any("bare-headed, short black hair visible" in text for text in texts)


def test_the_count_is_exact_even_within_a_scene(root: Path) -> None:
    policy = load_policy(root / "policies" / "helmet.yaml")
    result = run(PromptsParams(count=7, seeds_per_caption=2, seed=1), policy)
    assert len(result.prompts) == result.metrics["count"] == 7


def test_a_top_up_keeps_the_first_prompts_and_adds_some_of_each_slice(root: Path) -> None:
    policy = load_policy(root / "policies" / "helmet.yaml")
    params = PromptsParams(count=401, seeds_per_caption=2, seed=1)
    with_top_up = params.model_copy(update={"top_up": {"skin_tone=monk_10": 30, "light=night": 12, "label=helmet": 5}})
    before, after = run(params, policy).prompts, run(with_top_up, policy).prompts
    added = after[401:]
    assert after[:401] == before
    assert len({prompt.id for prompt in after}) == len(after)
    assert sum(prompt.factors["skin_tone"] == "monk_10" for prompt in added) == 30
    assert sum(prompt.factors["light"] == "night" for prompt in added) >= 12
    assert all(
        prompt.factors["skin_tone"] == "monk_10" or prompt.factors["light"] == "night" or prompt.label == "helmet"
        for prompt in added
    )
    sequence = run(params.model_copy(update={"count": 4000}), policy).prompts
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
def test_a_top_up_of_an_unknown_slice_is_an_error(root: Path, name: str, expected: str) -> None:
    policy = load_policy(root / "policies" / "helmet.yaml")
    with pytest.raises(ParamsError, match=f"top_up: {name}: {expected}"):
        run(PromptsParams(count=4, seeds_per_caption=1, seed=1, top_up={name: 3}), policy)
