"""Predict with a registered model what images show."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from artifacts.evaluation.numbers import percent
from artifacts.models import bundle, loading, novelty
from artifacts.prediction import likeness, prepare
from artifacts.prediction.likeness import Seen
from artifacts.registry.versions import Version
from artifacts.reporting import pictures
from artifacts.reporting.markdown import bars
from data.dataset import Fit
from data.errors import BadInput, UnknownName
from data.home.store import Store

WITH_BARS = 20  # of more images, only the predicted class is printed


@dataclass(frozen=True, eq=False)
class Answer:
    """A model's predictions for some images.

    Args:
        version: the version that predicted, as "mnist/3".
        images: the model's input, uint8 of shape (n, h, w), or (n, h, w, 3).
        probabilities: float32 of shape (n, c).
        class_names: the names of the c classes.
        labels: the true classes, int64 of shape (n,); None if they were not given.
        warnings: what may be wrong with the images, one sentence each.
        sources: where each image comes from, for people.
        notes: what was done with the images, one sentence each.
        scores: how unlike the training images each is, float32 (n,): above 1 it may be of none of the classes; None if
            the version was made before this was measured.
    """

    version: str
    images: npt.NDArray[np.uint8]
    probabilities: npt.NDArray[np.float32]
    class_names: tuple[str, ...]
    labels: npt.NDArray[np.int64] | None
    warnings: tuple[str, ...]
    sources: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    scores: npt.NDArray[np.float32] | None = None

    def lines(self, top: int) -> list[str]:
        """Return the predictions for a terminal: per image the `top` classes with bars, without bars for many."""
        lines = []
        for index, row in enumerate(self.probabilities):
            best = int(row.argmax())
            truth = "" if self.labels is None else f" (true: {self.class_names[self.labels[index]]})"
            lines.append(
                f"{self._source(index)}: {self.class_names[best]}, {percent(float(row[best]), 1)}"
                f"{truth}{self._doubt(index)}"
            )
            if len(self.probabilities) <= WITH_BARS:
                lines += [f"  {line}" for line in bars(row.tolist(), self.class_names, top)]
        return lines

    def to_json(self) -> dict[str, Any]:
        """Return plain values: per image the predicted class and every probability."""
        answers = [
            {
                "source": self._source(index),
                "predicted": self.class_names[int(row.argmax())],
                "probabilities": dict(zip(self.class_names, row.tolist(), strict=True)),
                "true": None if self.labels is None else self.class_names[self.labels[index]],
                "novelty": None if self.scores is None else float(self.scores[index]),
                "none_of_these": None if self.scores is None else bool(self.scores[index] > 1),
            }
            for index, row in enumerate(self.probabilities)
        ]
        return {
            "version": self.version,
            "warnings": list(self.warnings),
            "notes": list(self.notes),
            "answers": answers,
        }

    def save(self, path: Any) -> None:
        """Draw every image and its probabilities into a PNG file."""
        pictures.predictions(self.images, self.probabilities, self.class_names, self.labels, path)

    def _source(self, index: int) -> str:
        return self.sources[index] if self.sources else f"image {index}"

    def _doubt(self, index: int) -> str:
        if self.scores is None or not self.scores[index] > 1:
            return ""
        return f"; perhaps none of these classes: novelty {self.scores[index]:.1f}, above 1"


def ask(
    store: Store,
    version: Version,
    sources: Sequence[str],
    *,
    true: Sequence[str] = (),
    fit: Fit | None = None,
    from_photo: bool = False,
    invert: bool = False,
) -> Answer:
    """Predict what images show.

    Args:
        store: the home.
        version: the version that predicts.
        sources: files, folders, URLs, or "-" for standard input; see `artifacts.prediction.inputs`.
        true: the true class of each image, as a class name or number; empty if they are not known.
        fit: how images of another size are brought to the model's; None as the training images were.
        from_photo: cut the ink out of each photograph; see `artifacts.prediction.photo`.
        invert: invert images, whose ink is dark where that of the training images is light, or the other way round.

    Raises:
        BadFile: a file that was named cannot be read.
        BadInput: there is no image, the number of true classes is not the number of images, or the model is not one
            for ink on a ground.
        SourceUnavailable: a URL did not serve a file.
        UnknownName: a true class is not one of the model's.
        Corrupt: the model file has changed.
    """
    names, geometry = bundle.class_names(version.folder), bundle.geometry(version.folder)
    known = novelty.read(version.folder)
    seen = likeness.seen(version.folder, known)
    wanted = replace(geometry, fit=fit or geometry.fit, ground=seen.ground or geometry.ground)
    given = prepare.prepare(sources, wanted, from_photo=from_photo, invert=invert)
    if true and len(true) != len(given.images):
        raise BadInput(
            f"expected {len(given.images)} true classes, one per image, got {len(true)}", "give --true once per image"
        )
    labels = np.array([_label(one, names) for one in true], np.int64) if true else None
    model = loading.load_recorded(store, version.folder)
    if known is None:
        probabilities, scores = loading.predict(model, given.images), None
    else:
        logits, probabilities = novelty.predict(novelty.with_logits(model), given.images)
        scores = known.scores(given.images, logits)
    return Answer(
        version.id,
        given.images,
        probabilities,
        names,
        labels,
        (*given.warnings, *warnings(given.images, seen, scores, inverted=invert, from_photo=from_photo)),
        given.sources,
        given.notes,
        scores,
    )


def warnings(
    images: npt.NDArray[np.uint8],
    seen: Seen,
    scores: npt.NDArray[np.float32] | None,
    *,
    inverted: bool = False,
    from_photo: bool = False,
) -> tuple[str, ...]:
    """Return what may be wrong with images that were asked about, one sentence each."""
    return (*likeness.warnings(images, seen, inverted=inverted, from_photo=from_photo), *_unlike(scores))


def _unlike(scores: npt.NDArray[np.float32] | None) -> tuple[str, ...]:
    count = 0 if scores is None else int((scores > 1).sum())
    if scores is None or count == 0:
        return ()
    who = "The image is" if len(scores) == 1 else f"{count:,} of {len(scores):,} images are"
    return (f"{who} unlike the training images: what is shown may be none of the classes.",)


def _label(given: str, names: tuple[str, ...]) -> int:
    if given in names:
        return names.index(given)
    if given.isascii() and given.isdigit() and int(given) < len(names):
        return int(given)
    raise UnknownName.among("class", given, names)
