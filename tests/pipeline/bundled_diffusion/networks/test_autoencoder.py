from __future__ import annotations

import numpy as np
import torch

from pipeline.bundled_diffusion.networks.attribute_net import to_input
from pipeline.bundled_diffusion.networks.autoencoder import build_autoencoder, decode, encode, normalise_latents

PIXELS = np.random.default_rng(1).integers(0, 255, (12, 32, 32, 3), dtype=np.uint8)


def test_latents_have_an_eighth_of_the_size() -> None:
    latents = encode(build_autoencoder(5, (8, 8, 8, 8)).eval(), PIXELS)
    assert (latents.shape, latents.dtype) == ((12, 5, 4, 4), np.float16)


def test_normalised_latents_have_mean_0_and_variance_1_and_decode_to_the_same_pixels() -> None:
    torch.manual_seed(3)
    autoencoder = build_autoencoder(4, (8, 8)).eval()
    with torch.no_grad():
        autoencoder.quant_conv.weight[1] *= 20
        autoencoder.quant_conv.bias[2] += 3
        before = autoencoder.encode(to_input(PIXELS)).latent_dist
    pixels = decode(autoencoder, encode(autoencoder, PIXELS))
    normalise_latents(autoencoder, encode(autoencoder, PIXELS))
    latents = encode(autoencoder, PIXELS).astype(np.float32)
    np.testing.assert_allclose(latents.mean((0, 2, 3)), 0, atol=0.01)
    np.testing.assert_allclose(latents.std((0, 2, 3)), 1, atol=0.01)
    assert np.abs(decode(autoencoder, latents.astype(np.float16)).astype(int) - pixels.astype(int)).max() <= 1
    with torch.no_grad():
        after = autoencoder.encode(to_input(PIXELS)).latent_dist
    noise_to_signal = [posterior.std.mean((0, 2, 3)) / posterior.mean.std((0, 2, 3)) for posterior in (before, after)]
    torch.testing.assert_close(noise_to_signal[0], noise_to_signal[1], rtol=0.01, atol=0)
