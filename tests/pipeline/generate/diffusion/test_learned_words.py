"""The words that the bundled model learned are read from its tokenizer."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from pipeline.config.policy import load_policy
from pipeline.config.vocabulary import Vocabulary, words_of
from pipeline.errors import ModelError
from pipeline.generate.diffusion.learned_words import ATTRIBUTES, TOKENIZER, read_learned_words
from pipeline.generate.diffusion.model_source import WEIGHTS
from pipeline.prompts.prompt_sampler import draw_prompts


def test_every_word_of_its_captions_was_learned(root: Path) -> None:
    vocabulary = read_learned_words(WEIGHTS, "here")
    for name in ("helmet", "mask"):
        prompts = draw_prompts(load_policy(root / "policies" / f"{name}.yaml"), 2000, 1, seed=3)
        assert vocabulary.unknown(" ".join(prompt.text for prompt in prompts)) == []


def test_only_words_of_its_captions_were_learned(root: Path) -> None:
    vocabulary = read_learned_words(WEIGHTS, "here")
    texts = [(root / "policies" / f"{name}.yaml").read_text(encoding="utf-8") for name in ("helmet", "mask")]
    assert vocabulary.words is not None
    assert vocabulary.words - set(words_of(" ".join(texts))) == set()


def test_pieces_of_longer_words_are_neither_known_nor_unknown() -> None:
    vocabulary = read_learned_words(WEIGHTS, "here")
    assert vocabulary.words is not None
    assert {"helmet", "mask", "vest", "visibility"} <= vocabulary.words
    assert {"light", "met", "ear"} <= vocabulary.unclear
    assert vocabulary.unknown("a disposable hair net, Ohrenschützer, ") == ["disposable", "net", "ohrenschützer"]


def test_a_model_of_another_origin_takes_any_words(tmp_path: Path) -> None:
    assert read_learned_words(tmp_path, "here") == Vocabulary()


@pytest.mark.parametrize(
    "content", [None, b"", b"[]", b"{}", b'{"model": {"vocab": [1], "merges": []}}', b"[" * 100_000]
)
def test_a_missing_or_damaged_tokenizer_is_an_error(tmp_path: Path, content: bytes | None) -> None:
    shutil.copy(WEIGHTS / ATTRIBUTES, tmp_path)
    (tmp_path / TOKENIZER).parent.mkdir()
    if content is not None:
        (tmp_path / TOKENIZER).write_bytes(content)
    with pytest.raises(ModelError, match=r"here: .*tokenizer\.json: .*expected the tokenizer that make bundled wrote"):
        read_learned_words(tmp_path, "here")


def test_merges_may_be_written_as_pairs_or_as_text(tmp_path: Path) -> None:
    shutil.copy(WEIGHTS / ATTRIBUTES, tmp_path)
    (tmp_path / TOKENIZER).parent.mkdir()
    values = json.loads((WEIGHTS / TOKENIZER).read_bytes())
    values["model"]["merges"] = [" ".join(pair) for pair in values["model"]["merges"]]
    (tmp_path / TOKENIZER).write_text(json.dumps(values), encoding="utf-8")
    assert read_learned_words(tmp_path, "here") == read_learned_words(WEIGHTS, "here")
