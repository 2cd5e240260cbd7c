"""Pure: which part of the scene a frame shows, and how it is brought to the model's input.

Frames are uint8 (height, width, 3), RGB.
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
    """Mirror left and right, as front cameras show a selfie and some save it (CameraX's MirrorMode)."""
    return np.ascontiguousarray(pixels[:, ::-1])


def store(pixels: Pixels, orientation: int) -> Pixels:
    """Give an upright picture as a camera stores it under an EXIF orientation: what an app sees that forgets the tag.

    Args:
        pixels: Upright.
        orientation: 1 to 8, tag 0x0112 of EXIF 2.32 (CIPA DC-008), after TIFF 6.0: which side of the scene row 0 and
            column 0 show. 6 must be turned a quarter clockwise to be seen upright, 8 the other way, 3 by half.
    """
    turned = {
        1: pixels,
        2: pixels[:, ::-1],
        3: pixels[::-1, ::-1],
        4: pixels[::-1],
        5: pixels.swapaxes(0, 1),
        6: np.rot90(pixels),
        7: pixels[::-1, ::-1].swapaxes(0, 1),
        8: np.rot90(pixels, -1),
    }
    return np.ascontiguousarray(turned[orientation])


def cut(pixels: Pixels, aspect: float) -> Pixels:
    """Cut a frame of this aspect (width / height) from the middle, as a phone cuts 9:16 from its 4:3 sensor."""
    height, width = pixels.shape[:2]
    rows, columns = min(height, round(width / aspect)), min(width, round(height * aspect))
    top, left = (height - rows) // 2, (width - columns) // 2
    return np.ascontiguousarray(pixels[top : top + rows, left : left + columns])


def letterbox(pixels: Pixels, aspect: float) -> Pixels:
    """Put a frame between black bars so that it has this aspect (width / height), nothing cut and nothing stretched."""
    height, width = pixels.shape[:2]
    rows, columns = max(height, round(width / aspect)), max(width, round(height * aspect))
    boxed = np.zeros((rows, columns, 3), np.uint8)
    top, left = (rows - height) // 2, (columns - width) // 2
    boxed[top : top + height, left : left + width] = pixels
    return boxed


def stretch(pixels: Pixels, spec: PreprocessSpec) -> Pixels:
    """Scale to the input size without regard to proportions."""
    height, width = spec.input_size
    return np.asarray(PIL.Image.fromarray(pixels).resize((width, height), PIL.Image.Resampling.BILINEAR))


def rotate(pixels: Pixels, degrees: float) -> Pixels:
    """Roll the picture by a few degrees, counter-clockwise; what comes into view mirrors what lies beside it."""
    height, width = pixels.shape[:2]
    margin = min(math.ceil(math.sin(math.radians(abs(degrees))) * max(height, width) / 2) + 2, height - 1, width - 1)
    wide = PIL.Image.fromarray(np.pad(pixels, ((margin, margin), (margin, margin), (0, 0)), "reflect"))
    turned = np.asarray(wide.rotate(degrees, PIL.Image.Resampling.BICUBIC))
    return turned[margin : margin + height, margin : margin + width]


def zoom(pixels: Pixels, times: float) -> Pixels:
    """Zoom digitally: the middle of the picture, enlarged by bilinear interpolation, and so softer."""
    height, width = pixels.shape[:2]
    x, y = (width - width / times) / 2, (height - height / times) / 2
    image = PIL.Image.fromarray(pixels)
    return np.asarray(image.resize((width, height), PIL.Image.Resampling.BILINEAR, box=(x, y, width - x, height - y)))


def shrink(pixels: Pixels, times: float, spec: PreprocessSpec, kind: Filter) -> Pixels:
    """Bring a frame ``times`` as large as the input to the input's size with a filter other than training's.

    ``nearest`` takes the pixel at floor(x * times), as OpenCV's INTER_NEAREST; ``bilinear`` weighs the four pixels
    around the centre without antialiasing, as OpenCV's INTER_LINEAR and Android's createScaledBitmap, which at an odd
    multiple is one pixel of each block; ``area`` averages boxes, as INTER_AREA. Where the selfie is no larger than the
    input, as rendered ones are by default, the large frame is an enlargement: it shows how the filters shift and
    soften, but has no fine detail that could turn into aliasing; photographs have.

    Returns:
        uint8 (input height, input width, 3).
    """
    height, width = spec.input_size
    size = (round(width * times), round(height * times))
    method = PIL.ImageOps.fit if spec.fit == "crop" else PIL.ImageOps.pad
    # fit's own filter would soften the frame where it is enlarged
    frame = method(PIL.Image.fromarray(pixels), size, PIL.Image.Resampling.LANCZOS)
    if kind == "nearest":
        rows, columns = (np.arange(short) * long // short for short, long in ((height, size[1]), (width, size[0])))
        return np.asarray(frame)[rows[:, None], columns]
    if kind == "area":
        return np.asarray(frame.resize((width, height), PIL.Image.Resampling.BOX))
    extent = PIL.Image.Transform.EXTENT
    return np.asarray(frame.transform((width, height), extent, (0, 0, *size), PIL.Image.Resampling.BILINEAR))


def compress(pixels: Pixels, quality: int) -> Pixels:
    """Send a picture through JPEG (ITU-T T.81) at the quality of libjpeg's scale, colour at half resolution."""
    buffer = io.BytesIO()
    PIL.Image.fromarray(pixels).save(buffer, "JPEG", quality=quality, subsampling="4:2:0")
    return np.asarray(PIL.Image.open(buffer))


def bound(pixels: Pixels, spec: PreprocessSpec, times: float) -> Pixels:
    """Scale a frame down so that neither side is more than ``times`` what it takes to cover the input; never up."""
    height, width = pixels.shape[:2]
    share = times * max(spec.input_size[0] / height, spec.input_size[1] / width)
    if share >= 1:
        return pixels
    size = (round(width * share), round(height * share))
    return np.asarray(PIL.Image.fromarray(pixels).resize(size, PIL.Image.Resampling.BOX, reducing_gap=2.0))
