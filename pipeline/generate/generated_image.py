"""The image that a generator returns, before it is encoded and stored."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.data.records import Fault


@dataclass(frozen=True, slots=True)
class GeneratedImage:
    """One image as the generator returns it.

    Attributes:
        pixels: (height, width, 3) RGB: uint8 in 0..255, or float32 in 0..1, where NaN is a failure.
        fault: A failure that the pixels do not show, e.g. "nsfw": the safety checker blanked the image.
    """

    pixels: NDArray[np.uint8] | NDArray[np.float32]
    fault: Fault | None = None
