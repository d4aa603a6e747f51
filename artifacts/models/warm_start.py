"""Starting from the champion's weights, for recipes with the parameter `warm_start`: fewer epochs for nearly the same.

What fits is copied: the layers one after the other, and of the last one the units of the classes that both know, by
name. Anything else, such as another recipe or another size of the images, is a cold start with a note. A saved model
has no batch norms where they could be folded; each gets the mean and spread that its input has on some training
images, so that the network computes exactly what the champion does. docs/decisions/0023 has the measurements.
"""

import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from artifacts.models import bundle
from artifacts.models.loading import load_recorded
from artifacts.recipes.candidate import Candidate
from artifacts.recipes.recipe import Plan
from artifacts.recipes.sizes import at_once
from data.home.store import Store

SHARE = 0.5  # of the epochs of a cold start
RATE = 0.25  # of its learning rate: the full rate would undo what the champion knows
SAMPLE = 256  # training images, at most, on which the norms are set


@dataclass(frozen=True)
class Parent:
    """The registered version whose weights a training starts from.

    Args:
        version: its name, as "mnist/3".
        weights_digest: SHA-256 of its weights.
        folder: its published folder.
    """

    version: str
    weights_digest: str
    folder: Path


@dataclass(frozen=True)
class Start:
    """A parent, read.

    Args:
        version: its name.
        network: float32 images in [0, 1] to logits; None if its file has none that is known.
        same_class: for each of tonight's classes, its position among the parent's classes; None where it is new.
    """

    version: str
    network: Any
    same_class: tuple[int | None, ...]


class _Misfit(Exception):
    """Why the weights of the parent cannot be used, as a clause."""


def wanted(candidate: Candidate) -> bool:
    """Return whether a candidate asks for the champion's weights."""
    return candidate.resolved().get("warm_start") == "champion"


def read(store: Store, parent: Parent, class_names: Sequence[str]) -> Start:
    """Load a parent's network, and find tonight's classes in it.

    Args:
        store: the home.
        parent: the version.
        class_names: tonight's classes.

    Raises:
        Corrupt: a file of the version is missing or has changed.
    """
    import keras

    served, known = load_recorded(store, parent.folder), bundle.class_names(parent.folder)
    network = next((layer for layer in served.layers if isinstance(layer, keras.Model)), None)
    positions = {name: position for position, name in enumerate(known)}
    return Start(parent.version, network, tuple(positions.get(name) for name in class_names))


def shorter(plan: Plan, candidate: Candidate) -> Plan:
    """Return the plan of a warm start: fewer epochs and a lower rate, where they are the recipe's defaults."""
    defaults = candidate.definition.parameters
    usual = {name for name, value in candidate.resolved().items() if value == defaults[name].default}
    return replace(
        plan,
        epochs=math.ceil(plan.epochs * SHARE) if "epochs" in usual else plan.epochs,
        learning_rate=plan.learning_rate * RATE if "learning_rate" in usual else plan.learning_rate,
    )


def begin(model: Any, plain: Callable[[], Any], start: Start, images: npt.NDArray[np.float32]) -> str:
    """Put the parent's weights into a network as far as it knows the classes; change nothing if it does not fit.

    Args:
        model: the network to train, just built.
        plain: returns the same network in float32, in which the weights are put together.
        start: the parent.
        images: some training images, float32 (n, h, w) or (n, h, w, 3) in [0, 1].

    Returns:
        Why the parent does not fit, as a clause; empty if it does.
    """
    if start.network is None:
        return "its file has no network"
    copy, donors = plain(), deque(_weighted(start.network))
    try:
        _fill(copy, donors, start, images[: min(SAMPLE, at_once(images.shape[1:]))])
        if donors:
            raise _Misfit(f"it has {len(donors)} more layers")
    except _Misfit as misfit:
        return str(misfit)
    model.set_weights(copy.get_weights())
    return ""


def _weighted(model: Any) -> Iterator[Any]:
    """Yield the layers that have weights, those of networks inside the network included, in their order."""
    for layer in model.layers:
        if hasattr(layer, "layers"):
            yield from _weighted(layer)
        elif layer.weights:
            yield layer


def _fill(network: Any, donors: deque[Any], start: Start, images: Any) -> None:
    """Fill a network, and the networks inside it, from the front of the donors.

    Args:
        network: in float32.
        donors: the parent's layers with weights that are not yet used.
        start: the parent.
        images: what goes into the network.
    """
    import keras

    last: Any = next(reversed([*_weighted(network)]), None)
    for position, layer in enumerate(network.layers):
        if hasattr(layer, "layers"):
            _fill(layer, donors, start, images)
        elif isinstance(network, keras.Sequential) and _folded_away(layer, donors):
            _normalise(layer, _through(network.layers[:position], images))
        elif layer.weights:
            by_class = layer is last and layer.weights[0].shape[-1] == len(start.same_class)
            _copy(layer, donors.popleft() if donors else None, start.same_class if by_class else None)


def _through(layers: Sequence[Any], images: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return what layers, one after the other, make of images."""
    maps: Any = images
    for layer in layers:
        maps = layer(maps)
    return np.asarray(maps)


def _folded_away(layer: Any, donors: deque[Any]) -> bool:
    """Return whether this is a batch norm that the parent's saved model has not."""
    from keras.layers import BatchNormalization

    return isinstance(layer, BatchNormalization) and not (donors and isinstance(donors[0], BatchNormalization))


def _normalise(norm: Any, maps: npt.NDArray[np.float32]) -> None:
    """Give a batch norm the mean and spread of its input, inside and out, so that it changes nothing."""
    mean, variance = (of(maps, axis=tuple(range(maps.ndim - 1)), dtype=np.float64) for of in (np.mean, np.var))
    scale = np.sqrt(variance + norm.epsilon)
    values = {"gamma": scale, "beta": mean, "moving_mean": mean, "moving_variance": variance}
    norm.set_weights([values[weight.name].astype(np.float32) for weight in norm.weights])


def _copy(layer: Any, donor: Any, same_class: tuple[int | None, ...] | None) -> None:
    """Copy the weights of one layer; of the last layer, those of the classes that both know.

    Raises:
        _Misfit: the donor is of another kind or shape.
    """
    then = [] if donor is None else [weight.numpy() for weight in donor.weights]
    now = [weight.numpy() for weight in layer.weights]
    end = None if same_class is None else -1  # of a shape: the classes may be more, or fewer
    if type(layer) is not type(donor) or [one.shape[:end] for one in now] != [one.shape[:end] for one in then]:
        raise _Misfit(f"it has {_described(donor)} where {_described(layer)} is needed")
    layer.set_weights(then if same_class is None else list(map(partial(_by_class, same_class), now, then)))


def _by_class(
    same_class: tuple[int | None, ...], now: npt.NDArray[np.float32], then: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """Return weights (..., classes) in which each known class has what it had, and a new one what it was given now."""
    filled = now.copy()
    for position, before in enumerate(same_class):
        if before is not None:
            filled[..., position] = then[..., before]
    return filled


def _described(layer: Any) -> str:
    if layer is None:
        return "nothing"
    return f"{type(layer).__name__} {' x '.join(map(str, layer.weights[0].shape))}"
