"""Pure: RGB <-> NV21, the frames that Android's cameras deliver: brightness for every pixel, colour for every fourth.

Layout (Android's ImageFormat.NV21): a plane of Y, then V and U in turn at half the resolution on both axes (4:2:0).
The matrix is one of ITU-R BT.601-7 (standard definition, JPEG) and BT.709-6 (high definition); the range is full
(0..255, as in JFIF, ITU-T T.871) or limited (Y 16..235, colour 16..240). None of this stands in the buffer: an app must
know it.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.data.preprocess import Pixels

Matrix = Literal["bt601", "bt709"]
Range = Literal["full", "limited"]

_WEIGHTS = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722)}  # of red and blue in Y; green has the rest
_SCALES = {"full": (0.0, 255.0, 255.0), "limited": (16.0, 219.0, 224.0)}  # black, span of Y, span of colour


class Coding(NamedTuple):
    """How codes are to be understood."""

    matrix: Matrix
    range: Range


def encode(pixels: Pixels, coding: Coding) -> NDArray[np.uint8]:
    """Turn RGB pixels, uint8 (height, width, 3), both even, into an NV21 buffer, uint8 (height * 3 / 2, width).

    Colour is the mean of each block of 2x2 pixels, sited in its middle as JPEG does.
    """
    red, blue = _WEIGHTS[coding.matrix]
    black, span, colour_span = _SCALES[coding.range]
    rgb = pixels.astype(np.float32) / np.float32(255)
    luma = rgb @ np.array([red, 1 - red - blue, blue], np.float32)
    height, width = luma.shape
    difference = np.stack([(rgb[..., 0] - luma) / (2 - 2 * red), (rgb[..., 2] - luma) / (2 - 2 * blue)], axis=-1)
    v_u = difference.reshape(height // 2, 2, width // 2, 2, 2).mean(axis=(1, 3))
    planes = [black + span * luma, (128 + colour_span * v_u).reshape(height // 2, width)]
    return np.asarray(np.rint(np.clip(np.concatenate(planes), 0, 255)), np.uint8)


def decode(buffer: NDArray[np.uint8], coding: Coding) -> Pixels:
    """Turn an NV21 buffer, uint8 (height * 3 / 2, width), into RGB pixels, uint8 (height, width, 3).

    Every pixel of a block gets the block's colour, as the fast conversions on phones do.
    """
    red, blue = _WEIGHTS[coding.matrix]
    black, span, colour_span = _SCALES[coding.range]
    height, width = buffer.shape[0] * 2 // 3, buffer.shape[1]
    luma = (buffer[:height].astype(np.float32) - np.float32(black)) / np.float32(span)
    v_u = (buffer[height:].reshape(height // 2, width // 2, 2).astype(np.float32) - 128) / np.float32(colour_span)
    v, u = np.moveaxis(v_u.repeat(2, axis=0).repeat(2, axis=1), -1, 0)
    r, b = luma + (2 - 2 * red) * v, luma + (2 - 2 * blue) * u
    g = (luma - red * r - blue * b) / (1 - red - blue)
    return np.asarray(np.rint(255 * np.clip(np.stack([r, g, b], axis=-1), 0, 1)), np.uint8)


def swap_colours(buffer: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Take V for U and U for V: an NV12 buffer read as NV21, or the reverse."""
    height, width = buffer.shape[0] * 2 // 3, buffer.shape[1]
    swapped = buffer[height:].reshape(-1, width // 2, 2)[..., ::-1].reshape(-1, width)
    return np.concatenate([buffer[:height], swapped])


def pass_through(pixels: Pixels, written: Coding, read: Coding, *, swapped: bool = False) -> Pixels:
    """Send a picture, uint8 (height, width, 3), through an NV21 buffer that one side writes and the other reads.

    An odd side is made even by repeating its last row or column, which is cut off again.
    """
    height, width = pixels.shape[:2]
    even = np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), "edge")
    buffer = encode(even, written)
    return decode(swap_colours(buffer) if swapped else buffer, read)[:height, :width]
