from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pipeline.bundled_diffusion.config import LoopConfig
from pipeline.bundled_diffusion.training import train_loop

CONFIG = LoopConfig(steps=12, batch_size=4, learning_rate=0.1, warmup_steps=2, ema_decay=0.5, seed=3)


class KilledError(Exception):
    """Simulates a killed process."""


def train_line(work: Path, stop_at: int | None = None) -> dict[str, Tensor]:
    torch.manual_seed(1)
    modules = nn.ModuleDict({"line": nn.Linear(2, 1)})

    def step_loss(step: int, rng: np.random.Generator) -> Mapping[str, Tensor]:
        if step == stop_at:
            raise KilledError
        inputs = torch.from_numpy(rng.standard_normal((4, 2), np.float32))
        error = (modules["line"](inputs) - inputs.sum(1, keepdim=True)).square().mean()
        return {"loss": error, "twice": 2 * error}

    return dict(train_loop.run_loop(modules, step_loss, CONFIG, work).state_dict())


def test_a_loop_reduces_the_loss_and_logs_every_step(tmp_path: Path) -> None:
    train_line(tmp_path / "line")
    lines = (tmp_path / "line.csv").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "step,seconds,loss,twice,norm"
    assert len(lines) == 13
    assert float(lines[-1].split(",")[2]) < float(lines[1].split(",")[2])


def test_an_interrupted_loop_resumes_and_ends_with_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    straight = train_line(tmp_path / "straight")
    monkeypatch.setattr(train_loop, "SAVE_SECONDS", -1)  # after every step
    with pytest.raises(KilledError):
        train_line(tmp_path / "killed", stop_at=7)
    resumed = train_line(tmp_path / "killed")
    assert all(torch.equal(resumed[name], straight[name]) for name in straight)


def test_a_finished_loop_returns_its_result_without_further_steps(tmp_path: Path) -> None:
    first = train_line(tmp_path / "line")
    again = train_line(tmp_path / "line", stop_at=0)
    assert all(torch.equal(first[name], again[name]) for name in first)


def test_a_step_whose_gradient_is_not_finite_is_skipped(tmp_path: Path) -> None:
    modules = nn.ModuleDict({"line": nn.Linear(2, 1)})
    before = modules["line"].weight.detach().clone()

    def step_loss(_step: int, _rng: np.random.Generator) -> Mapping[str, Tensor]:
        return {"loss": modules["line"](torch.full((1, 2), float("nan"))).sum()}

    train_loop.run_loop(modules, step_loss, CONFIG.model_copy(update={"steps": 2}), tmp_path / "line")
    assert torch.equal(modules["line"].weight, before)
