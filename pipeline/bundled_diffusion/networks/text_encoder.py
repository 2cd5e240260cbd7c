"""The text side: a tokenizer that keeps every word of the captions whole, and a small CLIP text encoder.

CLIP: Radford et al., "Learning Transferable Visual Models From Natural Language Supervision", ICML 2021,
arXiv:2103.00020. The encoder is trained on text alone (``training.train_text_encoder``), then frozen, as in Stable
Diffusion. Pure: reads and writes no file.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

START, END = "<|startoftext|>", "<|endoftext|>"


def build_tokenizer(captions: Sequence[str], max_length: int) -> CLIPTokenizer:
    """Train a byte-pair tokenizer for which every word of ``captions`` is one token; other words are split."""
    tokenizer = Tokenizer(models.BPE(end_of_word_suffix="</w>", unk_token=END))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(r" ", "removed"), pre_tokenizers.Punctuation(), pre_tokenizers.ByteLevel(False)]
    )
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=4096,
        special_tokens=[START, END],
        initial_alphabet=sorted(alphabet),
        end_of_word_suffix="</w>",
        show_progress=False,
    )
    tokenizer.train_from_iterator(captions, trainer)
    model = json.loads(tokenizer.to_str())["model"]
    vocab = dict(model["vocab"])
    for byte in sorted(alphabet):  # a single byte at the end of a word
        vocab.setdefault(f"{byte}</w>", len(vocab))
    merges = [tuple(pair) for pair in model["merges"]]
    return CLIPTokenizer(vocab=vocab, merges=merges, model_max_length=max_length)


def build_text_encoder(tokenizer: CLIPTokenizer, width: int, layers: int) -> CLIPTextModel:
    """Create a randomly initialised CLIP text encoder for ``tokenizer``; one attention head per 32 of ``width``."""
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=width,
            intermediate_size=2 * width,
            projection_dim=width,
            num_hidden_layers=layers,
            num_attention_heads=width // 32,
            max_position_embeddings=tokenizer.model_max_length,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def tokenize(tokenizer: CLIPTokenizer, captions: Sequence[str]) -> Tensor:
    """Token ids of captions, int64 (N, max_length), padded and truncated as a Stable Diffusion pipeline does it."""
    encoding = tokenizer(
        list(captions),
        padding="max_length",
        max_length=tokenizer.model_max_length,
        truncation=True,
        return_tensors="pt",
    )
    ids = encoding.input_ids
    assert isinstance(ids, Tensor)
    return ids


def encode_text(encoder: CLIPTextModel, ids: Tensor, batch_size: int = 256) -> NDArray[np.float16]:
    """Last hidden states of token ids, int64 (N, tokens): float16 (N, tokens, width)."""
    with torch.inference_mode():
        parts = [
            encoder(ids[first : first + batch_size].to(encoder.device)).last_hidden_state.half().cpu().numpy()
            for first in range(0, len(ids), batch_size)
        ]
    return np.concatenate(parts)
