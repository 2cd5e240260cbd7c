"""Each MIL op, compared with torch or with values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from export.formats.coreml.interpreter.operations import OPERATIONS
from pipeline.errors import ModelError


def run(kind: str, **arguments: object) -> torch.Tensor:
    return OPERATIONS[kind](arguments)


X = torch.linspace(-8, 8, 2 * 4 * 6 * 5).reshape(2, 4, 6, 5)


def test_thresholded_relu_keeps_values_from_the_threshold_on() -> None:
    assert run("thresholded_relu", x=torch.tensor([-4.0, -3.0, 2.0]), alpha=-3.0).tolist() == [0.0, -3.0, 2.0]


def test_core_mls_form_of_hard_swish_equals_torchs() -> None:
    gate = run("sigmoid_hard", x=X, alpha=1 / 6, beta=0.5)
    torch.testing.assert_close(run("mul", x=X, y=gate), functional.hardswish(X))


def test_sigmoid_and_silu_equal_torchs() -> None:
    torch.testing.assert_close(run("sigmoid", x=X), torch.sigmoid(X))
    torch.testing.assert_close(run("silu", x=X), functional.silu(X))


def test_pad_takes_axes_from_the_first_to_the_last() -> None:
    padded = run("pad", x=X, pad=np.array([0, 0, 0, 0, 1, 2, 3, 4]), constant_val=np.float16(7), mode="constant")
    assert padded.shape == (2, 4, 9, 12)
    assert torch.equal(padded[:, :, 1:-2, 3:-4], X)
    assert float(padded[0, 0, 0, 0]) == 7


def test_pad_by_reflection_is_refused() -> None:
    with pytest.raises(ModelError, match="pad with mode reflect"):
        run("pad", x=X, pad=np.zeros(8), mode="reflect")


@pytest.mark.parametrize("groups", [1, 4])
def test_conv_pads_each_side_by_its_own_number(groups: int) -> None:
    weight = np.random.default_rng(0).normal(size=(8, 4 // groups, 3, 3)).astype(np.float32)
    given = {"pad_type": "custom", "pad": np.array([0, 1, 2, 0]), "strides": np.array([2, 1]), "groups": groups}
    padded = functional.pad(X, (2, 0, 0, 1))
    expected = functional.conv2d(padded, torch.from_numpy(weight), stride=(2, 1), groups=groups)
    torch.testing.assert_close(run("conv", x=X, weight=weight, **given), expected)


@pytest.mark.parametrize(("size", "stride"), [(6, 2), (7, 2), (7, 1), (5, 3)])
def test_same_padding_covers_the_input_and_puts_an_odd_pixel_at_the_end(size: int, stride: int) -> None:
    x = torch.arange(size * size, dtype=torch.float32).reshape(1, 1, size, size)
    given = {"pad_type": "same", "strides": np.array([stride, stride])}
    result = run("conv", x=x, weight=np.ones((1, 1, 3, 3), np.float32), **given)
    assert result.shape[-1] == -(-size // stride)
    total = max(0, (result.shape[-1] - 1) * stride + 3 - size)
    before, after = total // 2, total - total // 2
    expected = functional.conv2d(
        functional.pad(x, (before, after, before, after)), torch.ones(1, 1, 3, 3), stride=stride
    )
    torch.testing.assert_close(result, expected)


def test_conv_with_an_unknown_padding_is_refused() -> None:
    with pytest.raises(ModelError, match="pad_type same_lower"):
        run("conv", x=X, weight=np.ones((1, 4, 1, 1)), pad_type="same_lower")


def test_reduce_mean_keeps_dimensions_only_on_request() -> None:
    assert run("reduce_mean", x=X, axes=np.array([-2, -1]), keep_dims=np.bool_(True)).shape == (2, 4, 1, 1)
    assert run("reduce_mean", x=X, axes=np.array([2, 3])).shape == (2, 4)


def test_linear_equals_torchs_with_and_without_a_bias() -> None:
    weight, bias = np.ones((3, 5), np.float32), np.array([1, 2, 3], np.float32)
    torch.testing.assert_close(run("linear", x=X, weight=weight), functional.linear(X, torch.ones(3, 5)))
    shifted = run("linear", x=X, weight=weight, bias=bias) - run("linear", x=X, weight=weight)
    torch.testing.assert_close(shifted, torch.tensor([1.0, 2.0, 3.0]).expand_as(shifted), atol=1e-5, rtol=0)


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
    with pytest.raises(ModelError, match="vectors of 2"):
        run("constexpr_lut_to_dense", indices=indices, lut=np.zeros((1, 1, 4, 2)))


def test_a_cast_to_integers_is_refused() -> None:
    assert run("cast", x=X, dtype="fp16") is X
    with pytest.raises(ModelError, match="cast to int32"):
        run("cast", x=X, dtype="int32")


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
    with pytest.raises(ModelError, match="quantize to int4; expected int8 or uint8"):
        run("quantize", input=X, scale=np.float16(1), output_dtype="int4")
