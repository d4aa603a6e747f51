"""Run by test_backends in a process of its own: what one backend trains, and what it predicts.

    ... on_backend train FOLDER    two models of the bundled sample, and a network of every switch
    ... on_backend ask FOLDER      the logits of the models there, on the images there

Modules named after the folder cannot be imported, as if they were not installed.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from artifacts.models.saving import save
from artifacts.optimization.feed import Feed
from artifacts.recipes.candidate import Candidate
from artifacts.recipes.recipe import Plan
from data.home.store import Store
from data.prepared.parquet import read_split
from tests.artifacts.backends.missing import Missing
from tests.artifacts.small import blobs, info, prepare

SPECS = {"dense": "tiny:epochs=2", "conv": "cnn:epochs=1"}
# Every switch at once. Not Adam: where a gradient is nearly zero, its steps have the sign of rounding.
SWITCHES: dict[str, Any] = {
    "schedule": "cosine",
    "weight_decay": 0.01,
    "label_smoothing": 0.1,
    "shift": 1,
    "rotation": 10.0,
    "zoom": 0.1,
    "flip": True,
    "average_flips": True,
    "ema": 0.9,
    "leave_out": 0.4,
}


def train(folder: Path) -> None:
    """Write models, their logits on some images, and where a network of given first weights ends."""
    from artifacts.training.fit import fit

    store = Store(folder / "home")
    ref = prepare(store)
    training, validation = read_split(store, ref, "train"), read_split(store, ref, "validation")
    results: dict[str, Any] = {}
    for name, spec in SPECS.items():
        fitted = fit(training, validation, info(training, 10), Candidate.parse(spec))
        save(fitted.model, folder / f"{name}.keras")
        results[name] = {"backend": fitted.device.backend, "val_accuracy": fitted.history[-1].val_accuracy}
    np.save(folder / "images.npy", np.rint(validation.images * 255).astype(np.uint8))
    results["measured"] = _switched(folder / "switched.npz")
    results["full"] = _recognises_a_full_memory()
    (folder / "results.json").write_text(json.dumps(results))
    ask(folder)


def ask(folder: Path) -> None:
    """Write the logits of the models in a folder, as this backend computes them."""
    import keras

    images = np.load(folder / "images.npy")
    for name in SPECS:
        model = keras.saving.load_model(folder / f"{name}.keras", compile=False)
        logits = keras.Model(model.input, model.get_layer("probabilities").input)
        np.save(folder / f"{name}-{keras.backend.backend()}.npy", logits.predict(images, verbose=0))


def _switched(path: Path) -> list[float]:
    """Train a conv net with batch norm from fixed weights, save its weights, return loss and accuracy."""
    import keras
    from keras import layers

    from artifacts.optimization.loop import Loop
    from artifacts.recipes.layers import BatchNorm

    examples = blobs(30)
    rng = np.random.default_rng(0)
    model = keras.Sequential(
        [
            layers.Input((12, 10)),
            layers.Reshape((12, 10, 1)),
            layers.Conv2D(4, 3, padding="same", activation="relu"),
            BatchNorm(),
            layers.Flatten(),
            layers.Dense(3),
        ]
    )
    drawn = [rng.normal(0, 0.1, weight.shape).astype(np.float32) for weight in model.get_weights()]
    model.set_weights([np.abs(weight) + 0.5 if weight.shape == (4,) else weight for weight in drawn])
    plan = Plan(epochs=3, batch=4, optimizer="sgd", learning_rate=0.1, **SWITCHES)
    loop = Loop(model, plan, 30, jit=True)
    for epoch in range(plan.epochs):
        loop.epoch(Feed(examples, 4), (0, epoch), 8)
    loop.finish()
    np.savez(path, *model.get_weights())
    return list(loop.measure(Feed(examples, 1)))


def _recognises_a_full_memory() -> bool:
    """Allocate a petabyte, and return whether the backend recognises the error."""
    from keras import ops

    from artifacts.backends.current import current

    try:
        ops.ones((1 << 24, 1 << 24))
    except Exception as error:  # noqa: BLE001  # which one it is depends on the backend
        return current().out_of_memory(error) and not current().out_of_memory(ValueError("RESOURCE_EXHAUSTED"))
    return False


if __name__ == "__main__":
    sys.meta_path.insert(0, Missing(*sys.argv[3:]))
    {"train": train, "ask": ask}[sys.argv[1]](Path(sys.argv[2]))
