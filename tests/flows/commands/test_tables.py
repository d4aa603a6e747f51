"""What a terminal shows of a decision."""

from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from artifacts.gate.judge import judge
from flows.commands.console import console
from flows.commands.tables import decision_table, night_screen, table
from tests.artifacts.gate.gate_cases import EVIDENCE, NIGHTS, POLICY, Night
from tests.artifacts.reporting.test_report import night


def shown(screen: Any) -> str:
    """The text of a screen that is wide enough for every line."""
    console = Console(width=2000, highlight=False)
    with console.capture() as capture:
        console.print(screen)
    return capture.get()


@pytest.mark.parametrize("case", NIGHTS, ids=lambda case: case.title)
def test_the_numbers_behind_every_verdict_are_shown(case: Night) -> None:
    """Accuracies with intervals, counts, p-value, gains, rule, budget and what would have changed it, whole."""
    decision = judge(case.evidence, case.policy, **case.how)
    lines = [" ".join(line.split()) for line in shown(decision_table(decision, decision.verdict)).splitlines()]
    for name, value in (*decision.rows(), ("what would change it", decision.would_change)):
        assert f"{name} {value}" in lines
    assert "the decision" in lines


def test_an_earlier_decision_is_named_as_such() -> None:
    """On a night on which nothing has changed, the numbers are those of the night that decided."""
    decision = judge(EVIDENCE, POLICY)
    assert "the earlier decision, which still stands" in shown(decision_table(decision, "UNCHANGED"))


@pytest.mark.parametrize("verdict", ["PROMOTE", "HOLD", "REJECT"])
def test_a_night_ends_with_its_decision(verdict: str) -> None:
    """Headline and reason come first, then notes and the numbers, then the candidates."""
    report = night(verdict)
    assert report.decision is not None
    report = replace(report, decision=replace(report.decision, notes=("Mind [this].",)))
    screen = shown(night_screen(report, "report.md"))
    assert screen.startswith(f"{report.headline}: {report.reason}\nMind [this].\n")
    table = shown(decision_table(report.decision, verdict))  # type: ignore[arg-type]
    assert table in screen
    assert screen.index(table) < screen.index("mlp-seed0")


# -- the width of a terminal -------------------------------------------------------------------------------------------


def printed(screen: Any, width: int) -> str:
    """What a terminal of this width shows."""
    console = Console(width=width, highlight=False)
    with console.capture() as capture:
        console.print(screen)
    return capture.get()


def test_columns_that_matter_least_are_left_out_first() -> None:
    """A wide terminal shows all; a narrow one leaves out only as many as it must, and says which."""
    rows = [("cnn", "99.5 % (99.3 to 99.7 %)", "15,000", "winner, reused from an earlier run")]
    made = table(("candidate", "test", "images/s", "result"), rows, spare=("images/s", "test"))
    assert "left out" not in printed(made, 120)
    narrow = printed(made, 78)
    assert "left out, as the terminal is narrow: images/s\n" in narrow
    assert "99.3 to 99.7" in narrow
    assert "images/s, test\n" in printed(made, 45)


@pytest.mark.parametrize("verdict", ["PROMOTE", "HOLD", "REJECT"])
def test_the_tables_of_a_night_fit_80_columns(verdict: str) -> None:
    """No line of a table is wider than a terminal of 80 columns, and the candidates keep name, test and result."""
    screen = printed(night_screen(night(verdict), "report.html"), 80)
    assert max(map(len, screen.splitlines())) <= 80
    assert "cnn-seed0" in screen
    assert "winner" in screen


def test_without_a_terminal_lines_have_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe has the usual width, or what COLUMNS says; NO_COLOR means no colours."""
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setattr("os.get_terminal_size", _no_terminal)
    assert console().width == 80
    monkeypatch.setenv("COLUMNS", "132")
    assert console().width == 132
    monkeypatch.setenv("NO_COLOR", "1")
    assert console().no_color


def _no_terminal(*_: object) -> Any:
    raise OSError
