"""Writes docs/faults.md from the marks on the tests: `python -m tests.faults`.

A test says with `@pytest.mark.fault("F-07")` which faults of `tests/fault_rows.py` it shows. The counts of the sweep
are those of the last `make faults`, which leaves them in docs/figures/faults.json.
"""

import ast
import json
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.fault_rows import FAULTS

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "faults.md"
COUNTS = ROOT / "docs" / "figures" / "faults.json"

INTRODUCTION = """# Faults

What can go wrong around a night, what happens then, and the tests that show it. `python -m tests.faults` writes
this page from the marks on the tests, and a test compares it with them; `make faults` runs every test named here
whole, `make test` a bounded part of the sweep.

After every fault hold: there is one champion, whole and loadable, or none before the first promotion; nothing half
is visible; numbers of versions are never used again; no version is registered without its checks; the same command
again ends as if nothing had happened; an earlier champion can be restored; the failure is visible; nothing that is
left behind blocks the next night.
"""

SWEEP = """
## The sweep

Each operation runs in a process of its own in a fresh copy of a home, and the n-th system call of one kind is the
last one (kill -9) or fails (an error of the disk), for n = 1, 2, 3... until the operation ends untouched. Each
time the invariants are checked, then the same operation runs again and has to leave what an undisturbed one
leaves. *Runs* are these n. Listed are the operations that have been swept whole, as they were counted; of all of
them `make test` runs a part. `tests/sweep/test_sweep.py` (files of the home) and
`tests/artifacts/registry/test_crash.py` (the registry) do it.
"""


@dataclass(frozen=True)
class Marked:
    """A test with marks.

    Args:
        path: of its file, relative to the repository's root.
        name: of the function.
        faults: ids.
    """

    path: str
    name: str
    faults: tuple[str, ...]


def marked() -> Iterator[Marked]:
    """Yield every test that has the mark, in the order of files and lines."""
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and (faults := tuple(_faults(node))):
                yield Marked(path.relative_to(ROOT).as_posix(), node.name, faults)


def _faults(node: ast.FunctionDef) -> Iterator[str]:
    for decorator in node.decorator_list:
        if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "pytest.mark.fault":
            yield from (ast.literal_eval(argument) for argument in decorator.args)


def page() -> str:
    """Return the page as it should be."""
    tests = defaultdict(list)
    for one in marked():
        for fault in one.faults:
            tests[fault].append(f"[{one.name.removeprefix('test_').replace('_', ' ')}](../{one.path})")
    rows = [
        f"| {fault.id} | {fault.what} | {fault.here} | {'; '.join(tests[fault.id]) or fault.untested} |"
        for fault in FAULTS
    ]
    table = "\n".join(("| id | fault | what happens here | shown by |", "|---|---|---|---|", *rows))
    return f"{INTRODUCTION}\n{table}\n{SWEEP}\n{_sweep_table()}\n"


def _sweep_table() -> str:
    counted = json.loads(COUNTS.read_text()) if COUNTS.exists() else {}
    faults = sorted({fault for runs in counted.values() for fault in runs})
    lines = [f"| operation | {' | '.join(faults)} | runs |", "|" + "---|" * (len(faults) + 2)]
    for operation, runs in sorted(counted.items()):
        cells = " | ".join(str(runs.get(fault, "")) for fault in faults)
        lines.append(f"| {operation} | {cells} | {sum(runs.values())} |")
    total = sum(sum(runs.values()) for runs in counted.values())
    return "\n".join([*lines, "", f"{len(counted)} operations, {total:,} runs."])


def keep_counts(lines: Path) -> None:
    """Write the counts of a whole sweep, one JSON object per line, to docs/figures/faults.json."""
    found: dict[str, dict[str, int]] = defaultdict(dict)
    for line in lines.read_text().splitlines():
        one: dict[str, Any] = json.loads(line)
        found[one["operation"]][one["fault"]] = one["runs"]
    COUNTS.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        keep_counts(Path(sys.argv[1]))
    PAGE.write_text(page())
