"""The bare head: skull, ears, shading, eyes, brows, nose, mouth, age marks, facial hair. In head units (`pose`)."""

from __future__ import annotations

from math import sin

from pipeline.renderer.canvas import Canvas
from pipeline.renderer.palette import BLACK, WHITE, Colour, from_hex, luminance, mix, scale, shadow_of
from pipeline.renderer.paths import Disc, Path, Point, spline
from pipeline.renderer.person.person import Person
from pipeline.renderer.pose import Turn

_BLUSH: Colour = from_hex("c0504a")
_GOLD: Colour = from_hex("e8c66a")


def outline(person: Person, turn: Turn) -> Path:
    """Return the outline of face and skull."""
    build, shift = person.build, sin(turn.yaw)
    nod = sin(turn.pitch)
    half = (
        (0.30, -0.99, 0.0),
        (0.60, -0.78, 0.0),
        (0.735, -0.42, 0.02),
        (build.cheek, 0.02, 0.10),
        (build.cheek - 0.035, 0.30, 0.18),
        (build.jaw + 0.09, 0.66, 0.32),
        (build.chin, 0.97, 0.48),
    )
    right = [(x + shift * depth, y + nod * depth * 0.5) for x, y, depth in half]
    left = [(-x + shift * depth, y + nod * depth * 0.5) for x, y, depth in half[::-1]]
    return spline([(0.0, -1.03), *right, (shift * 0.5, 1.02 + nod * 0.25), *left])


def draw_face(canvas: Canvas, person: Person, turn: Turn) -> None:
    """Draw the bare head, without hair."""
    _ears(canvas, person, turn)
    face = outline(person, turn)
    canvas.shade(face, person.skin, Disc(0.0, 0.0, 0.85, 1.08), gloss=0.10)
    with canvas.clipped_to(face):
        _relief(canvas, person, turn)
        draw_age_marks(canvas, person, turn)
        draw_beard(canvas, person, turn)
    draw_eyes(canvas, person, turn)
    draw_nose(canvas, person, turn)
    draw_mouth(canvas, person, turn)


def _ears(canvas: Canvas, person: Person, turn: Turn) -> None:
    for side in (-1.0, 1.0):
        x = side * (person.build.cheek + 0.02) - sin(turn.yaw) * 0.14
        y = 0.10 - sin(turn.pitch) * 0.1
        ear = Disc(x, y, 0.115, 0.215)
        canvas.oval(ear, mix(person.skin, shadow_of(person.skin), 0.25))
        canvas.blob(Disc(x - side * 0.01, y, 0.08, 0.15), shadow_of(person.skin), 0.6)
        if person.earrings:
            canvas.oval(Disc(x, y + 0.24, 0.045, 0.06), _GOLD)


def _relief(canvas: Canvas, person: Person, turn: Turn) -> None:
    dark, skin = shadow_of(person.skin), person.skin
    light = mix(skin, WHITE, 0.34)
    side = -1.0 if canvas.key[0] > 0 else 1.0
    strength = 0.30 + 0.5 * canvas.contrast
    for x, y, rx, ry, share in (
        (side * 0.72, 0.15, 0.42, 0.95, 0.75),
        (-side * 0.82, 0.2, 0.24, 0.8, 0.30),
        (0.0, 1.02, 0.55, 0.20, 0.45),
    ):
        canvas.blob(Disc(*turn.on_face(x, y), rx, ry), dark, strength * share)
    for x, y, rx, ry, alpha in (
        (-side * 0.15, -0.52, 0.36, 0.24, 0.26),
        (-side * 0.36, 0.30, 0.20, 0.15, 0.34),
        (side * 0.38, 0.30, 0.15, 0.12, 0.14),
        (0.0, 0.86, 0.13, 0.09, 0.20),
    ):
        canvas.blob(Disc(*turn.on_face(x, y), rx, ry), light, alpha)
    for eye in (-1.0, 1.0):
        socket = turn.on_face(eye * person.build.eye_gap, -0.04)
        canvas.blob(Disc(*socket, 0.25, 0.17), dark, 0.42)
        cheek = Disc(*turn.on_face(eye * 0.42, 0.36), 0.22, 0.18)
        canvas.blob(cheek, mix(skin, _BLUSH, 0.5), (0.20 + 0.12 * person.femininity) * min(1.0, 0.25 + luminance(skin)))


def draw_eyes(canvas: Canvas, person: Person, turn: Turn) -> None:
    """Draw both eyes and brows."""
    for side in (-1.0, 1.0):
        _eye(canvas, person, turn, side)
        _brow(canvas, person, turn, side)


def _eye(canvas: Canvas, person: Person, turn: Turn, side: float) -> None:
    build, expression = person.build, person.expression
    wide = build.eye_size
    tall = wide * 0.52 * expression.eyes_open
    x, y = turn.on_face(side * build.eye_gap, 0.01)
    tilt = 0.02 * side
    lid = [
        (x - wide, y + 0.012 + tilt),
        (x - wide * 0.35, y - tall),
        (x + wide * 0.4, y - tall),
        (x + wide, y + 0.012 - tilt),
    ]
    under = [(x + wide * 0.45, y + tall * 0.72), (x - wide * 0.45, y + tall * 0.72)]
    almond = spline([*lid, *under])
    canvas.fill(almond, mix(from_hex("e9e6e0"), person.skin, 0.18))
    with canvas.clipped_to(almond):
        iris = x + expression.gaze * wide * 0.5
        canvas.oval(Disc(iris, y - 0.005, wide * 0.50, wide * 0.50), scale(person.eyes, 0.8))
        canvas.oval(Disc(iris, y - 0.005, wide * 0.25, wide * 0.25), (0.03, 0.02, 0.02))
        canvas.lines([[(px, py + 0.015) for px, py in lid]], BLACK, 0.04, 0.30)
    canvas.oval(
        Disc(iris + 0.04 * canvas.key[0], y - 0.035, 0.026, 0.022), WHITE, 0.85 if expression.eyes_open > 0.5 else 0.0
    )
    lash = mix(shadow_of(person.skin), BLACK, 0.55 + 0.35 * person.femininity)
    canvas.lines([lid], lash, 0.028 + 0.022 * person.femininity, 0.92)
    canvas.lines([[(lid[3][0], lid[3][1]), *under, lid[0]]], shadow_of(person.skin), 0.018, 0.55)


def _brow(canvas: Canvas, person: Person, turn: Turn, side: float) -> None:
    build = person.build
    height = -build.brow_height - person.expression.brow_raise
    arch = 0.03 + 0.035 * person.femininity
    thick = 0.052 - 0.032 * person.femininity
    spine: list[Point] = [(side * 0.13, height + 0.02), (side * 0.30, height - arch), (side * 0.50, height + 0.045)]
    top = [turn.on_face(px, py - thick * (1.1 if at < 2 else 0.2)) for at, (px, py) in enumerate(spine)]
    low = [turn.on_face(px, py + thick * (1.1 if at < 2 else 0.2)) for at, (px, py) in enumerate(spine)]
    canvas.fill(spline([*top, *low[::-1]]), person.brows, 0.88)


def draw_nose(canvas: Canvas, person: Person, turn: Turn) -> None:
    """Draw the nose and its shadow."""
    build, dark = person.build, shadow_of(person.skin)
    tip = build.nose_tip
    side = -1.0 if canvas.key[0] > 0 else 1.0
    x, y = turn.on_face(0.0, tip, 0.14)
    base_x, base_y = turn.on_face(0.0, tip + 0.05, 0.03)
    width = build.nose_width
    bridge = [
        turn.on_face(side * 0.07, -0.14),
        turn.on_face(side * 0.055, 0.1, 0.08),
        (x + side * width * 0.8, y - 0.02),
    ]
    canvas.lines([bridge], dark, 0.055, 0.26 + 0.3 * canvas.contrast)
    canvas.blob(Disc(base_x + side * 0.04, base_y + 0.05, width * 1.7, 0.12), dark, 0.55)
    canvas.blob(Disc(x, y, width * 1.35, width * 1.15), mix(person.skin, WHITE, 0.10), 0.75)
    wings = [
        [
            (base_x + s * width * 0.78, base_y - 0.07),
            (base_x + s * width * 1.08, base_y - 0.01),
            (base_x + s * width * 0.8, base_y + 0.03),
        ]
        for s in (-1, 1)
    ]
    canvas.lines(wings, dark, 0.026, 0.75)
    for s in (-1, 1):
        canvas.oval(Disc(base_x + s * width * 0.48, base_y + 0.012, width * 0.26, 0.024), scale(dark, 0.5), 0.8)
    canvas.blob(Disc(x - side * 0.03, y - 0.03, 0.06, 0.055), WHITE, 0.40)
    ridge = [turn.on_face(-side * 0.012, -0.1, 0.04), (x - side * 0.02, y - 0.1)]
    canvas.lines([ridge], mix(person.skin, WHITE, 0.45), 0.035, 0.34)


def draw_mouth(canvas: Canvas, person: Person, turn: Turn) -> None:
    """Draw the lips; teeth if the mouth is open."""
    build, expression = person.build, person.expression
    wide = build.mouth_width * (1.0 + 0.18 * max(0.0, expression.smile))
    lift, gape = 0.075 * expression.smile, 0.13 * expression.mouth_open
    x, y = turn.on_face(0.0, 0.63, 0.04)
    left, right = turn.on_face(-wide, 0.63 - lift), turn.on_face(wide, 0.63 - lift)
    seam = [left, (x - wide * 0.4, y + 0.012), (x, y + 0.008), (x + wide * 0.4, y + 0.012), right]
    upper = [(x + wide * 0.25, y - build.lip * 0.72), (x, y - build.lip * 0.5), (x - wide * 0.25, y - build.lip * 0.72)]
    lower = [(x + wide * 0.4, y + gape + build.lip * 0.85), (x - wide * 0.4, y + gape + build.lip * 0.85)]
    canvas.blob(Disc(x, y + gape + 0.17, wide * 0.7, 0.07), shadow_of(person.skin), 0.45)
    canvas.fill(spline([left, *upper[::-1], right, *lower]), person.lips)
    if gape > 0.03:
        _gape(canvas, seam, gape, wide)
    else:
        canvas.lines([seam], scale(person.lips, 0.36), 0.026, 0.9)
    canvas.blob(Disc(x, y + gape + build.lip * 0.45, wide * 0.4, 0.03), WHITE, 0.10 + 0.14 * person.femininity)
    corners = [[(px + s * 0.01, py - 0.03), (px + s * 0.035, py + 0.03)] for s, (px, py) in ((-1, left), (1, right))]
    canvas.lines(corners, shadow_of(person.skin), 0.025, 0.4 + 0.3 * max(0.0, expression.smile))


def _gape(canvas: Canvas, seam: list[Point], gape: float, wide: float) -> None:
    low = [(seam[3][0], seam[3][1] + gape), (seam[1][0], seam[1][1] + gape)]
    hole = spline([*seam, *low])
    canvas.fill(hole, (0.16, 0.05, 0.05))
    with canvas.clipped_to(hole):
        x, y = seam[2]
        canvas.box((x - wide, y - 0.1, x + wide, y + min(0.07, gape * 0.7)), (0.86, 0.83, 0.78))


def draw_age_marks(canvas: Canvas, person: Person, turn: Turn) -> None:
    """Draw freckles, and wrinkles from an age of 0.3 on; more of them above 0.7."""
    dark = shadow_of(person.skin)
    age = person.age
    if person.freckles:
        spots = [(0.1 * at - 0.45, 0.2 + 0.07 * ((at * 7) % 3)) for at in range(10)]
        for x, y in turn.on_faces(spots):
            canvas.oval(Disc(x, y, 0.018, 0.016), dark, 0.45 * person.freckles)
    if age < 0.3:
        return
    smile = [[(s * 0.19, 0.36), (s * 0.31, 0.48), (s * 0.36, 0.66)] for s in (-1, 1)]
    bags = [[(s * 0.20, 0.12), (s * 0.31, 0.165), (s * 0.43, 0.11)] for s in (-1, 1)]
    feet = [[(s * 0.50, 0.01 + k), (s * 0.62, 2.2 * k)] for s in (-1, 1) for k in (-0.04, 0.0, 0.05)]
    brow = [[(-0.36, y), (-0.1, y - 0.025), (0.15, y - 0.01), (0.38, y + 0.01)] for y in (-0.40, -0.50, -0.59)]
    frown = [[(s * 0.05, -0.30), (s * 0.045, -0.18)] for s in (-1, 1)]
    jowl = [[(s * 0.33, 0.72), (s * 0.36, 0.88)] for s in (-1, 1)]
    folds = smile + bags + (feet + brow + frown + jowl if age > 0.7 else brow[:1])
    placed = [turn.on_faces(line) for line in folds]
    canvas.lines(placed, dark, 0.03, 0.22 + 0.32 * age)
    canvas.lines(
        [[(x, y + 0.03) for x, y in line] for line in placed], mix(person.skin, WHITE, 0.35), 0.022, 0.10 + 0.14 * age
    )


def draw_beard(canvas: Canvas, person: Person, turn: Turn) -> None:
    """Draw stubble, moustache, goatee or full beard; `none` draws nothing."""
    if person.beard == "none":
        return
    colour = mix(person.hair, from_hex("b5b3b0"), 0.75 if person.age > 0.7 else 0.0)
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
    canvas.fill(shape, scale(colour, 0.95), alpha)
    if person.beard in {"full", "goatee"}:
        with canvas.clipped_to(shape):
            strands = [[turn.on_face(x / 9, 0.6), turn.on_face(x / 8, 1.02)] for x in range(-6, 7, 2)]
            canvas.lines(strands, mix(colour, WHITE, 0.25), 0.03, 0.30)
            canvas.blob(Disc(*turn.on_face(0.0, 1.05), 0.7, 0.3), scale(colour, 0.4), 0.6)
