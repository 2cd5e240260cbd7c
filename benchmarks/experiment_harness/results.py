"""Result of an experiment: a record that is stored in benchmarks/results/ with how it was produced."""

from __future__ import annotations

from typing import ClassVar

from pydantic import SerializerFunctionWrapHandler, model_serializer

from benchmarks.evaluation.conditions import Conditions
from benchmarks.evaluation.estimates import FlatRecord
from benchmarks.experiment_harness.environment import Machine


class ResultRecord(FlatRecord):
    """A result or a part of one.

    On disk, each ``Estimate`` is three keys (NAME, NAME_low and NAME_high), and the entries of the mapping named by
    ``INLINE`` stand among the record's own keys. Fields that were not set are left out.
    """

    INLINE: ClassVar[str] = ""

    @model_serializer(mode="wrap")
    def _inline(self, handler: SerializerFunctionWrapHandler) -> dict[str, object]:
        values = self._flatten(handler)
        inlined = values.pop(self.INLINE, None) if self.INLINE else None
        return {**values, **inlined} if isinstance(inlined, dict) else values


class Provenance(ResultRecord):
    """How a result was produced.

    Attributes:
        date: Day it was written, e.g. "2026-11-28", in UTC.
        command: The command line.
        params: Params of the experiment.
        conditions: Policy, params.yaml and weights it was run with; None where there is no params.yaml.
        versions: Package -> version.
        machine: The machine that ran it.
    """

    date: str
    command: str
    params: dict[str, object]
    conditions: Conditions | None
    versions: dict[str, str]
    machine: Machine
