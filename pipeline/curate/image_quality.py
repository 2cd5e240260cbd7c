"""Pure: pixels -> score in [0, 1] -> reason or None; lower is worse, a score below its threshold is a reason to reject.

Brightness, blur and information are CleanVision's measures and scores (https://github.com/cleanlab/cleanvision); its
default thresholds are meant for daylight photographs and would throw night away, so thresholds come from params.
Copies are found by a 144-bit perceptual hash (DCT; Zauner, "Implementation and Benchmarking of Perceptual Image Hash
Functions", 2010). Reads and writes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import PIL.Image
import PIL.ImageStat
from numpy.typing import NDArray

from pipeline.data.preprocess import Pixels

Scores = NDArray[np.float64]

MEASURES = (
    *(f"brightness_perc_{percentile}" for percentile in (1, 5, 10, 15, 90, 95, 99)),
    "brightness",
    "entropy",
    "blurriness",
    "blurriness_grayscale_std",
)
"""CleanVision's names of what is measured of a picture."""
QUALITY = ("dark", "light", "low_information", "blurry")
"""Reasons that one picture alone can give, in the order in which they are recorded."""
LONGEST_SIDE = 256
"""Larger pictures are scaled down before they are scored: the measures suit thumbnails, and cost by the pixel."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Why a picture is doubtful: ``score`` in [0, 1] lies below ``threshold``."""

    reason: str
    score: float
    threshold: float
    detail: str = ""


def find(reason: str, score: float, threshold: float, detail: str = "") -> Finding | None:
    """Judge one score: a finding where it lies below the threshold, else None; threshold 0 never finds."""
    return Finding(reason, float(score), threshold, detail) if score < threshold else None


def measure_quality(pixels: Pixels) -> Scores:
    """Take CleanVision's raw measures of one picture, uint8 (height, width, 3) RGB: float64 (``len(MEASURES)``,).

    One thing differs. Pillow leaves the outermost pixels of an edge filter as they were, so CleanVision counts a frame
    of brightness among the edges; in thumbnails it drowns the blur (portraits blurred with a radius of 10 pixels scored
    0.32, sharp ones 0.43). The frame is cut off, and its correction for few colours, which adds as much, is left out.
    """
    from cleanvision.issue_managers.image_property import BrightnessProperty, EntropyProperty

    picture = PIL.Image.fromarray(pixels)
    picture.thumbnail((LONGEST_SIDE, LONGEST_SIDE), PIL.Image.Resampling.BILINEAR)
    measures: dict[str, float] = {
        **BrightnessProperty("dark").calculate(picture),
        **EntropyProperty().calculate(picture),
    }
    measures |= {"blurriness": _edge_strength(picture), "blurriness_grayscale_std": 0.0}
    return np.asarray([measures[name] for name in MEASURES], np.float64)


def _edge_strength(picture: PIL.Image.Image) -> float:
    from cleanvision.issue_managers.image_property import get_edges
    from cleanvision.utils.constants import MAX_RESOLUTION_FOR_BLURRY_DETECTION as LONGEST

    small = picture.convert("L")
    small.thumbnail((LONGEST, LONGEST))
    if min(small.size) < 3:
        return 0.0
    inner = get_edges(small).crop((1, 1, small.width - 1, small.height - 1))
    return float(PIL.ImageStat.Stat(inner).stddev[0])


def score_quality(measures: Scores) -> dict[str, Scores]:
    """Turn raw measures into CleanVision's scores.

    Args:
        measures: float64 (n, ``len(MEASURES)``), as `measure_quality` takes them.

    Returns:
        Reason of ``QUALITY`` -> float64 (n,) in [0, 1].
    """
    import pandas as pd
    from cleanvision.issue_managers.image_property_issue_manager import ImagePropertyIssueManager

    manager = ImagePropertyIssueManager()
    table = pd.DataFrame(measures, columns=list(MEASURES))
    scores: dict[str, Scores] = {}
    for reason in QUALITY:
        options = {key: value for key, value in manager.params[reason].items() if key != "threshold"}
        scored = manager.image_properties[reason].get_scores(raw_scores=table, issue_type=reason, **options)
        scores[reason] = scored[f"{reason}_score"].to_numpy(np.float64)
    return scores
