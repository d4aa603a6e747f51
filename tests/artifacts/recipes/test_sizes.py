from dataclasses import replace

import numpy as np
import pytest

from artifacts.models.calibration import temperature
from artifacts.recipes import sizes
from artifacts.recipes.candidate import Candidate
from artifacts.recipes.catalogue import DEFAULT_CANDIDATES, recipes
from artifacts.recipes.checks import checked_build, checked_plan
from artifacts.recipes.recipe import DatasetInfo
from artifacts.training.fit import fit
from data.dataset import RawData
from data.prepared.splits import validation_mask
from tests import real_data
from tests.artifacts.small import Images
from tests.real_data import geometry_of, hashes_of

MEGABYTES = 20
CONV = [name for name, recipe in recipes().items() if recipe.family == "conv"]


def about(height: int, width: int, channels: int = 1, n_train: int = 60_000) -> DatasetInfo:
    """A dataset of ten classes on black."""
    return DatasetInfo(height, width, 10, n_train, channels=channels, ground=(0.0,) * channels)


def plan_of(text: str, info: DatasetInfo) -> tuple[int, int]:
    """Epochs and batch of a candidate."""
    candidate = Candidate.parse(text)
    plan = checked_plan(candidate.definition, info, candidate.resolved())
    return plan.epochs, plan.batch


@pytest.mark.parametrize(
    ("side", "stride", "pools"), [(8, 1, 1), (16, 1, 1), (28, 1, 2), (32, 1, 2), (64, 1, 3), (96, 2, 3), (224, 4, 3)]
)
def test_networks_follow_the_size(side: int, stride: int, pools: int) -> None:
    """Large images are reduced at the entrance, and pooled until the last map is small; MNIST's size is as it was."""
    assert (sizes.stride(about(side, side)), sizes.pools(about(side, side))) == (stride, pools)


@pytest.mark.parametrize(("name", "weights"), [("cnn", 437_882), ("cnn-small", 84_890), ("vgg", 426_890)])
def test_the_networks_for_mnist_are_as_they_were(name: str, weights: int) -> None:
    """The rules for other sizes leave the networks whose accuracy is claimed alone."""
    recipe = recipes()[name]
    model = checked_build(recipe)(about(28, 28), recipe.resolve({}))
    assert sum(int(np.prod(weight.shape)) for weight in model.trainable_weights) == weights


@pytest.mark.parametrize("name", [name for name in DEFAULT_CANDIDATES if name != "softmax-regression"] + ["vgg"])
@pytest.mark.parametrize("shape", [(8, 8, 1), (32, 32, 3), (96, 96, 3), (224, 224, 1), (1024, 32, 3)])
def test_models_of_large_images_stay_small(name: str, shape: tuple[int, int, int]) -> None:
    """Grey or coloured, 8 or 1024 pixels high: at most 20 MB of weights, and float32 logits come out."""
    recipe, info = recipes()[name], about(*shape)
    model = checked_build(recipe)(info, recipe.resolve({}))
    assert 4 * model.count_params() < MEGABYTES << 20
    assert np.asarray(model(np.zeros((2, *info.shape), np.float32))).shape == (2, 10)


def test_few_images_are_trained_on_for_longer() -> None:
    """Smaller batches and more epochs make up for few images; MNIST is trained as its claim says."""
    assert plan_of("cnn", about(28, 28, n_train=55_000)) == (4, 256)
    assert plan_of("mlp", about(28, 28, n_train=55_000)) == (20, 128)
    epochs, batch = plan_of("cnn", about(8, 8, n_train=1_317))
    assert batch == 32
    assert epochs * -(-1_317 // batch) >= 600
    assert plan_of("cnn", about(8, 8, n_train=5))[1] == 16


def test_few_images_have_more_weight_decay() -> None:
    """Where `least_steps` counts, and only there; more than that is taken as it is, and 0 switches it off."""

    def decay(text: str, n_train: int) -> float:
        candidate, info = Candidate.parse(text), about(8, 8, n_train=n_train)
        return checked_plan(candidate.definition, info, candidate.resolved()).weight_decay

    assert decay("cnn", 1_317) == 0.5
    assert decay("cnn", 55_000) == decay("cnn:epochs=5", 1_317) == decay("cnn:weight_decay_if_few=0", 1_317) == 0.0
    assert decay("cnn:weight_decay=0.7", 1_317) == 0.7


def test_who_says_how_long_is_obeyed() -> None:
    """Epochs or a batch that are given are taken as they are, and so is a number of steps."""
    few = about(8, 8, n_train=1_317)
    assert plan_of("cnn:epochs=3", few) == (3, 256)
    assert plan_of("cnn:batch=64", few) == (4, 64)
    assert plan_of("cnn:least_steps=0", few) == (4, 256)
    assert plan_of("cnn:epochs=3,least_steps=100", few)[0] == 3


@pytest.mark.parametrize(
    ("side", "channels", "batch"), [(28, 1, 256), (64, 3, 256), (96, 3, 256), (224, 1, 128), (224, 3, 32)]
)
def test_batches_of_large_images_are_smaller(side: int, channels: int, batch: int) -> None:
    """At most 32 MB of pixels, so that a step fits into memory; whoever gives another batch gets it."""
    info = about(side, side, channels)
    assert plan_of("cnn", info) == (4, batch)
    assert plan_of("cnn:batch=512", info) == (4, 512)


def test_members_and_filters_share_the_bound() -> None:
    """Nets that are trained side by side have maps of their own, wide ones larger maps."""
    assert plan_of("vgg", about(28, 28)) == (48, 256)
    assert plan_of("vgg", about(64, 64, 3)) == (48, 128)
    assert plan_of("cnn:members=4", about(64, 64, 3)) == (4, 128)
    assert plan_of("cnn:width=64", about(64, 64, 3)) == (4, 128)
    assert plan_of("cnn:width=64", about(28, 28)) == (4, 256)


def test_few_images_are_measured_at_once_if_they_are_large() -> None:
    """A thousand up to 32 x 32, then fewer; at least one."""
    shapes = ((28, 28), (32, 32, 3), (64, 64, 3), (224, 224, 3), (4000, 3000))
    assert [sizes.at_once(shape) for shape in shapes] == [1000, 1000, 256, 20, 1]


def test_a_ground_becomes_zero() -> None:
    """A network sees how far pixels are from the ground, whatever its colour."""
    import keras

    info = replace(about(8, 8, 3), ground=(1.0, 0.5, 0.25))
    model = keras.Sequential(sizes.entrance(info))
    image = np.broadcast_to(np.array(info.ground, np.float32), (1, 8, 8, 3))
    np.testing.assert_allclose(np.asarray(model(image)), 0, atol=1e-6)


def trained(raw: RawData, text: str) -> tuple[tuple[float, float], float]:
    """Validation accuracy with minus the log loss, and test accuracy, of a candidate trained as a night would."""
    held_out = validation_mask(raw.train_labels, hashes_of(raw.train_images))
    parts = [Images(raw.train_images[rows] / np.float32(255), raw.train_labels[rows]) for rows in (~held_out, held_out)]
    from artifacts.optimization.feed import dataset_info

    info = dataset_info(parts[0], geometry_of(raw), int(raw.train_labels.max()) + 1)
    model = fit(*parts, info, Candidate.parse(text)).model
    logits = model.predict(parts[1].images, verbose=0)
    sure = softmax(logits, temperature(logits, parts[1].labels))[np.arange(len(logits)), parts[1].labels]
    ranks = float((logits.argmax(axis=1) == parts[1].labels).mean()), float(np.log(sure).mean())
    found = model.predict(raw.test_images / np.float32(255), batch_size=100, verbose=0)
    return ranks, float((found.argmax(axis=1) == raw.test_labels).mean())


def softmax(logits: np.ndarray, temperature: float) -> np.ndarray:
    """Probabilities (n, c)."""
    powers = np.exp((logits - logits.max(axis=1, keepdims=True)) / temperature)
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


@pytest.mark.slow
@pytest.mark.parametrize("dataset", ["digits", "textures", "photographs"])
def test_the_default_candidates_are_as_good_as_plain_models(dataset: str) -> None:
    """On small real images the one that validation chooses gets what SVC, tuned or not, and a random forest do."""
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.svm import SVC

    raw: RawData = getattr(real_data, dataset)()
    flat, tests = (images.reshape(len(images), -1) / 255 for images in (raw.train_images, raw.test_images))
    plain = [SVC(), SVC(C=10), RandomForestClassifier(random_state=0)]
    best = max(one.fit(flat, raw.train_labels).score(tests, raw.test_labels) for one in plain)
    assert max(trained(raw, name) for name in DEFAULT_CANDIDATES)[1] >= best
