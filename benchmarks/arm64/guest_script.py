"""Runs on the ARM side: loads one artifact in its own runtime, and runs inference or repeats it to be counted.

Imports nothing of Gossamer, only NumPy and the runtime, because it runs inside the lab's unpacked root.

    guest.py versions                              prints the runtimes' versions as JSON, between a pair of marks
    guest.py predict FORMAT MODEL FRAMES OUT       writes probabilities, float32 (n, labels), to OUT
    guest.py count FORMAT MODEL FRAMES TIMES       runs the first frame TIMES times, each between a pair of marks

FRAMES is an .npy file, RGB, uint8 (n, height, width, 3). A mark is an advice to the kernel (posix_fadvise) on FRAMES at
an offset that no other program uses. It has no effect, and the plug-in that counts recognises it among system calls.
"""

from __future__ import annotations

import gc
import json
import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MARK = 0x676F7373616D6572  # "gossamer"
START, STOP = 1, 2
WARM_UP = 2  # runtimes pack weights and grow their arenas while they run the first frames
INPUT, OUTPUT = "image", "probs"
_FADVISE_NORMAL = 0


class LoadedModel:
    """An artifact in its runtime; three steps, so that only the second is counted.

    Attributes:
        set_input: Copies a frame, uint8 (height, width, 3), into the runtime.
        invoke: Runs inference.
        get_output: Returns the probabilities, float32 (labels,).
    """

    set_input: Callable[[NDArray[np.uint8]], Any]
    invoke: Callable[[], Any]
    get_output: Callable[[], Any]


class LiteRt(LoadedModel):
    """A .tflite file on one thread with the default delegate (XNNPACK), as in an app."""

    def __init__(self, path: str) -> None:
        from ai_edge_litert.interpreter import Interpreter

        interpreter = Interpreter(model_path=path, num_threads=1)
        interpreter.allocate_tensors()
        frame, output = (details[0]["index"] for details in (interpreter.get_input_details(), _outputs(interpreter)))
        self.set_input = lambda pixels: interpreter.set_tensor(frame, pixels[None])
        self.invoke = interpreter.invoke
        self.get_output = lambda: interpreter.get_tensor(output)[0]


class OnnxRuntime(LoadedModel):
    """An .onnx or .ort file on one thread."""

    def __init__(self, path: str) -> None:
        import numpy as np
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads, options.log_severity_level = 1, 1, 4
        with open(path, "rb") as file:  # noqa: PTH123 - importing pathlib takes a while under emulation
            session = onnxruntime.InferenceSession(file.read(), options, providers=["CPUExecutionProvider"])
        binding = session.io_binding()
        binding.bind_output(OUTPUT)
        self.set_input = lambda pixels: binding.bind_cpu_input(INPUT, np.ascontiguousarray(pixels[None]))
        self.invoke = lambda: session.run_with_iobinding(binding)
        self.get_output = lambda: binding.copy_outputs_to_cpu()[0][0]


RUNTIMES: dict[str, type[LiteRt | OnnxRuntime]] = {"tflite": LiteRt, "onnx": OnnxRuntime}


def predict(model: LoadedModel, frames: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Run frames one by one: uint8 (n, height, width, 3) -> float32 (n, labels)."""
    import numpy as np

    rows = []
    for frame in frames:
        model.set_input(frame)
        model.invoke()
        rows.append(np.array(model.get_output(), np.float32))
    return np.stack(rows)


def count(model: LoadedModel, frame: NDArray[np.uint8], times: int, marked: int) -> None:
    """Run one frame ``times`` times after a warm-up; ``marked`` is the descriptor of the file that marks refer to."""
    gc.disable()  # a collection would be counted
    for run in range(WARM_UP + times):
        model.set_input(frame)
        if run < WARM_UP:
            model.invoke()
        else:
            mark(marked, START)
            model.invoke()
            mark(marked, STOP)


def mark(marked: int, which: int) -> None:
    """Make a mark (see the module); ``which`` is ``START`` or ``STOP``."""
    os.posix_fadvise(marked, MARK, which, _FADVISE_NORMAL)


def main(arguments: Sequence[str]) -> int:
    """Run the task that the arguments name (see the module)."""
    if arguments[0] == "versions":
        return _versions()
    import numpy as np

    task, name, path, frames, last = arguments
    pixels, model = np.load(frames), RUNTIMES[name](path)
    if task == "predict":
        np.save(last, predict(model, pixels))
        return 0
    marked = os.open(frames, os.O_RDONLY)
    count(model, pixels[0], int(last), marked)
    os.close(marked)
    return 0


def _versions() -> int:
    marked = os.open(__file__, os.O_RDONLY)
    mark(marked, START)
    import ai_edge_litert.interpreter
    import numpy as np
    import onnxruntime

    mark(marked, STOP)
    os.close(marked)
    modules = {"ai-edge-litert": ai_edge_litert, "numpy": np, "onnxruntime": onnxruntime}
    versions = {name: module.__version__ for name, module in modules.items()}
    sys.stdout.write(json.dumps(versions) + "\n")
    return 0


def _outputs(interpreter: Any) -> Any:  # noqa: ANN401 - the runtime is untyped
    return interpreter.get_output_details()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
