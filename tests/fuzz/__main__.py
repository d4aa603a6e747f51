"""Damage files for a long time: `python -m tests.fuzz --minutes 60`.

Each batch runs in a process of its own with bounded memory and an alarm for each file, so that a crash of a C library,
a hang and unbounded memory are failures like any other. What fails is kept with how to repeat it.
"""

import argparse
import contextlib
import faulthandler
import os
import random
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

from tests.fuzz.damage import damaged, drawn
from tests.fuzz.readers import CANARY, READERS
from tests.fuzz.test_readers import read

FILES = {True: 20, False: 400}  # in a batch, of a reader that is heavy or not
SECONDS = 20  # for one file, on a busy machine
MEMORY = 3 << 30  # bytes of address space that a batch may take beyond what was there before


def main() -> int:
    """Run, and return 1 if anything failed."""
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("--minutes", type=float, default=1)
    given.add_argument("--seed", type=int, default=0)
    given.add_argument("--readers", nargs="*", choices=READERS, default=list(READERS))
    given.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()) / "nightshift-fuzz-failures")
    options = given.parse_args()
    end, batch, counts, failed = time.monotonic() + 60 * options.minutes, options.seed, Counter[str](), 0
    seeds = {name: READERS[name].seeds() for name in options.readers}
    while time.monotonic() < end:
        for name in options.readers:
            counts[name] += FILES[READERS[name].heavy]
            failed += not _batch(name, seeds[name], batch, options.keep)
        batch += 1
    print(f"{sum(counts.values()):,} files, {failed} batches failed: {dict(counts)}")
    return bool(failed)


def _batch(name: str, seeds: "dict[str, bytes]", number: int, keep: Path) -> bool:
    """Read a batch of damaged files in a process of its own; whether all were read or refused."""
    with tempfile.TemporaryDirectory(prefix="nightshift-fuzz-") as place:
        last = Path(place) / "last"
        pid = os.fork()
        if pid == 0:
            code = 3
            with contextlib.suppress(BaseException):
                code = _read_all(name, seeds, number, last)
            os._exit(code)
        status = os.waitpid(pid, 0)[1]
        if status:
            keep.mkdir(exist_ok=True)
            kept = keep / f"{name.replace(' ', '-')}-{number}"
            last.rename(kept) if last.exists() else kept.touch()
            print(f"{name}: batch {number} ended with {status}; its last file: {kept}", flush=True)
        return not status


def _read_all(name: str, seeds: "dict[str, bytes]", number: int, last: Path) -> int:
    faulthandler.enable()
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    rng = random.Random(f"{name} {number}")
    for _ in range(FILES[READERS[name].heavy]):
        content = damaged(seeds[rng.choice(sorted(seeds))], drawn(rng))
        last.write_bytes(content)
        signal.alarm(SECONDS)  # its signal ends the process
        try:
            with tempfile.TemporaryDirectory(dir=last.parent) as folder:
                inner = Path(folder) / "a" / "b"
                inner.mkdir(parents=True)
                read(name, content, inner)
                if list(last.parent.rglob(f"*{CANARY}*")):
                    return 4
        except BaseException:  # noqa: BLE001  (whatever it is, it is a failure to be kept)
            traceback.print_exc()
            return 5
        finally:
            signal.alarm(0)
    return 0


if __name__ == "__main__":
    sys.exit(main())
