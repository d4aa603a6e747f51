"""The matrix of faults: every fault is shown by a test, or says why it cannot be."""

from tests import faults
from tests.fault_rows import FAULTS


def test_the_page_is_what_the_marks_say() -> None:
    """docs/faults.md is generated; a mark that moves or goes changes it."""
    assert faults.PAGE.read_text() == faults.page(), "run: python -m tests.faults"


def test_every_fault_is_shown_or_says_why_not() -> None:
    """Ids run from F-01 to F-50; a fault has either tests or a reason."""
    assert [fault.id for fault in FAULTS] == [f"F-{number:02}" for number in range(1, 51)]
    shown = {name for one in faults.marked() for name in one.faults}
    assert {fault.id for fault in FAULTS if fault.id not in shown and not fault.untested} == set()
    assert {fault.id for fault in FAULTS if fault.id in shown and fault.untested} == set()


def test_marks_name_faults_that_exist() -> None:
    """A mark with an unknown id is a misprint."""
    known = {fault.id for fault in FAULTS}
    assert [one for one in faults.marked() if not set(one.faults) <= known] == []
