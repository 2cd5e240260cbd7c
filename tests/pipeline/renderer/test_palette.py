from __future__ import annotations

import pytest

from pipeline.renderer.palette import (
    BLACK,
    CLOTH,
    HAIR,
    HEADWEAR,
    SKIN_TONES,
    WHITE,
    Colour,
    from_hex,
    jitter,
    luminance,
    mix,
    scale,
    shadow_of,
    tint,
)
from pipeline.renderer.random_streams import stream

EVERY: list[Colour] = [
    *SKIN_TONES.values(),
    *CLOTH.values(),
    *HEADWEAR.values(),
    *(c for kind in HAIR.values() for c in kind),
]


def test_a_code_reads_as_red_green_blue() -> None:
    assert from_hex("ff8000") == pytest.approx((1.0, 128 / 255, 0.0))


def test_the_ends_of_the_monk_scale_are_the_published_ones() -> None:
    assert SKIN_TONES["monk_01"] == from_hex("f6ede4")
    assert SKIN_TONES["monk_10"] == from_hex("292420")


@pytest.mark.parametrize("colour", EVERY)
def test_every_colour_lies_within_zero_and_one(colour: Colour) -> None:
    assert all(0 <= channel <= 1 for channel in colour)


def test_mix_runs_from_the_first_to_the_second() -> None:
    assert mix(BLACK, WHITE, 0.0) == BLACK
    assert mix(BLACK, WHITE, 1.0) == WHITE
    assert mix(BLACK, WHITE, 0.25) == pytest.approx((0.25, 0.25, 0.25))


def test_scale_and_tint_never_exceed_white() -> None:
    assert scale((0.8, 0.5, 0.1), 2.0) == (1.0, 1.0, 0.2)
    assert tint((0.8, 0.5, 0.1), (2.0, 1.0, 0.5)) == (1.0, 0.5, 0.05)


def test_luminance_weighs_green_most_and_blue_least() -> None:
    assert luminance((0, 1, 0)) > luminance((1, 0, 0)) > luminance((0, 0, 1))
    assert luminance(WHITE) == pytest.approx(1.0)


@pytest.mark.parametrize("colour", [BLACK, WHITE, (0.5, 0.2, 0.9)])
def test_jitter_stays_near_and_within_bounds(colour: Colour) -> None:
    rng = stream(5, "test")
    for _ in range(200):
        varied = jitter(rng, colour, 0.05)
        assert all(0 <= channel <= 1 for channel in varied)
        assert max(abs(a - b) for a, b in zip(varied, colour, strict=True)) <= 0.13


@pytest.mark.parametrize("tone", sorted(SKIN_TONES))
def test_skin_in_shadow_is_darker_and_as_warm(tone: str) -> None:
    skin, shade = SKIN_TONES[tone], shadow_of(SKIN_TONES[tone])
    assert luminance(shade) < 0.65 * luminance(skin)
    assert shade[0] / shade[2] >= skin[0] / skin[2]


@pytest.mark.parametrize("table", [CLOTH, HEADWEAR])
def test_colours_of_one_table_differ_clearly(table: dict[str, Colour]) -> None:
    names = sorted(table)
    for at, first in enumerate(names):
        for second in names[:at]:
            gap = sum(abs(a - b) for a, b in zip(table[first], table[second], strict=True))
            assert gap > 0.25, (first, second)
