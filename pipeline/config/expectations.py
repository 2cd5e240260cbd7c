"""Words the problems that pydantic finds in a file that a person wrote: what was found, and what to write instead.

A person writes YAML, so a message says "list" and "section", not "tuple" and "dictionary", and knows what YAML makes of
``no`` and ``2024`` where text was meant.
"""

from __future__ import annotations

import datetime as dt
import difflib
import re
from collections.abc import Callable, Mapping
from typing import Any

from pydantic_core import ErrorDetails

from pipeline.errors import shown

KEY = "[key]"
"""Last part of the location of a problem with a key."""
LIST, SECTION = "expected a list: write [A, B], or - A on a line of its own", "expected a section: write KEY: VALUE"
PATTERNS: Mapping[str, str] = {
    r"^[a-z][a-z0-9_]*$": "small letters, digits and _, beginning with a letter",
    r"^[A-Za-z0-9_-]+$": "letters, digits, _ and -",
    r"^[^\x00-\x08\x0b-\x1f\x7f-\x9f]*$": "text without control characters",
}
"""Regular expressions of params and policies, in words."""
BOOLEANS = "YAML reads yes, no, on and off as true or false: put the word in quotes"
NO_NUMBER = "expected a number; YAML reads yes, no, on and off as true or false"
_QUOTES = "put it in quotes"


def found(problem: ErrorDetails) -> str:
    """Word the value that was found."""
    return yaml_text(problem["input"])


def yaml_text(value: object) -> str:
    """Word a value, true, false, null and dates as YAML writes them."""
    if isinstance(value, dt.date):
        return value.isoformat()
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else shown(value)


def expectation(problem: ErrorDetails) -> str:
    """Word what was expected in place of the value that was found."""
    word = _WORDS.get(problem["type"])
    if word is not None:
        return word(problem)
    return str(problem["msg"]).replace("Input should be", "expected").replace("Value error, ", "")


def _text(problem: ErrorDetails) -> str:
    value = problem["input"]
    if isinstance(value, bool):
        return f'expected text; {BOOLEANS}, e.g. "{"yes" if value else "no"}"'
    if value is None or isinstance(value, int | float | dt.date):
        return f'expected text; {_QUOTES}, e.g. "{yaml_text(value)}"'
    return "expected text"


def _pattern(problem: ErrorDetails) -> str:
    pattern = problem["ctx"]["pattern"]
    return f"expected {PATTERNS.get(pattern, f'text that matches {pattern}')}"


def _choice(problem: ErrorDetails) -> str:
    expected = str(problem["ctx"]["expected"])
    alike = difflib.get_close_matches(str(problem["input"])[:100], re.findall(r"'([^']*)'", expected), n=1)
    quote = f"; {BOOLEANS}" if isinstance(problem["input"], bool) else ""
    return f"expected {expected}" + (f"; did you mean {alike[0]!r}?" if alike else "") + quote


def _length(bound: str, key: str) -> Callable[[ErrorDetails], str]:
    def word(problem: ErrorDetails) -> str:
        size: Any = problem["ctx"][key]
        return f"expected a list of at {bound} {size}"

    return word


def _characters(bound: str, key: str) -> Callable[[ErrorDetails], str]:
    def word(problem: ErrorDetails) -> str:
        return f"expected text of at {bound} {problem['ctx'][key]} characters"

    return word


_WORDS: Mapping[str, Callable[[ErrorDetails], str]] = {
    "missing": lambda _: "missing; expected a value",
    "string_type": _text,
    "string_pattern_mismatch": _pattern,
    "string_too_long": _characters("most", "max_length"),
    "string_too_short": _characters("least", "min_length"),
    "literal_error": _choice,
    "too_long": _length("most", "max_length"),
    "too_short": _length("least", "min_length"),
    "path_type": _text,
    **dict.fromkeys(("tuple_type", "list_type", "set_type", "frozen_set_type", "iterable_type"), lambda _: LIST),
    **dict.fromkeys(("dict_type", "mapping_type", "model_type", "model_attributes_type"), lambda _: SECTION),
}
