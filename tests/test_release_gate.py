"""The workflow on GitHub and ``make gate`` run commands that exist, in the right order, and fail if the gate fails."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from dvc.cli.parser import get_main_parser
from typer.main import get_command
from typer.testing import CliRunner

from benchmarks.evaluation.accuracy import measure_params_hash, policy_facts
from benchmarks.evaluation.predictions import CHECKPOINT, Predictions
from benchmarks.gate.provenance import gate_inputs
from pipeline.cli import app
from pipeline.config.params import load_params
from pipeline.config.policy import load_policy
from pipeline.data.hashing import content_hash
from pipeline.data.records import Check, MeasureInputs, Outcome, Verdict
from pipeline.data.storage import write_json
from tests.benchmarks.evaluation.measurements import measurement_of
from tests.house import ROOT, dvc_stages

Step = dict[str, Any]
PATH = ROOT / ".github/workflows/release-gate.yml"
COMMANDS = ("dvc", "make", "gossamer", "cml", "sed", "cat")


def workflow() -> dict[Any, Any]:
    found: dict[Any, Any] = yaml.safe_load(PATH.read_text(encoding="utf-8"))
    return found


def steps() -> list[Step]:
    (job,) = workflow()["jobs"].values()
    return list(job["steps"])


def step(words: str) -> Step:
    """The only step whose name or script contains these words."""
    (found,) = (each for each in steps() if words in each.get("name", "") or words in each.get("run", ""))
    return found


def commands(program: str) -> list[list[str]]:
    """Arguments of each call of a program in the workflow's scripts, redirections and variables left out."""
    script = "\n".join(each["run"] for each in steps() if "run" in each)
    calls = re.findall(rf"(?:^|\$\(|\s){program} ([^\n)>;]*)", script)
    return [[word for word in shlex.split(words) if word != "$ALLOW"] for words in calls]


def outs() -> set[str]:
    """Everything that a stage of dvc.yaml writes: its outs, and the files of report/, which its command names."""
    written: set[str] = set()
    for stage in dvc_stages().values():
        written |= {word for word in str(stage["cmd"]).split() if word.startswith("report/")}
        for out in (*stage.get("outs", []), *stage.get("metrics", [])):
            written |= {out} if isinstance(out, str) else set(out)
    return written


def run(script: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a step's script as GitHub does: bash, which stops at the first error."""
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", script],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def write_run(*verdicts: Outcome) -> None:
    """Write a run of the default policy: metrics/gate.json has one check per given verdict."""
    shutil.copy2(ROOT / "params.yaml", "params.yaml")
    shutil.copytree(ROOT / "policies", "policies")
    policy, params, table = load_policy(Path("policies/helmet.yaml")), load_params(), made_up_predictions()
    facts = policy_facts(policy, params.gate.slice_pairs)
    inputs = MeasureInputs(
        policy=content_hash(policy),
        params=measure_params_hash(params.measure, facts),
        artifacts={},
        predictions=table.content_hash(),
    )
    measurement = measurement_of(table).model_copy(update={"inputs": inputs})
    write_json(Path("metrics/measure.json"), measurement)
    checks = tuple(
        Check(name=f"check_{i}", artifact="onnx-float32", value=1, limit=1, verdict=each, reason=f"reason {i}")
        for i, each in enumerate(verdicts)
    )
    overall: Outcome = "fail" if "fail" in verdicts else "unmeasured" if "unmeasured" in verdicts else "pass"
    decided_on = gate_inputs(params.gate, measurement, table, None)
    verdict = Verdict(verdict=overall, baseline="v1", checks=checks, inputs=decided_on)
    write_json(Path("metrics/gate.json"), verdict)


def made_up_predictions() -> Predictions:
    """Predictions of the checkpoint on two selfies."""
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8]], np.float32)
    ids, labels = ("selfie-0", "selfie-1"), ("no_helmet", "helmet")
    return Predictions(ids, ids, np.array([0, 1]), labels, {CHECKPOINT: 0.5}, {CHECKPOINT: probabilities})


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A folder of programs that only print their arguments; ``gossamer`` exits with $CODE."""
    folder = tmp_path / ".venv/bin"
    folder.mkdir(parents=True)
    for name, ends in {"gossamer": "exit $CODE", "dvc": "exit 0"}.items():
        (folder / name).write_text(f'#!/bin/sh\necho "{name} $*"\n{ends}\n', encoding="utf-8")
        (folder / name).chmod(0o755)
    return folder


def test_the_workflow_runs_on_every_pull_request_and_by_hand() -> None:
    triggers = workflow()[True]  # YAML 1.1 reads the word "on" as true
    assert set(triggers) == {"pull_request", "workflow_dispatch"}
    assert triggers["workflow_dispatch"]["inputs"]["allow_unmeasured"]["default"] is False


def test_the_workflow_token_has_least_privilege() -> None:
    found = workflow()
    assert found["permissions"] == {"contents": "read", "pull-requests": "write"}
    assert all("permissions" not in job for job in found["jobs"].values())
    assert "secrets." not in PATH.read_text(encoding="utf-8")
    assert "pull_request_target" not in PATH.read_text(encoding="utf-8")


def test_actions_are_pinned_by_major_version() -> None:
    used = [each["uses"] for each in steps() if "uses" in each]
    assert len(used) == 6
    for action in used:
        assert re.fullmatch(r"(actions|iterative)/[a-z/-]+@v\d+", action), action


def test_scripts_take_values_of_a_pull_request_only_from_the_environment() -> None:
    for each in steps():
        assert "${{" not in each.get("run", ""), each
        assert subprocess.run(["bash", "-n"], input=each.get("run", ""), text=True, check=False).returncode == 0


def test_every_script_line_runs_a_program_that_these_tests_check() -> None:
    words = {"if", "else", "fi", "echo", *COMMANDS}
    for each in steps():
        for line in each.get("run", "").splitlines():
            assert line.split()[0] in words, line


def test_make_targets_of_the_workflow_exist() -> None:
    targets = [*commands("make"), ["gate"], ["repro"]]
    assert [".venv/.ready"] in targets
    for target in targets:
        done = subprocess.run(
            ["make", "-n", "PYTHON=python", *target], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr


def test_dvc_accepts_the_commands_of_the_workflow() -> None:
    parser = get_main_parser()
    used = commands("dvc")
    assert [words[0] for words in used] == ["remote", "pull", "checkout", "metrics", "plots"]
    for words in used:
        parser.parse_args(words)


def test_gossamer_accepts_the_commands_of_the_workflow() -> None:
    used = commands("gossamer")
    assert used == [["verdict"]]
    cli = get_command(app)
    for words in [*used, ["verdict", "--allow-unmeasured"]]:
        command = cli.commands[words[0]]  # type: ignore[attr-defined]
        command.make_context(words[0], words[1:])


def test_the_workflow_uploads_paths_that_stages_write() -> None:
    written = outs()
    uploaded = next(each for each in steps() if each.get("id") == "upload")["with"]["path"].split()
    for folder in uploaded:
        assert any(path.startswith(folder) for path in written), folder
    assert commands("cml") == [["comment", "create", "--publish=false", "report/summary.md"]]
    text = PATH.read_text(encoding="utf-8")
    named = set(re.findall(r"(?:report|metrics|plots)/[\w./]+", text)) - {"report/metrics.md", "report/plots"}
    assert named <= written
    assert {name for name in ("requirements.lock",) if not (ROOT / name).is_file()} == set()


def test_the_cache_is_saved_even_if_the_job_fails_and_the_verdict_is_the_last_step() -> None:
    order = [each.get("name") or each["uses"].partition("@")[0] for each in steps()]
    restore, repro, save = (
        next(at for at, name in enumerate(order) if words in name)
        for words in ("Restore DVC", "Run the stages", "Save DVC")
    )
    assert restore < order.index("Pull") < repro < save < order.index("Comment") < order.index("Verdict")
    assert order[-1] == "Verdict"
    assert step("Save DVC")["if"] == "${{ !cancelled() }}"
    for name in ("Verdict", "Run the stages"):
        assert not {"if", "continue-on-error"} & set(step(name))
    history = next(each for each in steps() if each.get("uses", "").startswith("actions/checkout"))["with"]
    assert history["fetch-depth"] == 0


def test_only_pull_requests_of_this_repository_get_a_comment() -> None:
    ours = "${{ github.event.pull_request.head.repo.full_name == github.repository }}"
    assert step("cml comment")["if"] == ours
    assert next(each for each in steps() if each.get("uses", "").startswith("iterative"))["if"] == ours


@pytest.mark.parametrize(("remote", "printed"), [("", "::notice::No DVC remote"), ("store\ts3://x", "dvc pull")])
def test_a_missing_remote_is_a_notice_and_not_an_error(tmp_path: Path, tools: Path, remote: str, printed: str) -> None:
    fake = f'#!/bin/sh\ncase "$1" in remote) printf "{remote}" ;; *) echo "dvc $*" ;; esac\n'
    (tools / "dvc").write_text(fake, encoding="utf-8")
    done = run(step("dvc pull")["run"], tmp_path, PATH=f"{tools}:{os.environ['PATH']}")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(printed)


def test_the_links_of_the_comment_point_to_the_uploaded_report(tmp_path: Path) -> None:
    template = (ROOT / "benchmarks/report/templates/summary.md.j2").read_text(encoding="utf-8")
    links = re.findall(r"^\[\w+\]: .*$", template, re.MULTILINE)
    assert len(links) == 3
    (tmp_path / "report").mkdir()
    (tmp_path / "report/summary.md").write_text("\n".join(["Look at: [x][report]", "", *links]), encoding="utf-8")
    url = "https://example.org/a/b/actions/runs/1/artifacts/2"
    done = run(step("sed -i")["run"], tmp_path, ARTIFACT=url, GITHUB_STEP_SUMMARY=str(tmp_path / "seen.md"))
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "seen.md").read_text(encoding="utf-8")
    assert text.count(url) == 3
    assert "index.html" not in text
    assert text.startswith("Look at: [x][report]")


@pytest.mark.parametrize(
    ("verdicts", "options", "code"),
    [
        (("pass", "pass"), [], 0),
        (("pass", "unmeasured"), [], 1),
        (("pass", "unmeasured"), ["--allow-unmeasured"], 0),
        (("unmeasured", "fail"), ["--allow-unmeasured"], 1),
        (("fail",), [], 1),
        ((), [], 1),
    ],
)
def test_the_verdict_command_prints_reasons_and_exits_with_1_unless_the_verdict_is_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verdicts: tuple[Outcome, ...], options: list[str], code: int
) -> None:
    monkeypatch.chdir(tmp_path)
    write_run(*verdicts)
    done = CliRunner().invoke(app, ["verdict", *options])
    assert done.exit_code == code, done.output
    for i, each in enumerate(verdicts):
        assert (f"reason {i}" in done.output) == (each != "pass")


def test_the_error_for_a_missing_verdict_names_the_next_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["verdict", "--allow-unmeasured"])
    assert done.exit_code == 2
    assert "metrics/gate.json: missing" in done.stderr
    assert "dvc repro" in done.stderr


@pytest.mark.parametrize(("allow", "called"), [("", "gossamer verdict"), ("-x", "gossamer verdict -x")])
@pytest.mark.parametrize("code", [0, 1])
def test_the_last_step_exits_with_the_status_of_the_verdict(
    tmp_path: Path, tools: Path, allow: str, called: str, code: int
) -> None:
    script = step("Verdict")["run"]
    done = run(script, tmp_path, ALLOW=allow, CODE=str(code), PATH=f"{tools}:{os.environ['PATH']}")
    assert (done.returncode, done.stdout.strip()) == (code, called)


@pytest.mark.parametrize("code", [0, 1])
def test_make_gate_runs_the_stages_prints_the_comment_and_fails_if_the_verdict_does(
    tmp_path: Path, tools: Path, code: int
) -> None:
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        shutil.copy2(ROOT / name, tmp_path / name)
    (tools.parent / ".ready").touch()
    (tmp_path / "report").mkdir()
    (tmp_path / "report/summary.md").write_text("## the comment\n", encoding="utf-8")
    done = run("make --silent PYTHON=python gate", tmp_path, CODE=str(code))
    assert (done.returncode == 0) == (code == 0), done.stderr
    assert done.stdout.splitlines() == ["dvc repro report", "## the comment", "gossamer verdict"]


def test_make_gate_prints_no_verdict_if_a_stage_fails(tmp_path: Path, tools: Path) -> None:
    shutil.copy2(ROOT / "Makefile", tmp_path / "Makefile")
    for name in ("requirements.lock", "pyproject.toml"):
        (tmp_path / name).touch()
    (tools.parent / ".ready").touch()
    (tools / "dvc").write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    done = run("make --silent PYTHON=python gate", tmp_path, CODE="0")
    assert done.returncode != 0
    assert "gossamer" not in done.stdout
