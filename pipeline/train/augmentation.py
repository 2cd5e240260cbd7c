"""Phone-camera augmentation: random distortions that a front camera, an unsteady hand and a messenger cause.

uint8 batches in and out; a batch is processed as a whole, with one random number generator, whose state determines the
result. Distortions follow the order in which they arise: geometry (mirror, rotation, zoom, shift), occlusion, blur of
the lens, noise of the sensor (shot and read noise: Foi et al., IEEE TIP 17(10), 2008), sharpening, exposure, white
balance, contrast and gamma of the image processor, and JPEG compression. Without sharpening, a model trained on soft,
generated images mistakes crisp hair for a helmet.

Strength 0 changes nothing; at 1 the full ranges of ``Ranges`` apply.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass

import numpy as np
import PIL.Image
import torch
from numpy.typing import NDArray
from torch.nn import functional

Batch = NDArray[np.uint8]
Floats = NDArray[np.float32]

KERNEL = 7
"""Side of a blur kernel in pixels; enough for images of 96x128."""


@dataclass(frozen=True, slots=True)
class Ranges:
    """Largest distortions at full strength; ``*_share`` is the probability that an image is affected."""

    rotation_degrees: float = 15.0  # to either side
    zoom: float = 0.6  # octaves: a factor of 2 ** 0.6 in or out
    shift: float = 0.10  # of the image's side
    cover_share: float = 0.35
    cover_side: float = 0.35  # of the image's side
    blur_share: float = 0.40
    blur_pixels: float = 1.6  # standard deviation
    noise_share: float = 0.60
    shot_noise: float = 0.06  # standard deviation at white, of 1
    read_noise: float = 0.04  # standard deviation, of 1
    sharpen_share: float = 0.80
    sharpen_amount: float = 4.0  # times the difference from a 3x3 mean
    exposure_stops: float = 0.9
    white_balance: float = 0.18  # logarithm of a channel's gain
    contrast: float = 0.35  # logarithm of the slope at mid-grey
    gamma: float = 0.35  # logarithm of the exponent
    jpeg_share: float = 0.40
    jpeg_quality: tuple[int, int] = (25, 90)


RANGES = Ranges()


def augment(pixels: Batch, rng: np.random.Generator, strength: float) -> Batch:
    """Apply all distortions to a batch.

    Args:
        pixels: uint8 (n, height, width, 3) RGB in 0..255.
        rng: Random number generator.
        strength: 0 (unchanged) to 1.

    Returns:
        A new array of the same shape and dtype.
    """
    if strength == 0:
        return pixels.copy()
    moved = move(pixels, rng, strength)
    cover(moved, rng, strength)
    blur(moved, rng, strength)
    add_noise(moved, rng, strength)
    sharpen(moved, rng, strength)
    developed = develop(moved, rng, strength)
    compress(developed, rng, strength)
    return developed


def move(pixels: Batch, rng: np.random.Generator, strength: float) -> Floats:
    """Mirror half of the images; rotate, zoom and shift all; the border is reflected.

    Args:
        pixels: uint8 (n, height, width, 3) RGB.
        rng: Random number generator.
        strength: 0 to 1.

    Returns:
        float32 planes (n, 3, height, width) in 0..255.
    """
    count, height, width, _ = pixels.shape
    angle = rng.uniform(-1, 1, count) * math.radians(RANGES.rotation_degrees) * strength
    scale = np.exp2(rng.uniform(-1, 1, count) * RANGES.zoom * strength)
    mirror = np.where(rng.random(count) < 0.5, -1.0, 1.0)
    shift = rng.uniform(-2, 2, (2, count)) * RANGES.shift * strength
    # Coordinates run from -1 to 1 on both axes, so a rotation must correct for the aspect ratio.
    from_x = scale * mirror * [np.cos(angle), np.sin(angle) * width / height]
    from_y = scale * [-np.sin(angle) * height / width, np.cos(angle)]
    x = torch.linspace(1 / width - 1, 1 - 1 / width, width).view(1, 1, width, 1)
    y = torch.linspace(1 / height - 1, 1 - 1 / height, height).view(1, height, 1, 1)
    grid = _per_image(from_x) * x + (_per_image(from_y) * y + _per_image(shift * scale))
    planes = torch.from_numpy(pixels).permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.contiguous_format)
    moved: Floats = functional.grid_sample(planes, grid, "bilinear", "reflection", align_corners=False).numpy()
    return moved


def cover(planes: Floats, rng: np.random.Generator, strength: float) -> None:
    """Cover some images with a plain or grainy rectangle, in place (random erasing: Zhong et al., arXiv 1708.04896)."""
    _, _, height, width = planes.shape
    for image in _some(planes, rng, RANGES.cover_share * strength):
        rows = max(1, int(height * rng.uniform(0.05, RANGES.cover_side)))
        columns = max(1, int(width * rng.uniform(0.05, RANGES.cover_side)))
        top, left = rng.integers(0, height - rows + 1), rng.integers(0, width - columns + 1)
        grain = rng.uniform(0, 40) * rng.random((rows, columns), np.float32)
        planes[image, :, top : top + rows, left : left + columns] = rng.uniform(0, 215, (3, 1, 1)) + grain


def blur(planes: Floats, rng: np.random.Generator, strength: float) -> None:
    """Blur some images in place: half of them out of focus, half of them along a line (camera shake)."""
    chosen = _some(planes, rng, RANGES.blur_share * strength)
    if len(chosen) == 0:
        return
    kernels = torch.from_numpy(_kernels(len(chosen), rng, strength)).repeat_interleave(3, 0)[:, None]
    sharp = torch.from_numpy(planes[chosen]).view(1, len(chosen) * 3, *planes.shape[2:])
    padded = functional.pad(sharp, [KERNEL // 2] * 4, "replicate")
    planes[chosen] = functional.conv2d(padded, kernels, groups=len(chosen) * 3).view(-1, *planes.shape[1:]).numpy()


def add_noise(planes: Floats, rng: np.random.Generator, strength: float) -> None:
    """Add shot noise (variance proportional to the value) and read noise (constant variance) to some, in place."""
    chosen = _some(planes, rng, RANGES.noise_share * strength)
    size = planes[0].size
    # Windows of one long strip: new normal numbers for each image would take longer than all other distortions.
    strip = rng.standard_normal(3 * size, np.float32)
    for image in chosen:
        start = int(rng.integers(0, 2 * size))
        noise = strip[start : start + size].reshape(planes[image].shape)
        shot, read = rng.random(2) ** 2 * (RANGES.shot_noise, RANGES.read_noise) * strength * 255
        light = np.clip(planes[image], 0, 255) / np.float32(255)
        planes[image] += noise * np.sqrt(light * np.float32(shot**2) + np.float32(read**2))


def sharpen(planes: Floats, rng: np.random.Generator, strength: float) -> None:
    """Sharpen some images with an unsharp mask over 3x3 pixels, in place, as phones' image processors do."""
    chosen = _some(planes, rng, RANGES.sharpen_share * strength)
    amount = rng.uniform(0, RANGES.sharpen_amount * strength, len(chosen)).astype(np.float32)
    if len(chosen):
        soft = functional.avg_pool2d(
            functional.pad(torch.from_numpy(planes[chosen]), [1] * 4, "replicate"), 3, 1
        ).numpy()
        planes[chosen] += amount[:, None, None, None] * (planes[chosen] - soft)


def develop(planes: Floats, rng: np.random.Generator, strength: float) -> Batch:
    """Change exposure, white balance, contrast and gamma of every image, with one lookup table per channel.

    Args:
        planes: float32 (n, 3, height, width); values outside 0..255 are clipped.
        rng: Random number generator.
        strength: 0 to 1.

    Returns:
        uint8 (n, height, width, 3) RGB.
    """
    count = len(planes)
    change = rng.uniform(-1, 1, (count, 6)) * strength
    gain = np.exp2(change[:, :1] * RANGES.exposure_stops) * np.exp(change[:, 1:4] * RANGES.white_balance)
    contrast = np.exp(change[:, 4] * RANGES.contrast)[:, None, None]
    gamma = np.exp(change[:, 5] * RANGES.gamma)[:, None, None]
    level = np.linspace(0, 1, 256)
    # Gains act on linear values, as a sensor measures them; contrast and gamma act on display values.
    display = np.clip(level**2.2 * gain[:, :, None], 0, 1) ** (gamma / 2.2)
    tables = np.rint(255 * np.clip((display - 0.5) * contrast + 0.5, 0, 1)).astype(np.uint8)
    codes = torch.from_numpy(planes).add(0.5).clamp_(0, 255).to(torch.uint8).numpy()
    developed = np.empty((count, *planes.shape[2:], 3), np.uint8)
    for image in range(count):
        for channel in range(3):
            developed[image, :, :, channel] = tables[image, channel][codes[image, channel]]
    return developed


def compress(pixels: Batch, rng: np.random.Generator, strength: float) -> None:
    """Compress some images with JPEG, with chroma at half resolution, in place: uint8 (n, height, width, 3) RGB."""
    for image in _some(pixels, rng, RANGES.jpeg_share * strength):
        buffer = io.BytesIO()
        quality = int(rng.integers(*RANGES.jpeg_quality))
        PIL.Image.fromarray(pixels[image]).save(buffer, "JPEG", quality=quality, subsampling=2)
        pixels[image] = np.asarray(PIL.Image.open(buffer))


def _some(pixels: Floats | Batch, rng: np.random.Generator, share: float) -> NDArray[np.int64]:
    """Choose each image of a batch with probability ``share``; returns their indices."""
    return np.flatnonzero(rng.random(len(pixels)) < share)


def _per_image(pairs: NDArray[np.float64]) -> torch.Tensor:
    """Convert numbers (2, n) to a tensor (n, 1, 1, 2) that broadcasts over a sampling grid."""
    return torch.from_numpy(pairs.T.astype(np.float32))[:, None, None]


def _kernels(count: int, rng: np.random.Generator, strength: float) -> Floats:
    """Make Gaussian kernels, float32 (count, KERNEL, KERNEL): half of them round, half elongated; each sums to one."""
    angle = rng.uniform(0, math.pi, (count, 1, 1))
    along = 0.3 + rng.uniform(0, 1, (count, 1, 1)) * RANGES.blur_pixels * strength
    across = np.where(rng.random((count, 1, 1)) < 0.5, along, 0.3)
    y, x = np.mgrid[:KERNEL, :KERNEL] - KERNEL // 2
    u, v = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    weight = np.exp(-0.5 * ((u / along) ** 2 + (v / across) ** 2))
    return np.asarray(weight / weight.sum((1, 2), keepdims=True), np.float32)
