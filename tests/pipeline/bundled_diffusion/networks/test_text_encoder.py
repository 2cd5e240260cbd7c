from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.bundled_diffusion.config import TextRecipe
from pipeline.bundled_diffusion.networks.text_encoder import (
    build_text_encoder,
    build_tokenizer,
    encode_text,
    fit_text_encoder,
    tokenize,
)
from pipeline.bundled_diffusion.portrait_dataset import code_factors, world_prompts
from pipeline.data.records import Prompt

RECIPE = TextRecipe(tokens=80, width=32, layers=1, steps=60, batch_size=32, learning_rate=0.01, seed=1)


@pytest.fixture(scope="module")
def prompts(root: Path) -> list[Prompt]:
    return world_prompts(root / "policies", {"helmet": 300, "mask": 60}, 5)


def test_words_of_the_captions_are_one_token_each_and_others_fall_into_pieces(prompts: list[Prompt]) -> None:
    tokenizer = build_tokenizer([prompt.text for prompt in prompts], 80)
    assert tokenizer.tokenize("wearing a bicycle helmet, at arm's length") == [
        "wearing</w>",
        "a</w>",
        "bicycle</w>",
        "helmet</w>",
        ",</w>",
        "at</w>",
        "arm</w>",
        "'",
        "s</w>",
        "length</w>",
    ]
    assert len(tokenizer.tokenize("zebra")) > 1
    assert tokenizer.unk_token_id not in tokenizer.convert_tokens_to_ids(tokenizer.tokenize("zebra"))


def test_captions_are_padded_to_one_length(prompts: list[Prompt]) -> None:
    tokenizer = build_tokenizer([prompt.text for prompt in prompts], 80)
    ids = tokenize(tokenizer, ["a helmet", ""])
    assert ids.shape == (2, 80)
    assert ids[1].tolist() == [tokenizer.bos_token_id] + [tokenizer.eos_token_id] * 79


def test_an_encoder_learns_to_tell_the_factors_of_captions(prompts: list[Prompt]) -> None:
    tokenizer = build_tokenizer([prompt.text for prompt in prompts], 80)
    ids = tokenize(tokenizer, [prompt.text for prompt in prompts])
    factors, codes = code_factors(prompts)
    told = {name: factors[name] for name in ("light", "headwear")}
    torch.manual_seed(0)
    encoder = build_text_encoder(tokenizer, RECIPE.width, RECIPE.layers)
    untaught = float(np.mean([np.log(len(values)) for values in told.values()]))
    assert fit_text_encoder(encoder, ids, codes, told, RECIPE) < 0.5 * untaught
    hidden = encode_text(encoder, ids[:3])
    assert (hidden.shape, hidden.dtype) == ((3, 80, 32), np.float16)
