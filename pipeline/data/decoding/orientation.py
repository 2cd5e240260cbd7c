"""EXIF orientation -> upright image.

Reads the one tag that matters, by hand: of malformed EXIF data, Pillow's parser raises eight kinds of exceptions and
prints warnings. EXIF 2.32 (CIPA DC-008), sections 4.5 and 4.6.4: a TIFF header, then directory entries of 12 bytes.
"""

from __future__ import annotations

import struct
from typing import Literal

import PIL.Image

UPRIGHT = 1
_PREFIX = b"Exif\0\0"
_TAG = 0x0112
_TRANSPOSITIONS = {
    2: PIL.Image.Transpose.FLIP_LEFT_RIGHT,
    3: PIL.Image.Transpose.ROTATE_180,
    4: PIL.Image.Transpose.FLIP_TOP_BOTTOM,
    5: PIL.Image.Transpose.TRANSPOSE,
    6: PIL.Image.Transpose.ROTATE_270,
    7: PIL.Image.Transpose.TRANSVERSE,
    8: PIL.Image.Transpose.ROTATE_90,
}
_VALUE_FORMATS: dict[int, Literal["B", "H", "I"]] = {1: "B", 3: "H", 4: "I"}
"""TIFF type of the value -> its ``struct`` format: byte, short or long. Orientation should be a short."""


def read_orientation(exif: object) -> int:
    """Read the orientation, 1 to 8; 1 (upright) if there is none, or if the data are malformed. Never raises.

    Args:
        exif: Contents of an EXIF block, with or without "Exif" and two zero bytes before them.
    """
    if not isinstance(exif, bytes):
        return UPRIGHT
    data = exif.removeprefix(_PREFIX).removeprefix(_PREFIX)
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(data[:4])
    if order is None or len(data) < 8:
        return UPRIGHT
    start = struct.unpack_from(f"{order}I", data, 4)[0]
    if start + 2 > len(data):
        return UPRIGHT
    count = struct.unpack_from(f"{order}H", data, start)[0]
    for entry in range(start + 2, min(start + 2 + 12 * count, len(data) - 11), 12):
        tag, kind, values = struct.unpack_from(f"{order}HHI", data, entry)
        if tag == _TAG:
            known = kind in _VALUE_FORMATS and values == 1
            value = struct.unpack_from(f"{order}{_VALUE_FORMATS[kind]}", data, entry + 8)[0] if known else UPRIGHT
            return int(value) if value in _TRANSPOSITIONS else UPRIGHT
    return UPRIGHT


def turn_upright(image: PIL.Image.Image, orientation: int) -> PIL.Image.Image:
    """Rotate or mirror an image as an orientation of 1 to 8 says; returns ``image`` itself if it is upright."""
    return image if orientation == UPRIGHT else image.transpose(_TRANSPOSITIONS[orientation])
