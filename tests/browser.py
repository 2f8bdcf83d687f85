"""A headless Chromium for tests of pages, controlled through its debugging pipe; needs no other package."""

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
PATIENCE = 60.0
"""Seconds to wait for an answer of the browser."""


def find_browser() -> str:
    """The executable; skips the test with the reason, or fails it where MECHGROK_REQUIRE_BROWSER is 1."""
    found = os.environ.get("MECHGROK_BROWSER") or next(filter(None, map(shutil.which, NAMES)), None)
    if not found:
        reason = f"no browser among {', '.join(NAMES)}; install one, or name it in MECHGROK_BROWSER"
        if os.environ.get("MECHGROK_REQUIRE_BROWSER") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return found


class Page:
    """One page in one browser: open a file, evaluate JavaScript, take a screenshot."""

    def __init__(self, process: subprocess.Popen[bytes], write: int, read: int) -> None:
        self._process, self._write, self._read = process, write, read
        self._buffer, self._id = b"", 0
        self.errors: list[str] = []
        """Exceptions and console errors, security violations among them."""
        self.requests: list[str] = []
        """Addresses that the page asked for."""
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._call(f"{domain}.enable")

    def open(self, file: Path, width: int) -> None:
        """Load a file in a window of this width, without waiting for its scripts."""
        self.resize(width)
        self._call("Page.navigate", url=file.resolve().as_uri())

    def resize(self, width: int, height: int = 900) -> None:
        """Change the size of the window; a narrow one is a phone's."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self._call("Emulation.setDeviceMetricsOverride", **metrics)

    def evaluate(self, expression: str) -> Any:
        """Value of a JavaScript expression; a promise is awaited."""
        answer = self._call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def press(self, key: str) -> None:
        """A key of the keyboard, by its name: "ArrowLeft", "Home"."""
        codes = {"End": 35, "Home": 36, "ArrowLeft": 37, "ArrowRight": 39, "Enter": 13}
        pressed = {"key": key, "code": key, "windowsVirtualKeyCode": codes[key]}
        pressed |= {"text": "\r"} if key == "Enter" else {}
        for kind in ("keyDown", "keyUp"):
            self._call("Input.dispatchKeyEvent", type=kind, **pressed)

    def wait_for(self, expression: str) -> None:
        """Wait until a JavaScript expression is true."""
        end = time.monotonic() + PATIENCE
        while not self.evaluate(expression):
            assert time.monotonic() < end, f"never became true: {expression}; {self.errors}"
            time.sleep(0.05)

    def screenshot(self, file: Path, *, whole: bool = True) -> None:
        """The page as PNG, the whole of it or what is in sight."""
        answer = self._call("Page.captureScreenshot", captureBeyondViewport=whole)
        file.write_bytes(base64.b64decode(answer["data"]))

    def _call(self, method: str, **params: Any) -> dict[str, Any]:
        self._id += 1
        message = {"id": self._id, "method": method, "params": params}
        if hasattr(self, "_session"):
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._id:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return answer["result"]
            self._note(answer.get("method", ""), answer.get("params", {}))

    def _note(self, event: str, params: dict[str, Any]) -> None:
        if event == "Runtime.exceptionThrown":
            self.errors.append(json.dumps(params["exceptionDetails"])[:500])
        elif event == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "log"):
            self.errors.append(json.dumps(params["args"])[:500])
        elif event == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.errors.append(params["entry"]["text"])
        elif event == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._read], [], [], PATIENCE)
            chunk = os.read(self._read, 1 << 20) if ready else b""
            assert chunk, f"the browser is silent; exit code {self._process.poll()}"
            self._buffer += chunk
        message, self._buffer = self._buffer.split(b"\0", 1)
        return json.loads(message)


@contextmanager
def browser_page() -> Iterator[Page]:
    """A page in a fresh browser, which ends with the block."""
    executable = find_browser()
    to_browser, from_us, to_us, from_browser = (_out_of_the_way(fd) for fd in (*os.pipe(), *os.pipe()))

    def connect() -> None:
        # The browser reads commands from its descriptor 3 and answers on 4.
        os.dup2(to_browser, 3)
        os.dup2(from_browser, 4)

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen(
            [executable, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
             "--remote-debugging-pipe", f"--user-data-dir={profile}", "--no-first-run", "--disable-extensions"],
            close_fds=False,
            preexec_fn=connect,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(to_browser)
        os.close(from_browser)
        try:
            yield Page(process, from_us, to_us)
        finally:
            process.kill()
            process.wait()
            os.close(from_us)
            os.close(to_us)


def _out_of_the_way(descriptor: int) -> int:
    """The same pipe under a number that is not 3 or 4."""
    moved = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 10)
    os.close(descriptor)
    return moved
