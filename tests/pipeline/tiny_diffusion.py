"""A whole Stable Diffusion pipeline that is tiny and randomly initialised, and a preset that draws with it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pipeline.data.records import Prompt
from pipeline.generate.diffusion.presets import Preset

CARD = "---\nlicense: creativeml-openrail-m\n---\n# Tiny\n"


def character_vocabulary() -> dict[str, int]:
    letters = [chr(code) for code in range(33, 127)]
    tokens = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    return {token: number for number, token in enumerate(tokens)}


def build_tokenizer(folder: Path, length: int) -> Any:
    from transformers import CLIPTokenizer

    (folder / "vocab.json").write_text(json.dumps(character_vocabulary()), encoding="utf-8")
    (folder / "merges.txt").write_text("#version: 0.2\n", encoding="utf-8")
    return CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=length)


def text_config(length: int) -> Any:
    from transformers import CLIPTextConfig

    words = character_vocabulary()
    return CLIPTextConfig(
        vocab_size=len(words),
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=length,
        projection_dim=16,
        bos_token_id=words["<|startoftext|>"],
        eos_token_id=words["<|endoftext|>"],
    )


def build_unet(**options: Any) -> Any:
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel(
        sample_size=8,
        layers_per_block=1,
        block_out_channels=(8, 16),
        norm_num_groups=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=4,
        **{"cross_attention_dim": 16, **options},
    )


def build_vae() -> Any:
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        block_out_channels=(8, 8, 8, 8),
        norm_num_groups=4,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=1,
    )


def save_tiny(folder: Path, length: int = 32) -> Path:
    """Save a Stable Diffusion that reads captions of ``length`` tokens, and its card; returns where."""
    import torch
    from diffusers import DPMSolverMultistepScheduler, StableDiffusionPipeline
    from transformers import CLIPTextModel

    torch.manual_seed(0)
    pipe = StableDiffusionPipeline(
        vae=build_vae(),
        text_encoder=CLIPTextModel(text_config(length)),
        tokenizer=build_tokenizer(folder, length),
        unet=build_unet(),
        scheduler=DPMSolverMultistepScheduler(steps_offset=1),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipe.save_pretrained(folder / "model")
    (folder / "model" / "README.md").write_text(CARD, encoding="utf-8")
    return folder / "model"


def save_tiny_xl(folder: Path) -> Path:
    """Save a Stable Diffusion XL: two text encoders, one of them pooled; returns where."""
    import torch
    from diffusers import EulerDiscreteScheduler, StableDiffusionXLPipeline
    from transformers import CLIPTextModel, CLIPTextModelWithProjection

    torch.manual_seed(0)
    tokenizer = build_tokenizer(folder, 32)
    unet = build_unet(
        cross_attention_dim=32,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=16 + 6 * 8,
    )
    pipe = StableDiffusionXLPipeline(
        vae=build_vae(),
        text_encoder=CLIPTextModel(text_config(32)),
        text_encoder_2=CLIPTextModelWithProjection(text_config(32)),
        tokenizer=tokenizer,
        tokenizer_2=tokenizer,
        unet=unet,
        scheduler=EulerDiscreteScheduler(),
    )
    pipe.save_pretrained(folder / "xl")
    return folder / "xl"


def tiny_preset(model: Path | str, **changes: Any) -> Preset:
    values = {
        "model": str(model),
        "revision": None,
        "width": 48,
        "height": 64,
        "scheduler": "dpmsolver++",
        "steps": 2,
        "guidance": 2.5,
        "negative_prompt": "",
        "dtype": "float32",
        "batch_size": 3,
        "device": "cpu",
        "channels_last": False,
        "compile": False,
        "safety_checker": False,
        "licence_acknowledged": None,
    }
    return Preset.model_validate({**values, **changes})


def prompt(number: int, text: str = "a rider") -> Prompt:
    return Prompt(id=f"p{number}", group=str(number), label="helmet", text=text, seed=number * 7919, factors={})
