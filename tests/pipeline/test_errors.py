"""Messages stay short and printable, whatever the value or the list that they are about."""

from __future__ import annotations

import pytest

from pipeline.errors import MAX_LISTED, MAX_SHOWN, cut, listed, shown


@pytest.mark.parametrize(
    "value",
    ["x" * 10**6, "\x1b[2J" * 1000, 1 << 10**6, [[[["x"] * 9] * 9] * 9] * 9, {f"k{n}": [n] * 99 for n in range(99)}],
    ids=["text", "control characters", "number", "nested lists", "section"],
)
def test_a_value_of_any_size_and_depth_is_shown_on_one_short_printable_line(value: object) -> None:
    assert len(shown(value)) <= MAX_SHOWN
    assert shown(value).isprintable()


def test_a_small_value_is_shown_as_it_is() -> None:
    assert [shown(value) for value in ("no", 6.5, [1, "a"], None)] == ["'no'", "6.5", "[1, 'a']", "None"]


def test_a_long_text_is_cut_and_stays_on_one_printable_line() -> None:
    assert cut("one\ntwo\x1b[2J   three") == "one two [2J three"
    assert len(cut("word " * 10_000, 50)) == 50


def test_a_long_list_is_cut_and_the_rest_is_counted() -> None:
    assert listed(["a", "b"]) == "a, b"
    assert listed([]) == "none"
    assert listed([str(n) for n in range(1000)]).endswith(f"{MAX_LISTED - 1} and {1000 - MAX_LISTED} more")
