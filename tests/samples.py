"""Small datasets made on the spot, as IDX files."""

from pathlib import Path

import numpy as np

from data.sources.idx import write_idx


def write_idx_folder(
    folder: Path,
    *,
    height: int,
    width: int,
    n_classes: int,
    n_train: int = 240,
    n_test: int = 60,
    brightest: int = 255,
    first: int = 0,
) -> Path:
    """Write four IDX files of images that a linear model can tell apart: each class has its own bright column.

    Args:
        folder: where; created if missing.
        height: of an image, in pixels.
        width: likewise.
        n_classes: as many columns at most as an image has.
        n_train: training images.
        n_test: test images.
        brightest: the brightness of the columns.
        first: the class whose column is the leftmost; the others follow in order.

    Returns:
        The folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    dice = np.random.default_rng(0)
    for split, n in (("train", n_train), ("t10k", n_test)):
        labels = np.arange(n, dtype=np.uint8) % n_classes
        images = dice.integers(0, 90, (n, height, width), dtype=np.uint8)
        for image, label in zip(images, labels, strict=True):
            image[:, (int(label) - first) % n_classes * width // n_classes] = brightest
        (folder / f"{split}-images-idx3-ubyte").write_bytes(write_idx(images))
        (folder / f"{split}-labels-idx1-ubyte").write_bytes(write_idx(labels))
    return folder
