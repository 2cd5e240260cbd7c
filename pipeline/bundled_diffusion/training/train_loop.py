"""The training loop: AdamW with warm-up and cosine decay, weight averaging, checkpoints, a log of every step.

All random numbers of a step derive from (seed, step, rank), so an interrupted loop resumes with the batches and noise
that it would have used. Several processes (``torchrun --nproc-per-node 2``) average their gradients: on a busy CPU, two
processes of one thread each are faster than one of two threads.

Reads and writes NAME.pt (the whole state, every two minutes) and NAME.csv (one row per step).
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

from pipeline.bundled_diffusion.config import LoopConfig
from pipeline.machine.devices import choose_device

SAVE_SECONDS = 120.0
"""Time between two checkpoints."""

StepLoss = Callable[[int, np.random.Generator], Mapping[str, Tensor]]
"""(step, generator of the step) -> scalar losses by name: "loss" is minimised, all are logged."""


def choose_training_device(name: str) -> torch.device:
    """Return the device to train on; ``auto`` is a CUDA GPU if there is one.

    Raises:
        ParamsError: This machine does not have the device.
    """
    return torch.device(choose_device(name, "bundled_diffusion", usable=("cuda", "cpu")))


def join_process_group() -> tuple[int, int]:
    """Return (rank, number of processes); joins the process group if ``torchrun`` started several processes."""
    if distributed.is_torchelastic_launched() and not distributed.is_initialized():
        distributed.init_process_group("gloo")
    return (distributed.get_rank(), distributed.get_world_size()) if distributed.is_initialized() else (0, 1)


def run_loop(modules: nn.ModuleDict, step_loss: StepLoss, config: LoopConfig, work: Path) -> nn.ModuleDict:
    """Minimise ``step_loss`` and return the exponential moving average of ``modules``.

    A step whose gradient is not finite is skipped.

    Args:
        modules: Modules to train, in place, on their device; frozen parameters stay as they are.
        step_loss: Losses of one step.
        config: Steps, rates and seed.
        work: Path without suffix: ``work``.pt is the checkpoint, ``work``.csv the log. If they exist, training resumes
            from them.
    """
    rank, processes = join_process_group()
    blend = torch.optim.swa_utils.get_ema_multi_avg_fn(config.ema_decay)  # type: ignore[no-untyped-call]
    average = torch.optim.swa_utils.AveragedModel(modules, multi_avg_fn=blend, use_buffers=True)
    weights = [weight for weight in modules.parameters() if weight.requires_grad]
    optimiser = torch.optim.AdamW(
        weights,
        lr=config.learning_rate,
        weight_decay=config.weight_decay,
        betas=(0.9, 0.99),
        fused=weights[0].device.type == "cuda",
    )
    first = _resume(work, modules, average, optimiser)
    saved = time.monotonic()
    for step in with_progress(range(first, config.steps), work.name, quiet=rank > 0):
        for group in optimiser.param_groups:
            group["lr"] = config.learning_rate * _rate_factor(step, config)
        losses = step_loss(step, np.random.default_rng([config.seed, step, rank]))
        optimiser.zero_grad()
        torch.autograd.backward(losses["loss"])
        _average_gradients(weights, processes)
        norm = nn.utils.clip_grad_norm_(weights, config.clip_norm)
        if torch.isfinite(norm):
            optimiser.step()
            average.update_parameters(modules)
        if rank == 0:
            _log(work, step, {name: float(value.detach()) for name, value in losses.items()} | {"norm": float(norm)})
            if time.monotonic() - saved > SAVE_SECONDS or step == config.steps - 1:
                _save(work, step + 1, modules, average, optimiser)
                saved = time.monotonic()
    result = average.module
    assert isinstance(result, nn.ModuleDict)
    return result.eval()


def with_progress(steps: range, name: str, *, quiet: bool = False) -> Iterator[int]:
    """Yield ``steps`` and show a progress bar on stderr."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=quiet) as progress:
        task = progress.add_task(name, total=steps.stop, completed=steps.start)
        for step in steps:
            yield step
            progress.advance(task)


def _rate_factor(step: int, config: LoopConfig) -> float:
    rise = min(1.0, (step + 1) / max(config.warmup_steps, 1))
    return rise * 0.5 * (1 + float(np.cos(np.pi * step / config.steps)))


def _average_gradients(weights: list[nn.Parameter], processes: int) -> None:
    if processes == 1:
        return
    gradients = [weight.grad for weight in weights if weight.grad is not None]
    flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
    distributed.all_reduce(flat)
    flat.div_(processes)
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
