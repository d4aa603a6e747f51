"""Results read as sentences and as a page."""

from data.validation.results import Catch, Failure, ValidationResult, as_markdown

FAILURE = Failure("expect_x", "train.mean", "0 to 1", "7", ({"split": "train", "row": 3, "mean": 7.0},))


def test_a_failure_reads_as_a_sentence() -> None:
    """It names the subject, the expectation, both values and the place."""
    assert str(FAILURE) == "train.mean: expect_x: expected 0 to 1, got 7"
    assert "train row 3" in FAILURE.where()
    assert Failure("e", "table", "1", "2").where() == ""


def test_the_page_shows_failures_notes_and_catches() -> None:
    """Whoever opens the page sees the verdict first, then why, and what the suite missed in bold."""
    result = ValidationResult(False, 5, (FAILURE,), ("not pinned",))
    caught = Catch("shifted", "by one row", True, ("classes.mean: e",))
    missed, left = Catch("inverted", "255 - x", False, ()), Catch("noise", "1 %", False, (), expected=False)
    page = as_markdown("MNIST", result, (caught, missed, left))
    assert page.startswith("# MNIST is **refused**\n\n5 expectations, 1 not met.")
    assert "| train.mean | expect_x | 0 to 1 | 7 |" in page
    assert "Note: not pinned." in page
    assert "| inverted | 255 - x | **no** |" in page
    assert "| noise | 1 % | no: left to the metric gate |" in page
    assert [catch.ok for catch in (caught, missed, left)] == [True, False, True]
