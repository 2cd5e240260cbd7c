"""Figures as metrics/measure.json stores them: finite numbers, counts, and estimates with their intervals.

In memory a figure with its interval is one ``Estimate``. On disk it is three keys, NAME, NAME_low and NAME_high, so
that other programs find plain numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, get_args

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from pipeline.data.records import Record

Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
"""A finite number; neither text nor true or false counts as one."""
Count = Annotated[int, Field(strict=True, ge=0)]


class Estimate(Record):
    """A figure with the ends of its confidence interval (two-sided, at ``Measurement.confidence``)."""

    value: Number
    low: Number
    high: Number


class FlatRecord(Record):
    """A record that stores each ``Estimate`` as three keys: NAME, NAME_low and NAME_high."""

    @classmethod
    def estimates(cls) -> Iterator[str]:
        """Names of the fields that hold an ``Estimate``."""
        for name, field in cls.model_fields.items():
            if Estimate in (field.annotation, *get_args(field.annotation)):
                yield name

    @model_validator(mode="before")
    @classmethod
    def _nest(cls, data: object) -> object:
        if not isinstance(data, Mapping):
            return data
        nested = dict(data)
        for name in cls.estimates():
            if not isinstance(nested.get(name), Estimate):
                keys = {"value": name, "low": f"{name}_low", "high": f"{name}_high"}
                parts = {part: nested.pop(key) for part, key in keys.items() if key in nested}
                if parts:
                    nested[name] = None if all(part is None for part in parts.values()) else parts
        return nested

    @model_serializer(mode="wrap")
    def _flatten(self, handler: SerializerFunctionWrapHandler) -> dict[str, object]:
        flat: dict[str, object] = {}
        names = set(self.estimates())
        for name, value in handler(self).items():
            if name in names:
                parts = value or dict.fromkeys(Estimate.model_fields)
                flat |= {name: parts["value"], f"{name}_low": parts["low"], f"{name}_high": parts["high"]}
            else:
                flat[name] = value
        return flat
