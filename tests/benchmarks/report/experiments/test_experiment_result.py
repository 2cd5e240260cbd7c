"""Reading one result file of an experiment."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.experiments import canonical_name
from benchmarks.report.experiments.curation import CurationResult
from benchmarks.report.experiments.experiment_result import Machine, read_result
from benchmarks.report.experiments.results import read_experiment_results
from pipeline.errors import DataError


def test_a_missing_file_is_no_result(tmp_path: Path) -> None:
    assert read_result(tmp_path, CurationResult) is None


def test_keys_that_the_report_does_not_show_are_ignored(tmp_path: Path) -> None:
    text = '{"of_a_later_version": 1, "machine": {"cpu": "A Fine CPU", "cores": 2, "memory_gib": 8.0}}'
    (tmp_path / "curation.json").write_text(text, encoding="utf-8")
    result = read_result(tmp_path, CurationResult)
    assert result is not None
    assert result.machine == Machine(cpu="A Fine CPU", cores=2)
    assert str(result.machine) == "A Fine CPU, 2 cores"


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("compare", "[1, 2", r"compare\.json: the file: Invalid JSON"),
        ("curation", "[]", r"curation\.json: the file: "),
        ("curation", '{"uniform": 3}', r"curation\.json: uniform: "),
        ("curation", '{"defects": {"blank": {"recall": 0.9}}}', r"curation\.json: defects\.blank\.recall\.low: "),
        ("embedded", '{"agreement": {"helmet": "high"}}', r"embedded\.json: agreement\.helmet: "),
        ("exports", '{"net": {"checkpoint": 1}}', r"exports\.json: backbones\.net\.checkpoint: "),
    ],
)
def test_a_damaged_result_names_file_key_and_command(tmp_path: Path, name: str, text: str, problem: str) -> None:
    (tmp_path / f"{name}.json").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=rf"{problem}.*run gossamer benchmark {canonical_name(name)}"):
        read_experiment_results(tmp_path)
