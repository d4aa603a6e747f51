"""The page docs/use-the-champion.md does what it says: every block is run, in order, beside one image file."""

import json
import shlex
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from artifacts.models import bundle
from flows.settings import environment_with, temporary_home
from tests.artifacts.trained import TrainedHome
from tests.pages import DOCS, run, run_page  # noqa: F401  a fixture

pytestmark = pytest.mark.slow

PORT = "8501"  # on the page


def test_the_page_is_true(
    trained: TrainedHome,
    unused_port: str,
    run: Callable[[str], str],  # noqa: F811  the fixture
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A card, a server with its requests, an export that onnxruntime loads: all give the recorded answers."""
    pytest.importorskip("onnxruntime")
    if shutil.which("curl") is None:
        pytest.skip("curl is not here")
    version = trained.promote(0)
    images, recorded = bundle.read_requests(version.folder)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    Image.fromarray(images[0]).save("digit.png")
    names: dict[str, Any] = {}
    with ExitStack() as stack:
        home = stack.enter_context(temporary_home()).home
        shutil.copytree(trained.store.root, home, dirs_exist_ok=True)

        def line(text: str) -> str:
            if text.endswith("&"):
                serve(shlex.split(text.removesuffix("&")), home, stack)
                return ""
            if text.startswith("curl"):
                return subprocess.run(shlex.split(text), capture_output=True, text=True, check=True, timeout=120).stdout
            return run(text)

        printed = [out for _, out in run_page("use-the-champion.md", line, names, (PORT, unused_port))]
    assert names["version"] == "mnist-sample/1"
    np.testing.assert_allclose(names["probabilities"], recorded[0], atol=1e-5)
    np.testing.assert_allclose(names["exported"], recorded[0], atol=1e-5)
    digit = str(recorded[0].argmax())
    assert names["predicted"] == digit
    assert "# mnist-sample/1" in printed[1]
    assert json.loads(printed[3])["answers"][0]["predicted"] == digit
    assert json.loads(printed[4])["version"] == "mnist-sample/1"


def serve(command: list[str], home: Path, stack: ExitStack) -> None:
    """Start a server, wait until it answers, and let it end by SIGTERM, as it promises: with exit code 0."""
    start = [sys.executable, "-c", "from flows.commands.main import main; main()", *command[1:]]
    process = subprocess.Popen(start, cwd=DOCS.parent, env=environment_with(NIGHTSHIFT_HOME=str(home)))

    def end() -> None:
        process.send_signal(signal.SIGTERM)
        try:
            assert process.wait(60) == 0
        finally:
            process.kill()
            process.wait()

    stack.callback(end)
    url = f"http://127.0.0.1:{command[-1]}/health"
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and process.poll() is None:
        try:
            direct.open(url, timeout=5).close()
        except OSError:
            time.sleep(0.2)
        else:
            return
    raise AssertionError("the server did not start")


@pytest.fixture
def unused_port() -> str:
    """A port of this machine that nobody listens on."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as free:
        return str(free.getsockname()[1])
