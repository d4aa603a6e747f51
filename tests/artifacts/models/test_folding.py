"""Batch norm: trained as Keras trains it, and gone from what is kept."""

from typing import Any

import numpy as np
import pytest

from artifacts.recipes.recipe import DatasetInfo, Plan, Settings
from tests.artifacts.small import blobs


def net(norm: Any, pool: str = "MaxPooling2D") -> Any:
    """Return a build of Conv - norm - pool - relu - Conv - norm - relu - Dense for images of 12 x 10."""
    from keras import Sequential, layers

    def build(info: DatasetInfo, _settings: Settings) -> Any:
        maps = [layers.Conv2D(4, 3, padding="same"), norm(), getattr(layers, pool)(2), layers.ReLU()]
        maps += [layers.Conv2D(6, 3, padding="same"), norm(), layers.ReLU(), layers.Flatten()]
        shape = (info.height, info.width)
        return Sequential([layers.Input(shape), layers.Reshape((*shape, 1)), *maps, layers.Dense(info.n_classes)])

    return build


def some_weights(model: Any) -> None:
    """Give a model weights of both signs, and positive variances."""
    rng = np.random.default_rng(0)
    for weight in model.weights:
        drawn = rng.normal(0, 1, weight.shape)
        weight.assign(np.abs(drawn) + 0.1 if "variance" in weight.path else drawn)


@pytest.mark.parametrize("members", [1, 3])
def test_a_folded_network_says_the_same(members: int) -> None:
    """Of one net and of several, norms with scales of either sign: the same logits, without any norm."""
    from artifacts.models.folding import folded
    from artifacts.recipes.layers import BatchNorm
    from artifacts.training.ensemble import averaged, side_by_side

    images = blobs(20).images
    model = side_by_side(net(BatchNorm), members)(DatasetInfo(12, 10, 3, 20), {})
    some_weights(model)
    before = averaged(model).predict(images, verbose=0)
    after = averaged(folded(model))
    np.testing.assert_allclose(after.predict(images, verbose=0), before, rtol=1e-4, atol=1e-4)
    assert not any("variance" in weight.path for weight in after.weights)
    assert len(after.weights) == members * 6


def test_without_norms_there_is_nothing_to_fold() -> None:
    """The network stays the one it is."""
    from keras import layers

    from artifacts.models.folding import folded

    model = net(layers.ReLU)(DatasetInfo(12, 10, 3, 20), {})
    assert folded(model) is model


@pytest.mark.parametrize("jit", [False, True], ids=["without XLA", "with XLA"])
def test_batch_norm_is_keras_own(jit: bool) -> None:
    """Three steps from the same weights give the weights and running moments that Keras' own layer gives."""
    from keras import layers

    from artifacts.optimization.feed import Feed
    from artifacts.optimization.loop import Loop
    from artifacts.recipes.layers import BatchNorm

    ends = []
    for norm in (BatchNorm, layers.BatchNormalization):
        model = net(norm, "AveragePooling2D")(
            DatasetInfo(12, 10, 3, 12), {}
        )  # XLA does not take the gradient of the other
        some_weights(model)
        loop = Loop(model, Plan(epochs=1, batch=4, optimizer="sgd", learning_rate=0.01), 12, jit)
        loop.epoch(Feed(blobs(12), 4), (0, 0), 3)
        ends.append(model.get_weights())
    for ours, theirs in zip(*ends, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-4)


def test_a_last_batch_is_normalised_by_real_images() -> None:
    """Five images in batches of four: three of the first stand beside the last one, and nothing is learned from them.

    The running mean of a norm that sees the pixels themselves tells which images it has seen.
    """
    import keras
    from keras import layers

    from artifacts.optimization.augmentation import draw
    from artifacts.optimization.feed import Feed
    from artifacts.optimization.loop import Loop
    from artifacts.recipes.layers import BatchNorm

    plan = Plan(epochs=1, batch=4, optimizer="sgd", learning_rate=1e-9)
    examples = blobs(5)
    shape = examples.images.shape[1:]
    body = [layers.Reshape((*shape, 1)), BatchNorm(momentum=0.0), layers.Flatten(), layers.Dense(3)]
    model = keras.Sequential([layers.Input(shape), *body])
    _, _, count = Loop(model, plan, 5, jit=False).epoch(Feed(examples, 4), (0, 0), 2)
    last = draw(plan, 5, (0, 0, 0)).order[1]
    seen = examples.images[np.where(last < 0, -1 - last, last)]
    assert count == 5
    assert len({image.tobytes() for image in seen}) == 4
    assert float(model.layers[1].moving_mean[0]) == pytest.approx(seen.mean(), rel=1e-5)


@pytest.mark.parametrize("kind", ["no bias", "activation", "no scale", "after a pool", "first", "depthwise", "inside"])
def test_a_norm_that_cannot_be_folded_is_kept(kind: str) -> None:
    """After anything but a linear layer with a bias, or inside a functional network: the same logits."""
    from keras import Input, Model, Sequential, layers

    from artifacts.models.folding import folded

    norm = layers.BatchNormalization(scale=kind != "no scale")
    before = {
        "no bias": [layers.Conv2D(4, 3, use_bias=False)],
        "activation": [layers.Conv2D(4, 3, activation="relu")],
        "after a pool": [layers.Conv2D(4, 3), layers.MaxPooling2D()],
        "first": [],
        "depthwise": [layers.DepthwiseConv2D(3)],
    }.get(kind, [layers.Conv2D(4, 3)])
    start = [layers.Input((12, 10)), layers.Reshape((12, 10, 1))]
    model = Sequential([*start, *before, norm, layers.Flatten(), layers.Dense(3)])
    if kind == "inside":
        images = Input((12, 10))
        block = Sequential([*start, *before, norm, layers.Flatten()])
        model = Model(images, layers.Dense(3)(block(images)))
    some_weights(model)
    kept = folded(model)
    images = blobs(20).images
    np.testing.assert_allclose(np.asarray(kept(images)), np.asarray(model(images)), rtol=1e-4, atol=1e-4)
    assert "batch_normalization" in "".join(weight.path for weight in kept.weights)
