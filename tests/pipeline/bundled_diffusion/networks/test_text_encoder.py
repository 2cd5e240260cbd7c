from __future__ import annotations

from pathlib import Path

import pytest
from transformers import CLIPTokenizer

from pipeline.bundled_diffusion.networks.text_encoder import build_text_encoder, build_tokenizer, encode_text, tokenize
from pipeline.bundled_diffusion.portrait_dataset import sample_dataset_prompts


@pytest.fixture(scope="module")
def tokenizer(root: Path) -> CLIPTokenizer:
    prompts = sample_dataset_prompts(root / "policies", {"helmet": 300, "mask": 60}, 5)
    return build_tokenizer([prompt.text for prompt in prompts], 80)


def test_words_of_the_captions_are_one_token_each_and_others_are_split(tokenizer: CLIPTokenizer) -> None:
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


def test_captions_are_padded_to_one_length(tokenizer: CLIPTokenizer) -> None:
    ids = tokenize(tokenizer, ["a helmet", ""])
    assert ids.shape == (2, 80)
    assert ids[1].tolist() == [tokenizer.bos_token_id] + [tokenizer.eos_token_id] * 79


def test_every_token_gets_an_embedding(tokenizer: CLIPTokenizer) -> None:
    encoder = build_text_encoder(tokenizer, width=32, layers=1).eval()
    assert encode_text(encoder, tokenize(tokenizer, ["a helmet", "a cap", ""]), batch_size=2).shape == (3, 80, 32)
