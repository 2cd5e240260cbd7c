"""The text side: a tokenizer that knows the captions' words whole, and a small CLIP text encoder.

The encoder is learned before any picture is: heads on its averaged and its last hidden state must tell every factor of
a caption. Then it is frozen, as Stable Diffusion freezes CLIP, so that every caption is encoded once.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from torch import Tensor, nn
from torch.nn import functional
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from pipeline.bundled_diffusion.config import TextRecipe
from pipeline.bundled_diffusion.networks.attribute_net import Codes, Factors, split_logits

START, END = "<|startoftext|>", "<|endoftext|>"


def build_tokenizer(captions: Sequence[str], max_length: int) -> CLIPTokenizer:
    """Learn byte pairs until every word of ``captions`` is one token; other words fall into pieces."""
    learner = Tokenizer(models.BPE(end_of_word_suffix="</w>", unk_token=END))
    learner.normalizer = normalizers.Lowercase()
    learner.pre_tokenizer = pre_tokenizers.Sequence(
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
    learner.train_from_iterator(captions, trainer)
    model = json.loads(learner.to_str())["model"]
    vocab = dict(model["vocab"])
    for byte in sorted(alphabet):  # a lone byte at a word's end
        vocab.setdefault(f"{byte}</w>", len(vocab))
    merges = [tuple(pair) for pair in model["merges"]]
    return CLIPTokenizer(vocab=vocab, merges=merges, model_max_length=max_length)


def build_text_encoder(tokenizer: CLIPTokenizer, width: int, layers: int) -> CLIPTextModel:
    """Make a randomly initialised CLIP text encoder for ``tokenizer``."""
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
    """Token ids (N, max_length), padded as a Stable Diffusion pipeline pads them."""
    found = tokenizer(
        list(captions),
        padding="max_length",
        max_length=tokenizer.model_max_length,
        truncation=True,
        return_tensors="pt",
    )
    ids = found.input_ids
    assert isinstance(ids, Tensor)
    return ids


def fit_text_encoder(encoder: CLIPTextModel, ids: Tensor, codes: Codes, factors: Factors, recipe: TextRecipe) -> float:
    """Teach ``encoder`` to tell the factors of captions; returns the last mean cross-entropy a factor."""
    torch.manual_seed(recipe.seed)
    heads = nn.ModuleList([nn.Linear(recipe.width, sum(map(len, factors.values()))) for _ in range(2)])
    weights = [*encoder.parameters(), *heads.parameters()]
    optimiser = torch.optim.AdamW(weights, lr=recipe.learning_rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, recipe.learning_rate, total_steps=recipe.steps)
    rng = np.random.default_rng(recipe.seed)
    loss = torch.zeros(())
    for _ in range(recipe.steps):
        rows = rng.integers(0, len(ids), recipe.batch_size)
        hidden = encoder(ids[rows]).last_hidden_state
        losses = [
            functional.cross_entropy(part, torch.from_numpy(codes[name][rows]), ignore_index=-1)
            for head, pooled in zip(heads, (hidden.mean(1), hidden[:, -1]), strict=True)
            for name, part in split_logits(head(pooled), factors).items()
        ]
        loss = torch.stack(losses).mean()
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
        schedule.step()
    encoder.eval().requires_grad_(False)
    return float(loss.detach())


def encode_text(encoder: CLIPTextModel, ids: Tensor, batch_size: int = 256) -> NDArray[np.float16]:
    """Hidden states of captions: float16 (N, tokens, width)."""
    with torch.inference_mode():
        parts = [
            encoder(ids[first : first + batch_size].to(encoder.device)).last_hidden_state.half().cpu().numpy()
            for first in range(0, len(ids), batch_size)
        ]
    return np.concatenate(parts)
