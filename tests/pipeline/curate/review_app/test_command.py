"""``gossamer review`` prints its address and loses no decision, however it ends."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.curate.manual_decisions import read_decisions
from tests.pipeline.curate.review_app.small_session import paths_in, write_curated


@contextmanager
def review(folder: Path, root: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Start ``gossamer review``; yield the process and the address that it printed."""
    command = [sys.executable, "-m", "pipeline.cli", "review"]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=folder, env=environment, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            assert process.stdout is not None
            yield process, process.stdout.readline().removeprefix("review: ").strip()
        finally:
            process.kill()


def keep(url: str, image_id: str) -> int:
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.netloc, timeout=30)
    headers = {"Content-Type": "application/json", "Origin": f"http://{address.netloc}"}
    body = f'{{"image_id": "{image_id}", "decision": "keep"}}'
    connection.request("POST", f"{address.path}decisions", body, headers)
    status = connection.getresponse().status
    connection.close()
    return status


def test_ctrl_c_prints_the_number_of_decisions_and_the_next_command(tmp_path: Path, root: Path) -> None:
    paths = write_curated(tmp_path, 12)
    with review(tmp_path, root) as (process, url):
        assert url.startswith("http://127.0.0.1:")
        assert [keep(url, "00000"), keep(url, "00003")] == [200, 200]
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=60)
    assert process.returncode == 0
    assert output.endswith("2 decisions written to data/decisions.jsonl; run: dvc repro curate\n")
    assert errors == ""
    assert len(read_decisions(paths.decisions)) == 2


def test_a_session_without_decisions_writes_no_file(tmp_path: Path, root: Path) -> None:
    paths = write_curated(tmp_path, 12)
    with review(tmp_path, root) as (process, _):
        process.send_signal(signal.SIGINT)
        output = process.communicate(timeout=60)[0]
    assert process.returncode == 0
    assert output.endswith("no decisions made; data/decisions.jsonl is unchanged\n")
    assert not paths.decisions.exists()


def test_a_killed_session_loses_no_decision(tmp_path: Path, root: Path) -> None:
    paths = write_curated(tmp_path, 12)
    with review(tmp_path, root) as (process, url):
        assert keep(url, "00003") == 200
        process.kill()
        process.communicate(timeout=60)
    assert [decision.image_id for decision in read_decisions(paths.decisions)] == ["00003"]


@pytest.mark.parametrize("options", [[], ["--open"]])
def test_only_the_option_opens_the_browser(options: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_curated(tmp_path, 12)
    monkeypatch.chdir(tmp_path)
    opened: list[str] = []

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("webbrowser.open", opened.append)
    monkeypatch.setattr("pipeline.curate.review_app.server.ReviewServer.serve_forever", interrupt)
    result = CliRunner().invoke(app, ["review", *options])
    assert result.exit_code == 0, result.output
    assert opened == [url for url in (result.output.split()[1],) if options]


def test_help_names_options_files_and_the_next_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    output = CliRunner().invoke(app, ["review", "--help"]).output
    assert all(text in output for text in ("--open", "--port", "Ctrl-C", "dvc repro curate", "data/decisions.jsonl"))


def test_without_images_an_error_names_the_next_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["review"])
    assert result.exit_code == 2
    assert "data/images/index.jsonl: missing" in result.stderr
    assert "dvc repro" in result.stderr
    assert not paths_in(tmp_path).decisions.exists()
