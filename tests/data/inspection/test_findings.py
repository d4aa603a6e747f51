"""What is wrong with brought data is said in a sentence with counts, and what is sound is left alone."""

import gzip
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from data.builtin import DATASETS
from data.dataset import Dataset, RawData
from data.inspection.findings import Finding, findings
from data.sources.idx import read_idx
from data.statistics.summary import summarise
from tests.data.sound import GROUNDS, KINDS, sound

HARMLESS = {"few images", "imbalance"}  # said of small and of skewed data, which is sound


def row_of(raw: RawData, class_names: tuple[str, ...] = (), ground: tuple[int, ...] = (0,)) -> Dataset:
    """Return a row of a user's dataset with these images."""
    n_classes = int(max(raw.train_labels.max(), raw.test_labels.max())) + 1
    files = {role: replace(file, raw_sha256=f"of {role}") for role, file in DATASETS["mnist"].files.items()}
    return replace(
        DATASETS["mnist"],
        name="mine",
        files=files,
        height=raw.train_images.shape[1],
        width=raw.train_images.shape[2],
        channels=3 if raw.train_images.ndim == 4 else 1,
        ground=ground,
        n_train=len(raw.train_images),
        n_test=len(raw.test_images),
        class_names=class_names or tuple(str(label) for label in range(n_classes)),
        reference=None,
    )


def found(raw: RawData, class_names: tuple[str, ...] = (), ground: tuple[int, ...] = (0,)) -> dict[str, Finding]:
    """Return the findings by rule."""
    return {one.rule: one for one in findings(row_of(raw, class_names, ground), raw, summarise(raw, ground))}


def refused(raw: RawData, class_names: tuple[str, ...] = ()) -> set[str]:
    """Return the rules that refuse the data."""
    return {rule for rule, one in found(raw, class_names).items() if one.refuses}


@pytest.fixture(scope="module")
def bars() -> RawData:
    """300 and 100 images of three classes, sound."""
    return sound("bars", n_train=300, n_test=100, n_classes=3, seed=0)


@pytest.fixture(scope="module")
def digits() -> RawData:
    """scikit-learn's digits, 8 × 8: 1,437 and 360 images."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    images, labels = (images * 255 / 16).astype(np.uint8).reshape(-1, 8, 8), labels.astype(np.int64)
    return RawData(images[:1437], labels[:1437], images[1437:], labels[1437:])


def official(mirror: Path, name: str) -> RawData:
    """Return the official images of a built-in dataset."""
    names = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
    arrays = [read_idx(gzip.decompress((mirror / name / f"{one}-ubyte.gz").read_bytes()), one) for one in names]
    return RawData(arrays[0], arrays[1].astype(np.int64), arrays[2], arrays[3].astype(np.int64))


# -- sound data ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("n_train", "n_test", "n_classes", "imbalance"),
    [(40, 20, 2, False), (300, 100, 3, False), (240, 60, 10, True), (1500, 360, 10, False), (600, 300, 256, False)],
)
def test_nothing_is_wrong_with_sound_data(
    kind: str, n_train: int, n_test: int, n_classes: int, imbalance: bool
) -> None:
    """Noise, textures, colour, few images, 2 or 256 classes, a skew: no rule refuses or complains."""
    for seed in range(2):
        raw = sound(kind, n_train=n_train, n_test=n_test, n_classes=n_classes, seed=seed, imbalance=imbalance)
        assert set(found(raw, ground=GROUNDS.get(kind, (0,)))) <= HARMLESS


def test_nothing_is_wrong_with_the_digits(digits: RawData) -> None:
    """Written by other people in test than in train, and still alike."""
    assert found(digits) == {}


def test_nothing_is_wrong_with_texture_patches() -> None:
    """Classes whose mean images say nothing: brick, grass and gravel, test patches from another part of the photo."""
    skimage = pytest.importorskip("skimage.data")
    rng, photos = np.random.default_rng(0), [skimage.brick(), skimage.grass(), skimage.gravel()]

    def patches(n: int, top: int, bottom: int) -> tuple[np.ndarray, np.ndarray]:
        labels = np.arange(n) % 3
        corners = zip(labels, rng.integers(top, bottom - 48, n), rng.integers(0, 512 - 48, n), strict=True)
        return np.stack([photos[label][y : y + 48, x : x + 48] for label, y, x in corners]), labels

    raw = RawData(*patches(900, 0, 340), *patches(300, 340, 512))
    assert not refused(raw)
    assert not {"splits differ", "sharpness", "shared images"} & set(found(raw))
    turned = replace(raw, test_images=raw.test_images.swapaxes(1, 2))
    assert refused(turned) == {"orientation"}  # brick has lines across


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_nothing_is_wrong_with_the_official_images(name: str, mirror: Path) -> None:
    """Under their own name nothing at all is said of them."""
    raw = official(mirror, name)
    assert findings(DATASETS[name], raw, summarise(raw)) == ()


# -- copies -------------------------------------------------------------------------------------------------------


def test_a_test_set_that_was_trained_on_is_refused(bars: RawData) -> None:
    """The sentence counts the images and names rows."""
    leaky = replace(bars, test_images=bars.train_images[:100], test_labels=bars.train_labels[:100])
    one = found(leaky)["shared images"]
    assert one.refuses
    assert one.sentence.startswith("100 of 100 (100.00%) test images are training images, too: test rows 0, 1, 2")
    assert "learned by heart" in one.remedy


def test_a_few_shared_images_are_said_and_one_in_a_thousand_is_allowed() -> None:
    """The limit is a share, but a single image never refuses a small set."""
    raw = sound("noise", n_train=3000, n_test=2000, n_classes=2, seed=0)
    for shared, refuses in ((1, False), (2, False), (3, True)):
        images = raw.test_images.copy()
        images[:shared] = raw.train_images[:shared]
        assert found(replace(raw, test_images=images))["shared images"].refuses is refuses
    small = sound("noise", n_train=50, n_test=30, n_classes=2, seed=0)
    images = small.test_images.copy()
    images[0] = small.train_images[0]
    assert not found(replace(small, test_images=images))["shared images"].refuses


def test_one_file_under_both_names_is_refused_as_that(bars: RawData) -> None:
    """What explains everything else comes first."""
    same = replace(bars, test_images=bars.train_images, test_labels=bars.train_labels)
    row = row_of(same)
    row = replace(row, files={**row.files, "test_images": row.files["train_images"]})
    first, *others = findings(row, same, summarise(same))
    assert (first.rule, first.refuses) == ("equal files", True)
    assert "shared images" in {one.rule for one in others}


def test_repeated_images_are_said_and_refused_when_they_are_most(bars: RawData) -> None:
    """Oversampling a rare class is common; a split that is mostly copies is a mistake."""
    images, labels = bars.train_images.copy(), bars.train_labels.copy()
    images[200:230], labels[200:230] = images[0], labels[0]
    one = found(replace(bars, train_images=images, train_labels=labels))["repeated train images"]
    assert not one.refuses
    assert one.sentence.startswith("31 of 300 (10.33%) training images occur more than once")
    images[100:], labels[100:] = images[0], labels[0]
    assert "repeated train images" in refused(replace(bars, train_images=images, train_labels=labels))


def test_one_image_under_two_labels_is_found_across_splits(bars: RawData) -> None:
    """Both places are named."""
    images = bars.train_images.copy()
    images[1] = bars.test_images[0]
    one = found(replace(bars, train_images=images))["two labels"]
    assert "train row 1; test row 0" in one.sentence
    images[[2, 4, 6, 8]] = images[[0, 3, 7, 10]]
    assert "two labels" in refused(replace(bars, train_images=images))


# -- the splits as witnesses --------------------------------------------------------------------------------------

TURNED = {
    "transposed": lambda images: images.swapaxes(1, 2),
    "mirrored left to right": lambda images: images[:, :, ::-1],
    "upside down": lambda images: images[:, ::-1],
    "turned by 90": lambda images: np.rot90(images, 1, axes=(1, 2)),
    "turned by 180": lambda images: images[:, ::-1, ::-1],
    "turned by 270": lambda images: np.rot90(images, 3, axes=(1, 2)),
}


@pytest.mark.parametrize("turn", TURNED)
@pytest.mark.parametrize("split", ["train", "test"])
def test_a_turned_split_is_recognised_as_that(digits: RawData, turn: str, split: str) -> None:
    """EMNIST's fault in one split only, and its neighbours; which turn it was is said."""
    images = TURNED[turn](getattr(digits, f"{split}_images"))
    one = found(replace(digits, **{f"{split}_images": images}))["orientation"]
    assert one.refuses
    other = {"turned by 90": "turned by 270", "turned by 270": "turned by 90"}.get(turn, turn)
    assert (turn if split == "test" else other) in one.sentence


def test_both_splits_turned_are_left_to_the_contact_sheet(digits: RawData) -> None:
    """Nothing in the data says which way is up."""
    turned = RawData(
        digits.train_images.swapaxes(1, 2), digits.train_labels, digits.test_images.swapaxes(1, 2), digits.test_labels
    )
    assert found(turned) == {}


def test_an_inverted_split_is_refused(digits: RawData) -> None:
    """By its brightness, and because bright and dark are exchanged in every class."""
    inverted = replace(digits, test_images=255 - digits.test_images)
    assert {"polarity", "splits apart"} <= refused(inverted)


def test_a_split_in_0_to_1_is_refused_with_a_guess(digits: RawData) -> None:
    """Training images in 0..255 beside test images in 0..1, and the reverse."""
    for split in ("train", "test"):
        images = getattr(digits, f"{split}_images") // 255
        one = found(replace(digits, **{f"{split}_images": images}))["splits apart"]
        assert one.refuses
        assert "is one split in 0..1?" in one.sentence


def test_both_splits_in_0_to_1_are_said(digits: RawData) -> None:
    """No pixel above 1: the images are almost black to any model."""
    dark = RawData(
        (digits.train_images > 99).astype(np.uint8),
        digits.train_labels,
        (digits.test_images > 99).astype(np.uint8),
        digits.test_labels,
    )
    assert "no pixel is brighter than 1" in found(dark)["value range"].sentence


@pytest.mark.slow
@pytest.mark.parametrize("how", ["blurred", "halved in size and back", "cropped", "dimmed", "shifted"])
def test_a_split_that_was_prepared_otherwise_is_said(how: str, mirror: Path) -> None:
    """Resampled, cropped, dimmed or shifted: the sentence says in which statistic it shows."""
    from PIL import Image, ImageFilter

    def change(image: np.ndarray) -> np.ndarray:
        picture, linear = Image.fromarray(image), Image.Resampling.BILINEAR
        changed = {
            "blurred": lambda: picture.filter(ImageFilter.GaussianBlur(1)),
            "halved in size and back": lambda: picture.resize((14, 14), linear).resize((28, 28), linear),
            "cropped": lambda: picture.crop((4, 4, 24, 24)).resize((28, 28), linear),
            "dimmed": lambda: picture.point(lambda value: value // 2),
            "shifted": lambda: picture.transform(picture.size, Image.Transform.AFFINE, (1, 0, 3, 0, 1, 0)),
        }[how]()
        return np.asarray(changed)

    raw = official(mirror, "mnist")
    raw = RawData(raw.train_images[:6000], raw.train_labels[:6000], raw.test_images[:1500], raw.test_labels[:1500])
    assert found(raw) == {}
    changed = found(replace(raw, test_images=np.stack([change(image) for image in raw.test_images])))
    assert {"splits apart", "splits differ"} & set(changed)


def test_swapped_colours_are_said() -> None:
    """Blue, green, red in one split, as OpenCV writes them."""
    raw = sound("colour", n_train=600, n_test=200, n_classes=3, seed=0)
    images = raw.train_images.copy()
    images[..., 2] //= 4
    other = raw.test_images.copy()
    other[..., 2] //= 4
    told = found(RawData(images, raw.train_labels, other[..., ::-1], raw.test_labels), ground=(0, 0, 0))
    assert "less red" in told["splits differ"].sentence
    assert "bluer" in told["splits differ"].sentence
    assert "are red and blue swapped" in told["splits differ"].sentence


# -- labels -------------------------------------------------------------------------------------------------------


def test_labels_from_1_on_ask_for_the_first_label(bars: RawData) -> None:
    """EMNIST's letters: the option is named; a name for the empty class says that it is meant."""
    moved = replace(bars, train_labels=bars.train_labels + 1, test_labels=bars.test_labels + 1)
    one = found(moved)["empty classes"]
    assert one.refuses
    assert one.sentence == "no image has label 0: the 3 classes in use run from 1 to 3"
    assert "--first-label 1" in one.remedy
    named = found(moved, ("N/A", "a", "b", "c"))["empty classes"]
    assert not named.refuses
    assert named.sentence == "1 class has no images: N/A; nothing is measured or demanded there"


def test_a_stray_label_asks_what_it_means(bars: RawData) -> None:
    """One 255 makes 252 classes without images."""
    labels = bars.train_labels.copy()
    labels[5] = 255
    one = found(replace(bars, train_labels=labels))["empty classes"]
    assert one.refuses
    assert one.sentence == "labels in use are 0 to 2, 255; 252 labels below 255 have no image"
    assert "--ignore-labels 255" in one.remedy
    assert "--labels-are-names" in one.remedy


def test_a_class_in_one_split_only_is_said(bars: RawData) -> None:
    """Without training images it is refused; without test images nothing is demanded of it."""
    seen, tested = bars.train_labels != 2, bars.test_labels != 2
    unseen = replace(bars, train_images=bars.train_images[seen], train_labels=bars.train_labels[seen])
    one = found(unseen)["classes without training images"]
    assert one.refuses
    assert "2 (33)" in one.sentence
    untested = replace(bars, test_images=bars.test_images[tested], test_labels=bars.test_labels[tested])
    one = found(untested)["classes without test images"]
    assert not one.refuses
    assert "nothing is measured or demanded" in one.sentence
    assert "--test-share" in one.remedy


def test_a_single_class_is_refused(bars: RawData) -> None:
    """There is nothing to tell apart."""
    alone = replace(bars, train_labels=np.zeros(300, np.int64), test_labels=np.zeros(100, np.int64))
    assert refused(alone, ("a", "b")) == {"one class"}


def test_few_images_and_imbalance_are_said_with_counts() -> None:
    """Different images count, not copies."""
    raw = sound("bars", n_train=300, n_test=60, n_classes=3, seed=0)
    labels = np.where(np.arange(300) < 288, raw.train_labels % 2, 2)
    said = found(replace(raw, train_labels=labels))
    assert "2 (12)" in said["few images"].sentence
    assert said["imbalance"].sentence.startswith("the largest class has 16 times as many training images")


# -- known images -------------------------------------------------------------------------------------------------


def test_built_in_images_under_another_name_are_recognised(bars: RawData) -> None:
    """By the hashes of the files, also when training and test files are swapped."""
    row, known = row_of(bars), DATASETS["fashion-mnist"].files
    row = replace(row, files={**row.files, "train_images": known["train_images"], "test_images": known["train_images"]})
    said = {one.rule: one.sentence for one in findings(row, bars, summarise(bars))}["known images"]
    assert "the training images are Fashion-MNIST's training images" in said
    assert "the test images are Fashion-MNIST's training images, which are built in" in said
