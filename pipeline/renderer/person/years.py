"""What time writes on a face: freckles, lines and facial hair."""

from __future__ import annotations

from pipeline.renderer.canvas import Brush
from pipeline.renderer.palette import WHITE, from_hex, mix, scale, shadow_of
from pipeline.renderer.paths import Disc, spline
from pipeline.renderer.person.person import Person
from pipeline.renderer.pose import Turn


def draw_years(brush: Brush, person: Person, turn: Turn) -> None:
    """Draw freckles, and the lines that years leave."""
    dark = shadow_of(person.skin)
    years = person.years
    if person.freckles:
        spots = [(0.1 * at - 0.45, 0.2 + 0.07 * ((at * 7) % 3)) for at in range(10)]
        for x, y in turn.on_faces(spots):
            brush.oval(Disc(x, y, 0.018, 0.016), dark, 0.45 * person.freckles)
    if years < 0.3:
        return
    smile = [[(s * 0.19, 0.36), (s * 0.31, 0.48), (s * 0.36, 0.66)] for s in (-1, 1)]
    bags = [[(s * 0.20, 0.12), (s * 0.31, 0.165), (s * 0.43, 0.11)] for s in (-1, 1)]
    feet = [[(s * 0.50, 0.01 + k), (s * 0.62, 2.2 * k)] for s in (-1, 1) for k in (-0.04, 0.0, 0.05)]
    brow = [[(-0.36, y), (-0.1, y - 0.025), (0.15, y - 0.01), (0.38, y + 0.01)] for y in (-0.40, -0.50, -0.59)]
    frown = [[(s * 0.05, -0.30), (s * 0.045, -0.18)] for s in (-1, 1)]
    jowl = [[(s * 0.33, 0.72), (s * 0.36, 0.88)] for s in (-1, 1)]
    folds = smile + bags + (feet + brow + frown + jowl if years > 0.7 else brow[:1])
    placed = [turn.on_faces(line) for line in folds]
    brush.lines(placed, dark, 0.03, 0.22 + 0.32 * years)
    brush.lines(
        [[(x, y + 0.03) for x, y in line] for line in placed], mix(person.skin, WHITE, 0.35), 0.022, 0.10 + 0.14 * years
    )


def draw_beard(brush: Brush, person: Person, turn: Turn) -> None:
    """Draw stubble, moustache, goatee or full beard."""
    if person.beard == "none":
        return
    colour = mix(person.hair, from_hex("b5b3b0"), 0.75 if person.years > 0.7 else 0.0)
    colour = mix(colour, shadow_of(person.skin), 0.35)
    full = [
        (-0.74, 0.22),
        (-0.58, 0.40),
        (-0.34, 0.47),
        (0.0, 0.46),
        (0.34, 0.47),
        (0.58, 0.40),
        (0.74, 0.22),
        (0.8, 0.9),
        (0.0, 1.2),
        (-0.8, 0.9),
    ]
    chin = [
        (-0.24, 0.52),
        (0.0, 0.47),
        (0.24, 0.52),
        (0.27, 0.68),
        (0.19, 0.98),
        (0.0, 1.08),
        (-0.19, 0.98),
        (-0.27, 0.68),
    ]
    moustache = [(-0.30, 0.60), (-0.16, 0.485), (0.0, 0.475), (0.16, 0.485), (0.30, 0.60), (0.0, 0.57)]
    spots = {"full": full, "stubble": full, "goatee": chin, "moustache": moustache}[person.beard]
    if person.beard == "stubble":
        colour = mix(scale(person.hair, 0.6), shadow_of(person.skin), 0.5)
    alpha = 0.32 if person.beard == "stubble" else 0.80
    shape = spline(turn.on_faces(spots))
    brush.fill(shape, scale(colour, 0.95), alpha)
    if person.beard in {"full", "goatee"}:
        with brush.inside(shape):
            strands = [[turn.on_face(x / 9, 0.6), turn.on_face(x / 8, 1.02)] for x in range(-6, 7, 2)]
            brush.lines(strands, mix(colour, WHITE, 0.25), 0.03, 0.30)
            brush.blob(Disc(*turn.on_face(0.0, 1.05), 0.7, 0.3), scale(colour, 0.4), 0.6)
