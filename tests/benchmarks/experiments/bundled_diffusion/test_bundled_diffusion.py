"""The benchmark of the bundled model: its table, its steps, and a small run."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.experiment_harness.course import Experiment
from benchmarks.experiments import bundled_diffusion
from benchmarks.experiments.bundled_diffusion import Params, plan
from benchmarks.report.experiments.bundled_diffusion import BundledDiffusionResult
from pipeline.config.params import Params as AllParams
from pipeline.data.records import Prompt
from pipeline.data.storage import read_rows
from tests.benchmarks.experiments.steps import ordered_names, stored

# diffusers hands numpy a tensor whose __array__ has no copy keyword yet
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword")

TRAITS = {"helmet", "light", "glasses", "mask", "skin_tone_within_1", "headwear"}
TINY = Params(images=8, table_images=4, steps=(1, 2), guidance=(2.5,), training_images=6, plain_images=2)


def test_the_table_has_a_folder_for_each_setting() -> None:
    settings = Params().settings()
    assert len(settings) == 9
    assert settings["steps-4-guidance-2.5"] == {"steps": 4, "guidance": 2.5}


def test_every_step_comes_after_those_it_needs(root: Path, base: AllParams, tmp_path: Path) -> None:
    names = ordered_names(plan(Experiment(tmp_path, TINY, base, root / "policies")))
    assert {"training/generate", "plain/loop", "steps-1-guidance-2.5/generate"} <= set(names)


@pytest.mark.slow
def test_every_figure_of_the_contract_is_measured(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root)
    activities: list[str] = []
    result = bundled_diffusion.run(TINY, tmp_path, lambda _done, _total, activity: activities.append(activity))
    assert result.agreement.keys() <= TRAITS
    assert result.agreement_images["helmet"] == 8
    assert all(0 <= result.agreement_low[name] <= share for name, share in result.agreement.items())
    assert [(row.steps, row.guidance) for row in result.table] == [(1, 2.5), (2, 2.5)]
    assert result.images_per_second is not None
    assert result.images_per_second > 0
    assert result.speedup_over_plain_loop == pytest.approx(
        result.images_per_second / result.plain_loop_images_per_second
    )
    assert 0 <= result.copied_share <= 1
    assert result.size_bytes > 10_000_000
    assert "plain/loop" in activities
    assert BundledDiffusionResult.model_validate(stored(result)).agreement.helmet == result.agreement["helmet"]
    table_prompts = read_rows(tmp_path / "common/data/table_prompts.jsonl", Prompt)
    assert table_prompts == read_rows(tmp_path / "common/data/prompts.jsonl", Prompt)[:4]
