from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pipeline.renderer.canvas import Canvas
from pipeline.renderer.headwear.hats import Hat, draw_beanie, draw_brim_hat, draw_cap
from pipeline.renderer.palette import HEADWEAR, from_hex
from pipeline.renderer.pose import Turn

AHEAD = Turn(0.0, 0.0)
SIZE = (160, 200)
MIDDLE = (80.0, 90.0)
UNIT = 60.0
Sheet = NDArray[np.int_]


def row(y: float) -> int:
    return int(MIDDLE[1] + y * UNIT)


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
