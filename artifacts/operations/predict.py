"""Asking a registered model what an image shows."""

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
    """What a model said about some images.

    Args:
        version: whom was asked, as "mnist/3".
        images: uint8 (n, h, w), as the model saw them.
        probabilities: float32 (n, c).
        class_names: what the classes are called.
        labels: int64 (n,), the truth; None where nobody said it.
        warnings: what looks odd about the images.
    """

    version: str
    images: npt.NDArray[np.uint8]
    probabilities: npt.NDArray[np.float32]
    class_names: tuple[str, ...]
    labels: npt.NDArray[np.int64] | None
    warnings: tuple[str, ...]

    def lines(self, top: int) -> list[str]:
        """Return the answers for a terminal: per image the `top` classes with bars."""
        told = []
        for index, row in enumerate(self.probabilities):
            best = int(row.argmax())
            truth = "" if self.labels is None else f" (true: {self.class_names[self.labels[index]]})"
            told.append(f"image {index}: {self.class_names[best]}, {row[best]:.1%}{truth}")
            told += [f"  {line}" for line in bars(row.tolist(), self.class_names, top)]
        return told

    def to_json(self) -> dict[str, Any]:
        """Return the answers for a script: per image the predicted class and every probability."""
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
        """Draw every image beside its probabilities into a PNG file."""
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
    """Ask a registered model what the images in a file show.

    Args:
        store: the home.
        version: whom to ask.
        path: a PNG, JPEG, NPY or IDX file with one image or several.
        true: what each image really shows: class names or numbers; none, or as many as there are images.
        resize: fit images of another size.
        invert: the images are dark on light.

    Raises:
        BadFile: it is not such a file, or the images have another size than the model takes.
        BadInput: not as many true classes as images.
        UnknownName: a true class is none of the model's.
        Corrupt: the model file has changed.
    """
    names, (height, width) = bundle.class_names(version.folder), bundle.image_size(version.folder)
    shown, warnings = image_files.read_images(path, height, width, resize=resize, invert=invert)
    if true and len(true) != len(shown):
        raise BadInput(f"{path} has {len(shown)} images, but --true came {len(true)} times", "give one for each")
    labels = np.array([_label(one, names) for one in true], np.int64) if true else None
    model = loading.load_recorded(store, version.folder)
    return Answer(version.id, shown, loading.predict(model, shown), names, labels, warnings)


def _label(given: str, names: tuple[str, ...]) -> int:
    if given in names:
        return names.index(given)
    if given.isascii() and given.isdigit() and int(given) < len(names):
        return int(given)
    raise UnknownName.among("class", given, names)
