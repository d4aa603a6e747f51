"""Arrays that lie in files: what is mapped takes no memory of the process's own, and is given back after use."""

import math
import mmap
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np


def on_disk(folder: Path, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """Return an array of zeros in a file without a name: the disk space is free when the array is dropped.

    Args:
        folder: an existing folder on the disk to use.
        shape: of the array.
        dtype: of its values.

    Raises:
        OSError: the disk is full, or the folder cannot be written.
    """
    if math.prod(shape) == 0:  # nothing can be mapped
        return np.zeros(shape, dtype)
    with tempfile.TemporaryFile(dir=folder) as file:
        if hasattr(os, "posix_fallocate"):  # a disk that fills up later would end the process by a signal
            os.posix_fallocate(file.fileno(), 0, math.prod(shape) * np.dtype(dtype).itemsize)
        return np.memmap(file, dtype, "w+", 0, shape)


def forget(array: Any) -> None:
    """Let the kernel take back the pages of a mapped array that were used; they are read again where they are needed.

    Without this a process that reads a large file once counts as large as the file, although most of it is only a
    cache. What was written stays: it is on its way to the file. Nothing happens to an array that is not mapped.
    """
    while array is not None and not isinstance(array, np.memmap):
        array = getattr(array, "base", None)
    if array is None or array.mode == "c" or not hasattr(mmap, "MADV_DONTNEED"):
        return  # what was written into a private copy ("c") would be lost
    while not isinstance(array, mmap.mmap):
        array = array.base
    array.madvise(mmap.MADV_DONTNEED)
