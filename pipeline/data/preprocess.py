"""From pixels to input tensor; training, export and benchmarks all use this code.

    bytes -> pipeline.data.decoding.decode -> uint8 (height, width, 3) RGB, upright
          -> fit -> uint8 (input height, input width, 3)
          -> normalise -> float32 (n, 3, input height, input width)

On a phone the camera and the image library do the first two steps; the third is part of every exported graph.
"""

from __future__ import annotations

import io
from typing import Literal

import numpy as np
import PIL.Image
import PIL.ImageOps
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

Pixels = NDArray[np.uint8]


class PreprocessSpec(BaseModel):
    """How pixels become a tensor; travels in the checkpoint and in every artifact.json.

    Attributes:
        input_size: (height, width) of the network's input, in pixels; portrait.
        fit: "crop" scales the image to cover the input and cuts the overhang evenly; "pad" scales it to lie inside and
            fills the rest with black.
        mean: Subtracted from each RGB channel, which is scaled to 0..1.
        std: Divides each RGB channel after that.
        colour_order: Order of the channels.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    input_size: tuple[int, int]
    fit: Literal["crop", "pad"] = "crop"
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = Field(default=(0.5, 0.5, 0.5))
    colour_order: Literal["RGB"] = "RGB"


def fit(pixels: Pixels, spec: PreprocessSpec) -> Pixels:
    """Scale an image to the input size with an antialiased bilinear filter.

    Args:
        pixels: uint8 (height, width, 3) RGB, any size.
        spec: Input size, and whether to crop or to pad.

    Returns:
        uint8 (input height, input width, 3) RGB; ``pixels`` itself if it has that size already.
    """
    height, width = spec.input_size
    if pixels.shape[:2] == (height, width):
        return pixels
    method = PIL.ImageOps.fit if spec.fit == "crop" else PIL.ImageOps.pad
    return np.asarray(method(PIL.Image.fromarray(pixels), (width, height), PIL.Image.Resampling.BILINEAR))


def normalise(pixels: NDArray[np.uint8], spec: PreprocessSpec) -> NDArray[np.float32]:
    """Scale a batch to 0..1, subtract the mean and divide by the standard deviation, channel by channel.

    Args:
        pixels: uint8 (n, height, width, 3) RGB in 0..255.
        spec: Mean and standard deviation.

    Returns:
        float32 (n, 3, height, width), contiguous.
    """
    scaled = pixels.astype(np.float32) / np.float32(255)
    centred = (scaled - np.asarray(spec.mean, np.float32)) / np.asarray(spec.std, np.float32)
    return np.ascontiguousarray(centred.transpose(0, 3, 1, 2))


def encode_png(pixels: Pixels) -> bytes:
    """Encode uint8 (height, width, 3) RGB as PNG; the same pixels give the same bytes."""
    buffer = io.BytesIO()
    PIL.Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
