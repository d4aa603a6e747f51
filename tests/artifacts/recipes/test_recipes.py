import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from artifacts.models.provenance import CHECKOUT
from artifacts.recipes.candidate import Candidate
from artifacts.recipes.catalogue import DEFAULT_CANDIDATES, get, recipes, replaced, unusable
from artifacts.recipes.checks import checked_build, checked_plan
from artifacts.recipes.recipe import DatasetInfo
from artifacts.training.fit import fit
from data.errors import BadInput, UnknownName
from data.home.layout import NAME
from flows.settings import settings
from tests.artifacts.small import blobs, info

settings()  # the recipes of NIGHTSHIFT_RECIPES are tested as well
EVERY = pytest.mark.parametrize("name", recipes())


def test_listing_is_cheap() -> None:
    """Recipes are listed, and candidates parsed, without loading Keras or TensorFlow."""
    code = (
        "import sys;from artifacts.recipes.candidate import Candidate; from artifacts.recipes.catalogue import recipes;"
        "[(r.summary, r.claim, Candidate(n).name) for n, r in recipes().items()];"
        "sys.exit(any(m.split('.')[0] in ('keras', 'tensorflow') for m in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=CHECKOUT, check=False).returncode == 0


@EVERY
def test_every_recipe_is_a_document(name: str) -> None:
    """Every recipe opens with what it is, what it reaches, what it costs, and the command that measures it."""
    recipe = recipes()[name]
    assert recipe.name == name
    assert all((recipe.summary, recipe.claim, recipe.command))
    assert "\nCost: " in recipe.document


def test_every_module_can_be_used() -> None:
    """No module of the package, or of NIGHTSHIFT_RECIPES, is left out of the list."""
    assert unusable() == {}


def test_the_defaults_are_recipes() -> None:
    """A night without further words trains recipes that exist, each once."""
    assert len({Candidate(name).name for name in DEFAULT_CANDIDATES}) == len(DEFAULT_CANDIDATES) > 1


@EVERY
@pytest.mark.parametrize(("height", "width", "n_classes"), [(0, 0, 2), (28, 28, 10), (9, 31, 3), (64, 20, 1000)])
def test_any_image_size_and_number_of_classes(name: str, height: int, width: int, n_classes: int) -> None:
    """Every recipe builds a net for any image of its least size or more, any number of classes, float32 logits out."""
    recipe = recipes()[name]
    height, width = max(height, recipe.min_size), max(width, recipe.min_size)
    model = checked_build(recipe)(DatasetInfo(height, width, n_classes, 100), recipe.resolve({}))
    logits = np.asarray(model(np.zeros((2, height, width), np.float32)))
    assert logits.shape == (2, n_classes)
    assert logits.dtype == np.float32
    assert np.isfinite(logits).all()


@EVERY
def test_every_recipe_trains(name: str) -> None:
    """Every recipe gets through a few steps on images that are small and not square, the last batch not full."""
    least = max(8, recipes()[name].min_size)
    examples = blobs(133, height=least, width=least + 3)
    with replaced(recipes()[name].shortened(3)):
        fitted = fit(examples, examples, info(examples), Candidate(name))
    assert len(fitted.history) >= 1
    assert np.isfinite(fitted.history[-1].val_loss)


def test_candidates_are_read_as_they_are_written() -> None:
    """A candidate is a recipe, or a recipe with values; values get their types, and `seed` is one of the names."""
    candidate = Candidate.parse("mlp: epochs=5, hidden=0256x128, learning_rate=1e-3, seed=7")
    assert candidate.recipe == "mlp"
    assert candidate.seed == 7
    assert dict(candidate.parameters) == {"epochs": 5, "hidden": "256x128", "learning_rate": 0.001}
    assert candidate.resolved()["epochs"] == 5
    assert candidate.resolved()["batch"] == recipes()["mlp"].parameters["batch"].default


@given(
    epochs=st.integers(1, 1000),
    rate=st.floats(1e-6, 10),
    hidden=st.lists(st.integers(1, 8192), min_size=1, max_size=8),
    optimizer=st.sampled_from(["sgd", "adam", "adamw"]),
    seed=st.integers(0, 2**31 - 1),
)
def test_what_is_printed_can_be_parsed(epochs: int, rate: float, hidden: list[int], optimizer: str, seed: int) -> None:
    """The text of a candidate names the same candidate, and its name can be a folder."""
    sizes = "x".join(map(str, hidden))
    candidate = Candidate(
        "mlp", (("learning_rate", rate), ("epochs", epochs), ("hidden", sizes), ("optimizer", optimizer)), seed
    )
    assert Candidate.parse(str(candidate), seed) == candidate
    assert NAME.fullmatch(candidate.name)


def test_different_candidates_have_different_names() -> None:
    """Neither seeds nor parameters are lost in a folder's name, also where it has to be shortened."""
    long = "mlp:hidden=1000x1000x1000x1000x1000x1000x1000x1000,epochs=100,learning_rate=0.00123,weight_decay=0.01"
    texts = ["mlp", "mlp:epochs=5", "mlp:batch=5", "mlp:seed=1", long, f"{long},seed=1", f"{long},shift=2"]
    names = {Candidate.parse(text).name for text in texts}
    assert len(names) == len(texts)
    assert all(len(name) <= 100 for name in names)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("cnnn", "did you mean 'cnn'"),
        ("", "known:"),
        ("mlp:epoch=5", "did you mean 'epochs'"),
        ("softmax-regression:hidden=5", "known: batch, epochs, learning_rate"),
        ("mlp:epochs=0", "1..1000"),
        ("mlp:epochs=2.5", "1..1000"),
        ("mlp:epochs=many", "1..1000"),
        ("mlp:learning_rate=nan", "1e-06..10"),
        ("mlp:learning_rate=inf", "1e-06..10"),
        ("mlp:hidden=256x", "256x128"),
        ("mlp:hidden=0", "256x128"),
        ("mlp:optimizer=lion", "sgd | adam | adamw"),
        ("mlp:epochs=True", "a whole number in 1..1000"),
        ("cnn:turn=200", "rotation expected a number in 0..180, got '200'"),
        ("cnn:turn=5,rotation=6", "leave out turn"),
        ("mlp:turn=5", "no parameter of mlp is called 'turn'"),
        ("mlp:epochs", "name=value"),
        ("mlp:epochs=5,epochs=6", "each name once"),
        ("mlp:seed=-1", "seed expected 0.."),
        ("mlp:seed=1.5", "whole number"),
    ],
)
def test_what_cannot_be_is_refused(text: str, complaint: str) -> None:
    """A wrong recipe, parameter or value is refused before anything is trained, and the message says what is right."""
    with pytest.raises(BadInput) as refusal:
        Candidate.parse(text)
    assert complaint in str(refusal.value)


@pytest.mark.parametrize(("text", "margin", "shift"), [("cnn", 1, 1), ("cnn:beyond=yes", 1, 2), ("cnn:shift=1", 2, 1)])
def test_images_are_shifted_within_their_dark_frame(text: str, margin: int, shift: int) -> None:
    """A shift loses no light unless it is asked to."""
    candidate = Candidate.parse(text)
    plan = candidate.definition.plan(DatasetInfo(28, 28, 10, 1000, margin=margin), candidate.resolved())
    assert plan.shift == shift


def test_cnn_small_can_end_before_its_first_epoch() -> None:
    """`steps` cuts a training short; without it the epochs decide."""
    recipe, about = get("cnn-small"), DatasetInfo(28, 28, 10, 55_000)
    plans = [recipe.plan(about, recipe.resolve(given)) for given in ({"epochs": 1}, {"epochs": 1, "steps": 160})]
    assert [sum(plan.lengths(55_000)) for plan in plans] == [215, 160]


def test_a_recipe_is_found_by_name() -> None:
    """Asking for a recipe gives it, or the list of those there are."""
    assert get("cnn") is recipes()["cnn"]
    with pytest.raises(UnknownName, match="known: cnn"):
        get("perceptron")


@EVERY
def test_defaults_lie_in_their_ranges(name: str) -> None:
    """Every default would be accepted if it were typed."""
    for parameter in recipes()[name].parameters.values():
        assert parameter.read(str(parameter.default)) == parameter.default


def test_a_parameters_former_name_is_understood() -> None:
    """What homes wrote down before `turn` was called `rotation` is the same candidate, and can be replayed."""
    assert Candidate.parse("cnn:turn=10") == Candidate.parse("cnn:rotation=10")
    assert str(Candidate.parse("cnn:turn=10")) == "cnn:rotation=10.0"
    assert get("cnn").resolve({"turn": 12}) == get("cnn").resolve({"rotation": 12})


@pytest.mark.parametrize("name", [name for name in recipes() if recipes()[name].min_size > 1])
def test_the_least_size_is_true(name: str) -> None:
    """Smaller images than a recipe says are refused by the check, and its network could indeed not be built."""
    recipe = recipes()[name]
    small = DatasetInfo(recipe.min_size - 1, 28, 3, 100)
    with pytest.raises(BadInput, match=f"expected images of at least {recipe.min_size} x {recipe.min_size} pixels"):
        checked_plan(recipe, small, recipe.resolve({}))
    with pytest.raises(ValueError, match=r"negative|dimension|size"):
        recipe.build(small, recipe.resolve({}))
