"""Words that a small text-to-image model learned, read from its tokenizer.

``make bundled`` trains the tokenizer on the captions of the training set until every word is one token
(``pipeline.bundled_diffusion.networks.text_encoder``). Byte-pair encoding (Sennrich et al., ACL 2016) builds a word
from its end pieces, so a token that ends a word and is part of no longer one is a whole word; a token that is part of a
longer one may be a word as well ("light", in "daylight") or never have been one ("met", in "helmet").

Large models learned from captions of the web, and read rare words in pieces: there, any words are taken. A model folder
of ``make bundled`` is known by its attribute network, which lies beside the parts of the pipeline.
"""

from __future__ import annotations

import json
from pathlib import Path

from pipeline.config.vocabulary import Vocabulary
from pipeline.errors import ModelError, cut

ATTRIBUTES, TOKENIZER = "attributes.safetensors", Path("tokenizer", "tokenizer.json")
_END = "</w>"


def read_learned_words(folder: Path, place: str) -> Vocabulary:
    """Read the words that a model learned.

    Args:
        folder: Folder of the model.
        place: Path of the model in params.yaml, for messages.

    Raises:
        ModelError: The tokenizer is missing or damaged.
    """
    if not (folder / ATTRIBUTES).is_file():
        return Vocabulary()
    try:
        model = json.loads((folder / TOKENIZER).read_bytes())["model"]
        words = {token.removesuffix(_END) for token in model["vocab"] if token.endswith(_END)}
        pairs = [pair.split(" ") if isinstance(pair, str) else pair for pair in model["merges"]]
        ends = {end.removesuffix(_END) for _, end in pairs}
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise ModelError(
            f"{place}: {folder / TOKENIZER}: {cut(str(error))}; expected the tokenizer that make bundled wrote; "
            "restore it, or choose another preset"
        ) from error
    unclear = {word for word in words if word in ends or len(word) == 1}
    return Vocabulary(words=words - unclear, unclear=unclear)
