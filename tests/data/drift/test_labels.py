"""Labels of new images that do not fit their images are found by a weak classifier."""

import numpy as np
import pytest

from tests.data.drift.made import Made, with_labels


@pytest.fixture(scope="module")
def made() -> Made:
    """1,200 known and 200 new images in four classes."""
    return Made()


def shuffled(made: Made) -> np.ndarray:
    """Return labels of which tonight's are permuted."""
    labels = made.labels.copy()
    labels[made.n_old :] = np.random.default_rng(0).permutation(labels[made.n_old :])
    return labels


@pytest.mark.parametrize("with_pixels", [True, False])
def test_shuffled_new_labels_end_the_night(made: Made, with_pixels: bool) -> None:
    """The sentence says how many fit, and how many would."""
    images = made.images if with_pixels else None
    found = made.found(new=with_labels(made.new, shuffled(made)), images=images)["labels of new images"]
    assert found.ends_night()
    assert found.effect > 0.8
    assert "of 200 new images" in found.sentence


def test_a_night_of_one_class_with_right_labels_is_sound() -> None:
    """Labels fit, although all are the same."""
    made = Made(new=800)
    rows = np.flatnonzero((np.arange(2000) < 1200) | (made.labels == 1))
    assert made.measured(new=made.new.take(rows), images=made.images[rows])["labels of new images"].effect == 0


def test_one_label_for_all_ends_the_night(made: Made) -> None:
    """Whatever share of them is right by chance."""
    labels = made.labels.copy()
    labels[made.n_old :] = 2
    assert made.found(new=with_labels(made.new, labels), images=made.images)["labels of new images"].ends_night()


@pytest.mark.parametrize("new", [19, 40])
def test_some_twenty_images_are_enough(new: int) -> None:
    """Fewer are not judged."""
    made = Made(new=new)
    found = made.measured(new=with_labels(made.new, shuffled(made)), images=made.images)["labels of new images"]
    assert (found.effect > 0) is (new >= 20)


def test_images_that_tell_nothing_of_their_class_are_not_judged() -> None:
    """Noise under any labels is sound."""
    made = Made(kind="noise")
    labels = shuffled(made)
    assert made.measured(new=with_labels(made.new, labels), images=made.images)["labels of new images"].effect == 0


def test_another_camera_is_not_taken_for_wrong_labels(made: Made) -> None:
    """What does not look like known images cannot be judged by them: a shift, which warns."""
    images = made.images.copy()
    images[made.n_old :] = 255 - images[made.n_old :]
    brighter = Made()
    brighter.images = images
    found = brighter.found(old=made.old, new=brighter.new, images=images)
    assert found["labels of new images"].kind == "shift"
    assert not found["labels of new images"].ends_night()


def test_a_new_class_is_left_out(made: Made) -> None:
    """Nothing is known of it."""
    labels = made.labels.copy()
    labels[made.n_old :] = 4
    names = (*made.names, "c4")
    found = made.found(new=with_labels(made.new, labels), images=made.images, new_names=names)
    assert "labels of new images" not in found
