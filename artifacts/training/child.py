"""Training in a process of its own, which holds the device's memory for as long as it lives and no longer.

`Apart` is the near side: it starts `python -m artifacts.training.child`, writes one job per line to it and reads
progress and outcome. The far side ends when its input is closed, so it never outlives whoever started it, however that
one ends.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

from artifacts.evaluation.evaluate import Evaluation
from artifacts.recipes.candidate import Candidate
from artifacts.training.fit import Progress
from artifacts.training.train import TrainingResult
from data import errors
from data.errors import NightshiftError, OutOfMemory, TrainingFailed
from data.parquet import PreparedRef
from data.store import Store

DEATH_BY_MEMORY = (
    "std::bad_alloc",
    "failed to map segment",
    "mmap error: 12",
    "Cannot allocate memory",
    "MemoryError",
    "CUDA_ERROR_OUT_OF_MEMORY",
)


class Apart:
    """A process that trains and evaluates.

    Args:
        gpu: UUID of the only GPU it may see; None leaves it what we see ourselves.
        lock: open files that it inherits, such as the GPU's lock.
        prefix: a command that starts it, such as `prlimit --as=...`.
    """

    def __init__(self, gpu: str | None = None, locks: Sequence[int] = (), prefix: Sequence[str] = ()) -> None:
        visible = ["env", f"CUDA_VISIBLE_DEVICES={gpu}"] if gpu else []
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  # closed in __exit__
        self._kills = _oom_kills()
        self._process = subprocess.Popen(
            [*prefix, *visible, sys.executable, "-m", "artifacts.training.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            pass_fds=locks,
        )

    def __enter__(self) -> "Apart":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()
        self._errors.close()

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def train(
        self,
        store: Store,
        prepared: PreparedRef,
        candidate: Candidate,
        folder: Path,
        device: str,
        on_progress: Callable[[Progress], None] | None = None,
        checkpoint: Path | None = None,
    ) -> TrainingResult:
        """Do there what `training.train` does here.

        Raises:
            OutOfMemory: the candidate does not fit.
            TrainingFailed: as there; or the process was killed.
        """
        job = {"do": "train", "candidate": str(candidate), "seed": candidate.seed, "device": device}
        job["checkpoint"] = str(checkpoint) if checkpoint else None
        self._ask(job, store, prepared, folder, on_progress)
        return TrainingResult.from_json(json.loads((folder / "training.json").read_bytes()))

    def evaluate(self, store: Store, prepared: PreparedRef, folder: Path) -> Evaluation:
        """Do there what `evaluate` does here."""
        self._ask({"do": "evaluate"}, store, prepared, folder)
        return Evaluation.from_json(json.loads((folder / "metrics.json").read_bytes()))

    def _ask(
        self,
        job: dict[str, Any],
        store: Store,
        prepared: PreparedRef,
        folder: Path,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> None:
        assert self._process.stdin
        assert self._process.stdout
        where = {"home": str(store.root), "prepared": asdict(prepared), "folder": str(folder)}
        try:
            self._process.stdin.write(json.dumps({**job, **where}) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            self._raise_death()
        for line in self._process.stdout:
            answer = json.loads(line)
            if "progress" in answer:
                if on_progress:
                    on_progress(Progress(**answer["progress"]))
            elif "error" in answer:
                raise getattr(errors, answer["error"])(answer["problem"], answer["hint"])
            else:
                return
        self._raise_death()

    def _raise_death(self) -> None:
        code = self._process.wait()
        self._errors.seek(max(0, self._errors.seek(0, os.SEEK_END) - 65536))
        said = self._errors.read().decode(errors="replace").strip()
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        by_kernel = code == -signal.SIGKILL and _oom_kills() > self._kills
        if by_kernel or any(text in said for text in DEATH_BY_MEMORY):
            raise OutOfMemory(
                f"the training ran out of memory and died of {how}", "use a smaller batch or net, or a larger machine"
            )
        last = said.splitlines()[-1] if said else "it said nothing"
        raise TrainingFailed(f"the training died of {how}: {last}", "run again; what was complete is used again")


def _oom_kills() -> int:
    """Return how many processes the kernel has killed so far for want of memory."""
    try:
        lines = Path("/proc/vmstat").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))


# -- the far side -----------------------------------------------------------------------------------------------------


def main() -> None:
    """Do jobs from standard input until it is closed."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever libraries print must not look like an answer
    jobs, there = os.pipe()
    threading.Thread(target=_forward, args=(there,), daemon=True).start()
    for line in os.fdopen(jobs):
        try:
            _do(json.loads(line), answers)
        except NightshiftError as error:
            kind = next(one.__name__ for one in type(error).__mro__ if one.__module__ == errors.__name__)
            _answer(answers, error=kind, problem=error.problem, hint=error.hint)
        else:
            _answer(answers, done=True)


def _forward(there: int) -> None:
    """Pass jobs on, and end the process at once when there can be no more: whoever started it is gone."""
    for line in sys.stdin:
        os.write(there, line.encode())
    os._exit(0)  # not sys.exit: the main thread may be deep inside TensorFlow


def _do(job: dict[str, Any], answers: TextIO) -> None:
    store, prepared = Store(Path(job["home"])), PreparedRef(**job["prepared"])
    folder = Path(job["folder"])
    if job["do"] == "train":
        from artifacts.training.train import train

        candidate = Candidate.parse(job["candidate"], job["seed"])
        checkpoint = Path(job["checkpoint"]) if job["checkpoint"] else None
        train(
            store,
            prepared,
            candidate,
            folder,
            job["device"],
            lambda now: _answer(answers, progress=asdict(now)),
            checkpoint,
        )
    else:
        from artifacts.evaluation.evaluate import evaluate

        evaluate(store, prepared, folder)


def _answer(answers: TextIO, **told: Any) -> None:
    answers.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main()
