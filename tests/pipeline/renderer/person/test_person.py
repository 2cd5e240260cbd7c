from __future__ import annotations

import numpy as np
import pytest

from pipeline.renderer.palette import SKIN_TONES, luminance
from pipeline.renderer.person.person import Person, sample_person
from pipeline.renderer.vocabulary import VOCABULARY, resolve


def a_person(seed: int = 0, **factors: str) -> Person:
    return sample_person(resolve(factors, seed), seed)


def test_the_same_seed_is_the_same_person() -> None:
    assert a_person(4) == a_person(4)
    assert a_person(4).build != a_person(5).build


@pytest.mark.parametrize("tone", sorted(SKIN_TONES))
def test_skin_is_close_to_its_monk_tone(tone: str) -> None:
    for seed in range(20):
        gap = np.abs(np.subtract(a_person(seed, skin_tone=tone).skin, SKIN_TONES[tone]))
        assert gap.max() < 0.06


def test_hair_colours_rank_from_dark_to_light() -> None:
    level = {
        c: np.mean([luminance(a_person(s, hair_colour=c).hair) for s in range(20)]) for c in VOCABULARY["hair_colour"]
    }
    assert level["black"] < level["brown"] < level["red"] < level["blond"]


def test_only_masculine_faces_have_beards() -> None:
    assert {a_person(seed, gender="feminine").beard for seed in range(60)} == {"none"}
    assert {a_person(seed, gender="androgynous").beard for seed in range(60)} == {"none"}
    beards = {a_person(seed, gender="masculine").beard for seed in range(100)}
    assert beards == {"none", "stubble", "moustache", "goatee", "full"}


def test_genders_differ_in_build() -> None:
    feminine, masculine = ([a_person(s, gender=g).build for s in range(20)] for g in ("feminine", "masculine"))
    assert np.mean([b.jaw for b in feminine]) < np.mean([b.jaw for b in masculine]) - 0.05
    assert np.mean([b.shoulders for b in feminine]) < np.mean([b.shoulders for b in masculine]) - 0.1


def test_ages_do_not_overlap() -> None:
    years = [[a_person(s, age=age).age for s in range(20)] for age in VOCABULARY["age"]]
    assert max(years[0]) < min(years[1])
    assert max(years[1]) < min(years[2])
