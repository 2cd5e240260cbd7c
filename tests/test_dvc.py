"""What DVC does with the stages of dvc.yaml, in a small repository."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.house import dvc_stages
from tests.small_repository import make_repository


def test_a_stage_runs_the_code_of_the_folder_it_runs_in() -> None:
    for name, stage in dvc_stages().items():
        assert stage["cmd"].startswith(f"python -m pipeline.cli {name} "), name


@pytest.mark.slow
def test_a_queued_experiment_runs_its_own_copy_of_the_code(tmp_path: Path) -> None:
    repository = make_repository(tmp_path / "repository", ["prompts"])
    repository.change_params(lambda values: values["prompts"].update(count=40))
    repository.commit()
    stage = repository.folder / "pipeline/prompts/stage.py"
    text = stage.read_text(encoding="utf-8")
    changed = text.replace("distribution_metrics(policy, prompts),", '{"changed": 7},')
    assert changed != text
    stage.write_text(changed, encoding="utf-8")
    printed = repository.run("dvc", "exp", "run", "--temp", "--name", "changed")
    assert "Ran experiment" in printed, printed
    experiment = repository.run("git", "for-each-ref", "--format=%(objectname)", "refs/exps").split()[0]
    assert '"changed": 7' in repository.run("git", "show", f"{experiment}:metrics/prompts.json")
    assert not (repository.folder / "metrics").exists(), "the workspace is as it was"
