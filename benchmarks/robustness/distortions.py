"""Distortions of a phone's camera at severities 1 to 5, and the errors of an app that integrates the model wrongly.

Pure: takes one upright RGB frame, uint8 (height, width, 3), values 0..255; returns the frame that the model receives,
uint8 of the input size. A distortion is applied to the decoded selfie before ``pipeline.data.preprocess.fit`` scales it
to the input size; the resize filters replace ``fit``. Randomness is seeded from the seed, the image id and the
distortion's name, so equal arguments give equal bytes, and all severities of one distortion share their direction or
sign.

Some distortions have a single severity: the mirror image, and NV21 that is decoded with the coding it was encoded with.
An EXIF orientation that the app applies is no distortion: ``decode`` returns the same upright picture for all eight. An
orientation that the app ignores is an integration error, as is NV21 decoded with another coding.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.robustness import blur, exposure_and_noise, geometry, yuv
from benchmarks.robustness.yuv import Coding, Range
from pipeline.data.preprocess import Pixels, PreprocessSpec, fit

SEVERITIES = 5
FULL_RESOLUTION_SCALE = 6.0
"""Frames larger than this many times the input size are scaled down to it: no distortion needs finer detail."""
_WORKING_SCALE = 2.0
"""The same for most distortions: phones bin pixels likewise, and it saves time."""

ApplyDistortion = Callable[[Pixels, float, "DistortionContext"], Pixels]


@dataclass(frozen=True, slots=True)
class DistortionContext:
    """What a distortion may need beside the picture: the preprocessing of the model's input, and a random generator."""

    spec: PreprocessSpec
    random: np.random.Generator


@dataclass(frozen=True, slots=True)
class Distortion:
    """One distortion or integration error.

    Attributes:
        description: Shown in the report.
        apply: (frame, level, context) -> distorted frame.
        levels: The strength at each severity, severity 1 first; a single value where there is one severity.
        unit: Text of a level; "{}" stands for the number.
        needs_full_resolution: Whether a large frame is kept at ``FULL_RESOLUTION_SCALE``.
    """

    description: str
    apply: ApplyDistortion
    levels: tuple[float, ...] = (1.0,)
    unit: str = ""
    needs_full_resolution: bool = False

    def nearest_severity(self, requested: int) -> int:
        """The requested severity, or the highest that this distortion has."""
        return min(requested, len(self.levels))

    def describe_severity(self, severity: int) -> str:
        """The strength at a severity with its unit, e.g. "quality 30"; empty where there is one severity."""
        return self.unit.format(f"{self.levels[severity - 1]:.4g}") if self.unit else ""


def distort(pixels: Pixels, name: str, severity: int, spec: PreprocessSpec, key: tuple[int, str]) -> Pixels:
    """Return the frame that the model receives when a picture is distorted.

    Args:
        pixels: The decoded selfie, upright RGB, uint8 (height, width, 3), any size.
        name: A key of ``DISTORTIONS`` or ``INTEGRATION_ERRORS``.
        severity: From 1 to the number of levels.
        spec: The input size, and how a frame is scaled to it.
        key: (seed, image id).

    Returns:
        RGB, uint8 (input height, input width, 3).
    """
    distortion = DISTORTIONS.get(name) or INTEGRATION_ERRORS[name]
    seed, image_id = key
    digest = hashlib.sha256(f"{seed}:{image_id}:{name}".encode()).digest()
    context = DistortionContext(spec, np.random.default_rng(int.from_bytes(digest[:8], "big")))
    scale = FULL_RESOLUTION_SCALE if distortion.needs_full_resolution else _WORKING_SCALE
    frame = geometry.limit_size(pixels, spec, scale)
    return fit(distortion.apply(frame, distortion.levels[severity - 1], context), spec)


def _aspect(spec: PreprocessSpec) -> float:
    return spec.input_size[1] / spec.input_size[0]


def _nv21(encoded: Coding, decoded: Coding, *, swap_chroma: bool = False) -> ApplyDistortion:
    return lambda frame, _level, _context: yuv.encode_and_decode(frame, encoded, decoded, swap_chroma=swap_chroma)


def _matching_nv21(matrix: yuv.Matrix, value_range: Range) -> Distortion:
    coding = Coding(matrix, value_range)
    return Distortion(f"NV21 4:2:0, {matrix.upper()[:2]}.{matrix[2:]}, {value_range} range", _nv21(coding, coding))


def _resized(
    description: str, resize_filter: geometry.Filter, scales: tuple[float, ...] = (2, 3, 4, 5, 6)
) -> Distortion:
    return Distortion(
        description,
        lambda frame, scale, context: geometry.resize_with_filter(frame, scale, context.spec, resize_filter),
        scales,
        "from a frame {} times the input",
        needs_full_resolution=True,
    )


def _reframed(description: str, aspects: tuple[float, ...], *, letterboxed: bool) -> Distortion:
    def apply(frame: Pixels, aspect: float, context: DistortionContext) -> Pixels:
        cropped = geometry.crop_to_aspect(frame, aspect)
        return geometry.letterbox(cropped, _aspect(context.spec)) if letterboxed else cropped

    return Distortion(description, apply, aspects, "width / height {}")


_TALL = (0.70, 0.64, 9 / 16, 9 / 18, 9 / 21)
_WIDE = (0.85, 0.92, 1.0, 1.15, 4 / 3)

DISTORTIONS: Mapping[str, Distortion] = {
    "mirror": Distortion("front-camera mirror", lambda frame, _level, _context: geometry.mirror(frame)),
    "nv21_bt601_full": _matching_nv21("bt601", "full"),
    "nv21_bt601_limited": _matching_nv21("bt601", "limited"),
    "nv21_bt709_full": _matching_nv21("bt709", "full"),
    "nv21_bt709_limited": _matching_nv21("bt709", "limited"),
    "resize_nearest": _resized("resized by nearest pixel", "nearest"),
    "resize_bilinear": _resized("resized bilinear, no antialias", "bilinear", (1.5, 2, 2.5, 3, 5)),
    "resize_area": _resized("resized by area", "area"),
    "jpeg": Distortion(
        "JPEG",
        lambda frame, quality, _context: geometry.jpeg_compress(frame, int(quality)),
        (95, 80, 65, 45, 30),
        "quality {}",
    ),
    "night_noise": Distortion(
        "shot and read noise at night",
        lambda frame, electrons, context: exposure_and_noise.add_noise(frame, electrons, context.random),
        (2000, 600, 200, 80, 30),
        "{} electrons at white",
    ),
    "motion_blur": Distortion(
        "motion blur",
        lambda frame, length, context: blur.motion_blur(frame, length / 100, context.random),
        (2, 4, 6, 9, 12),
        "{} % of the width",
    ),
    "focus_blur": Distortion(
        "out of focus",
        lambda frame, radius, _context: blur.defocus(frame, radius / 100),
        (0.8, 1.5, 2.2, 3.0, 4.0),
        "discs of {} % of the width",
    ),
    "over_exposure": Distortion(
        "over-exposure",
        lambda frame, stops, _context: exposure_and_noise.expose(frame, stops),
        (0.5, 1.0, 1.5, 2.0, 2.5),
        "{} stops",
    ),
    "under_exposure": Distortion(
        "under-exposure",
        lambda frame, stops, _context: exposure_and_noise.expose(frame, stops),
        (-0.75, -1.5, -2.25, -3.0, -4.0),
        "{} stops",
    ),
    "tall_cropped": _reframed("9:16 frame, cropped", _TALL, letterboxed=False),
    "tall_letterboxed": _reframed("9:16 frame, letterboxed", _TALL, letterboxed=True),
    "wide_cropped": _reframed("4:3 frame, cropped", _WIDE, letterboxed=False),
    "wide_letterboxed": _reframed("4:3 frame, letterboxed", _WIDE, letterboxed=True),
    "rotation": Distortion(
        "small rotation",
        lambda frame, degrees, context: geometry.rotate(frame, degrees if context.random.random() < 0.5 else -degrees),
        (3, 6, 9, 12, 15),
        "{} degrees",
    ),
    "zoom": Distortion(
        "digital zoom",
        lambda frame, scale, _context: geometry.zoom(frame, scale),
        (1.1, 1.2, 1.3, 1.45, 1.6),
        "{} times",
    ),
}


def _ignored_orientation(orientation: int, effect: str) -> Distortion:
    return Distortion(
        f"ignores EXIF orientation {orientation}: {effect}",
        lambda frame, _level, _context: geometry.store_with_orientation(frame, orientation),
    )


def _to_uint8(values: NDArray[np.floating]) -> Pixels:
    """Cast floats to the input's uint8: rounded and clipped to 0..255, as saturating casts on Android and NumPy do."""
    return np.asarray(np.clip(np.rint(values), 0, 255), np.uint8)


_FULL_601, _LIMITED_601 = Coding("bt601", "full"), Coding("bt601", "limited")
_LIMITED_709 = Coding("bt709", "limited")

INTEGRATION_ERRORS: Mapping[str, Distortion] = {
    "bgr": Distortion(
        "passes BGR instead of RGB", lambda frame, _level, _context: np.ascontiguousarray(frame[..., ::-1])
    ),
    "divided_by_255": Distortion(
        "divides pixels by 255 itself", lambda frame, _level, context: _to_uint8(fit(frame, context.spec) / 255)
    ),
    "scaled_to_minus_1_1": Distortion(
        "scales pixels to -1..1 itself", lambda frame, _level, context: _to_uint8(fit(frame, context.spec) / 127.5 - 1)
    ),
    "exif_orientation_6_ignored": _ignored_orientation(6, "rotated a quarter counter-clockwise"),
    "exif_orientation_8_ignored": _ignored_orientation(8, "rotated a quarter clockwise"),
    "exif_orientation_3_ignored": _ignored_orientation(3, "upside down"),
    "exif_orientation_2_ignored": _ignored_orientation(2, "mirrored"),
    "exif_orientation_4_ignored": _ignored_orientation(4, "upside down and mirrored"),
    "exif_orientation_5_ignored": _ignored_orientation(5, "rotated a quarter counter-clockwise and mirrored"),
    "exif_orientation_7_ignored": _ignored_orientation(7, "rotated a quarter clockwise and mirrored"),
    "stretched": Distortion(
        "stretches a 9:16 frame instead of cropping it",
        lambda frame, _level, context: geometry.stretch(geometry.crop_to_aspect(frame, 9 / 16), context.spec),
    ),
    "limited_as_full": Distortion("reads limited-range YUV as full", _nv21(_LIMITED_601, _FULL_601)),
    "full_as_limited": Distortion("reads full-range YUV as limited", _nv21(_FULL_601, _LIMITED_601)),
    "bt601_as_bt709": Distortion("reads BT.601 colours as BT.709", _nv21(_LIMITED_601, _LIMITED_709)),
    "bt709_as_bt601": Distortion("reads BT.709 colours as BT.601", _nv21(_LIMITED_709, _LIMITED_601)),
    "nv12_as_nv21": Distortion("reads NV12 as NV21", _nv21(_FULL_601, _FULL_601, swap_chroma=True)),
}
