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
def test_a_given_value_is_kept(factor: str) -> None:
    for value in VOCABULARY[factor]:
        assert resolve({factor: value}, 3)[factor] == value


def test_a_given_factor_does_not_change_the_others() -> None:
    free = resolve({}, 17)
    fixed = resolve({"place": "bridge"}, 17)
    assert {**free, "place": "bridge"} == fixed


def test_every_factor_gets_one_of_its_values() -> None:
    for seed in range(50):
        factors = resolve({}, seed)
        assert set(factors) == set(VOCABULARY)
        assert all(value in VOCABULARY[factor] for factor, value in factors.items())


def test_seniors_are_mostly_grey_unless_a_hair_colour_is_given() -> None:
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
def test_unknown_factors_and_values_are_errors(factors: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        resolve(factors, 0)


def test_the_scenario_is_ignored() -> None:
    assert "scenario" not in resolve({"scenario": "night shift"}, 0)
