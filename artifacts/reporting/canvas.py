"""What all pictures share: a blank page that becomes a PNG, and how images and names look on it.

Equal content gives equal bytes: pages are drawn off screen with fixed settings, whatever the user's matplotlibrc
says, and carry neither date nor program version. Predicted is red and true is blue, as in the TensorFlow tutorial;
everything else takes its colour from Okabe and Ito's palette, which readers with any colour vision can tell apart.
"""

import contextlib
import io
import threading
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from data.errors import BadInput
from data.home.files import storage_errors

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

RED, BLUE = "#d62728", "#1f4fd8"
INK, FAINT, BAR = "#222222", "#b8b8b8", "#9a9a9a"
PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
STYLE: dict[str, Any] = {
    "figure.dpi": 110,
    "savefig.dpi": 110,
    "font.family": ["DejaVu Sans"],
    "font.size": 9,
    "text.parse_math": False,  # a class may be called "$"
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": FAINT,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#ececec",
    "grid.linewidth": 0.8,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "lines.linewidth": 1.7,
    "image.cmap": "binary",
}
MANY = 20  # classes: up to here each has its own name, bar or cell; beyond, only the relevant ones do

_drawing = threading.Lock()  # matplotlib's settings are global to the process


@contextlib.contextmanager
def picture(path: Path, width: float, height: float) -> Iterator["Figure"]:
    """Yield an empty figure; afterwards write it as a PNG of 110 pixels per inch.

    Args:
        path: the file to write; its folder is created where it is missing.
        width: in inches.
        height: in inches.

    Raises:
        BadInput: `path` is a folder.
        StorageFailed: the file cannot be written.
    """
    from matplotlib import style
    from matplotlib.figure import Figure

    if path.is_dir():
        raise BadInput(f"expected a file name for the picture, but {path} is a folder", "give a name that ends in .png")
    pixels = io.BytesIO()
    with _drawing, style.context(["default", STYLE]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # drawn as a box, which shows it
        figure = Figure(figsize=(width, height))
        yield figure
        figure.savefig(pixels, format="rgba")
    png = _png(figure.canvas.get_width_height(), pixels.getvalue(), few_colours=not _has_colour_images(figure))
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png)


def _has_colour_images(figure: "Figure") -> bool:
    """Return whether a page shows images with colours of their own, rather than ours."""
    arrays = (image.get_array() for axes in figure.axes for image in axes.images)
    return any(array is not None and array.ndim == 3 and array.dtype == np.uint8 for array in arrays)


def _png(size: tuple[int, int], rgba: bytes, few_colours: bool) -> bytes:
    """Encode as PNG; a page of few colours with a palette.

    That takes less than half the bytes, and moves no channel by more than about 6 of 255; of colour images it would
    leave stripes.
    """
    from PIL import Image

    image, content = Image.frombytes("RGBA", size, rgba).convert("RGB"), io.BytesIO()
    if few_colours:
        image = image.quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    image.save(content, "PNG", optimize=True)
    return content.getvalue()


def show_image(axes: "Axes", image: NDArray[np.uint8], **placed: Any) -> None:
    """Draw an image as it is read best: grey dark on light, colours as they are.

    Pixels are squares where they are large enough to be seen as such; an image that would be drawn at less than three
    times its size is smoothed, so that no row or column is lost or doubled.

    Args:
        axes: where to draw.
        image: uint8, (height, width) or (height, width, 3).
        placed: what else `imshow` takes, such as `extent`.
    """
    axes.imshow(image, vmin=0, vmax=255, interpolation="antialiased", **placed)


def fill_with_image(axes: "Axes", image: NDArray[np.uint8]) -> None:
    """Fill the axes with an image and a thin frame; see `show_image`."""
    show_image(axes, image)
    axes.set(xticks=[], yticks=[])
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set(visible=True, linewidth=0.6)


def short(text: object, width: int) -> str:
    """Return `text` on one printable line of at most `width` characters; the end stays, names often differ there."""
    line = "".join(letter if letter.isprintable() else " " for letter in str(text)).strip() or "?"
    return line if len(line) <= width else f"{line[: width - 4].rstrip()}…{line[-3:]}"


def needs_rotation(names: Sequence[str]) -> bool:
    """Return whether names below bars or cells are too wide to stand side by side."""
    return max(map(len, names)) > 3


def rotation(names: Sequence[str]) -> dict[str, Any]:
    """Return how matplotlib rotates such names: by 45 degrees, or not at all."""
    return {"rotation": 45, "ha": "right", "rotation_mode": "anchor"} if needs_rotation(names) else {}
