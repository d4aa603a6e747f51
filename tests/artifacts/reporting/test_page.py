"""The page of a night, parsed again: complete in itself, with the values of the text, unbroken by any data."""

import base64
import io
import itertools
import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from artifacts.evaluation.metrics import measure
from artifacts.reporting.measured import Answers, DataFacts, Past, Step, class_change, past_nights
from artifacts.reporting.page import page, panels, training_curves
from artifacts.reporting.report import ui_markdown, write_report
from artifacts.reporting.summary import NightReport, ScoredImages
from data.home.store import Store
from data.validation.observed import Observed
from data.validation.results import Failure, ValidationResult
from tests.artifacts.reporting.test_report import BEGAN, DIGITS, HOSTILE, answers, night

ALONE = {"meta", "link", "img"}  # elements without an end tag


class Page(HTMLParser):
    """What a page consists of: its tags are checked to be nested properly.

    Args:
        html: the page.
    """

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element and its attributes."""
        self.tags.append((tag, {key: value or "" for key, value in attrs}))
        if tag not in ALONE:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Expect the end of what was opened last."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Collect the text, without the style."""
        if self.open[-1:] != ["style"]:
            self.text += f"{data} "


def whole_night(verdict: str = "PROMOTE", classes: int = 10, **changes: Any) -> NightReport:
    """A night with everything that a page can show."""
    names = DIGITS if classes == 10 else tuple(f"class {index:03}" for index in range(classes))
    labels, probabilities = answers(0.97, n=400, classes=classes)
    before = answers(0.8, seed=1, n=400, classes=classes)[1].argmax(axis=1)
    images = np.random.default_rng(0).integers(0, 256, (400, 28, 28)).astype(np.uint8)
    counts = tuple(np.bincount(labels, minlength=classes).tolist())
    facts = DataFacts({"train": counts, "test": counts}, {"train mean": 0.13}, counts, {"train mean": 0.12})
    values: dict[str, Any] = {
        "class_names": names,
        "test_images": ScoredImages(images, labels, probabilities),
        "candidates": (replace(night().candidates[0], test=measure(labels, probabilities)), night().candidates[1]),
        "champion_answers": Answers("mnist/3", before),
        "robustness": {"shifted": 0.91, "noisy": 0.93},
        "data": facts,
        "expectations": (Observed("train.mean", "expect_mean", "0.12 to 0.14", "0.13", True, 0.13),),
        "steps": (Step("download", 0.0, 1.5), Step("train cnn-seed0", 1.5, 13.8)),
        "past": (Past("r", "2026-11-19T02:00:00+00:00", "HOLD", 0.96, facts),),
    }
    return night(verdict, **{**values, **changes})


# -- complete in itself ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("classes", [10, 60])
def test_nothing_on_the_page_comes_from_elsewhere(classes: int) -> None:
    """No script, no address but data and neighbours, and the page forbids the browser to load anything."""
    html = page.html(whole_night(classes=classes))
    parsed = Page(html)
    assert "script" not in {tag for tag, _ in parsed.tags}
    addresses = [value for _, found in parsed.tags for key, value in found.items() if key in ("src", "href")]
    local = re.compile(r"data:|#|report\.md$|night\.json$")
    assert [address for address in addresses if not local.match(address)] == []
    assert "default-src 'none'" in html
    assert "url(" not in html
    assert "@import" not in html


def test_every_picture_has_words_and_every_figure_a_table() -> None:
    """A drawing is one image with a name to a screen reader, images have a text, and the numbers are in a table."""
    parsed = Page(page.html(whole_night()))
    drawings = [found for tag, found in parsed.tags if tag == "svg"]
    assert len(drawings) > 8
    assert all(found["role"] == "img" and found["aria-label"] for found in drawings)
    assert all(found["alt"] for tag, found in parsed.tags if tag == "img")
    for title in (
        "Loss by epoch",
        "Calibration",
        "Change per class",
        "Which classes are confused",
        "Where the time went",
    ):
        assert f"{title} as a table" in parsed.text


def test_the_page_has_the_sections_in_order() -> None:
    """Verdict, decision, candidates, mistakes, checks, data, run."""
    html = page.html(whole_night())
    places = [
        html.index(f'<h2 id="{name}">') for name in ("decision", "candidates", "mistakes", "checks", "data", "run")
    ]
    assert places == sorted(places)
    assert html.index("<h1>PROMOTED</h1>") < places[0]


# -- the values --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verdict", ["PROMOTE", "HOLD", "REJECT"])
def test_the_page_has_the_values_of_the_text(verdict: str) -> None:
    """Every cell of the Markdown report's tables stands on the page, word for word."""
    report = whole_night(verdict)
    text = " ".join(Page(page.html(report)).text.split()).replace(" )", ")").replace("( ", "(")
    assert report.headline in text
    assert " ".join(report.reason.split()) in text
    lines = ui_markdown(report).splitlines()
    for line, below in itertools.pairwise(lines):
        if below.startswith(("|:", "|-")):
            continue  # what the columns are called may differ
        values = (
            [cell.replace("`", "").strip(" *") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            if line.startswith("|")
            else []
        )
        told = [cell for cell in values if cell and not set(cell) <= set(":-") and not set(cell) & set("▁█·")]
        assert [cell for cell in told if cell not in text] == [], line


def test_refused_data_have_a_page() -> None:
    """It says so at the top, and shows what was expected and what was found."""
    failed = (Failure("expect_mean", "train.mean", "0.12 to 0.14", "0.31"),)
    report = NightReport(
        run="r", dataset="mnist", title="MNIST", class_names=DIGITS, started=BEGAN, finished=BEGAN, verdict="REFUSED",
        reason="MNIST failed 1 of 58 expectations", validation=ValidationResult(False, 58, failed),
    )  # fmt: skip
    parsed = Page(page.html(report))
    assert "NOT PROMOTED (REFUSED)" in parsed.text
    assert "Nothing was trained" in parsed.text
    assert "0.12 to 0.14" in parsed.text


def test_gained_and_lost_images_are_counted_by_class() -> None:
    """Recall before and after, and the flips in both directions, belong to the true class."""
    labels, ours = np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1])
    change = class_change(labels, ours, Answers("mnist/3", np.array([1, 0, 1, 0])), 3)
    assert (change.champion, change.candidate) == ((0.5, 0.5, 0.0), (0.5, 1.0, 0.0))
    assert (change.gained, change.lost) == ((1, 1, 0), (1, 0, 0))


def test_most_confident_mistakes_and_negative_flips() -> None:
    """Only mistakes are listed, the most confident first; flips are those that the champion does not make."""
    labels = np.array([0, 1, 1, 0, 1])
    probabilities = np.array([[0.9, 0.1], [0.6, 0.4], [0.99, 0.01], [0.2, 0.8], [0.1, 0.9]], np.float32)
    scored = ScoredImages(np.zeros((5, 2, 2), np.uint8), labels, probabilities)
    assert panels.most_confident(scored, 9) == [2, 3, 1]
    assert panels.most_confident(scored, 1) == [2]
    assert panels.negative_flips(scored, np.array([0, 1, 0, 0, 0]), 9) == [3, 1]


def test_overfitting_begins_where_validation_turns() -> None:
    """The epoch of the least validation loss, if that rises again while the training loss falls; else none."""
    falling = [{"loss": 1 / k, "val_loss": 1.1 / k} for k in range(1, 9)]
    assert training_curves.overfits_after(falling) is None
    turning = [{"loss": 1 / k, "val_loss": abs(k - 4) / 10 + 0.5} for k in range(1, 9)]
    assert training_curves.overfits_after(turning) == 4
    both_rise = [{"loss": abs(k - 4) + 0.1, "val_loss": abs(k - 4) / 10 + 0.5} for k in range(1, 9)]
    assert training_curves.overfits_after(both_rise) is None, "a training that diverges does not overfit"
    assert training_curves.overfits_after([{"loss": math.nan, "val_loss": None}] * 5) is None


def test_earlier_nights_are_read_from_their_folders(tmp_path: Path) -> None:
    """The last nights of this dataset, oldest first; a folder of an earlier version is passed over."""
    home = Store(tmp_path)
    for day, dataset in ((17, "mnist"), (18, "kmnist"), (19, "mnist"), (21, "mnist")):
        run = f"202611{day}t020000-{dataset}-abcdef12"
        write_report(home.run(run), whole_night(run=run, dataset=dataset))
    (home.run("20261118t030000-mnist-abcdef12")).mkdir()
    found = past_nights(home, "mnist", "20261120t020000-mnist-abcdef12")
    assert [one.run[:8] for one in found] == ["20261117", "20261119"]
    assert found[0].data == whole_night().data
    assert past_nights(Store(tmp_path / "new"), "mnist", "x") == []


# -- what data must not do ---------------------------------------------------------------------------------------------


def test_no_name_becomes_markup() -> None:
    """With class names, reasons and notes of the worst kind no tag and no attribute is added."""
    worst = "x | <img src=x onerror=alert(1)> ![p](http://e.org) \"'><script> {{ 7 * 7 }} \ud800"
    changes: dict[str, Any] = {
        "class_names": HOSTILE,
        "title": worst,
        "reason": worst,
        "next_commands": ((worst, worst),),
    }
    plain, hostile = Page(page.html(whole_night())), Page(page.html(whole_night(**changes)))
    assert {tag for tag, _ in hostile.tags} == {tag for tag, _ in plain.tags}
    names = {key for _, found in hostile.tags for key in found}
    assert names <= {key for _, found in plain.tags for key in found} | {"transform"}
    assert "{{ 7 * 7 }}" in hostile.text
    page.html(whole_night(**changes)).encode()


def test_what_is_not_finite_has_no_place_on_the_page() -> None:
    """NaN and infinities are words in tables and are not drawn."""
    broken = replace(measure(*answers(0.97)), accuracy=math.nan, low=math.nan, high=math.inf, log_loss=math.inf)
    history = [{"loss": math.nan, "val_loss": math.inf, "accuracy": math.nan, "val_accuracy": -math.inf}] * 3
    row = replace(whole_night().candidates[0], validation=broken, test=broken, seconds=math.nan, history=history)
    html = page.html(whole_night(candidates=(row,)))
    assert not re.search(r"\b(nan|inf|infinity)\b", html, re.IGNORECASE)
    assert "not finite" in html


def test_large_images_leave_the_page_below_three_megabytes() -> None:
    """Photographs in noise, which no compression can shrink, are reduced, and fewer are shown if that is not enough."""
    labels, probabilities = answers(0.5, n=100)
    images = np.random.default_rng(0).integers(0, 256, (100, 224, 320, 3)).astype(np.uint8)
    before = Answers("mnist/3", labels)
    scored = ScoredImages(images, labels, probabilities)
    html = page.html(whole_night(test_images=scored, champion_answers=before))
    assert 100_000 < len(html.encode()) <= page.MOST_BYTES


def test_grey_images_are_dark_on_light_and_colours_stay() -> None:
    """What is shown is what the TensorFlow tutorial shows: 0 is white, 255 is black; colours are as they are."""
    for image, expected in ((np.full((4, 4), 255, np.uint8), 0), (np.full((4, 4, 3), 200, np.uint8), 200)):
        content = base64.b64decode(panels.data_uri(image).partition(",")[2])
        with Image.open(io.BytesIO(content)) as shown:
            assert np.unique(np.asarray(shown)).tolist() == [expected]
