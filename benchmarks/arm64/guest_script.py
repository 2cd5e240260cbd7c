"""Runs on the ARM side: loads one artifact in its own runtime, and runs inference or repeats it to be counted.

Imports nothing of Gossamer, only NumPy and the runtime, because it runs inside the lab's unpacked root.

    guest.py versions RUNTIME...                   prints the runtimes' versions as JSON, between a pair of marks
    guest.py predict RUNTIME MODEL FRAMES OUT      writes probabilities, float32 (n, labels), to OUT
    guest.py count RUNTIME MODEL FRAMES TIMES      runs the first frame TIMES times, each between a pair of marks

RUNTIME is the script of a format (``export.formats.Arm64Guest``). FRAMES is an .npy file, RGB, uint8 (n, height, width,
3). A mark is an advice to the kernel (posix_fadvise) on FRAMES at an offset that no other program uses. It has no
effect, and the plug-in that counts recognises it among system calls.
"""

from __future__ import annotations

import gc
import importlib.util
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

    def __init__(self, runtime: str, path: str) -> None:
        self.set_input, self.invoke, self.get_output = import_script(runtime).open_model(path)


def import_script(path: str) -> Any:  # noqa: ANN401 - a module
    """Import a Python file that is in no package."""
    spec = importlib.util.spec_from_file_location("runtime", path)
    if spec is None or spec.loader is None:
        raise ImportError(path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


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
        return _versions(arguments[1:])
    import numpy as np

    task, runtime, path, frames, last = arguments
    pixels, model = np.load(frames), LoadedModel(runtime, path)
    if task == "predict":
        np.save(last, predict(model, pixels))
        return 0
    marked = os.open(frames, os.O_RDONLY)
    count(model, pixels[0], int(last), marked)
    os.close(marked)
    return 0


def _versions(runtimes: Sequence[str]) -> int:
    marked = os.open(__file__, os.O_RDONLY)
    mark(marked, START)
    import numpy as np

    versions = {"numpy": np.__version__}
    for runtime in runtimes:
        versions |= import_script(runtime).versions()
    mark(marked, STOP)
    os.close(marked)
    sys.stdout.write(json.dumps(versions) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
