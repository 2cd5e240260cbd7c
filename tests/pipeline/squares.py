"""A task a tiny network learns in seconds: a bright square in the upper half of the picture, or in the lower."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipeline.data.preprocess import Pixels, encode_png
from pipeline.data.records import Image
from pipeline.data.shards import Encoded, shard_name, write_index, write_shard

LABELS = ("low", "high")
SIZE = (48, 32)


def draw_square(label: str, seed: int) -> Pixels:
    """Draw one picture: uint8 (48, 32, 3)."""
    stream = np.random.default_rng(seed)
    pixels = stream.integers(0, 90, (*SIZE, 3), np.uint8)
    top = int(stream.integers(0, 10)) + (0 if label == "high" else 26)
    left = int(stream.integers(0, 20))
    pixels[top : top + 12, left : left + 12] = stream.integers(170, 256, 3)
    return pixels


def write_squares(folder: Path, labels: Sequence[str], seed: int = 0) -> list[Image]:
    """Write one picture for each of these labels into two shards and an index; returns the rows."""
    encoded = [
        Encoded(f"{seed}-{n}", f"g{n}", label, {"n": str(n)}, encode_png(draw_square(label, 1000 * seed + n)), 32, 48)
        for n, label in enumerate(labels)
    ]
    half = len(encoded) // 2
    rows = [*write_shard(folder, shard_name(0), encoded[:half]), *write_shard(folder, shard_name(1), encoded[half:])]
    write_index(folder, rows)
    return rows
