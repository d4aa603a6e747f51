"""What is measured is what a step takes, on data that a night accepts."""

import sys
from argparse import ArgumentTypeError
from pathlib import Path

import numpy as np
import pytest

from benchmarks.night_memory import CLASSES, add, draw, shape_of, write_dataset
from benchmarks.resident import StepFailed, watch
from data import catalogue
from data.home.store import Store
from data.sources import source
from data.statistics.summary import reference

TAKES = """
from benchmarks.resident import take_part
import numpy as np
kept = np.ones(40 << 20, np.uint8)
def step():
    {step}
    return {{"answer": 42}}
take_part(step)
"""


def watched(step: str) -> tuple[dict[str, float], dict[str, int]]:
    """Watch a process that has 40 MiB before it runs this line of Python."""
    return watch([sys.executable, "-c", TAKES.format(step=step)])


def test_memory_given_back_before_the_end_is_counted() -> None:
    """The peak is what a step took at most, above what the process had before; its result comes along."""
    measured, result = watched("np.ones(200 << 20, np.uint8)")
    assert result == {"answer": 42}
    assert 190 < measured["resident_mib"] < 230
    assert measured["libraries_mib"] > 40


def test_memory_taken_while_python_is_locked_is_counted() -> None:
    """A step that never lets another thread of its process run is watched all the same."""
    measured, _ = watched("bytearray(b'x') * (200 << 20)")
    assert measured["own_mib"] > 190


def test_a_step_that_computes_costs_what_the_kernel_counts() -> None:
    """Waiting is no work."""
    worked, waited = (
        watched(step)[0]["cpu_seconds"] for step in ("sum(range(20_000_000))", "__import__('time').sleep(0.3)")
    )
    assert worked > waited


def test_a_step_that_prints_is_no_trouble() -> None:
    """What a step itself writes to standard output is passed over."""
    assert watched("print('epoch 1')")[1] == {"answer": 42}


def test_a_step_that_fails_is_no_measurement() -> None:
    """Without a result there is no figure, and no process is left behind."""
    with pytest.raises(StepFailed):
        watched("raise SystemExit(3)")


@pytest.mark.parametrize("shape", [(28, 28), (12, 10, 3)])
def test_a_night_reads_what_was_written(tmp_path: Path, shape: tuple[int, ...]) -> None:
    """The row is found in the catalogue, its files are what it says, their images are mapped and pinned."""
    store = Store(tmp_path)
    add(store, shape, 70)
    row = catalogue.get(store, "synthetic")
    raw = source.read_raw(store, row, source.download(store, row))
    assert raw.train_images.shape == (60, *shape)
    assert row.reference == reference(raw, CLASSES, row.ground)
    assert raw.test_images.shape == (10, *shape)
    assert isinstance(raw.train_images.base, np.memmap) or isinstance(raw.train_images, np.memmap)


def test_every_class_is_in_both_splits(tmp_path: Path) -> None:
    """No rule of the validation has a reason to refuse the labels."""
    store = Store(tmp_path)
    row = write_dataset(store, (12, 12), 700)
    raw = source.read_raw(store, row, source.download(store, row))
    assert set(raw.train_labels) == set(raw.test_labels) == set(range(CLASSES))


def test_pieces_share_no_image_however_many_there_are() -> None:
    """Seeds that were added up made the test images those of the training images from the millionth on."""
    pieces = [draw((12, 12), 50, seed)[0] for seed in ((0, 0), (0, 1_000_000), (1, 0), (1, 20_000))]
    images = np.concatenate(pieces).reshape(200, -1)
    assert len(np.unique(images, axis=0)) == 200


@pytest.mark.parametrize("text", ["28", "28x28x1", "28x0", "28x28x3x3", "9x28"])
def test_a_shape_is_two_sides_and_perhaps_three_channels(text: str) -> None:
    """Other shapes, and those too low for a bar per class, are refused before anything is written."""
    with pytest.raises(ArgumentTypeError, match="expected 28x28 or 64x64x3"):
        shape_of(text)
