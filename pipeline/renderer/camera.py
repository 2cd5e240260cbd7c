"""The phone's camera: composites person and background in linear light, then applies lens, sensor noise and tone curve.

Linear light is approximated by the square of the sRGB value, which is close to the sRGB curve and cheap to invert.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, uniform_filter1d

from pipeline.renderer.light import Light
from pipeline.renderer.palette import Colour
from pipeline.renderer.places.place import Place
from pipeline.renderer.random_streams import chance, pick, stream

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Camera:
    """Camera settings of one picture.

    Attributes:
        exposure: Linear gain.
        cast: Linear gain per channel.
        vignette: How much darker the corners are, 0..1.
        focus: Standard deviation of the defocus blur, as a fraction of the picture's height.
        shake: Length of the motion blur, as a fraction of the picture's height; 0: none.
        upright: Whether the motion blur is vertical.
        seed: Seed of the sensor noise.
    """

    exposure: float
    cast: Colour
    vignette: float
    focus: float
    shake: float
    upright: bool
    seed: int


def sample_camera(seed: int) -> Camera:
    """Sample the camera settings of one picture."""
    rng = stream(seed, "camera")
    strong = chance(rng, 0.05)
    spread = 0.22 if strong else 0.035
    return Camera(
        exposure=float(np.exp(rng.normal(-0.03, 0.09))),
        cast=(
            1.0 + rng.uniform(-spread, spread),
            1.0 + rng.uniform(-spread, spread) * 0.6,
            1.0 + rng.uniform(-spread, spread),
        ),
        vignette=rng.uniform(0.05, 0.45),
        focus=rng.uniform(0.008, 0.016) if chance(rng, 0.07) else rng.uniform(0.0, 0.0045),
        shake=rng.uniform(0.025, 0.06) if chance(rng, 0.07) else 0.0,
        upright=pick(rng, (True, False)),
        seed=seed,
    )


def expose(person: Bytes, place: Place, light: Light, camera: Camera) -> Bytes:
    """Composite a person over a background and take the picture.

    Args:
        person: uint8 (2 * height, 2 * width, 4), RGBA, colour premultiplied by alpha: twice the picture's size, which
            gives smooth edges.
        place: Background, at the picture's size.
        light: Light on both.
        camera: Camera settings.

    Returns:
        uint8 (height, width, 3), RGB, 0..255, sRGB.
    """
    colour, cover = _halve(person)
    lit = colour * colour * _gains(light.subject) * _slope(cover.shape, light)
    far = _linear(place.pixels) * _gains(light.surround)
    if place.glow is not None:
        far += _linear(place.glow) * np.float32(light.lamps)
    if max(light.rim) > 0:
        lit += _rim(cover, light)
    scene = far + cover[..., None] * (lit - far)
    return _sense(_lens(scene, camera), light, camera)


def _linear(picture: Bytes) -> Floats:
    values = picture.astype(np.float32) * np.float32(1 / 255)
    values *= values
    return values


def _gains(colour: Colour) -> Floats:
    return np.array(colour, np.float32)


def _halve(sheet: Bytes) -> tuple[Floats, Floats]:
    """Average 2x2 pixels; return colour (height, width, 3) and coverage (height, width), float32, 0..1."""
    height, width = sheet.shape[0] // 2, sheet.shape[1] // 2
    rows = sheet[::2].astype(np.uint16) + sheet[1::2]
    # Add four 16-bit channels as one 64-bit number: a sum of four bytes never overflows into the next channel.
    packed = rows.view(np.uint64).reshape(height, 2 * width)
    sums = (packed[:, ::2] + packed[:, 1::2]).view(np.uint16).reshape(height, width, 4)
    small = sums.astype(np.float32) * np.float32(1 / 1020)
    cover = small[..., 3]
    return np.minimum(small[..., :3] / np.maximum(cover, 1e-3)[..., None], 1.0), cover


def _slope(shape: tuple[int, ...], light: Light) -> Floats:
    height, width = shape
    across = np.linspace(-0.5, 0.5, width, dtype=np.float32)[None, :] * light.key[0]
    down = np.linspace(-0.5, 0.5, height, dtype=np.float32)[:, None] * light.key[1]
    field: Floats = np.maximum(1.0 + light.slope * 1.5 * (across + down), 0.25)[..., None].astype(np.float32)
    return field


def _rim(cover: Floats, light: Light) -> Floats:
    """Return the linear light from behind along the person's edge: float32 (height, width, 3)."""
    height = cover.shape[0]
    soft = gaussian_filter(cover, height * 0.011)
    away = round(light.key[0] * height * 0.012)
    edge = np.clip(1.0 - np.roll(soft, -away, axis=1), 0.0, 0.6) * cover
    edge[:2] = 0.0
    rim: Floats = edge[..., None] * _gains(light.rim)
    return rim


def _lens(scene: Floats, camera: Camera) -> Floats:
    height, width, _ = scene.shape
    if camera.shake:
        span = max(2, int(camera.shake * height))
        scene = uniform_filter1d(scene, span, axis=0 if camera.upright else 1, mode="nearest")
    sigma = camera.focus * height
    if sigma > 0.25:
        scene = gaussian_filter(scene, (sigma, sigma, 0), mode="nearest", truncate=2.5)
    across = np.linspace(-1.0, 1.0, width, dtype=np.float32) ** 2
    down = np.linspace(-1.0, 1.0, height, dtype=np.float32) ** 2
    dim = 1.0 - camera.vignette * 0.5 * (across[None, :] + down[:, None])
    gains = _gains(camera.cast) * np.float32(camera.exposure)
    exposed: Floats = scene * dim[..., None].astype(np.float32) * gains
    return exposed


def _sense(scene: Floats, light: Light, camera: Camera) -> Bytes:
    """Add shot noise (which grows with the light) and read noise; convert linear light to uint8 sRGB."""
    rng = stream(camera.seed, "sensor")
    noise = rng.standard_normal(scene.shape, dtype=np.float32)
    scene = scene + noise * light.noise * np.sqrt(np.maximum(scene, 0.0) * 0.6 + 0.02)
    tone = np.sqrt(np.clip(scene, 0.0, 1.0)) * 255 + 0.5
    picture: Bytes = tone.astype(np.uint8)
    return picture
