"""What chance explains is tolerated between two splits that a hash has drawn; what it cannot explain is not."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from data.builtin import DATASETS
from data.growth import Growth
from data.statistics.chance import beyond, drawn_by_hash
from data.statistics.facts import Expected, class_moves, expected_of, of_images, pixel_moves, share_moves
from data.statistics.summary import numeric, summarise_images
from tests.data.sound import DRAWS

ROW = replace(DATASETS["mnist-sample"], reference=None, growth=Growth(), files={})


def table_of(images: np.ndarray, labels: np.ndarray, share: float) -> pa.Table:
    """A summary of images of which a share, by hash, are test images: training images first."""
    whole = summarise_images("train", images, labels)
    first = np.array([int.from_bytes(content[:8]) / 2**64 for content in whole["sha256"].to_pylist()])
    parts = []
    for split, mask in (("train", first >= share), ("test", first < share)):
        some = whole.filter(pa.array(mask))
        some = some.set_column(0, "split", pa.array([split] * len(some), pa.string()))
        parts.append(some.set_column(1, "row", pa.array(np.arange(len(some)))))
    return pa.concat_tables(parts).combine_chunks()


def outside(table: pa.Table, expected: Expected) -> float:
    """The largest share of a split's images that lies outside a band."""
    worst = 0.0
    for split, part in of_images(table).items():
        for name in numeric(part):
            _, low, high = getattr(expected.reference, f"{split}_bands")[name]
            values = part[name].to_numpy()
            worst = max(worst, float(((values < low) | (values > high)).mean()))
    return worst


@pytest.mark.parametrize("draw", sorted(DRAWS))
def test_sound_data_of_any_size_is_within_what_is_tolerated(draw: str) -> None:
    """From twenty images to two thousand, in up to ten classes, some of them rare: no night of it is refused."""
    rng = np.random.default_rng(sum(map(ord, draw)))
    for n in (20, 40, 100, 300, 2000):
        for share in (0.1, 0.2, 0.5):
            labels = np.minimum(rng.geometric(0.35, n) - 1, 9) if n % 40 else np.arange(n) % 4
            table = table_of(DRAWS[draw](rng, labels), labels, share)
            if len(set(table["split"].to_pylist())) < 2:
                continue
            expected = expected_of(ROW, table)
            assert share_moves(table, expected, 10) <= expected.tolerance.share
            assert class_moves(table, expected, 10) <= expected.tolerance.shift
            assert pixel_moves(table, expected) <= expected.tolerance.pixels
            assert outside(table, expected) <= expected.tolerance.outside


def test_what_chance_cannot_explain_shows() -> None:
    """Other labels, other pixels, and a class that one split lacks."""
    rng = np.random.default_rng(0)
    labels = np.arange(3000) % 4
    table = table_of(DRAWS["bars"](rng, labels), labels, 0.2)
    expected, train = expected_of(ROW, table), np.array(table["split"].to_pylist()) == "train"
    shuffled = np.where(train, rng.permutation(table["label"].to_numpy()), table["label"].to_numpy())
    assert class_moves(with_column(table, "label", shuffled), expected, 10) > expected.tolerance.shift
    one_class = np.where(train & (table["label"].to_numpy() == 0), 1, table["label"].to_numpy())
    assert share_moves(with_column(table, "label", one_class), expected, 10) > 2 * expected.tolerance.share
    brighter = np.where(train, table["mean"].to_numpy(), table["mean"].to_numpy() + 0.3)
    assert pixel_moves(with_column(table, "mean", brighter), expected) > 2 * expected.tolerance.pixels


def test_a_new_class_of_three_images_is_no_difference() -> None:
    """All of them may be training images: nothing follows from that."""
    rng = np.random.default_rng(0)
    labels = np.concatenate([np.arange(500) % 3, np.full(3, 3)])
    table = table_of(DRAWS["bars"](rng, labels), labels, 0.2)
    expected = expected_of(ROW, table)
    assert share_moves(table, expected, 10) <= expected.tolerance.share


def test_data_that_does_not_grow_is_compared_as_before() -> None:
    """Not a digit of it changes."""
    labels = np.arange(40) % 4
    table = table_of(DRAWS["bars"](np.random.default_rng(0), labels), labels, 0.3)
    expected = expected_of(replace(ROW, growth=None, n_train=30, n_test=10), table)
    assert not expected.tolerance.chance
    assert (expected.reference.train_duplicates, expected.reference.shared) == (30, 10)
    assert expected_of(ROW, table).reference.shared == 0


def test_splits_of_the_source_itself_are_recognised() -> None:
    """Drawn by hash, the test images are those with the smallest; given by the source, they are any."""
    labels = np.arange(200) % 4
    images = DRAWS["bars"](np.random.default_rng(0), labels)
    assert drawn_by_hash(table_of(images, labels, 0.2))
    own = pa.concat_tables(
        [summarise_images("train", images[:150], labels[:150]), summarise_images("test", images[150:], labels[150:])]
    )
    assert not drawn_by_hash(own.combine_chunks())
    assert drawn_by_hash(summarise_images("train", images, labels))


def test_what_is_beyond_chance_keeps_its_sign() -> None:
    """A difference within chance is none."""
    assert beyond(np.array([-3.0, -0.5, 0.5, 3.0]), np.ones(4)).tolist() == [-2.0, 0.0, 0.0, 2.0]


def with_column(table: pa.Table, name: str, values: np.ndarray) -> pa.Table:
    """A table with another column."""
    return table.set_column(table.schema.get_field_index(name), name, pa.array(values))
