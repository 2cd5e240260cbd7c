from __future__ import annotations

import numpy as np
import pytest

from pipeline.renderer.canvas import Canvas, argb
from pipeline.renderer.palette import BLACK, WHITE
from pipeline.renderer.paths import Disc, ellipse, ellipses, mirrored, polygon, polyline, spline

SIZE = (40, 30)
RED = (1.0, 0.0, 0.0)


def test_a_colour_becomes_one_integer() -> None:
    assert argb((1.0, 0.5, 0.0)) == 0xFFFF8000
    assert argb(WHITE, 0.0) == 0x00FFFFFF
    assert argb((2.0, -1.0, 0.0)) == 0xFFFF0000


def test_a_new_canvas_is_transparent() -> None:
    assert Canvas(SIZE).pixels().shape == (30, 40, 4)
    assert not Canvas(SIZE).pixels().any()


def test_a_filled_box_covers_its_pixels_and_no_others() -> None:
    canvas = Canvas(SIZE)
    canvas.box((10, 5, 20, 15), RED)
    cover = canvas.pixels()[..., 3]
    assert (cover[5:15, 10:20] == 255).all()
    assert cover.sum() == 255 * 100
    assert canvas.pixels()[8, 12].tolist() == [255, 0, 0, 255]


def test_colour_is_premultiplied_by_its_alpha() -> None:
    canvas = Canvas(SIZE)
    canvas.fill(polygon([(0, 0), (40, 0), (40, 30), (0, 30)]), WHITE, 0.5)
    assert canvas.pixels()[15, 20].tolist() == [128, 128, 128, 128]


def test_a_shaded_body_is_brighter_towards_the_light() -> None:
    canvas = Canvas(SIZE, key=(-0.8, -0.5), contrast=0.8)
    body = Disc(20, 15, 14, 14)
    canvas.shade(ellipse(body), (0.6, 0.5, 0.4), body)
    pixels = canvas.pixels().astype(int)
    assert pixels[10, 12, :3].sum() > pixels[22, 29, :3].sum() + 60


def test_more_contrast_makes_deeper_shade() -> None:
    darkest = []
    for contrast in (0.1, 0.9):
        canvas = Canvas(SIZE, key=(-0.8, 0.0), contrast=contrast)
        canvas.shade(ellipse(Disc(20, 15, 14, 14)), (0.6, 0.5, 0.4), Disc(20, 15, 14, 14))
        darkest.append(int(canvas.pixels()[15, 32, :3].sum()))
    assert darkest[1] < darkest[0] - 20


def test_gloss_adds_a_highlight() -> None:
    brightest = []
    for gloss in (0.0, 0.8):
        canvas = Canvas(SIZE)
        canvas.shade(ellipse(Disc(20, 15, 14, 14)), (0.2, 0.2, 0.5), Disc(20, 15, 14, 14), gloss)
        brightest.append(int(canvas.pixels()[..., :3].sum(axis=2).max()))
    assert brightest[1] > brightest[0] + 60


def test_a_blob_fades_to_nothing_at_its_rim() -> None:
    canvas = Canvas(SIZE)
    canvas.blob(Disc(20, 15, 12, 8), BLACK, 1.0)
    cover = canvas.pixels()[..., 3].astype(int)
    assert cover[15, 20] > 220
    assert cover[15, 20] > cover[15, 26] > cover[15, 30]
    assert cover[15, 33] == 0
    assert cover[24, 20] == 0


def test_a_gradient_runs_from_the_first_colour_to_the_second() -> None:
    canvas = Canvas(SIZE)
    canvas.gradient(polygon([(0, 0), (40, 0), (40, 30), (0, 30)]), ((0, 0), (40, 0)), (BLACK, WHITE), (1.0, 1.0))
    row = canvas.pixels()[10, :, 0].astype(int)
    assert row[0] < 10
    assert row[-1] > 245
    assert (np.diff(row) >= 0).all()


def test_a_clip_path_limits_what_is_drawn() -> None:
    canvas = Canvas(SIZE)
    with canvas.clipped_to(ellipse(Disc(20, 15, 5, 5))):
        canvas.clear(RED)
        canvas.box((0, 0, 40, 30), RED)
    assert canvas.pixels()[15, 20, 3] == 255
    assert canvas.pixels()[2, 2, 3] == 0


def test_a_clip_ends_with_its_block() -> None:
    canvas = Canvas(SIZE)
    with canvas.clipped_to_box((0, 0, 5, 5)):
        canvas.box((0, 0, 40, 30), RED)
    assert canvas.pixels()[20, 30, 3] == 0
    canvas.box((0, 0, 40, 30), RED)
    assert canvas.pixels()[20, 30, 3] == 255


def test_a_placed_block_has_its_own_coordinates() -> None:
    canvas = Canvas(SIZE)
    with canvas.placed((20, 15), 5.0, 90.0):
        canvas.box((-1, -2, 1, 2), RED)
    cover = canvas.pixels()[..., 3]
    assert cover[15, 12] == 255
    assert cover[15, 28] == 255
    assert cover[6, 20] == 0


def test_a_horizontally_scaled_block_is_wider() -> None:
    canvas = Canvas(SIZE)
    with canvas.scaled_horizontally(2.0):
        canvas.box((0, 0, 10, 10), RED)
    assert canvas.pixels()[5, 18, 3] == 255
    assert canvas.pixels()[5, 22, 3] == 0


def test_a_stroke_has_the_width_of_its_pen() -> None:
    canvas = Canvas(SIZE)
    canvas.lines([[(5, 15), (35, 15)]], RED, 4.0)
    assert int((canvas.pixels()[:, 20, 3] > 127).sum()) == 4


def test_a_spline_passes_through_its_points_and_bulges_between() -> None:
    canvas = Canvas(SIZE)
    canvas.fill(spline([(20, 2), (33, 15), (20, 28), (7, 15)]), RED)
    straight = Canvas(SIZE)
    straight.fill(polygon([(20, 2), (33, 15), (20, 28), (7, 15)]), RED)
    assert canvas.pixels()[..., 3].sum() > 1.1 * straight.pixels()[..., 3].sum()


def test_several_ellipses_are_one_path() -> None:
    canvas = Canvas(SIZE)
    canvas.fill(ellipses([Disc(8, 8, 4, 4), Disc(30, 20, 4, 4)]), RED)
    assert canvas.pixels()[8, 8, 3] == 255
    assert canvas.pixels()[20, 30, 3] == 255
    assert canvas.pixels()[15, 19, 3] == 0


def test_an_oval_fills_the_middle_and_leaves_the_corners() -> None:
    canvas = Canvas(SIZE)
    canvas.oval(Disc(20, 15, 10, 10), RED)
    assert canvas.pixels()[15, 20, 3] == 255
    assert canvas.pixels()[6, 11, 3] == 0


def test_lines_do_not_join_each_other() -> None:
    canvas = Canvas(SIZE)
    canvas.stroke(polyline([[(2, 5), (12, 5)], [(28, 5), (38, 5)]]), RED, 2.0)
    assert canvas.pixels()[5, 20, 3] == 0


@pytest.mark.parametrize("across", [0.0, 3.0])
def test_a_mirrored_outline_is_symmetrical(across: float) -> None:
    outline = mirrored([(1.0, 0.0), (2.0, 5.0)], across)
    assert outline == [(across + 1, 0.0), (across + 2, 5.0), (across - 2, 5.0), (across - 1, 0.0)]
