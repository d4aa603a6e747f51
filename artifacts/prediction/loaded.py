"""A version in memory, ready to answer at once: what a server asks, again and again."""

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from artifacts.models import bundle, loading, novelty
from artifacts.prediction import likeness
from artifacts.prediction.inputs import File
from artifacts.prediction.predict import Answer, warnings
from artifacts.prediction.prepare import Prepared, prepare_files
from artifacts.recipes.sizes import at_once
from artifacts.registry.versions import Version
from data.errors import BadInput
from data.home.store import Store

Images = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
ADVICE = {"add --invert": "have it inverted", "without --invert": "without inverting it"}
LARGEST = 32  # images that are predicted together; larger requests are several calls


class Loaded:
    """One version with its model compiled. `predict` is for one thread at a time.

    Args:
        store: the home.
        version: with its files verified.

    Raises:
        Corrupt: a file of the version is missing or has changed.
        Unloadable: the installed libraries cannot load it.
    """

    def __init__(self, store: Store, version: Version) -> None:
        self.version = version
        self.class_names = bundle.class_names(version.folder)
        self._novelty = novelty.read(version.folder)
        self._seen = likeness.seen(version.folder, self._novelty)
        geometry = bundle.geometry(version.folder)
        self.geometry = replace(geometry, ground=self._seen.ground or geometry.ground)
        self._model = novelty.with_logits(loading.load_recorded(store, version.folder))
        self._model.compile(jit_compile=False)  # XLA compiles for seconds per size, and is no faster on a processor
        self.largest = min(LARGEST, at_once(self.geometry.shape))
        for size in self._sizes():
            self.predict(np.zeros((size, *self.geometry.shape), np.uint8))

    def predict(self, images: Images) -> tuple[Floats, Floats]:
        """Return logits and probabilities, float32 (n, c).

        Args:
            images: uint8 (n, *geometry.shape).
        """
        parts = [self._called(images[at : at + self.largest]) for at in range(0, len(images), self.largest)]
        if len(parts) == 1:
            return parts[0]
        logits, probabilities = (np.concatenate(both) for both in zip(*parts, strict=True))
        return logits, probabilities

    def checked(self, images: npt.NDArray[Any]) -> Images:
        """Return images as the model takes them.

        Args:
            images: whole numbers in 0..255, of shape (n, *geometry.shape), or with a last axis of 1 for grey.

        Raises:
            BadInput: another shape, no image, or other numbers.
        """
        shape = self.geometry.shape
        if images.shape[1:] == (*shape, 1):
            images = images[..., 0]
        if images.shape[1:] != shape or len(images) == 0:
            raise BadInput(
                f"expected images of shape {shape}, got an array of shape {images.shape[1:]}",
                "send whole numbers from 0 to 255, a list of rows per image",
            )
        whole = images.dtype.kind in "iu" or (images.dtype.kind == "f" and bool((images == np.rint(images)).all()))
        if not whole or images.min() < 0 or images.max() > 255:
            raise BadInput("expected whole numbers from 0 to 255", "send the pixels as they are: the model scales them")
        return images.astype(np.uint8)

    def prepared(self, file: File, *, invert: bool = False) -> Prepared:
        """Return the images of a file as the model takes them; safe for several threads.

        Raises:
            BadFile: it is no image, damaged or too large.
        """
        return prepare_files([file], self.geometry, one=True, invert=invert)

    def answer(self, given: Prepared, logits: Floats, probabilities: Floats, *, invert: bool = False) -> Answer:
        """Return what the model says about the images of a file, as `nightshift predict` does; for several threads."""
        scores = None if self._novelty is None else self._novelty.scores(given.images, logits)
        # from_photo: without the advice to add that option, which whoever asks a server does not have
        said = (*given.warnings, *warnings(given.images, self._seen, scores, inverted=invert, from_photo=True))
        for option, words in ADVICE.items():
            said = tuple(text.replace(option, words) for text in said)
        return Answer(
            self.version.id,
            given.images,
            probabilities,
            self.class_names,
            None,
            said,
            given.sources,
            given.notes,
            scores,
        )

    def _called(self, images: Images) -> tuple[Floats, Floats]:
        """Ask the model, with the batch filled up to the next size, so that it is traced for a few sizes only."""
        n = len(images)
        size = next(size for size in self._sizes() if size >= n)
        if size > n:
            images = np.concatenate([images, np.zeros((size - n, *images.shape[1:]), np.uint8)])
        logits, probabilities = self._model.predict_on_batch(images)
        return np.asarray(logits[:n], np.float32), np.asarray(probabilities[:n], np.float32)

    def _sizes(self) -> list[int]:
        """Return 1, 2, 4 ... up to the largest batch."""
        sizes = [1]
        while sizes[-1] < self.largest:
            sizes.append(min(2 * sizes[-1], self.largest))
        return sizes
