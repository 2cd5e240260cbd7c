"""Distances between sets of features, and the share of copies."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.experiments.bundled_diffusion.image_distance import copied_share, kernel_distance, nearest_distances


def cloud(count: int, shift: float, seed: int) -> np.ndarray:
    return (np.random.default_rng(seed).standard_normal((count, 8)) + shift).astype(np.float32)


def test_the_kernel_distance_is_near_zero_for_equal_distributions_and_grows_with_a_shift() -> None:
    assert abs(kernel_distance(cloud(600, 0, 1), cloud(500, 0, 2))) < 0.05
    near, far = (kernel_distance(cloud(600, 0, 1), cloud(500, shift, 2)) for shift in (0.3, 0.8))
    assert 0.05 < near < far


def test_the_kernel_distance_equals_the_unbiased_estimate_computed_by_hand() -> None:
    first, second = cloud(3, 0, 1), cloud(4, 1, 2)

    def kernel(x: np.ndarray, y: np.ndarray) -> float:
        return float((x @ y / 8 + 1) ** 3)

    own = np.mean([kernel(x, y) for i, x in enumerate(first) for j, y in enumerate(first) if i != j])
    other = np.mean([kernel(x, y) for i, x in enumerate(second) for j, y in enumerate(second) if i != j])
    across = np.mean([kernel(x, y) for x in first for y in second])
    assert kernel_distance(first, second) == pytest.approx(own + other - 2 * across, rel=1e-4)


def test_the_nearest_reference_is_found_across_chunks() -> None:
    references = cloud(20, 0, 3)
    distances = nearest_distances(np.concatenate([references[[7]], references[[3]] + 1]), references, chunk=1)
    assert distances[0] == pytest.approx(0, abs=1e-2)
    assert distances[1] == pytest.approx(min(np.linalg.norm(references - (references[3] + 1), axis=1)), rel=1e-4)


def test_copies_are_detected_and_new_pictures_are_not() -> None:
    references, real = cloud(400, 0, 1), nearest_distances(cloud(400, 0, 2), cloud(400, 0, 1))
    assert copied_share(nearest_distances(references, references), real) == 1
    assert copied_share(nearest_distances(cloud(400, 0, 3), references), real) < 0.05
