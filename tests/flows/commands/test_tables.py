"""What a terminal shows of a decision."""

from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from artifacts.gate.judge import judge
from flows.commands.tables import decision_table, night_screen
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
