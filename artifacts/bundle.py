"""What a registered version consists of, and the proof that it serves: a fresh process that has only the folder.

    model.keras                       uint8 images in, probabilities out
    training.json, history.json       how it came about, epoch by epoch
    metrics.json                      how good it is
    predictions-validation.parquet    every answer it gave
    predictions-test.parquet
    interface.json                    image height and width, and what the classes are called
    requests.npy, responses.npy       raw uint8 images, and the probabilities that any process must reproduce
    decision.json                     why it was let through        (added on registration)
    provenance.json                   what it was made from         (added on registration)
    infra.json                        that it served                (added on registration)

The fresh process imports TensorFlow for 8 to 10 seconds; `start_infra_check` early, and `finish` costs only the check.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from data.errors import BadInput, Broken, Corrupt
from data.store import Store, canonical_json, file_sha256

if TYPE_CHECKING:  # the registry opens without NumPy, so that the command line answers at once
    import numpy as np
    from numpy.typing import NDArray

MODEL, INTERFACE, REQUESTS, RESPONSES = "model.keras", "interface.json", "requests.npy", "responses.npy"
REQUIRED = (
    MODEL,
    "training.json",
    "history.json",
    "metrics.json",
    "predictions-validation.parquet",
    "predictions-test.parquet",
    INTERFACE,
    REQUESTS,
    RESPONSES,
)
REPOSITORY = Path(__file__).parents[1]


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


def write_requests(
    folder: Path, images: "NDArray[np.uint8]", probabilities: "NDArray[np.float32]", count: int = 64
) -> None:
    """Put the request set into a candidate's folder: images spread evenly over the test set, and the answers to them.

    Args:
        folder: the draft of the candidate.
        images: the test images, (n, height, width), raw.
        probabilities: the model's answers to them, (n, classes).
        count: how many to keep; all when there are fewer.

    Raises:
        BadInput: the two do not belong together.
    """
    import numpy as np

    if images.dtype != np.uint8 or images.ndim != 3 or probabilities.ndim != 2 or len(images) != len(probabilities):
        raise BadInput(
            f"expected uint8 images (n, h, w) and probabilities (n, classes), came {images.dtype} {images.shape} and "
            f"{probabilities.shape}",
            "pass the raw test images and the predictions for exactly these",
        )
    chosen = np.unique(np.linspace(0, len(images) - 1, num=min(count, len(images))).astype(np.int64))
    np.save(folder / REQUESTS, images[chosen], allow_pickle=False)
    np.save(folder / RESPONSES, probabilities[chosen].astype(np.float32), allow_pickle=False)


def write_interface(folder: Path, height: int, width: int, class_names: Sequence[str]) -> None:
    """Say in a candidate's folder what the model takes and what its answers mean."""
    value = {"height": height, "width": width, "class_names": list(class_names)}
    (folder / INTERFACE).write_bytes(canonical_json(value))


def class_names(folder: Path) -> tuple[str, ...]:
    """Return what the classes of a candidate or version are called.

    Raises:
        Corrupt: the folder does not say.
    """
    return tuple(_interface(folder)["class_names"])


def image_size(folder: Path) -> tuple[int, int]:
    """Return height and width of the images that a candidate or version takes.

    Raises:
        Corrupt: the folder does not say.
    """
    told = _interface(folder)
    return told["height"], told["width"]


def _interface(folder: Path) -> dict[str, Any]:
    try:
        told: dict[str, Any] = json.loads((folder / INTERFACE).read_bytes())
    except (OSError, ValueError) as error:
        raise Corrupt(f"{folder} has no readable {INTERFACE} ({error})", "run 'nightshift verify'") from error
    if told.keys() != {"height", "width", "class_names"}:
        raise Corrupt(f"{folder / INTERFACE} has the keys {sorted(told)}", "use the code that wrote it")
    return told


def read_requests(folder: Path) -> "tuple[NDArray[np.uint8], NDArray[np.float32]]":
    """Return the images (n, h, w) and the recorded probabilities (n, classes).

    Raises:
        Corrupt: missing, unreadable, empty, or not belonging together.
    """
    import numpy as np

    try:
        images = np.load(folder / REQUESTS, allow_pickle=False)
        probabilities = np.load(folder / RESPONSES, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise Corrupt(f"{folder} has no readable request set ({error})", "train the candidate again") from error
    fits = images.ndim == 3 and probabilities.ndim == 2 and 0 < len(images) == len(probabilities)
    if not fits or images.dtype != np.uint8 or probabilities.dtype != np.float32:
        raise Corrupt(
            f"the request set of {folder} is {images.dtype} {images.shape} and {probabilities.dtype} "
            f"{probabilities.shape}; expected uint8 (n, h, w) and float32 (n, classes)",
            "train the candidate again",
        )
    return images, probabilities


def check(store: Store, candidate: Path) -> None:
    """Hash a published candidate's files, and require everything that a version consists of.

    Raises:
        Corrupt: a file is missing, was added or has changed.
    """
    store.verify(candidate)
    missing = [name for name in REQUIRED if not (candidate / name).is_file()]
    if missing:
        raise Corrupt(f"{candidate} has no {', '.join(missing)}", "evaluate the candidate before it is registered")


def copy(store: Store, candidate: Path, target: Path) -> None:
    """Copy a published candidate's files into a draft, each copy checked against the candidate's manifest.

    The copies are read-only: nothing in a version is ever changed.

    Args:
        store: the home of both.
        candidate: a published candidate folder.
        target: an empty folder.

    Raises:
        Corrupt: a file has changed since it was written, or while it was copied.
    """
    for name, recorded in store.files(candidate).items():
        copied = target / name
        copied.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(candidate / name, copied)
        copied.chmod(0o444)
        if file_sha256(copied) != recorded["sha256"]:
            raise Corrupt(f"{candidate / name} changed while it was copied", "check the disk, and run again")


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
            [*processor_only, python, "-m", "artifacts.serving_check"],
            cwd=REPOSITORY,
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
