"""A network while it learns: steps of AdamW, the moving average that is kept, and how well that average does.

Convolutions on a few CPU cores gain little from threads inside an operation, and lose much when another process holds a
core. So a batch is split into parts of at most ``PART`` pictures, each worked off on one thread by its own twin of the
network: twins share parameters and have batch statistics of their own ("ghost" batches, arXiv 1705.08741). Gradients
are added in the order of the parts, so the result is the same for any number of threads.
"""

from __future__ import annotations

import copy
import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from pipeline.config.params import TrainParams
from pipeline.data.preprocess import PreprocessSpec
from pipeline.machine.devices import choose_device
from pipeline.metrics.classification import accuracy, decide
from pipeline.train.model import PortableClassifier

PART = 32
EVALUATED = 64

Tensors = dict[str, torch.Tensor]
Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Part:
    """Pictures a twin works off at once: uint8 (n, height, width, 3) RGB, and their label indices int64 (n,)."""

    pixels: NDArray[np.uint8]
    targets: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Score:
    """How well the averaged weights do on the validation rows; ordered by accuracy, ties by the lower loss."""

    accuracy: float
    loss: float

    def beats(self, other: Score) -> bool:
        """Whether this score is better."""
        return (self.accuracy, -self.loss) > (other.accuracy, -other.loss)


class Learner:
    """A network, its twins, its optimiser and its moving average.

    Args:
        network: A fresh or pretrained classifier; moved to the device.
        spec: How pixels become its input.
        params: Learning rate, decay, smoothing, device.
        pool: Works off parts; each of its threads runs torch on one thread.
    """

    def __init__(self, network: nn.Module, spec: PreprocessSpec, params: TrainParams, pool: Executor) -> None:
        self.device = torch.device(choose_device(params.device, "train"))
        self.params = params
        self._pool = pool
        # Depthwise convolutions run twice as fast on a CPU when channels lie innermost.
        classifier = PortableClassifier(network, spec).to(self.device).to(memory_format=torch.channels_last)
        parts = len(split_batch(params.batch_size, self.device))
        self._twins = [classifier.train(), *(_twin(classifier) for _ in range(parts - 1))]
        self._parameters = list(classifier.parameters())
        self._average: PortableClassifier = copy.deepcopy(classifier).eval()
        self._optimiser = torch.optim.AdamW(
            _groups(self._parameters, params.weight_decay), lr=params.learning_rate, fused=self.device.type != "mps"
        )
        self._steps = 0

    @property
    def average(self) -> nn.Module:
        """The network with averaged weights: what is evaluated and kept."""
        return self._average.network

    def step(self, parts: Sequence[Part], learning_rate: float) -> float:
        """Descend once on a batch; returns its mean loss."""
        total = sum(len(part.targets) for part in parts)
        twins = self._twins[: len(parts)]
        shares = [len(part.targets) / total for part in parts]
        work = map if len(parts) == 1 else self._pool.map
        loss = sum(work(self._differentiate, twins, parts, shares))
        _add_gradients(twins)
        for group in self._optimiser.param_groups:
            group["lr"] = learning_rate
        self._optimiser.step()
        self._steps += 1
        _merge_statistics(twins)
        self._move_average()
        return loss

    def evaluate(self, read: Callable[[Indices], NDArray[np.uint8]], targets: NDArray[np.int64]) -> Score:
        """Score the averaged weights.

        Args:
            read: Row indices -> pixels, uint8 (n, height, width, 3) RGB.
            targets: Label index of every row, int64 (rows,).
        """
        logits = self._answer(read, len(targets))
        loss = float(functional.cross_entropy(logits, torch.from_numpy(targets)))
        return Score(accuracy(decide(logits.softmax(1).numpy()), targets), loss)

    def probabilities(self, read: Callable[[Indices], NDArray[np.uint8]], count: int) -> NDArray[np.float64]:
        """Let the averaged weights answer the first ``count`` rows: float64 (count, labels)."""
        return self._answer(read, count).softmax(1).numpy()

    def tensors(self) -> Tensors:
        """Return everything the next step depends on, by name."""
        state = {f"network.{name}": tensor for name, tensor in self._twins[0].network.state_dict().items()}
        state |= {f"average.{name}": tensor for name, tensor in self.average.state_dict().items()}
        for index, parameter in enumerate(self._parameters):
            for name, tensor in self._optimiser.state[parameter].items():
                state[f"optimiser.{index}.{name}"] = tensor
        return state | {"steps": torch.tensor(self._steps)}

    def restore(self, tensors: Tensors) -> None:
        """Go on from what ``tensors`` returned."""
        for twin in self._twins:
            twin.network.load_state_dict(_under("network.", tensors))
        self.average.load_state_dict(_under("average.", tensors))
        for index, parameter in enumerate(self._parameters):
            for name, tensor in _under(f"optimiser.{index}.", tensors).items():
                # In the parameter's own memory layout: the fused optimiser reads both as one flat run.
                like = torch.zeros_like(parameter if tensor.dim() else tensor)
                self._optimiser.state[parameter][name] = like.copy_(tensor)
        self._steps = int(tensors["steps"])

    def _differentiate(self, twin: PortableClassifier, part: Part, share: float) -> float:
        twin.zero_grad()
        logits = twin.logits(torch.from_numpy(part.pixels).to(self.device))
        targets = torch.from_numpy(part.targets).to(self.device)
        loss = share * functional.cross_entropy(logits, targets, label_smoothing=self.params.label_smoothing)
        loss.backward()  # type: ignore[no-untyped-call]
        return float(loss.detach())

    def _answer(self, read: Callable[[Indices], NDArray[np.uint8]], count: int) -> torch.Tensor:
        rows = np.arange(count)
        chunks = [rows[low : low + EVALUATED] for low in range(0, count, EVALUATED)]
        return torch.cat(list(self._pool.map(lambda chunk: self._logits(read(chunk)), chunks))).double()

    def _logits(self, pixels: NDArray[np.uint8]) -> torch.Tensor:
        with torch.inference_mode():
            logits: torch.Tensor = self._average.logits(torch.from_numpy(pixels).to(self.device))
        return logits.cpu()

    def _move_average(self) -> None:
        # The first steps' weights are nobody's friend: the average starts short and grows to its full length.
        decay = min(self.params.ema_decay, (1 + self._steps) / (10 + self._steps))
        with torch.no_grad():
            for mean, now in zip(_state(self._average), _state(self._twins[0]), strict=True):
                if mean.is_floating_point():
                    mean.lerp_(now, 1 - decay)
                else:
                    mean.copy_(now)


@contextmanager
def reproducible_pool(params: TrainParams) -> Iterator[Executor]:
    """Open the thread pool with torch on one thread in each and deterministic kernels only; put torch back after."""
    threads, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    warn = torch.is_deterministic_algorithms_warn_only_enabled()
    deterministic: Any = torch.utils.deterministic
    fill = deterministic.fill_uninitialized_memory
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_num_threads(1)
    # Some GPU kernels have no deterministic twin: there torch says so once and goes on.
    torch.use_deterministic_algorithms(True, warn_only=choose_device(params.device, "train") != "cpu")
    deterministic.fill_uninitialized_memory = False  # a net for bugs, at a quarter of the speed
    try:
        with ThreadPoolExecutor(params.threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            yield pool
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(strict, warn_only=warn)
        deterministic.fill_uninitialized_memory = fill


def split_batch(size: int, device: torch.device) -> list[slice]:
    """Split a batch into parts: nearly equal ones of at most ``PART`` on a CPU, one elsewhere."""
    count = math.ceil(size / PART) if device.type == "cpu" else 1
    edges = [size * part // count for part in range(count + 1)]
    return [slice(low, high) for low, high in pairwise(edges)]


def _twin(classifier: PortableClassifier) -> PortableClassifier:
    twin = copy.deepcopy(classifier)
    for own, shared in zip(twin.parameters(), classifier.parameters(), strict=True):
        own.data = shared.data
    return twin


def _groups(parameters: Iterable[nn.Parameter], weight_decay: float) -> list[dict[str, object]]:
    """Decay weights alone: scales and biases (one dimension) are kept free."""
    kept = list(parameters)
    return [
        {"params": [parameter for parameter in kept if parameter.dim() > 1], "weight_decay": weight_decay},
        {"params": [parameter for parameter in kept if parameter.dim() <= 1], "weight_decay": 0.0},
    ]


def _add_gradients(twins: Sequence[nn.Module]) -> None:
    """Add the twins' gradients to the first one's, in order: floating-point sums depend on it."""
    for parameter, *others in zip(*(twin.parameters() for twin in twins), strict=True):
        for other in others:
            if parameter.grad is not None and other.grad is not None:
                parameter.grad.add_(other.grad)


def _merge_statistics(twins: Sequence[nn.Module]) -> None:
    """Give every twin the mean of their running statistics."""
    with torch.no_grad():
        for buffers in zip(*(twin.buffers() for twin in twins), strict=True):
            if buffers[0].is_floating_point():
                buffers[0].copy_(torch.stack(buffers).mean(0))
            for buffer in buffers[1:]:
                buffer.copy_(buffers[0])


def _state(module: nn.Module) -> Iterator[torch.Tensor]:
    yield from module.parameters()
    yield from module.buffers()


def _under(prefix: str, tensors: Tensors) -> Tensors:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
