"""Prompt following, measured: does a picture show what its caption asks for?

A judge (an attribute network that learned from rendered portraits alone, apart from every loss) tells what it sees; per
factor, the share of pictures in which that is what was asked, with its Wilson interval. Pictures whose caption does not
ask for a factor do not count for it. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.bundled_diffusion.networks.attribute_net import AttributeNet, read_attributes
from pipeline.data.records import Prompt
from pipeline.metrics.statistics import wilson_interval
from pipeline.renderer import HELMETS

CONFUSING = ("cap", "brim_hat", "beanie", "hood", "headscarf", "turban")
Seen = Mapping[str, str]  # factor -> the value the judge sees


@dataclass(frozen=True, slots=True)
class Agreement:
    """Of ``count`` pictures that were asked for it, the share that show it, and its 95 % interval."""

    share: float
    low: float
    high: float
    count: int


def see(judge: AttributeNet, pixels: NDArray[np.uint8]) -> list[dict[str, str]]:
    """Let the judge look at uint8 (N, H, W, 3) pictures: every factor's likeliest value, picture by picture."""
    codes = read_attributes(judge, pixels)
    return [{name: judge.factors[name][codes[name][row]] for name in judge.factors} for row in range(len(pixels))]


def measure_agreement(prompts: Sequence[Prompt], seen: Sequence[Seen]) -> dict[str, Agreement]:
    """Compare what was asked with what is seen.

    Returns:
        helmet (one or none), light, glasses, mask, skin_tone_within_1 (Monk steps), headwear (which, where it is one
        that may be taken for a helmet). A factor nobody asked for is left out.
    """
    found = {}
    for name, check in _CHECKS.items():
        results = [check(prompt, sight) for prompt, sight in zip(prompts, seen, strict=True)]
        hits = [result for result in results if result is not None]
        if hits:
            low, high = wilson_interval(sum(hits), len(hits))
            found[name] = Agreement(float(np.mean(hits)), low, high, len(hits))
    return found


def _same(factor: str) -> Callable[[Prompt, Seen], bool | None]:
    def check(prompt: Prompt, seen: Seen) -> bool | None:
        return seen[factor] == prompt.factors[factor] if factor in prompt.factors else None

    return check


def _helmet(prompt: Prompt, seen: Seen) -> bool | None:
    asked = prompt.factors.get("headwear")
    return None if asked is None else (seen["headwear"] in HELMETS) == (asked in HELMETS)


def _headwear(prompt: Prompt, seen: Seen) -> bool | None:
    asked = prompt.factors.get("headwear")
    return seen["headwear"] == asked if asked in CONFUSING else None


def _skin_tone(prompt: Prompt, seen: Seen) -> bool | None:
    asked = prompt.factors.get("skin_tone")
    return None if asked is None else abs(_monk(seen["skin_tone"]) - _monk(asked)) <= 1


def _monk(tone: str) -> int:
    return int(tone.rpartition("_")[2])


_CHECKS: Mapping[str, Callable[[Prompt, Seen], bool | None]] = {
    "helmet": _helmet,
    "light": _same("light"),
    "glasses": _same("glasses"),
    "mask": _same("face_mask"),
    "skin_tone_within_1": _skin_tone,
    "headwear": _headwear,
}
