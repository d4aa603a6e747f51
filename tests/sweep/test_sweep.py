"""Every operation that writes to the home, interrupted at every system call that changes it, and on disks that fail.

SQLite's way, as in `tests/artifacts/registry/test_crash.py`, for what is not the registry. `make faults` sweeps every
call of every kind; without --wide each operation is interrupted at a few.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from artifacts.operations.verify import find_problems
from artifacts.registry import champions, pointer
from data.home.store import Store
from tests.artifacts.registry import nights
from tests.artifacts.registry.invariants import assert_hold
from tests.sweep.interrupting import Ended, interrupted, strace
from tests.sweep.operations import OPERATIONS, Operation, left

pytestmark = pytest.mark.slow

LIMIT = 600  # more calls of one kind than any operation makes
KINDS = {
    "rename": "rename,renameat,renameat2",
    "fsync": "fsync,fdatasync",
    "write": "write,pwrite64,writev,sendfile,copy_file_range,ftruncate",
    "open": "openat,open",
    "unlink": "unlink,unlinkat,rmdir",
    "mkdir": "mkdir,mkdirat,link,linkat",
}
KILLS = {f"kill at {kind}": (calls, "signal=KILL") for kind, calls in KINDS.items()}
ERRORS = {
    "EIO at fsync": (KINDS["fsync"], "error=EIO"),
    "EIO at rename": (KINDS["rename"], "error=EIO"),
    "EIO at unlink": (KINDS["unlink"], "error=EIO"),
    "EIO at open": (KINDS["open"], "error=EIO"),
    "ENOSPC at write": (KINDS["write"], "error=ENOSPC"),
    "ENOSPC at mkdir": (KINDS["mkdir"], "error=ENOSPC"),
}
STRIDE = {"open": 8}  # files of the source are read one after the other, and nothing changes in between
BOUNDED = ("datasets add --grows", "datasets remove, growing", "gc", "verify --repair")
FEW = 4  # runs of each kind without --wide


@dataclass
class Case:
    """An operation with the home that it begins with.

    Args:
        operation: what is done.
        folder: holds the home before, and the sources beside it.
    """

    operation: Operation
    folder: Path

    @contextmanager
    def fresh(self) -> Iterator[Store]:
        """A fresh copy of the home with its sources, always at the same place: rows have absolute paths."""
        place = self.folder.parent / "at-work"
        shutil.copytree(self.folder, place)
        try:
            yield Store(place / "home")
        finally:
            shutil.rmtree(place)

    @cached_property
    def expected(self) -> dict[str, Any]:
        """What an undisturbed operation leaves; the first is for what is imported and started on first use."""
        for _ in range(2):
            with self.fresh() as store:
                self.operation.run(store)
                found = left(store)
        return found

    def check(self, store: Store, ended: Ended) -> None:
        """Check the invariants, do it again, and check that it ends as if nothing had happened."""
        assert ended.how != "crashed", ended.text
        if self.operation.sound:
            assert_hold(store, ("mnist/1",))
        elif ended.how == "done":
            assert champions.champion_id(store, nights.DATASET) == "mnist/1"
        self.operation.run(store)
        found, expected = left(store), dict(self.expected)
        # what a repair has kept may be kept twice; nothing that was kept is missing
        assert set(expected.pop("quarantine")) <= set(found.pop("quarantine"))
        assert found == expected or (self.operation.skips and ended.how == "done")
        assert_hold(store, ("mnist/1",))
        store.sweep(older_than_s=-1)
        assert [one for one in find_problems(store) if "no known dataset" not in one.problem] == []
        with store.lock(pointer.lock_name(nights.DATASET), timeout_s=0):
            pass


@pytest.fixture(scope="module")
def cases() -> Iterator[dict[str, Case]]:
    """Every operation with its home, in memory where possible: a kill loses nothing that is written."""
    with tempfile.TemporaryDirectory(dir=nights.MEMORY) as folder:
        found = {}
        for name, operation in OPERATIONS.items():
            place = Path(folder) / "at-work"
            store = Store(place / "home")
            nights.night(store, "a")
            operation.before(store)
            kept = Path(folder) / name.replace(" ", "-").replace(",", "")
            place.rename(kept)
            found[name] = Case(operation, kept)
        yield found


def numbers(wide: bool, seed: str) -> Iterator[int]:
    """Which calls are interrupted: all, or the first and some that differ from case to case."""
    if wide:
        yield from range(1, LIMIT, STRIDE.get(seed.rpartition(" ")[2], 1))
        return
    step = 2 + sum(seed.encode()) % 7
    yield from range(1, 1 + FEW * step, step)


@pytest.mark.fault("F-11", "F-12", "F-13", "F-17")
@pytest.mark.parametrize("fault", [*KILLS, *ERRORS])
@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_that_is_interrupted_is_done_by_the_next_one(
    cases: dict[str, Case], request: pytest.FixtureRequest, name: str, fault: str
) -> None:
    """Killed or failed at the n-th call: nothing half, a clear error, and the next time it ends as it should."""
    if not strace():
        pytest.skip("strace is not installed or may not trace here")
    wide = request.config.getoption("--wide")
    if not wide and (name not in BOUNDED or fault not in ("kill at rename", "kill at unlink", "ENOSPC at write")):
        pytest.skip("part of the whole sweep: make faults")
    case, (calls, injection), runs = cases[name], {**KILLS, **ERRORS}[fault], 0
    assert case.expected
    log = case.folder.parent / "trace"
    for number in numbers(wide, name + fault):
        with case.fresh() as store:
            ended = interrupted(lambda store=store: case.operation.run(store), calls, injection, number, log)
            if not ended.injected:
                assert ended.how == "done", ended.text
                break
            case.check(store, ended)
            runs += 1
    else:
        assert not wide, f"still interrupted at call {number}"
    _count(request, name, fault, runs)


def _count(request: pytest.FixtureRequest, name: str, fault: str, runs: int) -> None:
    """Append the number of runs to the file of --counts."""
    if path := request.config.getoption("--counts"):
        line = json.dumps({"operation": name, "fault": fault, "runs": runs}) + "\n"
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        os.write(descriptor, line.encode())
        os.close(descriptor)
