"""Names the first op of a program whose halves overflow: what turns a phone's answers into NaN, and shows nowhere else.

A half holds no more than 65,504. Hardware that computes in halves gives infinity above it, and NaN soon after.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch

from export.formats.coreml.interpreter.program import Program
from pipeline.data.preprocess import Pixels


@dataclass(frozen=True, slots=True)
class Overflow:
    """Where it happens first.

    Attributes:
        frame: Number of the frame.
        kind: Of the op, e.g. "conv".
        output: Name of the value that it gives.
        magnitude: The greatest that the value would be in float32; NaN where even that is no number.
    """

    frame: int
    kind: str
    output: str
    magnitude: float


def find_overflow(program: Program, frames: Iterable[Pixels]) -> Overflow | None:
    """Run frames, uint8 (height, width, 3) RGB, until a value is no finite half; None where all are."""
    for number, frame in enumerate(frames):
        exact = program.trace(frame, "float32")
        for (step, value), (_, plain) in zip(program.trace(frame, "declared"), exact, strict=True):
            if not torch.isfinite(value).all():
                return Overflow(number, step.kind, step.output, float(plain.abs().max()))
    return None
