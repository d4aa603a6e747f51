"""The systems as they were written: plain Keras and TensorFlow, nothing of Nightshift. What the recipes must match.

Each function trains one system on the images given and returns a Keras model and the seconds from building it to the
end of its training.
"""

import time
from typing import Any

from benchmarks.official import Images


def fit(model: Any, training: Images, batch: int, epochs: int, one_hot: bool = False) -> tuple[Any, float]:
    """Train a compiled model with `model.fit`."""
    import keras

    labels = keras.utils.to_categorical(training.labels) if one_hot else training.labels
    started = time.monotonic()
    model.fit(training.images, labels, batch_size=batch, epochs=epochs, verbose=0)
    return model, time.monotonic() - started


def sigmoid_regression(training: Images, epochs: int = 50) -> tuple[Any, float]:
    """Train ten sigmoid units given to a loss that asks for logits."""
    import keras
    from keras import layers

    model = keras.Sequential([keras.Input((28, 28)), layers.Flatten(), layers.Dense(10, activation="sigmoid")])
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    return fit(model, training, 32, epochs)


def softmax_regression(training: Images, epochs: int = 10) -> tuple[Any, float]:
    """Train the linear classifier on one-hot labels."""
    import keras
    from keras import layers

    softmax = layers.Dense(10, activation="softmax", kernel_initializer="zeros")
    model = keras.Sequential([keras.Input((28, 28)), layers.Flatten(), softmax])
    model.compile(keras.optimizers.SGD(0.1), "categorical_crossentropy", metrics=["accuracy"])
    return fit(model, training, 100, epochs, one_hot=True)


def mlp_128(training: Images, epochs: int = 10) -> tuple[Any, float]:
    """Train the tutorial's net."""
    import keras
    from keras import layers

    model = keras.Sequential(
        [
            keras.Input((28, 28)),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return fit(model, training, 32, epochs)


def linear_64(training: Images, epochs: int = 2000) -> tuple[Any, float]:
    """Train two linear layers from N(0, 1) with a compiled step in a Python loop; `epochs` counts steps of 100."""
    import keras
    import numpy as np
    import tensorflow as tf

    flat = training.images.reshape(len(training.labels), -1)
    one_hot = keras.utils.to_categorical(training.labels).astype("float32")
    started = time.monotonic()
    shapes = [(784, 64), (64,), (64, 10), (10,)]
    weights = [tf.Variable(tf.random.normal(shape)) for shape in shapes]

    @tf.function  # type: ignore[untyped-decorator] # tensorflow ships no types
    def step(images: Any, truth: Any) -> None:
        with tf.GradientTape() as tape:
            logits = tf.matmul(tf.matmul(images, weights[0]) + weights[1], weights[2]) + weights[3]
            loss = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(truth, logits))
        for weight, gradient in zip(weights, tape.gradient(loss, weights), strict=True):
            weight.assign_sub(0.1 * gradient)

    order = np.concatenate([np.random.permutation(len(flat)) for _ in range(-(-epochs * 100 // len(flat)))])
    for index in range(epochs):
        rows = order[index * 100 : (index + 1) * 100]
        step(flat[rows], one_hot[rows])
    seconds = time.monotonic() - started
    return _as_model(weights, activation=None), seconds


def scratch_512(training: Images, epochs: int = 10) -> tuple[Any, float]:
    """Train hand-written layers with a hand-written step on a gradient tape, without compilation, batch by batch."""
    import numpy as np
    import tensorflow as tf

    flat = training.images.reshape(len(training.labels), -1)
    started = time.monotonic()
    weights = [
        tf.Variable(tf.random.uniform((784, 512), 0.0, 0.1)),
        tf.Variable(tf.zeros((512,))),
        tf.Variable(tf.random.uniform((512, 10), 0.0, 0.1)),
        tf.Variable(tf.zeros((10,))),
    ]
    for _ in range(epochs):
        order = np.random.permutation(len(flat))
        for begin in range(0, len(flat), 128):
            rows = order[begin : begin + 128]
            with tf.GradientTape() as tape:
                hidden = tf.nn.relu(tf.matmul(flat[rows], weights[0]) + weights[1])
                predicted = tf.nn.softmax(tf.matmul(hidden, weights[2]) + weights[3])
                losses = tf.keras.losses.sparse_categorical_crossentropy(training.labels[rows], predicted)
                loss = tf.reduce_mean(losses)
            for weight, gradient in zip(weights, tape.gradient(loss, weights), strict=True):
                weight.assign_sub(1e-3 * gradient)
    seconds = time.monotonic() - started
    return _as_model(weights, activation="relu"), seconds


def _as_model(weights: list[Any], activation: str | None) -> Any:
    """Return a Keras model with these weights, to be scored like every other."""
    import keras
    from keras import layers

    hidden = layers.Dense(weights[1].shape[0], activation=activation)
    model = keras.Sequential([keras.Input((28, 28)), layers.Flatten(), hidden, layers.Dense(10)])
    model.set_weights([weight.numpy() for weight in weights])
    return model
