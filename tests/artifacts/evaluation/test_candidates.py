from dataclasses import replace

import numpy as np
import pytest

from artifacts.evaluation.candidates import Trained, TrainedRef, choose, standings
from artifacts.evaluation.metrics import measure
from artifacts.recipes.candidate import Candidate


def trained(spec: str, seed: int, right: int, test_right: int = 50) -> Trained:
    """A candidate with so many of 100 validation images right, and so many of 100 test images."""
    labels = np.arange(100) % 10

    def metrics(n: int) -> object:
        said = np.where(np.arange(100) < n, labels, (labels + 1) % 10)
        return measure(labels, np.eye(10, dtype=np.float32)[said])

    ref = TrainedRef(Candidate.parse(spec, seed), f"{spec}{seed}")
    return Trained(ref, {}, (), metrics(right), metrics(test_right))  # type: ignore[arg-type]


def test_the_best_mean_wins_and_sends_its_median_seed() -> None:
    """Neither the luckiest seed of all nor the luckiest of the winner, and the order of asking does not matter."""
    lucky = [trained("mlp", seed, right) for seed, right in enumerate((99, 80, 80))]
    steady = [trained("cnn", seed, right) for seed, right in enumerate((94, 91, 92))]
    for order in (lucky + steady, steady + lucky):
        assert choose(order).ref.candidate == Candidate.parse("cnn", 2)


def test_test_images_have_no_say() -> None:
    """The better one on the test images loses if the validation images prefer the other."""
    chosen = choose([trained("mlp", 0, 80, test_right=99), trained("cnn", 0, 81, test_right=10)])
    assert chosen.ref.candidate.recipe == "cnn"


def test_standings_have_a_mean_and_its_standard_error() -> None:
    """The standard error is the spread of the seeds over the root of their number; a single seed has none."""
    one, other = standings(
        [trained("mlp:epochs=3", 0, 90), *(trained("cnn", seed, right) for seed, right in enumerate((94, 92, 96)))]
    )
    assert (one.recipe, one.n, one.mean) == ("cnn", 3, pytest.approx(0.94))
    assert one.standard_error == pytest.approx(0.02 / 3**0.5)
    assert str(one) == "94.00 % ± 1.15 % (mean of 3 seeds and its standard error)"
    assert (other.recipe, other.standard_error, str(other)) == ("mlp:epochs=3", None, "90.00 %")


def test_of_equals_the_more_certain_one_wins() -> None:
    """As many right of few validation images: the smaller log loss decides, whichever is listed first."""
    first, second = trained("mlp", 0, 90), trained("cnn", 0, 90)
    second = replace(second, validation=replace(second.validation, log_loss=first.validation.log_loss / 2))
    assert choose([first, second]) is second
    assert choose([second, first]) is second


def test_ties_in_both_go_to_the_one_listed_first() -> None:
    """Between equals the order in which they were asked for decides, every time alike."""
    first, second = trained("softmax-regression", 0, 90), trained("cnn", 0, 90)
    assert choose([first, second]) is first
    assert choose([second, first]) is second
