"""What happened to the whole set overnight: removed, relabelled, renumbered, replaced."""

import numpy as np
import pyarrow as pa
import pytest

from data.drift.night import night
from tests.data.drift.made import Made, snapshot, with_labels


@pytest.fixture(scope="module")
def made() -> Made:
    """1,200 known and 200 new images in four classes."""
    return Made()


def test_rows_are_matched_by_hash_in_any_order(made: Made) -> None:
    """Each known image is found whatever its row; what is new and what is gone is listed."""
    old, new = made.old, made.new
    mixed = new.take(np.random.default_rng(0).permutation(len(new))).slice(0, 1300)
    found = night(pa.concat_tables([old.slice(0, 500), old.slice(500)]), mixed, made.names, made.names)
    hashes = [old["sha256"].to_pylist(), mixed["sha256"].to_pylist()]
    assert [hashes[0][row] for row in found.kept_old] == [hashes[1][row] for row in found.kept]
    assert {hashes[1][row] for row in found.added} == set(hashes[1]) - set(hashes[0])
    assert {hashes[0][row] for row in found.removed} == set(hashes[0]) - set(hashes[1])


def test_tables_of_a_snapshot_are_read_as_they_are_stored(made: Made) -> None:
    """Texts that repeat are dictionaries, each part of a table with its own."""
    old, new = made.old, made.new
    for name in ("split", "side", "first_seen"):
        old, new = (
            table.set_column(table.schema.get_field_index(name), name, table[name].dictionary_encode())
            for table in (old, new)
        )
    parts = pa.concat_tables([new.slice(0, 700), new.slice(700)])
    plain, stored = made.measured(), made.measured(old, parts)
    assert stored == plain


def test_growth_is_sound(made: Made) -> None:
    """200 more images of the same kind are not worth a word, nor is the same snapshot again."""
    assert made.found() == {}
    assert made.found(new=made.old) == {}


def test_a_few_corrections_and_removals_are_sound(made: Made) -> None:
    """Nine other labels and nine removed images are daily work."""
    labels = made.new["label"].to_numpy().copy()
    labels[:9] = (labels[:9] + 1) % 4
    assert made.found(new=with_labels(made.new, labels).slice(0, len(made.new) - 9)) == {}


def test_a_tenth_of_the_labels_permuted_ends_the_night(made: Made) -> None:
    """The share of labels drawn anew is estimated, and the sentence has the counts."""
    labels = made.new["label"].to_numpy().copy()
    some = np.random.default_rng(0).choice(made.n_old, made.n_old // 10, replace=False)
    labels[some] = np.random.default_rng(1).permutation(labels[some])
    found = made.found(new=with_labels(made.new, labels))["labels changed"]
    changed = int((labels != made.labels).sum())
    assert found.ends_night()
    assert 0.07 < found.effect < 0.13
    assert f"{changed} of 1,200" in found.sentence


def test_a_tenth_permuted_shows_in_two_classes_of_very_different_size() -> None:
    """The measure corrects for labels that stay the same by chance."""
    made = Made(known=4000, n_classes=2)
    labels = np.where(np.arange(len(made.images)) % 20 == 0, 1, 0)
    old, new = snapshot(made.images[: made.n_old], labels[: made.n_old]), snapshot(made.images, labels)
    some = np.random.default_rng(0).choice(made.n_old, made.n_old // 10, replace=False)
    mixed = labels.copy()
    mixed[some] = np.random.default_rng(1).permutation(labels[some])
    assert made.found(old, with_labels(new, mixed))["labels changed"].ends_night()


def test_half_of_the_test_set_gone_ends_the_night(made: Made) -> None:
    """The rest of the dataset is as before."""
    side = np.array(made.new["side"].to_pylist())
    tests = np.flatnonzero(side == "test")
    kept = np.setdiff1d(np.arange(len(side)), tests[::2])
    found = made.found(new=made.new.take(kept))
    assert [rule for rule, one in found.items() if one.ends_night()] == ["test images gone"]
    assert "test images of the last snapshot are gone" in found["test images gone"].sentence


def test_all_images_replaced_ends_the_night(made: Made) -> None:
    """Another camera for all images: everything is removed and added anew."""
    found = made.found(new=snapshot(made.images // 2 + 60, made.labels))
    assert {rule for rule, one in found.items() if one.ends_night()} == {
        "train images gone",
        "validation images gone",
        "test images gone",
    }


def test_a_class_gone_is_named(made: Made) -> None:
    """Its images are removed, or bear other labels."""
    gone = np.flatnonzero(made.labels != 2)
    found = made.found(new=made.new.take(gone))["classes shrunk"]
    assert found.ends_night()
    assert "c2" in found.sentence
    merged = made.found(new=with_labels(made.new, np.where(made.labels == 2, 0, made.labels)))
    assert merged["classes shrunk"].ends_night()
    assert "c2 is now c0" in merged["classes renumbered"].sentence


@pytest.mark.parametrize("goal", [(1, 0, 2, 3), (1, 2, 3, 0)], ids=["two swapped", "all renumbered"])
def test_swapped_and_renumbered_classes_end_the_night(made: Made, goal: tuple[int, ...]) -> None:
    """Each move is named with its count."""
    found = made.found(new=with_labels(made.new, np.array(goal)[made.labels]))["classes renumbered"]
    assert found.ends_night()
    assert "c0 is now c1 (" in found.sentence


def test_names_in_another_order_end_the_night_and_a_new_class_does_not(made: Made) -> None:
    """A name that is spelled differently is worth a word."""
    swapped = made.found(new_names=("c1", "c0", "c2", "c3"))["class names"]
    assert swapped.ends_night()
    assert "label 0 was c0, is c1" in swapped.sentence
    assert made.found(new_names=(*made.names, "c4")) == {}
    renamed = made.found(new_names=("c0", "c1", "c2", "cat"))["class names"]
    assert not renamed.ends_night("stop")
    assert made.found(new_names=made.names[:3])["class names"].ends_night()


def test_an_image_that_changed_its_split_ends_the_night(made: Made) -> None:
    """One is enough: a model may have learned it by heart."""
    side = np.array(made.new["side"].to_pylist())
    side[np.flatnonzero(side == "test")[0]] = "train"
    moved = made.new.set_column(made.new.schema.get_field_index("side"), "side", pa.array(side))
    assert made.found(new=moved)["images moved between splits"].ends_night()


def test_copies_across_splits_are_worth_a_word_and_never_end_a_night(made: Made) -> None:
    """The snapshot left them out."""
    assert made.found(counts={"on_both_sides": 1}) == {}
    found = made.found(counts={"on_both_sides": 12})["exact copies across splits"]
    assert not found.ends_night("stop")
    assert "12 images" in found.sentence


def test_many_images_of_one_class_shift_the_class_shares_of_all(made: Made) -> None:
    """A tenth of all images moved from one class to another is a shift, not an accident."""
    extra = Made(known=1200, new=800)
    kept = np.flatnonzero((np.arange(2000) < 1200) | (extra.labels == 1))
    found = extra.found(new=extra.new.take(kept))
    assert set(found) == {"class shares of all images"}
    assert not found["class shares of all images"].ends_night()
    assert found["class shares of all images"].ends_night("stop")


def test_empty_and_tiny_snapshots_are_measured() -> None:
    """Nothing is divided by zero."""
    made = Made(known=8, new=3)
    assert made.found() == {}
    assert made.found(old=made.old.slice(0, 0)) == {}
    assert made.found(new=made.new.slice(0, 0), old=made.old.slice(0, 0)) == {}
