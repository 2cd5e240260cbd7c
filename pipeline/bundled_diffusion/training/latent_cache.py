"""Latents and attribute features of every portrait: computed once, then sampled by the trainings of the denoiser.

Reads the dataset's chunks of pixels; writes NNNNN.latents.npy and NNNNN.features.npy beside them, each atomically, so
that encoding that was interrupted resumes with the first missing chunk.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from numpy.typing import NDArray
from torch import Tensor

from pipeline.bundled_diffusion.config import TrainingConfig
from pipeline.bundled_diffusion.networks.attribute_net import AttributeNet, last_features, load_attribute_net
from pipeline.bundled_diffusion.networks.autoencoder import encode
from pipeline.bundled_diffusion.portrait_dataset import (
    chunk_paths,
    dataset_folder,
    head_weights,
    save_array,
    training_prompts,
)
from pipeline.bundled_diffusion.training.train_loop import choose_training_device
from pipeline.machine.memory_layout import lay_out
from pipeline.machine.process_pool import run_jobs


@dataclass(frozen=True, slots=True)
class LatentBatch:
    """Samples of one training step.

    Attributes:
        latents: float32 (N, C, h, w), scaled to unit variance.
        text: float32 (N, tokens, width): caption embeddings.
        weights: float32 (N, h, w), each sample's of mean 1: weight of an error at each place.
        features: float32 (N, F, h/2, w/2): the attribute network's features of the portraits, without noise.
    """

    latents: Tensor
    text: Tensor
    weights: Tensor
    features: Tensor


class LatentDataset:
    """Latents, features, captions and weights of all training portraits, in the device's memory.

    They are held as float16; on a CPU, caption embeddings stay on disk (memory-mapped).

    Args:
        config: Sizes, weights, and the share of captions that are dropped.
        scale: Factor that scales latents to unit variance.
        device: Device of the batches.

    Attributes:
        count: Number of portraits.
        latents: float16 (count, C, h, w), not scaled.
        features: float16 (count, F, h/2, w/2).
        empty: float32 (tokens, width): embedding of the empty caption.
    """

    def __init__(self, config: TrainingConfig, scale: float, device: torch.device) -> None:
        settings, prompts = config.denoiser, training_prompts(config)
        self.count = len(prompts) - config.dataset.held_out
        latents, features = read_cache(dataset_folder(config), self.count)
        texts, empty = (np.load(config.work / f"{name}.npy", mmap_mode="c") for name in ("captions", "empty_caption"))
        weights = head_weights(prompts[: self.count], latents.shape[2:], settings.head_weight, settings.eye_weight)
        self._scale, self._dropout, self._device = scale, settings.caption_dropout, device
        self.latents, self.features, self._texts, empty, self._weights = (
            torch.from_numpy(values).to(device) for values in (latents, features, texts, empty, weights)
        )
        self.empty = empty.float()

    def sample(self, count: int, rng: np.random.Generator) -> LatentBatch:
        """Sample portraits uniformly, with replacement; some captions are replaced by the empty one."""
        rows = torch.from_numpy(rng.integers(0, self.count, count)).to(self._device)
        dropped = torch.from_numpy(rng.random(count) < self._dropout).to(self._device)
        return LatentBatch(
            latents=self.latents[rows].float() * self._scale,
            text=torch.where(dropped[:, None, None], self.empty, self._texts[rows].float()),
            weights=self._weights[rows],
            features=self.features[rows].float(),
        )


@dataclass(frozen=True, slots=True)
class _Job:
    pixels: Path
    autoencoder: Path
    attribute_net: Path
    device: torch.device


def fill_cache(folder: Path, autoencoder: Path, attribute_net: Path, workers: int, device: torch.device) -> None:
    """Encode the chunks in ``folder`` that have no latents and features yet.

    Args:
        folder: Folder of the chunks.
        autoencoder: Folder of the autoencoder, in the diffusers layout.
        attribute_net: File of the attribute network.
        workers: Processes of one thread each; on a GPU, this process encodes alone.
        device: Device to encode on.
    """
    missing = [path for path in chunk_paths(folder) if not _features_path(path).is_file()]
    jobs = [_Job(path, autoencoder, attribute_net, device) for path in missing]
    for _ in map(_encode_chunk, jobs) if device.type == "cuda" else run_jobs(_encode_chunk, jobs, workers):
        pass


def read_cache(folder: Path, rows: int) -> tuple[NDArray[np.float16], NDArray[np.float16]]:
    """Latents (rows, C, h, w) and features (rows, F, h/2, w/2), float16, of the first ``rows`` portraits."""
    paths = chunk_paths(folder)
    latents = np.concatenate([np.load(_latents_path(path)) for path in paths])[:rows]
    features = np.concatenate([np.load(_features_path(path)) for path in paths])[:rows]
    return latents, features


def load_latent_dataset(config: TrainingConfig) -> LatentDataset:
    """Open the work folder's cache on the configured device."""
    scale = float(AutoencoderKL.load_config(config.work / "autoencoder")["scaling_factor"])
    return LatentDataset(config, scale, choose_training_device(config.device))


def _latents_path(pixels: Path) -> Path:
    return pixels.with_suffix(".latents.npy")


def _features_path(pixels: Path) -> Path:
    return pixels.with_suffix(".features.npy")


def _encode_chunk(job: _Job) -> None:
    torch.set_num_threads(1)
    autoencoder, network = _load_networks(job.autoencoder, job.attribute_net, job.device)
    pixels = np.load(job.pixels)
    save_array(_latents_path(job.pixels), encode(autoencoder, pixels))
    features = [maps.half().cpu().numpy() for maps in last_features(network, pixels)]
    save_array(_features_path(job.pixels), np.concatenate(features))


@cache
def _load_networks(autoencoder: Path, attribute_net: Path, device: torch.device) -> tuple[AutoencoderKL, AttributeNet]:
    opened = AutoencoderKL.from_pretrained(autoencoder, dtype=torch.float32, low_cpu_mem_usage=False)
    return lay_out(opened.to(device)).eval(), load_attribute_net(attribute_net).to(device)
