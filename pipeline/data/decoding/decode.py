"""Decodes one image file: training, selfies, review, parity, verification and the report all use this code.

    bytes -> format by content, limits of the format -> one Pillow class per format -> 8-bit sRGB -> upright pixels

Format and size are checked before anything is decoded. Of the metadata only orientation and colour profile are read.
Whatever is wrong with a file becomes one ``ImageError``, which names the reason. Reads and writes no files.
"""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
import PIL.Image
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from pipeline.data.decoding.file_formats import EXPECTED, HEIC, JPEG, MEGABYTE, PNG, READABLE, WEBP, name_format
from pipeline.data.decoding.orientation import UPRIGHT, read_orientation, turn_upright
from pipeline.data.decoding.srgb import TRANSPARENCY, to_srgb
from pipeline.data.preprocess import Pixels
from pipeline.errors import ImageError, cut

MAX_SCANNED_PIXELS = 1 << 30
"""Pixels times scans of a JPEG. A progressive JPEG can repeat thousands of scans in a small file, each as slow as a
whole image; encoders write about ten, so that the largest image may have twenty."""
DECODER_ERRORS = (
    OSError,  # truncated or broken data, and what Pillow's decoders report by number
    SyntaxError,  # not a file of this format; also for most errors in a header
    ValueError,  # a length or value out of range; text that is not UTF-8
    EOFError,  # a WebP or HEIC without an image
    IndexError,
    TypeError,
    OverflowError,
    struct.error,
    RuntimeError,  # libheif
    PIL.Image.DecompressionBombError,
)
"""What Pillow and pillow-heif raise when they open and decode a malformed file. Caught around these calls alone."""
_JPEG_MARKER = re.compile(rb"\xff+[\x01-\xcf\xd8-\xfe]")
"""A marker; within the data of a scan, 0xff is followed by zero or a restart marker."""
_START_OF_SCAN, _END_OF_IMAGE = 0xDA, 0xD9
_PNG_CHUNKS = frozenset({b"tRNS", b"iCCP", b"eXIf"})
_GREY, _RGB = 0, 2
"""Colour types of PNG, of which a tRNS chunk gives the transparent colour."""


class _Jpeg(JpegImageFile):
    """A JPEG of which EXIF data are not parsed for the resolution: that raises, or warns, if they are malformed."""

    def _read_dpi_from_exif(self) -> None:
        """Do nothing."""


def decode(data: bytes, where: str = "image") -> Pixels:
    """Decode an image file and turn it upright, as its EXIF orientation says.

    Args:
        data: JPEG, PNG, WebP or HEIC; of an animation, the first image.
        where: Where the bytes come from, for the error.

    Returns:
        uint8 (height, width, 3) RGB in 0..255, sRGB.

    Raises:
        ImageError: The file is damaged, too large, or of a format that is not read.
    """
    name = _require_format(data, where)
    try:
        image = _open(name, data, where)
        image.load()
    except DECODER_ERRORS as error:
        raise _unreadable(error, where) from error
    # libheif has applied the rotation of the container, which overrides EXIF.
    orientation = UPRIGHT if name == HEIC else read_orientation(image.info.get("exif"))
    return np.asarray(turn_upright(to_srgb(image), orientation))


def displays_alike(data: bytes) -> bool:
    """Whether a browser shows the pixels that ``decode`` returns; it shows other ones, or none, of many formats."""
    name = name_format(data)
    if name not in {JPEG, PNG}:
        return False
    try:
        image = _open(name, data, "image")
    except (ImageError, *DECODER_ERRORS):
        return False
    return image.mode in {"1", "L", "P", "RGB"} and TRANSPARENCY not in image.info


def _require_format(data: bytes, where: str) -> str:
    """Return the format; raise ``ImageError`` if it is not read, or if there are more bytes than it may have."""
    if not data:
        raise ImageError(f"{where}: cannot be decoded (the file is empty); {EXPECTED}", "unreadable")
    name = name_format(data)
    if not name:
        raise ImageError(f"{where}: cannot be decoded (of no known format); {EXPECTED}", "unreadable")
    if name not in READABLE:
        advice = "convert it" if name == "AVIF" else "convert it if it is a photograph"
        raise ImageError(
            f"{where}: cannot be decoded (the format is {name}); {EXPECTED}; {advice}", "unsupported_format"
        )
    most = READABLE[name].max_bytes
    if len(data) > most:
        found = f"{len(data) / MEGABYTE:.0f} MB"
        raise ImageError(
            f"{where}: not decoded ({found}); expected a {name} of at most {most // MEGABYTE} MB", "too_large"
        )
    return name


def _open(name: str, data: bytes, where: str) -> PIL.Image.Image:
    """Read the header of an image and check its size; nothing is decoded yet, except by libheif."""
    if name == HEIC:
        return _open_heic(data, where)
    if name == WEBP:  # its decoder allocates memory for the whole image when it opens one
        _require_size(name, _webp_size(data), where)
    image = _OPENERS[name](data)
    _require_size(name, image.size, where)
    scans = _count_scans(data) if name == JPEG else 1
    if scans * image.width * image.height > MAX_SCANNED_PIXELS:
        size = f"{scans} scans of {image.width} x {image.height} pixels"
        raise ImageError(
            f"{where}: not decoded ({size}); expected at most {MAX_SCANNED_PIXELS} pixels in all scans", "too_large"
        )
    return image


def _require_size(name: str, size: tuple[int, int], where: str) -> None:
    width, height = size
    most = READABLE[name].max_pixels
    if width * height > most:
        raise ImageError(
            f"{where}: not decoded ({width} x {height} pixels); expected at most {most / 1e6:.0f} megapixels; "
            "scale it down",
            "too_large",
        )


def _open_jpeg(data: bytes) -> PIL.Image.Image:
    return _Jpeg(io.BytesIO(data))


def _count_scans(data: bytes) -> int:
    """Count the scans of a JPEG up to the end of its first image; a phone may append a video or another image."""
    scans, start = 0, 2
    while match := _JPEG_MARKER.search(data, start):
        marker = match[0][-1]
        if marker == _END_OF_IMAGE:
            break
        scans += marker == _START_OF_SCAN
        start = match.end() + int.from_bytes(data[match.end() : match.end() + 2], "big")
    return scans


def _open_png(data: bytes) -> PIL.Image.Image:
    """Open a PNG; the transparent colour gets as many bits as Pillow's samples: it leaves that of the file as it is."""
    image = PngImageFile(io.BytesIO(_essential_chunks(data)))
    key, depth, colour_type = image.info.get(TRANSPARENCY), data[24], data[25]
    if isinstance(key, int) and colour_type == _GREY and 1 < depth < 16:
        highest = (1 << depth) - 1
        image.info[TRANSPARENCY] = (key & highest) * (255 // highest)
    elif isinstance(key, tuple) and colour_type == _RGB:
        image.info[TRANSPARENCY] = tuple(value >> 8 if depth == 16 else value & 255 for value in key)
    return image


def _essential_chunks(data: bytes) -> bytes:
    """Copy a PNG without text, animation and other chunks that are not needed, and that Pillow may fail on.

    A chunk whose name begins with a capital letter is needed by definition. Pillow checks what is left.
    """
    if data[12:16] != b"IHDR":
        raise SyntaxError("the first chunk is not IHDR")
    kept, start = [data[:8]], 8
    while start + 8 <= len(data):
        end = start + 12 + int.from_bytes(data[start : start + 4], "big")
        name = data[start + 4 : start + 8]
        if name[:1].isupper() or name in _PNG_CHUNKS:
            kept.append(data[start:end])
        start = end
    return b"".join(kept)


def _open_webp(data: bytes) -> PIL.Image.Image:
    return WebPImageFile(io.BytesIO(data))


def _webp_size(data: bytes) -> tuple[int, int]:
    """Read width and height from the header of a WebP; (0, 0) if it is malformed, which the decoder reports."""
    kind, header = data[12:16], data[20:30].ljust(10, b"\0")
    if kind == b"VP8X":
        return int.from_bytes(header[4:7], "little") + 1, int.from_bytes(header[7:10], "little") + 1
    if kind == b"VP8L":
        bits = int.from_bytes(header[1:5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    width, height = struct.unpack_from("<HH", header, 6)
    return width & 0x3FFF, height & 0x3FFF


def _open_heic(data: bytes, where: str) -> PIL.Image.Image:
    """Decode a HEIC with pillow-heif, an optional package: its decoder has another licence than Gossamer."""
    try:
        import pillow_heif
    except ImportError as error:
        raise ImageError(
            f"{where}: not decoded (the format is HEIC); expected pillow-heif to read it: pip install pillow-heif, "
            "or convert it to JPEG",
            "needs_pillow_heif",
        ) from error
    heif = pillow_heif.open_heif(io.BytesIO(data), convert_hdr_to_8bit=True)
    _require_size(HEIC, heif.size, where)
    image: PIL.Image.Image = heif.to_pillow()
    return image


_OPENERS: Mapping[str, Callable[[bytes], PIL.Image.Image]] = MappingProxyType(
    {JPEG: _open_jpeg, PNG: _open_png, WEBP: _open_webp}
)


def _unreadable(error: Exception, where: str) -> ImageError:
    why = cut(str(error)) or type(error).__name__
    return ImageError(f"{where}: cannot be decoded ({why}); {EXPECTED}", "unreadable")
