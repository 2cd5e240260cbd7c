"""Runs the whole chain on small params in a temporary clone: ``make smoke``, or ``make smoke POLICY=mask``.

Clones the last commit, overrides params.yaml with ``SMALL``, runs ``make repro`` twice, checks the outputs, and runs
the commands that README.md and the Makefile name, from the release to ``make clean``. Without a policy, the policies
take turns, by the commit. The clone's own code runs (PYTHONPATH) in the environment of this checkout. Takes about four
minutes on two cores.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.house import ROOT
from tests.small_repository import stages_run

SMALL: dict[str, Any] = {
    "prompts": {"count": 200},
    "generate": {"images_per_shard": 50},
    "train": {"epochs": 2, "warmup_epochs": 1},
    "selfies": {"count": 60},
    "convert": {
        "calibration_images": 8,
        "parity_images": 16,
        "int8": {"max_log_odds_error": 9.0, "min_agreement": 0.0, "sensitivity_images": 4},
    },
    "measure": {"camera": {"selfies": 6, "artifact_selfies": 3}},
    "gate": {"min_accuracy": 0.0, "min_share_of_checkpoint": 0.0, "min_agreement": 0.0},
}
"""Values of params.yaml that make the chain quick, and limits that its model passes, so that a bundle is released."""
COMMANDS = (
    "make help",
    "make format",
    "gossamer --help",
    "gossamer doctor",
    "gossamer benchmark",
    "gossamer policy check policies/{policy}.yaml",
    "make gate",
    "gossamer verdict",
    "gossamer release 1.0.0",
    "gossamer verify release/{policy}-1.0.0",
    "gossamer parity artifacts/onnx/float32.onnx artifacts/onnx/static_wi8_ai8.onnx --layers",
    "dvc status",
    "dvc metrics show",
    "dvc metrics diff main",
    "dvc plots show",
    "dvc plots diff main",
    "dvc exp run -S report.sample_images=9 report",
    "dvc exp show --only-changed",
    "git -c user.name=smoke -c user.email=smoke@example.org commit --quiet --all --message=smoke",
    "gossamer baseline accept",
    "gossamer baseline fetch",
    "make clean",
)
"""Commands that README.md and the Makefile name, in the order they run in after the chain."""


def override(values: Mapping[str, Any], changes: Mapping[str, Any], place: str = "") -> dict[str, Any]:
    """Values with some of them replaced, section by section.

    Raises:
        KeyError: A change is of a key that params.yaml does not have.
    """
    result = dict(values)
    for key, value in changes.items():
        if key not in result:
            raise KeyError(f"params.yaml {place}{key}: no such key; change SMALL in tests/smoke.py")
        result[key] = override(result[key], value, f"{place}{key}.") if isinstance(value, dict) else value
    return result


def small_params(policy: str) -> dict[str, Any]:
    """This checkout's params.yaml with the policy set, the values of ``SMALL``, and few recipes per format."""
    values = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    small = override(values, {"policy": policy, **SMALL})
    for section in small["convert"]["formats"].values():
        section["recipes"] = float_and_8_bit(section["recipes"])
    return small


def float_and_8_bit(recipes: list[str]) -> list[str]:
    """The first recipe of a format in float and the first with 8-bit activations."""
    chosen = (next((recipe for recipe in recipes if kind in recipe), None) for kind in ("float", "ai8"))
    return [recipe for recipe in chosen if recipe]


def whose_turn(commit: str) -> str:
    """Name of the policy that a commit is tested with: the same one always, and each for about as many commits."""
    policies = sorted(path.stem for path in (ROOT / "policies").glob("*.yaml"))
    return policies[int(commit, 16) % len(policies)]


def clone(folder: Path, policy: str) -> Path:
    """Clone the last commit as a branch main, and write its small params; returns the clone, which installs nothing."""
    target = folder / "gossamer"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(target)], check=True)
    subprocess.run(["git", "switch", "--quiet", "--force-create", "main"], cwd=target, check=True)
    (target / ".venv").mkdir()
    (target / ".venv/.ready").touch()
    text = yaml.safe_dump(small_params(policy), sort_keys=False)
    (target / "params.yaml").write_text(text, encoding="utf-8")
    return target


def run(target: Path, *command: str) -> tuple[int, str]:
    """Run a command in the clone; returns its exit status and what it printed."""
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(target),
        "DVC_NO_ANALYTICS": "1",
        "DVC_SITE_CACHE_DIR": str(target.parent / "dvc-site"),
    }
    done = subprocess.run(
        command,
        cwd=target,
        env=environment,
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return done.returncode, done.stdout


def repro(target: Path) -> str:
    """Run ``make repro`` in the clone; returns what it printed."""
    status, printed = run(target, "make", "repro")
    if status:
        raise SystemExit(f"smoke: make repro exited with {status}:\n{printed[-4000:]}")
    return printed


def problems(target: Path) -> Iterator[str]:
    """What is wrong with the outputs of the chain, a line each."""
    params = yaml.safe_load((target / "params.yaml").read_text(encoding="utf-8"))
    formats = params["convert"]["formats"].items()
    expected = {f"{name}-{recipe}" for name, section in formats for recipe in section["recipes"]}
    measured = read_json(target / "metrics/measure.json")["artifacts"]
    page = (target / "report/index.html").read_text(encoding="utf-8")
    for name in sorted(expected ^ measured.keys()):
        yield f"{name}: {'measured' if name in measured else 'not measured'}; expected {', '.join(sorted(expected))}"
    for name, figures in measured.items():
        if figures.get("accuracy") is None:
            yield f"{name}: no accuracy in metrics/measure.json"
        if name not in page:
            yield f"{name}: not in report/index.html"
    for name in ("summary", "machine"):
        if not read_json(target / f"metrics/{name}.json"):
            yield f"metrics/{name}.json: no figures"
    if not read_json(target / "metrics/gate.json")["checks"]:
        yield "metrics/gate.json: no checks"


def problems_of_commands(target: Path, policy: str) -> Iterator[str]:
    """Commands of ``COMMANDS`` that fail, and what ``make clean`` leaves or takes."""
    note = target / "models/mine.txt"
    note.write_text("not Gossamer's", encoding="utf-8")
    for command in COMMANDS:
        status, printed = run(target, *command.format(policy=policy).split())
        if status:
            yield f"{command} exited with {status}:\n{printed[-4000:]}"
    if (target / "data/images").exists() or not note.exists():
        yield "make clean: left data/images, or took models/mine.txt, which is not Gossamer's"


def problems_without_report(target: Path) -> Iterator[str]:
    """What is wrong after the report and the figures of this machine are deleted and ``dvc repro`` has run again."""
    lock = (target / "dvc.lock").read_bytes()
    files = [target / "report" / name for name in ("index.html", "summary.md", "run.json")]
    for path in (*files, target / "metrics/machine.json"):
        path.unlink()
    printed = repro(target)
    if stages_run(printed) != ["report"]:
        yield f"make repro did not run the report alone after it was deleted:\n{printed}"
    for path in files:
        if not path.is_file():
            yield f"{path.relative_to(target)}: deleted, and not written again by dvc repro"
    if (target / "dvc.lock").read_bytes() != lock:
        yield "dvc.lock: differs without the figures of this machine"


def read_json(path: Path) -> dict[str, Any]:
    """Contents of a JSON file."""
    values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return values


def main(policy: str) -> None:
    """Clone, run the chain twice and all commands, check the outputs and print what was checked."""
    with tempfile.TemporaryDirectory() as folder:
        target = clone(Path(folder), policy)
        start = time.perf_counter()
        repro(target)
        print(f"smoke: make repro ran every stage for policy {policy} in {time.perf_counter() - start:.0f} s")
        again = repro(target)
        if stages_run(again):
            raise SystemExit(f"smoke: a second make repro ran a stage:\n{again}")
        print("smoke: a second make repro ran nothing")
        found = [*problems(target), *problems_without_report(target), *problems_of_commands(target, policy)]
        if found:
            raise SystemExit("\n".join(f"smoke: {problem}" for problem in found))
        measured = read_json(target / "metrics/measure.json")["artifacts"]
        checks = read_json(target / "metrics/gate.json")["checks"]
        print(f"smoke: every artifact has an accuracy and is in the report: {', '.join(measured)}")
        print(f"smoke: all {len(checks)} checks of the gate pass; these ran: {', '.join(COMMANDS)}")


if __name__ == "__main__":
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    main(sys.argv[1] if len(sys.argv) > 1 else whose_turn(head))
