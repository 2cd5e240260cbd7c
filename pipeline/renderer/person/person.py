"""The person: everything about face and build that is independent of headwear, light and place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from pipeline.renderer.palette import EYES, HAIR, SKIN_TONES, Colour, from_hex, jitter, mix, scale
from pipeline.renderer.random_streams import chance, pick, stream

_LIP_RED: Colour = from_hex("9c3a3c")
_LIPSTICKS: tuple[Colour, ...] = (from_hex("a8323e"), from_hex("b8505c"), from_hex("8c2a3a"), from_hex("c06a68"))
# Gender -> range of femininity, 0..1.
_FEMININITY: Mapping[str, tuple[float, float]] = {
    "feminine": (0.75, 1.0),
    "masculine": (0.0, 0.25),
    "androgynous": (0.4, 0.6),
}
_AGES: Mapping[str, tuple[float, float]] = {"young": (0.0, 0.15), "middle_aged": (0.4, 0.6), "senior": (0.85, 1.0)}


@dataclass(frozen=True, slots=True)
class Build:
    """Proportions of head and body, in head units (`pose`); widths are half widths."""

    cheek: float
    jaw: float
    chin: float
    eye_gap: float
    eye_size: float
    nose_width: float
    nose_tip: float
    mouth_width: float
    lip: float
    brow_height: float
    neck: float
    shoulders: float


@dataclass(frozen=True, slots=True)
class Expression:
    """Facial expression.

    Attributes:
        smile: -0.3 (corners down) .. 1 (broad smile).
        mouth_open: 0 (closed) .. 1.
        eyes_open: About 0.1 (closed) .. 1.
        brow_raise: In head units.
        gaze: Horizontal direction of the eyes: -1 (left) .. 1 (right).
    """

    smile: float
    mouth_open: float
    eyes_open: float
    brow_raise: float
    gaze: float


@dataclass(frozen=True, slots=True)
class Person:
    """One person. Colours are sRGB, 0..1.

    Attributes:
        skin: Colour of the skin.
        lips: Colour of the lips.
        eyes: Colour of the irises.
        hair: Colour of the hair.
        brows: Colour of the brows.
        hair_style: A value of the factor `hair_style`.
        age: 0 (young) .. 1 (senior).
        femininity: 0 (masculine) .. 1 (feminine).
        beard: none, stubble, moustache, goatee or full.
        freckles: Opacity of freckles, 0..1; 0: none.
        earrings: Whether the person wears earrings.
        build: Proportions.
        expression: Facial expression.
    """

    skin: Colour
    lips: Colour
    eyes: Colour
    hair: Colour
    brows: Colour
    hair_style: str
    age: float
    femininity: float
    beard: str
    freckles: float
    earrings: bool
    build: Build
    expression: Expression


def sample_person(factors: Mapping[str, str], seed: int) -> Person:
    """Sample a person; the factors skin_tone, age, gender, hair_colour and hair_style constrain the sample."""
    rng = stream(seed, "person")
    skin = scale(jitter(rng, SKIN_TONES[factors["skin_tone"]], 0.012), 0.98)
    hair = jitter(rng, pick(rng, HAIR[factors["hair_colour"]]), 0.025)
    age = rng.uniform(*_AGES[factors["age"]])
    femininity = rng.uniform(*_FEMININITY[factors["gender"]])
    brows = scale(mix(hair, skin, 0.12), 0.72)
    return Person(
        skin=skin,
        lips=_lips(seed, skin, femininity),
        eyes=jitter(rng, pick(rng, EYES), 0.03),
        hair=hair,
        brows=mix(brows, from_hex("8f8c88"), 0.6) if factors["age"] == "senior" else brows,
        hair_style=factors["hair_style"],
        age=age,
        femininity=femininity,
        beard=_beard(seed, factors["gender"]),
        freckles=rng.uniform(0.3, 1.0) if chance(rng, 0.12) else 0.0,
        earrings=chance(rng, 0.6 * max(0.0, femininity * 2 - 1)),
        build=_build(seed, femininity, age),
        expression=_expression(seed),
    )


def _lips(seed: int, skin: Colour, femininity: float) -> Colour:
    rng = stream(seed, "person/lips")
    bare = mix(scale(skin, 0.74), _LIP_RED, rng.uniform(0.30, 0.48))
    painted = mix(bare, pick(rng, _LIPSTICKS), rng.uniform(0.45, 0.85))
    return painted if chance(rng, 0.55 * max(0.0, femininity * 2 - 1)) else bare


def _beard(seed: int, gender: str) -> str:
    rng = stream(seed, "person/beard")
    kind = pick(rng, ("none", "none", "stubble", "stubble", "moustache", "goatee", "full", "full"))
    return kind if gender == "masculine" else "none"


def _build(seed: int, femininity: float, age: float) -> Build:
    rng = stream(seed, "person/build")
    return Build(
        cheek=rng.uniform(0.69, 0.79) + 0.02 * age,
        jaw=rng.uniform(0.50, 0.64) - 0.15 * femininity + 0.03 * age,
        chin=rng.uniform(0.17, 0.27) - 0.05 * femininity,
        eye_gap=rng.uniform(0.285, 0.335),
        eye_size=rng.uniform(0.125, 0.155) + 0.015 * femininity,
        nose_width=rng.uniform(0.115, 0.180) - 0.015 * femininity,
        nose_tip=rng.uniform(0.34, 0.42),
        mouth_width=rng.uniform(0.23, 0.31),
        lip=rng.uniform(0.055, 0.095) + 0.025 * femininity - 0.02 * age,
        brow_height=rng.uniform(0.185, 0.235) + 0.02 * femininity,
        neck=rng.uniform(0.44, 0.54) - 0.09 * femininity,
        shoulders=rng.uniform(1.72, 1.98) - 0.26 * femininity,
    )


def _expression(seed: int) -> Expression:
    rng = stream(seed, "person/mood")
    smile = float(np.clip(rng.normal(0.35, 0.4), -0.3, 1.0))
    return Expression(
        smile=smile,
        mouth_open=rng.uniform(0.25, 0.9) if chance(rng, 0.22 + 0.25 * max(0.0, smile)) else 0.0,
        eyes_open=0.12 if chance(rng, 0.03) else rng.uniform(0.72, 1.05),
        brow_raise=rng.uniform(-0.02, 0.05),
        gaze=rng.uniform(-0.35, 0.35),
    )
