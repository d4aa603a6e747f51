"""Images that the winner gets wrong, each beside the bars of its class probabilities: predicted red, true blue."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from artifacts.evaluation.numbers import short_percent
from artifacts.reporting.canvas import MANY, short
from artifacts.reporting.page.svg import box, drawing, stroke, words
from artifacts.reporting.summary import ScoredImages

SIDE = 96  # pixels of an image at most: what is larger is reduced, so that fifty of them fit into the page
SHEET_BYTES = 700_000  # of the contact sheet; a larger one is reduced


@dataclass(frozen=True)
class Panel:
    """One image with the winner's answer.

    Args:
        image: a data URI.
        predicted: the class with the largest probability.
        confidence: its probability as text.
        true: the true class.
        bars: the probabilities, drawn.
        text: what is to be seen.
        before: what the champion answers; "" where it is not compared.
    """

    image: str
    predicted: str
    confidence: str
    true: str
    bars: Markup
    text: str
    before: str = ""


def most_confident(scored: ScoredImages, n: int) -> list[int]:
    """Return the indices of the `n` most confident mistakes, worst first."""
    predicted = scored.probabilities.argmax(axis=1)
    return _by_confidence(scored, np.flatnonzero(predicted != scored.labels), n)


def negative_flips(scored: ScoredImages, champion: NDArray[np.int64], n: int) -> list[int]:
    """Return the indices of at most `n` images that only the champion gets right, the most confident mistakes first."""
    wrong = scored.probabilities.argmax(axis=1) != scored.labels
    return _by_confidence(scored, np.flatnonzero(wrong & (champion == scored.labels)), n)


def _by_confidence(scored: ScoredImages, found: NDArray[np.intp], n: int) -> list[int]:
    order: Sequence[Any] | NDArray[np.intp] = (
        np.argsort(-scored.probabilities[found].max(axis=1), kind="stable")[:n] if len(found) else []
    )
    return [int(found[place]) for place in order]


def panels(scored: ScoredImages, chosen: Sequence[int], class_names: Sequence[str], before: str = "") -> list[Panel]:
    """Return panels for images.

    Args:
        scored: images, true classes and probabilities; only the images that are shown are read.
        chosen: which of them, in order.
        class_names: one name per class.
        before: the version that gets these images right; "" where none is compared.
    """
    return [_panel(scored, index, class_names, before) for index in chosen]


def _panel(scored: ScoredImages, index: int, class_names: Sequence[str], before: str) -> Panel:
    probabilities, true = scored.probabilities[index], int(scored.labels[index])
    predicted = int(probabilities.argmax())
    confidence = short_percent(float(probabilities[predicted]))
    text = f"Test image {index}: predicted {class_names[predicted]} with {confidence}, true {class_names[true]}"
    return Panel(
        image=data_uri(np.asarray(scored.images[index])),
        predicted=short(class_names[predicted], 24),
        confidence=confidence,
        true=short(class_names[true], 24),
        bars=_bars(probabilities, class_names, predicted, true, text),
        text=text,
        before=before,
    )


def _bars(
    probabilities: NDArray[np.float32], class_names: Sequence[str], predicted: int, true: int, text: str
) -> Markup:
    """One bar per class; of many classes, the ten most probable ones and the true one."""
    shown = list(range(len(probabilities)))
    if len(shown) > MANY:
        shown = np.argsort(-probabilities, kind="stable")[:10].tolist()
        shown += [true] if true not in shown else []
    width, base, high = 150.0, 74.0, 66.0
    step = width / len(shown)
    parts = [stroke(0, base, width, base, "axis")]
    for place, index in enumerate(shown):
        colour = "true" if index == true else "predicted" if index == predicted else "other"
        height = max(high * float(probabilities[index]), 1.0 if colour != "other" else 0.3)
        told = f"{short(class_names[index], 30)}: {short_percent(float(probabilities[index]))}"
        parts.append(box(step * place + 1, base - height, step - 2, height, colour, told))
        name = class_names[index] if len(class_names[index]) <= (2 if step < 14 else 3) else ""
        parts.append(words(step * (place + 0.5), base + 13, name, f"tick {colour}-name", "middle"))
    listed = sorted(shown, key=lambda index: -probabilities[index])[:3]
    told = ", ".join(f"{class_names[index]} {short_percent(float(probabilities[index]))}" for index in listed)
    return drawing(width, base + 18, f"{text}. Most probable: {told}", *parts)


def data_uri(image: NDArray[np.uint8]) -> str:
    """Return an image as a PNG in a URI: grey dark on light, colours as they are; at most `SIDE` pixels wide and high.

    Args:
        image: uint8, (height, width) or (height, width, 3).
    """
    from PIL import Image

    picture: Any = Image.fromarray(image if image.ndim == 3 else 255 - image)
    picture.thumbnail((SIDE, SIDE))
    return _encoded(picture)


def sheet_uri(file: Path) -> str:
    """Return a picture's file as a URI, reduced in size and colours if it is large."""
    from PIL import Image

    content = file.read_bytes()
    if len(content) <= SHEET_BYTES:
        return f"data:image/png;base64,{base64.b64encode(content).decode()}"
    with Image.open(io.BytesIO(content)) as opened:
        picture: Any = opened.convert("RGB")
    picture.thumbnail((1000, 1400))
    return _encoded(picture.quantize(128))


def _encoded(picture: Any) -> str:
    content = io.BytesIO()
    picture.save(content, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(content.getvalue()).decode()}"
