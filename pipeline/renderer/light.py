"""Five kinds of light: direction, effect on the person and on the background, sensor noise."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from pipeline.renderer.palette import Colour
from pipeline.renderer.paths import Point
from pipeline.renderer.random_streams import chance, random_side, stream


@dataclass(frozen=True, slots=True)
class Light:
    """Light of one picture. Gains are linear and per channel; 1 leaves a colour unchanged.

    Attributes:
        key: Direction towards the main light in the picture plane, x to the right, y down.
        contrast: How dark the side away from the main light is, 0..1.
        subject: Gain on the person.
        surround: Gain on the background.
        rim: Linear light from behind that is added along the person's edge.
        slope: How much brighter the person is towards the main light, per picture width.
        noise: Standard deviation of the sensor noise at white, linear.
        lamps: Linear brightness of lamps and lit windows in the background.
    """

    key: Point
    contrast: float
    subject: Colour
    surround: Colour
    rim: Colour
    slope: float
    noise: float
    lamps: float


def sample_light(name: str, seed: int) -> Light:
    """Sample one kind of light: a value of the factor `light`."""
    return _LIGHTS[name](stream(seed, "light"))


def _gain(level: float, warmth: float, green: float = 0.0) -> Colour:
    return level * (1.0 + warmth), level * (1.0 + green), level * (1.0 - warmth)


def _day(rng: np.random.Generator) -> Light:
    level, warmth = rng.uniform(0.97, 1.13), rng.uniform(-0.05, 0.06)
    sunny = chance(rng, 0.55)
    return Light(
        key=(random_side(rng) * rng.uniform(0.25, 0.8), -rng.uniform(0.4, 0.8)),
        contrast=rng.uniform(0.45, 0.75) if sunny else rng.uniform(0.2, 0.4),
        subject=_gain(level, warmth),
        surround=_gain(rng.uniform(0.65, 1.25), warmth),
        rim=_gain(0.10 if sunny else 0.0, 0.05),
        slope=rng.uniform(0.05, 0.35),
        noise=rng.uniform(0.006, 0.018),
        lamps=0.0,
    )


def _dusk(rng: np.random.Generator) -> Light:
    warmth = rng.uniform(0.18, 0.40)
    return Light(
        key=(random_side(rng) * rng.uniform(0.6, 1.0), -rng.uniform(0.0, 0.35)),
        contrast=rng.uniform(0.6, 0.9),
        subject=_gain(rng.uniform(0.30, 0.52), warmth, -0.06),
        surround=_gain(rng.uniform(0.16, 0.34), rng.uniform(-0.15, 0.30), -0.12),
        rim=_gain(rng.uniform(0.05, 0.25), 0.5, -0.1),
        slope=rng.uniform(0.4, 0.9),
        noise=rng.uniform(0.018, 0.040),
        lamps=rng.uniform(0.25, 0.6),
    )


def _night(rng: np.random.Generator) -> Light:
    if chance(rng, 0.5):  # the phone's flash: cold, frontal and flat, the background nearly black
        return Light(
            key=(rng.uniform(-0.1, 0.1), -0.05),
            contrast=rng.uniform(0.5, 0.8),
            subject=_gain(rng.uniform(0.20, 0.40), -0.06),
            surround=_gain(rng.uniform(0.015, 0.05), -0.05),
            rim=_gain(0.0, 0.0),
            slope=0.0,
            noise=rng.uniform(0.035, 0.065),
            lamps=rng.uniform(0.05, 0.4),
        )
    return Light(  # a street lamp: orange, from above and from one side
        key=(random_side(rng) * rng.uniform(0.4, 0.9), -rng.uniform(0.6, 1.0)),
        contrast=rng.uniform(0.7, 1.0),
        subject=_gain(rng.uniform(0.13, 0.26), rng.uniform(0.12, 0.34), -0.05),
        surround=_gain(rng.uniform(0.03, 0.09), rng.uniform(-0.1, 0.25)),
        rim=_gain(rng.uniform(0.04, 0.13), 0.35, -0.05),
        slope=rng.uniform(0.3, 1.0),
        noise=rng.uniform(0.045, 0.085),
        lamps=rng.uniform(0.3, 0.9),
    )


def _indoor(rng: np.random.Generator) -> Light:
    bulb = chance(rng, 0.6)
    warmth, green = (rng.uniform(0.06, 0.17), -0.01) if bulb else (rng.uniform(-0.05, 0.02), rng.uniform(0.0, 0.06))
    return Light(
        key=(random_side(rng) * rng.uniform(0.0, 0.7), -rng.uniform(0.3, 0.9)),
        contrast=rng.uniform(0.3, 0.65),
        subject=_gain(rng.uniform(0.50, 0.80), warmth, green),
        surround=_gain(rng.uniform(0.35, 0.75), warmth * 1.3, green),
        rim=_gain(0.03, warmth),
        slope=rng.uniform(0.0, 0.5),
        noise=rng.uniform(0.015, 0.038),
        lamps=0.0,
    )


def _backlit(rng: np.random.Generator) -> Light:
    warmth = rng.uniform(-0.05, 0.14)
    return Light(
        key=(random_side(rng) * rng.uniform(0.1, 0.6), -0.4),
        contrast=rng.uniform(0.25, 0.5),
        subject=_gain(rng.uniform(0.04, 0.10), -0.04),
        surround=_gain(rng.uniform(1.5, 2.3), warmth),
        rim=_gain(rng.uniform(0.35, 0.8), warmth),
        slope=0.0,
        noise=rng.uniform(0.012, 0.030),
        lamps=0.0,
    )


_LIGHTS: Mapping[str, Callable[[np.random.Generator], Light]] = MappingProxyType(
    {"day": _day, "dusk": _dusk, "night": _night, "indoor": _indoor, "backlit": _backlit}
)
