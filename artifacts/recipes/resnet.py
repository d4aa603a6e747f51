"""A residual net without normalisation, more accurate than `cnn` and ten times as expensive; not a default candidate.

Claim: Fashion-MNIST test 94.17 % (one seed, on validation 94.82; both sides of an image averaged). MNIST: not measured.

Cost: 1,030 CPU-seconds on Fashion-MNIST (two busy cores with avx512_bf16); 660,000 images at the 1,440 images/s of
quiet moments would take 460 s, not timed on an idle machine.

Command: python -m benchmarks.training --rows times --only resnet
"""

from typing import Any

from artifacts.recipes import cnn
from artifacts.recipes.base import Problem, Recipe, Settings
from artifacts.recipes.parameters import Choice, Integer, Real


def build(problem: Problem, settings: Settings) -> Any:
    """Return three stages, each half as large and, after the first, twice as wide, then a dense layer and the logits.

    The stages after the first end with a residual block whose second convolution starts at zero (Fixup, Zhang et al.
    2019), so that the net begins as a shallow one and needs no normalisation, which on a CPU costs a third of its time.
    """
    import keras
    from keras import layers

    def conv(filters: int, **options: Any) -> Any:
        return layers.Conv2D(filters, 3, padding="same", **{"kernel_initializer": "he_normal", **options})

    def residual(x: Any) -> Any:
        filters = x.shape[-1]
        change = conv(filters, kernel_initializer="zeros")(conv(filters, activation="relu")(x))
        return layers.ReLU()(layers.Add()([x, change]))

    width = settings["width"]
    images = layers.Input((problem.height, problem.width))
    x = conv(width)(layers.Reshape((problem.height, problem.width, 1))(images))
    x = layers.ReLU()(layers.MaxPooling2D()(x))
    x = residual(conv(2 * width, activation="relu")(x))
    x = residual(conv(4 * width, activation="relu")(layers.MaxPooling2D()(x)))
    x = layers.Dense(128, activation="relu", kernel_initializer="he_normal")(layers.Flatten()(x))
    return keras.Model(images, layers.Dense(problem.n_classes, dtype="float32")(x))


RECIPE = Recipe(
    name="resnet",
    document=__doc__,
    family="conv",
    build=build,
    plan=cnn.plan,
    bfloat16=True,
    parameters={
        "width": Integer(32, 1, 1024, "filters of the first stage"),
        **cnn.TRAINING,
        "epochs": Integer(12, 1, 1000, "passes over the training images"),
        "batch": Integer(128, 1, 4096, "images per step"),
        # Muon, 0.03, 20 epochs in batches of 256: 93.43 % on Fashion-MNIST instead of 94.17 (docs/log.md).
        "optimizer": Choice("adamw", ("muon", "adamw"), "the update rule; Muon wants ten times the rate"),
        "learning_rate": Real(0.003, 1e-6, 10, "peak of the one-cycle schedule"),
        "warmup": Real(0.2, 0, 1, "share of the steps that rise to the peak"),
        "weight_decay": Real(0.05, 0, 1, "decoupled, times the learning rate"),
        "shift": Integer(1, 0, 8, "largest random shift in pixels, where the images leave room for it"),
        "beyond": Choice("yes", ("no", "yes"), "whether a shift may push light over the edge"),
        "cutout": Integer(6, 0, 64, "side of the square that is blanked in every image, in pixels"),
    },
)
