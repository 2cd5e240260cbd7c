"""``gossamer review`` as a person runs it: it prints an address, and nothing decided is lost however it ends."""

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
from tests.pipeline.curate.review_app.small_desk import lay_out, paths_in


@contextmanager
def review(folder: Path, root: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A running ``gossamer review`` and the address it printed."""
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
    place = urlsplit(url)
    connection = http.client.HTTPConnection(place.netloc, timeout=30)
    headers = {"Content-Type": "application/json", "Origin": f"http://{place.netloc}"}
    body = f'{{"image_id": "{image_id}", "decision": "keep"}}'
    connection.request("POST", f"{place.path}decisions", body, headers)
    status = connection.getresponse().status
    connection.close()
    return status


def test_ctrl_c_says_what_was_written_and_what_is_next(tmp_path: Path, root: Path) -> None:
    paths = lay_out(tmp_path, 12)
    with review(tmp_path, root) as (process, url):
        assert url.startswith("http://127.0.0.1:")
        assert [keep(url, "00000"), keep(url, "00003")] == [200, 200]
        process.send_signal(signal.SIGINT)
        told, complaints = process.communicate(timeout=60)
    assert process.returncode == 0
    assert told.endswith("2 decisions written to data/decisions.jsonl; run: dvc repro curate\n")
    assert complaints == ""
    assert len(read_decisions(paths.decisions)) == 2


def test_a_review_without_decisions_prints_that_the_file_is_unchanged(tmp_path: Path, root: Path) -> None:
    paths = lay_out(tmp_path, 12)
    with review(tmp_path, root) as (process, _):
        process.send_signal(signal.SIGINT)
        told = process.communicate(timeout=60)[0]
    assert process.returncode == 0
    assert told.endswith("no decisions made; data/decisions.jsonl is unchanged\n")
    assert not paths.decisions.exists()


def test_a_kill_loses_no_decision(tmp_path: Path, root: Path) -> None:
    paths = lay_out(tmp_path, 12)
    with review(tmp_path, root) as (process, url):
        assert keep(url, "00003") == 200
        process.kill()
        process.communicate(timeout=60)
    assert [one.image_id for one in read_decisions(paths.decisions)] == ["00003"]


@pytest.mark.parametrize("words", [[], ["--open"]])
def test_the_browser_opens_only_if_asked(words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lay_out(tmp_path, 12)
    monkeypatch.chdir(tmp_path)
    opened: list[str] = []

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("webbrowser.open", opened.append)
    monkeypatch.setattr("pipeline.curate.review_app.server.DeskServer.serve_forever", interrupt)
    result = CliRunner().invoke(app, ["review", *words])
    assert result.exit_code == 0, result.output
    assert opened == [url for url in (result.output.split()[1],) if words]


def test_help_teaches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    told = CliRunner().invoke(app, ["review", "--help"]).output
    assert all(words in told for words in ("--open", "--port", "Ctrl-C", "dvc repro curate", "data/decisions.jsonl"))


def test_nothing_to_review_yet_names_the_next_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["review"])
    assert result.exit_code == 2
    assert "data/images/index.jsonl: missing" in result.stderr
    assert "dvc repro" in result.stderr
    assert not paths_in(tmp_path).decisions.exists()
