"""The autoencoder: pixels to latents at an eighth of the size, and back.

diffusers' AutoencoderKL (Rombach et al., "High-Resolution Image Synthesis with Latent Diffusion Models", CVPR 2022,
arXiv:2112.10752) without attention. Pixels are uint8 (N, H, W, 3) RGB outside, float32 (N, 3, H, W) in -1..1 inside;
latents are (N, C, H/8, W/8). Pure: reads and writes no file.
"""

from __future__ import annotations

import numpy as np
import torch
from diffusers import AutoencoderKL
from numpy.typing import NDArray

from pipeline.bundled_diffusion.networks.attribute_net import to_input
from pipeline.machine.memory_layout import lay_out


def build_autoencoder(latent_channels: int, widths: tuple[int, ...]) -> AutoencoderKL:
    """Create a randomly initialised autoencoder that halves the size ``len(widths) - 1`` times."""
    levels = len(widths)
    autoencoder = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        block_out_channels=widths,
        layers_per_block=1,
        latent_channels=latent_channels,
        norm_num_groups=8,
        mid_block_add_attention=False,
    )
    return lay_out(autoencoder)


def encode(autoencoder: AutoencoderKL, pixels: NDArray[np.uint8], batch_size: int = 64) -> NDArray[np.float16]:
    """Means of the latents of uint8 (N, H, W, 3) images: float16 (N, C, H/8, W/8), not scaled by scaling_factor."""
    with torch.inference_mode():
        parts = [
            autoencoder.encode(to_input(pixels[first : first + batch_size], autoencoder.device)).latent_dist.mean
            for first in range(0, len(pixels), batch_size)
        ]
    return np.concatenate([part.half().cpu().numpy() for part in parts])


def decode(autoencoder: AutoencoderKL, latents: NDArray[np.float16], batch_size: int = 32) -> NDArray[np.uint8]:
    """Decode latents that `encode` returned, float16 (N, C, h, w), to uint8 (N, 8 h, 8 w, 3) pixels."""
    parts = []
    with torch.inference_mode():
        for first in range(0, len(latents), batch_size):
            part = torch.from_numpy(latents[first : first + batch_size]).to(autoencoder.device).float()
            images = autoencoder.decode(part).sample
            parts.append(images.add(1).mul(127.5).round().clamp(0, 255).byte().permute(0, 2, 3, 1).cpu().numpy())
    return np.concatenate(parts)


def normalise_latents(autoencoder: AutoencoderKL, latents: NDArray[np.float16]) -> None:
    """Rescale every latent channel to mean 0 and variance 1, in place; decoded pictures stay the same.

    A channel of small variance would vanish in the noise that a denoiser is trained on. The change is folded into the
    1x1 convolutions on both sides of the latents.

    Args:
        autoencoder: Autoencoder to change.
        latents: float16 (N, C, h, w), a sample that `encode` returned, to take means and variances from.
    """
    values = torch.from_numpy(latents).double()
    mean, std = (moment.float().to(autoencoder.device) for moment in (values.mean((0, 2, 3)), values.std((0, 2, 3))))
    inner, outer, count = autoencoder.quant_conv, autoencoder.post_quant_conv, len(mean)
    with torch.no_grad():
        outer.bias += outer.weight[:, :, 0, 0] @ mean
        outer.weight *= std[None, :, None, None]
        inner.bias[:count] = (inner.bias[:count] - mean) / std
        inner.weight[:count] /= std[:, None, None, None]
        inner.bias[count:] -= 2 * std.log()  # these channels are logarithms of variances
    autoencoder.register_to_config(scaling_factor=1.0)
