"""Phone-camera augmentation: what a front camera, an unsteady hand and a messenger do to a picture.

Takes and returns uint8 batches; all that a batch meets is drawn from one stream of chance, so the same stream gives the
same pixels. Whole batches are worked on at once, in the order light meets a camera: the scene moves (mirror, rotation,
zoom, shift), something covers a part of it, the lens blurs it, the sensor adds noise (shot and read noise: Foi et al.,
IEEE TIP 17(10), 2008), the image processor sharpens and sets exposure, white balance, contrast and gamma, and JPEG
compresses it. Sharpening also keeps a model that learned from soft, generated pictures from taking crisp hair for a
helmet.

Strength 0 changes nothing; at 1 the ranges of ``Ranges`` apply whole.
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

# A blur's kernel, in pixels: enough for 96x128, where one pixel is a hundredth of the picture.
KERNEL = 7


@dataclass(frozen=True, slots=True)
class Ranges:
    """How far each distortion goes at full strength; shares are of the batch, sizes of the picture."""

    rotation_degrees: float = 15.0
    zoom: float = 0.6  # octaves
    shift: float = 0.10
    cover_share: float = 0.35
    cover_side: float = 0.35
    blur_share: float = 0.40
    blur_pixels: float = 1.6
    noise_share: float = 0.60
    shot_noise: float = 0.06
    read_noise: float = 0.04
    sharpen_share: float = 0.80
    sharpen_amount: float = 4.0
    exposure_stops: float = 0.9
    white_balance: float = 0.18
    contrast: float = 0.35
    gamma: float = 0.35
    jpeg_share: float = 0.40
    jpeg_quality: tuple[int, int] = (25, 90)


RANGES = Ranges()


def augment(pixels: Batch, stream: np.random.Generator, strength: float) -> Batch:
    """Distort a batch as a phone would.

    Args:
        pixels: uint8 (n, height, width, 3), RGB, 0..255.
        stream: Where all chance comes from.
        strength: 0 (nothing) to 1.

    Returns:
        A new array of the same shape and dtype.
    """
    if strength == 0:
        return pixels.copy()
    moved = move(pixels, stream, strength)
    cover(moved, stream, strength)
    blur(moved, stream, strength)
    add_noise(moved, stream, strength)
    sharpen(moved, stream, strength)
    developed = develop(moved, stream, strength)
    compress(developed, stream, strength)
    return developed


def move(pixels: Batch, stream: np.random.Generator, strength: float) -> Floats:
    """Mirror half of the pictures; turn, zoom and shift all; float32 planes (n, 3, height, width) in 0..255."""
    count, height, width, _ = pixels.shape
    angle = stream.uniform(-1, 1, count) * math.radians(RANGES.rotation_degrees) * strength
    scale = np.exp2(stream.uniform(-1, 1, count) * RANGES.zoom * strength)
    mirror = np.where(stream.random(count) < 0.5, -1.0, 1.0)
    shift = stream.uniform(-2, 2, (2, count)) * RANGES.shift * strength
    # Coordinates run from -1 to 1 on both axes, so a turn must undo the picture's proportions.
    from_x = scale * mirror * [np.cos(angle), np.sin(angle) * width / height]
    from_y = scale * [-np.sin(angle) * height / width, np.cos(angle)]
    x = torch.linspace(1 / width - 1, 1 - 1 / width, width).view(1, 1, width, 1)
    y = torch.linspace(1 / height - 1, 1 - 1 / height, height).view(1, height, 1, 1)
    grid = _per_picture(from_x) * x + (_per_picture(from_y) * y + _per_picture(shift * scale))
    planes = torch.from_numpy(pixels).permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.contiguous_format)
    moved: Floats = functional.grid_sample(planes, grid, "bilinear", "reflection", align_corners=False).numpy()
    return moved


def cover(planes: Floats, stream: np.random.Generator, strength: float) -> None:
    """Put a plain or grainy rectangle (a finger, a bag, a door) over some pictures (Zhong et al., arXiv 1708.04896)."""
    _, _, height, width = planes.shape
    for picture in _some(planes, stream, RANGES.cover_share * strength):
        rows = max(1, int(height * stream.uniform(0.05, RANGES.cover_side)))
        columns = max(1, int(width * stream.uniform(0.05, RANGES.cover_side)))
        top, left = stream.integers(0, height - rows + 1), stream.integers(0, width - columns + 1)
        grain = stream.uniform(0, 40) * stream.random((rows, columns), np.float32)
        planes[picture, :, top : top + rows, left : left + columns] = stream.uniform(0, 215, (3, 1, 1)) + grain


def blur(planes: Floats, stream: np.random.Generator, strength: float) -> None:
    """Put some pictures out of focus, half of them along a line as a moving hand does."""
    chosen = _some(planes, stream, RANGES.blur_share * strength)
    if len(chosen) == 0:
        return
    kernels = torch.from_numpy(_kernels(len(chosen), stream, strength)).repeat_interleave(3, 0)[:, None]
    sharp = torch.from_numpy(planes[chosen]).view(1, len(chosen) * 3, *planes.shape[2:])
    padded = functional.pad(sharp, [KERNEL // 2] * 4, "replicate")
    planes[chosen] = functional.conv2d(padded, kernels, groups=len(chosen) * 3).view(-1, *planes.shape[1:]).numpy()


def add_noise(planes: Floats, stream: np.random.Generator, strength: float) -> None:
    """Add shot noise, which grows with the root of the light, and read noise, which does not, to some pictures."""
    chosen = _some(planes, stream, RANGES.noise_share * strength)
    size = planes[0].size
    # Windows of one long strip: drawing fresh normal numbers for each picture would cost more than all the rest.
    strip = stream.standard_normal(3 * size, np.float32)
    for picture in chosen:
        start = int(stream.integers(0, 2 * size))
        noise = strip[start : start + size].reshape(planes[picture].shape)
        shot, read = stream.random(2) ** 2 * (RANGES.shot_noise, RANGES.read_noise) * strength * 255
        light = np.clip(planes[picture], 0, 255) / np.float32(255)
        planes[picture] += noise * np.sqrt(light * np.float32(shot**2) + np.float32(read**2))


def sharpen(planes: Floats, stream: np.random.Generator, strength: float) -> None:
    """Sharpen some pictures by an unsharp mask over 3x3 pixels, as image processors do to please."""
    chosen = _some(planes, stream, RANGES.sharpen_share * strength)
    amount = stream.uniform(0, RANGES.sharpen_amount * strength, len(chosen)).astype(np.float32)
    if len(chosen):
        soft = functional.avg_pool2d(
            functional.pad(torch.from_numpy(planes[chosen]), [1] * 4, "replicate"), 3, 1
        ).numpy()
        planes[chosen] += amount[:, None, None, None] * (planes[chosen] - soft)


def develop(planes: Floats, stream: np.random.Generator, strength: float) -> Batch:
    """Set exposure, white balance, contrast and gamma of each picture through one table a channel."""
    count = len(planes)
    draw = stream.uniform(-1, 1, (count, 6)) * strength
    gain = np.exp2(draw[:, :1] * RANGES.exposure_stops) * np.exp(draw[:, 1:4] * RANGES.white_balance)
    contrast = np.exp(draw[:, 4] * RANGES.contrast)[:, None, None]
    gamma = np.exp(draw[:, 5] * RANGES.gamma)[:, None, None]
    level = np.linspace(0, 1, 256)
    # Sensors count light: gains act on linear values, contrast and gamma on those a screen shows.
    seen = np.clip(level**2.2 * gain[:, :, None], 0, 1) ** (gamma / 2.2)
    tables = np.rint(255 * np.clip((seen - 0.5) * contrast + 0.5, 0, 1)).astype(np.uint8)
    codes = torch.from_numpy(planes).add(0.5).clamp_(0, 255).to(torch.uint8).numpy()
    developed = np.empty((count, *planes.shape[2:], 3), np.uint8)
    for picture in range(count):
        for channel in range(3):
            developed[picture, :, :, channel] = tables[picture, channel][codes[picture, channel]]
    return developed


def compress(pixels: Batch, stream: np.random.Generator, strength: float) -> None:
    """Send some pictures through JPEG, colours at half resolution as phones do."""
    for picture in _some(pixels, stream, RANGES.jpeg_share * strength):
        buffer = io.BytesIO()
        quality = int(stream.integers(*RANGES.jpeg_quality))
        PIL.Image.fromarray(pixels[picture]).save(buffer, "JPEG", quality=quality, subsampling=2)
        pixels[picture] = np.asarray(PIL.Image.open(buffer))


def _some(pixels: Floats | Batch, stream: np.random.Generator, share: float) -> NDArray[np.int64]:
    return np.flatnonzero(stream.random(len(pixels)) < share)


def _per_picture(pairs: NDArray[np.float64]) -> torch.Tensor:
    """Turn (2, n) numbers into a tensor (n, 1, 1, 2) that broadcasts over a sampling grid."""
    return torch.from_numpy(pairs.T.astype(np.float32))[:, None, None]


def _kernels(count: int, stream: np.random.Generator, strength: float) -> Floats:
    """Gaussian kernels float32 (count, KERNEL, KERNEL), each long or round, each summing to one."""
    angle = stream.uniform(0, math.pi, (count, 1, 1))
    along = 0.3 + stream.uniform(0, 1, (count, 1, 1)) * RANGES.blur_pixels * strength
    across = np.where(stream.random((count, 1, 1)) < 0.5, along, 0.3)
    y, x = np.mgrid[:KERNEL, :KERNEL] - KERNEL // 2
    u, v = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    weight = np.exp(-0.5 * ((u / along) ** 2 + (v / across) ** 2))
    return np.asarray(weight / weight.sum((1, 2), keepdims=True), np.float32)
