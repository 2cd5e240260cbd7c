from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.renderer.canvas import Canvas
from pipeline.renderer.person.face import (
    draw_age_marks,
    draw_beard,
    draw_eyes,
    draw_face,
    draw_mouth,
    draw_nose,
    outline,
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


def changed(after: Sheet) -> Sheet:
    return np.argwhere(np.abs(after - drawn(skin_canvas())).sum(axis=2) > 60)


def mouth(person: Person, **expression: float) -> Sheet:
    canvas = skin_canvas()
    with canvas.placed(MIDDLE, UNIT):
        draw_mouth(canvas, replace(person, expression=replace(person.expression, **expression)), AHEAD)
    return drawn(canvas)


def eyes(person: Person, **expression: float) -> Sheet:
    canvas = skin_canvas()
    with canvas.placed(MIDDLE, UNIT):
        draw_eyes(canvas, replace(person, expression=replace(person.expression, **expression)), AHEAD)
    return drawn(canvas)


def test_a_smile_lifts_the_corners_of_the_mouth() -> None:
    person = a_person()
    glum, glad = (changed(mouth(person, smile=smile, mouth_open=0.0)) for smile in (-0.3, 1.0))
    corner_heights = [spots[spots[:, 1] < np.percentile(spots[:, 1], 5)][:, 0].mean() for spots in (glum, glad)]
    assert corner_heights[1] < corner_heights[0] - 2


def test_an_open_mouth_shows_teeth() -> None:
    shut, agape = (mouth(a_person(), smile=0.6, mouth_open=gape) for gape in (0.0, 0.9))
    teeth = [(sheet[row(0.5) : row(0.9)].min(axis=2) > 185).sum() for sheet in (shut, agape)]
    assert teeth[1] > teeth[0] + 20


def test_closed_eyes_show_no_white() -> None:
    person = a_person(skin_tone="monk_08")
    awake, asleep = (eyes(person, eyes_open=wide) for wide in (1.0, 0.12))
    whites = [(sheet[row(-0.15) : row(0.15), :, 2] > 200).sum() for sheet in (awake, asleep)]
    assert whites[1] < 0.3 * whites[0]


def test_eyes_follow_the_gaze() -> None:
    left, right = (eyes(a_person(), gaze=gaze) for gaze in (-0.9, 0.9))
    dark = [np.argwhere(sheet[row(-0.1) : row(0.1)].sum(axis=2) < 150)[:, 1].mean() for sheet in (left, right)]
    assert dark[1] > dark[0] + 2


def test_the_eyes_are_on_both_sides_of_the_nose() -> None:
    across = changed(eyes(a_person()))[:, 1]
    assert (across < 75).sum() > 100
    assert (across > 85).sum() > 100


def test_the_nose_is_between_eyes_and_mouth() -> None:
    canvas = skin_canvas()
    with canvas.placed(MIDDLE, UNIT):
        draw_nose(canvas, a_person(), AHEAD)
    spots = changed(drawn(canvas))
    assert row(-0.3) < spots[:, 0].min()
    assert spots[:, 0].max() < row(0.62)


@pytest.mark.parametrize("kind", ["stubble", "moustache", "goatee", "full"])
def test_facial_hair_darkens_only_the_lower_face(kind: str) -> None:
    canvas = skin_canvas()
    with canvas.placed(MIDDLE, UNIT):
        draw_beard(canvas, replace(a_person(hair_colour="black"), beard=kind), AHEAD)
    spots = changed(drawn(canvas))
    assert len(spots) > 100
    assert spots[:, 0].min() > row(0.1)


def test_a_full_beard_covers_more_than_a_moustache() -> None:
    area = {}
    for kind in ("none", "moustache", "goatee", "full"):
        canvas = skin_canvas()
        with canvas.placed(MIDDLE, UNIT):
            draw_beard(canvas, replace(a_person(hair_colour="black"), beard=kind), AHEAD)
        area[kind] = len(changed(drawn(canvas)))
    assert 0 == area["none"] < area["moustache"] < area["goatee"] < area["full"]


def test_freckles_and_wrinkles_are_drawn_only_where_a_person_has_them() -> None:
    person = a_person(age="young")
    marks = {}
    for name, freckles, years in (("smooth", 0.0, 0.0), ("freckled", 1.0, 0.0), ("old", 0.0, 0.95)):
        canvas = skin_canvas()
        with canvas.placed(MIDDLE, UNIT):
            draw_age_marks(canvas, replace(person, freckles=freckles, age=years), AHEAD)
        marks[name] = int((np.abs(drawn(canvas) - drawn(skin_canvas())).sum(axis=2) > 15).sum())
    assert marks["smooth"] == 0
    assert 0 < marks["freckled"] < marks["old"]


def head(person: Person, turn: Turn = AHEAD) -> Canvas:
    canvas = Canvas(SIZE)
    with canvas.placed(MIDDLE, UNIT):
        draw_face(canvas, person, turn)
    return canvas


def test_wrinkles_increase_with_age() -> None:
    changes = []
    for seed in range(6):
        young, middle, old = (head(a_person(seed, age=age, gender="androgynous")).pixels() for age in VOCABULARY["age"])
        forehead = slice(row(-0.65), row(-0.3)), slice(58, 102)
        changes.append([np.abs(young[forehead].astype(int) - p[forehead]).mean() for p in (middle, old)])
    milder, stronger = np.mean(changes, axis=0)
    assert stronger > milder > 0


def test_a_face_has_eyes_darker_than_its_cheeks() -> None:
    for tone in ("monk_01", "monk_06"):
        person = a_person(2, skin_tone=tone)
        grey = head(person).pixels()[..., :3].mean(axis=2)
        across = int(MIDDLE[0] + person.build.eye_gap * UNIT)
        eye = grey[row(-0.06) : row(0.08), across - 5 : across + 5]
        cheek = grey[row(0.3) : row(0.4), across - 4 : across + 4]
        assert eye.min() < cheek.mean() - 40


def test_a_turned_head_turns_its_features() -> None:
    person = a_person(3, skin_tone="monk_02")
    ahead, turned = (head(person, turn).pixels()[..., :3].astype(int) for turn in (AHEAD, Turn(0.35, 0.0)))
    band = slice(row(-0.06), row(0.08))
    dark = [np.argwhere(p[band].sum(axis=2) < 240)[:, 1] for p in (ahead, turned)]
    within = [d[(d > 42) & (d < 118)] for d in dark]
    assert within[1].mean() > within[0].mean() + 3


def test_the_outline_encloses_the_features() -> None:
    canvas = Canvas(SIZE)
    with canvas.placed(MIDDLE, UNIT):
        canvas.fill(outline(a_person(1), AHEAD), (1.0, 1.0, 1.0))
    cover = canvas.pixels()[..., 3]
    assert cover[row(0.0), 80] == 255
    assert cover[row(0.95), 80] == 255
    assert cover[row(0.0), 5] == 0
