"""The training set: rendered portraits with their captions and factors.

Reads policies; writes the pixels as chunks, WORK/dataset/NNNNN.npy, each written atomically. A chunk is a pure function
of the configuration, so rendering that was interrupted resumes with the first missing chunk.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.bundled_diffusion.config import DatasetConfig, TrainingConfig
from pipeline.bundled_diffusion.networks.attribute_net import Codes, Factors, to_input
from pipeline.config.policy import load_policy
from pipeline.data.records import Prompt
from pipeline.data.storage import atomic_write
from pipeline.machine.process_pool import run_jobs
from pipeline.prompts.prompt_sampler import draw_prompts
from pipeline.renderer import render
from pipeline.renderer.pose import sample_pose


@dataclass(frozen=True, slots=True)
class PortraitDataset:
    """Rendered portraits.

    Attributes:
        pixels: uint8 (N, H, W, 3), RGB.
        prompts: The N prompts: captions and factors.
        factors: Factor -> its values.
        codes: Factor -> int64 (N,) index of each portrait's value.
    """

    pixels: NDArray[np.uint8]
    prompts: Sequence[Prompt]
    factors: Factors
    codes: Codes

    def subset(self, rows: slice) -> PortraitDataset:
        """Some of the portraits, with the same factors and codes."""
        codes = {name: values[rows] for name, values in self.codes.items()}
        return PortraitDataset(self.pixels[rows], self.prompts[rows], self.factors, codes)


@dataclass(frozen=True, slots=True)
class WeightedPortraits:
    """Portraits, and the weight of a pixel's error at each place.

    Attributes:
        pixels: uint8 (N, H, W, 3), RGB.
        weights: float32 (N, H/n, W/n) for some n, each portrait's of mean 1.
    """

    pixels: NDArray[np.uint8]
    weights: NDArray[np.float32]

    def sample_rows(self, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """Sample portraits uniformly, with replacement: int64 (count,) indices, sorted."""
        return np.sort(rng.integers(0, len(self.pixels), count))

    def batch(self, rows: NDArray[np.int64], device: torch.device) -> tuple[Tensor, Tensor]:
        """Images, float32 (n, 3, H, W) in -1..1, and weights, float32 (n, H, W), of some portraits."""
        weights = torch.from_numpy(self.weights[rows]).to(device)
        times = self.pixels.shape[1] // self.weights.shape[1]
        return to_input(self.pixels[rows], device), weights.repeat_interleave(times, 1).repeat_interleave(times, 2)


@dataclass(frozen=True, slots=True)
class _Chunk:
    path: Path
    prompts: tuple[Prompt, ...]
    size: tuple[int, int]


def dataset_folder(config: TrainingConfig) -> Path:
    """Folder of the chunks of pixels."""
    return config.work / "dataset"


def sample_dataset_prompts(policies: Path, counts: Mapping[str, int], seed: int) -> list[Prompt]:
    """Sample prompts of several policies, interleaved: every long enough part holds the policies in proportion.

    Args:
        policies: Folder of the policies.
        counts: Policy -> number of prompts.
        seed: Seed of the prompts of every policy.
    """
    prompts = {name: _sample(policies / f"{name}.yaml", count, seed) for name, count in counts.items()}
    places = [(place / len(own), name, place) for name, own in prompts.items() for place in range(len(own))]
    return [prompts[name][place] for _, name, place in sorted(places)]


def training_prompts(config: TrainingConfig) -> list[Prompt]:
    """Prompts of the whole dataset, the held-out ones last."""
    return sample_dataset_prompts(config.policies, config.dataset.policies, config.dataset.seed)


def render_dataset(prompts: Sequence[Prompt], config: DatasetConfig, size: tuple[int, int], folder: Path) -> None:
    """Render the chunks that ``folder`` lacks, in several processes; ``size`` is (width, height) in pixels."""
    folder.mkdir(parents=True, exist_ok=True)
    starts = range(0, len(prompts), config.images_per_chunk)
    chunks = [
        _Chunk(folder / f"{number:05d}.npy", tuple(prompts[first : first + config.images_per_chunk]), size)
        for number, first in enumerate(starts)
    ]
    for _ in run_jobs(_render_chunk, [chunk for chunk in chunks if not chunk.path.is_file()], config.workers):
        pass


def load_dataset(prompts: Sequence[Prompt], folder: Path) -> PortraitDataset:
    """Read the chunks that `render_dataset` wrote for ``prompts``."""
    pixels = np.concatenate([np.load(path) for path in chunk_paths(folder)])
    return PortraitDataset(pixels, prompts, *encode_factors(prompts))


def load_weighted_portraits(config: TrainingConfig) -> WeightedPortraits:
    """Read all portraits except those held out, with the autoencoder's weights of head and eyes."""
    prompts, used = training_prompts(config), slice(None, -config.dataset.held_out)
    shape = (config.height // 2, config.width // 2)
    weights = head_weights(prompts[used], shape, config.autoencoder.head_weight, config.autoencoder.eye_weight)
    return WeightedPortraits(load_dataset(prompts, dataset_folder(config)).pixels[used], weights)


def chunk_paths(folder: Path) -> Sequence[Path]:
    """Files of pixels in ``folder``, in order."""
    return sorted(path for path in folder.glob("*.npy") if path.stem.isdigit())


def save_array(path: Path, values: NDArray[np.generic]) -> None:
    """Write an array atomically."""
    with atomic_write(path) as file:
        np.save(file, values)


def encode_factors(prompts: Sequence[Prompt], factors: Factors | None = None) -> tuple[Factors, Codes]:
    """Encode the factors of prompts as integers.

    Args:
        prompts: Any prompts.
        factors: Factor -> values, in the order of the codes; None: all that occur with two values or more, sorted.

    Returns:
        The factors, and factor -> int64 (N,) codes; -1 where a prompt lacks the factor or has another value.
    """
    rows = [prompt.factors for prompt in prompts]
    if factors is None:
        names = sorted({name for row in rows for name in row} - {"scenario"})
        occurring = {name: tuple(sorted({row[name] for row in rows if name in row})) for name in names}
        factors = {name: values for name, values in occurring.items() if len(values) > 1}
    index = {name: {value: code for code, value in enumerate(values)} for name, values in factors.items()}
    codes = {
        name: np.array([known.get(row.get(name, ""), -1) for row in rows], np.int64) for name, known in index.items()
    }
    return factors, codes


def head_weights(prompts: Sequence[Prompt], shape: tuple[int, int], head: float, eyes: float) -> NDArray[np.float32]:
    """Weights of each portrait's head and eyes, on a grid over the picture.

    Args:
        prompts: The portraits' prompts.
        shape: (height, width) of the grid.
        head: Weight of the head, relative to the rest of the picture.
        eyes: Weight of the region that glasses cover, relative to the rest of the picture.

    Returns:
        float32 (N, height, width), each portrait's of mean 1.
    """
    height, width = shape
    down, right = np.mgrid[0.5:height, 0.5:width]
    maps = np.empty((len(prompts), height, width), np.float32)
    for number, prompt in enumerate(prompts):
        pose = sample_pose(prompt.factors["framing"], prompt.seed)
        (x, y), unit = pose.pixels((width, height))
        across, along = pose.turn.on_face(0.0, 0.02)
        on_head = ((right - x) / (1.3 * unit)) ** 2 + ((down - y + 0.3 * unit) / (1.6 * unit)) ** 2 < 1
        on_eyes = ((right - x) / unit - across) ** 2 / 0.85**2 + ((down - y) / unit - along) ** 2 / 0.35**2 < 1
        maps[number] = np.where(on_eyes, eyes, np.where(on_head, head, 1))
    maps /= maps.mean((1, 2), keepdims=True)
    return maps


@cache
def _sample(policy: Path, count: int, seed: int) -> Sequence[Prompt]:
    return draw_prompts(load_policy(policy), count, 1, seed)


def _render_chunk(chunk: _Chunk) -> int:
    save_array(chunk.path, np.stack([render(prompt.factors, prompt.seed, chunk.size) for prompt in chunk.prompts]))
    return len(chunk.prompts)
