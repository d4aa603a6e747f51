from dataclasses import asdict

import pytest

from artifacts.recipes.candidate import Candidate
from artifacts.training.history import Progress
from artifacts.training.racing import Race, attainable_accuracy
from data.errors import TrainingFailed
from data.home.store import Store
from data.values import canonical_json, digest_of

RIVAL = digest_of("rival")
RISING = (0.90, 0.95, 0.97, 0.98)


def history(accuracies: tuple[float, ...], epochs: int | None = None) -> list[Progress]:
    """Return a training with these validation accuracies."""
    n = epochs or len(accuracies)
    return [Progress(i + 1, n, 0.1, 0.9, 0.1, accuracy, 1e5, 1.0) for i, accuracy in enumerate(accuracies)]


def finish(store: Store, accuracies: tuple[float, ...] = RISING) -> None:
    """Publish the rival as a finished training."""
    with store.publish(store.trained(RIVAL)) as draft:
        (draft.path / "history.json").write_bytes(canonical_json([asdict(one) for one in history(accuracies)]))
        (draft.path / "training.json").write_bytes(canonical_json({"recipe": "cnn", "n_validation": 5000}))


def run(store: Store, accuracies: tuple[float, ...], spec: str = "mlp:race=yes", epochs: int | None = None) -> int:
    """Train as far as the race allows and return the epochs."""
    race, done = Race(store, Candidate.parse(spec), [RIVAL]), 0
    for now in history(accuracies, epochs):
        done = now.epoch
        race.check(now)
    return done


def test_a_candidate_that_cannot_win_gives_up_at_half_time(store: Store) -> None:
    """Far behind at half of its epochs: it ends there, and says which accuracy it could reach."""
    finish(store)
    with pytest.raises(TrainingFailed, match=r"gave up after epoch 2 of 4: .* and cnn has 98.00 %") as gave_up:
        run(store, (0.50, 0.60, 0.61, 0.62))
    assert "race=yes" in gave_up.value.hint


@pytest.mark.parametrize("accuracies", [RISING, (0.20, 0.945, 0.96, 0.979), (0.1, 0.93, 0.975, 0.975)])
def test_a_candidate_that_may_still_win_goes_on(store: Store, accuracies: tuple[float, ...]) -> None:
    """As good as the rival was, or a little behind, or within the noise: it trains to its end."""
    finish(store)
    assert run(store, accuracies) == 4


def test_a_candidate_without_race_never_gives_up(store: Store) -> None:
    """The recipe's parameter decides; by default every candidate trains to its end."""
    finish(store)
    assert run(store, (0.1, 0.1, 0.1, 0.1), spec="mlp") == 4


def test_a_rival_that_has_not_finished_is_no_rival(store: Store) -> None:
    """A candidate that is still training elsewhere counts from the epoch on in which it has finished."""
    store.trained(RIVAL).mkdir(parents=True)
    assert run(store, (0.1, 0.1, 0.1)) == 3
    finish(store)
    with pytest.raises(TrainingFailed, match="gave up after epoch 5 of 10"):
        run(store, (0.1,) * 10)


def test_attainable_is_twice_what_the_rival_gained_plus_noise() -> None:
    """From half time the rival gained 3 points; two standard errors of 98 % on 5,000 are 0.56."""
    noise = 2 * (2 * 0.98 * 0.02 / 5000) ** 0.5
    assert attainable_accuracy(0.90, 0.5, history(RISING), 5000) == pytest.approx(0.90 + 2 * 0.03 + noise)
    assert attainable_accuracy(0.90, 1.0, history(RISING), 5000) == pytest.approx(0.90 + noise)
    assert attainable_accuracy(0.90, 0.5, history((0.99, 0.99, 0.98)), 5000) == pytest.approx(0.90 + noise)
