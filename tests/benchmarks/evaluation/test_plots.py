"""``dvc plots show`` and ``dvc plots diff`` draw every plot of dvc.yaml from the tables that ``measure`` writes."""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from dvc.cli import main
from dvc.render.match import match_defs_renderers
from dvc.repo import Repo

from benchmarks.evaluation.plots import plot_rows
from benchmarks.evaluation.predictions import CHECKPOINT, Predictions
from pipeline.data.storage import write_csv
from tests.benchmarks.evaluation.measurements import measurement_of
from tests.benchmarks.small_task import NAMES
from tests.house import dvc_stages

Table = Callable[..., Predictions]
TRAINED = [{"epoch": i, "train_loss": 1 / i, "val_loss": 2 / i, "val_accuracy": 1 - 0.5 / i} for i in (1, 2, 3)]


def graded(table: Predictions) -> Predictions:
    """The same decisions, with margins that grow from row to row; the first rows are the wrong ones."""
    for values in table.probabilities.values():
        confidence = 0.5 + 0.49 * np.arange(1, len(values) + 1) / len(values)
        positive = np.where(values[:, 1] > 0.5, confidence, 1 - confidence)
        values[:] = np.stack([1 - positive, positive], axis=1)
    return table


def write_plots(folder: Path, table: Predictions) -> None:
    """Write everything that dvc.yaml draws."""
    factors = [{"light": "night" if i % 10 == 0 else "day", "place": f"place {i % 97}"} for i in range(len(table.ids))]
    table = replace(table, factors=factors)
    for name, rows in {**plot_rows(table, measurement_of(table)), "train": TRAINED}.items():
        write_csv(folder / "plots" / f"{name}.csv", rows)


@pytest.fixture(scope="module")
def definitions(root: Path) -> list[dict[str, Any]]:
    plots: list[dict[str, Any]] = yaml.safe_load((root / "dvc.yaml").read_text(encoding="utf-8"))["plots"]
    return plots


@pytest.fixture
def repository(root: Path, tmp_path: Path, definitions: list[dict[str, Any]], table: Table) -> Path:
    """A DVC repository with dvc.yaml's plots and templates, and their data in one commit."""

    def git(*arguments: str) -> None:
        identity = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", *identity, *arguments], cwd=tmp_path, check=True)

    git("init", "--quiet")
    Repo.init(str(tmp_path)).close()
    shutil.copytree(root / ".dvc" / "plots", tmp_path / ".dvc" / "plots", dirs_exist_ok=True)
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({"plots": definitions}, sort_keys=False), encoding="utf-8")
    write_plots(tmp_path, graded(table(200)))
    git("add", "--all")
    git("commit", "--quiet", "--message", "measured")
    return tmp_path


def drawn(repository: Path, *revisions: str) -> dict[str, dict[str, Any]]:
    """Plot -> its filled Vega-Lite specification; any error on the way fails."""
    with Repo(str(repository)) as repo:
        data = repo.plots.diff(revs=list(revisions)) if revisions else repo.plots.show()
        matches = match_defs_renderers(data, out=repository / "out", templates_dir=repo.plots.templates_dir)
        assert [match.source_errors or match.definition_errors for match in matches] == [{}] * len(matches)
        return {match.renderer.name: match.renderer.get_filled_template() for match in matches}


def test_exactly_the_plots_of_dvc_yaml_are_drawn(repository: Path, definitions: list[dict[str, Any]]) -> None:
    specifications = drawn(repository)
    assert list(specifications) == [name for definition in definitions for name in definition]
    for name, specification in specifications.items():
        assert specification["data"]["values"], name
        assert specification["title"]["text"], name
        assert "<DVC_METRIC" not in json.dumps(specification), name


def test_a_plot_shows_two_revisions_side_by_side(repository: Path, table: Table) -> None:
    write_plots(repository, graded(table(200, {"tflite-float32": 40})))
    for name, specification in drawn(repository, "HEAD", "workspace").items():
        assert {row["rev"] for row in specification["data"]["values"]} == {"HEAD", "workspace"}, name
    text = (repository / ".dvc/plots/small_multiples.json").read_text(encoding="utf-8")
    assert '"color": {"field": "rev"' in text


def test_the_page_of_plots_draws_without_a_network(
    repository: Path, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(root / ".dvc/config", repository / ".dvc/config")
    monkeypatch.chdir(repository)
    assert main(["plots", "diff", "HEAD", "--out", "page"]) == 0
    page = (tmp_path / "page/index.html").read_text(encoding="utf-8")
    assert re.findall(r"<(?:script|link|iframe)[^>]+(?:src|href)=", page) == [], "loads nothing"
    assert page.count("vegaEmbed('#") == len(drawn(repository)), "one call per plot"
    scripts = re.findall(r"<script>/\* (\S+) \d+\.\d+\.\d+ \*/", page[: page.index("vegaEmbed('#")])
    assert scripts == ["vega", "vega-lite", "vega-embed"]


def fields(specification: object) -> set[str]:
    """Fields that a template of our own reads from the data itself."""
    if isinstance(specification, list):
        return set().union(*map(fields, specification))
    if not isinstance(specification, dict):
        return set()
    read = {specification["field"]} if isinstance(specification.get("field"), str) else set()
    return read.union(*map(fields, specification.values()))


def computed_columns(specification: dict[str, Any]) -> set[str]:
    return {step["as"] for step in specification.get("transform", [])}


@pytest.mark.parametrize("name", ["roc", "calibration", "coverage", "slices", "accuracy_size"])
def test_a_template_reads_existing_columns(repository: Path, name: str) -> None:
    specification = drawn(repository)[name]
    rows = specification["data"]["values"]
    assert fields({**specification, "data": {}}) - computed_columns(specification) <= set(rows[0])
    for step in specification["transform"]:
        column = step["calculate"].partition("toNumber(datum")[2].partition(")")[0].strip(".[]'")
        assert all(float(row[column]) >= 0 for row in rows), f"{name}: {step}"


def test_plots_that_dvc_yaml_names_are_outs_of_a_stage_that_dvc_draws_once(definitions: list[dict[str, Any]]) -> None:
    named = {path for definition in definitions for plot in definition.values() for path in plot["y"]}
    outs = {
        path
        for stage in dvc_stages().values()
        for out in stage.get("outs", [])
        if isinstance(out, dict)
        for path in out
    }
    assert named <= outs
    assert {path for path in outs if path.startswith("plots/")} == named


def test_a_plot_without_rows_leaves_the_other_plots(repository: Path) -> None:
    write_csv(repository / "plots/accuracy_size.csv", [])
    specifications = drawn(repository)
    assert specifications["accuracy_size"] == {}
    assert specifications["roc"]["data"]["values"]


def coverage_rows(table: Predictions) -> list[dict[str, Any]]:
    return [dict(row) for row in plot_rows(table, measurement_of(table))["coverage"]]


def test_accuracy_rises_as_coverage_falls(table: Table) -> None:
    rows = coverage_rows(graded(table(2000, {CHECKPOINT: 300})))
    own = [row for row in rows if row["artifact"] == CHECKPOINT]
    assert {row["artifact"] for row in rows} == {CHECKPOINT, *NAMES}
    assert len(own) == 100
    coverage, accuracy = [[row[name] for row in own] for name in ("coverage", "accuracy")]
    assert coverage == sorted(coverage, reverse=True)
    assert accuracy == sorted(accuracy)
    assert (coverage[0], accuracy[0]) == (1.0, 0.85)
    assert accuracy[15:] == [1.0] * 85
    assert own[10] == {"artifact": CHECKPOINT, "coverage": 0.9, "accuracy": round(1700 / 1800, 6), "set": "rendered"}


def test_few_selfies_give_one_point_each_and_unusable_predictions_none(table: Table) -> None:
    broken = graded(table(7))
    broken.probabilities["onnx-float32"][3] = np.nan
    rows = coverage_rows(broken)
    assert sum(row["artifact"] == CHECKPOINT for row in rows) == 7
    assert all(row["artifact"] != "onnx-float32" for row in rows)
    assert coverage_rows(table(0)) == []


def test_an_artifact_without_usable_predictions_has_no_point(table: Table, tmp_path: Path) -> None:
    broken = table(200)
    broken.probabilities["coreml-float16"][3] = np.nan
    write_plots(tmp_path, broken)
    with (tmp_path / "plots/accuracy_size.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["artifact"]: row for row in csv.DictReader(file)}
    assert set(rows) == set(NAMES) - {"coreml-float16"}
    assert float(rows["tflite-float32"]["accuracy"]) == 0.98
    assert int(rows["tflite-float32"]["size_bytes"]) == 10**6


def test_slices_below_the_minimum_are_not_drawn(table: Table, tmp_path: Path) -> None:
    write_plots(tmp_path, table(400))
    text = (tmp_path / "plots/slices.csv").read_text(encoding="utf-8")
    assert "light=night,40," in text
    assert "place=" not in text
