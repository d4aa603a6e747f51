import shutil
from pathlib import Path

import numpy as np
import pytest

from artifacts.models import bundle
from data.errors import BadInput, Corrupt
from data.home.store import Store
from tests.artifacts.registry import nights

# -- the request set ----------------------------------------------------------------------------------------------


def test_the_request_set_is_spread_over_the_test_images(tmp_path: Path) -> None:
    """64 images from the first to the last, with exactly the answers that were recorded for them."""
    images = np.arange(1000, dtype=np.uint8)[:, None, None] * np.ones((1, 3, 2), np.uint8)
    answers = np.random.default_rng(0).random((1000, 4)).astype(np.float32)
    bundle.write_requests(tmp_path, images, answers)
    asked, recorded = bundle.read_requests(tmp_path)
    assert (asked.shape, asked.dtype, recorded.dtype) == ((64, 3, 2), np.uint8, np.float32)
    rows = [int(np.flatnonzero((answers == answer).all(axis=1))[0]) for answer in recorded]
    assert (rows[0], rows[-1]) == (0, 999)
    assert rows == sorted(set(rows))
    assert (asked == images[rows]).all()


def test_a_small_test_set_is_asked_whole(tmp_path: Path) -> None:
    """Fewer images than requests: each is asked once."""
    bundle.write_requests(tmp_path, np.zeros((3, 2, 2), np.uint8), np.eye(3, dtype=np.float32))
    assert (bundle.read_requests(tmp_path)[1] == np.eye(3)).all()


@pytest.mark.parametrize(
    ("images", "answers"),
    [
        (np.zeros((3, 2, 2), np.float32), np.zeros((3, 2), np.float32)),
        (np.zeros((3, 2, 2), np.uint8), np.zeros((2, 2), np.float32)),
        (np.zeros((3, 4), np.uint8), np.zeros((3, 2), np.float32)),
    ],
    ids=["not raw", "not as many", "no images"],
)
def test_requests_and_answers_must_belong_together(tmp_path: Path, images: "np.ndarray", answers: "np.ndarray") -> None:
    """What could not be asked again is refused when it is written."""
    with pytest.raises(BadInput):
        bundle.write_requests(tmp_path, images, answers)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_request_set_is_corrupt(tmp_path: Path) -> None:
    """Missing, truncated, of the wrong kind, empty, or with code inside: none of it is loaded."""
    good = np.zeros((3, 2, 2), np.uint8), np.zeros((3, 2), np.float32)
    bundle.write_requests(tmp_path, *good)
    bundle.read_requests(tmp_path)
    requests = tmp_path / bundle.REQUESTS
    content = requests.read_bytes()
    for damaged in (content[:50], content[:-1], b"", b"\x80\x04K\x01."):
        requests.write_bytes(damaged)
        with pytest.raises(Corrupt, match="no readable request set"):
            bundle.read_requests(tmp_path)
    for wrong in (np.zeros((3, 2, 2), np.float32), np.zeros((2, 2, 2), np.uint8), np.zeros((0, 2, 2), np.uint8)):
        np.save(requests, wrong)
        with pytest.raises(Corrupt, match="expected uint8"):
            bundle.read_requests(tmp_path)
    np.save(requests, np.array([{"a": 1}], object), allow_pickle=True)
    with pytest.raises(Corrupt, match="no readable request set"):
        bundle.read_requests(tmp_path)


# -- copying ------------------------------------------------------------------------------------------------------


def test_a_file_that_changes_while_it_is_copied_is_found(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The copies are hashed against what was recorded when the candidate was written, not against each other."""
    folder = nights.candidate(store, "a", "run")
    bundle.check(store, folder)
    genuine = shutil.copyfile

    def failing(source: Path, target: Path) -> None:
        genuine(source, target)
        if source.name == "model.keras":
            target.write_bytes(b"not quite")

    monkeypatch.setattr(shutil, "copyfile", failing)
    with pytest.raises(Corrupt, match=r"model.keras changed while it was copied"):
        bundle.copy(store, folder, tmp_path)
