"""The benchmark of curation: the plan, what it says of defects, and a whole small run."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from benchmarks.experiment_harness.command_cost import run_measured
from benchmarks.experiments import curation
from benchmarks.experiments.curation import (
    LABELS,
    Course,
    Params,
    defect_figures,
    downstream_accuracy,
    label_judge,
    plan,
)
from pipeline.config.policy import load_policy
from pipeline.data.preprocess import encode_png
from pipeline.data.records import Image, Rejection
from pipeline.data.shards import Encoded, write_images
from pipeline.data.storage import write_json, write_rows
from pipeline.errors import DataError
from pipeline.prompts.prompt_sampler import draw_prompts
from pipeline.renderer import render

SMALL = Params(images=60, noise=(0.2,), defects=4, pays=((0.1, 60),), pays_seeds=(1,), cost_images=(60,))


@pytest.fixture
def course(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Course:
    monkeypatch.chdir(root)
    return Course(tmp_path, yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8")), Params())


def test_labels_are_those_of_the_policy_that_the_judge_knows(root: Path) -> None:
    assert tuple(load_policy(root / "policies" / "helmet.yaml").labels) == LABELS


def test_every_step_comes_after_those_it_needs(course: Course) -> None:
    seen: set[str] = set()
    for step in plan(course):
        assert set(step.before) <= seen, step.name
        assert step.name not in seen
        seen.add(step.name)
    trained = [name for name in seen if name.endswith("/train")]
    assert len(trained) == 2 * len(downstream_accuracy.ARMS) * 3


def test_arms_of_a_ground_differ_in_rows_and_seeds_alone(course: Course) -> None:
    _, ground = next(course.grounds())
    list(downstream_accuracy.steps(ground))
    one, other = (
        yaml.safe_load((course.work / f"pays-0.00-curated-seed-{seed}/params.yaml").read_text(encoding="utf-8"))
        for seed in (11, 13)
    )
    assert (one["train"].pop("seed"), other["train"].pop("seed")) == (11, 13)
    assert one == other


def picture(name: str, label: str = "helmet") -> Image:
    place = {"shard": "s", "offset": 0, "size_bytes": 1, "sha256": "0", "width": 96, "height": 128}
    return Image.model_validate({"id": name, "group": name, "label": label, "factors": {}, **place})


def test_as_many_are_taken_at_random_as_curation_kept() -> None:
    told = [picture(str(number)) for number in range(40)]
    kept = told[5:30]
    assert downstream_accuracy.choose_rows("everything", told, kept, 1) == told
    assert downstream_accuracy.choose_rows("curated", told, kept, 1) == kept
    taken = downstream_accuracy.choose_rows("random", told, kept, 1)
    assert len(taken) == 25
    assert taken != kept
    assert [int(image.id) for image in taken] == sorted({int(image.id) for image in taken})


def test_of_defects_it_is_told_how_many_went_and_why(tmp_path: Path) -> None:
    planted = {f"{kind}-{number}": kind for kind in curation.KINDS for number in range(4)}
    rows = [
        Rejection(image_id=name, label="helmet", reason=reason, score=0, threshold=1)
        for name, reason in (("blank-0", "low_information"), ("blank-1", "dark"), ("blur-3", "blurry"), ("x", "dark"))
    ]
    write_json(tmp_path / "planted.json", planted)
    write_rows(tmp_path / "data/rejected.jsonl", rows)
    found = defect_figures(tmp_path)
    assert found["blank"]["recall"] == 0.5
    assert (found["blank"]["low_information"], found["blank"]["dark"]) == (1, 1)
    assert found["duplicate"]["recall"] == 0
    assert (found["rejected"], found["precision"]) == (4, 0.75)


def test_the_judge_sees_helmets(root: Path, tmp_path: Path) -> None:
    prompts = draw_prompts(load_policy(root / "policies" / "helmet.yaml"), 60, 1, seed=97)
    pictures = [
        Encoded(p.id, p.group, p.label, p.factors, encode_png(render(p.factors, p.seed, (96, 128))), 96, 128)
        for p in prompts
    ]
    images = write_images(tmp_path, pictures, 30)
    wrong = label_judge.disagreements(tmp_path, LABELS)
    assert list(wrong) == [image.id for image in images]
    assert np.mean(list(wrong.values())) < 0.1
    found = label_judge.rate("error", list(wrong.values()))
    assert found["error_low"] <= found["error"] <= found["error_high"]  # type: ignore[operator]
    assert label_judge.rate("error", []) == {"error": None, "error_low": None, "error_high": None}


def test_a_command_is_measured_and_its_failure_told(tmp_path: Path) -> None:
    cost = run_measured(tmp_path, "--help")
    assert cost.seconds > 0
    assert cost.peak_rss_bytes > 10**7
    held = np.ones(50_000_000)
    again = run_measured(tmp_path, "--help")
    assert again.peak_rss_bytes < cost.peak_rss_bytes + held.nbytes / 2, "what this process holds is not counted"
    with pytest.raises(DataError, match="gossamer split nowhere ended with 2"):
        run_measured(tmp_path, "split", "nowhere")


@pytest.mark.slow
def test_a_small_run_from_prompts_to_figures(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = yaml.safe_load((root / "params.yaml").read_text(encoding="utf-8"))
    values["train"] |= {"epochs": 1, "threads": 1}
    values["curate"] |= {"workers": 1}
    values["generate"] |= {"workers": 1}
    values["selfies"]["count"] = 40
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    (tmp_path / "policies").symlink_to(root / "policies")
    monkeypatch.chdir(tmp_path)
    found = curation.run(SMALL, tmp_path / "work", lambda *_: None)
    for name in ("uniform", "clustered", "out_of_fold_uniform", "verifier_clustered", "cleanlab_default"):
        assert set(found[name]) == {"0.20"}
        assert found[name]["0.20"]["planted"] > 0
    assert found["uniform"]["0.20"]["recall"] > 0.5
    assert found["defects"]["blank"]["recall"] == 1
    assert found["embedded_images"] == 60
    assert 0 <= found["embedded_mislabel_rate_before_low"] <= found["embedded_mislabel_rate_before_high"] <= 1
    arms = found["pays"]["0.10"]
    assert [row["arm"] for row in arms] == list(downstream_accuracy.ARMS)
    assert arms[1]["images"] == arms[2]["images"] <= arms[0]["images"] == 60
    assert all(0 <= row["accuracy_low"] <= row["accuracy"] <= row["accuracy_high"] <= 1 for row in arms)
    assert found["cost"]["images"] == [60]
    assert found["cost"]["peak_rss_bytes"][0] > 10**7
    again = curation.run(SMALL, tmp_path / "work", lambda *_: None)
    assert json.dumps(again) == json.dumps(found)
