"""Takes the pictures of the UI in docs/pictures/: `python -m tests.flows.server.pictures`; needs Chromium."""

import tempfile
import time
from pathlib import Path

from tests.flows.live import CHECKOUT, Live
from tests.flows.server.browser import Browser, browsing
from tests.flows.server.test_ui import fill_form, log_in, open_form, open_note, submit, wait_for_the_end

TARGET = CHECKOUT / "docs" / "pictures"


def main() -> None:
    """Start a server, fill the form, run a night on the sample, and take the pictures."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        live, profile = Live(Path(folder) / "home"), Path(folder) / "profile"
        profile.mkdir()
        done = live.up()
        try:
            assert done.returncode == 0, done.stdout + done.stderr
            with browsing(profile, live.url.removesuffix("/api")) as page:
                take_all(page, live)
        finally:
            live.down()


def take_all(page: Browser, live: Live) -> None:
    """Go through a night as a person does."""
    page.resize(1280, 1360)
    log_in(page, live)
    open_form(page, live)
    fill_form(page, "tiny", "softmax-regression", "mlp")
    take(page, "ui-form")
    submit(page)
    wait_for_the_end(page)
    page.resize(1280, 900)
    run = page.run("location.pathname")
    page.open(run)  # hides the message that it was started
    wait_for_the_end(page)
    take(page, "ui-run")
    page.click_on("Artifacts")
    open_note(page, "report-mnist-sample")
    page.resize(1280, 1000)
    take(page, "ui-report")


def take(page: Browser, name: str) -> None:
    """Wait until nothing moves, not even the graph of a run, and save a picture."""
    time.sleep(10)
    TARGET.mkdir(parents=True, exist_ok=True)
    page.picture(TARGET / f"{name}.png")


if __name__ == "__main__":
    main()
