"""The desk's server: one page, its pictures and its decisions, on this machine's loopback alone.

    GET  /TOKEN/             the page
    GET  /TOKEN/listing      every picture's columns, as JSON
    GET  /TOKEN/image/ID     the encoded bytes, as they lie in their shard
    POST /TOKEN/decisions    {"image_id": ..., "decision": "keep" | "drop" | "undo"}; answered when it is on disk

The token is random, so that another user of the machine cannot guess the address; the Host must be ours, so that no
other site can rebind its name to us; a POST must come from our own page.
"""

from __future__ import annotations

import json
import re
import secrets
import sys
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from pydantic import ValidationError

from pipeline.curate.review_app.session import Choice, Desk
from pipeline.data.records import Record
from pipeline.errors import DataError

LOOPBACK = "127.0.0.1"
BODY_BYTES = 4096
_PAGE = Path(__file__).parent / "page.html"


class Wish(Record):
    """What the page asks for."""

    image_id: str
    decision: Choice


class DeskServer(ThreadingHTTPServer):
    """Serves one desk; ``url`` is where."""

    daemon_threads = True
    request_queue_size = 64  # a page that is scrolled asks for many pictures at once

    def __init__(self, desk: Desk, port: int = 0) -> None:
        try:
            super().__init__((LOOPBACK, port), Handler)
        except (OSError, OverflowError) as error:
            raise DataError(f"--port {port}: {error}; expected a free port, or none for any free one") from error
        self.desk = desk
        self.token = secrets.token_urlsafe(24)
        self.hosts = {f"{name}:{self.server_port}" for name in (LOOPBACK, "localhost")}
        self.url = f"http://{LOOPBACK}:{self.server_port}/{self.token}/"

    def handle_error(self, *arguments: Any) -> None:  # noqa: ANN401 - socketserver's own signature
        """Pass over a page that no longer waits: scrolling calls pictures off."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(*arguments)


class Handler(BaseHTTPRequestHandler):
    """Answers one request; the server is a ``DeskServer``."""

    server: DeskServer
    protocol_version = "HTTP/1.1"
    timeout = 60  # seconds an idle connection is held

    def do_GET(self) -> None:
        """Answer the page, the listing or a picture."""
        place = self._admit()
        if place == "":
            nonce = secrets.token_urlsafe(16)
            page = _PAGE.read_text(encoding="utf-8").replace("__NONCE__", nonce).encode()
            self._answer(HTTPStatus.OK, page, "text/html; charset=utf-8", nonce)
        elif place == "listing":
            self._answer(HTTPStatus.OK, json.dumps(self.server.desk.listing()).encode(), "application/json")
        elif place is not None and place.startswith("image/"):
            self._picture(unquote(place.removeprefix("image/")))
        elif place is not None:
            self._refuse(HTTPStatus.NOT_FOUND, "no such page")

    def do_POST(self) -> None:
        """Take a decision."""
        place = self._admit()
        origin = (self.headers.get("Origin") or "").removeprefix("http://")
        length = self.headers.get("Content-Length") or ""
        if place is None:
            return
        if origin not in self.server.hosts or self.headers.get_content_type() != "application/json":
            self._refuse(HTTPStatus.FORBIDDEN, "decisions are taken from the desk's own page")
        elif place != "decisions":
            self._refuse(HTTPStatus.NOT_FOUND, "no such page")
        elif not (re.fullmatch("[0-9]{1,6}", length) and int(length) <= BODY_BYTES):
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"expected at most {BODY_BYTES} bytes, and their number")
        else:
            self._decide(self.rfile.read(int(length)))

    def log_message(self, *_: object) -> None:
        """Say nothing: the terminal is the person's."""

    def _admit(self) -> str | None:
        """The path below the token, or None where the request has been refused."""
        token, _, place = self.path.partition("?")[0].removeprefix("/").partition("/")
        if self.headers.get_all("Host", []) not in [[host] for host in self.server.hosts]:
            self._refuse(HTTPStatus.FORBIDDEN, "expected the address that gossamer review printed")
        elif not secrets.compare_digest(token.encode(), self.server.token.encode()):
            self._refuse(HTTPStatus.NOT_FOUND, "expected the address that gossamer review printed")
        else:
            return place
        return None

    def _picture(self, image_id: str) -> None:
        try:
            data = self.server.desk.encoded(image_id)
        except (KeyError, DataError) as error:
            self._refuse(HTTPStatus.NOT_FOUND, str(error))
            return
        self._answer(HTTPStatus.OK, data, "image/png" if data.startswith(b"\x89PNG") else "image/jpeg")

    def _decide(self, body: bytes) -> None:
        try:
            wish = Wish.model_validate_json(body)
            self.server.desk.decide(wish.image_id, wish.decision)
        except (ValidationError, KeyError) as error:
            self._refuse(HTTPStatus.BAD_REQUEST, f"not a decision on a picture here: {error}")
        except OSError as error:
            path = self.server.desk.paths.decisions
            self._refuse(HTTPStatus.INSUFFICIENT_STORAGE, f"{path}: {error.strerror or error}")
        else:
            self._answer(HTTPStatus.OK, json.dumps({"made": self.server.desk.made}).encode(), "application/json")

    def _refuse(self, status: HTTPStatus, why: str) -> None:
        self.close_connection = True  # a body may be left unread
        self._answer(status, why.encode(), "text/plain; charset=utf-8")

    def _answer(self, status: HTTPStatus, body: bytes, kind: str, nonce: str = "") -> None:
        inline = f"script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; " if nonce else ""
        policy = f"default-src 'none'; {inline}img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'"
        is_picture = kind.startswith("image/")
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Security-Policy", f"{policy}; frame-ancestors 'none'")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.send_header("Cache-Control", "private, max-age=3600" if is_picture else "no-store")
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)


def serve(desk: Desk, port: int, announce: Callable[[str], None]) -> int:
    """Serve until Ctrl-C; returns how many decisions were made.

    Args:
        desk: What lies on it.
        port: To listen on; 0 for any free one.
        announce: Called with the address once it answers.

    Raises:
        DataError: The port is taken.
    """
    with DeskServer(desk, port) as server:
        try:
            announce(server.url)
            server.serve_forever(poll_interval=0.2)
        except KeyboardInterrupt:  # how a person ends the sitting; every decision is on disk already
            return desk.made
    return desk.made
