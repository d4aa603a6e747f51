"""The numbers about the images are the ones that a plain loop over pixels gives."""

import hashlib
import json
from dataclasses import asdict, replace

import numpy as np
import pytest

from data.builtin import DATASETS
from data.dataset import RawData
from data.home.store import Store
from data.sources.source import download, read_raw
from data.statistics import summary
from data.statistics.image_statistics import NUMERIC
from data.statistics.summary import image_hashes, reference, reference_of, summarise


@pytest.fixture(scope="module")
def small() -> RawData:
    """Images of an odd size, some of them special."""
    rng = np.random.default_rng(7)
    images = rng.integers(0, 256, (700, 5, 3), np.uint8)
    images[0] = 0
    images[1] = 255
    images[2] = images[3]
    labels = rng.integers(0, 4, len(images))
    return RawData(images[:-50], labels[:-50], np.concatenate([images[-49:], images[4:5]]), labels[-50:])


def _plain(image: np.ndarray) -> dict[str, float]:
    height, width = image.shape
    values = image.astype(float) / 255
    border = [values[y, x] for y in range(height) for x in range(width) if y in (0, height - 1) or x in (0, width - 1)]
    ink = values.sum()
    return {
        "mean": values.mean(),
        "std": values.std(),
        "min": values.min(),
        "max": values.max(),
        "ink_fraction": (values > 0).mean(),
        "centre_x": sum(x * values[:, x].sum() for x in range(width)) / ink if ink else (width - 1) / 2,
        "centre_y": sum(y * values[y].sum() for y in range(height)) / ink if ink else (height - 1) / 2,
        "border_ink": float(np.mean(border)),
    }


def test_every_column_is_what_a_plain_loop_gives(small: RawData, monkeypatch: pytest.MonkeyPatch) -> None:
    """In chunks or written out pixel by pixel, the statistics are the same; blank images have no NaN."""
    monkeypatch.setattr(summary, "CHUNK", 100)
    table = summarise(small)
    images = np.concatenate([small.train_images, small.test_images])
    assert table.column_names == ["split", "row", "label", *NUMERIC, "sha256"]
    expected = [_plain(image) for image in images]
    for name in NUMERIC:
        plain = [row[name] for row in expected]
        np.testing.assert_allclose(table[name].to_numpy(), plain, rtol=1e-12, atol=1e-12, err_msg=name)


def test_rows_say_where_they_come_from(small: RawData) -> None:
    """Split, row and label lead back to the image; its hash is that of its pixels."""
    rows = summarise(small).to_pylist()
    n_train, n_test = len(small.train_images), len(small.test_images)
    assert [row["split"] for row in rows] == ["train"] * n_train + ["test"] * n_test
    assert [row["row"] for row in rows] == [*range(n_train), *range(n_test)]
    assert [row["label"] for row in rows] == [*small.train_labels, *small.test_labels]
    assert rows[n_train]["sha256"] == hashlib.sha256(small.test_images[0].tobytes()).digest()


def test_the_reference_counts_classes_copies_and_leaks(small: RawData) -> None:
    """Counts per class, images that occur twice, test images that are in train, and the moments of all pixels."""
    measured = reference(small, 6)
    assert measured.train_counts == tuple(int((small.train_labels == label).sum()) for label in range(6))
    assert measured.test_counts[4:] == (0, 0)
    assert (measured.train_duplicates, measured.test_duplicates, measured.shared) == (2, 0, 1)
    pixels = small.train_images / 255
    assert measured.train_mean == pytest.approx(pixels.mean(), rel=1e-8)
    assert measured.train_std == pytest.approx(pixels.std(), rel=1e-8)
    mean, low, high = measured.train_bands["mean"]
    means = pixels.mean(axis=(1, 2))
    assert mean == pytest.approx(means.mean(), rel=1e-8)
    assert ((means < low) | (means > high)).mean() < 0.003


def test_the_reference_does_not_depend_on_the_order(small: RawData) -> None:
    """Shuffled images have the same statistics to the last digit, and they survive JSON."""
    order = np.random.default_rng(1).permutation(len(small.train_images))
    shuffled = replace(small, train_images=small.train_images[order], train_labels=small.train_labels[order])
    measured = reference(small, 4)
    assert reference(shuffled, 4) == measured
    assert json.loads(json.dumps(asdict(measured)))["train_mean"] == measured.train_mean


def test_hashes_see_the_pixels_only() -> None:
    """Equal pixels have equal hashes, however the array lies in memory."""
    images = np.random.default_rng(0).integers(0, 256, (9, 4, 4), np.uint8)
    strided = np.asfortranarray(images)
    hashes = image_hashes(images)
    assert hashes.tolist() == [hashlib.sha256(image.tobytes()).hexdigest() for image in images]
    assert image_hashes(strided).tolist() == hashes.tolist()
    every_second = images.reshape(9, 1, 16)[:, :, ::2]
    assert image_hashes(every_second).tolist() == image_hashes(every_second.copy()).tolist()


def test_large_images_are_summed_exactly() -> None:
    """Sums of a large white image do not lose digits."""
    images = np.full((1, 1100, 900), 255, np.uint8)
    table = summarise(RawData(images, np.zeros(1, int), images, np.zeros(1, int)))
    row = table.to_pylist()[0]
    assert (row["mean"], row["std"], row["border_ink"]) == (1.0, 0.0, 1.0)
    assert (row["centre_x"], row["centre_y"]) == (449.5, 549.5)


@pytest.mark.parametrize("name", ["mnist-sample", "mnist", "fashion-mnist"])
def test_the_pinned_reference_is_that_of_the_genuine_images(
    store: Store, name: str, request: pytest.FixtureRequest
) -> None:
    """Measuring once more gives what the catalogue says, to the last digit."""
    row = DATASETS[name]
    mirrors = () if name == "mnist-sample" else (str(request.getfixturevalue("mirror")),)
    table = summarise(read_raw(store, row, download(store, row, mirrors)))
    assert table.num_rows == row.n_train + row.n_test
    assert reference_of(table, row.n_classes) == row.reference
