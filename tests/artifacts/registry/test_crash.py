"""The registry under kill -9, failing disks, full disks and many processes at once.

SQLite's way: fail at the n-th call, for n = 1, 2, 3... until the operation succeeds, and check everything each time.
"""

import errno
import multiprocessing
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import pytest

from artifacts.models.provenance import CHECKOUT
from artifacts.registry import bars, champions, ledger, pointer, versions
from artifacts.registry.versions import numbers
from data.errors import Conflict, StorageFailed
from data.home.store import Store
from tests.artifacts.registry import nights
from tests.artifacts.registry.invariants import assert_clean, assert_hold

pytestmark = pytest.mark.slow

LIMIT = 200  # more calls than any of the operations makes: the loops end
# What changes a disk; killing at any other call leaves the same disk as killing at the next one of these.
CHANGES = ("fsync", "mkdir", "rename", "write", "unlink", "sendfile", "chmod", "openat")
# Of calls that come in rows without anything in between, every so many will do.
STRIDE = {"sendfile": 4, "chmod": 4, "openat": 8}


@dataclass(frozen=True)
class Case:
    """One operation that is interrupted.

    Args:
        before: a home as it is before.
        command: the arguments of `nights.main` after the home.
        allowed: what may be champion after a fault; the last is champion in the end.
    """

    before: Store
    command: tuple[str, str, str]
    allowed: tuple[str | None, ...]

    @contextmanager
    def home(self) -> Iterator[Store]:
        """A fresh copy of the home."""
        with tempfile.TemporaryDirectory(dir=self.before.root.parent) as folder:
            store = Store(Path(folder) / "home")
            shutil.copytree(self.before.root, store.root)
            yield store

    def run(self, store: Store, *prefix: str) -> "subprocess.CompletedProcess[str]":
        """Run the operation in a process of its own, behind a prefix such as strace."""
        # -S: the registry needs nothing but Python itself, so its start-up can be this short
        command = [
            *prefix,
            sys.executable,
            "-S",
            "-m",
            "tests.artifacts.registry.nights",
            str(store.root),
            *self.command,
        ]
        return subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=60, check=False)

    def check(self, store: Store) -> None:
        """Check the invariants, do the operation again as the next run would, and check that it ends as it should."""
        assert_hold(store, self.allowed)
        nights.main(str(store.root), *self.command)
        assert_hold(store, self.allowed[-1:])
        assert self.outcome(store) == self.undisturbed
        assert_clean(store)

    def outcome(self, store: Store) -> tuple[list[str], list[tuple[str, str | None]]]:
        """The manifests of all versions and the moves in the ledger: equal after every recovery (I5)."""
        return (
            [version.manifest_digest for version in versions.versions(store, nights.DATASET)],
            [(entry.action, entry.to_version) for entry in ledger.read(store, nights.DATASET)],
        )

    @cached_property
    def undisturbed(self) -> tuple[list[str], list[tuple[str, str | None]]]:
        """The outcome of a run without a fault."""
        with self.home() as store:
            nights.main(str(store.root), *self.command)
            return self.outcome(store)

    @cached_property
    def startup_calls(self) -> Counter[str]:
        """How many calls of each kind are Python's own start-up: before the first that names a file in the home."""
        with self.home() as store, tempfile.NamedTemporaryFile("r") as trace:
            done = self.run(store, "strace", "-f", "-o", trace.name, "-e", f"trace={','.join(CHANGES)}")
            assert done.returncode == 0, done.stderr
            before, touched, _ = trace.read().partition(f'"{store.root}/')
            assert touched
        return Counter(re.findall(r"^\d+ +(\w+)\(", before, re.MULTILINE))


@pytest.fixture(scope="module")
def cases() -> Iterator[dict[str, Case]]:
    """The operations that write; in memory where possible: a kill loses nothing that is written."""
    with tempfile.TemporaryDirectory(dir=nights.MEMORY) as folder:
        empty, one, two, asked = (Store(Path(folder) / name) for name in ("empty", "one", "two", "asked"))
        nights.candidate(empty, "a", "run-a")
        nights.night(one, "a")
        nights.candidate(one, "b", "run-b")
        nights.night(two, "a")
        nights.night(two, "b")
        nights.night(asked, "a")
        nights.waits(asked, "b")
        yield {
            "first night": Case(empty, ("night", "a", "0"), (None, "mnist/1")),
            "second night": Case(one, ("night", "b", "1"), ("mnist/1", "mnist/2")),
            "rollback": Case(two, ("rollback", "mnist/1", "2"), ("mnist/2", "mnist/1")),
            "approve": Case(asked, ("approve", "mnist/2", "1"), ("mnist/1", "mnist/2")),
            "wait": Case(one, ("wait", "b", "1"), ("mnist/1",)),
        }


@pytest.fixture(scope="module")
def strace() -> str:
    """The path of strace, if it may trace here."""
    path = shutil.which("strace")
    if path is None:
        pytest.skip("strace is not installed: the in-process sweep below covers Python's own calls")
    if subprocess.run([path, "-f", "true"], capture_output=True, check=False).returncode:
        pytest.skip("strace may not trace here: the in-process sweep below covers Python's own calls")
    return path


def interrupted(case: Case, strace: str, syscall: str, fault: str) -> Iterator[tuple[Store, Any]]:
    """Run the operation with a fault at the first, second, third... call, until there is no such call any more."""
    start = case.startup_calls[syscall] + 1
    for number in range(start, start + LIMIT, STRIDE.get(syscall, 1)):
        with case.home() as store:
            inject = ("-e", f"trace={syscall}", "-e", f"inject={syscall}:{fault}:when={number}")
            done = case.run(store, strace, "-f", "-qq", "-o", "/dev/null", *inject)
            yield store, done
        if done.returncode == 0:
            return
    raise AssertionError(f"still interrupted at call {number} of {syscall}")


@pytest.mark.fault("F-11")
@pytest.mark.parametrize(
    ("name", "syscall"),
    [
        *(("first night", syscall) for syscall in ("fsync", "mkdir", "rename", "write")),
        *(("second night", syscall) for syscall in CHANGES),
        *(("rollback", syscall) for syscall in ("fsync", "rename", "write", "unlink")),
        *(("approve", syscall) for syscall in ("fsync", "rename", "write", "unlink", "openat")),
        *(("wait", syscall) for syscall in ("fsync", "rename", "write")),
    ],
)
def test_a_kill_at_any_system_call_leaves_one_loadable_champion_and_a_repeatable_night(
    cases: dict[str, Case], strace: str, name: str, syscall: str
) -> None:
    """Kill -9 at the n-th call: the champion is the old or the new one, never half, and running again finishes."""
    kills = 0
    for store, done in interrupted(cases[name], strace, syscall, "signal=KILL"):
        kills += done.returncode != 0
        assert done.returncode in (0, -signal.SIGKILL), done.stderr
        cases[name].check(store)
    assert kills, "nothing was interrupted"


@pytest.mark.fault("F-12", "F-13")
@pytest.mark.parametrize(
    ("name", "syscall", "error"),
    [
        ("first night", "mkdir", "ENOSPC"),
        ("second night", "fsync", "EIO"),
        ("second night", "write", "ENOSPC"),
        ("second night", "sendfile", "ENOSPC"),
        ("second night", "rename", "EIO"),
        ("rollback", "fsync", "EIO"),
        ("rollback", "write", "ENOSPC"),
        ("approve", "fsync", "EIO"),
        ("approve", "write", "ENOSPC"),
    ],
)
def test_a_failing_disk_is_reported_and_never_published(
    cases: dict[str, Case], strace: str, name: str, syscall: str, error: str
) -> None:
    """EIO or ENOSPC at the n-th call: a StorageFailed that says so, the invariants hold, and the next run finishes."""
    failures = 0
    for store, done in interrupted(cases[name], strace, syscall, f"error={error}"):
        failures += done.returncode != 0
        if done.returncode:
            assert "StorageFailed: cannot write" in done.stderr or "is champion, but its line" in done.stderr
            assert os.strerror(getattr(errno, error)) in done.stderr
        cases[name].check(store)
    assert failures, "nothing failed"


def in_a_fork(work: Callable[[], object]) -> int:
    """Run work in a forked process and return its wait status."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
        except BaseException:  # noqa: BLE001  (the child must never return into pytest)
            os._exit(3)
        os._exit(0)
    return os.waitpid(pid, 0)[1]


@pytest.mark.fault("F-11")
@pytest.mark.parametrize("function", ["os.fsync", "os.replace", "os.mkdir", "shutil.copyfile"])
def test_a_kill_at_any_call_of_python_leaves_one_loadable_champion(cases: dict[str, Case], function: str) -> None:
    """The same sweep without strace: the n-th call of a function of the standard library kills the process."""
    package, _, name = function.partition(".")
    module, case = {"os": os, "shutil": shutil}[package], cases["second night"]

    def work(store: Store, number: int) -> None:
        genuine, left = getattr(module, name), [number]

        def killing(*args: Any, **options: Any) -> Any:
            left[0] -= 1
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)
            return genuine(*args, **options)

        setattr(module, name, killing)
        nights.main(str(store.root), *case.command)

    for number in range(1, LIMIT):
        with case.home() as store:
            status = in_a_fork(partial(work, store, number))
            assert status in (0, signal.SIGKILL)
            case.check(store)
        if status == 0:
            assert number > 1, "nothing was interrupted"
            return
    raise AssertionError(f"still killed at call {number}")


@pytest.mark.fault("F-12")
def test_a_ledger_line_that_finds_no_space_is_written_by_the_next_command(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the rename the new champion stands; readers know its line, and the next write adds it."""
    first, second = nights.night(store, "a"), nights.register(store, "b")

    def full(*_: object) -> None:
        raise StorageFailed("cannot write the ledger: No space left on device", "free some space")

    with monkeypatch.context() as patched:
        patched.setattr(ledger, "append", full)
        with pytest.raises(StorageFailed, match="mnist/2 is champion, but its line could not be written to the ledger"):
            nights.promote(store, second)
    assert champions.champion(store, nights.DATASET) == second
    assert [entry.to_version for entry in champions.history(store, nights.DATASET)] == [first.id, second.id]
    assert len(ledger.read(store, nights.DATASET)) == 1
    bars.bar(store, first.id, who="me", why="old")
    assert [entry.action for entry in ledger.read(store, nights.DATASET)] == ["promote", "promote", "bar"]


@pytest.mark.fault("F-20")
def test_a_zombie_that_wakes_up_cannot_promote_over_a_newer_champion(store: Store) -> None:
    """A process stopped between its comparison and its promotion finds the generation gone, and is refused."""
    nights.night(store, "a")
    version = nights.register(store, "zombie")

    def zombie() -> None:
        token = champions.generation(store, nights.DATASET)
        os.kill(os.getpid(), signal.SIGSTOP)
        with pytest.raises(Conflict):
            nights.promote(store, version, generation=token)

    pid = os.fork()
    if pid == 0:
        try:
            zombie()
        except BaseException:  # noqa: BLE001  (the child must never return into pytest)
            os._exit(3)
        os._exit(0)
    assert os.WIFSTOPPED(os.waitpid(pid, os.WUNTRACED)[1])
    newer = nights.night(store, "b")
    os.kill(pid, signal.SIGCONT)
    assert os.waitpid(pid, 0)[1] == 0
    assert champions.champion(store, nights.DATASET) == newer


def race(home: Path, worker: int, rounds: int, barrier: Any, won: Any) -> None:
    """Register and promote a new model in every round, at the same moment as everybody else."""
    store = Store(home)
    for turn in range(rounds):
        token = champions.generation(store, nights.DATASET)
        barrier.wait(30)
        version = nights.register(store, f"{worker}-{turn}")
        try:
            nights.promote(store, version, generation=token)
            won.put((turn, version.id))
        except Conflict:
            pass
        barrier.wait(30)


@pytest.mark.fault("F-21")
@pytest.mark.parametrize(("processes", "rounds"), [(2, 12), (8, 6)])
def test_of_many_promotions_at_once_exactly_one_succeeds(store: Store, processes: int, rounds: int) -> None:
    """In every round each process registers a version of its own, one becomes champion, the others stay challengers."""
    context = multiprocessing.get_context("fork")
    barrier, won = context.Barrier(processes), context.SimpleQueue()
    workers = [
        context.Process(target=race, args=(store.root, worker, rounds, barrier, won)) for worker in range(processes)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
        worker.kill()
    assert [worker.exitcode for worker in workers] == [0] * processes
    winners = dict(won.get() for _ in range(rounds))
    assert won.empty()
    assert numbers(store, nights.DATASET) == tuple(range(1, processes * rounds + 1))
    assert [entry.to_version for entry in ledger.read(store, nights.DATASET)] == [winners[n] for n in range(rounds)]
    assert_hold(store, (winners[rounds - 1],))
    assert_clean(store)


@pytest.mark.fault("F-21")
def test_readers_see_a_champion_at_every_moment_of_a_busy_night(store: Store) -> None:
    """While another process promotes and rolls back, a reader without a lock always finds one whole champion."""
    nights.night(store, "a")
    second = nights.register(store, "b")

    def busy() -> None:
        for _ in range(20):
            nights.promote(store, second)
            champions.rollback(store, nights.DATASET, who="me", why="again")
            bars.lift(store, second.id, who="me", why="again")

    pid = os.fork()
    if pid == 0:
        try:
            busy()
        except BaseException:  # noqa: BLE001  (the child must never return into pytest)
            os._exit(3)
        os._exit(0)
    seen = set()
    while os.waitpid(pid, os.WNOHANG) == (0, 0):
        champion = champions.champion(store, nights.DATASET)
        assert champion is not None
        seen.add(champion.id)
        generations = [entry.generation for entry in champions.history(store, nights.DATASET) if entry.generation]
        assert generations == list(range(1, len(generations) + 1))
    assert seen <= {"mnist/1", "mnist/2"}
    assert champions.generation(store, nights.DATASET) == 41
    assert_clean(store)


@pytest.mark.fault("F-23")
def test_a_lock_dies_with_its_holder(store: Store) -> None:
    """A process killed inside the lock blocks nobody."""
    nights.night(store, "a")

    def holder() -> None:
        with pointer.writing(store, nights.DATASET):
            os.kill(os.getpid(), signal.SIGKILL)

    assert in_a_fork(holder) == signal.SIGKILL
    with store.lock(pointer.lock_name(nights.DATASET), timeout_s=0):
        pass
