"""Does a model serve? A fresh process that gets only the folder must give the recorded answers, within a budget.

The process imports Keras for 8 to 10 seconds: start it early, and `finish` takes only the check itself.
"""

import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from artifacts.models.bundle import MODEL, REQUESTS
from data.child_process import ChildFailed, ChildProcess
from data.errors import Broken, Corrupt
from data.home.store import Store

# Models are served on the processor, and the GPU may be full with another training.
ENVIRONMENT = {"CUDA_VISIBLE_DEVICES": "", "JAX_PLATFORMS": "cpu", "TF_CPP_MIN_LOG_LEVEL": "2"}


@dataclass(frozen=True)
class Budgets:
    """The most that a version may cost when it serves.

    Args:
        load_s: seconds to hash and load the model, without imports.
        latency_ms: median milliseconds for a single image.
        size_bytes: size of all files of the version.
        tolerance: largest difference of any probability from the recorded one; float32 sums in another order differ by
            about 1e-6, another device by about 1e-4.
        timeout_s: seconds until the process must have answered, the rest of its imports included.
    """

    load_s: float = 20.0
    latency_ms: float = 250.0
    size_bytes: int = 64 << 20
    tolerance: float = 1e-3
    timeout_s: float = 180.0


@dataclass(frozen=True)
class InfraResult:
    """What the fresh process measured.

    Args:
        passed: whether it answered as recorded, within the budgets.
        message: one sentence that says so, or why not.
        model_sha256: SHA-256 of the model file that was checked.
        load_s: seconds to hash and load the model.
        latency_ms: median milliseconds for a single image.
        size_bytes: size of the version's files.
        max_abs_diff: largest difference of any probability from the recorded one.
        argmax_equal: whether the most probable class of every image is the recorded one.
        n_requests: number of images in the request set.
    """

    passed: bool
    message: str
    model_sha256: str
    load_s: float | None = None
    latency_ms: float | None = None
    size_bytes: int | None = None
    max_abs_diff: float | None = None
    argmax_equal: bool | None = None
    n_requests: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return the fields as a JSON object; the inverse of `InfraResult(**value)`."""
        return asdict(self)


class InfraCheck:
    """A fresh process that imports the serving code while the caller does something else.

    Use it as a context manager: leaving the block ends the process, used or not.

    Args:
        start: starts the process, which runs `artifacts.serving.probe`.
        budgets: the most that a version may cost.
    """

    def __init__(self, start: Callable[[], ChildProcess], budgets: Budgets) -> None:
        self._start, self._budgets = start, budgets
        self._started: ChildProcess | None = None

    def __enter__(self) -> "InfraCheck":
        return self

    def __exit__(self, *_: object) -> None:
        if self._started:
            self._started.close()

    def start(self) -> None:
        """Start the process, unless it has been started.

        Raises:
            Broken: it cannot be started.
        """
        self._started = self._started or self._start()

    @property
    def pid(self) -> int:
        """The process id of the fresh process; it is started if need be."""
        return self._child.pid

    @property
    def _child(self) -> ChildProcess:
        self.start()
        assert self._started
        return self._started

    def finish(self, folder: Path) -> InfraResult:
        """Have the process load the model in `folder` and ask it, and compare what it measured with the budgets.

        Args:
            folder: a published candidate or a version.

        Raises:
            Broken: the process died, did not answer in time, or gave an invalid answer; with its last output.
            Corrupt: the folder has no readable manifest, or no model or request set in it.
        """
        files = Store(folder).files(folder)
        if MODEL not in files or REQUESTS not in files:
            raise Corrupt(f"{folder} has no {MODEL} or no {REQUESTS}", "evaluate the candidate before it is checked")
        from artifacts.recipes import catalogue  # imports pydantic, which the registry's readers can do without

        request = {"folder": str(folder.absolute()), "recipes": list(catalogue.searched())}
        try:
            measured = self._child.ask(request, timeout_s=self._budgets.timeout_s)
            result = InfraResult(False, measured.pop("error", ""), files[MODEL]["sha256"], **measured)
        except ChildFailed as failed:
            raise _broken(failed.how, failed.output) from None
        except TypeError:
            raise _broken(f"gave an invalid answer (the fields {', '.join(sorted(measured))})", "") from None
        return judged(result, sum(item["bytes"] for item in files.values()), self._budgets)


def start_infra_check(python: str = sys.executable, budgets: Budgets | None = None) -> InfraCheck:
    """Start the fresh process; it waits for a folder.

    Args:
        python: the interpreter.
        budgets: the most that the version may cost.

    Raises:
        Broken: the process cannot be started.
    """
    check = infra_check_on_demand(python, budgets)
    check.start()
    return check


def infra_check_on_demand(python: str = sys.executable, budgets: Budgets | None = None) -> InfraCheck:
    """Return a check whose process is started by `InfraCheck.start`, or when it is asked; arguments as above."""

    def start() -> ChildProcess:
        try:
            return ChildProcess("artifacts.serving.probe", ENVIRONMENT, python)
        except OSError as error:
            raise Broken(f"cannot start {python}: {error.strerror}", "check the installation") from error

    return InfraCheck(start, budgets or Budgets())


def infra_check(folder: Path, python: str = sys.executable, budgets: Budgets | None = None) -> InfraResult:
    """Load and ask the model of a candidate or version in a fresh process.

    Raises:
        Broken: the process died, did not answer in time, or gave an invalid answer.
        Corrupt: the folder is not a published candidate.
    """
    with start_infra_check(python, budgets) as check:
        return check.finish(folder)


def judged(result: InfraResult, size_bytes: int, budgets: Budgets) -> InfraResult:
    """Return the result with its size, and whether it is within the budgets."""
    problems = list(_problems(result, size_bytes, budgets))
    message = result.message or "; ".join(problems)
    values = result.to_json() | {"size_bytes": size_bytes, "passed": not message}
    return InfraResult(**values | {"message": message or f"reproduced {result.n_requests} recorded answers"})


def _problems(result: InfraResult, size_bytes: int, budgets: Budgets) -> Iterator[str]:
    if result.argmax_equal is False:
        yield "it does not give the recorded answers"
    if result.max_abs_diff is None or not result.max_abs_diff <= budgets.tolerance:
        yield f"its probabilities differ from the recorded ones by {result.max_abs_diff} (at most {budgets.tolerance})"
    if result.load_s is None or not result.load_s <= budgets.load_s:
        yield f"it takes {result.load_s} s to load (at most {budgets.load_s})"
    if result.latency_ms is None or not result.latency_ms <= budgets.latency_ms:
        yield f"a single image takes {result.latency_ms} ms (at most {budgets.latency_ms})"
    if size_bytes > budgets.size_bytes:
        yield f"its files have {size_bytes} bytes (at most {budgets.size_bytes})"


def _broken(how: str, output: str) -> Broken:
    tail = f"; its last output:\n{output[-2000:]}" if output else "; it wrote no message"
    return Broken(f"the fresh process that checks the model {how}{tail}", "fix that, then run again")
