"""From a model file, checked against its hash, to a Keras model and its predictions.

Importing this module is cheap; Keras and its backend are loaded by the first model.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from artifacts.models.archive import check_archive
from artifacts.models.bundle import MODEL
from artifacts.recipes import catalogue
from artifacts.recipes.sizes import at_once
from data.errors import BadInput, Corrupt, Unloadable
from data.home.files import file_sha256
from data.home.plain_files import read_plain
from data.home.store import Store


def load_recorded(store: Store, folder: Path) -> Any:
    """Load the model of a published candidate or of a version; see `load`.

    Raises:
        Corrupt: there is no readable manifest, or the model file does not have the hash recorded in it.
        Unloadable: the file is as it was written, but Keras cannot load it; the message says what it was made with.
    """
    recorded = store.files(folder).get(MODEL)
    if recorded is None:
        raise Corrupt(f"{folder} has no {MODEL}", "run 'nightshift verify'")
    try:
        return load(folder / MODEL, recorded["sha256"])
    except Unloadable as error:
        made = made_with(folder)
        raise Unloadable(error.problem + (f"; it was made with {made}" if made else ""), error.hint) from error


def made_with(folder: Path) -> str:
    """Return the libraries that a version was made with, as "keras 3.15.1, ..."; "" if that is not recorded there."""
    try:
        libraries = json.loads(read_plain(folder / "provenance.json"))["libraries"]
        return ", ".join(f"{name} {version}" for name, version in sorted(libraries.items()) if name != "pyarrow")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, Corrupt):
        return ""


def load(path: Path, sha256: str) -> Any:
    """Check a model file's hash, because a model file is code, and load it.

    Args:
        path: a .keras file.
        sha256: the hash that was recorded when it was written, 64 hexadecimal digits.

    Returns:
        A Keras model from uint8 images (b, h, w) to float32 probabilities (b, c).

    Raises:
        Corrupt: the file is missing, does not have this hash, or is no archive that Keras can have written.
        Unloadable: it is as it was written, but the installed Keras, its backend or the recipes cannot load it.
    """
    try:
        found = file_sha256(path)
    except OSError as error:
        raise Corrupt(f"{path} cannot be read ({error.strerror})", "run 'nightshift verify'") from error
    if found != sha256:
        raise Corrupt(
            f"{path}: expected SHA-256 {sha256[:12]}..., got {found[:12]}...",
            "it was changed after it was written: do not load it; run 'nightshift verify'",
        )
    check_archive(path)
    import_keras()
    import keras

    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras and its backends raise whatever a description makes them raise
        first = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        raise Unloadable(
            f"{path} is as it was written, but Keras {keras.__version__} cannot load it ({first})",
            "install the libraries that it was made with; if it has layers of your own, name their recipe in "
            "NIGHTSHIFT_RECIPES; 'nightshift verify --load' tries all versions that a rollback may need",
        ) from error


def import_keras() -> None:
    """Import Keras and the layers that recipes name, which must be registered before a model with them is loaded."""
    import keras  # noqa: F401  # so that its seconds are spent now, even if no recipe has layers of its own

    catalogue.import_layers()


def predict(model: Any, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Return the probabilities of every image; the last, smaller batch is included.

    Args:
        model: from `load`.
        images: uint8 (n, h, w), or (n, h, w, 3).

    Returns:
        float32 (n, c).

    Raises:
        BadInput: not uint8, or not of the shape the model was trained on.
    """
    expected = tuple(model.input_shape[1:])
    if images.dtype != np.uint8 or images.shape[1:] != expected:
        raise BadInput(
            f"expected images uint8 (n, {', '.join(map(str, expected))}), got {images.dtype} {images.shape}",
            "pass images of that size, one byte per pixel and channel",
        )
    if len(images) == 0:
        return np.zeros((0, model.output_shape[-1]), np.float32)
    return np.asarray(model.predict(images, batch_size=at_once(images.shape[1:]), verbose=0), np.float32)


def raw_pixels(images: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """Return the bytes of normalised images: the exact inverse of uint8 / float32(255)."""
    return np.asarray(np.rint(images * np.float32(255)), np.uint8)
