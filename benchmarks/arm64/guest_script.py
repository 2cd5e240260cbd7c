"""What runs on the ARM side: loads one artifact in its own runtime, and answers frames or repeats one to be counted.

Stands alone: it needs NumPy and the runtime, nothing of Gossamer's, because it runs inside the lab's unpacked root.

    guest.py versions                              prints the runtimes' versions as JSON, between a pair of marks
    guest.py answers FORMAT MODEL FRAMES OUT       writes float32 (n, labels) to OUT
    guest.py count FORMAT MODEL FRAMES TIMES       runs the first frame TIMES times, each between a pair of marks

FRAMES is an .npy file, uint8 (n, height, width, 3) RGB. A mark is a hint to the kernel about FRAMES at an offset that
nobody else would name: it changes nothing, and whoever watches system calls sees it.
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


class Loaded:
    """An artifact in its runtime: ``place`` a frame, ``go``, ``take`` the answer.

    Three steps, so that only the second is counted.
    """

    place: Callable[[NDArray[np.uint8]], Any]
    go: Callable[[], Any]
    take: Callable[[], Any]


class LiteRt(Loaded):
    """A .tflite file, one thread, the default delegate (XNNPACK), as in an app."""

    def __init__(self, path: str) -> None:
        from ai_edge_litert.interpreter import Interpreter

        interpreter = Interpreter(model_path=path, num_threads=1)
        interpreter.allocate_tensors()
        frame, answer = (details[0]["index"] for details in (interpreter.get_input_details(), _outputs(interpreter)))
        self.place = lambda pixels: interpreter.set_tensor(frame, pixels[None])
        self.go = interpreter.invoke
        self.take = lambda: interpreter.get_tensor(answer)[0]


class OnnxRuntime(Loaded):
    """An .onnx or .ort file, one thread."""

    def __init__(self, path: str) -> None:
        import numpy as np
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads, options.log_severity_level = 1, 1, 4
        with open(path, "rb") as file:  # noqa: PTH123 - pathlib alone takes a while where every instruction is emulated
            session = onnxruntime.InferenceSession(file.read(), options, providers=["CPUExecutionProvider"])
        binding = session.io_binding()
        binding.bind_output(OUTPUT)
        self.place = lambda pixels: binding.bind_cpu_input(INPUT, np.ascontiguousarray(pixels[None]))
        self.go = lambda: session.run_with_iobinding(binding)
        self.take = lambda: binding.copy_outputs_to_cpu()[0][0]


RUNTIMES: dict[str, type[LiteRt | OnnxRuntime]] = {"tflite": LiteRt, "onnx": OnnxRuntime}


def answer(loaded: Loaded, frames: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Answer frames one by one: uint8 (n, height, width, 3) -> float32 (n, labels)."""
    import numpy as np

    rows = []
    for frame in frames:
        loaded.place(frame)
        loaded.go()
        rows.append(np.array(loaded.take(), np.float32))
    return np.stack(rows)


def count(loaded: Loaded, frame: NDArray[np.uint8], times: int, watched: int) -> None:
    """Run one frame so often, after a warm-up; ``watched`` is an open file that marks are made on."""
    gc.disable()  # or a collection is counted now and then
    for run in range(WARM_UP + times):
        loaded.place(frame)
        if run < WARM_UP:
            loaded.go()
        else:
            mark(watched, START)
            loaded.go()
            mark(watched, STOP)


def mark(watched: int, which: int) -> None:
    """Make a mark: an empty hint to the kernel that a watcher of system calls recognises."""
    os.posix_fadvise(watched, MARK, which, _FADVISE_NORMAL)


def main(arguments: Sequence[str]) -> int:
    """Do what the arguments say (see the module)."""
    if arguments[0] == "versions":
        return _versions()
    import numpy as np

    task, name, model, frames, last = arguments
    pixels, loaded = np.load(frames), RUNTIMES[name](model)
    if task == "answers":
        np.save(last, answer(loaded, pixels))
        return 0
    watched = os.open(frames, os.O_RDONLY)
    count(loaded, pixels[0], int(last), watched)
    os.close(watched)
    return 0


def _versions() -> int:
    watched = os.open(__file__, os.O_RDONLY)
    mark(watched, START)
    import ai_edge_litert.interpreter
    import numpy as np
    import onnxruntime

    mark(watched, STOP)
    os.close(watched)
    modules = {"ai-edge-litert": ai_edge_litert, "numpy": np, "onnxruntime": onnxruntime}
    versions = {name: module.__version__ for name, module in modules.items()}
    sys.stdout.write(json.dumps(versions) + "\n")
    return 0


def _outputs(interpreter: Any) -> Any:  # noqa: ANN401 - the runtime has no types
    return interpreter.get_output_details()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
