"""Step 6: which candidate goes on, and what happens if none is left."""

import pytest

from artifacts.evaluation.candidates import FailedCandidate
from artifacts.recipes.candidate import Candidate
from data.errors import Corrupt, TrainingFailed
from tasks.choose import choose
from tasks.progress import Event, listening
from tests.artifacts.registry import nights
from tests.artifacts.trained import TrainedHome

FAILED = FailedCandidate(Candidate.parse("mlp:epochs=3"), "the loss is not finite")


def test_the_winner_comes_first_and_the_failed_are_left_out(trained: TrainedHome) -> None:
    """Of two seeds the median, which is the lower one, wins; whoever listens reads the recipe and its accuracy."""
    events: list[Event] = []
    with listening(events.append):
        winner, other = choose.fn(trained.store, [FAILED, *trained.refs])
    assert {winner.ref, other.ref} == set(trained.refs)
    assert winner.validation.accuracy <= other.validation.accuracy
    (event,) = events
    assert event.text.startswith("tiny:epochs=2 has the best validation accuracy, ")
    assert winner.ref.candidate.name in event.text


def test_without_a_candidate_the_night_fails_with_every_reason() -> None:
    """The message has one reason per candidate."""
    other = FailedCandidate(Candidate.parse("cnn"), "out of memory")
    with pytest.raises(TrainingFailed, match=r"mlp:epochs=3: the loss is not finite; cnn: out of memory"):
        choose.fn(None, [FAILED, other])  # type: ignore[arg-type]


def test_a_candidate_that_changed_on_disk_is_not_chosen(trained: TrainedHome) -> None:
    """Every file is hashed before it is compared."""
    nights.flip(trained.store.trained(trained.refs[0].digest) / "metrics.json")
    with pytest.raises(Corrupt, match=r"metrics\.json has changed"):
        choose.fn(trained.store, trained.refs)
