"""One process of distributed training: ``torchrun -m pipeline.bundled_diffusion.distributed STEP PARAMS``."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from pipeline.bundled_diffusion.config import TrainingConfig, load_config
from pipeline.bundled_diffusion.portrait_dataset import load_weighted_portraits
from pipeline.bundled_diffusion.training.guidance_distillation import train_distilled_denoiser
from pipeline.bundled_diffusion.training.reward_finetuning import train_with_reward
from pipeline.bundled_diffusion.training.train_autoencoder import train_autoencoder
from pipeline.bundled_diffusion.training.train_denoiser import train_denoiser

_TRAININGS: Mapping[str, Callable[[TrainingConfig], None]] = {
    "autoencoder": lambda config: train_autoencoder(config, load_weighted_portraits(config)),
    "denoiser": train_denoiser,
    "distillation": train_distilled_denoiser,
    "reward": train_with_reward,
}


def run_distributed(step: str, params: Path, processes: int) -> None:
    """Run one training step in processes of one thread each; a single process is the current one.

    Args:
        step: autoencoder, denoiser, distillation or reward.
        params: File of the configuration, which every process reads.
        processes: Number of processes.

    Raises:
        subprocess.CalledProcessError: A process failed. The last checkpoint is kept; the next run resumes from it.
    """
    if processes == 1:
        train(step, params)
        return
    torchrun = [sys.executable, "-m", "torch.distributed.run", f"--nproc-per-node={processes}", "-m", __name__]
    subprocess.run([*torchrun, step, str(params)], check=True)


def train(step: str, params: Path) -> None:
    """Run one training step, in one thread, as one of the processes."""
    torch.set_num_threads(1)
    _TRAININGS[step](load_config(params))


if __name__ == "__main__":
    train(sys.argv[1], Path(sys.argv[2]))
