"""Arrays in files are arrays, and giving their pages back loses nothing."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from data.home.mapped import forget, on_disk


def test_an_array_on_disk_leaves_no_name_behind(tmp_path: Path) -> None:
    """It can be written and read, and the folder stays empty."""
    array = on_disk(tmp_path, (1000, 3), np.float64)
    array[:] = np.arange(3000).reshape(1000, 3)
    assert list(tmp_path.iterdir()) == []
    assert array.sum() == 3000 * 2999 / 2


def test_an_array_without_values_needs_no_file(tmp_path: Path) -> None:
    """Nothing can be mapped, and nothing has to be."""
    assert on_disk(tmp_path, (0, 28, 28), np.uint8).shape == (0, 28, 28)


@pytest.mark.fault("F-12")
@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="the system has no such call")
def test_a_full_disk_is_an_error_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mapped file without room would end the process by a signal, when it is written to."""

    def full(_descriptor: int, _start: int, size: int) -> None:
        raise OSError(errno.ENOSPC, f"no room for {size}")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match="no room for 8000"):
        on_disk(tmp_path, (1000,), np.float64)


def test_what_was_written_is_there_after_its_pages_were_given_back(tmp_path: Path) -> None:
    """Also through views and plain arrays that share the memory, and while nothing has reached the disk yet."""
    array = on_disk(tmp_path, (100_000,), np.int64)
    array[:] = np.arange(100_000)
    forget(array)
    forget(array[10:20])
    forget(np.asarray(array).reshape(10, -1))
    assert array.tolist() == list(range(100_000))


def test_pages_that_are_given_back_do_not_count(tmp_path: Path) -> None:
    """The process no longer holds what it has read."""
    np.ones(64 << 20, np.uint8).tofile(tmp_path / "large")
    images = np.memmap(tmp_path / "large", np.uint8, "r", shape=(64, 1024, 1024))
    assert images.sum() == 64 << 20
    held = _mapped_mib()
    forget(images[3:])
    assert held - _mapped_mib() > 60


def test_what_cannot_be_read_again_is_kept(tmp_path: Path) -> None:
    """A private copy of a file, an array in memory, and nothing at all are left alone."""
    (tmp_path / "small").write_bytes(bytes(4096))
    private = np.memmap(tmp_path / "small", np.uint8, "c")
    private[:] = 7
    plain = np.full(10, 7)
    for array in (private, plain, None):
        forget(array)
    assert set(private.tolist()) == set(plain.tolist()) == {7}


def _mapped_mib() -> float:
    status = Path("/proc/self/status")
    if not status.exists():
        pytest.skip("the kernel does not say")
    return sum(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("RssFile")) / 1024
