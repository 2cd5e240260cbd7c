"""Result of an experiment: a record that is stored in benchmarks/results/ with how it was produced."""

from __future__ import annotations

from typing import ClassVar

from pydantic import SerializerFunctionWrapHandler, model_serializer

from benchmarks.evaluation.measurement import FlatRecord
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
        command: The command line.
        params: Params of the experiment.
        versions: Package -> version.
        machine: The machine that ran it.
    """

    command: str
    params: dict[str, object]
    versions: dict[str, str]
    machine: Machine
