"""Predict with a registered model what images show."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from artifacts.models import bundle, loading
from artifacts.operations import image_files
from artifacts.registry.versions import Version
from artifacts.reporting import pictures
from artifacts.reporting.markdown import bars
from data.errors import BadInput, UnknownName
from data.store import Store


@dataclass(frozen=True, eq=False)
class Answer:
    """A model's predictions for some images.

    Args:
        version: the version that predicted, as "mnist/3".
        images: the model's input, uint8 of shape (n, h, w).
        probabilities: float32 of shape (n, c).
        class_names: the names of the c classes.
        labels: the true classes, int64 of shape (n,); None if they were not given.
        warnings: what may be wrong with the images, one sentence each.
    """

    version: str
    images: npt.NDArray[np.uint8]
    probabilities: npt.NDArray[np.float32]
    class_names: tuple[str, ...]
    labels: npt.NDArray[np.int64] | None
    warnings: tuple[str, ...]

    def lines(self, top: int) -> list[str]:
        """Return the predictions for a terminal: per image the `top` classes with bars."""
        lines = []
        for index, row in enumerate(self.probabilities):
            best = int(row.argmax())
            truth = "" if self.labels is None else f" (true: {self.class_names[self.labels[index]]})"
            lines.append(f"image {index}: {self.class_names[best]}, {row[best]:.1%}{truth}")
            lines += [f"  {line}" for line in bars(row.tolist(), self.class_names, top)]
        return lines

    def to_json(self) -> dict[str, Any]:
        """Return plain values: per image the predicted class and every probability."""
        answers = [
            {
                "predicted": self.class_names[int(row.argmax())],
                "probabilities": dict(zip(self.class_names, row.tolist(), strict=True)),
                "true": None if self.labels is None else self.class_names[self.labels[index]],
            }
            for index, row in enumerate(self.probabilities)
        ]
        return {"version": self.version, "warnings": list(self.warnings), "answers": answers}

    def save(self, path: Path) -> None:
        """Draw every image and its probabilities into a PNG file."""
        pictures.predictions(self.images, self.probabilities, self.class_names, self.labels, path)


def ask(
    store: Store,
    version: Version,
    path: Path,
    *,
    true: Sequence[str] = (),
    resize: bool = False,
    invert: bool = False,
) -> Answer:
    """Predict what the images in a file show.

    Args:
        store: the home.
        version: the version that predicts.
        path: a PNG, JPEG, NPY or IDX file with one image or several.
        true: the true class of each image, as a class name or number; empty if they are not known.
        resize: fit images of another size.
        invert: invert images with dark ink on a light background.

    Raises:
        BadFile: the file is not of these formats, or its images do not have the size of the model's.
        BadInput: the number of true classes is not the number of images.
        UnknownName: a true class is not one of the model's.
        Corrupt: the model file has changed.
    """
    names, geometry = bundle.class_names(version.folder), bundle.geometry(version.folder)
    shown, warnings = image_files.read_images(path, geometry.height, geometry.width, resize=resize, invert=invert)
    if true and len(true) != len(shown):
        raise BadInput(
            f"expected {len(shown)} true classes, one per image of {path}, got {len(true)}",
            "give --true once per image",
        )
    labels = np.array([_label(one, names) for one in true], np.int64) if true else None
    model = loading.load_recorded(store, version.folder)
    return Answer(version.id, shown, loading.predict(model, shown), names, labels, warnings)


def _label(given: str, names: tuple[str, ...]) -> int:
    if given in names:
        return names.index(given)
    if given.isascii() and given.isdigit() and int(given) < len(names):
        return int(given)
    raise UnknownName.among("class", given, names)
