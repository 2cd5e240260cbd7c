"""HTTP server of the review app: one page, its images and its decisions, on the loopback interface only.

    GET  /TOKEN/             the page
    GET  /TOKEN/listing      all images and their rejections, as JSON columns
    GET  /TOKEN/image/ID     the encoded bytes of an image
    POST /TOKEN/decisions    {"image_id": ..., "decision": "keep" | "drop" | "undo"}; responds when it is on disk

The random token keeps other users of the machine out. The Host header must be the server's own, which prevents DNS
rebinding; the Origin of a POST must be as well, which prevents cross-site requests. Reads page.html beside this module.
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

from pipeline.curate.review_app.session import Choice, ReviewSession
from pipeline.data.records import Record
from pipeline.errors import DataError

LOOPBACK = "127.0.0.1"
BODY_BYTES = 4096
_PAGE = Path(__file__).parent / "page.html"


class DecisionRequest(Record):
    """Body of a POST to /TOKEN/decisions."""

    image_id: str
    decision: Choice


class ReviewServer(ThreadingHTTPServer):
    """Server of one session; ``url`` is the address of its page."""

    daemon_threads = True
    request_queue_size = 64  # scrolling requests many images at once

    def __init__(self, session: ReviewSession, port: int = 0) -> None:
        try:
            super().__init__((LOOPBACK, port), Handler)
        except (OSError, OverflowError) as error:
            raise DataError(f"--port {port}: {error}; expected a free port, or none for any free one") from error
        self.session = session
        self.token = secrets.token_urlsafe(24)
        self.hosts = {f"{name}:{self.server_port}" for name in (LOOPBACK, "localhost")}
        self.url = f"http://{LOOPBACK}:{self.server_port}/{self.token}/"

    def handle_error(self, *arguments: Any) -> None:  # noqa: ANN401 - socketserver's own signature
        """Ignore closed connections: scrolling cancels image requests."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(*arguments)


class Handler(BaseHTTPRequestHandler):
    """Handler of one connection."""

    server: ReviewServer
    protocol_version = "HTTP/1.1"
    timeout = 60  # seconds until an idle connection is closed

    def do_GET(self) -> None:
        """Send the page, the listing or an image."""
        path = self._authorised_path()
        if path == "":
            nonce = secrets.token_urlsafe(16)
            page = _PAGE.read_text(encoding="utf-8").replace("__NONCE__", nonce).encode()
            self._send(HTTPStatus.OK, page, "text/html; charset=utf-8", nonce)
        elif path == "listing":
            self._send(HTTPStatus.OK, json.dumps(self.server.session.listing()).encode(), "application/json")
        elif path is not None and path.startswith("image/"):
            self._send_image(unquote(path.removeprefix("image/")))
        elif path is not None:
            self._refuse(HTTPStatus.NOT_FOUND, "no such page")

    def do_POST(self) -> None:
        """Write a decision."""
        path = self._authorised_path()
        origin = (self.headers.get("Origin") or "").removeprefix("http://")
        length = self.headers.get("Content-Length") or ""
        if path is None:
            return
        if origin not in self.server.hosts or self.headers.get_content_type() != "application/json":
            self._refuse(HTTPStatus.FORBIDDEN, "expected a request from the review page")
        elif path != "decisions":
            self._refuse(HTTPStatus.NOT_FOUND, "no such page")
        elif not (re.fullmatch("[0-9]{1,6}", length) and int(length) <= BODY_BYTES):
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"expected Content-Length, at most {BODY_BYTES}")
        else:
            self._decide(self.rfile.read(int(length)))

    def log_message(self, *_: object) -> None:
        """Suppress the access log: the terminal shows the address and the summary only."""

    def _authorised_path(self) -> str | None:
        """Path below the token; None if the request was refused."""
        token, _, path = self.path.partition("?")[0].removeprefix("/").partition("/")
        if self.headers.get_all("Host", []) not in [[host] for host in self.server.hosts]:
            self._refuse(HTTPStatus.FORBIDDEN, "expected the address that gossamer review printed")
        elif not secrets.compare_digest(token.encode(), self.server.token.encode()):
            self._refuse(HTTPStatus.NOT_FOUND, "expected the address that gossamer review printed")
        else:
            return path
        return None

    def _send_image(self, image_id: str) -> None:
        try:
            data = self.server.session.encoded(image_id)
        except (KeyError, DataError) as error:
            self._refuse(HTTPStatus.NOT_FOUND, str(error))
            return
        self._send(HTTPStatus.OK, data, "image/png" if data.startswith(b"\x89PNG") else "image/jpeg")

    def _decide(self, body: bytes) -> None:
        try:
            request = DecisionRequest.model_validate_json(body)
            self.server.session.decide(request.image_id, request.decision)
        except (ValidationError, KeyError) as error:
            self._refuse(HTTPStatus.BAD_REQUEST, f"not a decision on an image of this session: {error}")
        except OSError as error:
            path = self.server.session.paths.decisions
            self._refuse(HTTPStatus.INSUFFICIENT_STORAGE, f"{path}: {error.strerror or error}")
        else:
            count = {"decision_count": self.server.session.decision_count}
            self._send(HTTPStatus.OK, json.dumps(count).encode(), "application/json")

    def _refuse(self, status: HTTPStatus, reason: str) -> None:
        self.close_connection = True  # the body may not have been read
        self._send(status, reason.encode(), "text/plain; charset=utf-8")

    def _send(self, status: HTTPStatus, body: bytes, content_type: str, nonce: str = "") -> None:
        inline = f"script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; " if nonce else ""
        policy = f"default-src 'none'; {inline}img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'"
        is_image = content_type.startswith("image/")
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Security-Policy", f"{policy}; frame-ancestors 'none'")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.send_header("Cache-Control", "private, max-age=3600" if is_image else "no-store")
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)


def serve(session: ReviewSession, port: int, announce: Callable[[str], None]) -> int:
    """Serve a session until Ctrl-C; returns the number of decisions made.

    Args:
        session: Session to serve.
        port: Port of 127.0.0.1; 0: any free one.
        announce: Called with the address of the page once the server listens.

    Raises:
        DataError: The port is not available.
    """
    with ReviewServer(session, port) as server:
        try:
            announce(server.url)
            server.serve_forever(poll_interval=0.2)
        except KeyboardInterrupt:  # the usual end of a session; every decision is on disk already
            return session.decision_count
    return session.decision_count
