"""What it costs to get images in: fetch, verify, read, summarise, measure.

    python -m benchmarks.data_in ../shared/mirror

Prints the best of three for MNIST and Fashion-MNIST, in seconds.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa

from data.builtin import DATASETS
from data.dataset import Dataset
from data.home.store import Store
from data.sources.source import download, read_raw
from data.statistics.summary import reference_of, summarise


def best_of_three(action: Callable[[int], Any]) -> tuple[float, Any]:
    """Return the shortest time in seconds, and what the last call returned."""
    times = []
    for nth in range(3):
        start = time.perf_counter()
        result = action(nth)
        times.append(time.perf_counter() - start)
    return min(times), result


def measure(row: Dataset, mirror: str, folder: Path) -> list[float]:
    """Return the seconds for each step."""
    store = Store(folder / "0")
    fetch, ref = best_of_three(lambda nth: download(Store(folder / str(nth)), row, (mirror,)))
    verify, _ = best_of_three(lambda _: download(store, row))
    read, raw = best_of_three(lambda _: read_raw(store, row, ref))
    summary, table = best_of_three(lambda _: summarise(raw))
    reference, _ = best_of_three(lambda _: reference_of(table, row.n_classes))
    return [fetch, verify, read, summary, reference]


def main(mirror: str) -> None:
    """Print a Markdown table."""
    pa.array([0])  # the first array looks for pandas, which takes a second to import
    print("| dataset | fetch from a folder | verify a copy on disk | read | summarise | reference |")
    print("|---|---|---|---|---|---|")
    for name in ("mnist", "fashion-mnist"):
        with tempfile.TemporaryDirectory() as folder:
            seconds = measure(DATASETS[name], mirror, Path(folder))
        print(f"| {name} | {' | '.join(f'{one:.3f} s' for one in seconds)} |")


if __name__ == "__main__":
    main(sys.argv[1])
