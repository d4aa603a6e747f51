"""Check what lies in the home: hash everything again, and read pointers, ledgers, rows and records.

`check_home` writes nothing and continues after every problem. What is repaired, and what is not:
`artifacts.upkeep.repair`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from artifacts.operations import loads
from artifacts.upkeep import kinds
from artifacts.upkeep.findings import Finding, Subject, checked
from artifacts.upkeep.kinds import Kind
from data.home import schema
from data.home.store import Store


@dataclass(frozen=True)
class Report:
    """What was found, and what was looked at.

    Args:
        findings: the problems.
        counts: how many things of each kind were checked; kinds of which there is none are left out.
        unchecked: names in the home that nothing here looks into.
    """

    findings: tuple[Finding, ...]
    counts: dict[str, int]
    unchecked: tuple[str, ...]

    @property
    def serious(self) -> tuple[Finding, ...]:
        """The findings that need action."""
        return tuple(one for one in self.findings if one.serious)

    @property
    def sentence(self) -> str:
        """What was checked and how many findings there are, and what was not checked."""
        what = ", ".join(f"{count} {name}" for name, count in self.counts.items()) or "an empty home"
        result = f"{len(self.findings)} findings" if self.findings else "no problem found"
        left = f"; not checked: {', '.join(self.unchecked)}" if self.unchecked else ""
        return f"checked {what}: {result}{left}"


def check_home(store: Store, *, load: bool = False) -> Report:
    """Check every kind of thing in the home.

    Args:
        store: the home; it is only read.
        load: also load every version that a rollback may need, each in a fresh process, and ask it the recorded
            requests: some seconds each.
    """
    findings: list[Finding] = []
    counts: dict[str, int] = {}
    for kind in (*kinds.KINDS, *([loads.LOADED] if load else [])):
        subjects = _subjects(store, kind, findings)
        counts |= {kind.name: len(subjects)} if subjects else {}
        for subject in subjects:
            findings += checked(subject)
    findings += checked(Subject("home.json", lambda: schema.require_known(store)))
    findings += checked(Subject("tmp", lambda: _debris(store)))
    return Report(tuple(findings), counts, tuple(kinds.unchecked(store)))


def find_problems(store: Store) -> list[Finding]:
    """Return the problems of `check_home`; empty if all files match their recorded hashes."""
    return list(check_home(store).findings)


def _subjects(store: Store, kind: Kind, findings: list[Finding]) -> Sequence[Subject]:
    """Return what there is of a kind; a folder that cannot be listed is a finding."""
    subjects: list[Subject] = []
    findings += checked(Subject(f"{kind.folder}/", lambda: subjects.extend(kind.subjects(store))))
    return subjects


def _debris(store: Store) -> list[Finding]:
    problem, hint = "left behind by a crashed run", "the next run removes it"
    return [Finding(str(path.relative_to(store.root)), problem, hint, serious=False) for path in store.debris()]
