"""The files of a trained candidate and of a registered version.

model.keras                       uint8 images in, probabilities out
training.json, history.json       how it was trained, epoch by epoch
metrics.json                      its accuracy and other metrics
predictions-validation.parquet    its prediction for every image
predictions-test.parquet
interface.json                    size and form of the images, and what the classes are called
novelty.npz                       what genuine images are like (older ones have none)
requests.npy, responses.npy       raw uint8 images, and the probabilities that any process must reproduce
decision.json                     why it was promoted           (added on registration)
provenance.json                   what it was made from         (added on registration)
infra.json                        result of the serving check   (added on registration)
README.md                         the model card                (added on registration; older versions have none)
"""

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data.errors import BadInput, Corrupt
from data.home.files import file_sha256
from data.home.store import Store
from data.values import canonical_json

if TYPE_CHECKING:  # the registry opens without NumPy, so that the command line answers at once
    import numpy as np
    from numpy.typing import NDArray

    from data.dataset import Geometry

MODEL, INTERFACE, REQUESTS, RESPONSES = "model.keras", "interface.json", "requests.npy", "responses.npy"
REQUIRED = (
    MODEL,
    "training.json",
    "history.json",
    "metrics.json",
    "predictions-validation.parquet",
    "predictions-test.parquet",
    INTERFACE,
    REQUESTS,
    RESPONSES,
)


def write_requests(
    folder: Path, images: "NDArray[np.uint8]", probabilities: "NDArray[np.float32]", count: int = 64
) -> None:
    """Write the request set into a candidate's folder: images spread evenly over the test set, and the answers to them.

    Args:
        folder: the draft of the candidate.
        images: uint8 (n, h, w), the raw test images.
        probabilities: float (n, classes), the model's answers to them.
        count: number of images to write; all if there are fewer.

    Raises:
        BadInput: the shapes or dtypes do not fit.
    """
    import numpy as np

    fits = images.ndim in {3, 4} and probabilities.ndim == 2 and len(images) == len(probabilities)
    if images.dtype != np.uint8 or not fits:
        raise BadInput(
            "expected uint8 images (n, h, w) or (n, h, w, 3) and probabilities (n, classes), "
            f"got {images.dtype} {images.shape} and {probabilities.shape}",
            "pass the raw test images and the predictions for exactly these images",
        )
    chosen = np.unique(np.linspace(0, len(images) - 1, num=min(count, len(images))).astype(np.int64))
    np.save(folder / REQUESTS, images[chosen], allow_pickle=False)
    np.save(folder / RESPONSES, probabilities[chosen].astype(np.float32), allow_pickle=False)


def write_interface(folder: Path, geometry: "Geometry", class_names: Sequence[str]) -> None:
    """Record in a candidate's folder the form of the images that the model takes and the names of its classes."""
    value = {**asdict(geometry), "class_names": list(class_names)}
    (folder / INTERFACE).write_bytes(canonical_json(value))


def class_names(folder: Path) -> tuple[str, ...]:
    """Return the class names of a candidate or version.

    Raises:
        Corrupt: interface.json is missing or not readable.
    """
    return tuple(_interface(folder)["class_names"])


def geometry(folder: Path) -> "Geometry":
    """Return the form of the images that a candidate or version takes.

    Raises:
        Corrupt: interface.json is missing or not readable.
    """
    from data.dataset import Geometry

    interface = _interface(folder)
    return Geometry(
        interface["height"],
        interface["width"],
        interface.get("channels", 1),  # models made before there were others
        interface.get("fit", "pad"),
        tuple(interface.get("ground", (0,))),
    )


def _interface(folder: Path) -> dict[str, Any]:
    try:
        interface: dict[str, Any] = json.loads((folder / INTERFACE).read_bytes())
    except (OSError, ValueError) as error:
        raise Corrupt(f"{folder} has no readable {INTERFACE} ({error})", "run 'nightshift verify'") from error
    required = {"height", "width", "class_names"}
    if not required <= interface.keys() <= required | {"channels", "fit", "ground"}:
        raise Corrupt(
            f"{folder / INTERFACE}: expected class_names, height and width, got {', '.join(sorted(interface))}",
            "use the version of Nightshift that wrote it",
        )
    return interface


def read_requests(folder: Path) -> "tuple[NDArray[np.uint8], NDArray[np.float32]]":
    """Return the images, uint8 (n, h, w), and the recorded probabilities, float32 (n, classes).

    Raises:
        Corrupt: they are missing, unreadable or empty, or their shapes or dtypes do not fit.
    """
    import numpy as np

    try:
        images = np.load(folder / REQUESTS, allow_pickle=False)
        probabilities = np.load(folder / RESPONSES, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise Corrupt(f"{folder} has no readable request set ({error})", "train the candidate again") from error
    fits = images.ndim in {3, 4} and probabilities.ndim == 2 and 0 < len(images) == len(probabilities)
    if not fits or images.dtype != np.uint8 or probabilities.dtype != np.float32:
        raise Corrupt(
            f"the request set of {folder} is {images.dtype} {images.shape} and {probabilities.dtype} "
            f"{probabilities.shape}; expected uint8 (n, h, w) or (n, h, w, 3) and float32 (n, classes)",
            "train the candidate again",
        )
    return images, probabilities


def check(store: Store, candidate: Path) -> None:
    """Require that a published candidate has all REQUIRED files, and that every file has its recorded hash.

    Raises:
        Corrupt: a file is missing, was added or has changed.
    """
    store.verify(candidate)
    missing = [name for name in REQUIRED if not (candidate / name).is_file()]
    if missing:
        raise Corrupt(f"{candidate} has no {', '.join(missing)}", "evaluate the candidate before it is registered")


def copy(store: Store, candidate: Path, target: Path) -> None:
    """Copy a published candidate's files into a draft, each copy checked against the candidate's manifest.

    The copies are read-only: nothing in a version is ever changed.

    Args:
        store: the home.
        candidate: a published candidate folder.
        target: an empty folder.

    Raises:
        Corrupt: a file has changed since it was written, or while it was copied.
    """
    for name, recorded in store.files(candidate).items():
        copied = target / name
        copied.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(candidate / name, copied)
        copied.chmod(0o444)
        if file_sha256(copied) != recorded["sha256"]:
            raise Corrupt(f"{candidate / name} changed while it was copied", "check the disk, and run again")
