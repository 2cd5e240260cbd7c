"""Labels predicted by a network that curation does not use: the attribute network that evaluates the bundled model.

It was trained on rendered portraits alone (``pipeline.bundled_diffusion``). Helmet policy only: helmet or no helmet.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipeline.bundled_diffusion.networks.attribute_net import load_attribute_net, predict_attributes
from pipeline.data.records import Image
from pipeline.data.shards import iterate_pixels, read_index
from pipeline.generate.diffusion.model_source import WEIGHTS
from pipeline.metrics.statistics import wilson_interval
from pipeline.renderer import HELMETS

_AT_ONCE = 500


def see_labels(folder: Path, images: Sequence[Image], labels: tuple[str, str]) -> list[Image]:
    """Give images the labels that the judge sees; ``labels``: without a helmet, with one."""
    judge = load_attribute_net(WEIGHTS / "judge.safetensors")
    values = judge.factors["headwear"]
    seen: list[Image] = []
    for first in range(0, len(images), _AT_ONCE):
        part = images[first : first + _AT_ONCE]
        codes = predict_attributes(judge, np.stack(list(iterate_pixels(folder, part))))["headwear"]
        told = [labels[values[code] in HELMETS] for code in codes]
        seen += [image.model_copy(update={"label": label}) for image, label in zip(part, told, strict=True)]
    return seen


def disagreements(folder: Path, labels: tuple[str, str]) -> dict[str, bool]:
    """Image -> whether the judge sees another label than its own."""
    images = read_index(folder)
    seen = see_labels(folder, images, labels)
    return {image.id: image.label != sight.label for image, sight in zip(images, seen, strict=True)}


def rate(name: str, wrong: Sequence[bool]) -> dict[str, float | None]:
    """A share with its 95 % Wilson interval, as NAME, NAME_low and NAME_high; None of no images."""
    if not wrong:
        return {name: None, f"{name}_low": None, f"{name}_high": None}
    low, high = wilson_interval(sum(wrong), len(wrong))
    return {name: sum(wrong) / len(wrong), f"{name}_low": low, f"{name}_high": high}
