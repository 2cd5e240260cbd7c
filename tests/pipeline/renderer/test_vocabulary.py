from __future__ import annotations

import pytest

from pipeline.renderer.vocabulary import HELMETS, VOCABULARY, resolve


def test_the_vocabulary_cannot_be_changed_by_a_caller() -> None:
    with pytest.raises(TypeError):
        VOCABULARY["light"] = ("dawn",)  # type: ignore[index]


def test_values_are_unique_within_their_factor() -> None:
    assert all(len(set(values)) == len(values) for values in VOCABULARY.values())


def test_helmets_are_headwear() -> None:
    assert set(HELMETS) < set(VOCABULARY["headwear"])


@pytest.mark.parametrize("factor", sorted(VOCABULARY))
def test_a_value_that_is_given_is_kept(factor: str) -> None:
    for value in VOCABULARY[factor]:
        assert resolve({factor: value}, 3)[factor] == value


def test_one_factor_given_leaves_the_others_as_they_were() -> None:
    free = resolve({}, 17)
    fixed = resolve({"place": "bridge"}, 17)
    assert {**free, "place": "bridge"} == fixed


def test_every_factor_gets_a_value_of_its_own() -> None:
    for seed in range(50):
        look = resolve({}, seed)
        assert set(look) == set(VOCABULARY)
        assert all(value in VOCABULARY[factor] for factor, value in look.items())


def test_seniors_are_mostly_grey_unless_told_otherwise() -> None:
    colours = [resolve({"age": "senior"}, seed)["hair_colour"] for seed in range(200)]
    assert 0.6 < colours.count("grey") / 200 < 0.9
    assert resolve({"age": "senior", "hair_colour": "red"}, 1)["hair_colour"] == "red"


@pytest.mark.parametrize(
    ("factors", "message"),
    [
        ({"headwear": "crown"}, "factor 'headwear', value 'crown': expected one of none, cap"),
        ({"headwear": ""}, "factor 'headwear', value ''"),
        ({"Light": "day"}, "factor 'Light', value 'day': unknown factor"),
    ],
)
def test_what_cannot_be_drawn_is_refused(factors: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        resolve(factors, 0)


def test_a_scenario_is_passed_over() -> None:
    assert "scenario" not in resolve({"scenario": "night shift"}, 0)
