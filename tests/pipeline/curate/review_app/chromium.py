"""A headless Chromium, controlled through a pipe by the DevTools protocol.

Messages are JSON, terminated by NUL: the browser reads requests on file descriptor 3 and writes responses to 4.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TIMEOUT_S = 60.0  # generous: a busy machine is slow, not broken
FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run")
KEYS = {" ": ("Space", 32), "Enter": ("Enter", 13), "Escape": ("Escape", 27), "End": ("End", 35), "Home": ("Home", 36)}
ARROWS = {"ArrowLeft": ("ArrowLeft", 37), "ArrowUp": ("ArrowUp", 38)}
ARROWS |= {"ArrowRight": ("ArrowRight", 39), "ArrowDown": ("ArrowDown", 40)}


def find_chromium() -> str | None:
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)


@dataclass(slots=True)
class Chromium:
    """Our end of the pipe; ``events`` are the messages that are no responses."""

    requests: int
    responses: int
    events: list[dict[str, Any]] = field(default_factory=list)
    buffer: bytes = b""
    number: int = 0

    def call(self, method: str, session: str = "", **params: Any) -> dict[str, Any]:
        self.number += 1
        message = {"id": self.number, "method": method, "params": params} | ({"sessionId": session} if session else {})
        os.write(self.requests, json.dumps(message).encode() + b"\0")
        while (response := self._read()).get("id") != self.number:
            self.events.append(response)
        assert "error" not in response, f"{method}: {response['error']}"
        return response["result"]

    def open(self, url: str, size: tuple[int, int] = (1400, 900), scheme: str = "light") -> Page:
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        page = Page(self, target, self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"])
        for domain in ("Page", "Runtime", "Log"):
            page.call(f"{domain}.enable")
        page.call(
            "Emulation.setDeviceMetricsOverride", width=size[0], height=size[1], deviceScaleFactor=1, mobile=False
        )
        page.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        page.call("Page.navigate", url=url)
        return page

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self.buffer:
            assert select.select([self.responses], [], [], TIMEOUT_S)[0], "the browser does not respond"
            data = os.read(self.responses, 1 << 20)
            assert data, "the browser has exited"
            self.buffer += data
        line, _, self.buffer = self.buffer.partition(b"\0")
        return json.loads(line)


@dataclass(frozen=True, slots=True)
class Page:
    """One tab."""

    browser: Chromium
    target: str
    session: str

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        return self.browser.call(method, self.session, **params)

    def evaluate(self, expression: str) -> Any:
        """Evaluate a JavaScript expression."""
        response = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in response, response["exceptionDetails"]
        return response["result"].get("value")

    def wait(self, expression: str) -> None:
        """Wait until a JavaScript expression is true."""
        deadline = time.monotonic() + TIMEOUT_S
        while not self.evaluate(f"!!({expression})"):
            assert time.monotonic() < deadline, f"never true: {expression}"
            time.sleep(0.02)

    def press(self, key: str) -> None:
        code, number = {**KEYS, **ARROWS}.get(key, (f"Key{key.upper()}", ord(key.upper()[0])))
        text = {"Enter": "\r"}.get(key, key if len(key) == 1 else "")
        values = {"key": key, "code": code, "windowsVirtualKeyCode": number}
        self.call("Input.dispatchKeyEvent", type="keyDown", text=text, **values)
        self.call("Input.dispatchKeyEvent", type="keyUp", **values)

    def screenshot(self) -> bytes:
        return base64.b64decode(self.call("Page.captureScreenshot")["data"])

    def errors(self) -> list[dict[str, Any]]:
        """Exceptions and log entries of level error of this tab."""
        events = [event for event in self.browser.events if event.get("sessionId") == self.session]
        logged = [event["params"]["entry"] for event in events if event["method"] == "Log.entryAdded"]
        thrown = [event["params"] for event in events if event["method"] == "Runtime.exceptionThrown"]
        return thrown + [
            entry for entry in logged if entry["level"] == "error" and "favicon" not in entry.get("url", "")
        ]

    def close(self) -> None:
        self.browser.call("Target.closeTarget", targetId=self.target)


@contextmanager
def start(command: str, folder: Path) -> Iterator[Chromium]:
    """Start a browser with a fresh profile; it is killed at the end of the block."""
    ours, theirs = os.pipe(), os.pipe()
    ends = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in (ours[0], theirs[1])]  # numbers other than 3 and 4
    silent = [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_RDWR, 0) for number in (0, 1, 2)]
    pipes = [(os.POSIX_SPAWN_DUP2, end, number) for end, number in zip(ends, (3, 4), strict=True)]
    arguments = [command, *FLAGS, "--remote-debugging-pipe", f"--user-data-dir={folder}", "about:blank"]
    process = os.posix_spawn(command, arguments, os.environ, file_actions=[*silent, *pipes], setpgroup=0)
    for end in (*ends, ours[0], theirs[1]):
        os.close(end)
    try:
        yield Chromium(ours[1], theirs[0])
    finally:
        os.killpg(process, signal.SIGKILL)
        os.waitpid(process, 0)
        os.close(ours[1])
        os.close(theirs[0])
