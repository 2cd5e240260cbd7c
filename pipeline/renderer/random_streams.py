"""Named, independent streams of chance.

Every part of a portrait draws from its own stream, seeded by the picture's seed and the part's name. So a part that is
drawn, left out or changed never moves another part: the same seed with another headwear is the same person, pose,
place and light.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

Choice = TypeVar("Choice")


def stream(seed: int, part: str) -> np.random.Generator:
    """Return the stream of one part of one picture; the same in every process and on every run."""
    return np.random.Generator(np.random.PCG64(draw(seed, part)))


def draw(seed: int, part: str) -> int:
    """Return the one number that a part's stream grows from: uniform over 128 bits; enough for a single choice."""
    digest = hashlib.blake2b(f"{seed}/{part}".encode(), digest_size=16).digest()
    return int.from_bytes(digest, "big")


def pick(rng: np.random.Generator, choices: Sequence[Choice]) -> Choice:
    """Return one of the choices, all equally likely."""
    return choices[int(rng.integers(len(choices)))]


def chance(rng: np.random.Generator, probability: float) -> bool:
    """Return True with the given probability."""
    return bool(rng.random() < probability)


def either(rng: np.random.Generator) -> float:
    """Return -1.0 or 1.0: the side of the picture a thing falls on."""
    return 1.0 if rng.random() < 0.5 else -1.0
