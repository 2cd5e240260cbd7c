"""How one person wears their hair."""

from __future__ import annotations

from dataclasses import dataclass
from math import sin

from pipeline.renderer.person.person import Person
from pipeline.renderer.pose import Turn
from pipeline.renderer.random_streams import chance, either, stream


@dataclass(frozen=True, slots=True)
class Cut:
    """How one person wears their hair: lift over the skull, hairline height, where it parts, fringe, length, chaos."""

    volume: float
    hairline: float
    part: float
    fringe: bool
    length: float
    seed: int


def cut_of(person: Person, seed: int) -> Cut:
    """Return the cut that a seed gives a person."""
    rng = stream(seed, "hair")
    receding = 0.12 * person.years * (1.0 - person.femininity) * rng.random()
    return Cut(
        volume=rng.uniform(0.03, 0.16),
        hairline=-0.58 - receding * 1.6 - rng.uniform(0.0, 0.06),
        part=either(rng) * rng.uniform(0.05, 0.45),
        fringe=chance(rng, 0.18 + 0.2 * person.femininity),
        length=rng.uniform(1.15, 2.3),
        seed=seed,
    )


def lean(turn: Turn, depth: float) -> float:
    """Return how far something at a depth moves sideways when the head turns."""
    return sin(turn.yaw) * depth
