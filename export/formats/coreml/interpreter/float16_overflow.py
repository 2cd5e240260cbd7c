"""Finds the first op of a program whose output overflows float16.

A half holds at most 65,504. Hardware that computes in halves gives infinity above that and NaN soon after, which no
check of weights or types reveals.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch

from export.formats.coreml.interpreter.program import Program
from pipeline.data.preprocess import Pixels


@dataclass(frozen=True, slots=True)
class Overflow:
    """The first overflow.

    Attributes:
        frame: Index of the frame.
        kind: Kind of the op, e.g. "conv".
        output: Name of the op's output.
        magnitude: Largest absolute value of that output in float32; NaN if that is not a number either.
    """

    frame: int
    kind: str
    output: str
    magnitude: float


def find_overflow(program: Program, frames: Iterable[Pixels]) -> Overflow | None:
    """Run frames, uint8 (height, width, 3) RGB, until a value is not a finite half; None if all are."""
    for number, frame in enumerate(frames):
        exact = program.trace(frame, "float32")
        for (step, value), (_, plain) in zip(program.trace(frame, "declared"), exact, strict=True):
            if not torch.isfinite(value).all():
                return Overflow(number, step.kind, step.output, float(plain.abs().max()))
    return None
