"""One process of a team that learns together: ``torchrun -m pipeline.embedded.team autoencoder PARAMS``."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from pipeline.embedded.autoencoder import Portraits, learn_autoencoder
from pipeline.embedded.denoise import learn_denoiser
from pipeline.embedded.guidance import learn_guidance
from pipeline.embedded.recipe import Recipe, load_recipe
from pipeline.embedded.reward import learn_reward
from pipeline.embedded.world import head_weights, open_world, world_prompts

_DENOISERS: Mapping[str, Callable[[Recipe], None]] = {
    "denoiser": learn_denoiser,
    "guidance": learn_guidance,
    "reward": learn_reward,
}


def run_team(step: str, params: Path, processes: int) -> None:
    """Run ``autoencoder`` or a learning of the denoiser in processes of one thread each; one stays in this process.

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
    recipe = load_recipe(params)
    if step in _DENOISERS:
        _DENOISERS[step](recipe)
        return
    prompts = world_prompts(recipe.policies, recipe.world.policies, recipe.world.seed)
    shape, known = (recipe.height // 2, recipe.width // 2), slice(None, -recipe.world.held_out)
    weights = head_weights(prompts[known], shape, recipe.autoencoder.head_weight, recipe.autoencoder.eye_weight)
    learn_autoencoder(recipe, Portraits(open_world(prompts, recipe.work / "world").pixels[known], weights))


if __name__ == "__main__":
    join(sys.argv[1], Path(sys.argv[2]))
