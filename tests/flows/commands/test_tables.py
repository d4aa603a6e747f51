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
    for name, said in (*decision.rows(), ("what would change it", decision.would_change)):
        assert f"{name} {said}" in lines
    assert "the decision" in lines


def test_an_earlier_decision_is_called_so() -> None:
    """On a night on which nothing has changed, the numbers are those of the night that decided."""
    decision = judge(EVIDENCE, POLICY)
    assert "the decision when it was taken" in shown(decision_table(decision, "UNCHANGED"))


@pytest.mark.parametrize("verdict", ["PROMOTE", "HOLD", "REJECT"])
def test_a_night_ends_with_its_decision(verdict: str) -> None:
    """Headline and reason come first, then notes and the numbers, then the candidates."""
    told = night(verdict)
    assert told.decision is not None
    told = replace(told, decision=replace(told.decision, notes=("Mind [this].",)))
    said = shown(night_screen(told, "report.md"))
    assert said.startswith(f"{told.headline}: {told.reason}\nMind [this].\n")
    table = shown(decision_table(told.decision, verdict))  # type: ignore[arg-type]
    assert table in said
    assert said.index(table) < said.index("cnn seed 0")
