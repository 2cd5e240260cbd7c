"""Conversion between RGB and NV21, the YUV 4:2:0 frames of Android's cameras.

Pure. Layout (ImageFormat.NV21 of Android): a plane of Y, then V and U interleaved at half the resolution on both
axes. The matrix is that of ITU-R BT.601-7 (standard definition, JPEG) or BT.709-6 (high definition). The range is full
(0..255, as in JFIF, ITU-T T.871) or limited (Y 16..235, chroma 16..240). The buffer does not record either: the app
must know them.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.data.preprocess import Pixels

Matrix = Literal["bt601", "bt709"]
Range = Literal["full", "limited"]

_WEIGHTS = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722)}  # weights of red and blue in Y; green has the rest
_SCALES = {"full": (0.0, 255.0, 255.0), "limited": (16.0, 219.0, 224.0)}  # black level, span of Y, span of chroma


class Coding(NamedTuple):
    """Matrix and value range of a YUV buffer."""

    matrix: Matrix
    range: Range


def encode(pixels: Pixels, coding: Coding) -> NDArray[np.uint8]:
    """Encode RGB pixels, uint8 (height, width, 3), both sides even, as NV21, uint8 (height * 3 / 2, width).

    Chroma is the mean of each block of 2x2 pixels, sited at its centre as in JPEG.
    """
    red, blue = _WEIGHTS[coding.matrix]
    black, span, chroma_span = _SCALES[coding.range]
    rgb = pixels.astype(np.float32) / np.float32(255)
    luma = rgb @ np.array([red, 1 - red - blue, blue], np.float32)
    height, width = luma.shape
    difference = np.stack([(rgb[..., 0] - luma) / (2 - 2 * red), (rgb[..., 2] - luma) / (2 - 2 * blue)], axis=-1)
    v_u = difference.reshape(height // 2, 2, width // 2, 2, 2).mean(axis=(1, 3))
    planes = [black + span * luma, (128 + chroma_span * v_u).reshape(height // 2, width)]
    return np.asarray(np.rint(np.clip(np.concatenate(planes), 0, 255)), np.uint8)


def decode(buffer: NDArray[np.uint8], coding: Coding) -> Pixels:
    """Decode an NV21 buffer, uint8 (height * 3 / 2, width), to RGB pixels, uint8 (height, width, 3).

    The four pixels of a block share its chroma, as in the fast conversions on phones.
    """
    red, blue = _WEIGHTS[coding.matrix]
    black, span, chroma_span = _SCALES[coding.range]
    height, width = buffer.shape[0] * 2 // 3, buffer.shape[1]
    luma = (buffer[:height].astype(np.float32) - np.float32(black)) / np.float32(span)
    v_u = (buffer[height:].reshape(height // 2, width // 2, 2).astype(np.float32) - 128) / np.float32(chroma_span)
    v, u = np.moveaxis(v_u.repeat(2, axis=0).repeat(2, axis=1), -1, 0)
    r, b = luma + (2 - 2 * red) * v, luma + (2 - 2 * blue) * u
    g = (luma - red * r - blue * b) / (1 - red - blue)
    return np.asarray(np.rint(255 * np.clip(np.stack([r, g, b], axis=-1), 0, 1)), np.uint8)


def swap_u_and_v(buffer: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Swap U and V: an NV12 buffer that is decoded as NV21, or the reverse."""
    height, width = buffer.shape[0] * 2 // 3, buffer.shape[1]
    swapped = buffer[height:].reshape(-1, width // 2, 2)[..., ::-1].reshape(-1, width)
    return np.concatenate([buffer[:height], swapped])


def encode_and_decode(pixels: Pixels, encoded: Coding, decoded: Coding, *, swap_chroma: bool = False) -> Pixels:
    """Encode a picture, uint8 (height, width, 3), as NV21 and decode it, possibly with another coding.

    An odd side is padded by repeating its last row or column, which is cropped afterwards.
    """
    height, width = pixels.shape[:2]
    even = np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), "edge")
    buffer = encode(even, encoded)
    return decode(swap_u_and_v(buffer) if swap_chroma else buffer, decoded)[:height, :width]
