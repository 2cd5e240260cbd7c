"""Attempts are sampled, isolated, resumed and counted; no test runs a converter."""

from __future__ import annotations

from pathlib import Path

import pytest
import timm

from benchmarks.experiments import timm_backbones
from benchmarks.experiments.timm_backbones import TRAIN, Attempt, Outcome, Params
from export.formats import format_names
from pipeline.errors import UnmeasurableError
from tests.benchmarks.experiments.steps import silent

NAMES = ["test_efficientnet", "test_vit", "test_resnet"]
PARAMS = Params(sample=2, sizes=((64, 48),))


@pytest.fixture(autouse=True)
def few_names(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root)
    monkeypatch.setattr(timm, "list_models", lambda *_arguments, **_options: NAMES)
    monkeypatch.setattr(timm_backbones, "_limit_memory", lambda _size: None)  # this process goes on


def attempt(backbone: str, step: str = TRAIN) -> Attempt:
    return Attempt(backbone=backbone, size=(64, 48), step=step, seed=1, max_memory=PARAMS.max_memory)


def test_the_sample_depends_on_the_seed_alone_and_leaves_out_what_is_too_large() -> None:
    assert timm_backbones.draw_sample(PARAMS) == timm_backbones.draw_sample(PARAMS)
    assert set(timm_backbones.draw_sample(PARAMS).names) < set(NAMES)
    small = timm_backbones.draw_sample(Params(sample=3, max_parameters=1))
    assert (small.names, small.too_large) == ((), tuple(sorted(NAMES)))


@pytest.mark.parametrize("backbone", NAMES)
def test_a_backbone_that_trains_has_no_reason(backbone: str) -> None:
    assert timm_backbones.try_one(attempt(backbone)) == Outcome(reason="")


def test_a_backbone_that_is_refused_has_the_words_of_the_refusal() -> None:
    assert timm_backbones.try_one(attempt("no_such")).reason.startswith(
        "refused: params.yaml train.backbone: 'no_such'"
    )


def test_every_step_is_counted_and_an_interrupted_run_repeats_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[Attempt] = []

    def pretend(each: Attempt, _timeout_s: float) -> Outcome:
        if len(tried) == 3:
            raise KeyboardInterrupt
        tried.append(each)
        return Outcome(reason="" if each.step == TRAIN else "cannot")

    monkeypatch.setattr(timm_backbones, "try_isolated", pretend)
    with pytest.raises(KeyboardInterrupt):
        timm_backbones.run(PARAMS, tmp_path, silent)
    before, tried = tried, []
    for _ in range(4):
        try:
            result = timm_backbones.run(PARAMS, tmp_path, silent)
        except KeyboardInterrupt:
            before, tried = before + tried, []
    steps = (TRAIN, *format_names())
    assert len(before + tried) == len(set(before + tried)) == 2 * len(steps)
    assert [(share.step, share.passed, share.tried) for share in result.shares] == [
        (step, 2 if step == TRAIN else 0, 2) for step in steps
    ]
    assert {failure.reason for failure in result.failures} == {"cannot"}


def test_an_artifact_that_cannot_be_run_here_is_counted_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_attempt: Attempt) -> None:
        raise UnmeasurableError("the MIL executor lacks the op warp")

    monkeypatch.setattr(timm_backbones, "_export", refuse)
    tried = {
        attempt("test_vit", "coreml"): timm_backbones.try_one(attempt("test_vit", "coreml")),
        attempt("test_resnet", "coreml"): Outcome(reason=""),
    }
    result = timm_backbones.summarise(tried, ())
    (share,) = result.shares
    assert (share.passed, share.unmeasured, share.tried, share.share.value) == (1, 1, 2, 0.5)
    assert [failure.reason for failure in result.failures] == ["the MIL executor lacks the op warp"]
