"""Trainings that begin with the champion's weights."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from artifacts.models import bundle
from artifacts.models.saving import save
from artifacts.models.warm_start import Parent, Start, begin, read, shorter
from artifacts.recipes.candidate import Candidate
from artifacts.recipes.recipe import Plan
from artifacts.training.fit import Fitted, fit
from artifacts.training.train import train
from data.dataset import Geometry
from data.home.store import Store
from data.values import digest_of
from tests.artifacts.small import Images, blobs, info, prepare

pytestmark = pytest.mark.slow

CNN = "cnn:width=4,least_steps=20"
MLP = "mlp:hidden=16,least_steps=20"
CLASSES = ("a", "b", "c")


def published(store: Store, fitted: Fitted, class_names: tuple[str, ...] = CLASSES) -> Parent:
    """The folder of a version, as far as a warm start reads it."""
    folder = store.trained(digest_of([fitted.seconds, class_names]))
    with store.publish(folder) as draft:
        save(fitted.model, draft.path / bundle.MODEL)
        bundle.write_interface(draft.path, Geometry(12, 10), class_names)
    return Parent("blobs/1", "w", folder)


def started(
    store: Store, text: str, now: str | None = None, classes: tuple[str, ...] = CLASSES
) -> tuple[Fitted, Fitted]:
    """A trained candidate, and one that begins with its weights and learns nothing, at a rate of nearly zero."""
    images = blobs(200)
    before = fit(images, images, info(images), Candidate.parse(text))
    start = read(store, published(store, before), classes)
    again = Candidate.parse(f"{now or text},warm_start=champion,learning_rate=0.000001,epochs=1", seed=1)
    return before, fit(images, images, info(images, len(classes)), again, start=start)


@pytest.mark.parametrize("text", [MLP, CNN, f"{CNN},members=2", "cnn-small:shift=0", "vgg:width=4,cutout=0,shift=0"])
def test_a_warm_start_answers_as_the_champion(store: Store, text: str) -> None:
    """Folded norms, members and flips included: what has hardly learned anything yet gives the champion's logits."""
    before, after = started(store, text)
    assert after.misfit == ""
    images = blobs(50, seed=1).images
    logits = [np.asarray(one.model(images)) for one in (before, after)]
    assert np.abs(logits[0] - logits[1]).max() < 0.1 * np.abs(logits[0]).max()
    assert (logits[0].argmax(axis=1) == logits[1].argmax(axis=1)).mean() > 0.95


def test_a_new_class_adds_a_unit(store: Store) -> None:
    """Classes are known by name: those of the champion keep their logits wherever they stand; a new one starts new."""
    before, after = started(store, MLP, classes=("new", "c", "a", "b"))
    assert after.misfit == ""
    images = blobs(50, seed=1).images
    then, now = (np.asarray(one.model(images)) for one in (before, after))
    np.testing.assert_allclose(now[:, [2, 3, 1]], then, atol=0.05)


@pytest.mark.parametrize(
    ("text", "now", "misfit"),
    [
        (MLP, CNN, "it has Dense 120 x 16 where Conv2D 3 x 3 x 1 x 4 is needed"),
        (MLP, "mlp:hidden=32,least_steps=20", "it has Dense 120 x 16 where Dense 120 x 32 is needed"),
        (f"{CNN},members=2", CNN, "it has 4 more layers"),
        (CNN, f"{CNN},members=2", "it has nothing where Conv2D 3 x 3 x 1 x 4 is needed"),
    ],
)
def test_what_does_not_fit_is_a_cold_start(store: Store, text: str, now: str, misfit: str) -> None:
    """Another recipe, width or number of members: a note says which layer, the weights are new."""
    _, after = started(store, text, now)
    assert after.misfit == misfit
    images = blobs(200)
    cold = fit(images, images, info(images), Candidate.parse(f"{now},learning_rate=0.000001,epochs=1", seed=1))
    for one, other in zip(cold.model.get_weights(), after.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_warm_start_is_shorter_and_slower_unless_told_otherwise() -> None:
    """Half of the epochs, rounded up, and a quarter of the rate; what differs from the defaults is kept."""
    plan = Plan(epochs=5, batch=8, optimizer="adam", learning_rate=0.1)
    assert shorter(plan, Candidate.parse("cnn")) == replace(plan, epochs=3, learning_rate=0.025)
    assert shorter(plan, Candidate.parse("cnn:epochs=5")) == replace(plan, learning_rate=0.025)
    assert shorter(plan, Candidate.parse("cnn:learning_rate=0.1")) == replace(plan, epochs=3)
    recorded = tuple(Candidate.parse("cnn").resolved().items())  # as it is replayed
    assert shorter(plan, Candidate("cnn", recorded)) == replace(plan, epochs=3, learning_rate=0.025)


def test_the_record_says_where_the_weights_came_from(store: Store, tmp_path: Path) -> None:
    """From prepared data: the parent by name and digest, or why it was a cold start; the same again, bit by bit."""
    prepared = prepare(store)
    images = Images(np.zeros((30, 28, 28), np.float32), np.arange(30) % 10)
    champion = fit(images, images, info(images, 10), Candidate.parse("mlp:epochs=1,hidden=8"))
    parent = published(store, champion, tuple("0123456789"))
    warm = Candidate.parse("mlp:epochs=1,hidden=8,warm_start=champion")
    found = []
    for name, candidate, given in (
        ("warm", warm, parent),
        ("again", warm, parent),
        ("first", warm, None),
        ("cold", Candidate.parse("mlp:epochs=1,hidden=8"), parent),
        ("other", Candidate.parse("mlp:epochs=1,hidden=9,warm_start=champion"), parent),
    ):
        (tmp_path / name).mkdir()
        train(store, prepared, candidate, tmp_path / name, parent=given)
        found.append(json.loads((tmp_path / name / "training.json").read_bytes()))
    of_warm, again, first, cold, other = found
    assert (of_warm["parent"], of_warm["parent_weights"]) == ("blobs/1", "w")
    assert of_warm["start"] == "began with the weights of blobs/1"
    assert again["weights_digest"] == of_warm["weights_digest"] != cold["weights_digest"]
    assert first["weights_digest"] == cold["weights_digest"]
    assert (cold["parent"], cold["start"]) == ("", "")
    assert (first["parent"], first["start"]) == ("", "cold start: there is no champion yet")
    assert other["start"].startswith("cold start: blobs/1 does not fit, it has Dense 784 x 8")
    assert other["parent"] == ""


def test_a_file_without_a_network_does_not_fit() -> None:
    """A model that was made in another way is a cold start, too."""
    images = blobs(60)
    warm = Candidate.parse(f"{MLP},warm_start=champion,epochs=1")
    assert fit(images, images, info(images), warm, start=Start("x/1", None, (0, 1, 2))).misfit == (
        "its file has no network"
    )


def test_networks_inside_a_network_are_copied_whole() -> None:
    """A part of a recipe's own network that is itself one: all units of its last layer, which are not classes."""
    import keras
    from keras import layers

    def build(n_classes: int) -> keras.Model:
        inside = keras.Sequential([layers.Input((12, 10)), layers.Flatten(), layers.Dense(7)])
        empty = keras.Sequential([layers.Input((7,)), layers.ReLU()])
        images = keras.Input((12, 10))
        return keras.Model(images, layers.Dense(n_classes)(empty(inside(images))))

    before, model = build(3), build(4)
    assert begin(model, lambda: build(4), Start("x/1", before, (0, 1, 2, None)), blobs(9).images) == ""
    then, now = (np.asarray(one(blobs(9).images)) for one in (before, model))
    np.testing.assert_allclose(now[:, :3], then, atol=1e-5)
