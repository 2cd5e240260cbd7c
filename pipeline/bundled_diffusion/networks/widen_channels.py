"""Adds latent channels and a guidance input to a trained autoencoder or denoiser without changing what it computes.

As in Net2Net (Chen et al., "Net2Net: Accelerating Learning via Knowledge Transfer", ICLR 2016, arXiv:1511.05641):
weights that read a new channel start at zero, so that nothing learned is lost; weights that write one start random, so
that there is something to learn from.
"""

from __future__ import annotations

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor

NEW_LOG_VARIANCE = -6.0
"""Log-variance of a new latent channel: hardly any noise."""
GUIDANCE_WEIGHT = "time_embedding.cond_proj.weight"
"""Name of the tensor that projects the guidance embedding onto the time embedding."""


def widen_autoencoder(old: AutoencoderKL, new: AutoencoderKL) -> AutoencoderKL:
    """Copy the weights of ``old`` into ``new``.

    Args:
        old: Trained autoencoder.
        new: Random autoencoder of the same sizes, with as many latent channels or more.

    Returns:
        ``new``, changed in place. It encodes to the same values in the first channels, and decodes to the same pixels.
    """
    before, after = old.config.latent_channels, new.config.latent_channels
    weights = {name: value.clone() for name, value in old.state_dict().items()}
    initial = new.state_dict()
    for part in ("weight", "bias"):
        name = f"encoder.conv_out.{part}"  # means, then logarithms of variances
        mean, variance = weights[name].chunk(2)
        initial_mean, initial_variance = initial[name].clone().chunk(2)
        weights[name] = torch.cat([mean, initial_mean[before:], variance, torch.zeros_like(initial_variance[before:])])
    rows = torch.cat([torch.arange(before), after + torch.arange(before)])
    name = "quant_conv.weight"
    weights[name] = _fill_block(torch.eye(2 * after)[..., None, None], weights[name], rows)
    bias = torch.zeros(2 * after)
    bias[after + before :] = NEW_LOG_VARIANCE
    bias[rows] = weights["quant_conv.bias"]
    weights["quant_conv.bias"] = bias
    name = "post_quant_conv.weight"
    weights[name] = _fill_block(torch.eye(after)[..., None, None], weights[name], torch.arange(before))
    weights["post_quant_conv.bias"] = _extend(weights["post_quant_conv.bias"], torch.zeros(after))
    weights["decoder.conv_in.weight"] = _add_inputs(weights["decoder.conv_in.weight"], after)
    new.load_state_dict(weights)
    return new


def widen_denoiser(old: UNet2DConditionModel, new: UNet2DConditionModel) -> UNet2DConditionModel:
    """Copy the weights of ``old`` into ``new``.

    If only ``new`` takes the guidance scale as input, it ignores it until it is trained; if only ``old`` does, that
    input is dropped.

    Args:
        old: Trained denoiser.
        new: Random denoiser of the same sizes, with as many latent channels or more.

    Returns:
        ``new``, changed in place. It predicts the same velocities in the first channels.
    """
    initial = new.state_dict()
    weights = {name: value.clone() for name, value in old.state_dict().items() if name in initial}
    if GUIDANCE_WEIGHT in initial and GUIDANCE_WEIGHT not in weights:
        weights[GUIDANCE_WEIGHT] = torch.zeros_like(initial[GUIDANCE_WEIGHT])
    weights["conv_in.weight"] = _add_inputs(weights["conv_in.weight"], new.config.in_channels)
    for name in ("conv_out.weight", "conv_out.bias"):
        weights[name] = _extend(weights[name], initial[name])
    new.load_state_dict(weights)
    return new


def _fill_block(whole: Tensor, part: Tensor, rows: Tensor) -> Tensor:
    whole[rows[:, None], rows[None, :]] = part
    return whole


def _extend(part: Tensor, whole: Tensor) -> Tensor:
    return torch.cat([part, whole[len(part) :]])


def _add_inputs(weight: Tensor, channels: int) -> Tensor:
    """Add input channels of weight zero to a convolution's weight (out, in, h, w)."""
    out, before, height, width = weight.shape
    return torch.cat([weight, torch.zeros(out, channels - before, height, width)], 1)
