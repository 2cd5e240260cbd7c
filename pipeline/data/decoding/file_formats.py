"""The image formats that Gossamer reads, the limits of each, and the names of formats that it does not read.

A format is recognised by the first bytes of a file, never by its name. Pillow alone opens about 40 formats, and starts
Ghostscript for one of them (EPS); here every format is listed, and each is opened by its own Pillow class
(``pipeline.data.decoding.decode``). Reads and writes no files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

JPEG: Final = "JPEG"
PNG: Final = "PNG"
WEBP: Final = "WebP"
HEIC: Final = "HEIC"
MEGABYTE = 1 << 20


@dataclass(frozen=True, slots=True)
class FormatLimits:
    """A format that is read.

    Attributes:
        suffixes: Usual endings of file names, lower case, with the dot.
        max_bytes: Larger files are refused before they are decoded.
        max_pixels: Width times height; images with more are refused before they are decoded. 52 megapixels are those of
            a phone's 50-megapixel sensor (8192 x 6144); decoding and hashing that many takes about 2 s and up to 1 GB.
    """

    suffixes: tuple[str, ...]
    max_bytes: int
    max_pixels: int = 52_000_000


READABLE: Mapping[str, FormatLimits] = MappingProxyType(
    {
        JPEG: FormatLimits((".jpg", ".jpeg", ".jfif", ".jpe"), 64 * MEGABYTE),
        PNG: FormatLimits((".png",), 256 * MEGABYTE),
        WEBP: FormatLimits((".webp",), 64 * MEGABYTE),
        HEIC: FormatLimits((".heic", ".heif", ".hif"), 64 * MEGABYTE),
    }
)
"""Format -> its limits."""
EXPECTED = "expected a whole JPEG, PNG, WebP or HEIC image"
SUFFIXES = tuple(suffix for limits in READABLE.values() for suffix in limits.suffixes)
"""Endings of the names of photographs, lower case."""
MAX_BYTES = max(limits.max_bytes for limits in READABLE.values())
SIGNATURE_BYTES = 32
"""Number of bytes at the start of a file that ``name_format`` looks at."""

_SIGNATURES = (
    (b"\xff\xd8\xff", JPEG),
    (b"\x89PNG\r\n\x1a\n", PNG),
    (b"GIF8", "GIF"),
    (b"BM", "BMP"),
    (b"II*\0", "TIFF or raw"),
    (b"MM\0*", "TIFF or raw"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
    (b"%!PS", "PostScript (EPS)"),
    (b"\xc5\xd0\xd3\xc6", "PostScript (EPS)"),
    (b"%PDF", "PDF"),
    (b"8BPS", "Photoshop"),
    (b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"\0\0\0\x0cJXL ", "JPEG XL"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\0\0\x01\0", "Windows icon"),
    (b"\0\x05\x16\x07", "AppleDouble"),
    (b"<svg", "SVG"),
    (b"<?xml", "XML or SVG"),
    (b"<!DOCTYPE", "HTML"),
    (b"<!doctype", "HTML"),
    (b"<html", "HTML"),
    (b"PK\x03\x04", "ZIP"),
    (b"\x1f\x8b", "gzip"),
)
_HEIC_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"})
_AVIF_BRANDS = frozenset({b"avif", b"avis"})


def name_format(data: bytes) -> str:
    """Name the format of a file.

    Args:
        data: The file, or at least its first ``SIGNATURE_BYTES`` bytes.

    Returns:
        A key of ``READABLE``, the name of another known format, or "" for an unknown one.
    """
    if data[:4] == b"RIFF":
        return WEBP if data[8:12] == b"WEBP" else "audio or video (RIFF)"
    if data[4:8] == b"ftyp":
        return _name_iso_media(data)
    return next((name for signature, name in _SIGNATURES if data.startswith(signature)), "")


def _name_iso_media(data: bytes) -> str:
    """Name a file of the ISO base media family by its brands: HEIC, AVIF and QuickTime share one container."""
    end = min(int.from_bytes(data[:4], "big"), SIGNATURE_BYTES, len(data))
    brands = {data[8:12], *(data[start : start + 4] for start in range(16, end - 3, 4))}
    if brands & _AVIF_BRANDS:
        return "AVIF"
    if brands & _HEIC_BRANDS:
        return HEIC
    return "Canon raw" if data[8:11] == b"crx" else "video (MP4 or QuickTime)"
