import json
from dataclasses import replace

import pytest

from artifacts.evaluation.numbers import points
from artifacts.gate.decision import Budget, Decision, Share, p_text
from artifacts.gate.judge import judge
from tests.artifacts.gate.gate_cases import (
    CHAMPION,
    EVIDENCE,
    LOOK,
    NIGHTS,
    POLICY,
    Night,
    answers,
    candidate,
)


@pytest.mark.parametrize("night", NIGHTS, ids=lambda night: night.title)
def test_a_decision_survives_json(night: Night) -> None:
    """Every decision comes back equal from JSON text without NaN."""
    decision = judge(night.evidence, night.policy, **night.how)
    text = json.dumps(decision.to_json(), allow_nan=False)
    assert Decision.from_json(json.loads(text)) == decision


def test_the_rows_show_all_that_the_verdict_rests_on() -> None:
    """The table has both accuracies with intervals, counts, p-values, gain, detectable gain, rule and budget."""
    rows = dict(judge(EVIDENCE, POLICY).rows())
    assert rows == {
        "rule": "better",
        "candidate": "cnn-seed1, 99.61 % (99.47 to 99.71 %)",
        "champion": "mnist/3, 99.42 % (99.25 to 99.55 %)",
        "gain": "0.19 points: 31 images gained, 12 lost",
        "exact McNemar test": "p = 0.0054 for tonight's model alone",
        "models of this recipe": "1, mean gain 0.19 points",
        "their exact test": "p = 0.0054, level 0.0056",
        "smallest gain it could detect": "0.19 points",
        "champion's sampling noise": "0.05 points (standard deviation; more models do not reduce it)",
        "false promotions a year": "0.1 allowed, 0.0944 left",
        "looks at this test set": "1 within a year",
        "requirements met": "16 of 16",
    }
    lenient = dict(
        judge(replace(EVIDENCE, candidate=candidate(12, 27)), replace(POLICY, promote_when="not-worse")).rows()
    )
    assert lenient["worse by 0.30 points or more"] == "p = 0.0154, level 0.0100"
    assert lenient["policy"] == "promote what is not-worse"
    assert lenient.keys() == {*rows, "worse by 0.30 points or more", "policy"}
    few = dict(judge(replace(EVIDENCE, candidate=candidate(4, 1)), POLICY).rows())
    assert few["smallest gain it could detect"] == "none"
    alone = judge(replace(EVIDENCE, champion=None), POLICY).rows()
    assert [name for name, _ in alone] == ["rule", "candidate", "requirements met"]


def test_large_numbers_are_readable() -> None:
    """Thousands are separated, in the reason and in the table."""
    poor = replace(CHAMPION, predicted=answers(range(3000)))
    model = replace(candidate(0, 0), predicted=answers(range(2000, 4000)))
    siblings = tuple(answers(range(start, start + 1900)) for start in range(2000, 2600, 300))
    lenient = replace(POLICY, min_accuracy=0.0, min_recall=0.0, max_lost=1.0, max_lost_per_class=1.0)
    decision = judge(replace(EVIDENCE, candidate=model, champion=poor, siblings=siblings), lenient)
    assert dict(decision.rows())["gain"] == "10.00 points: 2,000 images gained, 1,000 lost"
    assert "80.00 % against 70.00 % of mnist/3 on the same 10,000 images: 2,000 gained, 1,000 lost" in decision.reason
    many = judge(replace(EVIDENCE, looks=(replace(LOOK, spent=0.0),) * 1234), POLICY)
    assert dict(many.rows())["looks at this test set"] == "1,235 within a year"


def test_small_numbers_are_readable() -> None:
    """Differences have two decimals, p-values four or, where that would be zero, an exponent."""
    assert [points(share) for share in (0.5, 0.0019, -0.01)] == ["50.00 points", "0.19 points", "-1.00 points"]
    assert [p_text(p) for p in (1.0, 0.0005, 0.00049, 3e-12)] == ["1.0000", "0.0005", "4.9e-04", "3.0e-12"]


def test_a_decision_is_normal_unless_it_says_otherwise() -> None:
    """Mode, force and everything that a comparison adds have defaults."""
    decision = Decision("HOLD", "rule", "because", "nothing", Share("cnn", 1, 2, 0.1, 0.9), POLICY)
    assert str(decision) == "HOLD: because\nWhat would change it: nothing"
    assert (decision.mode, decision.force_reason, decision.notes, decision.checks) == ("normal", "", (), ())
    assert str(replace(decision, mode="dry-run", notes=("Note.",))) == (
        "HOLD (dry run): because\nNote.\nWhat would change it: nothing"
    )
    assert Decision.from_json(decision.to_json()) == decision


def test_what_is_left_of_the_budget_is_never_negative() -> None:
    """A policy that was made stricter may find more spent than it allows."""
    assert Budget(3, 0.1, 0.04, 0.01).left == pytest.approx(0.05)
    assert Budget(3, 0.1, 0.2, 0.0).left == 0.0
