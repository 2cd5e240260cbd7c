"""A small Git and DVC repository with the product's own code and some stages of dvc.yaml, to test what DVC does.

The code is copied from the working tree, so that a test can change the copy.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.house import FINGERPRINT, ROOT

CODE = ("pipeline", "benchmarks", "export")


@dataclass(frozen=True, slots=True)
class SmallRepository:
    """The repository.

    Attributes:
        folder: Its root.
    """

    folder: Path

    def start(self, *command: str, **options: Any) -> subprocess.Popen[str]:
        """Start a command in the repository; its output is one text stream."""
        environment = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "DVC_ROOT"}}
        environment |= {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "DVC_NO_ANALYTICS": "1",
            "DVC_SITE_CACHE_DIR": str(self.folder.parent / "dvc-site"),
        }
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            **options,
        )

    def run(self, *command: str) -> str:
        """Run a command in the repository; returns what it printed."""
        process = self.start(*command)
        printed, _ = process.communicate()
        assert process.returncode == 0, f"{' '.join(command)}:\n{printed}"
        return printed

    def repro(self, *targets: str) -> list[str]:
        """Run ``dvc repro``; returns the names of the stages that ran, without the one that always runs."""
        printed = self.run("dvc", "repro", *targets)
        return stages_run(printed)

    def change_params(self, change: Callable[[dict[str, Any]], None]) -> None:
        """Change the values of params.yaml."""
        path = self.folder / "params.yaml"
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
        change(values)
        path.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")

    def commit(self) -> None:
        """Commit everything that Git does not ignore."""
        self.run("git", "add", "--all")
        self.run("git", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "--message", "all")


def stages_run(printed: str) -> list[str]:
    """Names of the stages that ``dvc repro`` ran, from what it printed, without the one that always runs."""
    stages = [line.split("'")[1] for line in printed.splitlines() if line.startswith("Running stage")]
    return [stage for stage in stages if stage != FINGERPRINT]


def make_repository(folder: Path, stages: Sequence[str]) -> SmallRepository:
    """Make a repository with some stages of dvc.yaml, all policies, params.yaml, and the code without the weights."""
    folder.mkdir(parents=True)
    repository = SmallRepository(folder)
    for name in CODE:
        ignored = shutil.ignore_patterns("__pycache__", "weights", "results")
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    shutil.copytree(ROOT / "policies", folder / "policies")
    for name in ("params.yaml", ".gitignore", ".dvcignore"):
        shutil.copy(ROOT / name, folder / name)
    declared = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    kept = {name: stage for name, stage in declared.items() if name in {FINGERPRINT, *stages}}
    for name in stages:
        stage = kept[name]
        stage["deps"] = [dep for dep in stage.get("deps", ()) if "/weights" not in dep]
    text = yaml.safe_dump({"stages": kept}, sort_keys=False)
    (folder / "dvc.yaml").write_text(text, encoding="utf-8")
    repository.run("git", "init", "--quiet")
    repository.run("dvc", "init", "--quiet")
    repository.commit()
    return repository
