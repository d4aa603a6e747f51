"""Ensembles: nets of one kind trained side by side on the same batches, from different initial weights.

Each learns as it would on its own; the mean of their logits is more accurate than any of them. On a CPU this also uses
the cores better than training one after the other: while one net waits for its threads, another one computes.
"""

from collections.abc import Callable
from typing import Any

from artifacts.recipes.recipe import DatasetInfo, Settings

Build = Callable[[DatasetInfo, Settings], Any]


def side_by_side(build: Build, members: int) -> Build:
    """Return a `build` whose network gives a list of logits (b, c), one per member; with one member, `build` itself."""
    if members == 1:
        return build

    def together(info: DatasetInfo, settings: Settings) -> Any:
        import keras

        images = keras.Input(info.shape)
        nets = [build(info, settings) for _ in range(members)]
        for index, net in enumerate(nets):
            net.name = f"{net.name}_member_{index}"  # a recipe may give all its nets one name, which Keras refuses
        return keras.Model(images, [net(images) for net in nets], name="members")

    return together


def averaged(model: Any) -> Any:
    """Return a network that gives the mean of its members' logits (b, c); with one member, the network itself."""
    if len(model.outputs) == 1:
        return model
    import keras

    return keras.Model(model.inputs[0], keras.layers.Average()(model.outputs), name="averaged")
