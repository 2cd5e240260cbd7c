"""Prompt alignment: does a picture show what its caption asks for?

The judge, an attribute network that was trained on rendered portraits alone and takes part in no loss, predicts the
factors of generated pictures. Alignment is, per factor, the share of pictures whose prediction equals the prompt, with
its 95 % Wilson interval. Pictures whose prompt lacks a factor do not count for that factor. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.bundled_diffusion.networks.attribute_net import AttributeNet, predict_attributes
from pipeline.data.records import Prompt
from pipeline.metrics.statistics import wilson_interval
from pipeline.renderer import HELMETS

HELMET_LOOKALIKES = ("cap", "brim_hat", "beanie", "hood", "headscarf", "turban")
Predicted = Mapping[str, str]
"""Factor -> the value that the judge predicts for one picture."""


@dataclass(frozen=True, slots=True)
class Alignment:
    """Prompt alignment of one factor.

    Attributes:
        share: Share of pictures that show the value of their prompt, 0..1.
        low: Lower end of its 95 % interval.
        high: Upper end.
        count: Pictures whose prompt has the factor.
    """

    share: float
    low: float
    high: float
    count: int


def predict_factors(judge: AttributeNet, pixels: NDArray[np.uint8]) -> list[dict[str, str]]:
    """Predict the most probable value of every factor of uint8 (N, H, W, 3) pictures: one mapping per picture."""
    codes = predict_attributes(judge, pixels)
    return [{name: judge.factors[name][codes[name][row]] for name in judge.factors} for row in range(len(pixels))]


def measure_alignment(prompts: Sequence[Prompt], predicted: Sequence[Predicted]) -> dict[str, Alignment]:
    """Compare prompts with what the judge predicts for their pictures.

    Args:
        prompts: Prompts of the pictures.
        predicted: The judge's predictions, in the same order.

    Returns:
        Alignment of: helmet (helmet or none), light, glasses, mask, skin_tone_within_1 (at most one Monk step apart),
        headwear (the kind, where the prompt asks for one that resembles a helmet). Factors of no prompt are left out.
    """
    alignment = {}
    for name, matches in _MATCHES.items():
        results = [matches(prompt, shown) for prompt, shown in zip(prompts, predicted, strict=True)]
        hits = [result for result in results if result is not None]
        if hits:
            low, high = wilson_interval(sum(hits), len(hits))
            alignment[name] = Alignment(float(np.mean(hits)), low, high, len(hits))
    return alignment


def _same(factor: str) -> Callable[[Prompt, Predicted], bool | None]:
    def matches(prompt: Prompt, predicted: Predicted) -> bool | None:
        return predicted[factor] == prompt.factors[factor] if factor in prompt.factors else None

    return matches


def _helmet(prompt: Prompt, predicted: Predicted) -> bool | None:
    requested = prompt.factors.get("headwear")
    return None if requested is None else (predicted["headwear"] in HELMETS) == (requested in HELMETS)


def _headwear(prompt: Prompt, predicted: Predicted) -> bool | None:
    requested = prompt.factors.get("headwear")
    return predicted["headwear"] == requested if requested in HELMET_LOOKALIKES else None


def _skin_tone(prompt: Prompt, predicted: Predicted) -> bool | None:
    requested = prompt.factors.get("skin_tone")
    return None if requested is None else abs(_monk(predicted["skin_tone"]) - _monk(requested)) <= 1


def _monk(tone: str) -> int:
    return int(tone.rpartition("_")[2])


_MATCHES: Mapping[str, Callable[[Prompt, Predicted], bool | None]] = {
    "helmet": _helmet,
    "light": _same("light"),
    "glasses": _same("glasses"),
    "mask": _same("face_mask"),
    "skin_tone_within_1": _skin_tone,
    "headwear": _headwear,
}
