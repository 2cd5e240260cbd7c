"""One portrait: samples all its parts, then draws them back to front.

Order of drawing: background; hair and headwear behind the head; body; held helmet; face; hair; mask; glasses; headwear;
now and then a hand in front. The camera turns the result into a picture.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.renderer.camera import expose, sample_camera
from pipeline.renderer.canvas import Canvas
from pipeline.renderer.headwear import headwear
from pipeline.renderer.headwear.headwear import Headwear
from pipeline.renderer.light import Light, sample_light
from pipeline.renderer.person import clothes, hair, hands
from pipeline.renderer.person.face import draw_face
from pipeline.renderer.person.glasses_and_masks import draw_glasses, draw_mask
from pipeline.renderer.person.hair import HairCut, sample_hair_cut
from pipeline.renderer.person.person import Person, sample_person
from pipeline.renderer.places.place import draw_place
from pipeline.renderer.pose import Pose, Turn, sample_pose
from pipeline.renderer.random_streams import chance, stream
from pipeline.renderer.vocabulary import resolve

STRAY_HAND_CHANCE = 0.04


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything in one picture.

    Attributes:
        factors: A value for every factor of the vocabulary.
        seed: Seed of the picture.
        pose: Position and rotation of the head.
        light: Light on person and background.
        person: Face, build and hair colour.
        outfit: Clothes.
        hair_cut: Shape of the hair.
        worn: Headwear; None: bare-headed.
    """

    factors: Mapping[str, str]
    seed: int
    pose: Pose
    light: Light
    person: Person
    outfit: clothes.Outfit
    hair_cut: HairCut
    worn: Headwear | None


def build_scene(factors: Mapping[str, str], seed: int) -> Scene:
    """Sample the scene of a seed; `factors` and errors as in `render`."""
    resolved = resolve(factors, seed)
    person = sample_person(resolved, seed)
    return Scene(
        factors=resolved,
        seed=seed,
        pose=sample_pose(resolved["framing"], seed),
        light=sample_light(resolved["light"], seed),
        person=person,
        outfit=clothes.sample_outfit(resolved["clothing"], resolved["clothing_colour"], person, seed),
        hair_cut=sample_hair_cut(person, seed),
        worn=headwear.sample_headwear(resolved["headwear"], resolved["headwear_colour"], seed),
    )


def draw_scene(scene: Scene, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Draw a scene at (width, height) pixels: uint8 (height, width, 3), RGB, sRGB."""
    width, height = size
    place = draw_place(scene.factors["place"], scene.light, scene.seed, size)
    canvas = Canvas((2 * width, 2 * height), scene.light.key, scene.light.contrast)
    _draw_person(canvas, scene, (2 * width, 2 * height))
    return expose(canvas.pixels(), place, scene.light, sample_camera(scene.seed))


def _draw_person(canvas: Canvas, scene: Scene, sheet: tuple[int, int]) -> None:
    at, unit = scene.pose.pixels(sheet)
    person, turn = scene.person, scene.pose.turn
    with canvas.placed(at, unit, scene.pose.roll):
        if scene.factors["headwear"] not in headwear.HIDES_HAIR:
            hair.draw_behind(canvas, person, turn, scene.hair_cut, hatted=scene.worn is not None)
        headwear.draw_behind(canvas, scene.worn, turn)
    with canvas.placed(at, unit, scene.pose.roll * 0.3):
        clothes.draw_body(canvas, person, scene.outfit)
    if scene.factors["held"] == "helmet":
        with canvas.placed((sheet[0] / 2, sheet[1]), unit / scene.pose.unit):
            hands.draw_held_helmet(canvas, person.skin, scene.factors["headwear_colour"], scene.pose, scene.seed)
    with canvas.placed(at, unit, scene.pose.roll):
        _draw_head(canvas, scene, turn)


def _draw_head(canvas: Canvas, scene: Scene, turn: Turn) -> None:
    person, factors = scene.person, scene.factors
    draw_face(canvas, person, turn)
    if factors["headwear"] not in headwear.HIDES_HAIR:
        hair.draw_front(canvas, person, turn, scene.hair_cut, hatted=scene.worn is not None)
    draw_mask(canvas, person, turn, factors["face_mask"], scene.seed)
    draw_glasses(canvas, person, turn, factors["glasses"], scene.seed)
    headwear.draw_on(canvas, scene.worn, turn, factors["straps"])
    if chance(stream(scene.seed, "stray hand/shown"), STRAY_HAND_CHANCE):
        hands.draw_stray_hand(canvas, person.skin, scene.seed)
