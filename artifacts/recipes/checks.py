"""A recipe's own code, called so that its mistakes are reported with file and line before anything is trained.

What is checked is the plan, and the network as it was built: types, shapes, and what its last layer does. Nothing is
computed, so checking draws no random number and changes no training.
"""

import traceback
from collections.abc import Callable
from typing import Any, get_args

from artifacts.backends.current import current
from artifacts.recipes.recipe import DatasetInfo, Plan, Recipe, Settings
from artifacts.recipes.sizes import bounded, fitted
from data.errors import BadFile, BadInput, NightshiftError

ACTIVATIONS = ("softmax", "sigmoid", "hard_sigmoid")  # their outputs are bounded, which logits are not
LONGEST_MESSAGE = 300  # characters of an exception: those of Keras have several paragraphs


def checked_plan(recipe: Recipe, info: DatasetInfo, settings: Settings) -> Plan:
    """Return a recipe's plan, with the lengths that few images need and the batch that large images allow.

    A batch other than the recipe's default is taken as it is: whoever gives one has counted the memory.

    Raises:
        BadInput: the images are smaller than the recipe takes, or what it returned is no plan.
        BadFile: its code raised an exception.
    """
    if min(info.height, info.width) < recipe.min_size:
        raise BadInput(
            f"{recipe.name}: expected images of at least {recipe.min_size} x {recipe.min_size} pixels, "
            f"got {info.height} x {info.width}",
            "use a recipe that takes smaller images, such as mlp",
        )
    plan = _called(recipe, "plan", lambda: recipe.plan(info, settings))
    if not isinstance(plan, Plan):
        raise _wrong(recipe, "plan() to return a Plan", type(plan).__name__)
    for name in ("epochs", "batch", "members"):
        if getattr(plan, name) < 1:
            raise _wrong(recipe, f"a plan with {name} of at least 1", getattr(plan, name))
    for name in ("optimizer", "schedule"):
        options = get_args(Plan.__annotations__[name])
        if getattr(plan, name) not in options:
            raise _wrong(recipe, f"a plan with {name} {' | '.join(options)}", repr(getattr(plan, name)))
    batch = recipe.parameters.get("batch")
    if batch is None or settings.get("batch") == batch.default:
        plan = bounded(plan, info, int(settings.get("width", 0)))
    return fitted(plan, info.n_train, int(settings.get("least_steps", 0)))


def checked_build(recipe: Recipe) -> Callable[[DatasetInfo, Settings], Any]:
    """Return the recipe's `build`, which raises what `check_model` raises, and BadFile for an exception in its code."""

    def build(info: DatasetInfo, settings: Settings) -> Any:
        model = _called(recipe, "build", lambda: recipe.build(info, settings))
        check_model(model, recipe, info)
        return model

    return build


def check_model(model: Any, recipe: Recipe, info: DatasetInfo) -> None:
    """Check that a network takes the images of a dataset and gives logits for its classes.

    Args:
        model: what `recipe.build` returned.
        recipe: whose it is.
        info: the dataset.

    Raises:
        BadInput: it is no functional or Sequential Keras model with one input and one output, a shape is not the
            dataset's, the logits are not float32, or the last layer is a softmax or sigmoid although the recipe
            does not say that it means it.
    """
    import keras

    if not isinstance(model, keras.Model) or not getattr(model, "inputs", None):
        got = f"a {type(model).__name__} without" if isinstance(model, keras.Model) else f"{type(model).__name__}, no"
        raise _wrong(recipe, "build() to return a Keras model that begins with layers.Input((height, width))", got)
    for what, tensors in (("input", model.inputs), ("output", model.outputs)):
        if len(tensors) != 1:
            raise _wrong(recipe, f"a model with one {what}", len(tensors))
    images, logits = model.inputs[0], model.outputs[0]
    if tuple(images.shape) != (None, *info.shape):
        raise _wrong(recipe, f"images of shape {(None, *info.shape)}", tuple(images.shape))
    if tuple(logits.shape) != (None, info.n_classes):
        raise _wrong(recipe, f"logits of shape {(None, info.n_classes)}, one per class", tuple(logits.shape))
    if logits.dtype != "float32":
        raise _wrong(recipe, 'float32 logits (dtype="float32" for the last layer)', logits.dtype)
    activation = last_activation(model)
    if activation and not recipe.activation_at_end:
        raise _wrong(
            recipe,
            "logits, any real numbers (softmax is part of the loss and of the saved model)",
            f"a {activation} at the end: leave it out, or set activation_at_end=True if it is meant",
        )


def last_activation(model: Any) -> str:
    """Return `softmax` or `sigmoid` if the output of a model comes out of one, otherwise an empty string."""
    operation = model.outputs[0]._keras_history.operation
    if getattr(operation, "outputs", None) and hasattr(operation, "layers"):
        return last_activation(operation)  # a model inside the model
    activation = getattr(operation, "activation", None)
    names = (getattr(activation, "__name__", ""), type(operation).__name__.lower())
    return next((name for name in names if name in ACTIVATIONS), "")


def _wrong(recipe: Recipe, expected: str, got: object) -> BadInput:
    return BadInput(f"{recipe.name}: expected {expected}, got {got}", f"fix {recipe.module}; see docs/recipes.md")


def _called(recipe: Recipe, what: str, call: Callable[[], Any]) -> Any:
    try:
        return call()
    except (NightshiftError, MemoryError):
        raise
    except Exception as error:
        if current().out_of_memory(error):
            raise  # not the recipe's fault: a smaller batch may do
        message = " ".join(str(error).split())[:LONGEST_MESSAGE]
        raise BadFile(
            f"{_line_of(recipe, error)}: {what}() of {recipe.name} raised {type(error).__name__}: {message}",
            f"fix that line; 'nightshift recipes check {recipe.name}' tries it again",
        ) from error


def _line_of(recipe: Recipe, error: Exception) -> str:
    """Return file and line of the innermost code of the recipe, or of what it imports from its own package."""
    package = recipe.module.partition(".")[0]
    frames = list(traceback.walk_tb(error.__traceback__))
    own = [one for one in frames if str(one[0].f_globals.get("__name__")).partition(".")[0] == package]
    frame, line = (own or frames)[-1]
    return f"{frame.f_code.co_filename}:{line}"
