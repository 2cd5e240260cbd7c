"""Gives a learned autoencoder or denoiser more inputs and latent channels; until it learns on, it does as before.

As in Net2Net (Chen et al., "Net2Net: Accelerating Learning via Knowledge Transfer", ICLR 2016): what is new is read
with weights of zero, so that nothing learned is lost, and written with random ones, so that there is something to read.
"""

from __future__ import annotations

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor

DIVERGENCE_BIAS = -6.0  # log-variance of a new channel: hardly any noise
TOLD = "time_embedding.cond_proj.weight"  # how an embedding of the guidance joins that of the time


def widen_autoencoder(old: AutoencoderKL, new: AutoencoderKL) -> AutoencoderKL:
    """Copy ``old`` into ``new``, random, alike, with as many latent channels or more; returns ``new``."""
    before, after = old.config.latent_channels, new.config.latent_channels
    weights = {name: value.clone() for name, value in old.state_dict().items()}
    fresh = new.state_dict()
    for part in ("weight", "bias"):
        name = f"encoder.conv_out.{part}"  # means, then logarithms of variances
        mean, variance = weights[name].chunk(2)
        fresh_mean, fresh_variance = fresh[name].clone().chunk(2)
        weights[name] = torch.cat([mean, fresh_mean[before:], variance, torch.zeros_like(fresh_variance[before:])])
    rows = torch.cat([torch.arange(before), after + torch.arange(before)])
    name = "quant_conv.weight"
    weights[name] = _embed(torch.eye(2 * after)[..., None, None], weights[name], rows)
    bias = torch.zeros(2 * after)
    bias[after + before :] = DIVERGENCE_BIAS
    bias[rows] = weights["quant_conv.bias"]
    weights["quant_conv.bias"] = bias
    name = "post_quant_conv.weight"
    weights[name] = _embed(torch.eye(after)[..., None, None], weights[name], torch.arange(before))
    weights["post_quant_conv.bias"] = _lengthen(weights["post_quant_conv.bias"], torch.zeros(after))
    weights["decoder.conv_in.weight"] = _unread(weights["decoder.conv_in.weight"], after)
    new.load_state_dict(weights)
    return new


def widen_denoiser(old: UNet2DConditionModel, new: UNet2DConditionModel) -> UNet2DConditionModel:
    """Copy ``old`` into ``new``, random, alike, with as many latent channels or more; returns ``new``.

    Where ``new`` is told its guidance and ``old`` was not, it does not heed it yet; the other way round that is lost.
    """
    fresh = new.state_dict()
    weights = {name: value.clone() for name, value in old.state_dict().items() if name in fresh}
    if TOLD in fresh and TOLD not in weights:
        weights[TOLD] = torch.zeros_like(fresh[TOLD])
    weights["conv_in.weight"] = _unread(weights["conv_in.weight"], new.config.in_channels)
    for name in ("conv_out.weight", "conv_out.bias"):
        weights[name] = _lengthen(weights[name], fresh[name])
    new.load_state_dict(weights)
    return new


def _embed(whole: Tensor, part: Tensor, rows: Tensor) -> Tensor:
    whole[rows[:, None], rows[None, :]] = part
    return whole


def _lengthen(part: Tensor, whole: Tensor) -> Tensor:
    return torch.cat([part, whole[len(part) :]])


def _unread(weight: Tensor, channels: int) -> Tensor:
    """Add input channels of weight zero to a convolution (out, in, h, w)."""
    out, before, height, width = weight.shape
    return torch.cat([weight, torch.zeros(out, channels - before, height, width)], 1)
