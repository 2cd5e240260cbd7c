"""Encoded pictures, and ICC profiles with known primaries and gamma."""

from __future__ import annotations

import io
import struct

import numpy as np
import PIL.Image
from numpy.typing import NDArray

ADOBE_RGB = ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457))
"""Red, green and blue of Adobe RGB (1998) as XYZ, adapted to D50."""
DISPLAY_P3 = ((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407))
SRGB = ((0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.71410))
D50 = (0.9642, 1.0, 0.8249)


def encode(picture: PIL.Image.Image | NDArray[np.uint8], form: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image = picture if isinstance(picture, PIL.Image.Image) else PIL.Image.fromarray(picture)
    image.save(buffer, form, **options)
    return buffer.getvalue()


def exif_block(orientation: int, order: str = "<", kind: int = 3, values: int = 1) -> bytes:
    """An EXIF block whose directory has one entry, the orientation, in either byte order."""
    value = (
        struct.pack(f"{order}H", orientation).ljust(4, b"\0") if kind == 3 else struct.pack(f"{order}I", orientation)
    )
    header = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", 8)
    return b"Exif\0\0" + header + struct.pack(f"{order}HHHI", 1, 0x0112, kind, values) + value + b"\0" * 4


def rgb_profile(primaries: tuple[tuple[float, ...], ...], gamma: float) -> bytes:
    """An ICC 2.1 display profile of three primaries (XYZ, relative to D50) and one gamma."""
    curve = b"curv" + bytes(4) + struct.pack(">IH2x", 1, round(gamma * 256))
    tags = {b"wtpt": _xyz(D50)}
    for channel, primary in zip(b"rgb", primaries, strict=True):
        tags[bytes([channel]) + b"XYZ"] = _xyz(primary)
        tags[bytes([channel]) + b"TRC"] = curve
    return _profile(b"RGB ", tags)


def grey_profile(gamma: float) -> bytes:
    """An ICC 2.1 display profile for grey images."""
    curve = b"curv" + bytes(4) + struct.pack(">IH2x", 1, round(gamma * 256))
    return _profile(b"GRAY", {b"wtpt": _xyz(D50), b"kTRC": curve})


def _xyz(values: tuple[float, ...]) -> bytes:
    return b"XYZ " + bytes(4) + struct.pack(">3i", *(round(value * 65536) for value in values))


def _profile(space: bytes, tags: dict[bytes, bytes]) -> bytes:
    offset = 128 + 4 + 12 * len(tags)
    table, body = struct.pack(">I", len(tags)), b""
    for name, data in tags.items():
        table += name + struct.pack(">II", offset + len(body), len(data))
        body += data
    header = struct.pack(">I4sI4s4s4s", offset + len(body), bytes(4), 0x02100000, b"mntr", space, b"XYZ ")
    header += bytes(12) + b"acsp" + bytes(28) + struct.pack(">3i", *(round(value * 65536) for value in D50))
    return header.ljust(128, b"\0") + table + body
