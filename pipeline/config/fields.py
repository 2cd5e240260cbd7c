"""Building blocks of params.yaml, policies and benchmark params: frozen sections, checked value types, error messages.

Reads only the file names of plug-ins and writes nothing. ``pipeline.config.params`` composes params.yaml of sections;
plug-ins and benchmarks declare their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self, TypeVar, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, model_validator
from pydantic_core import ErrorDetails, PydanticCustomError

from pipeline.config.expectations import BOOLEANS, KEY, NO_NUMBER, expectation, found, yaml_text
from pipeline.errors import ParamsError, cut, shown
from pipeline.machine import plugins

ROOT = Path(__file__).parents[2]

Positive = Annotated[int, Field(gt=0)]
Natural = Annotated[int, Field(ge=0)]
Side = Annotated[int, Field(ge=16)]  # width or height of an image, in pixels
Share = Annotated[float, Field(ge=0, le=1)]
Margin = Annotated[float, Field(gt=0, lt=1)]
Growth = Annotated[float, Field(ge=0, allow_inf_nan=False)]  # relative: 0.1 is 10 % more
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Rgb = tuple[float, float, float]
Threads = Annotated[int, Field(gt=0, le=256)]  # or processes
T = TypeVar("T", bound=BaseModel)
MAX_PROBLEMS = 30
"""Most problems that one message lists."""
NOT_A_SECTION = frozenset(
    {"string_type", "tuple_type", "list_type", "int_type", "float_type", "bool_type", "path_type"}
)
"""Problems of a section that stands where another kind of value is expected."""


def _ordered(part: tuple[float, float]) -> tuple[float, float]:
    if not 0 <= part[0] < part[1] <= 1:
        raise ValueError("expected [low, high] with 0 <= low < high <= 1")
    return part


def _positive(std: Rgb) -> Rgb:
    if min(std) <= 0:
        raise ValueError("expected three numbers above 0")
    return std


def no_boolean(value: object) -> object:
    """Refuse true and false where a number is expected; pydantic would take them for 1 and 0."""
    if isinstance(value, bool):
        raise ValueError(NO_NUMBER)  # noqa: TRY004 - for pydantic
    return value


Part = Annotated[tuple[float, float], AfterValidator(_ordered)]  # of a folder of photographs: [low, high]
Std = Annotated[Rgb, AfterValidator(_positive)]


@cache
def note_renamed(old: str, new: str, key: str) -> str:
    """Print on stderr, once, that a value of params.yaml has a new name; returns that name."""
    from rich.console import Console

    note = f"params.yaml {key}: {old!r}; renamed to {new!r}: change it, the next release refuses {old!r}"
    Console(stderr=True, soft_wrap=True, highlight=False).print(note)
    return new


def accept_renamed(old: str, new: str) -> AfterValidator:
    """Make a validator that accepts a value's former name for one more release, with a note that gives the new one."""

    def rename(value: str, info: ValidationInfo) -> str:
        return note_renamed(old, new, str(info.field_name)) if value == old else value

    return AfterValidator(rename)


class Section(BaseModel):
    """A frozen section that refuses unknown keys.

    Attributes:
        RENAMED: Keys of earlier versions -> the keys that replace them. A file that still uses an old key is refused
            with an error that names the new one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    RENAMED: ClassVar[Mapping[str, str]] = {}

    @model_validator(mode="before")
    @classmethod
    def _check_keys(cls, raw: object) -> object:
        keys = [key for key in raw if key not in cls.model_fields] if isinstance(raw, dict) else []
        renamed = {key: cls.RENAMED[key] for key in keys if key in cls.RENAMED}
        free = cls.model_config.get("extra") == "allow"
        known = tuple(cls.model_fields)
        unknown = {key: plugins.expected(known, str(key)) for key in keys if not free and key not in renamed}
        numbers = [key for key in cls.model_fields if isinstance(raw, dict) and isinstance(raw.get(key), bool)]
        booleans = [key for key in numbers if _is_number(cls.model_fields[key].annotation)]
        if renamed or unknown or booleans:
            problems = {"renamed": renamed, "unknown": unknown, "booleans": booleans}
            raise PydanticCustomError("keys", "wrong keys", problems)
        return raw


def _is_number(annotation: object) -> bool:
    """Whether a field takes numbers, perhaps beside null or text, but not true and false."""
    kinds = {annotation, *get_args(annotation)}
    return bool(kinds & {int, float}) and bool not in kinds


class PlugInSection(Section):
    """A section with one free-form subsection per plug-in, which the plug-in validates itself.

    Attributes:
        plug_ins: Package of the plug-ins, as a dotted name: each gives its name to its subsection.
    """

    model_config = ConfigDict(frozen=True, extra="allow")
    plug_ins: ClassVar[str]

    @model_validator(mode="after")
    def _only_plug_ins(self) -> Self:
        names = plugins.names(self.plug_ins)
        known = (*type(self).model_fields, *names)
        for name, value in (self.model_extra or {}).items():
            if name not in names:
                raise ValueError(f"{name}: no such key; {plugins.expected(known, name)}")
            if not isinstance(value, dict):
                raise ValueError(f"{name}: {shown(value)}; expected a section of its own")  # noqa: TRY004 - for pydantic
        return self

    def section(self, name: str) -> dict[str, Any]:
        """Raw values of one plug-in's subsection; empty if the file has none."""
        return dict((self.model_extra or {}).get(name, {}))


def load_section(kind: type[T], raw: dict[str, Any], place: str) -> T:
    """Validate a plug-in's subsection against the plug-in's model; ``place`` is its path in the file.

    Raises:
        ParamsError: A key or value is wrong; the message names every problem.
    """
    try:
        return kind.model_validate(raw)
    except ValidationError as error:
        raise ParamsError(explain("params.yaml", error, place)) from error


def explain(file: str, error: ValidationError, place: str = "") -> str:
    """Describe every validation problem on a line of its own: file, key, value found, value expected.

    Args:
        file: Where the values were written: a file name, or ``--set``.
        error: Problems that pydantic found.
        place: Path of the section that was validated, e.g. ``convert.formats.onnx``; empty for the whole file.
    """
    lines = [f"{file} {line}" for problem in error.errors(include_url=False) for line in _explain_one(problem, place)]
    return join_problems(lines)


def join_problems(lines: Sequence[str]) -> str:
    """Join problems, a line each: the first ``MAX_PROBLEMS``, and how many there are beside them."""
    more = [f"and {len(lines) - MAX_PROBLEMS:,} more problems"] if len(lines) > MAX_PROBLEMS else []
    return "\n".join([*lines[:MAX_PROBLEMS], *more])


def _explain_one(problem: ErrorDetails, place: str) -> list[str]:
    parts = [cut(str(part), 60) for part in problem["loc"]]
    where = ".".join([*filter(None, [place]), *parts])
    if problem["type"] == "keys":
        return list(_explain_keys(f"{where}." if where else "", problem["input"], problem["ctx"]))
    message = expectation(problem)
    if parts and parts[-1] == KEY:
        section = ".".join([*filter(None, [place]), *parts[:-2]])
        return [f"{section}: the key {found(problem)}; {message}"]
    if problem["type"] == "missing" and isinstance(problem["input"], list | tuple):
        entry = ".".join([*filter(None, [place]), *parts[:-1]])
        return [f"{entry}: {found(problem)}; entry {int(parts[-1]) + 1} is missing"]
    if isinstance(problem["input"], dict) and problem["type"] not in NOT_A_SECTION:
        separator = "; " if problem["type"] == "missing" else "."  # its own message gives the key within it
        return [f"{where}{separator}{message}" if where else message]
    return [f"{where}: {found(problem)}; {message}" if where else f"{found(problem)}; {message}"]


def _explain_keys(section: str, values: Mapping[str, object], problems: Mapping[str, Any]) -> Iterator[str]:
    described = {key: "a section" if isinstance(value, dict) else yaml_text(value) for key, value in values.items()}
    for key, new in problems["renamed"].items():
        yield f"{section}{key}: {described[key]}; renamed to {section}{new}"
    for key in problems["booleans"]:
        yield f"{section}{key}: {described[key]}; {NO_NUMBER}"
    for key, expected in problems["unknown"].items():
        quotes = f"; {BOOLEANS}" if isinstance(key, bool) else ""
        name = cut(key, 60) if isinstance(key, str) else yaml_text(key)
        yield f"{section}{name}: {described[key]}; no such key; {expected}{quotes}"
