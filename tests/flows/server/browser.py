"""A headless Chromium, driven over its DevTools protocol: no driver, and no library that Prefect does not bring."""

import base64
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from websockets.sync.client import connect
from websockets.sync.connection import Connection

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",  # as root in a container; it opens nothing but our own server
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # it has no mouse, so pages would offer what suits a telephone: pretend there is one
    "--blink-settings=primaryHoverType=2,availableHoverTypes=2,primaryPointerType=4,availablePointerTypes=4",
    "--remote-debugging-port=0",
    "--window-size=1280,1000",
)
PATIENCE_S = 300.0  # for anything that should appear on a page, on a busy machine


class Browser:
    """One page.

    Args:
        socket: connected to the page's DevTools.
        home: URL that relative addresses start from.
    """

    def __init__(self, socket: Connection, home: str) -> None:
        self._socket = socket
        self._home = home
        self._last = 0

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a DevTools command and return its result."""
        self._last += 1
        self._socket.send(json.dumps({"id": self._last, "method": method, "params": parameters}))
        while True:
            answer = json.loads(self._socket.recv(timeout=PATIENCE_S))
            if answer.get("id") == self._last:
                assert "error" not in answer, f"{method}: {answer['error']}"
                result: dict[str, Any] = answer["result"]
                return result

    def open(self, address: str) -> None:
        """Open a page of the server."""
        self.send("Page.navigate", url=self._home + address)

    def run(self, script: str) -> Any:
        """Evaluate JavaScript in the page and return its value."""
        answer = self.send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def text(self) -> str:
        """Return the text of the page."""
        return str(self.run("document.body ? document.body.innerText : ''"))

    def wait(self, script: str, patience_s: float = PATIENCE_S) -> Any:
        """Poll until JavaScript returns something true, and return it."""
        until = time.monotonic() + patience_s
        while time.monotonic() < until:
            value = self.run(script)
            if value:
                return value
            time.sleep(0.2)
        raise AssertionError(f"waited {patience_s:.0f} s for {script}; the page says:\n{self.text()}")

    def wait_for_text(self, text: str, patience_s: float = PATIENCE_S) -> None:
        """Wait until the page contains a text."""
        self.wait(f"document.body && document.body.innerText.includes({json.dumps(text)})", patience_s)

    def click(self, script: str) -> None:
        """Wait for an element, given as JavaScript, to stand still, and click into its middle, as a hand would."""
        find = f"(() => {{const e = {script}; if (!e) return null; e.scrollIntoView({{block: 'center'}}); "
        find += "const b = e.getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2]})()"
        before, place = None, self.wait(find)
        while place != before:
            time.sleep(0.2)
            before, place = place, self.wait(find)
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            self.send("Input.dispatchMouseEvent", type=kind, x=place[0], y=place[1], button="left", clickCount=1)

    def click_on(self, text: str) -> None:
        """Click on the element with exactly this text; on the last one, if there are several."""
        says = f"e.offsetParent && e.innerText && e.innerText.trim() === {json.dumps(text)}"
        self.click(f"[...document.querySelectorAll('body *')].filter(e => {says}).at(-1)")

    def type(self, text: str) -> None:
        """Type into what has the focus, in place of what it holds."""
        self.run("document.activeElement.select && document.activeElement.select()")
        self.send("Input.insertText", text=text)

    def press(self, key: str, code: int) -> None:
        """Press and release a key."""
        for kind in ("keyDown", "keyUp"):
            self.send("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code)

    def picture(self, file: Path) -> None:
        """Save what the window shows as PNG."""
        file.write_bytes(base64.b64decode(self.send("Page.captureScreenshot", format="png")["data"]))

    def resize(self, width: int, height: int) -> None:
        """Set the size of the window, in pixels."""
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)


@contextmanager
def browsing(profile: Path, home: str, *flags: str) -> Iterator[Browser]:
    """Start Chromium with an empty profile; end it, and all that it started, with the block.

    Args:
        profile: an empty folder.
        home: URL of the server.
        flags: more options of Chromium.
    """
    assert CHROMIUM, "no Chromium here"
    with (profile / "chromium.log").open("wb") as log:
        process = subprocess.Popen([CHROMIUM, *FLAGS, *flags, f"--user-data-dir={profile}", "about:blank"], stderr=log)
        try:
            port = _port(process, profile / "DevToolsActivePort")
            pages = httpx.get(f"http://127.0.0.1:{port}/json/list", timeout=PATIENCE_S).json()
            page = next(page for page in pages if page["type"] == "page")
            with connect(page["webSocketDebuggerUrl"], max_size=None, origin=None) as socket:
                yield Browser(socket, home)
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(10)


def _port(process: "subprocess.Popen[bytes]", file: Path) -> int:
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until and process.poll() is None:
        if file.is_file() and (lines := file.read_text().split()):
            return int(lines[0])
        time.sleep(0.1)
    raise AssertionError(f"Chromium did not start within {PATIENCE_S:.0f} s, or ended with {process.poll()}")
