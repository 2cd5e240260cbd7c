"""From pixels to input tensor: fitting, normalisation, and PNG."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from pipeline.data.decoding.decode import decode
from pipeline.data.preprocess import PreprocessSpec, encode_png, fit, normalise

PIXELS = np.random.default_rng(3).integers(0, 256, (40, 30, 3), np.uint8)


def test_png_keeps_every_pixel_and_the_same_pixels_give_the_same_bytes() -> None:
    np.testing.assert_array_equal(decode(encode_png(PIXELS)), PIXELS)
    assert encode_png(PIXELS) == encode_png(PIXELS.copy())


def test_an_image_of_the_input_size_is_returned_unchanged() -> None:
    assert fit(PIXELS, PreprocessSpec(input_size=(40, 30))) is PIXELS


def test_cropping_fills_the_input_and_cuts_the_overhang_evenly() -> None:
    wide = np.zeros((20, 60, 3), np.uint8)
    wide[:, 20:40] = 200
    cut = fit(wide, PreprocessSpec(input_size=(20, 20)))
    assert cut.shape == (20, 20, 3)
    assert cut.min() == 200


def test_padding_keeps_the_whole_image_between_black_bars() -> None:
    padded = fit(np.full((20, 60, 3), 200, np.uint8), PreprocessSpec(input_size=(30, 30), fit="pad"))
    assert padded[14:16].min() == 200
    assert padded[:9].max() == padded[21:].max() == 0


def test_shrinking_averages_instead_of_skipping_pixels() -> None:
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 200
    shrunk = fit(stripes, PreprocessSpec(input_size=(16, 16)))
    assert np.abs(shrunk.astype(int) - 100).max() < 12


def test_normalise_centres_each_channel() -> None:
    spec = PreprocessSpec(input_size=(2, 1), mean=(0.0, 0.5, 1.0), std=(1.0, 0.5, 0.25))
    batch = np.array([[[[0, 0, 0]], [[255, 255, 255]]]], np.uint8)
    tensor = normalise(batch, spec)
    assert tensor.shape == (1, 3, 2, 1)
    assert tensor.dtype == np.float32
    np.testing.assert_allclose(tensor[0, :, :, 0], [[0, 1], [-1, 1], [-4, 0]])


def test_a_spec_is_equal_after_a_round_trip_through_json_and_refuses_unknown_keys() -> None:
    spec = PreprocessSpec(input_size=(128, 96), fit="pad", mean=(0.1, 0.2, 0.3))
    assert PreprocessSpec.model_validate_json(spec.model_dump_json()) == spec
    with pytest.raises(ValidationError, match="colour"):
        PreprocessSpec.model_validate({"input_size": (1, 1), "colour": "BGR"})
    with pytest.raises(ValidationError, match="colour_order"):
        PreprocessSpec.model_validate({"input_size": (1, 1), "colour_order": "BGR"})
