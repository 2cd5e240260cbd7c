"""What a phone's camera, and a hasty integration, do to a picture: distortions of severity 1 to 5, and mistakes.

Pure: one upright RGB frame, uint8 (height, width, 3), in; the frame that the model gets, uint8 of the input size, out.
A distortion acts on the decoded selfie before ``pipeline.data.preprocess.fit`` brings it to the input size; the resize
filters act in fit's place. Chance comes from seed, image id and distortion, so the same four (severity is the fourth)
give the same bytes, and severities of one distortion share their direction or sign.

Some things have one severity: a mirror, and NV21 read as it was written. EXIF orientation that is honoured has none:
``decode`` gives the upright picture of all eight back; ignored, it is a mistake, as is NV21 read as it was not written.
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
DETAIL = 6.0  # a decoded frame of more than this many times the input holds nothing that any distortion needs
_WORKED_ON = 2.0  # most are worked on at this many times the input: a phone bins its pixels likewise, and time is short

Change = Callable[[Pixels, float, "Shot"], Pixels]


@dataclass(frozen=True, slots=True)
class Shot:
    """What a change may need beside the picture: what the model's input is like, and chance."""

    spec: PreprocessSpec
    stream: np.random.Generator


@dataclass(frozen=True, slots=True)
class Distortion:
    """One thing that happens to pictures.

    Attributes:
        words: What it is, for people.
        change: (frame, value, shot) -> frame.
        values: How much of it, severity 1 first; one value where there are no degrees.
        unit: Of the values; "{}" stands for the value.
        whole: Whether it needs all the detail of a large frame.
    """

    words: str
    change: Change
    values: tuple[float, ...] = (1.0,)
    unit: str = ""
    whole: bool = False

    def severity(self, wanted: int) -> int:
        """The wanted severity, or the highest there is."""
        return min(wanted, len(self.values))

    def amount(self, severity: int) -> str:
        """How much a severity is, for people; empty where there are no degrees."""
        return self.unit.format(f"{self.values[severity - 1]:.4g}") if self.unit else ""


def distort(pixels: Pixels, name: str, severity: int, spec: PreprocessSpec, key: tuple[int, str]) -> Pixels:
    """Give the frame that the model gets when this happens to a picture.

    Args:
        pixels: The decoded selfie, upright, uint8 (height, width, 3), RGB, of any size.
        name: One of ``DISTORTIONS`` or ``MISTAKES``.
        severity: 1 to as many as it has values.
        spec: Gives the input size and how a frame is fitted to it.
        key: (seed, image id).

    Returns:
        uint8 (input height, input width, 3).
    """
    kind = DISTORTIONS.get(name) or MISTAKES[name]
    seed, image_id = key
    digest = hashlib.sha256(f"{seed}:{image_id}:{name}".encode()).digest()
    shot = Shot(spec, np.random.default_rng(int.from_bytes(digest[:8], "big")))
    frame = geometry.bound(pixels, spec, DETAIL if kind.whole else _WORKED_ON)
    return fit(kind.change(frame, kind.values[severity - 1], shot), spec)


def _aspect(spec: PreprocessSpec) -> float:
    return spec.input_size[1] / spec.input_size[0]


def _nv21(written: Coding, read: Coding, *, swapped: bool = False) -> Change:
    return lambda frame, _value, _shot: yuv.pass_through(frame, written, read, swapped=swapped)


def _matched(matrix: yuv.Matrix, levels: Range) -> Distortion:
    coding = Coding(matrix, levels)
    return Distortion(f"NV21 4:2:0, {matrix.upper()[:2]}.{matrix[2:]}, {levels} range", _nv21(coding, coding))


def _shrunk(words: str, kind: geometry.Filter, values: tuple[float, ...] = (2, 3, 4, 5, 6)) -> Distortion:
    return Distortion(
        words,
        lambda frame, times, shot: geometry.shrink(frame, times, shot.spec, kind),
        values,
        "from a frame {} times the input",
        whole=True,
    )


def _framed(words: str, values: tuple[float, ...], *, boxed: bool) -> Distortion:
    def change(frame: Pixels, aspect: float, shot: Shot) -> Pixels:
        part = geometry.cut(frame, aspect)
        return geometry.letterbox(part, _aspect(shot.spec)) if boxed else part

    return Distortion(words, change, values, "width / height {}")


_TALL = (0.70, 0.64, 9 / 16, 9 / 18, 9 / 21)
_WIDE = (0.85, 0.92, 1.0, 1.15, 4 / 3)

DISTORTIONS: Mapping[str, Distortion] = {
    "mirror": Distortion("front-camera mirror", lambda frame, _value, _shot: geometry.mirror(frame)),
    "nv21_bt601_full": _matched("bt601", "full"),
    "nv21_bt601_limited": _matched("bt601", "limited"),
    "nv21_bt709_full": _matched("bt709", "full"),
    "nv21_bt709_limited": _matched("bt709", "limited"),
    "resize_nearest": _shrunk("resized by nearest pixel", "nearest"),
    "resize_bilinear": _shrunk("resized bilinear, no antialias", "bilinear", (1.5, 2, 2.5, 3, 5)),
    "resize_area": _shrunk("resized by area", "area"),
    "jpeg": Distortion(
        "JPEG", lambda frame, quality, _shot: geometry.compress(frame, int(quality)), (95, 80, 65, 45, 30), "quality {}"
    ),
    "night_noise": Distortion(
        "shot and read noise at night",
        lambda frame, electrons, shot: exposure_and_noise.add_noise(frame, electrons, shot.stream),
        (2000, 600, 200, 80, 30),
        "{} electrons at white",
    ),
    "motion_blur": Distortion(
        "motion blur",
        lambda frame, length, shot: blur.move(frame, length / 100, shot.stream),
        (2, 4, 6, 9, 12),
        "{} % of the width",
    ),
    "focus_blur": Distortion(
        "out of focus",
        lambda frame, radius, _shot: blur.defocus(frame, radius / 100),
        (0.8, 1.5, 2.2, 3.0, 4.0),
        "discs of {} % of the width",
    ),
    "over_exposure": Distortion(
        "over-exposure",
        lambda frame, stops, _shot: exposure_and_noise.expose(frame, stops),
        (0.5, 1.0, 1.5, 2.0, 2.5),
        "{} stops",
    ),
    "under_exposure": Distortion(
        "under-exposure",
        lambda frame, stops, _shot: exposure_and_noise.expose(frame, stops),
        (-0.75, -1.5, -2.25, -3.0, -4.0),
        "{} stops",
    ),
    "tall_cropped": _framed("9:16 frame, cropped", _TALL, boxed=False),
    "tall_letterboxed": _framed("9:16 frame, letterboxed", _TALL, boxed=True),
    "wide_cropped": _framed("4:3 frame, cropped", _WIDE, boxed=False),
    "wide_letterboxed": _framed("4:3 frame, letterboxed", _WIDE, boxed=True),
    "rotation": Distortion(
        "small rotation",
        lambda frame, degrees, shot: geometry.rotate(frame, degrees if shot.stream.random() < 0.5 else -degrees),
        (3, 6, 9, 12, 15),
        "{} degrees",
    ),
    "zoom": Distortion(
        "digital zoom", lambda frame, times, _shot: geometry.zoom(frame, times), (1.1, 1.2, 1.3, 1.45, 1.6), "{} times"
    ),
}


def _unturned(orientation: int, words: str) -> Distortion:
    return Distortion(
        f"{words} (EXIF orientation {orientation} ignored)",
        lambda frame, _value, _shot: geometry.store(frame, orientation),
    )


def _as_bytes(values: NDArray[np.floating]) -> Pixels:
    """Floats cast to the bytes that the input takes: rounded, and saturated as Android's and NumPy's clipped casts."""
    return np.asarray(np.clip(np.rint(values), 0, 255), np.uint8)


_FULL_601, _LIMITED_601 = Coding("bt601", "full"), Coding("bt601", "limited")
_LIMITED_709 = Coding("bt709", "limited")

MISTAKES: Mapping[str, Distortion] = {
    "bgr": Distortion("passes BGR for RGB", lambda frame, _value, _shot: np.ascontiguousarray(frame[..., ::-1])),
    "divided_by_255": Distortion(
        "divides by 255 itself", lambda frame, _value, shot: _as_bytes(fit(frame, shot.spec) / 255)
    ),
    "scaled_to_minus_1_1": Distortion(
        "scales to -1..1 itself", lambda frame, _value, shot: _as_bytes(fit(frame, shot.spec) / 127.5 - 1)
    ),
    "unturned_exif_6": _unturned(6, "forgets to turn: a quarter counter-clockwise"),
    "unturned_exif_8": _unturned(8, "forgets to turn: a quarter clockwise"),
    "unturned_exif_3": _unturned(3, "forgets to turn: upside down"),
    "unturned_exif_2": _unturned(2, "forgets to mirror"),
    "unturned_exif_4": _unturned(4, "forgets to turn: upside down and mirrored"),
    "unturned_exif_5": _unturned(5, "forgets to turn: a quarter and mirrored"),
    "unturned_exif_7": _unturned(7, "forgets to turn: the other quarter and mirrored"),
    "stretched": Distortion(
        "stretches a 9:16 frame instead of cropping",
        lambda frame, _value, shot: geometry.stretch(geometry.cut(frame, 9 / 16), shot.spec),
    ),
    "limited_as_full": Distortion("reads limited-range YUV as full", _nv21(_LIMITED_601, _FULL_601)),
    "full_as_limited": Distortion("reads full-range YUV as limited", _nv21(_FULL_601, _LIMITED_601)),
    "bt601_as_bt709": Distortion("reads BT.601 colours as BT.709", _nv21(_LIMITED_601, _LIMITED_709)),
    "bt709_as_bt601": Distortion("reads BT.709 colours as BT.601", _nv21(_LIMITED_709, _LIMITED_601)),
    "nv12_as_nv21": Distortion("reads NV12 as NV21", _nv21(_FULL_601, _FULL_601, swapped=True)),
}
