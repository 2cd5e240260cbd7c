"""The denoiser: a UNet conditioned on the caption through cross-attention and, pooled, through its time embedding.

It predicts velocities (Salimans & Ho, "Progressive Distillation for Fast Sampling of Diffusion Models", ICLR 2022,
arXiv:2202.00512) on a noise schedule that ends in pure noise (Lin et al., "Common Diffusion Noise Schedules and Sample
Steps are Flawed", WACV 2024, arXiv:2305.08891). Latents are (N, C, h, w), of unit variance. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass

from diffusers import DDPMScheduler, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from torch import Tensor, nn

from pipeline.machine.memory_layout import lay_out

TIMESTEPS = 1000


@dataclass(frozen=True, slots=True)
class DenoiserShape:
    """Sizes of a denoiser.

    Attributes:
        latent_channels: Channels of the latents.
        latent: (height, width) of the latents.
        widths: Channels of each level, the finest first.
        text_width: Size of a caption token's embedding.
        layers: Residual blocks per level.
        guidance: Length of the guidance embedding; None: the denoiser does not take the guidance scale as input.
    """

    latent_channels: int
    latent: tuple[int, int]
    widths: tuple[int, ...]
    text_width: int
    layers: int = 1
    guidance: int | None = None


class AlignedDenoiser(nn.Module):
    """A denoiser with a head that predicts the attribute network's features from its second finest level.

    The head exists in training only. It aligns the hidden states with the features (Yu et al., "Representation
    Alignment for Generation", ICLR 2025, arXiv:2410.06940).

    Args:
        denoiser: Network to train.
        features: Channels of the attribute network's features.
    """

    def __init__(self, denoiser: UNet2DConditionModel, features: int) -> None:
        super().__init__()
        self.denoiser = denoiser
        self.head = nn.Sequential(nn.Conv2d(denoiser.config.block_out_channels[-2], 256, 1), nn.SiLU())
        self.out = nn.Conv2d(256, features, 1)
        self._hidden: list[Tensor] = []
        denoiser.up_blocks[-3].register_forward_hook(lambda _module, _inputs, hidden: self._hidden.append(hidden))

    def forward(self, noisy: Tensor, timesteps: Tensor, text: Tensor) -> tuple[Tensor, Tensor]:
        """Predict velocities and features.

        Args:
            noisy: float32 (N, C, h, w): noisy latents.
            timesteps: int64 (N,), 0..999.
            text: float32 (N, tokens, width): caption embeddings.

        Returns:
            Velocities (N, C, h, w) and features (N, F, h/2, w/2).
        """
        self._hidden.clear()
        velocity = self.denoiser(noisy, timesteps, text, return_dict=False)[0]
        return velocity, self.out(self.head(self._hidden.pop()))


def build_denoiser(shape: DenoiserShape) -> UNet2DConditionModel:
    """Create a randomly initialised denoiser, with attention at the coarsest level only, where it is cheap."""
    finer = len(shape.widths) - 1
    denoiser = UNet2DConditionModel(
        sample_size=shape.latent,
        in_channels=shape.latent_channels,
        out_channels=shape.latent_channels,
        down_block_types=(*("DownBlock2D",) * finer, "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", *("UpBlock2D",) * finer),
        block_out_channels=shape.widths,
        layers_per_block=shape.layers,
        norm_num_groups=16,
        cross_attention_dim=shape.text_width,
        attention_head_dim=4,
        addition_embed_type="text",
        addition_embed_type_num_heads=4,
        encoder_hid_dim=shape.text_width,
        resnet_time_scale_shift="scale_shift",
        time_cond_proj_dim=shape.guidance,
        use_linear_projection=True,
    )
    return lay_out(denoiser)


def build_noise_schedule() -> DDPMScheduler:
    """Create a cosine schedule that ends in pure noise, from which sampling can then start.

    Cosine: Nichol & Dhariwal, "Improved Denoising Diffusion Probabilistic Models", arXiv:2102.09672.
    """
    return DDPMScheduler(
        num_train_timesteps=TIMESTEPS,
        beta_schedule="squaredcos_cap_v2",
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        clip_sample=False,
        timestep_spacing="trailing",
        steps_offset=1,  # Stable Diffusion pipelines warn about any other value; trailing steps do not use it
    )


def use_plain_attention(model: UNet2DConditionModel) -> None:
    """On a CPU, compute attention with plain matrix products, which train faster there than the fused kernel."""
    if model.device.type == "cpu":
        model.set_attn_processor(AttnProcessor())
