from __future__ import annotations

import numpy as np
import pytest

from pipeline.renderer.canvas import Canvas
from pipeline.renderer.person.face import (
    draw_face,
)
from pipeline.renderer.person.glasses_and_masks import draw_glasses, draw_mask
from pipeline.renderer.person.person import Person, sample_person
from pipeline.renderer.pose import Turn
from pipeline.renderer.vocabulary import VOCABULARY, resolve

AHEAD = Turn(0.0, 0.0)
SIZE = (120, 160)
MIDDLE = (60.0, 70.0)
UNIT = 40.0


def a_person(seed: int = 0, **factors: str) -> Person:
    return sample_person(resolve(factors, seed), seed)


def head(person: Person, turn: Turn = AHEAD) -> Canvas:
    canvas = Canvas(SIZE)
    with canvas.placed(MIDDLE, UNIT):
        draw_face(canvas, person, turn)
    return canvas


def row_of(y: float) -> int:
    return int(MIDDLE[1] + y * UNIT)


def test_sunglasses_hide_the_eyes_and_clear_ones_do_not() -> None:
    person = a_person(2, skin_tone="monk_02")
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
    person = a_person(9, skin_tone="monk_07")
    bare, masked = head(person), head(person)
    with masked.placed(MIDDLE, UNIT):
        draw_mask(masked, person, AHEAD, kind, 9)
    gap = np.abs(bare.pixels().astype(int) - masked.pixels())[..., :3].mean(axis=2)
    assert gap[row_of(0.55) : row_of(0.75), 50:70].mean() > 15
    assert gap[row_of(-0.3) : row_of(-0.05), 45:75].mean() < 1
