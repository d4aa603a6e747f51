"""What all pictures share: a blank page that becomes a PNG, and how images, names and shares look on it.

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
from data.files import storage_errors

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
MANY = 20  # classes: up to here each gets its own name, bar or cell; beyond, only those that matter do

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
        raise BadInput(f"{path} is a folder, a picture needs a file", "give a name that ends in .png")
    pixels = io.BytesIO()
    with _drawing, style.context(["default", STYLE]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # a box in the picture says it
        figure = Figure(figsize=(width, height))
        yield figure
        figure.savefig(pixels, format="rgba")
    png = _png(figure.canvas.get_width_height(), pixels.getvalue())
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png)


def _png(size: tuple[int, int], rgba: bytes) -> bytes:
    """Encode with a palette: less than half the bytes, and no channel moves by more than about 6 of 255."""
    from PIL import Image

    image = Image.frombytes("RGBA", size, rgba).convert("RGB")
    content = io.BytesIO()
    image.quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(content, "PNG", optimize=True)
    return content.getvalue()


def show_image(axes: "Axes", image: NDArray[np.uint8]) -> None:
    """Fill the axes with an image (height, width), uint8, dark on light, pixels as squares."""
    axes.imshow(image, vmin=0, vmax=255, interpolation="nearest")
    axes.set(xticks=[], yticks=[])
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set(visible=True, linewidth=0.6)


def short(text: object, width: int) -> str:
    """Return `text` on one printable line of at most `width` characters; names often differ at the end, so it stays."""
    line = "".join(letter if letter.isprintable() else " " for letter in str(text)).strip() or "?"
    return line if len(line) <= width else f"{line[: width - 4].rstrip()}…{line[-3:]}"


def percent(share: float) -> str:
    """Return a share in [0, 1] as text: "87 %", and "99.7 %" where whole numbers would round to certainty."""
    value = 100 * float(share)
    return f"{value:.0f} %" if value < 99 or value >= 99.95 else f"{value:.1f} %"


def slanted(names: Sequence[str]) -> bool:
    """Whether names below bars or cells need 45 degrees to fit."""
    return max(map(len, names)) > 3


def turn(names: Sequence[str]) -> dict[str, Any]:
    """Return how to rotate such names."""
    return {"rotation": 45, "ha": "right", "rotation_mode": "anchor"} if slanted(names) else {}
