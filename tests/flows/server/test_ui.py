"""The UI in a real browser: open the form, start a night, read its report."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from prefect.client.schemas.filters import FlowFilter, FlowFilterName

from flows.runs.forms import CANDIDATES
from tests.flows.live import Live
from tests.flows.server.browser import CHROMIUM, Browser, browsing

pytestmark = [
    pytest.mark.server,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here: apt-get install chromium"),
]


ENDS = ["Promoted", "Not promoted", "Failed", "Crashed", "Cancelled"]
NIGHT_S = 400.0  # the longest that a night on the sample may take on a busy machine


@pytest.fixture
def browser(live: Live, tmp_path: Path) -> Iterator[Browser]:
    """A browser that has given the server's password."""
    with browsing(tmp_path, live.url.removesuffix("/api")) as page:
        log_in(page, live)
        yield page


def open_form(page: Browser, live: Live) -> None:
    """Go from the list of deployments to the form of retrain/manual, as a person does."""
    with live.client() as client:
        deployment = client.read_deployment_by_name("retrain/manual").id
    page.click_on("Deployments")
    page.click(f"document.querySelector('a[href$=\"{deployment}\"]')")
    page.click_on("Run")
    page.click_on("Custom run")
    page.wait_for_text("reason")


def choose(page: Browser, name: str, option: str) -> None:
    """Choose one entry of a dropdown."""
    page.click(f"document.querySelector('button[aria-label=\"Select {name}\"]')")
    page.click(f"[...document.querySelectorAll('[role=option]')].find(e => e.innerText.trim() === '{option}')")
    page.press("Escape", 27)
    page.wait("!document.querySelector('[role=option]')")


def fill(page: Browser, name: str, value: object) -> None:
    """Type into a field, in place of what it holds."""
    label = f"[...document.querySelectorAll('label')].find(e => e.innerText.startsWith('{name} '))"
    page.click(f"document.getElementById({label}.htmlFor)")
    page.type(str(value))


def runs(live: Live) -> int:
    """Return how many runs of retrain the server has."""
    with live.client() as client:
        return len(client.read_flow_runs(flow_filter=FlowFilter(name=FlowFilterName(any_=["retrain"])), limit=200))


def log_in(page: Browser, live: Live) -> None:
    """Give the server's password."""
    page.open("/")
    page.click("document.querySelector('input[type=password]')")
    page.type(live.client_env["PREFECT_API_AUTH_STRING"])
    page.click_on("Login")
    page.wait_for_text("Dashboard")


def fill_form(page: Browser, *recipes: str) -> None:
    """Ask for a night on the bundled sample."""
    choose(page, "dataset", "mnist-sample")
    for recipe in CANDIDATES:
        page.click(f"document.querySelector('button[aria-label=\"Remove {recipe} tag\"]')")
    for recipe in recipes:
        choose(page, "recipes", recipe)


def submit(page: Browser) -> None:
    """Press Submit and go to the run; press again if nothing happens, as was seen on a busy machine."""
    for _ in range(3):
        page.click_on("Submit")
        with suppress(AssertionError):
            page.wait_for_text("View run", 20)
            break
    page.click_on("View run")
    # the deployment's page, which lists how earlier runs ended, stays for a moment after the address has changed
    page.wait("location.pathname.includes('/flow-run/') && !document.body.innerText.includes('Entrypoint')")


def wait_for_the_end(page: Browser) -> str:
    """Wait until the run on the page has ended, and return how."""
    page.wait_for_text("mnist-sample · ", NIGHT_S)  # its own name, which it has from its first moment
    lines = "document.body.innerText.split('\\n')"
    return str(page.wait(f"{lines}.find(line => {ENDS}.includes(line))", NIGHT_S))


def open_note(page: Browser, key: str) -> None:
    """Go from a run's artifacts to the content of one."""
    page.click_on(key)
    page.wait("location.pathname.includes('/artifacts/artifact/')")
    page.wait_for_text("Raw")


def test_a_night_is_started_from_the_form_and_its_artifacts_show_the_verdict(browser: Browser, live: Live) -> None:
    """Choose sample and recipe, press Submit, wait until it is done, open the artifacts: they show the verdict."""
    open_form(browser, live)
    fill_form(browser, "tiny")
    fill(browser, "seed", 7)
    submit(browser)
    assert wait_for_the_end(browser) in ("Promoted", "Not promoted"), browser.text()
    run = browser.run("location.pathname")
    browser.click_on("Artifacts")
    open_note(browser, "report-mnist-sample")
    browser.wait_for_text("What was checked")
    assert "PROMOTED" in browser.text()
    browser.wait_for_text("tiny-seed7")  # a long artifact is rendered in pieces
    browser.open(run)
    browser.click_on("Artifacts")
    open_note(browser, "candidates-mnist-sample")
    browser.wait_for_text("tiny-seed7")


def test_a_number_beyond_its_limit_is_refused_by_the_form(browser: Browser, live: Live) -> None:
    """The form names the limit at the field, and no run is started."""
    before = runs(live)
    open_form(browser, live)
    fill(browser, "seeds", 99)
    browser.click_on("Submit")
    assert "less than or equal to 9" in browser.wait("document.querySelector('input:invalid')?.validationMessage")
    assert runs(live) == before


def test_a_form_without_a_recipe_is_refused_by_the_server(browser: Browser, live: Live) -> None:
    """The server refuses what the form does not check, with the field's name, and no run is started."""
    before = runs(live)
    open_form(browser, live)
    fill_form(browser)
    browser.click_on("Submit")
    browser.wait_for_text("Validation failed for field 'recipes'")
    assert runs(live) == before
