"""Runs an .onnx or .ort file inside the ARM lab: ONNX Runtime on one thread.

Imports nothing of Gossamer's: the lab has NumPy and ONNX Runtime only (``export.formats.Arm64Guest``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def open_model(path: str) -> tuple[Callable[[Any], Any], Callable[[], Any], Callable[[], Any]]:
    """Open a model.

    Returns:
        set_input(frame), which copies a frame, uint8 (height, width, 3) RGB, into the runtime; invoke(), which runs
        inference; get_output(), which returns the probabilities, float32 (labels,).
    """
    import numpy as np
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads, options.log_severity_level = 1, 1, 4
    with open(path, "rb") as file:  # noqa: PTH123 - importing pathlib is slow where every instruction is emulated
        session = onnxruntime.InferenceSession(file.read(), options, providers=["CPUExecutionProvider"])
    frame, probabilities = session.get_inputs()[0].name, session.get_outputs()[0].name
    binding = session.io_binding()
    binding.bind_output(probabilities)
    return (
        lambda pixels: binding.bind_cpu_input(frame, np.ascontiguousarray(pixels[None])),
        lambda: session.run_with_iobinding(binding),
        lambda: binding.copy_outputs_to_cpu()[0][0],
    )


def versions() -> dict[str, str]:
    """Import the runtime and return its version by distribution."""
    import onnxruntime

    return {"onnxruntime": onnxruntime.__version__}
