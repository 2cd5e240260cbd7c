"""The only image -> tensor code: training, export and benchmarks share it, and every artifact bakes its last step in.

Bytes -> ``decode`` -> RGB pixels, upright -> ``fit`` -> pixels of the input size -> ``normalise`` -> its tensor.
A phone does the first two with its own camera and image library; the third lies inside the exported graph.
"""

from __future__ import annotations

import io
from typing import Literal

import numpy as np
import PIL.Image
import PIL.ImageOps
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from pipeline.errors import DataError

Pixels = NDArray[np.uint8]


class PreprocessSpec(BaseModel):
    """How pixels become a tensor; travels in the checkpoint and in every artifact.json.

    Attributes:
        input_size: (height, width) in pixels; portrait.
        fit: "crop" scales the frame to cover the input and cuts the overhang evenly; "pad" scales it to lie inside and
            fills with black.
        mean: Per RGB channel, on the 0..1 scale.
        std: Per RGB channel, on the 0..1 scale.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    input_size: tuple[int, int]
    fit: Literal["crop", "pad"] = "crop"
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = Field(default=(0.5, 0.5, 0.5))
    colour_order: Literal["RGB"] = "RGB"


def decode(data: bytes, where: str = "image") -> Pixels:
    """Decode PNG or JPEG bytes to upright RGB pixels, uint8 (height, width, 3); EXIF orientation is honoured.

    Raises:
        DataError: The bytes are no image, or a truncated one.
    """
    try:
        with PIL.Image.open(io.BytesIO(data)) as image:
            return np.asarray(PIL.ImageOps.exif_transpose(image).convert("RGB"))
    except (OSError, ValueError, SyntaxError, PIL.Image.DecompressionBombError) as error:
        known = not isinstance(error, PIL.UnidentifiedImageError)
        why = error if known else "of no known format"  # Pillow would name an address in memory
        raise DataError(f"{where}: cannot be decoded ({why}); expected a whole PNG or JPEG image") from error


def fit(pixels: Pixels, spec: PreprocessSpec) -> Pixels:
    """Scale an RGB frame to the input size with an antialiased bilinear filter.

    Args:
        pixels: uint8 (height, width, 3), any size.
        spec: Gives the input size and whether to crop or pad.

    Returns:
        uint8 (input height, input width, 3); the same array where the size already fits.
    """
    height, width = spec.input_size
    if pixels.shape[:2] == (height, width):
        return pixels
    method = PIL.ImageOps.fit if spec.fit == "crop" else PIL.ImageOps.pad
    return np.asarray(method(PIL.Image.fromarray(pixels), (width, height), PIL.Image.Resampling.BILINEAR))


def normalise(pixels: NDArray[np.uint8], spec: PreprocessSpec) -> NDArray[np.float32]:
    """Turn a uint8 batch (n, height, width, 3) in 0..255 into a float32 batch (n, 3, height, width)."""
    scaled = pixels.astype(np.float32) / np.float32(255)
    centred = (scaled - np.asarray(spec.mean, np.float32)) / np.asarray(spec.std, np.float32)
    return np.ascontiguousarray(centred.transpose(0, 3, 1, 2))


def encode_png(pixels: Pixels) -> bytes:
    """Encode RGB pixels, uint8 (height, width, 3), without loss; the same pixels give the same bytes."""
    buffer = io.BytesIO()
    PIL.Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
