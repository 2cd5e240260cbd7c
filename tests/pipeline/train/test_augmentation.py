"""Phone-camera augmentation: each distortion affects its share of images, within its range."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.train import augmentation
from pipeline.train.augmentation import Ranges

SIZE = (64, 48)


def rng(seed: int = 1) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.fixture
def pixels() -> NDArray[np.uint8]:
    return rng(9).integers(0, 256, (6, *SIZE, 3), np.uint8)


def planes(count: int, value: float) -> NDArray[np.float32]:
    return np.full((count, 3, *SIZE), value, np.float32)


def only(monkeypatch: pytest.MonkeyPatch, **ranges: float) -> None:
    """Switch off rotation, zoom and shift, except those given."""
    still = dataclasses.replace(Ranges(), rotation_degrees=0.0, zoom=0.0, shift=0.0)
    monkeypatch.setattr(augmentation, "RANGES", dataclasses.replace(still, **ranges))  # type: ignore[arg-type]


def test_equal_generators_give_equal_pixels(pixels: NDArray[np.uint8]) -> None:
    first, again = augmentation.augment(pixels, rng(), 0.8), augmentation.augment(pixels, rng(), 0.8)
    np.testing.assert_array_equal(first, again)
    assert np.mean(first != augmentation.augment(pixels, rng(2), 0.8)) > 0.5


def test_the_shape_is_kept_and_the_input_is_not_changed(pixels: NDArray[np.uint8]) -> None:
    before = pixels.copy()
    for count in (1, 6):
        distorted = augmentation.augment(pixels[:count], rng(), 1.0)
        assert distorted.shape == (count, *SIZE, 3)
        assert distorted.dtype == np.uint8
    np.testing.assert_array_equal(pixels, before)


def test_strength_0_changes_nothing(pixels: NDArray[np.uint8]) -> None:
    same = augmentation.augment(pixels, rng(), 0.0)
    np.testing.assert_array_equal(same, pixels)
    assert same is not pixels


def test_more_strength_changes_more() -> None:
    smooth = np.broadcast_to(np.linspace(40, 200, SIZE[0])[:, None, None], (24, *SIZE, 3)).astype(np.uint8)
    change = [
        np.abs(augmentation.augment(smooth, rng(), strength).astype(float) - smooth).mean()
        for strength in (0.1, 0.5, 1.0)
    ]
    assert change[0] < change[1] < change[2]


def test_half_of_the_images_are_mirrored(monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch)
    pixels = np.zeros((200, *SIZE, 3), np.uint8)
    pixels[:, :, :10] = 200
    moved = augmentation.move(pixels, rng(), 1.0)
    left, right = moved[:, 0, :, :10].mean((1, 2)), moved[:, 0, :, -10:].mean((1, 2))
    np.testing.assert_allclose(np.maximum(left, right), 200, atol=1e-2)
    np.testing.assert_allclose(np.minimum(left, right), 0, atol=1e-2)
    assert 75 <= np.sum(right > left) <= 125


def test_a_rotated_square_keeps_its_area_and_equal_sides(monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, rotation_degrees=25.0)
    pixels = np.zeros((40, *SIZE, 3), np.uint8)
    pixels[:, 24:40, 16:32] = 255
    moved = augmentation.move(pixels, rng(), 1.0)[:, 0]
    np.testing.assert_allclose(moved.sum((1, 2)) / 255, 256, rtol=0.02)
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    spread_y = (moved * (y - 31.5) ** 2).sum((1, 2)) / moved.sum((1, 2))
    spread_x = (moved * (x - 23.5) ** 2).sum((1, 2)) / moved.sum((1, 2))
    np.testing.assert_allclose(spread_y, spread_x, rtol=0.03)
    assert np.abs(moved - pixels[:, :, :, 0]).mean(axis=(1, 2)).max() > 2


def test_a_shift_stays_within_its_range(monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, shift=0.1)
    pixels = np.zeros((60, *SIZE, 3), np.uint8)
    pixels[:, 28:36, 20:28] = 255
    moved = augmentation.move(pixels, rng(), 1.0)[:, 0]
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    down = (moved * y).sum((1, 2)) / moved.sum((1, 2)) - 31.5
    aside = (moved * x).sum((1, 2)) / moved.sum((1, 2)) - 23.5
    assert 4 < np.abs(down).max() <= 6.4 + 1e-3
    assert 3 < np.abs(aside).max() <= 4.8 + 1e-3


def test_a_cover_hides_a_small_part_of_some_images() -> None:
    covered = planes(400, -1)
    augmentation.cover(covered, rng(), 1.0)
    hidden = (covered[:, 0] != -1).mean((1, 2))
    assert abs(np.mean(hidden > 0) - Ranges().cover_share) < 0.08
    assert 0 < hidden.max() <= Ranges().cover_side ** 2


def test_blur_softens_edges_and_keeps_the_mean() -> None:
    edges = planes(60, 50)
    edges[:, :, :, 24:] = 200
    soft = edges.copy()
    augmentation.blur(soft, rng(), 1.0)
    touched = np.abs(soft - edges).max((1, 2, 3)) > 1e-3
    assert 0.2 < touched.mean() < 0.6
    assert np.abs(np.diff(soft[touched], axis=3)).max((1, 2, 3)).min() < 149
    np.testing.assert_allclose(soft.mean((1, 2, 3)), 125, rtol=0.05)


def test_sharpening_steepens_edges_of_its_share_and_leaves_plain_areas_unchanged() -> None:
    edges = planes(200, 50)
    edges[:, :, :, 24:] = 200
    before = edges.copy()
    augmentation.sharpen(edges, rng(), 1.0)
    np.testing.assert_array_equal(edges[..., :20], before[..., :20])
    steps = (edges[..., 24] - edges[..., 23])[:, 0, 30]
    assert steps.min() == 150
    assert abs(np.mean(steps > 150) - Ranges().sharpen_share) < 0.1
    assert 150 * (1 + Ranges().sharpen_amount / 2) < steps.max() <= 150 * (1 + Ranges().sharpen_amount * 2 / 3) + 1e-2


def test_shot_noise_grows_with_the_value_and_read_noise_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    def spread(value: float, **ranges: float) -> float:
        kept = dataclasses.replace(Ranges(), noise_share=1.0, **ranges)  # type: ignore[arg-type]
        monkeypatch.setattr(augmentation, "RANGES", kept)
        noisy = planes(40, value)
        augmentation.add_noise(noisy, rng(), 1.0)
        return float(noisy.std())

    assert spread(200, read_noise=0.0) > 1.8 * spread(50, read_noise=0.0) > 0
    assert spread(200, shot_noise=0.0) == pytest.approx(spread(50, shot_noise=0.0), rel=1e-3)
    assert spread(200, shot_noise=0.0) > 0


def test_images_of_a_batch_have_independent_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(augmentation, "RANGES", dataclasses.replace(Ranges(), noise_share=1.0))
    noisy = planes(8, 128)
    augmentation.add_noise(noisy, rng(), 1.0)
    correlation = np.corrcoef(noisy.reshape(8, -1) - 128) - np.eye(8)
    assert np.abs(correlation).max() < 0.1


def test_exposure_is_monotonic_and_differs_between_images() -> None:
    ramp = np.broadcast_to(np.linspace(0, 255, SIZE[0], dtype=np.float32)[:, None], (30, 3, *SIZE)).copy()
    developed = augmentation.develop(ramp, rng(), 1.0).astype(int)
    assert (np.diff(developed, axis=1) >= 0).all()
    middle = developed[:, SIZE[0] // 2].mean((1, 2))
    assert middle.min() < 100
    assert middle.max() > 150
    tint = np.ptp(developed[:, SIZE[0] // 2].mean(1), axis=1)
    assert tint.max() > 10


def test_values_beyond_the_sensor_are_clipped_not_wrapped() -> None:
    hot = planes(4, 400)
    hot[:, :, :32] = -90
    developed = augmentation.develop(hot, rng(), 0.01)
    assert developed[:, 40:].min() > 200
    assert developed[:, :20].max() < 50


def test_jpeg_changes_its_share_of_images_and_little_of_each() -> None:
    smooth = np.broadcast_to(np.linspace(40, 200, SIZE[0])[:, None, None], (100, *SIZE, 3)).astype(np.uint8)
    sent = smooth.copy()
    augmentation.compress(sent, rng(), 1.0)
    touched = (sent != smooth).any((1, 2, 3))
    assert abs(touched.mean() - Ranges().jpeg_share) < 0.15
    assert np.abs(sent.astype(int) - smooth).mean() < 4
