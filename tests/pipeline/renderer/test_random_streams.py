from __future__ import annotations

import numpy as np
import pytest

from pipeline.renderer.random_streams import chance, pick, random_side, stream, stream_seed


def test_a_stream_is_the_same_every_time() -> None:
    assert stream(7, "hair").uniform(size=5).tolist() == stream(7, "hair").uniform(size=5).tolist()


@pytest.mark.parametrize(("seed", "part"), [(8, "hair"), (7, "pose"), (-7, "hair"), (7 + 2**64, "hair")])
def test_another_seed_or_part_is_another_stream(seed: int, part: str) -> None:
    assert stream(seed, part).uniform() != stream(7, "hair").uniform()


def test_a_part_name_with_digits_and_slash_does_not_collide_with_another_seed() -> None:
    assert stream_seed(1, "1/a") != stream_seed(11, "/a")


def test_streams_do_not_touch_the_global_generator() -> None:
    before = np.random.get_state()[1].copy()  # noqa: NPY002 - the global state is what is looked at
    stream(3, "place").normal(size=100)
    assert np.array_equal(before, np.random.get_state()[1])  # noqa: NPY002


def test_pick_reaches_every_choice() -> None:
    rng = stream(1, "test")
    assert {pick(rng, "abc") for _ in range(60)} == set("abc")


def test_chance_keeps_its_probability() -> None:
    rng = stream(1, "test")
    assert 0.25 < np.mean([chance(rng, 0.3) for _ in range(2000)]) < 0.35


def test_chance_is_certain_at_its_ends() -> None:
    rng = stream(2, "test")
    assert not any(chance(rng, 0.0) for _ in range(50))
    assert all(chance(rng, 1.0) for _ in range(50))


def test_random_side_gives_both_sides() -> None:
    rng = stream(4, "test")
    assert {random_side(rng) for _ in range(40)} == {-1.0, 1.0}


def test_stream_seeds_of_neighbouring_seeds_are_spread_evenly() -> None:
    counts = np.bincount([stream_seed(seed, "choice/light") % 5 for seed in range(2000)], minlength=5)
    assert counts.min() > 330
    assert counts.max() < 470
