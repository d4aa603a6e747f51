"""Training in a child process, which holds the device's memory for as long as it lives and no longer.

`ChildTrainer` is the parent's side. Run as a module, this file is the child's: it trains and evaluates what it is asked
to, and ends with the process that started it.
"""

import json
import signal
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from artifacts.evaluation.evaluate import Evaluation
from artifacts.models.warm_start import Parent
from artifacts.recipes import catalogue
from artifacts.recipes.candidate import Candidate
from artifacts.training.history import Progress
from artifacts.training.train import TrainingResult
from artifacts.training.trainer import InProcess
from data.child_process import ChildFailed, ChildProcess, Message, serve
from data.errors import NightshiftError, OutOfMemory, TrainingFailed
from data.home.store import Store
from data.prepared.parquet import PreparedRef

# What libraries write before a process ends for want of memory.
OUT_OF_MEMORY = (
    "std::bad_alloc",
    "failed to map segment",
    "mmap error: 12",
    "Cannot allocate memory",
    "MemoryError",
    "CUDA_ERROR_OUT_OF_MEMORY",
)


class ChildTrainer:
    """A `Trainer` whose work is done in a child process, which ends when the block does.

    Args:
        gpu: UUID of the only GPU that the child may see; None leaves it the ones this process sees.
        locks: open files that the child inherits, such as the GPU's lock.
        prefix: a command that starts the child, such as `prlimit --as=...`.
    """

    def __init__(self, gpu: str | None = None, locks: Sequence[int] = (), prefix: Sequence[str] = ()) -> None:
        self._killed_before = _out_of_memory_kills()
        environment = {"CUDA_VISIBLE_DEVICES": gpu} if gpu else {}
        self._child = ChildProcess("artifacts.training.child", environment, prefix=prefix, pass_fds=locks)

    def __enter__(self) -> "ChildTrainer":
        return self

    def __exit__(self, *_: object) -> None:
        self._child.close()

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._child.pid

    def train(
        self,
        store: Store,
        prepared: PreparedRef,
        candidate: Candidate,
        folder: Path,
        device: str,
        on_progress: Callable[[Progress], None] | None = None,
        checkpoint: Path | None = None,
        parent: Parent | None = None,
    ) -> TrainingResult:
        """Train a candidate; see `artifacts.training.train.train`.

        Raises:
            OutOfMemory: the candidate does not fit, or the child died for want of memory.
            TrainingFailed: the loss is not finite, the device is not there, or the child died.
            NightshiftError: any other error of `train`, with its own class.
        """
        job = {
            "do": "train",
            "candidate": str(candidate),
            "seed": candidate.seed,
            "device": device,
            "checkpoint": str(checkpoint.absolute()) if checkpoint else None,
            "parent": {**asdict(parent), "folder": str(parent.folder.absolute())} if parent else None,
        }
        self._ask(job, store, prepared, folder, lambda values: on_progress(Progress(**values)) if on_progress else None)
        return TrainingResult.from_json(json.loads((folder / "training.json").read_bytes()))

    def evaluate(self, store: Store, prepared: PreparedRef, folder: Path) -> Evaluation:
        """Score the model in a folder; see `artifacts.evaluation.evaluate.evaluate`. Raises as `train` does."""
        self._ask({"do": "evaluate"}, store, prepared, folder)
        return Evaluation.from_json(json.loads((folder / "metrics.json").read_bytes()))

    def _ask(
        self,
        job: Message,
        store: Store,
        prepared: PreparedRef,
        folder: Path,
        on_progress: Callable[[Message], None] | None = None,
    ) -> None:
        where = {"home": str(store.root.absolute()), "prepared": asdict(prepared), "folder": str(folder.absolute())}
        try:
            self._child.ask({**job, **where, "recipes": list(catalogue.searched())}, on_progress)
        except ChildFailed as failed:
            raise self._explained(failed) from None

    def _explained(self, failed: ChildFailed) -> NightshiftError:
        killed = failed.code == -signal.SIGKILL and _out_of_memory_kills() > self._killed_before
        if killed or any(text in failed.output for text in OUT_OF_MEMORY):
            return OutOfMemory(
                f"the training ran out of memory: its process {failed.how}",
                "use a smaller batch or net, or a larger machine",
            )
        last = failed.output.splitlines()[-1] if failed.output else "it wrote no message"
        return TrainingFailed(
            f"the training's process {failed.how}: {last}", "run again; complete steps are not repeated"
        )


def _out_of_memory_kills() -> int:
    """Return how many processes the kernel has killed for want of memory since it was started; 0 where unknown."""
    try:
        lines = Path("/proc/vmstat").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))


# -- the child's side -------------------------------------------------------------------------------------------------


def _answer(job: Message, report: Callable[[Message], None]) -> Message:
    catalogue.search(job["recipes"])
    store, prepared, folder = Store(Path(job["home"])), PreparedRef(**job["prepared"]), Path(job["folder"])
    if job["do"] == "evaluate":
        InProcess.evaluate(store, prepared, folder)
        return {}

    def on_progress(now: Progress) -> None:
        report(asdict(now))

    candidate, device = Candidate.parse(job["candidate"], job["seed"]), job["device"]
    checkpoint = Path(job["checkpoint"]) if job["checkpoint"] else None
    given = job["parent"]
    parent = Parent(given["version"], given["weights_digest"], Path(given["folder"])) if given else None
    InProcess.train(store, prepared, candidate, folder, device, on_progress, checkpoint, parent)
    return {}  # the result lies in the folder


if __name__ == "__main__":
    serve(_answer)
