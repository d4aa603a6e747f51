"""The report of a night, written, read again and compared with what happened."""

import json
import math
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from markdown_it import MarkdownIt

from artifacts.evaluation.candidates import FailedCandidate, Standing, Trained, TrainedRef
from artifacts.evaluation.metrics import measure
from artifacts.gate.evidence import Champion, Evidence, Scored
from artifacts.gate.judge import judge
from artifacts.gate.policy import Policy
from artifacts.gate.self_test import SelfTest
from artifacts.recipes.candidate import Candidate
from artifacts.reporting.report import ui_markdown, write_report
from artifacts.reporting.summary import CandidateRow, NightReport, ScoredImages, failed_row, trained_row
from artifacts.serving.check import InfraResult
from data.errors import StorageFailed
from data.validation.results import Catch, Failure, ValidationResult

BEGAN = datetime(2026, 11, 20, 2, 0, 0, tzinfo=UTC)
DIGITS = tuple("0123456789")
LENIENT = Policy(min_accuracy=0.5, min_recall=0.3)


def answers(accuracy: float, seed: int = 0, n: int = 400, classes: int = 10) -> tuple[np.ndarray, np.ndarray]:
    """Labels int64 (n,) and probabilities float32 (n, classes) of a model of this accuracy."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % classes
    predicted = np.where(rng.random(n) < accuracy, labels, (labels + 1) % classes)
    probabilities = np.full((n, classes), 0.1 / (classes - 1), np.float32)
    probabilities[np.arange(n), predicted] = 0.9
    return labels, probabilities


def decided(verdict: str) -> Any:
    """A real decision of the gate with this verdict."""
    labels, better = answers(0.97)
    _, worse = answers(0.80, seed=1)
    pair = {"PROMOTE": (worse, better), "REJECT": (better, worse), "HOLD": (better, better)}[verdict]
    champion = Champion("mnist/3", pair[0].argmax(axis=1), DIGITS, "t")
    scored = Scored("cnn-seed0", pair[1].argmax(axis=1), megabytes=0.5, latency_ms=1.0)
    evidence = Evidence("mnist", labels, DIGITS, len(labels), "t", "2026-11-20", scored, "r", champion)
    decision = judge(evidence, LENIENT)
    assert decision.verdict == verdict, decision
    return decision


def night(gate_verdict: str = "HOLD", **changes: Any) -> NightReport:
    """A whole night on which the gate reached this verdict; changes replace fields of its report."""
    decision = decided(gate_verdict)
    labels, probabilities = answers(0.97)
    metrics = measure(labels, probabilities)
    history = [{"loss": 1 / e, "val_loss": 1.1 / e, "accuracy": 1 - 0.3 / e, "val_accuracy": 0.9} for e in (1, 2, 3)]
    winner = CandidateRow(
        name="cnn-seed0",
        recipe="cnn",
        parameters={"epochs": 3, "learning_rate": 0.004},
        validation=metrics,
        test=metrics,
        seconds=12.3,
        images_per_s=15000.0,
        n_parameters=111_000,
        device="2 CPU cores",
        history=history,
    )
    values: dict[str, Any] = {
        "run": "2026-11-20-nightly",
        "dataset": "mnist",
        "title": "MNIST",
        "class_names": DIGITS,
        "started": BEGAN,
        "finished": BEGAN + timedelta(seconds=61.5),
        "verdict": gate_verdict,
        "reason": decision.reason,
        "decision": decision,
        "candidates": (winner, CandidateRow(name="mlp-seed0", recipe="mlp", failed="the loss is not finite")),
        "winner": "cnn-seed0",
        "champion_before": "mnist/3",
        "champion_after": "mnist/4" if gate_verdict == "PROMOTE" else "mnist/3",
        "validation": ValidationResult(True, 58, (), ("No reference is known for KMNIST.",)),
        "catches": (
            Catch("labels permuted", "train labels in another order", True, ("train.label: expect_this",)),
            Catch("two labels swapped", "two train labels", False, (), expected=False),
            Catch("a class missing", "no 7 in test", False, ()),
        ),
        "self_tests": (SelfTest("the champion against itself", "HOLD", "HOLD", True),),
        "infra": InfraResult(True, "it answered as recorded", "ab", 1.2, 0.8, 1_234_567, 1e-7, True, 64),
        "test_images": ScoredImages(np.zeros((400, 28, 28), np.uint8), labels, probabilities),
        "decided": 1234,
        "ledger": f"1240 {'c0' * 32}",
        "provenance": {"git_commit": None, "raw_digest": "ab" * 32, "libraries": {"keras": "3.15.0"}},
        "next_commands": (("nightshift history mnist", "every decision so far"),),
    }
    return NightReport(**{**values, **changes})


def with_notes(report: NightReport, *notes: str) -> NightReport:
    """The same night with these notes on its decision."""
    assert report.decision is not None
    return replace(report, decision=replace(report.decision, notes=notes))


def rendered(markdown: str) -> str:
    """The HTML that a Markdown renderer with tables makes of it; raw HTML, if there is any, goes through."""
    return MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(markdown)


def cells(markdown: str) -> list[list[str]]:
    """All table rows, split where Markdown splits them."""
    return [re.split(r"(?<!\\)\|", line)[1:-1] for line in markdown.splitlines() if line.startswith("|")]


# -- the content ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("verdict", "mode", "headline"),
    [
        ("PROMOTE", "normal", "# PROMOTED: "),
        ("PROMOTE", "force", "# PROMOTED BY FORCE: "),
        ("HOLD", "normal", "# NOT PROMOTED (HOLD): "),
        ("REJECT", "normal", "# NOT PROMOTED (REJECT): "),
        ("PROMOTE", "dry-run", "# DRY RUN, nothing changed; would be PROMOTED: "),
        ("REJECT", "dry-run", "# DRY RUN, nothing changed; would be NOT PROMOTED (REJECT): "),
    ],
)
def test_first_line_says_verdict_and_reason(verdict: str, mode: str, headline: str) -> None:
    """Nobody can take one verdict for another, and each is a headline."""
    report = night(verdict, mode=mode)
    assert ui_markdown(report).splitlines()[0] == headline + report.reason
    assert report.promoted == headline.startswith("# PROMOTED")


def test_second_paragraph_says_what_it_means() -> None:
    """Who is champion now follows at once."""

    def second(report: NightReport) -> str:
        return ui_markdown(report).split("\n\n")[1]

    assert second(night("PROMOTE")) == "`mnist/4` is now the champion of MNIST, in place of `mnist/3`."
    assert second(night("PROMOTE", champion_before=None)) == "`mnist/4` is now the champion of MNIST, the first one."
    assert second(night("HOLD")) == "A hold is not a failure. The champion is still `mnist/3`."
    assert second(night("REJECT")) == "The champion is still `mnist/3`."
    assert second(night("REJECT", champion_before=None)) == "There is still no champion."
    assert second(night("REJECT", mode="dry-run", champion_before=None)) == (
        "This was a dry run: it promoted nothing and wrote nothing to the ledger. There is still no champion."
    )


def test_the_decision_is_explained_with_its_numbers() -> None:
    """Accuracies with intervals, discordant counts, p-value, gain, detectable gain, what would change it, budget."""
    report = night("PROMOTE")
    decision, markdown = report.decision, ui_markdown(report)
    assert decision
    assert decision.paired
    assert decision.champion
    rows = {row[0].strip(): row[-1].strip() for row in cells(markdown)}
    assert rows["images that only the candidate gets right"] == f"{decision.paired.gained}"
    assert rows["images that only the champion gets right"].startswith(f"{decision.paired.lost} (most: ")
    gain = 100 * (decision.candidate.accuracy - decision.champion.accuracy)
    assert rows["gain of this candidate"] == f"{gain:.2f} points"
    assert float(rows["exact McNemar test of this candidate alone, two-sided p-value"]) == pytest.approx(
        decision.paired.p_tonight, rel=0.01
    )
    assert rows["smallest gain that could have been detected"].endswith(" points")
    assert rows["what would change it"] == decision.would_change
    assert f"| {100 * decision.candidate.low:.2f} to {100 * decision.candidate.high:.2f} % |" in markdown
    assert "Comparisons on this test set in the last 365 days: 1, this one included." in markdown
    assert rows["accuracy"] == "ok"
    assert rows["decisions on this test set"] == "1,234 in the ledger so far"


def test_the_report_keeps_the_newest_line_of_the_ledger() -> None:
    """Its number and whole hash stand in file, note and JSON: lines cut off later are missed from outside."""
    report = night("HOLD")
    assert {row[0].strip(): row[-1].strip() for row in cells(ui_markdown(report))}["newest line of the ledger"] == (
        f"`1240 {'c0' * 32}`"
    )
    assert report.to_json()["ledger"] == report.ledger
    assert "newest line" not in ui_markdown(replace(report, ledger=""))


def test_the_report_says_that_validation_chose_the_winner() -> None:
    """The table marks the winner and shows the failed candidate with its reason."""
    markdown = ui_markdown(night())
    assert "The winner was chosen by accuracy on 400 validation images. The 400 test images had no part" in markdown
    rows = {row[0].strip(): row[-1].strip() for row in cells(markdown)}
    assert rows["`cnn-seed0`"].endswith("90.00 %"), "the curves; the last table with that name"
    assert rows["`mlp-seed0`"] == "the loss is not finite"
    assert "**winner**" in markdown
    assert "epochs 3, learning_rate 0.004" in markdown


def test_what_was_checked_tells_missed_from_left_to_others() -> None:
    """A corruption that must be caught and was not is loud; one that statistics cannot see is not."""
    rows = {row[0].strip(): row[2].strip() for row in cells(ui_markdown(night())) if len(row) > 2}
    assert rows["labels permuted"] == "caught"
    assert rows["two labels swapped"] == "left to the gate"
    assert rows["a class missing"] == "**MISSED**"
    assert "1 of 3 corrupted copies" in ui_markdown(night())


def test_refused_data_shows_what_was_expected_and_what_was_found() -> None:
    """A failing expectation is shown with both values, and no more than twenty of them."""
    failures = tuple(Failure("expect_mean", f"train.column{index}", "0.13 to 0.14", "nan | <b>") for index in range(30))
    markdown = ui_markdown(night(validation=ValidationResult(False, 58, failures)))
    assert "58 checks, 30 failed" in markdown
    assert "nan \\| &lt;b>" in markdown
    assert "The first 20 of 30." in markdown


# -- the file --------------------------------------------------------------------------------------------------


def test_the_file_has_no_pictures_and_says_the_same_as_the_note(tmp_path: Path) -> None:
    """Figures are on the page; the Markdown file and the UI note are one text, and the note names the page."""
    report = night()
    markdown = write_report(tmp_path / "report", report)
    assert (tmp_path / "report" / "report.md").read_text(encoding="utf-8") == markdown == ui_markdown(report)
    assert "![" not in markdown
    assert "█" in markdown, "curves as text"
    assert "`/home/report.html`" in ui_markdown(report, "/home/report.html").split("\n\n")[1]


def test_the_same_night_gives_the_same_bytes(tmp_path: Path) -> None:
    """Nothing in the report depends on when or where it was written."""
    for folder in ("one", "two"):
        write_report(tmp_path / folder, night())
    one, two = ({path.name: path.read_bytes() for path in (tmp_path / f).iterdir()} for f in ("one", "two"))
    assert one == two
    assert one.keys() == {"report.html", "report.md", "night.json"}


def test_a_file_in_the_way_is_explained(tmp_path: Path) -> None:
    """A report that cannot be written raises an error that names the file."""
    (tmp_path / "report").write_text("in the way")
    with pytest.raises((StorageFailed, FileExistsError)):
        write_report(tmp_path / "report", night())


# -- what may be missing --------------------------------------------------------------------------------------


def test_a_night_with_nothing_has_a_report(tmp_path: Path) -> None:
    """No champion, no winner, no decision, every candidate failed: the report says so and guesses nothing."""
    failed = CandidateRow(name="cnn-seed0", recipe="cnn", failed="out of memory")
    report = NightReport(
        run="r", dataset="mnist", title="MNIST", class_names=DIGITS, started=BEGAN, finished=BEGAN,
        verdict="REJECT", reason="no candidate could be trained", candidates=(failed,),
    )  # fmt: skip
    markdown = write_report(tmp_path, report)
    assert markdown.startswith("# NOT PROMOTED (REJECT): no candidate could be trained\n\nThere is still no champion.")
    assert "out of memory" in markdown
    assert "![" not in markdown
    assert "out of memory" in (tmp_path / "report.html").read_text()


def test_an_unchanged_night_shows_the_earlier_decision_as_such() -> None:
    """Where nothing was decided tonight, the numbers are marked as those of then."""
    report = night("PROMOTE", verdict="UNCHANGED", reason="nothing has changed since 2026-11-19")
    markdown = ui_markdown(report)
    assert markdown.startswith("# NOT PROMOTED (UNCHANGED): nothing has changed since 2026-11-19\n")
    assert "## The earlier decision, which still stands" in markdown
    assert not report.promoted


# -- what data must not do ------------------------------------------------------------------------------------


HOSTILE = ("<script>alert(1)</script>", "a|b", "`x`", "![p](http://e.org/p)", "[l](http://e.org)", "$x$", "*b*")
TAGS = {"h1", "h2", "p", "table", "thead", "tbody", "tr", "th", "td", "code", "strong", "ul", "li", "img"}
HOSTILE = (*HOSTILE, "\ud800", "two\nlines", "")


def test_no_name_breaks_a_table_or_becomes_markup(tmp_path: Path) -> None:
    """With class names, reasons and notes of the worst kind every table keeps its columns and no tag survives."""
    worst = "x | <img src=x onerror=alert(1)> ![p](http://e.org) \n\n# PROMOTED\n| a | b |"
    row = CandidateRow(name="a`b|c", recipe="<i>", parameters={"<b>": "|"}, failed=worst, device="|")
    report = night(class_names=HOSTILE, title="<h1>", reason=worst, next_commands=((worst, worst),))
    report = with_notes(report, worst)
    report = replace(report, candidates=(*report.candidates, row), provenance={worst: {worst: worst}})
    plain, hostile = (rendered(ui_markdown(one)) for one in (night(candidates=report.candidates[:2]), report))
    assert hostile.count("<h1>") == 1
    assert hostile.count("<table>") == plain.count("<table>")
    for markdown in (write_report(tmp_path, report), ui_markdown(report)):
        html = rendered(markdown)
        assert set(re.findall(r"<(\w+)", html)) <= TAGS
        assert re.findall(r'(?:src|href)="([^"]*)"', html) == re.findall(r"(?m)^!\[[^]]*\]\((.*)\)$", markdown)
        assert "<script>" not in html
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html, "it is shown, not dropped"
        for block in re.split(r"\n\n", markdown):
            widths = {len(found) for found in cells(block)}
            assert len(widths) <= 1, block


def test_what_is_not_finite_never_reaches_the_page(tmp_path: Path) -> None:
    """NaN and infinities in any number become words, in both forms, and null in JSON."""
    broken = replace(
        night().candidates[0].validation,
        accuracy=math.nan,
        low=math.nan,
        high=math.inf,
        log_loss=math.inf,
        ece=math.nan,
    )
    history = [{"loss": math.nan, "val_loss": math.inf, "accuracy": math.nan, "val_accuracy": -math.inf}]
    row = replace(
        night().candidates[0], validation=broken, test=broken, seconds=math.nan, images_per_s=math.inf, history=history
    )
    report = night(candidates=(row,))
    for markdown in (write_report(tmp_path, report), ui_markdown(report)):
        assert not re.search(r"\b(nan|inf|infinity)\b", markdown, re.IGNORECASE)
        assert "not finite" in markdown
    text = json.dumps(report.to_json(), allow_nan=False)
    assert json.loads(text)["candidates"][0]["seconds"] is None


def test_a_thousand_classes_and_many_candidates_fit_into_the_ui(tmp_path: Path) -> None:
    """The note stays below 100 KB whatever comes, and the file stays readable."""
    labels, probabilities = answers(0.7, n=4000, classes=1000)
    metrics = measure(labels, probabilities)
    names = tuple(f"class number {index} with a long name" for index in range(1000))
    rows = tuple(
        replace(night().candidates[0], name=f"cnn-seed{seed}", seed=seed, validation=metrics, test=metrics)
        for seed in range(80)
    )
    report = with_notes(night(class_names=names, candidates=rows, test_images=None), *("long " * 100,) * 500)
    note = ui_markdown(report)
    assert len(note.encode()) < 100_000
    assert note.startswith("# NOT PROMOTED (HOLD)")
    report = with_notes(report)
    assert "The 30 classes of lowest recall, of 1,000:" in write_report(tmp_path, report)
    assert "The first 60 of 80." in ui_markdown(report)


def test_json_has_the_same_content() -> None:
    """A script reads verdict, promotion and candidates; images stay out."""
    value = json.loads(json.dumps(night("PROMOTE").to_json(), allow_nan=False))
    assert (value["verdict"], value["promoted"], value["headline"]) == ("PROMOTE", True, "PROMOTED")
    assert value["candidates"][0]["test"]["n_examples"] == 400
    assert value["decision"]["paired"]["gained"] > 0
    assert "test_images" not in value


def test_rows_are_made_from_what_training_leaves() -> None:
    """A trained candidate and a failed one become rows without anything being lost."""
    labels, probabilities = answers(0.97)
    metrics = measure(labels, probabilities)
    candidate = Candidate.parse("tiny")
    training = {"parameters": {"epochs": 1}, "seconds": 1.5, "images_per_s": 9.0, "n_parameters": 7, "device": "CPU"}
    one = Trained(TrainedRef(candidate, "ab" * 32, reused=True), training, ({"loss": 1.0},), metrics, metrics)
    row = trained_row(one)
    assert (row.name, row.reused, row.seconds, row.n_parameters, row.failed) == (candidate.name, True, 1.5, 7, "")
    assert row.history == ({"loss": 1.0},)
    failed = failed_row(FailedCandidate(candidate, ""))
    assert failed.failed, "a failed candidate is one even if nobody knows why"
    assert failed.parameters


def test_several_seeds_are_ranked_by_their_mean() -> None:
    """With several seeds the report has the mean and its standard error; with one seed it has neither."""
    ranked = night(standings=(Standing("cnn", 3, 0.9941, 0.0003), Standing("mlp", 1, 0.98, None)))
    rows = [[cell.strip() for cell in row] for row in cells(ui_markdown(ranked))]
    assert ["`cnn`", "3", "99.41 %", "0.03 %"] in rows
    assert "standard error" not in ui_markdown(night(standings=(Standing("cnn", 1, 0.9941, None),)))


def test_a_candidate_has_the_same_texts_in_every_table() -> None:
    """Report, UI and terminal show one description: numbers with units, a dash for what is missing, the result."""
    winner, failed = (row.texts("cnn-seed0") for row in night().candidates)
    assert (winner["candidate"], winner["training"], winner["weights"]) == ("cnn-seed0", "12.3 s", "111,000")
    assert winner["parameters"] == "epochs 3, learning_rate 0.004"
    assert winner["result"] == "winner"
    assert (failed["validation"], failed["training"], failed["device"]) == ("–", "–", "–")
    assert failed["result"] == "failed: the loss is not finite"
    assert replace(night().candidates[0], reused=True).texts("")["result"] == "reused from an earlier run"
