"""The page of a night in a browser, opened from disk: nothing is wider than the window, and axe-core finds nothing."""

import json
from collections.abc import Iterator

import pytest

from artifacts.models.provenance import CHECKOUT
from artifacts.reporting.report import write_report
from tests.artifacts.reporting.test_page import whole_night
from tests.flows.server.browser import CHROMIUM, Browser, browsing

AXE = CHECKOUT / ".axe/node_modules/axe-core/axe.min.js"
UNFOLD = "document.querySelectorAll('details').forEach(one => one.open = true)"
VIOLATIONS = "axe.run().then(found => JSON.stringify(found.violations.map(one => one.id + ': ' + one.nodes[0].html)))"

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not CHROMIUM, reason="needs Chromium")]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser with the page of a whole night, of many classes, in it."""
    folder = tmp_path_factory.mktemp("page")
    write_report(folder, whole_night(classes=60))
    (folder / "profile").mkdir()
    with browsing(folder / "profile", folder.as_uri()) as opened:
        opened.open("/report.html")
        opened.wait("document.readyState == 'complete' && document.querySelector('footer') ? true : false")
        yield opened


def test_nothing_is_wider_than_the_window(browser: Browser) -> None:
    """On a phone and on a desk, with every table unfolded, the page does not scroll sideways."""
    browser.run(UNFOLD)
    for width in (390, 1400):
        browser.resize(width, 1000)
        assert browser.run("document.documentElement.scrollWidth <= window.innerWidth"), f"{width} pixels"


def test_nothing_was_asked_for(browser: Browser) -> None:
    """The page is complete: no file beside it, and no host, was asked for anything."""
    loaded = browser.run("performance.getEntriesByType('resource').map(one => one.name.slice(0, 60))")
    assert [name for name in loaded if not name.startswith("data:")] == []


@pytest.mark.skipif(not AXE.is_file(), reason="needs axe-core: npm install --prefix .axe axe-core")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(browser: Browser, scheme: str) -> None:
    """Contrast, names, structure and the order of headings suit readers with any sight."""
    browser.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    browser.run(UNFOLD)
    browser.run(f"{AXE.read_text()};0")
    assert json.loads(browser.run(VIOLATIONS)) == []
