"""One portrait, back to front: place, hair and hat behind, body, face, hair, mask, glasses, hat, hands, camera."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.renderer.camera import expose, hold
from pipeline.renderer.canvas import Brush
from pipeline.renderer.headwear import headwear
from pipeline.renderer.light import Light, shine
from pipeline.renderer.person import clothes, hair, hands
from pipeline.renderer.person.face import draw_face
from pipeline.renderer.person.glasses_and_masks import draw_glasses, draw_mask
from pipeline.renderer.person.hair import Cut, cut_of
from pipeline.renderer.person.person import Person, meet
from pipeline.renderer.places.place import draw_place
from pipeline.renderer.pose import Pose, Turn, strike
from pipeline.renderer.random_streams import chance, stream
from pipeline.renderer.vocabulary import resolve

STRAY_HAND_CHANCE = 0.04


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything that is in one picture."""

    look: Mapping[str, str]
    seed: int
    pose: Pose
    light: Light
    person: Person
    outfit: clothes.Outfit
    cut: Cut
    worn: headwear.Worn


def set_scene(factors: Mapping[str, str], seed: int) -> Scene:
    """Return the scene that factors and a seed describe; see `render` for what they may be."""
    look = resolve(factors, seed)
    person = meet(look, seed)
    return Scene(
        look=look,
        seed=seed,
        pose=strike(look["framing"], seed),
        light=shine(look["light"], seed),
        person=person,
        outfit=clothes.dress(look["clothing"], look["clothing_colour"], person, seed),
        cut=cut_of(person, seed),
        worn=headwear.choose(look["headwear"], look["headwear_colour"], seed),
    )


def take(scene: Scene, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return the picture of a scene: uint8 RGB (height, width, 3)."""
    width, height = size
    place = draw_place(scene.look["place"], scene.light, scene.seed, size)
    brush = Brush((2 * width, 2 * height), scene.light.key, scene.light.contrast)
    _draw_person(brush, scene, (2 * width, 2 * height))
    return expose(brush.pixels(), place, scene.light, hold(scene.seed))


def _draw_person(brush: Brush, scene: Scene, sheet: tuple[int, int]) -> None:
    at, unit = scene.pose.pixels(sheet)
    person, turn = scene.person, scene.pose.turn
    with brush.placed(at, unit, scene.pose.roll):
        if scene.look["headwear"] not in headwear.HIDES_HAIR:
            hair.draw_behind(brush, person, turn, scene.cut, hatted=scene.worn is not None)
        headwear.draw_behind(brush, scene.worn, turn)
    with brush.placed(at, unit, scene.pose.roll * 0.3):
        clothes.draw_body(brush, person, scene.outfit)
    if scene.look["held"] == "helmet":
        with brush.placed((sheet[0] / 2, sheet[1]), unit / scene.pose.unit):
            hands.draw_held_helmet(brush, person.skin, scene.look["headwear_colour"], scene.pose, scene.seed)
    with brush.placed(at, unit, scene.pose.roll):
        _draw_head(brush, scene, turn)


def _draw_head(brush: Brush, scene: Scene, turn: Turn) -> None:
    person, look = scene.person, scene.look
    draw_face(brush, person, turn)
    if look["headwear"] not in headwear.HIDES_HAIR:
        hair.draw_front(brush, person, turn, scene.cut, hatted=scene.worn is not None)
    draw_mask(brush, person, turn, look["face_mask"], scene.seed)
    draw_glasses(brush, person, turn, look["glasses"], scene.seed)
    headwear.draw_on(brush, scene.worn, turn, look["straps"])
    if chance(stream(scene.seed, "stray hand/shown"), STRAY_HAND_CHANCE):
        hands.draw_stray_hand(brush, person.skin, scene.seed)
