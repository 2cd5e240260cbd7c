"""Fuses parallel branches and batch normalisation of a trained network into single convolutions, as timm offers it.

Networks such as MobileOne, RepVGG, FastViT and RepViT are trained with several branches per layer, which add up to one
convolution ("RepVGG: Making VGG-style ConvNets Great Again", arXiv 2101.03697). Fused, they give the same outputs up
to rounding, with a fraction of the parameters and operations. Networks without such layers are copied unchanged.
"""

from __future__ import annotations

import copy

from timm.utils.model import reparameterize_model
from torch import nn


def fuse_branches(network: nn.Module) -> nn.Module:
    """Return a fused copy of a network, in eval mode."""
    fused = copy.deepcopy(network)
    fused.train()  # drops what some networks cache in eval mode
    result: nn.Module = reparameterize_model(fused.eval(), inplace=True)
    return result
