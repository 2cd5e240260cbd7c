"""The review server accepts requests of this machine and of its own page only, and confirms decisions on disk only."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.curate.manual_decisions import read_decisions
from pipeline.curate.review_app.server import BODY_BYTES, ReviewServer
from pipeline.data.shards import read_bytes
from pipeline.data.storage import write_rows
from pipeline.errors import DataError
from tests.pipeline.curate.review_app.small_session import full_disk, serving, small_session

KEEP = b'{"image_id": "00003", "decision": "keep"}'


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ReviewServer]:
    with serving(small_session(tmp_path)) as running:
        yield running


def send(
    server: ReviewServer, method: str, path: str, body: bytes | None = None, **headers: str
) -> tuple[int, bytes, dict[str, str]]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=30)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, body, named)
    response = connection.getresponse()
    result = response.status, response.read(), {name.lower(): value for name, value in response.getheaders()}
    connection.close()
    return result


def get(server: ReviewServer, path: str) -> tuple[int, bytes, dict[str, str]]:
    return send(server, "GET", f"/{server.token}/{path}")


def post(server: ReviewServer, body: bytes = KEEP, path: str = "decisions", **headers: str) -> tuple[int, str]:
    defaults = {"Origin": f"http://127.0.0.1:{server.server_port}", "Content_Type": "application/json"}
    status, content, _ = send(server, "POST", f"/{server.token}/{path}", body, **{**defaults, **headers})
    return status, content.decode()


def test_the_content_security_policy_allows_only_the_page_itself(server: ReviewServer) -> None:
    status, page, headers = get(server, "")
    policy = headers["content-security-policy"]
    nonce = policy.partition("'nonce-")[2].partition("'")[0]
    assert status == 200
    assert policy.startswith("default-src 'none'; script-src 'nonce-")
    assert page.decode().count(f'nonce="{nonce}"') == 2
    assert b"__NONCE__" not in page
    assert headers["referrer-policy"] == "no-referrer"
    assert get(server, "")[1] != page, "a new nonce each time"


def test_the_page_names_no_other_host(server: ReviewServer) -> None:
    assert b"://" not in get(server, "")[1]


def test_the_listing_is_that_of_the_session(server: ReviewServer) -> None:
    status, body, headers = get(server, "listing")
    assert (status, headers["content-type"], headers["cache-control"]) == (200, "application/json", "no-store")
    assert json.loads(body) == server.session.listing()


def test_an_image_is_sent_as_the_bytes_of_its_shard(server: ReviewServer) -> None:
    status, body, headers = get(server, "image/00003")
    assert (status, headers["content-type"]) == (200, "image/png")
    assert body == read_bytes(server.session.paths.images, server.session.items["00003"].image)


@pytest.mark.parametrize("path", ["image/99999", "image/..%2f..%2fkept.jsonl", "kept.jsonl", "decisions"])
def test_paths_outside_the_session_are_not_found(server: ReviewServer, path: str) -> None:
    assert get(server, path)[0] == 404


def test_a_damaged_shard_is_reported(server: ReviewServer) -> None:
    shard = server.session.paths.images / server.session.items["00003"].image.shard
    shard.write_bytes(bytes(shard.stat().st_size))
    status, body, _ = get(server, "image/00003")
    assert status == 404
    assert b"is not the one in index.jsonl" in body


def test_a_decision_is_on_disk_before_the_response(server: ReviewServer) -> None:
    assert post(server) == (200, '{"decision_count": 1}')
    (decision,) = read_decisions(server.session.paths.decisions)
    assert (decision.image_id, decision.decision) == ("00003", "keep")


@pytest.mark.parametrize("path", ["/", "/listing", "/wrong/", "/wrong/listing", "/%C3%A9/listing"])
def test_a_wrong_token_is_refused(server: ReviewServer, path: str) -> None:
    status, body, _ = send(server, "GET", path)
    assert (status, body) == (404, b"expected the address that gossamer review printed")


@pytest.mark.parametrize("host", ["gossamer.example", "127.0.0.1", "127.0.0.1:1", ""])
def test_a_wrong_host_is_refused(server: ReviewServer, host: str) -> None:
    assert send(server, "GET", f"/{server.token}/listing", Host=host)[0] == 403
    assert post(server, Host=host)[0] == 403
    assert server.session.decision_count == 0


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
def test_a_decision_from_another_page_is_refused(server: ReviewServer, headers: dict[str, str]) -> None:
    assert post(server, **headers) == (403, "expected a request from the review page")
    assert server.session.decision_count == 0


@pytest.mark.parametrize("length", [str(BODY_BYTES + 1), "9" * 5000, "-1", "many", "1_0"])
def test_a_body_of_invalid_or_excessive_length_is_refused(server: ReviewServer, length: str) -> None:
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
def test_an_invalid_decision_is_refused(server: ReviewServer, body: bytes) -> None:
    status, reason = post(server, body)
    assert status == 400
    assert reason.startswith("not a decision on an image of this session")
    assert not server.session.paths.decisions.exists()


def test_a_decision_posted_to_another_path_is_not_found(server: ReviewServer) -> None:
    assert post(server, path="listing")[0] == 404


def test_a_full_disk_is_reported_and_the_decision_does_not_apply(server: ReviewServer) -> None:
    with full_disk(server.session.paths.decisions):
        status, reason = post(server)
    assert status == 507
    assert reason == f"{server.session.paths.decisions}: File too large"
    assert server.session.decisions == {}
    assert post(server)[0] == 200


def test_the_server_listens_on_the_loopback_interface_only(server: ReviewServer) -> None:
    assert server.server_address[0] == "127.0.0.1"
    with pytest.raises(OSError, match=r"refused|timed out|unreachable|assign"):
        socket.create_connection(("127.0.0.2", server.server_port), timeout=2)


def test_a_closed_connection_prints_no_traceback(server: ReviewServer, capfd: pytest.CaptureFixture[str]) -> None:
    rows = [item.image for item in server.session.items.values()]
    write_rows(server.session.paths.kept, rows)
    for _ in range(3):
        with socket.create_connection(("127.0.0.1", server.server_port), timeout=5) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            client.sendall(f"GET /{server.token}/image/00003 HTTP/1.1\r\nHost: 127.0.0.1".encode())
    assert get(server, "listing")[0] == 200
    assert capfd.readouterr().err == ""


def test_a_port_in_use_is_an_error_that_names_it(server: ReviewServer) -> None:
    with pytest.raises(DataError, match=f"--port {server.server_port}: .*expected a free port"):
        ReviewServer(server.session, server.server_port)
