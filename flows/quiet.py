"""Keeps the chatter of C++ libraries out of the terminal."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def native_messages_to(file: Path) -> Iterator[None]:
    """Send what C++ libraries write to standard error into a file while the block runs.

    TensorFlow prints a dozen lines about missing CUDA drivers and rounding before Python can ask it not to; nobody
    finds the verdict between them. What Python raises is printed after the block, where people look for it.

    Args:
        file: written anew.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    kept = os.dup(2)
    with file.open("wb") as stream:
        os.dup2(stream.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
