"""How long do folders of image files take, beside other libraries on the same folders?

    python -m benchmarks.folders [--pngs 5000] [--jpegs 1000] [--rounds 5] [--json FILE]

Two folders with a folder per class are written first: PNGs of 28 × 28 (the bundled digits, each moved a little), and
JPEGs of 224 × 224 (cut from photographs that scikit-image ships, quality 90). `decode` takes files to pixels in memory
on all cores; Nightshift also checks each file, and hashes its pixels. `ready` takes a folder to what training reads:
for Nightshift what `datasets add` does before it looks at the images, IDX files on disk, for the others a dataset whose
images were all read once. `again` reads all pixels once more, as every night or epoch does. All ways take turns, the
first round does not count; medians, and the range. Where other work runs beside it, CPU time is the fairer figure.

What is not installed is left out. To have all of it: `pip install datasets opencv-python-headless simplejpeg` into a
copy of the development environment.
"""

import argparse
import os
import resource
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from data.builtin import DATASETS
from data.dataset import Geometry
from data.home.store import Store
from data.importing.batches import BATCH
from data.importing.decoding import Pool, in_order
from data.importing.importer import read_source
from data.importing.options import ImportOptions
from data.sources.idx import map_idx
from data.sources.source import download, read_raw

CLASSES, AGAIN = 10, 8
Way = Callable[[], int]  # does the work, and returns the sum of all pixels
Cost = tuple[float, float]  # seconds, and CPU seconds of all processes together


# -- the files ----------------------------------------------------------------------------------------------------


def write_pngs(folder: Path, n: int) -> None:
    """Write n different PNGs of 28 x 28 from the bundled digits."""
    from PIL import Image

    with tempfile.TemporaryDirectory() as home:
        store, row = Store(Path(home)), DATASETS["mnist-sample"]
        raw = read_raw(store, row, download(store, row))
        for i in range(n):
            moved = np.roll(raw.train_images[i % len(raw.train_images)], i // len(raw.train_images), axis=(0, 1))
            Image.fromarray(moved).save(_path(folder, i, "png"))


def write_jpegs(folder: Path, n: int) -> None:
    """Write n different JPEGs of 224 x 224 from photographs."""
    from PIL import Image
    from skimage import data

    rng, pictures = np.random.default_rng(0), [data.astronaut(), data.coffee(), data.chelsea(), data.rocket()]
    for i in range(n):
        picture = pictures[i % len(pictures)]
        y, x = (int(rng.integers(0, side - 224 + 1)) for side in picture.shape[:2])
        Image.fromarray(picture[y : y + 224, x : x + 224]).save(_path(folder, i, "jpg"), quality=90)


def _path(folder: Path, i: int, ending: str) -> Path:
    path = folder / f"class-{i % CLASSES}" / f"{i:06}.{ending}"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def files_of(folder: Path) -> list[str]:
    """Return all files of a folder, in order."""
    return [str(path) for path in sorted(folder.rglob("*")) if path.is_file()]


# -- from files to pixels in memory -------------------------------------------------------------------------------


def decoders(folder: Path, geometry: Geometry) -> dict[str, Way]:
    """Return the ways to decode all files of a folder on all cores, by name."""
    files, cores = files_of(folder), os.cpu_count() or 1
    jpeg, grey = files[0].endswith("jpg"), geometry.channels == 1
    files = files if jpeg else AGAIN * files  # so that starting processes does not decide
    known = {"Pillow": _pillow, "OpenCV": _opencv_grey if grey else _opencv}
    if jpeg:
        known["simplejpeg"] = _simplejpeg
    there = {name: one for name, one in known.items() if _installed(name)}
    ways: dict[str, Way] = {"Nightshift": lambda: _nightshift(files, geometry)}
    ways |= {f"{name}, threads": _in_pool(ThreadPoolExecutor, cores, files, one) for name, one in there.items()}
    if not jpeg:
        ways["Pillow, processes"] = _in_pool(ProcessPoolExecutor, cores, files, _pillow)
    if _installed("TensorFlow"):
        ways["tf.io, tf.data"] = lambda: _tensorflow(files, geometry)
    return ways


def _nightshift(files: list[str], geometry: Geometry) -> int:
    with Pool(geometry, transpose=False) as pool:
        batches = [files[start : start + BATCH] for start in range(0, len(files), BATCH)]
        return sum(int(found.images.sum()) for _, found in in_order(pool, batches, pool.submit))


def _in_pool(kind: Any, cores: int, files: list[str], one: Callable[[str], int]) -> Way:
    def way() -> int:
        with kind(cores) as pool:
            return sum(pool.map(one, files, chunksize=BATCH))

    return way


def _pillow(file: str) -> int:
    from PIL import Image

    with Image.open(file) as image:
        return int(np.asarray(image).sum())


def _opencv(file: str) -> int:
    import cv2

    return int(cv2.cvtColor(cv2.imread(file, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB).sum())


def _opencv_grey(file: str) -> int:
    import cv2

    return int(cv2.imread(file, cv2.IMREAD_GRAYSCALE).sum())


def _simplejpeg(file: str) -> int:
    import simplejpeg

    return int(simplejpeg.decode_jpeg(Path(file).read_bytes()).sum())


def _tensorflow(files: list[str], geometry: Geometry) -> int:
    import tensorflow as tf

    def one(file: Any) -> Any:
        return tf.io.decode_image(tf.io.read_file(file), geometry.channels, expand_animations=False)

    read = tf.data.Dataset.from_tensor_slices(files).map(one, tf.data.AUTOTUNE).batch(BATCH).prefetch(2)
    return sum(int(images.sum(dtype=np.int64)) for images in read.as_numpy_iterator())


def _installed(name: str) -> bool:
    modules = {"Pillow": "PIL", "OpenCV": "cv2", "TensorFlow": "tensorflow", "Keras": "keras"}
    return find_spec(modules.get(name, name)) is not None


# -- from a folder to what training reads -------------------------------------------------------------------------


def readers(folder: Path, geometry: Geometry, scratch: Path) -> tuple[dict[str, Way], dict[str, Way]]:
    """Return the ways to get a folder ready for training, and those to read it once more, by name."""
    ready: dict[str, Way] = {"Nightshift": lambda: _add(folder, scratch)}
    again: dict[str, Way] = {"Nightshift": lambda: _read(scratch)}
    if _installed("datasets"):
        ready["datasets (Hugging Face)"] = lambda: _hugging_face(folder, scratch, new=True)
        again["datasets (Hugging Face)"] = lambda: _hugging_face(folder, scratch, new=False)
    if _installed("Keras"):
        ready["image_dataset_from_directory"] = again["image_dataset_from_directory"] = lambda: _keras(folder, geometry)
    return ready, again


def _add(folder: Path, scratch: Path) -> int:
    with _emptied(scratch / "idx") as into:
        imported = read_source(str(folder), ImportOptions(), into, lambda *_: None, lambda _: None)
        return imported.n_train + imported.n_test


def _read(scratch: Path) -> int:
    return sum(int(map_idx(scratch / "idx" / f"{split}-images").sum(dtype=np.int64)) for split in ("train", "test"))


def _hugging_face(folder: Path, scratch: Path, new: bool) -> int:
    import datasets

    datasets.disable_progress_bars()
    cache = scratch / "datasets"
    if new:
        shutil.rmtree(cache, ignore_errors=True)
    found = datasets.load_dataset("imagefolder", data_dir=str(folder), cache_dir=str(cache), split="train")
    return sum(int(row["image"].sum(dtype=np.int64)) for row in found.with_format("numpy"))


def _keras(folder: Path, geometry: Geometry) -> int:
    import keras

    found = keras.utils.image_dataset_from_directory(
        folder,
        color_mode="grayscale" if geometry.channels == 1 else "rgb",
        image_size=(geometry.height, geometry.width),
        batch_size=BATCH,
        verbose=False,
    )
    return sum(int(images.sum(dtype=np.float64)) for images, _ in found.as_numpy_iterator())


@contextmanager
def _emptied(folder: Path) -> Iterator[Path]:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    yield folder


# -- measuring ----------------------------------------------------------------------------------------------------


def in_turns(ways: dict[str, Way], rounds: int) -> dict[str, list[Cost]]:
    """Return what each way took in each round, after a first round that does not count."""
    costs: dict[str, list[Cost]] = {name: [] for name in ways}
    for nth in range(rounds + 1):
        for name, way in ways.items():
            start, worked = time.perf_counter(), _cpu_seconds()
            way()
            if nth:
                costs[name].append((time.perf_counter() - start, _cpu_seconds() - worked))
    return costs


def _cpu_seconds() -> float:
    """Return how long this process, and those that it started and that ended, have kept processors busy."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in used)


def as_lines(what: str, n: int, costs: dict[str, list[Cost]]) -> list[str]:
    """Return a Markdown row per way: images a second, CPU time per image, and both as multiples of Nightshift's."""
    lines = []
    for name, taken in costs.items():
        per_second = n / statistics.median(wall for wall, _ in taken)
        each_us = statistics.median(cpu for _, cpu in taken) / n * 1e6
        ratios = [_ratios([one[i] for one in taken], [one[i] for one in costs["Nightshift"]]) for i in (0, 1)]
        lines.append(f"| {what} | {name} | {per_second:,.0f} | {each_us:,.0f} µs | {ratios[0]} | {ratios[1]} |")
    return lines


def _ratios(theirs: list[float], ours: list[float]) -> str:
    """Return the median of the ratios round by round, and their range, as text."""
    found = sorted(one / max(other, 1e-9) for one, other in zip(theirs, ours, strict=True))
    return f"{statistics.median(found):.2f} ({found[0]:.2f} to {found[-1]:.2f})"


def main() -> None:
    """Measure both folders."""
    from benchmarks.official import keep, machine  # inside: processes that decode need not import it

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pngs", type=int, default=5_000, help="files of 28 x 28, each decoded 8 times; 0 for none")
    parser.add_argument("--jpegs", type=int, default=1_000, help="files of 224 x 224; 0 for none")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="keep the seconds")
    options = parser.parse_args()
    kinds = {
        "28 × 28 PNG": (write_pngs, options.pngs, Geometry(28, 28)),
        "224 × 224 JPEG": (write_jpegs, options.jpegs, Geometry(224, 224, 3)),
    }
    figures: dict[str, Any] = {"machine": machine()}
    print("| what | way | images/s | CPU per image | time, Nightshift = 1: median (range) | CPU, the same |")
    print("|---|---|---|---|---|---|", flush=True)
    for kind, (write, n, geometry) in kinds.items():
        if not n:
            continue
        with tempfile.TemporaryDirectory() as top:
            folder = Path(top) / "images"
            write(folder, n)
            ready, again = readers(folder, geometry, Path(top))
            for step, ways in (("decode", decoders(folder, geometry)), ("ready", ready), ("again", again)):
                costs = in_turns(ways, options.rounds)
                each = n * AGAIN if step == "decode" and n == options.pngs else n
                print("\n".join(as_lines(f"{kind}, {step}", each, costs)), flush=True)
                figures[f"{kind}, {step}"] = costs
    keep(options.json, figures)


if __name__ == "__main__":
    main()
