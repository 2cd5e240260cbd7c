from __future__ import annotations

import pytest

from pipeline.engines.local import run_jobs


def square(number: int) -> int:
    if number < 0:
        raise ValueError(f"negative: {number}")
    return number * number


@pytest.mark.parametrize("workers", [1, 2])
def test_every_job_is_done_once(workers: int) -> None:
    assert sorted(run_jobs(square, list(range(6)), workers)) == [0, 1, 4, 9, 16, 25]


@pytest.mark.parametrize("workers", [1, 2])
def test_what_a_job_raises_arrives(workers: int) -> None:
    with pytest.raises(ValueError, match="negative: -1"):
        list(run_jobs(square, [-1, 2, 3], workers))
