"""What a generator, a verifier or a renderer has not learned is found before anything is drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.config.policy import Policy, load_policy
from pipeline.config.vocabulary import (
    MAX_GAPS,
    Comparison,
    Vocabulary,
    compare_labels,
    compare_values,
    compare_words,
    words_of,
)

KNOWN = Vocabulary(
    words={"photo", "bare", "headed", "wearing", "white", "cap", "helmet", "street", "hair"}, unclear={"a"}
)
BARE = {"headwear": {"none": [1, "bare-headed"], "cap": [1, "wearing a white cap"]}}


def policy(folder: Path, label: dict[str, Any], **changes: Any) -> Policy:
    values = {
        "name": "net",
        "question": "Is it worn?",
        "labels": {"bare": BARE, "worn": label},
        "factors": {"place": {"street": [1, "a street"]}},
        "caption": ["photo", "{headwear}", "{place}"],
        **changes,
    }
    path = folder / "policy.yaml"
    path.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
    return load_policy(path)


def refused(comparison: Comparison) -> list[str]:
    return [gap.place for gap in comparison.gaps if gap.is_refused]


def noted(comparison: Comparison) -> list[str]:
    return [gap.place for gap in comparison.gaps if not gap.is_refused]


def test_words_are_letters_in_small_letters_without_names_in_braces() -> None:
    assert words_of("Wearing a {hat_colour} N95, a WHITE mask") == ["wearing", "a", "n", "white", "mask"]


def test_a_policy_whose_words_are_all_known_has_no_gaps(tmp_path: Path) -> None:
    known = policy(tmp_path, {"headwear": {"helmet": [1, "wearing a helmet"]}})
    assert list(compare_words("g", KNOWN, known, "do this").lines()) == ["g: knows all 9 words of the policy"]


def test_a_label_whose_only_words_have_an_unknown_one_is_refused(tmp_path: Path) -> None:
    compared = compare_words("g", KNOWN, policy(tmp_path, {"headwear": {"net": [1, "wearing a white hair net"]}}), "so")
    assert refused(compared) == ["labels.worn.headwear.net"]
    assert compared.gaps[0].problem == "'wearing a white hair net': does not know net"
    assert compared.summary == "g: knows 9 of 10 words of the policy, not net"
    assert list(compared.lines())[-1] == "  so"


def test_a_value_of_a_label_whose_own_words_are_all_unknown_is_refused_beside_a_known_one(tmp_path: Path) -> None:
    label = {"headwear": {"helmet": [1, "wearing a helmet"], "net": [1, "wearing a white net"]}}
    assert refused(compare_words("g", KNOWN, policy(tmp_path, label), "")) == ["labels.worn.headwear.net"]


def test_a_value_of_a_label_with_a_known_word_of_its_own_is_noted_beside_a_known_one(tmp_path: Path) -> None:
    values = {"helmet": [1, "wearing a helmet"], "aero": [1, "wearing an aero helmet"]}
    compared = compare_words("g", KNOWN, policy(tmp_path, {"headwear": values}), "")
    assert (refused(compared), noted(compared)) == ([], ["labels.worn.headwear.aero"])


def test_a_value_of_weight_zero_needs_no_known_words(tmp_path: Path) -> None:
    values = {"helmet": [1, "wearing a helmet"], "net": [0, "wearing a net"]}
    assert compare_words("g", KNOWN, policy(tmp_path, {"headwear": values}), "").gaps == ()


def test_unknown_words_of_a_shared_factor_and_of_the_caption_are_noted(tmp_path: Path) -> None:
    known = {"headwear": {"helmet": [1, "wearing a helmet"]}}
    changes = {"factors": {"place": {"ward": [1, "hospital"]}}, "caption": ["snapshot", "{headwear}", "{place}"]}
    compared = compare_words("g", KNOWN, policy(tmp_path, known, **changes), "")
    assert (refused(compared), noted(compared)) == ([], ["caption.0", "factors.place.ward"])


def test_unknown_words_that_a_label_names_in_braces_are_refused(tmp_path: Path) -> None:
    label = {"headwear": {"kind": [1, "wearing a {kind}"]}, "kind": {"net": [1, "net"], "cover": [1, "cover"]}}
    assert refused(compare_words("g", KNOWN, policy(tmp_path, label), "")) == ["labels.worn.headwear.kind"]


def test_a_label_that_captions_do_not_mention_is_refused(tmp_path: Path) -> None:
    unsaid = policy(tmp_path, {"headwear": {"helmet": [1, "wearing a helmet"]}}, caption=["photo", "{place}"])
    for vocabulary in (KNOWN, Vocabulary()):
        compared = compare_words("g", vocabulary, unsaid, "")
        assert refused(compared) == ["labels.bare", "labels.worn"]
        assert "expected {headwear} in the caption" in compared.gaps[0].problem


def test_a_word_much_like_a_known_one_is_guessed(tmp_path: Path) -> None:
    compared = compare_words("g", KNOWN, policy(tmp_path, {"headwear": {"h": [1, "wearing a hemlet"]}}), "")
    assert compared.summary.endswith("not hemlet (did you mean helmet?)")


def test_a_generator_of_any_words_has_no_gaps(tmp_path: Path) -> None:
    odd = policy(tmp_path, {"headwear": {"net": [1, "wearing a disposable hair net"]}})
    assert list(compare_words("g", Vocabulary(), odd, "").lines()) == ["g: takes any words"]


@pytest.mark.parametrize("refuse", [True, False])
def test_factors_and_values_that_a_renderer_cannot_draw_are_found(tmp_path: Path, *, refuse: bool) -> None:
    odd = policy(tmp_path, {"headwear": {"net": [1, "a net"]}, "tie": {"knot": [1, "a knot"]}})
    compared = compare_values("r", {"headwear": ("none", "cap"), "place": ("street",)}, odd, "so", refuse=refuse)
    assert [(gap.place, gap.is_refused) for gap in compared.gaps] == [
        ("labels.worn.headwear.net", refuse),
        ("labels.worn.tie", refuse),
    ]
    assert compared.gaps[0].problem == "cannot draw it; expected none, cap"
    drawable = {"headwear": ("none", "cap", "net"), "tie": ("knot",), "place": ("street",)}
    assert compare_values("r", drawable, odd, "so", refuse=refuse).gaps == ()


def test_a_verifier_that_learned_no_value_of_a_label_cannot_check_the_labels(tmp_path: Path) -> None:
    odd = policy(tmp_path, {"headwear": {"net": [1, "a net"], "hood": [1, "a hood"]}})
    compared = compare_labels("v", {"headwear": ("none", "cap")}, odd, "so")
    assert compared.summary == "v: cannot check the labels"
    assert compared.gaps[0].problem == "it learned no values of headwear that tell them apart"
    compared = compare_labels("v", {"headwear": ("none", "hood")}, odd, "so")
    assert compared.summary == "v: checks the labels by headwear"
    assert noted(compared) == ["labels.bare.headwear.cap", "labels.worn.headwear.net"]
    assert compare_labels("v", None, odd, "so").gaps == ()


def test_a_long_list_of_gaps_is_cut(tmp_path: Path) -> None:
    values = {f"v{number}": [1, f"qua{chr(97 + number)}"] for number in range(25)}
    lines = list(compare_words("g", KNOWN, policy(tmp_path, {"headwear": values}), "so").lines())
    assert lines[MAX_GAPS + 1 :] == ["  and 5 more", "  so"]
