"""Choose the bundled `mnist-sample` from MNIST: the same 2,000 + 500 digits every time.

    python -m benchmarks.make_sample ../shared/mirror

No random numbers: within each class the images with the smallest SHA-256 are taken, as many as the class's share of
its split asks for, and stay in their original order. Gzip is written without a time stamp. Prints what goes into the
row of the catalogue.
"""

import gzip
import hashlib
import sys
import tempfile
from pathlib import Path

import numpy as np

import data
from data.builtin import DATASETS
from data.home.files import file_sha256
from data.home.store import Store
from data.sources.idx import write_idx
from data.sources.source import download, read_raw
from data.statistics.summary import image_hashes

SIZES = {"train": 2000, "test": 500}
TARGET = Path(data.__file__).parent / "samples" / "mnist-sample"


def choose(labels: np.ndarray, hashes: np.ndarray, size: int) -> np.ndarray:
    """Return the sorted rows of a stratified sample, classes in proportion by largest remainder.

    Args:
        labels: int64, of shape (n,).
        hashes: strings, of shape (n,).
        size: how many rows to choose.
    """
    counts = np.bincount(labels)
    shares = counts * size / len(labels)
    quotas = np.floor(shares).astype(int)
    order = np.argsort(quotas - shares, kind="stable")
    quotas[order[: size - quotas.sum()]] += 1
    chosen = []
    for label, quota in enumerate(quotas):
        rows = np.flatnonzero(labels == label)
        chosen.append(rows[np.argsort(hashes[rows], kind="stable")[:quota]])
    return np.sort(np.concatenate(chosen))


def main(mirror: str, target: Path = TARGET) -> None:
    """Write the four files and print their hashes."""
    mnist = DATASETS["mnist"]
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder))
        raw = read_raw(store, mnist, download(store, mnist, (mirror,)))
    target.mkdir(parents=True, exist_ok=True)
    for split, size in SIZES.items():
        images, labels = getattr(raw, f"{split}_images"), getattr(raw, f"{split}_labels")
        rows = choose(labels, image_hashes(images), size)
        for role, array in (("images", images[rows]), ("labels", labels[rows].astype(np.uint8))):
            content = write_idx(array)
            path = target / mnist.files[f"{split}_{role}"].name
            path.write_bytes(gzip.compress(content, mtime=0))
            raw_sha256 = hashlib.sha256(content).hexdigest()
            print(f"{split}_{role}: {file_sha256(path)} {path.stat().st_size} {raw_sha256} {len(content)}")


if __name__ == "__main__":
    main(sys.argv[1])
