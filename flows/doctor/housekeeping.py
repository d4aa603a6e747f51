"""Checks of the home: what `verify` finds, rights, room, clock, runs that died, schedules, leftovers, logs."""

import os
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from artifacts.operations.verify import check_home
from artifacts.upkeep import garbage
from artifacts.upkeep.findings import Finding, Subject, checked
from artifacts.upkeep.preflight import clock_warnings, require_locks
from data import catalogue
from data.errors import NightshiftError
from data.home import journal, schema
from data.home.store import Store
from flows.server import schedules

REPAIR = "nightshift doctor --repair"
SECRET = ("auth", "environment", "environment.plain")  # files under server/ with the password
VANISHING = {"tmpfs", "ramfs"}  # file systems that are empty after a restart
FOREIGN = {"nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "fuse.s3fs", "fuse.gcsfuse"}


@dataclass(frozen=True)
class Home:
    """What was found in a home.

    Args:
        findings: the problems.
        sentence: what was looked at.
    """

    findings: list[Finding]
    sentence: str


def require_sound(store: Store) -> None:
    """Check that the home can be written, has locks, and was not written by newer code.

    Raises:
        Broken: newer code has written here.
        StorageFailed: it cannot be written, or has no locks.
    """
    schema.require_known(store)
    if store.root.exists():  # nobody asked for a home to be made
        store.preflight()
        require_locks(store)


def look(store: Store, *, load: bool) -> Home:
    """Return everything that is wrong in the home; only a small file is written, which shows that it can be."""
    if not store.root.exists():
        return Home([], f"there is no home at {store.root} yet")
    report = check_home(store, load=load)
    found = checked(Subject("home", lambda: require_sound(store)))
    for name, check in CHECKS.items():
        found += checked(Subject(name, partial(check, store)))
    return Home([*found, *report.findings], report.sentence)


def repair(store: Store) -> list[str]:
    """Remove leftovers of crashed runs, cut long logs, and give secrets back their rights; return what was done."""
    done = [f"removed {path.relative_to(store.root)}, left behind by a crashed run" for path in store.sweep()]
    for item in garbage.logs(store):
        garbage.halve(item.path)
        done.append(f"cut the older half of {item.path.relative_to(store.root)}")
    for path in _readable_secrets(store):
        path.chmod(stat.S_IMODE(path.stat().st_mode) & 0o700)
        done.append(f"only its owner can read {path.relative_to(store.root)} now")
    return done


def _readable_secrets(store: Store) -> list[Path]:
    """Return what holds the server's password and can be read by others."""
    folder = store.root / "server"
    paths = [folder, *(folder / name for name in SECRET)]
    return [path for path in paths if path.exists() and path.stat().st_mode & 0o077]


def _secrets(store: Store) -> Iterator[Finding]:
    for path in _readable_secrets(store):
        problem = f"others can read it (mode {stat.S_IMODE(path.stat().st_mode):o}), and it leads to the password"
        yield Finding(str(path.relative_to(store.root)), problem, f"{REPAIR}, then change the password: make down,"
                      f" remove {store.root}/server/auth, make server")  # fmt: skip


def _owner(store: Store) -> Iterator[Finding]:
    owner = store.root.stat().st_uid
    if owner != os.geteuid():
        problem = f"it belongs to user {owner}, and this is user {os.geteuid()}: files of both mix"
        yield Finding(str(store.root), problem, "run nightshift as the user that the home belongs to", serious=False)


def _file_system(store: Store) -> Iterator[Finding]:
    kind = _kind_of_file_system(store.root)
    if kind in VANISHING:
        yield Finding(str(store.root), f"it lies in memory ({kind}): a restart empties it", "use a disk", serious=False)
    if kind in FOREIGN:
        problem = f"it lies on {kind}: locks of other machines may not be seen here"
        yield Finding(str(store.root), problem, "a local disk is safer; see decision 0024", serious=False)


def _kind_of_file_system(path: Path) -> str:
    """Return the kind of file system that holds a path; "" where the system does not say."""
    try:
        mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    except OSError:
        return ""
    real = path.resolve()
    held = [(len(where), kind) for _, where, kind, *_ in mounts if real.is_relative_to(where)]
    return max(held, default=(0, ""))[1]


def _room(store: Store) -> Iterator[Finding]:
    """Yield the datasets that are trained here and would find too little room tonight."""
    trained = {record.dataset for record in journal.read(store) if record.kind == "retrain"}
    free = shutil.disk_usage(store.root).free
    for name in sorted(trained & set(catalogue.names(store))):
        try:
            need = catalogue.get(store, name).bytes_needed
        except NightshiftError:
            continue  # a finding of its own
        if free < need:
            problem = f"{free >> 20} MiB are free, and a night of {name} needs about {need >> 20} MiB"
            yield Finding("disk", problem, "free some space; nightshift gc lists what is not needed")


def _clock(store: Store) -> Iterator[Finding]:
    for line in clock_warnings(store):
        yield Finding("clock", line, "the order of events is the ledger's, so nothing is lost by it")


def _lost_runs(store: Store) -> Iterator[Finding]:
    for record in journal.read(store):
        if record.lost:
            problem = f"it is recorded as {record.state}, but {record.why_lost}"
            yield Finding(record.run, problem, f"{REPAIR}, or the next night, marks it as crashed")


def _schedules(store: Store) -> Iterator[Finding]:
    for name in schedules.read(store):
        if name not in catalogue.names(store):
            hint = f"nightshift datasets schedule {name} --off"
            yield Finding(f"schedules/{name}.json", f"there is no dataset {name}, so it is never trained", hint)


def _logs(store: Store) -> Iterator[Finding]:
    for item in garbage.logs(store):
        size = f"it has {item.path.stat().st_size >> 20} MiB"
        yield Finding(str(item.path.relative_to(store.root)), size, f"{REPAIR}, or gc, cuts it", serious=False)


CHECKS = {
    "rights": _owner,
    "secrets": _secrets,
    "file system": _file_system,
    "disk": _room,
    "clock": _clock,
    "runs": _lost_runs,
    "schedules": _schedules,
    "logs": _logs,
}
