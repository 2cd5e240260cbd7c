from __future__ import annotations

import numpy as np
import pytest

from pipeline.renderer.canvas import Canvas
from pipeline.renderer.person.hands import draw_fingers, draw_held_helmet, draw_stray_hand
from pipeline.renderer.pose import sample_pose
from pipeline.renderer.vocabulary import VOCABULARY

SIZE = (120, 160)
UNIT = 22.0


def test_fingers_have_the_colour_of_the_skin() -> None:
    canvas = Canvas(SIZE)
    draw_fingers(canvas, (0.6, 0.4, 0.3), (60.0, 80.0), 30.0, 0.0)
    median = np.median(canvas.pixels()[canvas.pixels()[..., 3] > 250][:, :3], axis=0)
    assert np.abs(median / 255 - (0.6, 0.4, 0.3)).max() < 0.2


@pytest.mark.parametrize("framing", VOCABULARY["framing"])
def test_a_held_helmet_lies_in_the_lower_half(framing: str) -> None:
    for seed in range(12):
        canvas = Canvas(SIZE)
        with canvas.placed((60.0, 160.0), 160.0):
            draw_held_helmet(canvas, (0.6, 0.4, 0.3), "red", sample_pose(framing, seed), seed)
        rows = np.argwhere(canvas.pixels()[..., 3] > 128)[:, 0]
        assert rows.min() > 70
        assert len(rows) > 150


def test_a_stray_hand_comes_in_from_either_side() -> None:
    sides = set()
    for seed in range(12):
        canvas = Canvas(SIZE)
        with canvas.placed((60.0, 80.0), UNIT):
            draw_stray_hand(canvas, (0.6, 0.4, 0.3), seed)
        sides.add(bool(np.argwhere(canvas.pixels()[..., 3])[:, 1].mean() > 60))
    assert sides == {True, False}
