"""Optimisation: steps in micro-batches, replicas, the moving average, evaluation and state."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from concurrent.futures import Executor
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from pipeline.config.params import TrainParams, load_params
from pipeline.data.preprocess import PreprocessSpec, normalise
from pipeline.train.backbone import build_network
from pipeline.train.trainer import MicroBatch, Score, Trainer, reproducible_pool, split_batch
from tests.pipeline.squares import LABELS, SIZE, draw_square

SPEC = PreprocessSpec(input_size=SIZE)
CPU = torch.device("cpu")


class Plain(nn.Module):
    """Convolution, pooling and head without batch statistics: micro-batches must add up to the batch exactly."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Conv2d(3, 4, 3)
        self.classifier = nn.Linear(4, 2)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.classifier(torch.relu(self.body(image)).mean((2, 3)))
        return scores


@pytest.fixture
def params(root: Path) -> TrainParams:
    changes = {"batch_size": 40, "threads": 2, "label_smoothing": 0.1, "weight_decay": 0.3, "device": "cpu"}
    return load_params(root / "params.yaml").train.model_copy(update=changes)


@pytest.fixture
def pool(params: TrainParams) -> Iterator[Executor]:
    with reproducible_pool(params) as opened:
        yield opened


@pytest.fixture
def batch() -> MicroBatch:
    targets = np.arange(40) % 2
    return MicroBatch(np.stack([draw_square(LABELS[target], n) for n, target in enumerate(targets)]), targets)


def split(batch: MicroBatch) -> list[MicroBatch]:
    return [MicroBatch(batch.pixels[part], batch.targets[part]) for part in split_batch(40, CPU)]


def test_micro_batches_are_nearly_equal_and_cover_the_batch_once() -> None:
    parts = split_batch(70, CPU)
    assert [part.stop - part.start for part in parts] == [23, 23, 24]
    assert [row for part in parts for row in range(70)[part]] == list(range(70))
    assert split_batch(32, CPU) == [slice(0, 32)]
    assert split_batch(70, torch.device("cuda")) == [slice(0, 70)]


def test_a_step_in_micro_batches_equals_adamw_on_the_whole_batch(
    params: TrainParams, pool: Executor, batch: MicroBatch
) -> None:
    torch.manual_seed(0)
    network = Plain()
    reference = copy.deepcopy(network)
    trainer = Trainer(network, SPEC, params, pool)
    groups = [{"params": [p for p in reference.parameters() if p.dim() > 1], "weight_decay": 0.3}]
    groups += [{"params": [p for p in reference.parameters() if p.dim() == 1], "weight_decay": 0.0}]
    plain = torch.optim.AdamW(groups, lr=0.01)
    for _ in range(5):
        loss = nn.functional.cross_entropy(
            reference(torch.from_numpy(normalise(batch.pixels, SPEC))),
            torch.from_numpy(batch.targets),
            label_smoothing=0.1,
        )
        plain.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        plain.step()
        assert trainer.step(split(batch), 0.01) == pytest.approx(float(loss.detach()), rel=1e-5)
    for own, other in zip(network.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(own, other, rtol=1e-4, atol=1e-6)


def test_the_number_of_threads_does_not_change_the_weights(params: TrainParams, batch: MicroBatch) -> None:
    states = []
    for threads in (1, 2):
        changed = params.model_copy(update={"threads": threads})
        torch.manual_seed(0)
        network = build_network("test_efficientnet", 2)
        with reproducible_pool(changed) as pool:
            trainer = Trainer(network, SPEC, changed, pool)
            for _ in range(3):
                trainer.step(split(batch), 0.01)
        states.append(trainer.tensors())
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_replicas_have_equal_batch_statistics_after_a_step(
    params: TrainParams, pool: Executor, batch: MicroBatch
) -> None:
    trainer = Trainer(build_network("test_efficientnet", 2), SPEC, params, pool)
    trainer.step(split(batch), 0.01)
    first, second = (dict(replica.named_buffers()) for replica in trainer._replicas)
    moved = [name for name in first if name.endswith("running_mean")]
    assert moved
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert any(first[name].abs().max() > 0 for name in moved)


def test_the_average_moves_towards_the_weights_with_a_warm_up(
    params: TrainParams, pool: Executor, batch: MicroBatch
) -> None:
    network = Plain()
    trainer = Trainer(network, SPEC, params.model_copy(update={"ema_decay": 0.5}), pool)
    before = trainer.average.state_dict()["body.weight"].clone()
    trainer.step(split(batch), 0.1)
    after = network.state_dict()["body.weight"]
    share = 1 - 2 / 11  # the decay of the first step, below ema_decay
    torch.testing.assert_close(trainer.average.state_dict()["body.weight"], before + share * (after - before))
    for _ in range(20):
        trainer.step(split(batch), 0.0)
    torch.testing.assert_close(trainer.average.state_dict()["body.weight"], network.state_dict()["body.weight"])


def test_evaluation_scores_every_row_once(params: TrainParams, pool: Executor, batch: MicroBatch) -> None:
    trainer = Trainer(build_network("test_efficientnet", 2), SPEC, params, pool)
    pixels, targets = np.concatenate([batch.pixels] * 4), np.concatenate([batch.targets] * 4)
    with torch.inference_mode():
        logits = trainer.average(torch.from_numpy(normalise(pixels, SPEC)))
    score = trainer.evaluate(lambda rows: pixels[rows], targets)
    assert score.loss == pytest.approx(float(nn.functional.cross_entropy(logits, torch.from_numpy(targets))), rel=1e-4)
    assert score.accuracy == np.mean(logits.argmax(1).numpy() == targets)


def test_scores_compare_by_accuracy_then_loss() -> None:
    assert Score(0.9, 0.5).beats(Score(0.8, 0.1))
    assert Score(0.9, 0.4).beats(Score(0.9, 0.5))
    assert not Score(0.9, 0.5).beats(Score(0.9, 0.5))


def test_a_restored_trainer_continues_with_the_same_weights(
    params: TrainParams, pool: Executor, batch: MicroBatch
) -> None:
    first = Trainer(build_network("test_efficientnet", 2), SPEC, params, pool)
    first.step(split(batch), 0.01)
    # As it comes back from disk: contiguous, whatever the layout in memory was.
    kept = {name: tensor.clone(memory_format=torch.contiguous_format) for name, tensor in first.tensors().items()}
    second = Trainer(build_network("test_efficientnet", 2), SPEC, params, pool)
    second.restore(kept)
    assert first.step(split(batch), 0.01) == second.step(split(batch), 0.01)
    ours, theirs = first.tensors(), second.tensors()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_torch_s_threads_and_determinism_are_restored_after_an_error(params: TrainParams) -> None:
    before = (torch.get_num_threads(), torch.are_deterministic_algorithms_enabled())

    def check_and_fail(number: int) -> int:
        assert torch.are_deterministic_algorithms_enabled()
        assert torch.get_num_threads() == 1
        return 1 // (2 - number)

    with pytest.raises(ZeroDivisionError), reproducible_pool(params) as pool:
        list(pool.map(check_and_fail, range(4)))
    assert (torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()) == before


def test_gradients_of_a_strided_1x1_convolution_of_three_channels_are_those_of_contiguous_memory(
    params: TrainParams, pool: Executor
) -> None:
    """In the layout channels last, oneDNN writes past a buffer here (`pipeline.machine.memory_layout`)."""
    torch.manual_seed(3)
    network = nn.Sequential(nn.Conv2d(3, 48, 1, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(48, 2))
    expected = copy.deepcopy(network)
    pixels = np.random.default_rng(4).integers(0, 256, (4, *SIZE, 3), np.uint8)
    targets = np.array([0, 1, 1, 0])
    Trainer(network, SPEC, params, pool).step([MicroBatch(pixels, targets)], 0.0)
    logits = expected(torch.from_numpy(normalise(pixels, SPEC)).contiguous())
    functional.cross_entropy(logits, torch.from_numpy(targets), label_smoothing=params.label_smoothing).backward()
    for own, true in zip(network.parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(own.grad, true.grad)


def test_the_averaged_weights_are_evaluated_as_they_are_now(params: TrainParams, pool: Executor) -> None:
    """LeViT keeps its attention biases in eval mode, from the first evaluation on."""
    size = (64, 64)
    torch.manual_seed(6)
    network = build_network("levit_128s", 2, input_size=size)
    trainer = Trainer(network, PreprocessSpec(input_size=size), params, pool)
    pixels = np.random.default_rng(7).integers(0, 256, (2, *size, 3), np.uint8)
    first = trainer.probabilities(lambda rows: pixels[rows], 2)
    with torch.no_grad():
        for name, parameter in trainer.average.named_parameters():
            if name.endswith("attention_biases"):
                parameter.add_(torch.linspace(0, 9, parameter.numel()).view_as(parameter))
    second = trainer.probabilities(lambda rows: pixels[rows], 2)
    assert not np.array_equal(second, first)
