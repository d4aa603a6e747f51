"""Does a model serve? A fresh process that has only the folder must give the recorded answers, within a budget.

The process imports TensorFlow for 8 to 10 seconds; `start_infra_check` early, and `finish` costs only the check.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from artifacts.models.bundle import MODEL, REQUESTS
from artifacts.models.provenance import CHECKOUT
from data.errors import Broken, Corrupt
from data.store import Store


@dataclass(frozen=True)
class Budgets:
    """What a version may cost when it serves.

    Args:
        load_s: seconds to hash and load the model, imports aside.
        latency_ms: median milliseconds for a single image.
        size_bytes: size of all files of the version.
        tolerance: largest difference of any probability; float32 sums in another order differ by about 1e-6, another
            device by about 1e-4.
        timeout_s: seconds it may take to answer, the rest of its imports included.
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
        passed: it answered as recorded, within the budgets.
        message: one sentence that says so, or why not.
        model_sha256: the file that was checked.
        load_s: seconds to hash and load the model.
        latency_ms: median milliseconds for a single image.
        size_bytes: size of the version's files.
        max_abs_diff: largest difference of any probability from the recorded one.
        argmax_equal: every image got the recorded answer.
        n_requests: how many images were asked.
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
    """A fresh process that imports the serving code while the caller does something else; made by `start_infra_check`.

    Use it as a context manager: leaving ends the process, used or not.
    """

    def __init__(self, process: "subprocess.Popen[str]", errors: IO[str], budgets: Budgets) -> None:
        self._process, self._errors, self._budgets = process, errors, budgets

    def __enter__(self) -> "InfraCheck":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()
        self._errors.close()

    def finish(self, folder: Path) -> InfraResult:
        """Have the process load and ask the model in `folder`, and compare what it measured with the budgets.

        Args:
            folder: a published candidate or a version.

        Raises:
            Broken: the process was killed, failed or did not answer in time; the message ends with what it said last.
            Corrupt: the folder has no readable manifest, or no model or request set in it.
        """
        files = Store(folder).files(folder)
        if MODEL not in files or REQUESTS not in files:
            raise Corrupt(f"{folder} has no {MODEL} or no {REQUESTS}", "evaluate the candidate before it is checked")
        try:
            answer, _ = self._process.communicate(f"{folder.absolute()}\n", timeout=self._budgets.timeout_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
            raise self._broken(f"had not answered after {self._budgets.timeout_s:g} s") from None
        if self._process.returncode:
            raise self._broken(f"ended with {_ending(self._process.returncode)}")
        try:
            measured = json.loads(answer)
            result = InfraResult(False, measured.pop("error", ""), files[MODEL]["sha256"], **measured)
        except (ValueError, TypeError, AttributeError) as error:
            raise self._broken(f"gave an answer that is none ({answer[-200:]!r})") from error
        return judged(result, sum(item["bytes"] for item in files.values()), self._budgets)

    def _broken(self, what: str) -> Broken:
        self._errors.seek(0)
        tail = self._errors.read()[-2000:].strip()
        said = f"; it said last:\n{tail}" if tail else "; it said nothing"
        return Broken(f"the fresh process that checks the model {what}{said}", "mend that, then run again")


def start_infra_check(python: str = sys.executable, budgets: Budgets | None = None) -> InfraCheck:
    """Start the fresh process; it waits for a folder.

    Args:
        python: the interpreter.
        budgets: what the version may cost.

    Raises:
        Broken: the interpreter cannot be started.
    """
    errors = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115  (closed by InfraCheck.close)
    # On the processor, where the model is served; the accelerator may be full with tonight's training.
    processor_only = ("env", "CUDA_VISIBLE_DEVICES=", "JAX_PLATFORMS=cpu", "TF_CPP_MIN_LOG_LEVEL=2")
    try:
        process = subprocess.Popen(
            [*processor_only, python, "-m", "artifacts.serving.probe"],
            cwd=CHECKOUT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    except OSError as error:
        errors.close()
        raise Broken(f"cannot start {python}: {error.strerror}", "check the installation") from error
    return InfraCheck(process, errors, budgets or Budgets())


def infra_check(folder: Path, python: str = sys.executable, budgets: Budgets | None = None) -> InfraResult:
    """Load and ask the model of a candidate or version in a fresh process.

    Raises:
        Broken: the process was killed, failed or did not answer in time.
        Corrupt: the folder is not a published candidate.
    """
    with start_infra_check(python, budgets) as check:
        return check.finish(folder)


def judged(result: InfraResult, size_bytes: int, budgets: Budgets) -> InfraResult:
    """Return the result with its size, and with the verdict that the budgets give; pure."""
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
        yield f"it has {size_bytes} bytes (at most {budgets.size_bytes})"


def _ending(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"
