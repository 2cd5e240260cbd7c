"""Named, independent random streams.

Every part of a portrait has its own generator, seeded by the picture's seed and the part's name. A part that is added,
left out or changed therefore never shifts the random numbers of another part: the same seed with different headwear
gives the same person, pose, place and light.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

Choice = TypeVar("Choice")


def stream(seed: int, part: str) -> np.random.Generator:
    """Return the generator of one part of one picture; the same in every process and on every run."""
    return np.random.Generator(np.random.PCG64(stream_seed(seed, part)))


def stream_seed(seed: int, part: str) -> int:
    """Return the 128-bit number that seeds a part's generator, uniform over seeds; enough for a single choice."""
    digest = hashlib.blake2b(f"{seed}/{part}".encode(), digest_size=16).digest()
    return int.from_bytes(digest, "big")


def pick(rng: np.random.Generator, choices: Sequence[Choice]) -> Choice:
    """Return one of the choices, all equally likely."""
    return choices[int(rng.integers(len(choices)))]


def chance(rng: np.random.Generator, probability: float) -> bool:
    """Return True with the given probability."""
    return bool(rng.random() < probability)


def random_side(rng: np.random.Generator) -> float:
    """Return -1.0 (left in the picture) or 1.0 (right), equally likely."""
    return 1.0 if rng.random() < 0.5 else -1.0
