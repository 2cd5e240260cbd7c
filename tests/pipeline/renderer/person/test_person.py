from __future__ import annotations

import numpy as np
import pytest

from pipeline.renderer.canvas import Canvas
from pipeline.renderer.palette import SKIN_TONES, luminance
from pipeline.renderer.person.face import draw_face, outline
from pipeline.renderer.person.glasses_and_masks import draw_glasses, draw_mask
from pipeline.renderer.person.hair import RIM, draw_behind, draw_front, parallax, sample_hair_cut
from pipeline.renderer.person.person import Person, sample_person
from pipeline.renderer.pose import Turn
from pipeline.renderer.vocabulary import VOCABULARY, resolve

AHEAD = Turn(0.0, 0.0)
SIZE = (120, 160)
MIDDLE = (60.0, 70.0)
UNIT = 40.0


def somebody(seed: int = 0, **factors: str) -> Person:
    return sample_person(resolve(factors, seed), seed)


def head(person: Person, turn: Turn = AHEAD) -> Canvas:
    canvas = Canvas(SIZE)
    with canvas.placed(MIDDLE, UNIT):
        draw_face(canvas, person, turn)
    return canvas


def row_of(y: float) -> int:
    return int(MIDDLE[1] + y * UNIT)


def test_the_same_seed_is_the_same_person() -> None:
    assert somebody(4) == somebody(4)
    assert somebody(4).build != somebody(5).build


@pytest.mark.parametrize("tone", sorted(SKIN_TONES))
def test_a_skin_is_its_tone_but_for_a_trifle(tone: str) -> None:
    for seed in range(20):
        gap = np.abs(np.subtract(somebody(seed, skin_tone=tone).skin, SKIN_TONES[tone]))
        assert gap.max() < 0.06


def test_hair_keeps_the_order_of_its_colours() -> None:
    level = {
        c: np.mean([luminance(somebody(s, hair_colour=c).hair) for s in range(20)]) for c in VOCABULARY["hair_colour"]
    }
    assert level["black"] < level["brown"] < level["red"] < level["blond"]


def test_only_masculine_faces_have_beards() -> None:
    assert {somebody(seed, gender="feminine").beard for seed in range(60)} == {"none"}
    assert {somebody(seed, gender="androgynous").beard for seed in range(60)} == {"none"}
    beards = {somebody(seed, gender="masculine").beard for seed in range(100)}
    assert beards == {"none", "stubble", "moustache", "goatee", "full"}


def test_genders_differ_in_build() -> None:
    feminine, masculine = ([somebody(s, gender=g).build for s in range(20)] for g in ("feminine", "masculine"))
    assert np.mean([b.jaw for b in feminine]) < np.mean([b.jaw for b in masculine]) - 0.05
    assert np.mean([b.shoulders for b in feminine]) < np.mean([b.shoulders for b in masculine]) - 0.1


def test_ages_do_not_overlap() -> None:
    years = [[somebody(s, age=age).age for s in range(20)] for age in VOCABULARY["age"]]
    assert max(years[0]) < min(years[1])
    assert max(years[1]) < min(years[2])


def test_wrinkles_show_with_years() -> None:
    changes = []
    for seed in range(6):
        young, middle, old = (head(somebody(seed, age=age, gender="androgynous")).pixels() for age in VOCABULARY["age"])
        forehead = slice(row_of(-0.65), row_of(-0.3)), slice(45, 75)
        changes.append([np.abs(young[forehead].astype(int) - p[forehead]).mean() for p in (middle, old)])
    milder, stronger = np.mean(changes, axis=0)
    assert stronger > milder > 0


def test_a_face_has_eyes_darker_than_its_cheeks() -> None:
    for tone in ("monk_01", "monk_06"):
        person = somebody(2, skin_tone=tone)
        grey = head(person).pixels()[..., :3].mean(axis=2)
        across = int(MIDDLE[0] + person.build.eye_gap * UNIT)
        eye = grey[row_of(-0.06) : row_of(0.08), across - 5 : across + 5]
        cheek = grey[row_of(0.3) : row_of(0.4), across - 4 : across + 4]
        assert eye.min() < cheek.mean() - 40


def test_a_turned_head_turns_its_features() -> None:
    person = somebody(3, skin_tone="monk_02")
    ahead, turned = (head(person, turn).pixels()[..., :3].astype(int) for turn in (AHEAD, Turn(0.35, 0.0)))
    band = slice(row_of(-0.06), row_of(0.08))
    dark = [np.argwhere(p[band].sum(axis=2) < 240)[:, 1] for p in (ahead, turned)]
    within = [d[(d > 35) & (d < 85)] for d in dark]
    assert within[1].mean() > within[0].mean() + 3


def test_the_outline_holds_the_features() -> None:
    canvas = Canvas(SIZE)
    with canvas.placed(MIDDLE, UNIT):
        canvas.fill(outline(somebody(1), AHEAD), (1.0, 1.0, 1.0))
    cover = canvas.pixels()[..., 3]
    assert cover[row_of(0.0), 60] == 255
    assert cover[row_of(0.95), 60] == 255
    assert cover[row_of(0.0), 10] == 0


@pytest.mark.parametrize("style", [s for s in VOCABULARY["hair_style"] if s != "shaved"])
def test_a_hat_presses_hair_down_to_below_its_rim(style: str) -> None:
    person = somebody(6, hair_style=style)
    canvas = Canvas(SIZE)
    with canvas.placed(MIDDLE, UNIT):
        draw_behind(canvas, person, AHEAD, sample_hair_cut(person, 6), hatted=True)
        draw_front(canvas, person, AHEAD, sample_hair_cut(person, 6), hatted=True)
    cover = canvas.pixels()[..., 3]
    assert not cover[: row_of(RIM) - 1].any()
    assert cover[row_of(RIM) :].any()


def test_long_hair_hangs_lower_than_short() -> None:
    lowest = {}
    for style in ("short", "long"):
        person = somebody(7, hair_style=style)
        canvas = Canvas(SIZE)
        with canvas.placed(MIDDLE, UNIT):
            draw_behind(canvas, person, AHEAD, sample_hair_cut(person, 7), hatted=False)
            draw_front(canvas, person, AHEAD, sample_hair_cut(person, 7), hatted=False)
        lowest[style] = int(np.argwhere(canvas.pixels()[..., 3] > 0)[:, 0].max())
    assert lowest["long"] > lowest["short"] + 0.5 * UNIT


def test_what_lies_deep_moves_with_the_turn() -> None:
    assert parallax(Turn(0.3, 0.0), 1.0) > 0 > parallax(Turn(0.3, 0.0), -1.0)


def test_sunglasses_hide_the_eyes_and_clear_ones_do_not() -> None:
    person = somebody(2, skin_tone="monk_02")
    level = {}
    for kind in VOCABULARY["glasses"]:
        canvas = head(person)
        with canvas.placed(MIDDLE, UNIT):
            draw_glasses(canvas, person, AHEAD, kind, 2)
        across = int(MIDDLE[0] + person.build.eye_gap * UNIT)
        level[kind] = canvas.pixels()[row_of(0.06) : row_of(0.12), across - 4 : across + 4, :3].mean()
    assert level["sunglasses"] < 0.6 * level["clear"]
    assert level["sunglasses"] < 0.6 * level["none"]


@pytest.mark.parametrize("kind", [m for m in VOCABULARY["face_mask"] if m != "none"])
def test_a_mask_covers_the_mouth_and_leaves_the_eyes(kind: str) -> None:
    person = somebody(9, skin_tone="monk_07")
    bare, masked = head(person), head(person)
    with masked.placed(MIDDLE, UNIT):
        draw_mask(masked, person, AHEAD, kind, 9)
    gap = np.abs(bare.pixels().astype(int) - masked.pixels())[..., :3].mean(axis=2)
    assert gap[row_of(0.55) : row_of(0.75), 50:70].mean() > 15
    assert gap[row_of(-0.3) : row_of(-0.05), 45:75].mean() < 1
