"""What sections of params.yaml and policies are made of: frozen models, checked value types, errors with their place.

Reads nothing and writes nothing; ``pipeline.config.params`` puts the sections together, plug-ins declare their own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar, Self, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from pipeline.errors import ParamsError

ROOT = Path(__file__).parents[2]

Positive = Annotated[int, Field(gt=0)]
Natural = Annotated[int, Field(ge=0)]
Side = Annotated[int, Field(ge=16)]
Share = Annotated[float, Field(ge=0, le=1)]
Margin = Annotated[float, Field(gt=0, lt=1)]
Growth = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Rgb = tuple[float, float, float]
Threads = Annotated[int, Field(gt=0, le=256)]
T = TypeVar("T", bound=BaseModel)


def _ordered(part: tuple[float, float]) -> tuple[float, float]:
    if not 0 <= part[0] < part[1] <= 1:
        raise ValueError("expected [low, high] with 0 <= low < high <= 1")
    return part


def _positive(std: Rgb) -> Rgb:
    if min(std) <= 0:
        raise ValueError("expected three numbers above 0")
    return std


Part = Annotated[tuple[float, float], AfterValidator(_ordered)]

Std = Annotated[Rgb, AfterValidator(_positive)]


class Section(BaseModel):
    """A frozen section; an unknown key is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class PlugInSection(Section):
    """A section with one free section a plug-in, named as the plug-in's file, which validates it itself."""

    model_config = ConfigDict(frozen=True, extra="allow")
    plug_ins: ClassVar[Path]

    @model_validator(mode="after")
    def _only_plug_ins(self) -> Self:
        names = sorted(path.stem for path in self.plug_ins.glob("[a-z]*.py"))
        for name, value in (self.model_extra or {}).items():
            if name not in names:
                raise ValueError(f"{name}: no such key; expected a value named above, or one of {', '.join(names)}")
            if not isinstance(value, dict):
                raise ValueError(f"{name}: {value!r}; expected a section of its own")  # noqa: TRY004 - for pydantic
        return self

    def section(self, name: str) -> dict[str, Any]:
        """The free section of one plug-in; empty where there is none."""
        return dict((self.model_extra or {}).get(name, {}))


def load_section(kind: type[T], raw: dict[str, Any], place: str) -> T:
    """Validate a plug-in's section against its own model; ``place`` is the section's name, e.g. ``convert.onnx``.

    Raises:
        ParamsError: A key or value of it is wrong.
    """
    try:
        return kind.model_validate(raw)
    except ValidationError as error:
        raise ParamsError(explain("params.yaml", error, place)) from error


def explain(file: str, error: ValidationError, place: str = "") -> str:
    """Say of each problem where it is, what was found and what was expected, a line each."""
    return "\n".join(f"{file} {_explain_one(problem, place)}" for problem in error.errors())


def _explain_one(problem: ErrorDetails, place: str) -> str:
    where = ".".join([*filter(None, [place]), *map(str, problem["loc"])])
    message = _expectation(problem["type"], problem["msg"])
    if isinstance(problem["input"], dict):  # a whole section: its own message says where in it
        separator = "; " if problem["type"] == "missing" else "."
        return f"{where}{separator}{message}" if where else message
    return f"{where}: {problem['input']!r}; {message}"


def _expectation(kind: str, message: str) -> str:
    if kind == "extra_forbidden":
        return "no such key; expected one of those in the params.yaml that came with Gossamer"
    if kind == "missing":
        return "missing; expected a value"
    return message.replace("Input should be", "expected").replace("Value error, ", "")
