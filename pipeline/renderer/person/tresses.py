"""Hair that hangs behind the head: long, curly, or tied."""

from __future__ import annotations

from math import cos, pi, sin

from pipeline.renderer.canvas import Brush
from pipeline.renderer.palette import BLACK, scale
from pipeline.renderer.paths import Disc, Point, ellipses, spline
from pipeline.renderer.person.cut import Cut, lean
from pipeline.renderer.person.person import Person
from pipeline.renderer.pose import Turn
from pipeline.renderer.random_streams import stream


def hang_long(brush: Brush, person: Person, turn: Turn, cut: Cut) -> None:
    """Draw long hair behind neck and shoulders."""
    shift, wide, low = lean(turn, -0.15), 0.93 + cut.volume, cut.length
    half: list[Point] = [
        (0.5, -0.9),
        (wide - 0.08, -0.45),
        (wide, 0.2),
        (wide + 0.06, 0.85),
        (wide * 0.94, low),
        (0.5, low + 0.12),
    ]
    right = [(x + shift, y) for x, y in half]
    left = [(-x + shift, y + 0.05) for x, y in half[::-1]]
    shape = spline([*right, *left])
    brush.shade(shape, scale(person.hair, 0.72), Disc(shift, 0.3, 1.0, 1.6))
    rng = stream(cut.seed, "hair/behind")
    with brush.inside(shape):
        strands = [
            [(x, -0.5), (x * 1.12 + rng.uniform(-0.08, 0.08), 0.5), (x * 1.1, low)] for x in rng.uniform(-1.0, 1.0, 14)
        ]
        brush.lines(strands, scale(person.hair, 1.25), 0.03, 0.4)
        brush.blob(Disc(0.0, 1.0, 0.75, 0.6), BLACK, 0.45)


def hang_curls(brush: Brush, person: Person, turn: Turn, cut: Cut) -> None:
    """Draw the cloud of curls behind the head."""
    rng = stream(cut.seed, "hair/curls")
    reach = 0.98 + cut.volume
    shift = lean(turn, -0.12)
    spread = rng.uniform(0.0, 2 * pi, 34)
    radii = rng.uniform(0.16, 0.27, 34)
    low = 0.10 + 0.4 * person.femininity
    discs = [
        Disc(reach * 0.9 * cos(a) + shift, -0.25 + (reach if sin(a) < 0 else low + 0.45) * 0.88 * sin(a), r, r)
        for a, r in zip(spread, radii, strict=True)
    ]
    brush.fill(ellipses([*discs, Disc(shift, -0.28, reach * 0.96, reach * 0.96)]), scale(person.hair, 0.70))


def hang_tail(brush: Brush, person: Person, turn: Turn, cut: Cut) -> None:
    """Draw a bun on the crown or a tail over one shoulder."""
    side = 1.0 if cut.part > 0 else -1.0
    if abs(cut.part) > 0.25:
        bun = Disc(lean(turn, -0.5) + side * 0.08, -1.16, 0.30, 0.27)
        brush.shade(ellipses([bun]), person.hair, bun)
        return
    x = side * 0.86
    tail = spline(
        [(x * 0.75, -0.35), (x * 1.1, 0.1), (x * 1.22, 0.8), (x * 1.0, cut.length), (x * 0.78, 0.9), (x * 0.7, 0.2)]
    )
    brush.shade(tail, scale(person.hair, 0.85), Disc(x, 0.5, 0.5, 1.2))
