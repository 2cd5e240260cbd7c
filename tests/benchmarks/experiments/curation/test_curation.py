"""The benchmark of curation: its steps, its count of rejected defects, and a small run."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.experiment_harness.course import Experiment
from benchmarks.experiment_harness.planted_errors import KINDS
from benchmarks.experiments import curation
from benchmarks.experiments.curation import (
    LABELS,
    PLANTED,
    Params,
    PlantedDefects,
    downstream_accuracy,
    plan,
    score_defects,
)
from benchmarks.report.experiments.curation import CurationResult
from pipeline.config.params import Params as AllParams
from pipeline.config.policy import load_policy
from pipeline.data.records import Rejection
from pipeline.data.storage import write_json, write_rows
from pipeline.metrics.statistics import wilson_interval
from tests.benchmarks.experiments.steps import ordered_names, silent, stored

SMALL = Params(images=60, noise=(0.2,), defects=4, pays=((0.1, 60),), pays_seeds=(1,), cost_images=(60,))


def test_the_labels_are_those_of_the_helmet_policy(root: Path) -> None:
    assert tuple(load_policy(root / "policies" / "helmet.yaml").labels) == LABELS


def test_every_step_comes_after_those_it_needs(root: Path, base: AllParams, tmp_path: Path) -> None:
    names = ordered_names(plan(Experiment(tmp_path, Params(), base, root / "policies")))
    assert len([name for name in names if name.endswith("/train")]) == 2 * len(downstream_accuracy.ARMS) * 3
    assert {"defects/curate", "cost-50000/time", "pays-0.10-oracle-seed-13/test"} <= set(names)


def test_rejected_defects_are_counted_by_kind_and_reason(tmp_path: Path) -> None:
    planted = {f"{kind}-{number}": kind for kind in KINDS for number in range(4)}
    rows = [
        Rejection(image_id=name, label="helmet", reason=reason, score=0, threshold=1)
        for name, reason in (("blank-0", "low_information"), ("blank-1", "dark"), ("blur-3", "blurry"), ("x", "dark"))
    ]
    write_json(tmp_path / PLANTED, PlantedDefects(kinds=planted))
    write_rows(tmp_path / "data/rejected.jsonl", rows)
    result = score_defects(tmp_path)
    assert result.kinds["blank"].recall.value == 0.5
    assert result.kinds["blank"].reasons == {"low_information": 1, "dark": 1}
    assert result.kinds["duplicate"].recall.value == 0
    assert (result.rejected, result.precision) == (4, 0.75)
    low, high = wilson_interval(2, 4)
    recall = {"recall": 0.5, "recall_low": low, "recall_high": high}
    assert stored(result)["blank"] == {"planted": 4, **recall, "low_information": 1, "dark": 1}


@pytest.mark.slow
def test_a_small_run_gives_all_figures_and_a_second_one_the_same(small_checkout: Path) -> None:
    result = curation.run(SMALL, small_checkout / "work", silent)
    for name in ("uniform", "clustered", "out_of_fold_uniform", "verifier_clustered", "cleanlab_default"):
        assert set(result.noise[name]) == {"0.20"}
        assert result.noise[name]["0.20"].planted > 0
    recall = result.noise["uniform"]["0.20"].recall
    assert recall is not None
    assert recall.value > 0.5
    assert result.defects.kinds["blank"].recall.value == 1
    assert result.embedded_images == 60
    rate = result.embedded_mislabel_rate_before
    assert rate is not None
    assert 0 <= rate.low <= rate.high <= 1
    arms = result.pays["0.10"]
    assert [row.arm for row in arms] == list(downstream_accuracy.ARMS)
    assert arms[1].images == arms[2].images <= arms[0].images == 60
    assert all(0 <= row.accuracy.low <= row.accuracy.value <= row.accuracy.high <= 1 for row in arms)
    assert [row.gain_points is None for row in arms] == [True, False, False, False]
    assert result.cost.images == (60,)
    assert result.cost.peak_rss_bytes[0] > 10**7
    assert {"uniform", "cleanlab_default_clustered"} <= stored(result).keys()
    shown = CurationResult.model_validate(stored(result))
    assert shown.embedded_mislabel_rate_before == rate
    assert [row.arm for row in shown.pays["0.10"]] == list(downstream_accuracy.ARMS)
    assert curation.run(SMALL, small_checkout / "work", silent) == result
