"""Perceptual hashes: stable under compression and scaling, different for other images."""

from __future__ import annotations

import io

import numpy as np
import PIL.Image

from pipeline.config.params import load_params
from pipeline.data.decoding.decode import decode
from pipeline.data.perceptual_hash import differing_share, fingerprint, near_pairs
from pipeline.data.preprocess import Pixels
from pipeline.renderer import render

CURATE = load_params().curate


def portrait(seed: int, **factors: str) -> Pixels:
    return render(factors, seed, (96, 128))


def as_jpeg(pixels: Pixels, quality: int) -> Pixels:
    buffer = io.BytesIO()
    PIL.Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    return decode(buffer.getvalue())


def test_compression_and_scaling_change_few_bits_of_a_hash() -> None:
    pixels = portrait(5, light="day")
    smaller = np.asarray(PIL.Image.fromarray(pixels).resize((72, 96)))
    hashes = np.stack([fingerprint(copy) for copy in (as_jpeg(pixels, 40), smaller)])
    assert differing_share(fingerprint(pixels), hashes).max() < CURATE.near_duplicate
    other = fingerprint(portrait(6, light="day"))
    assert differing_share(fingerprint(pixels), other[None])[0] > 0.2


def test_near_pairs_are_yielded_once_and_in_order() -> None:
    hashes = np.array([[0, 0, 0], [1, 0, 0], [2**63, 2**40 - 1, 0], [1, 0, 0]], np.uint64)
    assert list(near_pairs(hashes, hashes, 0.01)) == [(0, 1, 1 / 144), (0, 3, 1 / 144), (1, 3, 0.0)]
    assert list(near_pairs(hashes, hashes, 0.0)) == []
