"""A decoded image in any mode -> 8-bit RGB in sRGB, without transparency.

    palette, 1-bit and 16-bit samples -> 8 bits per sample (16 bits by scale: v / 257, rounded)
    ICC profile -> sRGB, unless the profile is (nearly) sRGB already
    alpha channel or transparent colour -> composed on ``BACKGROUND``

A profile that cannot be read, or that is for other channels than the image has, is ignored, as browsers do. Colour
management is LittleCMS (``PIL.ImageCms``), with the perceptual intent. Reads and writes no files.
"""

from __future__ import annotations

import functools
import io
from dataclasses import dataclass

import numpy as np
import PIL.Image
import PIL.ImageCms
from numpy.typing import NDArray

BACKGROUND = (255, 255, 255)
"""Colour behind transparent pixels: white, as in image viewers and on the page of ``gossamer review``."""
TRANSPARENCY = "transparency"
"""Key of ``PIL.Image.Image.info``: the transparent colour (or, of a palette image, index or alpha values)."""
PROFILE_TOLERANCE = 2
"""A profile that moves no colour by more levels than this, of 255, is taken to be sRGB and changes nothing."""
MAX_PROFILE_BYTES = 4 << 20
_CHANNELS = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}
"""Colour space of a profile, as in ICC.1 table 19 -> Pillow's mode."""
_DEVICES = frozenset({"scnr", "mntr", "prtr", "spac"})
"""Classes of profiles that describe the colours of an image: input, display, output and colour space."""
_GRID = 9


@dataclass(frozen=True, slots=True)
class _Conversion:
    """A transform to sRGB, and the mode of the images that it takes."""

    mode: str
    transform: PIL.ImageCms.ImageCmsTransform


def to_srgb(image: PIL.Image.Image) -> PIL.Image.Image:
    """Convert a loaded image to mode RGB in sRGB; an RGB image without profile or transparency is returned as it is.

    Args:
        image: Mode 1, L, LA, P, RGB, RGBA, CMYK or 16-bit grey; ``info`` may have an ICC profile and a transparent
            colour, which has as many bits as the samples of the mode.
    """
    profile = image.info.get("icc_profile")
    opaque, alpha = _separate_alpha(image)
    colour = _convert_colour(opaque, profile if isinstance(profile, bytes) else b"")
    if alpha is None:
        return colour
    return PIL.Image.composite(colour, PIL.Image.new("RGB", colour.size, BACKGROUND), alpha)


def _separate_alpha(image: PIL.Image.Image) -> tuple[PIL.Image.Image, PIL.Image.Image | None]:
    """Split an image into 8-bit colours (mode L, RGB or CMYK) and, if any pixel can be transparent, alpha (mode L)."""
    key = image.info.get(TRANSPARENCY)
    if image.mode == "P":
        image = image.convert("RGB" if key is None else "RGBA")
        key = None
    if image.mode in {"LA", "RGBA"}:
        return image.convert(image.mode.removesuffix("A")), image.getchannel("A")
    if image.mode == "1":
        image = image.convert("L")
    alpha = None if key is None else PIL.Image.fromarray(_opaque_where_not(np.asarray(image), key))
    return (_to_eight_bits(image) if image.mode.startswith("I") else image), alpha


def _opaque_where_not(samples: NDArray[np.generic], key: object) -> NDArray[np.uint8]:
    """Alpha, uint8 (height, width): 0 where the samples, (height, width) or (height, width, 3), equal the key."""
    same = samples == np.asarray(key)
    return np.where(same.all(axis=-1) if samples.ndim == 3 else same, np.uint8(0), np.uint8(255))


def _to_eight_bits(image: PIL.Image.Image) -> PIL.Image.Image:
    """Scale 16-bit grey to mode L: 0 to 65535 become 0 to 255, rounded."""
    samples = np.asarray(image).astype(np.uint32)
    return PIL.Image.fromarray(((samples + 128) // 257).astype(np.uint8))


def _convert_colour(image: PIL.Image.Image, profile: bytes) -> PIL.Image.Image:
    conversion = _conversion(profile, image.mode) if 0 < len(profile) <= MAX_PROFILE_BYTES else None
    if conversion is None:
        return image if image.mode == "RGB" else image.convert("RGB")
    source = image if image.mode == conversion.mode else image.convert(conversion.mode)
    return conversion.transform.apply(source)


@functools.lru_cache(maxsize=16)
def _conversion(profile: bytes, mode: str) -> _Conversion | None:
    """Build the transform of a profile; None if it changes (almost) nothing, or cannot be applied to the mode."""
    try:
        opened = PIL.ImageCms.ImageCmsProfile(io.BytesIO(profile))
        channels = _CHANNELS.get(opened.profile.xcolor_space.strip())
        if channels is None or opened.profile.device_class not in _DEVICES:
            return None
        if channels != mode and (mode, channels) != ("L", "RGB"):
            return None
        srgb = PIL.ImageCms.createProfile("sRGB")
        transform = PIL.ImageCms.buildTransform(opened, srgb, channels, "RGB")
    except (OSError, ValueError, PIL.ImageCms.PyCMSError):  # ValueError: a name in the profile is not UTF-8
        return None
    return None if _changes_nothing(transform, channels) else _Conversion(channels, transform)


def _changes_nothing(transform: PIL.ImageCms.ImageCmsTransform, mode: str) -> bool:
    if mode == "CMYK":
        return False
    levels = np.linspace(0, 255, 256 if mode == "L" else _GRID).round().astype(np.uint8)
    axes = [levels] * len(mode)
    colours = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(1, -1, len(mode))
    converted = np.asarray(transform.apply(PIL.Image.fromarray(colours.squeeze(-1) if mode == "L" else colours)))
    return bool(np.abs(converted.astype(np.int16) - colours).max() <= PROFILE_TOLERANCE)
