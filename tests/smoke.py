"""The whole chain on tiny params, in a temporary clone: ``make smoke``, or ``make smoke POLICY=mask``.

Clones the last commit, makes params.yaml small, runs ``dvc repro`` twice and looks at what came out. The clone's own
code runs (PYTHONPATH), in this checkout's environment.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parent.parent
TINY: dict[str, dict[str, Any]] = {
    "prompts": {"count": 240},
    "generate": {"images_per_shard": 60},
    "train": {"epochs": 2},
    "selfies": {"count": 80},
    "convert": {"calibration_images": 16, "parity_images": 24},
    "measure": {"camera": {"selfies": 8, "artifact_selfies": 4, "severity": 3, "workers": 1, "seed": 6}},
}
FORMATS = ("coreml", "tflite", "onnx")


def clone(folder: Path, policy: str) -> Path:
    """Clone the last commit, set its policy and make its params small."""
    target = folder / "gossamer"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(target)], check=True)
    path = target / "params.yaml"
    params = yaml.safe_load(path.read_text(encoding="utf-8"))
    params["policy"] = policy
    for section, values in TINY.items():
        params[section].update(values)
    path.write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")
    return target


def repro(target: Path) -> str:
    """Run ``dvc repro`` in the clone; returns what it printed."""
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(target),
        "DVC_NO_ANALYTICS": "1",
        "DVC_SITE_CACHE_DIR": str(target.parent / "dvc-site"),
    }
    done = subprocess.run(
        ["dvc", "repro"],
        cwd=target,
        env=environment,
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        raise SystemExit(f"dvc repro ended with {done.returncode}:\n{done.stdout[-4000:]}")
    return done.stdout


def look(target: Path) -> dict[str, Any]:
    """Check that every artifact was measured and a verdict given; returns the verdict."""
    measured = json.loads((target / "metrics/measure.json").read_text(encoding="utf-8"))
    formats = {name.partition("-")[0] for name in measured["artifacts"]}
    verdict: dict[str, Any] = json.loads((target / "metrics/gate.json").read_text(encoding="utf-8"))
    page = (target / "report/index.html").read_text(encoding="utf-8")
    problems = [
        *(f"no artifact of {name}" for name in FORMATS if name not in formats),
        *(f"{name}: no accuracy" for name, row in measured["artifacts"].items() if row.get("accuracy") is None),
        *(f"{name}: not in the report" for name in measured["artifacts"] if name not in page),
        *([] if verdict["checks"] else ["the gate checked nothing"]),
    ]
    if problems:
        raise SystemExit("; ".join(problems))
    return verdict


def main(policy: str) -> None:
    """Clone, run twice, look."""
    with tempfile.TemporaryDirectory() as folder:
        target = clone(Path(folder), policy)
        start = time.perf_counter()
        repro(target)
        print(f"dvc repro: {time.perf_counter() - start:.0f} s")
        again = repro(target)
        if "Running stage" in again:
            raise SystemExit(f"a second dvc repro ran something:\n{again}")
        verdict = look(target)
        print(f"verdict: {verdict['verdict']} ({len(verdict['checks'])} checks); second dvc repro: nothing to do")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "helmet")
