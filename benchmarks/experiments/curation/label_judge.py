"""Labels predicted by a network that curation does not use: the attribute network that evaluates the bundled model.

It was trained on rendered portraits only (``pipeline.bundled_diffusion``). For the helmet policy: helmet or no helmet.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipeline.bundled_diffusion.networks.attribute_net import load_attribute_net, predict_attributes
from pipeline.data.records import Image
from pipeline.data.shards import iterate_pixels, read_index
from pipeline.generate.diffusion.model_source import WEIGHTS
from pipeline.renderer import HELMETS

_BATCH = 500


def judge_labels(folder: Path, images: Sequence[Image], labels: tuple[str, str]) -> list[Image]:
    """Replace labels by predicted ones; ``labels`` are those without and with a helmet."""
    judge = load_attribute_net(WEIGHTS / "judge.safetensors")
    values = judge.factors["headwear"]
    judged: list[Image] = []
    for first in range(0, len(images), _BATCH):
        part = images[first : first + _BATCH]
        codes = predict_attributes(judge, np.stack(list(iterate_pixels(folder, part))))["headwear"]
        predicted = [labels[values[code] in HELMETS] for code in codes]
        judged += [image.model_copy(update={"label": label}) for image, label in zip(part, predicted, strict=True)]
    return judged


def find_disagreements(folder: Path, labels: tuple[str, str]) -> dict[str, bool]:
    """Image id -> whether the predicted label differs from the image's own."""
    images = read_index(folder)
    judged = judge_labels(folder, images, labels)
    return {image.id: image.label != other.label for image, other in zip(images, judged, strict=True)}
