"""A picture of some images of each class, as a model will see them: what is wrong there shows at a glance."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from data.dataset import Dataset, RawData
from data.home.files import storage_errors

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw

SHEET = "contact-sheet.png"
WIDTH = 1000  # pixels, of the whole sheet at least
TEXT = 230  # pixels, beside the images of a class
MAX_CLASSES = 100
ROWS = 40  # classes below each other; more of them go into further columns
INK, FAINT, PAPER, RED = (34, 34, 34), (130, 130, 130), (255, 255, 255), (190, 30, 45)


def contact_sheet(path: Path, row: Dataset, raw: RawData) -> Path:
    """Write a PNG: for each class its name, its number of images, and some of training and test set.

    Args:
        path: where; its folder must exist.
        row: the dataset.
        raw: its images and labels; may be memory-mapped. Only the images that are shown are read.

    Returns:
        The path.

    Raises:
        StorageFailed: the file cannot be written.
    """
    sheet = _draw(row, raw)
    with storage_errors(path):
        sheet.save(path, format="PNG", optimize=True)
    return path


def _draw(row: Dataset, raw: RawData) -> Any:
    from PIL import Image, ImageDraw

    shown = min(row.n_classes, MAX_CLASSES)
    columns = math.ceil(shown / ROWS)
    cell = _cell(row, shown)
    per_split = max(min((WIDTH // columns - TEXT - 40) // (2 * (cell + 4)), 12), 3)
    wide, high = TEXT + 40 + 2 * per_split * (cell + 4), max(cell + 8, 38)
    sheet = Image.new("RGB", (columns * wide, 66 + math.ceil(shown / columns) * high), PAPER)
    pen = ImageDraw.Draw(sheet)
    _title(pen, row, shown)
    for label in range(shown):
        column, place = divmod(label, math.ceil(shown / columns))
        left, top = column * wide, 66 + place * high
        if place == 0:
            _heading(pen, left + TEXT, per_split * (cell + 4))
        _class(sheet, pen, row, raw, label, (left, top), cell, per_split)
    return sheet


def _cell(row: Dataset, shown: int) -> int:
    """Return the side of an image on the sheet in pixels: whole multiples of small images, so that pixels show."""
    wanted = 84 if shown <= 12 else 56 if shown <= ROWS else 36
    side = max(row.height, row.width)
    return side * (wanted // side) if side <= wanted else wanted


def _font(size: int) -> Any:
    from PIL import ImageFont

    return ImageFont.load_default(size)


def _title(pen: "ImageDraw", row: Dataset, shown: int) -> None:
    more = f", the first {shown} are shown" if row.n_classes > shown else ""
    pen.text((12, 8), f"{row.title}: {row.n_train:,} training and {row.n_test:,} test images", INK, _font(18))
    pen.text((12, 32), f"{row.geometry}, {row.n_classes} classes{more}, ground {_colour(row.ground)}", FAINT, _font(13))


def _colour(ground: tuple[int, ...]) -> str:
    return "/".join(map(str, ground))


def _heading(pen: "ImageDraw", left: int, width: int) -> None:
    for x, text in ((left, "training images"), (left + width + 20, "test images")):
        pen.text((x, 50), text, FAINT, _font(12))


def _class(
    sheet: Any, pen: "ImageDraw", row: Dataset, raw: RawData, label: int, corner: tuple[int, int], cell: int, n: int
) -> None:
    left, top = corner
    counts = []
    for place, split in enumerate(("train", "test")):
        rows = np.flatnonzero(getattr(raw, f"{split}_labels") == label)
        counts.append(len(rows))
        images = getattr(raw, f"{split}_images")
        chosen = rows[np.linspace(0, len(rows) - 1, min(n, len(rows))).astype(int)]
        start = left + TEXT + place * (n * (cell + 4) + 20)
        for k, image in enumerate(np.asarray(images[chosen]) if len(chosen) else ()):
            sheet.paste(_thumbnail(image, cell), (start + k * (cell + 4), top + 4))
    pen.text((left + 12, top + 4), _short(f"{label}  {row.class_names[label]}", 26), INK, _font(14))
    text = f"{counts[0]:,} training, {counts[1]:,} test"
    pen.text((left + 12, top + 21), text, FAINT if min(counts) else RED, _font(11))


def _thumbnail(image: np.ndarray, cell: int) -> Any:
    from PIL import Image

    found = Image.fromarray(image).convert("RGB")
    scale = cell / max(found.size)
    size = (max(round(found.width * scale), 1), max(round(found.height * scale), 1))
    return found.resize(size, Image.Resampling.NEAREST if scale >= 1 else Image.Resampling.BOX)


def _short(text: str, n: int) -> str:
    return text if len(text) <= n else f"{text[: n - 1]}…"
