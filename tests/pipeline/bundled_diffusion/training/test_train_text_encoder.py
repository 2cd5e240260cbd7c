from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from pipeline.bundled_diffusion.config import TextEncoderConfig
from pipeline.bundled_diffusion.networks.text_encoder import build_text_encoder, build_tokenizer, encode_text, tokenize
from pipeline.bundled_diffusion.portrait_dataset import encode_factors, sample_dataset_prompts
from pipeline.bundled_diffusion.training.train_text_encoder import train_text_encoder

CONFIG = TextEncoderConfig(tokens=80, width=32, layers=1, steps=60, batch_size=32, learning_rate=0.01, seed=1)


def test_a_text_encoder_learns_to_predict_the_factors_of_captions(root: Path) -> None:
    prompts = sample_dataset_prompts(root / "policies", {"helmet": 300, "mask": 60}, 5)
    tokenizer = build_tokenizer([prompt.text for prompt in prompts], 80)
    ids = tokenize(tokenizer, [prompt.text for prompt in prompts])
    all_factors, codes = encode_factors(prompts)
    factors = {name: all_factors[name] for name in ("light", "headwear")}
    torch.manual_seed(0)
    encoder = build_text_encoder(tokenizer, CONFIG.width, CONFIG.layers)
    chance = float(np.mean([np.log(len(values)) for values in factors.values()]))
    assert train_text_encoder(encoder, ids, codes, factors, CONFIG) < 0.5 * chance
    assert not any(weight.requires_grad for weight in encoder.parameters())
    hidden = encode_text(encoder, ids[:3])
    assert (hidden.shape, hidden.dtype) == ((3, 80, 32), np.float16)
