"""What a denoiser learns from, computed once: the latents of every portrait, and what the attribute network sees in it.

Reads the chunks of pixels of a world; writes NNNNN.latents.npy and NNNNN.features.npy beside them, each whole or not
there, so that a run that was killed goes on with the first chunk that is missing.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from numpy.typing import NDArray

from pipeline.bundled_diffusion.networks.attribute_net import AttributeNet, last_features, load_attributes
from pipeline.bundled_diffusion.networks.autoencoder import encode
from pipeline.bundled_diffusion.portrait_dataset import chunk_paths, save_array
from pipeline.machine.process_pool import run_jobs


@dataclass(frozen=True, slots=True)
class _Job:
    pixels: Path
    autoencoder: Path
    attributes: Path
    device: torch.device


def fill_cache(world: Path, autoencoder: Path, attributes: Path, workers: int, device: torch.device) -> None:
    """Encode the chunks of ``world`` that have no latents and features yet.

    Args:
        world: The folder of chunks.
        autoencoder: Folder of the autoencoder, in the diffusers layout.
        attributes: File of the attribute network.
        workers: Processes, of one thread each; a GPU is this process's alone.
        device: To encode on.
    """
    missing = [path for path in chunk_paths(world) if not _features_path(path).is_file()]
    jobs = [_Job(path, autoencoder, attributes, device) for path in missing]
    for _ in map(_fill, jobs) if device.type == "cuda" else run_jobs(_fill, jobs, workers):
        pass


def read_cache(world: Path, rows: int) -> tuple[NDArray[np.float16], NDArray[np.float16]]:
    """Latents (N, C, h, w) and features (N, F, h/2, w/2), float16, of the first ``rows`` portraits of ``world``."""
    paths = chunk_paths(world)
    latents = np.concatenate([np.load(_latents_path(path)) for path in paths])[:rows]
    features = np.concatenate([np.load(_features_path(path)) for path in paths])[:rows]
    return latents, features


def _latents_path(pixels: Path) -> Path:
    return pixels.with_suffix(".latents.npy")


def _features_path(pixels: Path) -> Path:
    return pixels.with_suffix(".features.npy")


def _fill(job: _Job) -> None:
    torch.set_num_threads(1)
    autoencoder, network = _open(job.autoencoder, job.attributes, job.device)
    pixels = np.load(job.pixels)
    save_array(_latents_path(job.pixels), encode(autoencoder, pixels))
    seen = last_features(network, pixels)
    save_array(_features_path(job.pixels), np.concatenate([maps.half().cpu().numpy() for maps in seen]))


@cache
def _open(autoencoder: Path, attributes: Path, device: torch.device) -> tuple[AutoencoderKL, AttributeNet]:
    opened = AutoencoderKL.from_pretrained(autoencoder, dtype=torch.float32, low_cpu_mem_usage=False)
    return opened.to(device).to(memory_format=torch.channels_last).eval(), load_attributes(attributes).to(device)
