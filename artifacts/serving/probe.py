"""The fresh process of the infra check: it gets a folder, and has neither Prefect nor anything of the run in memory.

    python -m artifacts.serving.probe FOLDER

prints one line of JSON: what it measured, or an "error". Without a folder it is the child of `InfraCheck`: it imports
everything first, so that those seconds pass while the parent does something else, and then answers its request.
"""

import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from artifacts.models import bundle, loading
from artifacts.recipes import catalogue
from data.child_process import Message, private_stdout, serve
from data.home.store import Store

TIMED = 15  # single images timed for the median latency, after one that compiles

Predict = Callable[[Any, npt.NDArray[np.uint8]], npt.NDArray[np.float32]]


def measure(folder: Path, predict: Predict = loading.predict) -> dict[str, Any]:
    """Load the model, ask it the recorded requests, and compare its answers with the recorded ones.

    Args:
        folder: a published candidate or a version.
        predict: (model, uint8 images (n, h, w)) -> float32 probabilities (n, c).

    Returns:
        load_s, latency_ms, max_abs_diff, argmax_equal, n_requests; see InfraResult.

    Raises:
        Corrupt: the folder is not what it was when it was published.
        ValueError: the model has another number of classes than the recorded answers.
    """
    store = Store(folder)
    store.verify(folder)
    images, recorded = bundle.read_requests(folder)
    started = time.perf_counter()
    model = loading.load_recorded(store, folder)
    load_s = time.perf_counter() - started
    answers = np.asarray(predict(model, images))
    if answers.shape != recorded.shape:
        raise ValueError(f"the model answers with shape {answers.shape}, recorded is {recorded.shape}")
    return {
        "load_s": round(load_s, 4),
        "latency_ms": round(_latency_ms(model, images), 3),
        # JSON has no NaN; as an answer it counts as the largest difference that two probabilities can have
        "max_abs_diff": float(np.nan_to_num(np.abs(answers - recorded), nan=1.0).max()),
        "argmax_equal": bool((answers.argmax(axis=1) == recorded.argmax(axis=1)).all()),
        "n_requests": len(images),
    }


def _latency_ms(model: Any, images: npt.NDArray[np.uint8]) -> float:
    """Ask as a server would; `Model.predict` would set up a loop over batches each time, for 50 ms and more."""
    times = []
    for index in range(TIMED + 1):
        one = images[index % len(images)][None]
        started = time.perf_counter()
        model.predict_on_batch(one)
        times.append(1000 * (time.perf_counter() - started))
    return statistics.median(times[1:])


def _measured_or_error(folder: str) -> dict[str, Any]:
    try:
        return measure(Path(folder))
    except Exception as error:  # noqa: BLE001  # whatever a model does when it is loaded or asked is a finding about it
        return {"error": f"{type(error).__name__}: {error}"}


def _answer(request: Message, _report: Callable[[Message], None]) -> Message:
    catalogue.search(request["recipes"])
    return _measured_or_error(request["folder"])


def main() -> None:
    """Measure the folder on the command line and print the result, or serve the parent process."""
    if len(sys.argv) > 1:
        private_stdout().write(json.dumps(_measured_or_error(sys.argv[1])) + "\n")
    else:
        serve(_answer, prepare=loading.import_keras)


if __name__ == "__main__":
    main()
