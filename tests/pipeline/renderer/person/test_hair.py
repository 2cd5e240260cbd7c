from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.renderer.canvas import Canvas
from pipeline.renderer.person.hair import (
    RIM,
    draw_behind,
    draw_curls_behind,
    draw_front,
    draw_long_behind,
    draw_tied_behind,
    parallax,
    sample_hair_cut,
)
from pipeline.renderer.person.person import Person, sample_person
from pipeline.renderer.pose import Turn
from pipeline.renderer.vocabulary import VOCABULARY, resolve

AHEAD = Turn(0.0, 0.0)
SIZE = (160, 200)
MIDDLE = (80.0, 90.0)
UNIT = 60.0
Sheet = NDArray[np.int_]


def a_person(seed: int = 2, **factors: str) -> Person:
    factors = resolve({"skin_tone": "monk_04", "gender": "androgynous", **factors}, seed)
    return sample_person(factors, seed)


def skin_canvas() -> Canvas:
    """Return a canvas filled with the colour of skin."""
    canvas = Canvas(SIZE)
    canvas.clear(a_person().skin)
    return canvas


def drawn(canvas: Canvas) -> Sheet:
    return canvas.pixels()[..., :3].astype(int)


def row(y: float) -> int:
    return int(MIDDLE[1] + y * UNIT)


@pytest.mark.parametrize("style", VOCABULARY["hair_style"])
@pytest.mark.parametrize("colour", ["black", "blond"])
def test_hair_has_its_colour_on_every_style(style: str, colour: str) -> None:
    person = a_person(hair_style=style, hair_colour=colour)
    canvas = skin_canvas()
    with canvas.placed(MIDDLE, UNIT):
        draw_front(canvas, person, AHEAD, sample_hair_cut(person, 2), hatted=False)
    crown = drawn(canvas)[row(-0.95) : row(-0.8), 65:95].reshape(-1, 3).mean(axis=0)
    skin = np.array(a_person().skin) * 255
    assert np.abs(crown - skin).sum() > (12 if style == "shaved" else 30)
    if style != "shaved":
        assert (crown.mean() < 90) == (colour == "black")


@pytest.mark.parametrize("hang", [draw_long_behind, draw_curls_behind, draw_tied_behind])
def test_hair_behind_the_head_is_drawn(hang: object) -> None:
    person = a_person(hair_colour="red", gender="feminine")
    canvas = Canvas(SIZE)
    with canvas.placed(MIDDLE, UNIT):
        hang(canvas, person, AHEAD, sample_hair_cut(person, 2))
    assert canvas.pixels()[..., 3].any()


@pytest.mark.parametrize("style", [s for s in VOCABULARY["hair_style"] if s != "shaved"])
def test_headwear_hides_the_hair_above_its_rim(style: str) -> None:
    person = a_person(6, hair_style=style)
    canvas = Canvas(SIZE)
    with canvas.placed(MIDDLE, UNIT):
        draw_behind(canvas, person, AHEAD, sample_hair_cut(person, 6), hatted=True)
        draw_front(canvas, person, AHEAD, sample_hair_cut(person, 6), hatted=True)
    cover = canvas.pixels()[..., 3]
    assert not cover[: row(RIM) - 1].any()
    assert cover[row(RIM) :].any()


def test_long_hair_reaches_lower_than_short_hair() -> None:
    lowest = {}
    for style in ("short", "long"):
        person = a_person(7, hair_style=style)
        canvas = Canvas(SIZE)
        with canvas.placed(MIDDLE, UNIT):
            draw_behind(canvas, person, AHEAD, sample_hair_cut(person, 7), hatted=False)
            draw_front(canvas, person, AHEAD, sample_hair_cut(person, 7), hatted=False)
        lowest[style] = int(np.argwhere(canvas.pixels()[..., 3] > 0)[:, 0].max())
    assert lowest["long"] > lowest["short"] + 0.5 * UNIT


def test_points_before_and_behind_the_axis_move_in_opposite_directions() -> None:
    assert parallax(Turn(0.3, 0.0), 1.0) > 0 > parallax(Turn(0.3, 0.0), -1.0)
