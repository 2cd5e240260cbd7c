"""A training loop that survives: one or several processes, one checkpoint file, a log with every figure in it.

The same batch rows, noise and order come from (seed, step, rank) alone, so a loop that was killed goes on with what it
would have done. Processes (``torchrun --nproc-per-node 2``) share their gradients: on a crowded CPU two processes of
one thread each are faster than one of two threads.
"""

from __future__ import annotations

import csv
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, distributed, nn

from pipeline.bundled_diffusion.config import LoopRecipe
from pipeline.machine.devices import choose_device

SAVE_SECONDS = 120.0

StepLoss = Callable[[int, np.random.Generator], Mapping[str, Tensor]]  # the value "loss" is minimised, all are logged


def open_device(name: str) -> torch.device:
    """The device to learn on; "auto" is a GPU of CUDA where there is one.

    Raises:
        ParamsError: This machine does not have it.
    """
    return torch.device(choose_device(name, "recipe", usable=("cuda", "cpu")))


def join_team() -> tuple[int, int]:
    """Tell (rank, processes), joining the others where ``torchrun`` started several."""
    if distributed.is_torchelastic_launched() and not distributed.is_initialized():
        distributed.init_process_group("gloo")
    return (distributed.get_rank(), distributed.get_world_size()) if distributed.is_initialized() else (0, 1)


def run_loop(modules: nn.ModuleDict, step_loss: StepLoss, recipe: LoopRecipe, work: Path) -> nn.ModuleDict:
    """Minimise ``step_loss``; returns the exponential moving average of ``modules``.

    Args:
        modules: What is trained, in place, on its device.
        step_loss: (step, generator of that step) -> named scalar losses.
        recipe: Steps, rates and seed.
        work: ``work``.pt holds the state, ``work``.csv the log; both are picked up again when they are there.
    """
    rank, team = join_team()
    blend = torch.optim.swa_utils.get_ema_multi_avg_fn(recipe.ema_decay)  # type: ignore[no-untyped-call]
    average = torch.optim.swa_utils.AveragedModel(modules, multi_avg_fn=blend, use_buffers=True)
    weights = [weight for weight in modules.parameters() if weight.requires_grad]
    optimiser = torch.optim.AdamW(
        weights,
        lr=recipe.learning_rate,
        weight_decay=recipe.weight_decay,
        betas=(0.9, 0.99),
        fused=weights[0].device.type == "cuda",
    )
    first = _resume(work, modules, average, optimiser)
    saved = time.monotonic()
    for step in follow(range(first, recipe.steps), work.name, quiet=rank > 0):
        for group in optimiser.param_groups:
            group["lr"] = recipe.learning_rate * _schedule(step, recipe)
        losses = step_loss(step, np.random.default_rng([recipe.seed, step, rank]))
        optimiser.zero_grad()
        torch.autograd.backward(losses["loss"])
        _share(weights, team)
        norm = nn.utils.clip_grad_norm_(weights, recipe.clip)
        if torch.isfinite(norm):
            optimiser.step()
            average.update_parameters(modules)
        if rank == 0:
            _log(work, step, {name: float(value.detach()) for name, value in losses.items()} | {"norm": float(norm)})
            if time.monotonic() - saved > SAVE_SECONDS or step == recipe.steps - 1:
                _save(work, step + 1, modules, average, optimiser)
                saved = time.monotonic()
    result = average.module
    assert isinstance(result, nn.ModuleDict)
    return result.eval()


def follow(steps: range, name: str, *, quiet: bool = False) -> Iterator[int]:
    """Yield ``steps`` while a bar shows how far they are."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=quiet) as progress:
        task = progress.add_task(name, total=steps.stop, completed=steps.start)
        for step in steps:
            yield step
            progress.advance(task)


def _schedule(step: int, recipe: LoopRecipe) -> float:
    rise = min(1.0, (step + 1) / max(recipe.warmup_steps, 1))
    return rise * 0.5 * (1 + float(np.cos(np.pi * step / recipe.steps)))


def _share(weights: list[nn.Parameter], team: int) -> None:
    if team == 1:
        return
    gradients = [weight.grad for weight in weights if weight.grad is not None]
    flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
    distributed.all_reduce(flat)
    flat.div_(team)
    for gradient, part in zip(gradients, torch.split(flat, [gradient.numel() for gradient in gradients]), strict=True):
        gradient.copy_(part.view_as(gradient))


def _save(work: Path, step: int, modules: nn.Module, average: nn.Module, optimiser: torch.optim.Optimizer) -> None:
    state = {"step": step, "modules": modules.state_dict(), "average": average.state_dict()}
    partial = work.with_suffix(".pt.partial")
    torch.save(state | {"optimiser": optimiser.state_dict()}, partial)
    partial.replace(work.with_suffix(".pt"))


def _resume(work: Path, modules: nn.Module, average: nn.Module, optimiser: torch.optim.Optimizer) -> int:
    path = work.with_suffix(".pt")
    if not path.is_file():
        return 0
    state: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu")
    modules.load_state_dict(state["modules"])
    average.load_state_dict(state["average"])
    if "optimiser" in state:
        optimiser.load_state_dict(state["optimiser"])
    return int(state["step"])


def _log(work: Path, step: int, figures: Mapping[str, float]) -> None:
    path = work.with_suffix(".csv")
    new = not path.is_file()
    with path.open("a", newline="") as stream:
        writer = csv.writer(stream)
        if new:
            writer.writerow(["step", "seconds", *figures])
        writer.writerow([step, f"{time.time():.1f}", *(f"{value:.6g}" for value in figures.values())])
