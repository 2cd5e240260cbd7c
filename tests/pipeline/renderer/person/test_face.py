from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.renderer.canvas import Canvas
from pipeline.renderer.headwear.hats import Hat, draw_beanie, draw_brim_hat, draw_cap
from pipeline.renderer.palette import HEADWEAR, from_hex
from pipeline.renderer.person.face import draw_age_marks, draw_beard, draw_eyes, draw_mouth, draw_nose
from pipeline.renderer.person.hair import (
    draw_curls_behind,
    draw_front,
    draw_long_behind,
    draw_tied_behind,
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


def somebody(seed: int = 2, **factors: str) -> Person:
    look = resolve({"skin_tone": "monk_04", "gender": "androgynous", **factors}, seed)
    return sample_person(look, seed)


def paper() -> Canvas:
    """Return a sheet of plain skin to draw features on."""
    canvas = Canvas(SIZE)
    canvas.clear(somebody().skin)
    return canvas


def drawn(canvas: Canvas) -> Sheet:
    return canvas.pixels()[..., :3].astype(int)


def row(y: float) -> int:
    return int(MIDDLE[1] + y * UNIT)


def changed(after: Sheet) -> Sheet:
    return np.argwhere(np.abs(after - drawn(paper())).sum(axis=2) > 60)


def mouth(person: Person, **expression: float) -> Sheet:
    canvas = paper()
    with canvas.placed(MIDDLE, UNIT):
        draw_mouth(canvas, replace(person, expression=replace(person.expression, **expression)), AHEAD)
    return drawn(canvas)


def eyes(person: Person, **expression: float) -> Sheet:
    canvas = paper()
    with canvas.placed(MIDDLE, UNIT):
        draw_eyes(canvas, replace(person, expression=replace(person.expression, **expression)), AHEAD)
    return drawn(canvas)


def test_a_smile_lifts_the_corners_of_the_mouth() -> None:
    person = somebody()
    glum, glad = (changed(mouth(person, smile=smile, mouth_open=0.0)) for smile in (-0.3, 1.0))
    corner_heights = [spots[spots[:, 1] < np.percentile(spots[:, 1], 5)][:, 0].mean() for spots in (glum, glad)]
    assert corner_heights[1] < corner_heights[0] - 2


def test_an_open_mouth_shows_teeth() -> None:
    shut, agape = (mouth(somebody(), smile=0.6, mouth_open=gape) for gape in (0.0, 0.9))
    teeth = [(sheet[row(0.5) : row(0.9)].min(axis=2) > 185).sum() for sheet in (shut, agape)]
    assert teeth[1] > teeth[0] + 20


def test_closed_eyes_show_no_white() -> None:
    person = somebody(skin_tone="monk_08")
    awake, asleep = (eyes(person, eyes_open=wide) for wide in (1.0, 0.12))
    whites = [(sheet[row(-0.15) : row(0.15), :, 2] > 200).sum() for sheet in (awake, asleep)]
    assert whites[1] < 0.3 * whites[0]


def test_eyes_follow_the_gaze() -> None:
    left, right = (eyes(somebody(), gaze=gaze) for gaze in (-0.9, 0.9))
    dark = [np.argwhere(sheet[row(-0.1) : row(0.1)].sum(axis=2) < 150)[:, 1].mean() for sheet in (left, right)]
    assert dark[1] > dark[0] + 2


def test_two_eyes_lie_on_both_sides_of_the_nose() -> None:
    across = changed(eyes(somebody()))[:, 1]
    assert (across < 75).sum() > 100
    assert (across > 85).sum() > 100


def test_a_nose_stays_between_eyes_and_mouth() -> None:
    canvas = paper()
    with canvas.placed(MIDDLE, UNIT):
        draw_nose(canvas, somebody(), AHEAD)
    spots = changed(drawn(canvas))
    assert row(-0.3) < spots[:, 0].min()
    assert spots[:, 0].max() < row(0.62)


@pytest.mark.parametrize("kind", ["stubble", "moustache", "goatee", "full"])
def test_facial_hair_darkens_the_lower_face_alone(kind: str) -> None:
    canvas = paper()
    with canvas.placed(MIDDLE, UNIT):
        draw_beard(canvas, replace(somebody(hair_colour="black"), beard=kind), AHEAD)
    spots = changed(drawn(canvas))
    assert len(spots) > 100
    assert spots[:, 0].min() > row(0.1)


def test_a_full_beard_covers_more_than_a_moustache() -> None:
    area = {}
    for kind in ("none", "moustache", "goatee", "full"):
        canvas = paper()
        with canvas.placed(MIDDLE, UNIT):
            draw_beard(canvas, replace(somebody(hair_colour="black"), beard=kind), AHEAD)
        area[kind] = len(changed(drawn(canvas)))
    assert 0 == area["none"] < area["moustache"] < area["goatee"] < area["full"]


def test_freckles_and_wrinkles_are_drawn_for_those_who_have_them() -> None:
    person = somebody(age="young")
    marks = {}
    for name, freckles, years in (("smooth", 0.0, 0.0), ("freckled", 1.0, 0.0), ("old", 0.0, 0.95)):
        canvas = paper()
        with canvas.placed(MIDDLE, UNIT):
            draw_age_marks(canvas, replace(person, freckles=freckles, age=years), AHEAD)
        marks[name] = int((np.abs(drawn(canvas) - drawn(paper())).sum(axis=2) > 15).sum())
    assert marks["smooth"] == 0
    assert 0 < marks["freckled"] < marks["old"]


@pytest.mark.parametrize("style", VOCABULARY["hair_style"])
@pytest.mark.parametrize("colour", ["black", "blond"])
def test_hair_has_its_colour_on_every_style(style: str, colour: str) -> None:
    person = somebody(hair_style=style, hair_colour=colour)
    canvas = paper()
    with canvas.placed(MIDDLE, UNIT):
        draw_front(canvas, person, AHEAD, sample_hair_cut(person, 2), hatted=False)
    crown = drawn(canvas)[row(-0.95) : row(-0.8), 65:95].reshape(-1, 3).mean(axis=0)
    skin = np.array(somebody().skin) * 255
    assert np.abs(crown - skin).sum() > (12 if style == "shaved" else 30)
    if style != "shaved":
        assert (crown.mean() < 90) == (colour == "black")


@pytest.mark.parametrize("hang", [draw_long_behind, draw_curls_behind, draw_tied_behind])
def test_hair_behind_the_head_shows_beside_it(hang: object) -> None:
    person = somebody(hair_colour="red", gender="feminine")
    canvas = Canvas(SIZE)
    with canvas.placed(MIDDLE, UNIT):
        hang(canvas, person, AHEAD, sample_hair_cut(person, 2))
    assert canvas.pixels()[..., 3].any()


def hat(kind: str, **details: object) -> Hat:
    plain = Hat(kind, HEADWEAR["red"], from_hex("2a2a30"), gloss=0.0, height=0.5, detail=1, plain=True)
    return replace(plain, **details)


def worn(draw: object, one: Hat) -> Sheet:
    canvas = Canvas(SIZE)
    with canvas.placed(MIDDLE, UNIT):
        draw(canvas, one, AHEAD)
    return canvas.pixels().astype(int)


def test_a_lacquered_cap_shines() -> None:
    matt, glossy = (worn(draw_cap, hat("cap", gloss=gloss))[..., :3].min(axis=2).max() for gloss in (0.0, 0.8))
    assert glossy > matt + 30


def test_a_cap_worn_backwards_shows_no_bill() -> None:
    front, back = (worn(draw_cap, hat("cap", detail=detail, plain=True)) for detail in (1, 2))
    brow = slice(row(-0.3), row(-0.12)), slice(70, 90)
    assert (front[brow][..., 3] > 200).all()
    assert (back[brow][..., 3] < 250).any()


def test_a_tight_beanie_is_smooth_and_a_knitted_one_is_ribbed() -> None:
    tight, knitted = (worn(draw_beanie, hat("beanie", detail=2, plain=plain)) for plain in (True, False))
    dome = slice(row(-1.0), row(-0.85)), slice(55, 105)
    roughness = [np.abs(np.diff(sheet[dome][..., 0], axis=1)).mean() for sheet in (tight, knitted)]
    assert roughness[1] > 2 * roughness[0]


def test_only_a_knitted_beanie_may_have_a_bobble() -> None:
    plain, bobbled = (worn(draw_beanie, hat("beanie", detail=0, plain=plain)) for plain in (True, False))
    tops = [int(np.argwhere(sheet[..., 3] > 128)[:, 0].min()) for sheet in (plain, bobbled)]
    assert tops[1] < tops[0] - 5


def test_a_brim_is_wider_than_the_head() -> None:
    cover = worn(draw_brim_hat, hat("brim_hat"))[..., 3] > 128
    widest = int(cover.sum(axis=1).max())
    assert widest > 2.2 * UNIT


def test_a_taller_hat_reaches_higher() -> None:
    for draw, kind in ((draw_cap, "cap"), (draw_brim_hat, "brim_hat")):
        low, high = (worn(draw, hat(kind, height=height)) for height in (0.0, 1.0))
        tops = [int(np.argwhere(sheet[..., 3] > 128)[:, 0].min()) for sheet in (low, high)]
        assert tops[1] < tops[0], kind
