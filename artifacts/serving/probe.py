"""The fresh process of the infra check: it has a folder, and neither Prefect nor anything of the run in its memory.

    python -m artifacts.serving.probe FOLDER

Without an argument it imports everything first, then reads the folder as one line from standard input, so that the
seconds of the import pass while somebody else works. It prints one line of JSON: what it measured, or an "error".
"""

import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from artifacts.models import bundle
from data.store import Store

TIMED = 15  # single images asked for the median latency; the first is dropped, it compiles


def measure(folder: Path, load: Callable[..., Any], predict: Callable[..., Any]) -> dict[str, Any]:
    """Load the model by its hash, ask it the recorded requests, and compare.

    Args:
        folder: a published candidate or a version.
        load: `artifacts.evaluation.evaluate.load`.
        predict: `artifacts.evaluation.evaluate.predict`.

    Returns:
        load_s, latency_ms, max_abs_diff, argmax_equal, n_requests, as InfraResult explains them.

    Raises:
        Corrupt: the folder is not what it was when it was published.
    """
    store = Store(folder)
    store.verify(folder)
    images, recorded = bundle.read_requests(folder)
    started = time.perf_counter()
    model = load(folder / bundle.MODEL, store.files(folder)[bundle.MODEL]["sha256"])
    load_s = time.perf_counter() - started
    answers = np.asarray(predict(model, images))
    if answers.shape != recorded.shape:
        raise ValueError(f"the model answers with shape {answers.shape}, recorded is {recorded.shape}")
    return {
        "load_s": round(load_s, 4),
        "latency_ms": round(_latency_ms(model, images), 3),
        # NaN is no number that JSON knows, and no answer either: it counts as the largest difference there is
        "max_abs_diff": float(np.nan_to_num(np.abs(answers - recorded), nan=1.0).max()),
        "argmax_equal": bool((answers.argmax(axis=1) == recorded.argmax(axis=1)).all()),
        "n_requests": len(images),
    }


def _latency_ms(model: Any, images: Any) -> float:
    """Ask as a server would: `Model.predict` sets up a loop over batches each time, for 50 ms and more."""
    times = []
    for index in range(TIMED + 1):
        one = images[index % len(images)][None]
        started = time.perf_counter()
        model.predict_on_batch(one)
        times.append(1000 * (time.perf_counter() - started))
    return statistics.median(times[1:])


def main() -> None:
    """Measure one folder and print the result; what the libraries print goes to standard error."""
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    from artifacts.models import loading
    from artifacts.recipes import layers  # noqa: F401  (imports Keras, as `evaluation.load` does, but now)

    folder = sys.argv[1] if len(sys.argv) > 1 else sys.stdin.readline().rstrip("\n")
    try:
        result = measure(Path(folder), loading.load, loading.predict)
    except Exception as error:  # noqa: BLE001  (whatever a model does when it is loaded or asked is a finding about it)
        result = {"error": f"{type(error).__name__}: {error}"}
    answer.write(json.dumps(result) + "\n")
    answer.close()


if __name__ == "__main__":
    main()
