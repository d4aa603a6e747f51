"""None of these classes: what a small real model says about images that are no digits."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from artifacts.models import loading, novelty
from artifacts.models.novelty import Novelty
from data.errors import Corrupt
from tests.artifacts.small import Images, blobs
from tests.artifacts.trained import TrainedHome

DICE = np.random.default_rng(0)
STRANGE = {
    "uniform noise": DICE.integers(0, 256, (200, 28, 28)),
    "faint noise": DICE.integers(0, 40, (200, 28, 28)),
    "specks": 255 * (DICE.random((200, 28, 28)) < 0.05),
    "blocks": DICE.integers(0, 256, (200, 7, 7)).repeat(4, 1).repeat(4, 2),
    "blank": np.stack([np.full((28, 28), grey) for grey in (0, 10, 128, 255)]),
}


def scores(home: TrainedHome, images: np.ndarray) -> np.ndarray:
    """What the first candidate's file gives for images."""
    folder = home.store.trained(home.refs[0].digest)
    known = novelty.read(folder)
    assert known is not None
    both = novelty.with_logits(loading.load_recorded(home.store, folder))
    return known.scores(images, novelty.predict(both, images)[0])


@pytest.mark.parametrize("kind", STRANGE)
def test_what_is_no_digit_is_flagged(kind: str, built: TrainedHome) -> None:
    """At least 95 % of noise of several kinds, and every blank image."""
    flagged = scores(built, STRANGE[kind].astype(np.uint8)) > 1
    assert flagged.mean() >= (1 if kind == "blank" else 0.95)


def test_genuine_images_are_rarely_flagged(built: TrainedHome) -> None:
    """Of the test images, which nothing was fitted on, about as many as of the validation images: 1 %."""
    found = scores(built, np.asarray(built.tests.images))
    assert (found > 1).mean() <= 0.03
    assert (found >= 0).all()


def test_clothes_are_no_digits(built: TrainedHome, mirror: Path) -> None:
    """Fashion-MNIST on a tiny model of digits: at least nine in ten are flagged."""
    from data.sources.idx import read_idx, unpack

    content = (mirror / "fashion-mnist" / "t10k-images-idx3-ubyte.gz").read_bytes()
    clothes = read_idx(unpack(content, 1 << 24, "clothes"), "clothes")[:1000]
    assert (scores(built, clothes) > 1).mean() >= 0.9


def test_logits_belong_to_the_recorded_probabilities(built: TrainedHome) -> None:
    """Asking for the logits too changes no answer."""
    model = loading.load_recorded(built.store, built.store.trained(built.refs[0].digest))
    images = np.asarray(built.tests.images)
    logits, probabilities = novelty.predict(novelty.with_logits(model), images)
    np.testing.assert_allclose(probabilities, loading.predict(model, images), atol=1e-6)
    assert (logits.argmax(axis=1) == probabilities.argmax(axis=1)).all()


def test_what_is_stored_comes_back(built: TrainedHome, tmp_path: Path) -> None:
    """As the same bytes each time; without a file there is nothing, and a damaged one is not guessed at."""
    known = novelty.read(built.store.trained(built.refs[0].digest))
    assert known is not None
    known.save(tmp_path)
    content = (tmp_path / novelty.FILE).read_bytes()
    back = novelty.read(tmp_path)
    assert back is not None
    assert all((getattr(back, name) == value).all() for name, value in vars(known).items())
    back.save(tmp_path)
    assert (tmp_path / novelty.FILE).read_bytes() == content
    for damage in (content[:-100], b"", b"no zip file", content.replace(b"centres", b"center_")):
        (tmp_path / novelty.FILE).write_bytes(damage)
        with pytest.raises(Corrupt, match=r"novelty\.npz cannot be read"):
            novelty.read(tmp_path)
    (tmp_path / novelty.FILE).unlink()
    assert novelty.read(tmp_path) is None


@pytest.mark.parametrize(
    "shape", [(8, 8), (28, 28), (40, 33), (32, 32, 3), (96, 64, 3), (1, 1), (1, 5000), (300, 1, 3)]
)
def test_images_of_any_size_are_pooled(shape: tuple[int, ...]) -> None:
    """To at most 1,024 values in 0..1, which are means: a flat image stays flat."""
    rows = novelty.pooled(np.full((3, *shape), 51, np.uint8))
    assert rows.shape[0] == 3
    assert rows.shape[1] <= 1024
    assert rows == pytest.approx(0.2)


def fitted(n: int, n_classes: int = 3, **change: Any) -> tuple[Novelty, np.ndarray, np.ndarray]:
    """Fitted on a few images and made-up logits."""
    examples = blobs(n, n_classes=n_classes)
    images = (examples.images * 255).round().astype(np.uint8)
    logits = (4 * np.eye(n_classes, dtype=np.float32)[examples.labels]) + DICE.normal(0, 0.3, (n, n_classes))
    given = {"images": images, "logits": logits.astype(np.float32), "labels": examples.labels} | change
    found = novelty.fit(**given, held_out=[(given["images"], given["logits"])])
    return found, given["images"], given["logits"]


@pytest.mark.parametrize("n", [3, 12, 300])
def test_a_few_images_are_enough(n: int) -> None:
    """Nothing is divided by zero, and the share that is flagged is 1 %, of a few images at most one."""
    found, images, logits = fitted(n)
    result = found.scores(images, logits)
    assert np.isfinite(result).all()
    assert (result > 1).sum() <= max(1, n // 50)


def test_degenerate_data_and_logits_are_survived() -> None:
    """All images the same, logits that are all the same, a class without an image."""
    same = np.full((20, 12, 10), 7, np.uint8)
    for change in ({"images": same}, {"logits": np.zeros((20, 3), np.float32)}, {"labels": np.full(20, 2)}):
        found, images, logits = fitted(20, **change)
        assert np.isfinite(found.scores(images, logits)).all()


def test_a_large_split_is_sampled_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    """However it is cut into chunks, every third training image of three times too many is used."""

    class Model:
        def predict(self, images: np.ndarray, **_: int) -> tuple[np.ndarray, np.ndarray]:
            return images[:, 0, :3] / np.float32(9), images[:, 0, :3]

    monkeypatch.setattr(novelty, "AT_MOST", 100)
    monkeypatch.setattr(novelty, "with_logits", lambda model: model)
    examples, found = blobs(300), []
    for size in (300, 64, 7, 1):
        chunks = [
            Images(examples.images[at : at + size], examples.labels[at : at + size]) for at in range(0, 300, size)
        ]
        found.append(novelty.fit_model(Model(), chunks, 300, [examples]))
    expected = novelty.fit_model(Model(), [Images(examples.images[::3], examples.labels[::3])], 100, [examples])
    assert all((one.mean == expected.mean).all() and (one.limits == expected.limits).all() for one in found)
