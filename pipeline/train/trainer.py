"""Optimisation of a network: AdamW steps, an exponential moving average (EMA) of the weights, and its evaluation.

Convolutions on a few CPU cores gain little from threads within an operation, and lose much when another process uses a
core. So a batch is split into micro-batches of at most ``MICRO_BATCH`` images, and each runs on one thread, on its own
replica of the network: replicas share parameters and have their own batch statistics ("ghost" batches, arXiv
1705.08741). Gradients are added in the order of the micro-batches, so the number of threads does not change the result.
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
from pipeline.machine.memory_layout import lay_out
from pipeline.metrics.classification import accuracy, decide
from pipeline.train.model import PortableClassifier

MICRO_BATCH = 32
"""Most images in a micro-batch."""
EVALUATION_BATCH = 64

Tensors = dict[str, torch.Tensor]
Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class MicroBatch:
    """Images that one replica processes at once.

    Attributes:
        pixels: uint8 (n, height, width, 3) RGB at the input size.
        targets: Label indices, int64 (n,).
    """

    pixels: NDArray[np.uint8]
    targets: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Score:
    """Performance of the averaged weights on the validation rows.

    Attributes:
        accuracy: Share of rows whose most probable label is theirs, 0..1.
        loss: Mean cross-entropy, in nats.
    """

    accuracy: float
    loss: float

    def beats(self, other: Score) -> bool:
        """Whether this score is better: higher accuracy, or equal accuracy and lower loss."""
        return (self.accuracy, -self.loss) > (other.accuracy, -other.loss)


class Trainer:
    """A network in training, with its replicas, its optimiser and its moving average.

    Args:
        network: A new or pretrained classifier; moved to the device.
        spec: How pixels become its input.
        params: Learning rate, weight decay, EMA decay, label smoothing, batch size and device.
        pool: Runs micro-batches; each of its threads must run torch on one thread (``reproducible_pool``).
    """

    def __init__(self, network: nn.Module, spec: PreprocessSpec, params: TrainParams, pool: Executor) -> None:
        self.device = torch.device(choose_device(params.device, "train"))
        self.params = params
        self._pool = pool
        # Depthwise convolutions run twice as fast on a CPU if channels are the innermost dimension.
        classifier = lay_out(PortableClassifier(network, spec).to(self.device))
        count = len(split_batch(params.batch_size, self.device))
        self._replicas = [classifier.train(), *(_replicate(classifier) for _ in range(count - 1))]
        self._parameters = list(classifier.parameters())
        self._average: PortableClassifier = copy.deepcopy(classifier).eval()
        self._optimiser = torch.optim.AdamW(
            _groups(self._parameters, params.weight_decay), lr=params.learning_rate, fused=self.device.type != "mps"
        )
        self._steps = 0

    @property
    def average(self) -> nn.Module:
        """The network with averaged weights, which is evaluated and saved."""
        return self._average.network

    def step(self, batch: Sequence[MicroBatch], learning_rate: float) -> float:
        """Take one optimiser step on a batch, given as its micro-batches; returns the mean loss."""
        total = sum(len(micro_batch.targets) for micro_batch in batch)
        replicas = self._replicas[: len(batch)]
        shares = [len(micro_batch.targets) / total for micro_batch in batch]
        run = map if len(batch) == 1 else self._pool.map
        loss = sum(run(self._differentiate, replicas, batch, shares))
        _add_gradients(replicas)
        for group in self._optimiser.param_groups:
            group["lr"] = learning_rate
        self._optimiser.step()
        self._steps += 1
        _merge_statistics(replicas)
        self._move_average()
        return loss

    def evaluate(self, read: Callable[[Indices], NDArray[np.uint8]], targets: NDArray[np.int64]) -> Score:
        """Score the averaged weights.

        Args:
            read: Row indices, int64 (n,) -> pixels, uint8 (n, height, width, 3) RGB.
            targets: Label index of every row, int64 (rows,).
        """
        logits = self._predict(read, len(targets))
        loss = float(functional.cross_entropy(logits, torch.from_numpy(targets)))
        return Score(accuracy(decide(logits.softmax(1).numpy()), targets), loss)

    def probabilities(self, read: Callable[[Indices], NDArray[np.uint8]], count: int) -> NDArray[np.float64]:
        """Classify the first ``count`` rows with the averaged weights: float64 (count, labels), rows sum to one."""
        return self._predict(read, count).softmax(1).numpy()

    def tensors(self) -> Tensors:
        """Return all that the next step depends on, by name."""
        state = {f"network.{name}": tensor for name, tensor in self._replicas[0].network.state_dict().items()}
        state |= {f"average.{name}": tensor for name, tensor in self.average.state_dict().items()}
        for index, parameter in enumerate(self._parameters):
            for name, tensor in self._optimiser.state[parameter].items():
                state[f"optimiser.{index}.{name}"] = tensor
        return state | {"steps": torch.tensor(self._steps)}

    def restore(self, tensors: Tensors) -> None:
        """Set the state that ``tensors`` returned."""
        for replica in self._replicas:
            replica.network.load_state_dict(_under("network.", tensors))
        self.average.load_state_dict(_under("average.", tensors))
        for index, parameter in enumerate(self._parameters):
            for name, tensor in _under(f"optimiser.{index}.", tensors).items():
                # In the parameter's memory layout: the fused optimiser reads both as flat arrays.
                like = torch.zeros_like(parameter if tensor.dim() else tensor)
                self._optimiser.state[parameter][name] = like.copy_(tensor)
        self._steps = int(tensors["steps"])

    def _differentiate(self, replica: PortableClassifier, micro_batch: MicroBatch, share: float) -> float:
        replica.zero_grad()
        logits = replica.logits(torch.from_numpy(micro_batch.pixels).to(self.device))
        targets = torch.from_numpy(micro_batch.targets).to(self.device)
        loss = share * functional.cross_entropy(logits, targets, label_smoothing=self.params.label_smoothing)
        loss.backward()  # type: ignore[no-untyped-call]
        return float(loss.detach())

    def _predict(self, read: Callable[[Indices], NDArray[np.uint8]], count: int) -> torch.Tensor:
        """Compute logits of the first ``count`` rows with the averaged weights: float64 (count, labels)."""
        self._average.train()  # drops what some networks cache in eval mode: it follows from earlier weights
        self._average.eval()
        rows = np.arange(count)
        chunks = [rows[low : low + EVALUATION_BATCH] for low in range(0, count, EVALUATION_BATCH)]
        return torch.cat(list(self._pool.map(lambda chunk: self._logits(read(chunk)), chunks))).double()

    def _logits(self, pixels: NDArray[np.uint8]) -> torch.Tensor:
        with torch.inference_mode():
            logits: torch.Tensor = self._average.logits(torch.from_numpy(pixels).to(self.device))
        return logits.cpu()

    def _move_average(self) -> None:
        # EMA warm-up: early weights are poor, so the average starts with a short memory, which grows to ema_decay.
        decay = min(self.params.ema_decay, (1 + self._steps) / (10 + self._steps))
        with torch.no_grad():
            for mean, current in zip(_state(self._average), _state(self._replicas[0]), strict=True):
                if mean.is_floating_point():
                    mean.lerp_(current, 1 - decay)
                else:
                    mean.copy_(current)


@contextmanager
def reproducible_pool(params: TrainParams) -> Iterator[Executor]:
    """Open a pool of ``params.threads`` threads, each running torch on one thread, with deterministic kernels only.

    Restores torch's own settings afterwards.
    """
    threads, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    warn = torch.is_deterministic_algorithms_warn_only_enabled()
    deterministic: Any = torch.utils.deterministic
    fill = deterministic.fill_uninitialized_memory
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_num_threads(1)
    # Some GPU kernels have no deterministic version: there torch only warns.
    torch.use_deterministic_algorithms(True, warn_only=choose_device(params.device, "train") != "cpu")
    deterministic.fill_uninitialized_memory = False  # detects bugs, at a quarter of the speed
    try:
        with ThreadPoolExecutor(params.threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            yield pool
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(strict, warn_only=warn)
        deterministic.fill_uninitialized_memory = fill


def split_batch(size: int, device: torch.device) -> list[slice]:
    """Split a batch: nearly equal micro-batches of at most ``MICRO_BATCH`` images on a CPU, a single one elsewhere."""
    count = math.ceil(size / MICRO_BATCH) if device.type == "cpu" else 1
    edges = [size * number // count for number in range(count + 1)]
    return [slice(low, high) for low, high in pairwise(edges)]


def _replicate(classifier: PortableClassifier) -> PortableClassifier:
    """Copy a classifier; the copy shares its parameters and has its own buffers (batch statistics)."""
    replica = copy.deepcopy(classifier)
    for own, shared in zip(replica.parameters(), classifier.parameters(), strict=True):
        own.data = shared.data
    return replica


def _groups(parameters: Iterable[nn.Parameter], weight_decay: float) -> list[dict[str, object]]:
    """Apply weight decay to weights only, not to scales and biases, which have one dimension."""
    tensors = list(parameters)
    return [
        {"params": [tensor for tensor in tensors if tensor.dim() > 1], "weight_decay": weight_decay},
        {"params": [tensor for tensor in tensors if tensor.dim() <= 1], "weight_decay": 0.0},
    ]


def _add_gradients(replicas: Sequence[nn.Module]) -> None:
    """Add the replicas' gradients to those of the first, in order: floating-point sums depend on it."""
    for parameter, *others in zip(*(replica.parameters() for replica in replicas), strict=True):
        for other in others:
            if parameter.grad is not None and other.grad is not None:
                parameter.grad.add_(other.grad)


def _merge_statistics(replicas: Sequence[nn.Module]) -> None:
    """Set the running statistics of every replica to their mean."""
    with torch.no_grad():
        for buffers in zip(*(replica.buffers() for replica in replicas), strict=True):
            if buffers[0].is_floating_point():
                buffers[0].copy_(torch.stack(buffers).mean(0))
            for buffer in buffers[1:]:
                buffer.copy_(buffers[0])


def _state(module: nn.Module) -> Iterator[torch.Tensor]:
    yield from module.parameters()
    yield from module.buffers()


def _under(prefix: str, tensors: Tensors) -> Tensors:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
