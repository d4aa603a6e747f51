"""What a night costs where a source grows: a folder of many tiny PNGs, 1,000 more, and an index of many items.

    python -m benchmarks.growing [--images 100000] [--new 1000] [--folder FOLDER]
    python -m benchmarks.growing --linked --images 1000000
    python -m benchmarks.growing --index 10000000

With `--linked` there is no first night, which takes long: the files of the known images are links to a few, and the
home has shards of other images and an index that says that these lie in the files. Each take runs in a process of its
own. Wall time includes waiting for other work, CPU time is that of all its threads and processes; memory is the largest
resident size of the process, libraries included.
"""

import argparse
import dataclasses
import json
import resource
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa

from data.dataset import Dataset, Origin
from data.growth import Growth
from data.home.store import Store
from data.importing.options import ImportOptions
from data.shards.parquet_file import array, digests
from data.shards.shard import Side, write_shard
from data.snapshots.index import Facts, Index, how_read, read_index, write_index
from data.snapshots.listing import Container, Listing, encoded
from data.snapshots.snapshot import Snapshot, publish
from data.snapshots.take import take
from data.statistics.summary import summarise_images

SIDE = 8  # pixels
CLASSES = 10
PER_FOLDER = 1000
MOST = 60_000  # images of a shard, and links to one file, of which ext4 allows 65,000
FIRST = "2026-11-26T02:00:00+00:00"


def row(folder: Path) -> Dataset:
    """Return the row of a dataset of which no snapshot was taken yet."""
    return Dataset(
        name="grown",
        title="Grown",
        mirrors=(),
        files={},
        height=SIDE,
        width=SIDE,
        n_train=0,
        n_test=0,
        class_names=(),
        licence="",
        citation="",
        mirror_symmetric=False,
        reference=None,
        origin=Origin(str(folder)),
        growth=Growth(),
    )


def png(pixels: np.ndarray) -> bytes:
    """Return a grey image as the smallest PNG file."""
    height, width = pixels.shape
    lines = b"".join(b"\0" + line.tobytes() for line in pixels)
    parts = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(lines, 1)),
        (b"IEND", b""),
    ]
    chunks = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def path_of(folder: Path, number: int) -> Path:
    """Return where an image lies: in a class folder, in a folder of `PER_FOLDER` there."""
    return folder / f"class-{number % CLASSES}" / f"{number // CLASSES // PER_FOLDER:05}" / f"{number:09}.png"


def write(folder: Path, start: int, n: int) -> None:
    """Write n images of noise into class folders, in folders of `PER_FOLDER` there."""
    rng = np.random.default_rng(start)
    for number in range(start, start + n):
        path = path_of(folder, number)
        if number // CLASSES % PER_FOLDER == 0 or number < start + CLASSES:
            path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(rng.integers(0, 256, (SIDE, SIDE), np.uint8)))


def measured(home: Path, folder: Path, snapshot: str, class_names: tuple[str, ...]) -> dict[str, Any]:
    """Take a snapshot in this process; return what it found and what it cost."""
    start = time.perf_counter()
    grown = dataclasses.replace(row(folder), snapshot=snapshot, class_names=class_names)
    taken = take(Store(home), grown, ImportOptions(), now=datetime.now(UTC))
    wall = time.perf_counter() - start
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return {
        "images": taken.night.images,
        "added": taken.night.n_added,
        "decoded": taken.decoded,
        "seconds": round(wall, 2),
        "cpu_seconds": round(sum(one.ru_utime + one.ru_stime for one in used), 2),
        "peak_mib": used[0].ru_maxrss >> 10,
        "index_mib": round(Store(home).growing("grown", "index.parquet").stat().st_size / 2**20, 1),
        "snapshot": taken.ref.digest,
        "class_names": taken.class_names,
    }


def prepare(images: int, source: Path, home: Path) -> tuple[str, str]:
    """Make a home in which a folder of many links was read last night; return its snapshot and class names."""
    store, rng, names = Store(home), np.random.default_rng(0), tuple(f"class-{i}" for i in range(CLASSES))
    listing, shards = Listing(), []
    sides: list[Side] = ["test", "validation", *cast(list[Side], ["train"] * (images // MOST))]
    for side, start in zip(sides, range(0, images, MOST), strict=False):
        numbers = range(start, min(start + MOST, images))
        paths, columns = linked(source, numbers)
        labels = np.array([listing.label(names[number % CLASSES]) for number in numbers], np.int64)
        columns[:, 3] = labels
        pixels = rng.integers(0, 256, (len(numbers), SIDE, SIDE), np.uint8)
        table = summarise_images("train", pixels, labels)
        hashes = digests(table["sha256"].combine_chunks())
        shards.append(write_shard(store, side, FIRST, (SIDE, SIDE), pixels, hashes, labels, paths, table))
        listing.add_known(encoded(paths), columns, hashes, {})
    ref = publish(store, Snapshot("grown", (SIDE, SIDE), names, tuple(shards)), {})
    listing.files = [Container("", 0, 0)] * images  # type: ignore[list-item]  # only whether there is one matters
    how = how_read(row(source).geometry, ImportOptions().fixed(row(source).geometry))
    write_index(store, "grown", Facts(how, tuple(listing.labels)), listing)
    return ref.digest, ",".join(names)


def linked(source: Path, numbers: range) -> tuple[list[str], np.ndarray]:
    """Write files that are links to one, and return their paths, and what a listing says about them."""
    original = source.parent / f"original-{numbers.start}"
    source.mkdir(parents=True, exist_ok=True)
    original.write_bytes(png(np.zeros((SIDE, SIDE), np.uint8)))
    status, paths = original.stat(), [path_of(source, number) for number in numbers]
    for folder in {path.parent for path in paths}:
        folder.mkdir(parents=True, exist_ok=True)
    for path in paths:
        path.hardlink_to(original)
    facts = (status.st_size, status.st_mtime_ns, -1, 0, 0)
    return list(map(str, paths)), np.array([facts] * len(paths), np.int64)


def nights(images: int, new: int, folder: Path, *, links: bool) -> None:
    """Print what the first night costs, one with new images, and one without changes."""
    source, home = folder / "source", folder / "home"
    snapshot, names = prepare(images, source, home) if links else ("", "")
    later = [("grown", images, new), ("unchanged", 0, 0)]
    for what, start, n in later if links else [("first", 0, images), *later]:
        write(source, start, n)
        time.sleep(2.5)  # files that were changed just before are read again the next night
        command = [sys.executable, "-m", "benchmarks.growing", "--home", str(home), "--source", str(source)]
        answer = subprocess.run([*command, "--last", snapshot, "--names", names], check=True, stdout=subprocess.PIPE)
        found = json.loads(answer.stdout)
        snapshot, names = found.pop("snapshot"), ",".join(found.pop("class_names"))
        print(json.dumps({"night": what, **found}), flush=True)


def index(items: int, folder: Path) -> None:
    """Print the size of an index of many files, and how long it takes to read it and to look all of them up."""
    store, rng = Store(folder / "home"), np.random.default_rng(0)
    listing, step = Listing(), 1_000_000
    for start in range(0, items, step):
        n = min(step, items - start)
        names = [
            f"/data/pictures/class-{i * CLASSES // items}/{i // PER_FOLDER:06}/image-{i:09}.png".encode()
            for i in range(start, start + n)
        ]
        columns = np.zeros((n, 5), np.int64)
        columns[:, 0], columns[:, 2] = rng.integers(300, 60_000, n), -1
        columns[:, 1] = 1_700_000_000_000_000_000 + rng.integers(0, 10**16, n)
        listing.add_known(pa.array(names, pa.large_binary()), columns, rng.integers(0, 256, (n, 32), np.uint8), {})
    listing.files = [Container("", 0, 0)] * items  # type: ignore[list-item]  # only whether there is one matters
    hashes = array(pa.binary(32), items, listing.hashes())
    timed = {}

    def clock(what: str, start: float) -> float:
        timed[what] = round(time.perf_counter() - start, 2)
        return time.perf_counter()

    at = time.perf_counter()
    write_index(store, "grown", Facts("how"), listing)
    at = clock("written", at)
    found: Index = read_index(store, "grown", "how")
    at = clock("read", at)
    found = found.usable(hashes)
    at = clock("compared with stored images", at)
    places = found.lookup(found.where, found.columns)
    clock("looked up", at)
    assert (places == np.arange(items)).all()
    size = store.growing("grown", "index.parquet").stat().st_size
    print(json.dumps({"items": items, "mib": round(size / 2**20, 1), "seconds": timed}))


def main() -> None:
    """Measure, and print a line of JSON per measurement."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--new", type=int, default=1000)
    parser.add_argument("--index", type=int, default=0)
    parser.add_argument("--linked", action="store_true")
    parser.add_argument("--folder", type=Path)
    for name in ("--home", "--source", "--last", "--names"):  # of the process that takes
        parser.add_argument(name, default="")
    given = parser.parse_args()
    if given.home:
        names = tuple(given.names.split(",")) if given.names else ()
        print(json.dumps(measured(Path(given.home), Path(given.source), given.last, names)))
        return
    folder = Path(tempfile.mkdtemp(dir=given.folder))
    try:
        if given.index:
            index(given.index, folder)
        else:
            nights(given.images, given.new, folder, links=given.linked)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
