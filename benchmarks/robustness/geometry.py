"""Geometric changes of a frame: mirror, EXIF orientation, crop, letterbox, rotation, zoom and resize; JPEG compression.

Pure. Frames are RGB, uint8 (height, width, 3).
"""

from __future__ import annotations

import io
import math
from typing import Literal

import numpy as np
import PIL.Image
import PIL.ImageOps

from pipeline.data.preprocess import Pixels, PreprocessSpec

Filter = Literal["nearest", "bilinear", "area"]


def mirror(pixels: Pixels) -> Pixels:
    """Flip left and right, as front cameras show a selfie and some of them save it (MirrorMode of CameraX)."""
    return np.ascontiguousarray(pixels[:, ::-1])


def store_with_orientation(pixels: Pixels, orientation: int) -> Pixels:
    """Return an upright picture as a camera stores it under an EXIF orientation, which apps get that ignore the tag.

    Args:
        pixels: The upright picture.
        orientation: 1 to 8, tag 0x0112 of EXIF 2.32 (CIPA DC-008), after TIFF 6.0: which side of the scene row 0 and
            column 0 show. A picture of orientation 6 is upright after a quarter turn clockwise, 8 after one
            counter-clockwise, 3 after a half turn.
    """
    stored = {
        1: pixels,
        2: pixels[:, ::-1],
        3: pixels[::-1, ::-1],
        4: pixels[::-1],
        5: pixels.swapaxes(0, 1),
        6: np.rot90(pixels),
        7: pixels[::-1, ::-1].swapaxes(0, 1),
        8: np.rot90(pixels, -1),
    }
    return np.ascontiguousarray(stored[orientation])


def crop_to_aspect(pixels: Pixels, aspect: float) -> Pixels:
    """Crop the centre to an aspect ratio (width / height), as phones crop 9:16 from their 4:3 sensor."""
    height, width = pixels.shape[:2]
    rows, columns = min(height, round(width / aspect)), min(width, round(height * aspect))
    top, left = (height - rows) // 2, (width - columns) // 2
    return np.ascontiguousarray(pixels[top : top + rows, left : left + columns])


def letterbox(pixels: Pixels, aspect: float) -> Pixels:
    """Add black bars to reach an aspect ratio (width / height); nothing is cropped or stretched."""
    height, width = pixels.shape[:2]
    rows, columns = max(height, round(width / aspect)), max(width, round(height * aspect))
    letterboxed = np.zeros((rows, columns, 3), np.uint8)
    top, left = (rows - height) // 2, (columns - width) // 2
    letterboxed[top : top + height, left : left + width] = pixels
    return letterboxed


def stretch(pixels: Pixels, spec: PreprocessSpec) -> Pixels:
    """Scale to the input size without keeping the aspect ratio."""
    height, width = spec.input_size
    return np.asarray(PIL.Image.fromarray(pixels).resize((width, height), PIL.Image.Resampling.BILINEAR))


def rotate(pixels: Pixels, degrees: float) -> Pixels:
    """Rotate by a few degrees counter-clockwise about the centre; corners are filled by reflection."""
    height, width = pixels.shape[:2]
    margin = min(math.ceil(math.sin(math.radians(abs(degrees))) * max(height, width) / 2) + 2, height - 1, width - 1)
    wide = PIL.Image.fromarray(np.pad(pixels, ((margin, margin), (margin, margin), (0, 0)), "reflect"))
    turned = np.asarray(wide.rotate(degrees, PIL.Image.Resampling.BICUBIC))
    return turned[margin : margin + height, margin : margin + width]


def zoom(pixels: Pixels, scale: float) -> Pixels:
    """Zoom digitally: enlarge the centre ``scale`` times by bilinear interpolation, which softens it."""
    height, width = pixels.shape[:2]
    x, y = (width - width / scale) / 2, (height - height / scale) / 2
    image = PIL.Image.fromarray(pixels)
    return np.asarray(image.resize((width, height), PIL.Image.Resampling.BILINEAR, box=(x, y, width - x, height - y)))


def resize_with_filter(pixels: Pixels, scale: float, spec: PreprocessSpec, resize_filter: Filter) -> Pixels:
    """Resize a frame ``scale`` times as large as the input to the input size with a filter that training does not use.

    ``nearest`` takes the pixel at floor(x * scale), as OpenCV's INTER_NEAREST does. ``bilinear`` weights the four
    pixels around the centre without antialiasing, as OpenCV's INTER_LINEAR and Android's createScaledBitmap do; at an
    odd scale this is one pixel of each block. ``area`` averages boxes, as INTER_AREA does. A selfie that is no larger
    than the input (rendered ones by default) is enlarged first: it shows how the filters shift and soften, but has no
    fine detail that could alias; photographs have.

    Returns:
        RGB, uint8 (input height, input width, 3).
    """
    height, width = spec.input_size
    size = (round(width * scale), round(height * scale))
    method = PIL.ImageOps.fit if spec.fit == "crop" else PIL.ImageOps.pad
    # the default filter would soften a frame that is enlarged
    frame = method(PIL.Image.fromarray(pixels), size, PIL.Image.Resampling.LANCZOS)
    if resize_filter == "nearest":
        rows, columns = (np.arange(short) * long // short for short, long in ((height, size[1]), (width, size[0])))
        return np.asarray(frame)[rows[:, None], columns]
    if resize_filter == "area":
        return np.asarray(frame.resize((width, height), PIL.Image.Resampling.BOX))
    extent = PIL.Image.Transform.EXTENT
    return np.asarray(frame.transform((width, height), extent, (0, 0, *size), PIL.Image.Resampling.BILINEAR))


def jpeg_compress(pixels: Pixels, quality: int) -> Pixels:
    """Encode as JPEG (ITU-T T.81) at a quality of libjpeg's scale with 4:2:0 chroma subsampling, and decode again."""
    buffer = io.BytesIO()
    PIL.Image.fromarray(pixels).save(buffer, "JPEG", quality=quality, subsampling="4:2:0")
    return np.asarray(PIL.Image.open(buffer))


def limit_size(pixels: Pixels, spec: PreprocessSpec, scale: float) -> Pixels:
    """Scale a frame down to at most ``scale`` times the size that covers the input; never up."""
    height, width = pixels.shape[:2]
    share = scale * max(spec.input_size[0] / height, spec.input_size[1] / width)
    if share >= 1:
        return pixels
    size = (round(width * share), round(height * share))
    return np.asarray(PIL.Image.fromarray(pixels).resize(size, PIL.Image.Resampling.BOX, reducing_gap=2.0))
