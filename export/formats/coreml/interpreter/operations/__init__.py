"""The MIL ops, on float32 torch tensors, as coremltools' reference defines them; one file per family.

Arguments are passed by their MIL names: activations as tensors, constants as arrays, strings or lists
(https://apple.github.io/coremltools/source/coremltools.converters.mil.mil.ops.defs.html). Integers and truth values
are held as floats. A mode that is not implemented raises ``UnmeasurableError``.
"""

from __future__ import annotations

from export.formats.coreml.interpreter.operations import (
    elementwise,
    layout,
    matrices,
    quantised_values,
    reductions,
    resizing,
    windows,
)
from export.formats.coreml.interpreter.operations.arguments import Operation

OPERATIONS: dict[str, Operation] = {
    **elementwise.OPERATIONS,
    **layout.OPERATIONS,
    **matrices.OPERATIONS,
    **quantised_values.OPERATIONS,
    **reductions.OPERATIONS,
    **resizing.OPERATIONS,
    **windows.OPERATIONS,
}
