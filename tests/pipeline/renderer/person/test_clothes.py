from __future__ import annotations

import numpy as np
import pytest

from pipeline.renderer.canvas import Canvas
from pipeline.renderer.palette import CLOTH
from pipeline.renderer.person.clothes import Outfit, draw_body, sample_outfit
from pipeline.renderer.person.person import Person, sample_person
from pipeline.renderer.vocabulary import VOCABULARY, resolve

SIZE = (120, 160)
MIDDLE = (60.0, 40.0)
UNIT = 22.0


def a_person(seed: int = 1) -> Person:
    return sample_person(resolve({"gender": "masculine", "skin_tone": "monk_04"}, seed), seed)


def body(outfit: Outfit, person: Person) -> np.ndarray:
    canvas = Canvas(SIZE)
    with canvas.placed(MIDDLE, UNIT):
        draw_body(canvas, person, outfit)
    return canvas.pixels()


def plain_seed(kind: str) -> int:
    """Return a seed whose garment has no pattern and whose arms hang."""
    return next(
        s for s in range(200) if (o := sample_outfit(kind, "red", a_person(), s)).pattern == "plain" and not o.reaching
    )


@pytest.mark.parametrize("kind", VOCABULARY["clothing"])
@pytest.mark.parametrize("colour", ["red", "blue", "green"])
def test_a_garment_shows_its_colour(kind: str, colour: str) -> None:
    pixels = body(sample_outfit(kind, colour, a_person(), plain_seed(kind)), a_person())[90:150, 38:82, :3].reshape(
        -1, 3
    )
    median = np.median(pixels.astype(float), axis=0)
    assert int(np.argmax(median)) == int(np.argmax(CLOTH[colour]))


def test_garments_differ_from_each_other() -> None:
    person = a_person()
    sheets = [body(sample_outfit(kind, "blue", person, 3), person).astype(int) for kind in VOCABULARY["clothing"]]
    assert min(np.abs(a - b).mean() for at, a in enumerate(sheets) for b in sheets[:at]) > 0.5


def test_only_a_t_shirt_shows_bare_arms() -> None:
    person = a_person()
    skin = np.array(person.skin) * 255
    bare = {}
    for kind in ("t_shirt", "jumper"):
        pixels = body(sample_outfit(kind, "blue", person, plain_seed(kind)), person)[125:155].astype(float)
        near = np.abs(pixels[..., :3] - skin).max(axis=2) < 60
        bare[kind] = int((near & (pixels[..., 3] > 250)).sum())
    assert bare["t_shirt"] > 80
    assert bare["jumper"] < 20


def test_a_hi_vis_vest_has_bright_bands() -> None:
    person = a_person()
    bright = {}
    for kind in ("hi_vis_vest", "jumper"):
        pixels = body(sample_outfit(kind, "black", person, plain_seed(kind)), person)[..., :3]
        bright[kind] = int((pixels[80:].min(axis=2) > 150).sum())
    assert bright["hi_vis_vest"] > 300 > bright["jumper"]


def test_the_shoulders_follow_the_build() -> None:
    widths = []
    for gender in ("feminine", "masculine"):
        person = sample_person(resolve({"gender": gender}, 5), 5)
        cover = body(sample_outfit("jumper", "red", person, plain_seed("jumper")), person)[..., 3]
        widths.append(int((cover[90] > 128).sum()))
    assert widths[0] < widths[1]


def test_about_a_third_of_the_people_hold_out_an_arm() -> None:
    reaching = [sample_outfit("jumper", "red", a_person(), seed).reaching for seed in range(200)]
    assert {-1.0, 0.0, 1.0} == set(reaching)
    assert 100 < reaching.count(0.0) < 165


def test_a_reaching_arm_leaves_the_picture_at_its_side() -> None:
    person = a_person()
    seed = next(s for s in range(100) if sample_outfit("jumper", "red", person, s).reaching == 1.0)
    cover = body(sample_outfit("jumper", "red", person, seed), person)[..., 3]
    assert cover[108, 116] > 200
    assert cover[108, 3] == 0
