"""The desk's server: this machine alone, our own page alone, and never a success that is not on disk."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.curate.manual_decisions import read_decisions
from pipeline.curate.review_app.server import BODY_BYTES, DeskServer
from pipeline.data.shards import read_bytes
from pipeline.data.storage import write_rows
from pipeline.errors import DataError
from tests.pipeline.curate.review_app.small_desk import full_disk, serving, small_desk

KEEP = b'{"image_id": "00003", "decision": "keep"}'


@pytest.fixture
def server(tmp_path: Path) -> Iterator[DeskServer]:
    with serving(small_desk(tmp_path)) as running:
        yield running


def ask(
    server: DeskServer, method: str, path: str, body: bytes | None = None, **headers: str
) -> tuple[int, bytes, dict[str, str]]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=30)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, body, named)
    answer = connection.getresponse()
    found = answer.status, answer.read(), {name.lower(): value for name, value in answer.getheaders()}
    connection.close()
    return found


def get(server: DeskServer, place: str) -> tuple[int, bytes, dict[str, str]]:
    return ask(server, "GET", f"/{server.token}/{place}")


def post(server: DeskServer, body: bytes = KEEP, place: str = "decisions", **headers: str) -> tuple[int, str]:
    ours = {"Origin": f"http://127.0.0.1:{server.server_port}", "Content_Type": "application/json"}
    status, answer, _ = ask(server, "POST", f"/{server.token}/{place}", body, **{**ours, **headers})
    return status, answer.decode()


def test_the_page_lets_in_nothing_but_itself(server: DeskServer) -> None:
    status, page, headers = get(server, "")
    policy = headers["content-security-policy"]
    nonce = policy.partition("'nonce-")[2].partition("'")[0]
    assert status == 200
    assert policy.startswith("default-src 'none'; script-src 'nonce-")
    assert page.decode().count(f'nonce="{nonce}"') == 2
    assert b"__NONCE__" not in page
    assert headers["referrer-policy"] == "no-referrer"
    assert get(server, "")[1] != page, "a new nonce each time"


def test_the_page_names_no_other_host(server: DeskServer) -> None:
    assert b"://" not in get(server, "")[1]


def test_the_listing_is_the_desks(server: DeskServer) -> None:
    status, body, headers = get(server, "listing")
    assert (status, headers["content-type"], headers["cache-control"]) == (200, "application/json", "no-store")
    assert json.loads(body) == server.desk.listing()


def test_a_picture_is_the_bytes_of_its_shard(server: DeskServer) -> None:
    status, body, headers = get(server, "image/00003")
    assert (status, headers["content-type"]) == (200, "image/png")
    assert body == read_bytes(server.desk.paths.images, server.desk.tiles["00003"].image)


@pytest.mark.parametrize("place", ["image/99999", "image/..%2f..%2fkept.jsonl", "kept.jsonl", "decisions"])
def test_what_is_not_on_the_desk_is_not_found(server: DeskServer, place: str) -> None:
    assert get(server, place)[0] == 404


def test_a_damaged_shard_is_told(server: DeskServer) -> None:
    shard = server.desk.paths.images / server.desk.tiles["00003"].image.shard
    shard.write_bytes(bytes(shard.stat().st_size))
    status, body, _ = get(server, "image/00003")
    assert status == 404
    assert b"is not the one in index.jsonl" in body


def test_a_decision_is_on_disk_when_it_is_answered(server: DeskServer) -> None:
    assert post(server) == (200, '{"made": 1}')
    (made,) = read_decisions(server.desk.paths.decisions)
    assert (made.image_id, made.decision) == ("00003", "keep")


@pytest.mark.parametrize("path", ["/", "/listing", "/wrong/", "/wrong/listing", "/%C3%A9/listing"])
def test_a_wrong_token_is_refused(server: DeskServer, path: str) -> None:
    status, body, _ = ask(server, "GET", path)
    assert (status, body) == (404, b"expected the address that gossamer review printed")


@pytest.mark.parametrize("host", ["gossamer.example", "127.0.0.1", "127.0.0.1:1", ""])
def test_a_wrong_host_is_refused(server: DeskServer, host: str) -> None:
    assert ask(server, "GET", f"/{server.token}/listing", Host=host)[0] == 403
    assert post(server, Host=host)[0] == 403
    assert server.desk.made == 0


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://gossamer.example"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Content_Type": "text/plain"},
        {"Content_Type": "application/x-www-form-urlencoded"},
    ],
)
def test_a_decision_of_another_page_is_refused(server: DeskServer, headers: dict[str, str]) -> None:
    assert post(server, **headers) == (403, "decisions are taken from the desk's own page")
    assert server.desk.made == 0


@pytest.mark.parametrize("length", [str(BODY_BYTES + 1), "9" * 5000, "-1", "many", "1_0"])
def test_a_body_that_is_too_long_is_not_read(server: DeskServer, length: str) -> None:
    assert post(server, Content_Length=length)[0] == 413


@pytest.mark.parametrize(
    "body",
    [
        b'{"image_id": "99999", "decision": "keep"}',
        b'{"image_id": "00003", "decision": "relabel"}',
        b'{"image_id": "00003", "decision": "keep", "label": "helmet"}',
        b"not json",
        b"",
    ],
)
def test_what_is_no_decision_on_a_picture_here_is_refused(server: DeskServer, body: bytes) -> None:
    status, why = post(server, body)
    assert status == 400
    assert why.startswith("not a decision on a picture here")
    assert not server.desk.paths.decisions.exists()


def test_a_decision_posted_elsewhere_is_not_found(server: DeskServer) -> None:
    assert post(server, place="listing")[0] == 404


def test_a_full_disk_is_said_and_the_decision_does_not_hold(server: DeskServer) -> None:
    with full_disk(server.desk.paths.decisions):
        status, why = post(server)
    assert status == 507
    assert why == f"{server.desk.paths.decisions}: File too large"
    assert server.desk.decided == {}
    assert post(server)[0] == 200


def test_only_the_loopback_answers(server: DeskServer) -> None:
    assert server.server_address[0] == "127.0.0.1"
    with pytest.raises(OSError, match=r"refused|timed out|unreachable|assign"):
        socket.create_connection(("127.0.0.2", server.server_port), timeout=2)


def test_a_page_that_goes_away_leaves_no_trace(server: DeskServer, capfd: pytest.CaptureFixture[str]) -> None:
    rows = [tile.image for tile in server.desk.tiles.values()]
    write_rows(server.desk.paths.kept, rows)
    for _ in range(3):
        with socket.create_connection(("127.0.0.1", server.server_port), timeout=5) as line:
            line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            line.sendall(f"GET /{server.token}/image/00003 HTTP/1.1\r\nHost: 127.0.0.1".encode())
    assert get(server, "listing")[0] == 200
    assert capfd.readouterr().err == ""


def test_a_port_that_is_taken_is_named(server: DeskServer) -> None:
    with pytest.raises(DataError, match=f"--port {server.server_port}: .*expected a free port"):
        DeskServer(server.desk, server.server_port)
