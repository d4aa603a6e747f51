"""How fast are the prepared files written and read, next to what pyarrow does by itself?

    python -m benchmarks.parquet --mirror ../shared/mirror [--json FILE]

`write` takes 70,000 images from gzipped IDX files on disk to a published folder of Parquet files: reading, hashing,
splitting, encoding, checksums and fsync. `read` takes 60,000 images from a verified Parquet file to NumPy arrays. The
baseline has the same rows and columns and pyarrow's defaults (`write_table`, `read_table`): snappy, no page checksums,
no hash, no fsync. Both take turns. Medians; the load is shown because seconds mean little on a busy machine.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from data.builtin import DATASETS
from data.dataset import Dataset, RawRef
from data.home.store import Store
from data.prepared.parquet import PreparedRef, read_split, write_splits
from data.sources.source import download, read_raw
from data.statistics.summary import image_hashes

ROUNDS = 5


def measure(store: Store, dataset: Dataset, raw_ref: RawRef) -> dict[str, Any]:
    """Return seconds and sizes of both ways for one dataset."""
    numbers = iter(range(1000))

    def ours() -> PreparedRef:
        ref = PreparedRef(dataset.name, f"{next(numbers):064d}")
        with store.publish(store.prepared(ref.digest)) as draft:
            draft.meta.update(write_splits(draft.path, dataset, read_raw(store, dataset, raw_ref), raw_ref.digest))
        return ref

    def plain() -> None:
        raw = read_raw(store, dataset, raw_ref)
        write_plainly(raw.train_images, raw.train_labels, store.root / "plain-train.parquet")
        write_plainly(raw.test_images, raw.test_labels, store.root / "plain-test.parquet")

    written, baseline = in_turns(ours, plain)
    raw = read_raw(store, dataset, raw_ref)
    whole = PreparedRef(dataset.name, "f" * 64)
    swapped = replace(raw, test_images=raw.train_images, test_labels=raw.train_labels)  # a split of 60,000 rows
    with store.publish(store.prepared(whole.digest)) as draft:
        draft.meta.update(write_splits(draft.path, dataset, swapped, raw_ref.digest))
    path, plain_path = store.prepared(whole.digest) / "test.parquet", store.root / "plain-train.parquet"
    same = np.array_equal(read_split(store, whole, "test").images, read_plainly(plain_path))
    if not same:
        raise SystemExit("the two ways do not give the same pixels: nothing to compare")
    read, read_baseline = in_turns(lambda: read_split(store, whole, "test"), lambda: read_plainly(plain_path))
    return {
        "write": written,
        "write_baseline": baseline,
        "read": read,
        "read_baseline": read_baseline,
        "megabytes": path.stat().st_size / 1e6,
        "megabytes_baseline": plain_path.stat().st_size / 1e6,
    }


def write_plainly(images: np.ndarray, labels: np.ndarray, path: Path) -> None:
    """Write one split as pyarrow does by itself."""
    table = pa.table(
        {
            "image": pa.FixedShapeTensorArray.from_numpy_ndarray(images / np.float32(255)),
            "label": labels,
            "row": np.arange(len(labels)),
            "sha256": image_hashes(images),
        }
    )
    pq.write_table(table, path)


def read_plainly(path: Path) -> np.ndarray:
    """Return the images of one split as pyarrow does by itself."""
    images: np.ndarray = pq.read_table(path).column("image").combine_chunks().to_numpy_ndarray()
    return images


def in_turns(one: Callable[[], object], other: Callable[[], object]) -> tuple[list[float], list[float]]:
    """Return the seconds that each took, after a first round that does not count."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for round_number in range(ROUNDS + 1):
        for run, taken in zip((one, other), seconds, strict=True):
            start = time.perf_counter()
            run()
            if round_number:
                taken.append(time.perf_counter() - start)
    return seconds


def show(name: str, found: dict[str, Any]) -> None:
    """Print one dataset's lines."""
    for what, target in (("write", "1.5 s"), ("read", "0.2 s")):
        ours, baseline = (statistics.median(found[key]) for key in (what, f"{what}_baseline"))
        print(
            f"{name:15} {what:5} {ours:6.3f} s (fastest {min(found[what]):.3f}, target {target})   "
            f"pyarrow defaults {baseline:6.3f} s   {baseline / ours:.2f} times as fast"
        )
    size, baseline = found["megabytes"], found["megabytes_baseline"]
    print(f"{name:15} size  {size:6.1f} MB{'':37}pyarrow defaults {baseline:6.1f} MB   {size / baseline:.2f} of it")


def main() -> None:
    """Measure both datasets."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mirror", required=True, help="folder with <dataset>/<file>")
    parser.add_argument("--json", type=Path, help="also write all seconds to this file")
    arguments = parser.parse_args()
    found = {}
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before it began, pyarrow {pa.__version__}")
    for name in ("mnist", "fashion-mnist"):
        with tempfile.TemporaryDirectory() as folder:
            store, dataset = Store(Path(folder)), DATASETS[name]
            found[name] = measure(store, dataset, download(store, dataset, (arguments.mirror,)))
            show(name, found[name])
    if arguments.json:
        arguments.json.write_text(json.dumps({"rounds": ROUNDS, "seconds": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
