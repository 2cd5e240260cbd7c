"""One process of distributed training: ``torchrun -m pipeline.bundled_diffusion.distributed autoencoder PARAMS``."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from pipeline.bundled_diffusion.config import Recipe, load_recipe
from pipeline.bundled_diffusion.networks.autoencoder import learn_autoencoder, open_portraits
from pipeline.bundled_diffusion.training.guidance_distillation import learn_guidance
from pipeline.bundled_diffusion.training.reward_finetuning import learn_reward
from pipeline.bundled_diffusion.training.train_denoiser import learn_denoiser

_LEARNINGS: Mapping[str, Callable[[Recipe], None]] = {
    "autoencoder": lambda recipe: learn_autoencoder(recipe, open_portraits(recipe)),
    "denoiser": learn_denoiser,
    "guidance": learn_guidance,
    "reward": learn_reward,
}


def run_team(step: str, params: Path, processes: int) -> None:
    """Run one of the learnings in processes of one thread each; one stays in this process.

    Raises:
        subprocess.CalledProcessError: A process failed; what was learned is kept, and the next run goes on from there.
    """
    if processes == 1:
        join(step, params)
        return
    torchrun = [sys.executable, "-m", "torch.distributed.run", f"--nproc-per-node={processes}", "-m", __name__]
    subprocess.run([*torchrun, step, str(params)], check=True)


def join(step: str, params: Path) -> None:
    """Learn one step of the recipe in ``params``."""
    torch.set_num_threads(1)
    _LEARNINGS[step](load_recipe(params))


if __name__ == "__main__":
    join(sys.argv[1], Path(sys.argv[2]))
