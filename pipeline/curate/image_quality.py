"""Image quality: too dark, too light, too little information, blurred.

CleanVision's measures and scores (https://github.com/cleanlab/cleanvision). Its default thresholds suit daylight
photographs and would reject pictures taken at night, so thresholds come from params.yaml. Reads and writes no files.
"""

from __future__ import annotations

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
"""CleanVision's names of the raw measures, in the order of the columns of ``measure_quality``."""
QUALITY_REASONS = ("dark", "light", "low_information", "blurry")
"""Rejection reasons of this module; if several apply to an image, the first one is recorded."""
LONGEST_SIDE = 256
"""Pixels; larger images are scaled down first: the measures suit thumbnails, and their cost grows with the pixels."""


def measure_quality(pixels: Pixels) -> Scores:
    """Compute CleanVision's raw measures of one image.

    Blur is measured differently from CleanVision. Pillow's edge filter copies the outermost pixels, so CleanVision
    counts a frame of brightness as edges; in thumbnails the frame outweighs the blur (portraits blurred with a radius
    of 10 pixels scored 0.32, sharp ones 0.43). Here the frame is cropped, and CleanVision's correction for images of
    few colours, an addend of the same size, is left out.

    Args:
        pixels: uint8 (height, width, 3), RGB, [0, 255].

    Returns:
        float64 (``len(MEASURES)``,).
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
        measures: float64 (n, ``len(MEASURES)``), rows as ``measure_quality`` returns them.

    Returns:
        Reason of ``QUALITY_REASONS`` -> float64 (n,) in [0, 1]; lower is worse.
    """
    import pandas as pd
    from cleanvision.issue_managers.image_property_issue_manager import ImagePropertyIssueManager

    manager = ImagePropertyIssueManager()
    table = pd.DataFrame(measures, columns=list(MEASURES))
    scores: dict[str, Scores] = {}
    for reason in QUALITY_REASONS:
        options = {key: value for key, value in manager.params[reason].items() if key != "threshold"}
        scored = manager.image_properties[reason].get_scores(raw_scores=table, issue_type=reason, **options)
        scores[reason] = scored[f"{reason}_score"].to_numpy(np.float64)
    return scores
