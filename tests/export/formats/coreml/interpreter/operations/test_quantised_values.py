"""Compressed weights and rounding to integers, compared with values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from export.formats.coreml.interpreter.operations import OPERATIONS
from pipeline.errors import UnmeasurableError


def run(kind: str, **arguments: object) -> torch.Tensor:
    return OPERATIONS[kind](arguments)


X = torch.linspace(-8, 8, 2 * 4 * 6 * 5).reshape(2, 4, 6, 5)


def test_affine_weights_have_one_scale_and_zero_point_per_channel() -> None:
    stored = np.array([[10, 20], [30, -40]], np.int8)
    given = {"quantized_data": stored, "scale": np.array([0.5, 2.0]), "zero_point": np.array([0, 10]), "axis": 0}
    assert run("constexpr_affine_dequantize", **given).tolist() == [[5.0, 10.0], [40.0, -100.0]]


def test_blockwise_weights_have_one_scale_per_block() -> None:
    stored = np.arange(8, dtype=np.int8).reshape(2, 4)
    given = {"data": stored, "scale": np.array([[1.0, 10.0], [2.0, 20.0]])}
    assert run("constexpr_blockwise_shift_scale", **given).tolist() == [[0, 1, 20, 30], [8, 10, 120, 140]]


def test_weights_of_a_palette_are_decoded_from_packed_indices_and_their_shape() -> None:
    palette = np.linspace(-1, 1, 64).astype(np.float16)
    indices = np.random.default_rng(0).integers(0, 64, 10)
    bits = (indices[:, None] >> np.arange(6)) & 1
    packed = np.packbits(bits.reshape(-1).astype(np.uint8), bitorder="little")
    given = {"indices": packed, "lut": palette, "shape": np.array([2, 5, 1, 1])}
    expected = palette[indices].astype(np.float32).reshape(2, 5, 1, 1)
    np.testing.assert_array_equal(run("constexpr_lut_to_dense", **given), expected)


def test_each_block_has_its_own_palette() -> None:
    palettes = np.arange(8, dtype=np.float16).reshape(2, 1, 4, 1)
    indices = np.array([[0, 3], [1, 2], [0, 3], [2, 2]], np.uint8)
    weights = run("constexpr_lut_to_dense", indices=indices, lut=palettes)
    assert weights.tolist() == [[0, 3], [1, 2], [4, 7], [6, 6]]
    with pytest.raises(UnmeasurableError, match="vectors of 2"):
        run("constexpr_lut_to_dense", indices=indices, lut=np.zeros((1, 1, 4, 2)))


def test_quantize_rounds_half_to_even_and_clips_to_its_type() -> None:
    given = torch.tensor([-300.0, -1.25, 0.25, 0.75, 1.25, 300.0])
    stored = run("quantize", input=given, scale=np.float16(0.5), zero_point=np.int8(3), output_dtype="int8")
    assert stored.tolist() == [-128, 1, 3, 5, 5, 127]
    assert run("quantize", input=given, scale=np.float16(0.5), output_dtype="uint8").tolist() == [0, 0, 0, 2, 2, 255]


def test_dequantize_inverts_quantize_within_half_a_step() -> None:
    scale, zero = np.array([0.1, 0.2, 0.3, 0.4], np.float32), np.array([-3, 0, 5, 2], np.int8)
    scaling = {"scale": scale, "zero_point": zero, "axis": 1}
    stored = run("quantize", input=X, output_dtype="int8", **scaling)
    error = (run("dequantize", input=stored, **scaling) - X).abs().amax(dim=(0, 2, 3)).numpy()
    assert (error <= scale / 2 + 1e-6).all()
    assert (error > scale / 4).all()


def test_quantize_to_four_bits_is_refused() -> None:
    with pytest.raises(UnmeasurableError, match="quantize to int4; expected int8 or uint8"):
        run("quantize", input=X, scale=np.float16(1), output_dtype="int4")
