"""Runs a .tflite file inside the ARM lab: LiteRT on one thread with its default delegate (XNNPACK), as in an app.

Imports nothing of Gossamer's: the lab has NumPy and LiteRT only (``export.formats.Arm64Guest``).
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
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=path, num_threads=1)
    interpreter.allocate_tensors()
    frame = interpreter.get_input_details()[0]["index"]
    probabilities = interpreter.get_output_details()[0]["index"]
    return (
        lambda pixels: interpreter.set_tensor(frame, pixels[None]),
        interpreter.invoke,
        lambda: interpreter.get_tensor(probabilities)[0],
    )


def versions() -> dict[str, str]:
    """Import the runtime and return its version by distribution."""
    import ai_edge_litert.interpreter

    return {"ai-edge-litert": ai_edge_litert.__version__}
