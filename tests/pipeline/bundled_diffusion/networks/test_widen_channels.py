from __future__ import annotations

import pytest
import torch

from pipeline.bundled_diffusion.networks.autoencoder import build_autoencoder
from pipeline.bundled_diffusion.networks.denoiser import DenoiserShape, build_denoiser
from pipeline.bundled_diffusion.networks.widen_channels import GUIDANCE_WEIGHT, widen_autoencoder, widen_denoiser

SHAPE = DenoiserShape(latent_channels=4, latent=(8, 4), widths=(16, 32, 32), text_width=32)


def test_a_wider_autoencoder_keeps_its_latents_and_pixels_and_adds_latents() -> None:
    torch.manual_seed(1)
    old = build_autoencoder(4, (8, 8)).eval()
    new = widen_autoencoder(old, build_autoencoder(6, (8, 8))).eval()
    images = torch.rand(2, 3, 16, 16) * 2 - 1
    with torch.no_grad():
        before, after = (model.encode(images).latent_dist for model in (old, new))
        decoded = [model.decode(posterior.mean).sample for model, posterior in ((old, before), (new, after))]
    torch.testing.assert_close(after.mean[:, :4], before.mean)
    torch.testing.assert_close(after.logvar[:, :4], before.logvar)
    torch.testing.assert_close(decoded[1], decoded[0])
    assert after.mean[:, 4:].std() > 0.01
    assert (after.logvar[:, 4:] < -5).all()


def test_an_autoencoder_of_the_same_size_is_copied() -> None:
    torch.manual_seed(1)
    old = build_autoencoder(4, (8, 8))
    copied = widen_autoencoder(old, build_autoencoder(4, (8, 8))).state_dict()
    assert all(torch.equal(copied[name], value) for name, value in old.state_dict().items())


def test_the_decoder_gets_a_gradient_for_new_latents() -> None:
    torch.manual_seed(1)
    new = widen_autoencoder(build_autoencoder(4, (8, 8)), build_autoencoder(6, (8, 8)))
    new.decode(new.encode(torch.rand(2, 3, 16, 16)).latent_dist.mean).sample.square().mean().backward()  # type: ignore[no-untyped-call]
    assert new.decoder.conv_in.weight.grad[:, 4:].abs().max() > 0


@pytest.mark.parametrize("guidance", [None, 16])
def test_a_wider_denoiser_keeps_its_predictions(guidance: int | None) -> None:
    torch.manual_seed(1)
    old = build_denoiser(SHAPE).eval()
    wide = DenoiserShape(6, SHAPE.latent, SHAPE.widths, SHAPE.text_width, guidance=guidance)
    new = widen_denoiser(old, build_denoiser(wide)).eval()
    noisy, times, text = torch.randn(2, 6, 8, 4), torch.tensor([9, 900]), torch.randn(2, 5, 32)
    embedding = None if guidance is None else torch.randn(2, guidance)
    with torch.no_grad():
        before = old(noisy[:, :4], times, text).sample
        after = new(noisy, times, text, timestep_cond=embedding).sample
    torch.testing.assert_close(after[:, :4], before)
    assert after.shape == noisy.shape


def test_the_guidance_input_can_be_dropped() -> None:
    distilled = build_denoiser(DenoiserShape(4, SHAPE.latent, SHAPE.widths, SHAPE.text_width, guidance=16))
    plain = widen_denoiser(distilled, build_denoiser(SHAPE))
    assert GUIDANCE_WEIGHT in distilled.state_dict()
    assert GUIDANCE_WEIGHT not in plain.state_dict()
    assert torch.equal(plain.conv_in.weight, distilled.conv_in.weight)
