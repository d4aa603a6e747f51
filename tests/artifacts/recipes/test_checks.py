"""Mistakes in recipes are met before anything is trained, with file and line where there is one."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from artifacts.recipes.candidate import Candidate
from artifacts.recipes.catalogue import get, replaced
from artifacts.recipes.checks import checked_build, checked_plan, last_activation
from artifacts.recipes.recipe import DatasetInfo, Recipe, Settings
from artifacts.training.fit import fit
from data.errors import BadFile, BadInput
from tests.artifacts.small import blobs, info

INFO = DatasetInfo(12, 10, 3, 100)


def sequential(*layers: Any, shape: tuple[int, ...] = (12, 10)) -> Any:
    """Return a net that begins with a flat image."""
    import keras

    return keras.Sequential([keras.Input(shape), keras.layers.Flatten(), *layers])


def dense(units: int, **options: Any) -> Any:
    """Return a dense layer."""
    import keras

    return keras.layers.Dense(units, **options)


def without_input() -> Any:
    """Return a net that does not say what it takes."""
    import keras

    return keras.Sequential([dense(3)])


def two_inputs() -> Any:
    """Return a net that wants two images."""
    import keras

    pair = [keras.Input((12, 10)), keras.Input((12, 10))]
    return keras.Model(pair, dense(3)(keras.layers.Flatten()(keras.layers.Add()(pair))))


def softmax_of_operations() -> Any:
    """Return a net that ends in `keras.ops.softmax`, inside another net."""
    import keras

    inner = sequential(dense(3))
    inner = keras.Model(inner.inputs, keras.ops.softmax(inner.outputs[0]))
    images = keras.Input((12, 10))
    return keras.Model(images, inner(images))


def recipe(build: Callable[[], Any], **options: Any) -> Recipe:
    """Return a recipe that builds this, whatever the dataset."""
    return replace(get("tiny"), build=lambda _info, _settings: build(), **options)


@pytest.mark.parametrize(
    ("build", "complaint"),
    [
        (lambda: None, r"expected build\(\) to return a Keras model .*, got NoneType"),
        (without_input, r"begins with layers\.Input\(\(height, width\)\), got a Sequential without"),
        (two_inputs, "expected a model with one input, got 2"),
        (lambda: sequential(dense(4)), r"expected logits of shape \(None, 3\), one per class, got \(None, 4\)"),
        (lambda: sequential(dense(3), shape=(28, 28)), r"images of shape \(None, 12, 10\), got \(None, 28, 28\)"),
        (lambda: sequential(dense(3), shape=(12, 10, 1)), r"images of shape \(None, 12, 10\), got \(None, 12, 10, 1\)"),
        (lambda: sequential(dense(3, dtype="mixed_bfloat16")), r"float32 logits .* got bfloat16"),
        (lambda: sequential(dense(3, activation="softmax")), "got a softmax at the end: leave it out"),
        (lambda: sequential(dense(3, activation="sigmoid")), "got a sigmoid at the end: leave it out"),
        (softmax_of_operations, "got a softmax at the end: leave it out"),
    ],
)
def test_a_network_that_does_not_fit_is_refused(build: Callable[[], Any], complaint: str) -> None:
    """Whatever is not a net from these images to float32 logits for these classes."""
    with pytest.raises(BadInput, match=complaint):
        checked_build(recipe(build))(INFO, {})


def test_a_bounded_output_can_be_meant() -> None:
    """A recipe may say that its logits come out of a sigmoid: sigmoid-regression with logits=output does."""
    meant = get("sigmoid-regression")
    assert last_activation(checked_build(meant)(INFO, meant.resolve({"logits": "output"}))) == "sigmoid"
    assert last_activation(checked_build(meant)(INFO, meant.resolve({}))) == ""


def test_an_exception_names_the_line_of_the_recipe() -> None:
    """Not the line of Keras that raised it, and not of what called the recipe."""

    def broken() -> Any:
        return sequential(dense(-1))

    with pytest.raises(BadFile, match=r"test_checks\.py:\d+: build\(\) of tiny raised ValueError: ") as refusal:
        checked_build(recipe(broken))(INFO, {})
    assert "nightshift recipes check tiny" in refusal.value.hint
    line = broken.__code__.co_firstlineno + 1
    deeper = dense.__code__.co_firstlineno + 4
    assert f":{line}: " in str(refusal.value) or f":{deeper}: " in str(refusal.value)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda _plan: {"epochs": 5}, r"expected plan\(\) to return a Plan, got dict"),
        (lambda plan: replace(plan, epochs=0), "expected a plan with epochs of at least 1, got 0"),
        (lambda plan: replace(plan, optimizer="lion"), r"optimizer sgd \| adam \| adamw \| muon, got 'lion'"),
        (lambda plan: plan.no_such_thing, r"test_checks\.py:\d+: plan\(\) of tiny raised AttributeError: "),
    ],
)
def test_a_plan_that_cannot_be_is_refused(change: Callable[[Any], Any], complaint: str) -> None:
    """What is no plan, or one that cannot be trained by."""
    tiny = get("tiny")

    def plan(about: DatasetInfo, settings: Settings) -> Any:
        return change(tiny.plan(about, settings))

    tried = replace(tiny, plan=plan, build=lambda _info, _settings: None)
    with pytest.raises(BadInput, match=complaint):
        checked_plan(tried, INFO, tiny.resolve({}))


def test_a_training_meets_the_mistake_first() -> None:
    """`fit` refuses the recipe before a step is taken, also where several nets are trained side by side."""
    examples, heard = blobs(40), list[Any]()
    wrong = recipe(lambda: sequential(dense(3, activation="softmax")))
    together = replace(wrong, plan=lambda about, given: replace(wrong.plan(about, given), members=2))
    for one in (wrong, together):
        with replaced(one), pytest.raises(BadInput, match="softmax at the end"):
            fit(examples, examples, info(examples), Candidate("tiny"), on_progress=heard.append)
    assert heard == []


def test_running_out_of_memory_is_not_the_recipes_mistake() -> None:
    """It is passed on as it is, so that half the batch is tried."""

    def hungry() -> Any:
        raise MemoryError

    with pytest.raises(MemoryError):
        checked_build(recipe(hungry))(INFO, {})


@pytest.mark.parametrize("name", ["", "My recipe", "cnn:wide", "-x"])
def test_a_recipe_has_a_name_that_can_be_typed(name: str) -> None:
    """A name is part of a command line and of a folder's name."""
    with pytest.raises(BadInput, match="expected a recipe name"):
        replace(get("tiny"), name=name)
