"""Candidate and champion, scored on the sample's test images with real models."""

import shutil
from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from artifacts.gate.evidence import Look
from artifacts.judging import scoring
from artifacts.models import predictions
from artifacts.registry import bars, champions
from data import catalogue
from data.errors import BadInput, Broken, Corrupt
from tests.artifacts.registry import nights
from tests.artifacts.trained import SAMPLE, TrainedHome


def recorded(home: TrainedHome, seed: int) -> np.ndarray:
    """The predictions that the evaluation wrote, int64 (n,)."""
    folder = home.store.trained(home.refs[seed].digest)
    return predictions.read(folder / "predictions-test.parquet").predicted


def test_a_candidate_is_scored_on_the_images_and_on_perturbed_copies(trained: TrainedHome) -> None:
    """The predictions are those of the evaluation; every perturbation has an accuracy; the latency is not measured."""
    scores = scoring.score_candidate(trained.store, trained.trained[0], trained.tests)
    np.testing.assert_array_equal(scores.scored.predicted, recorded(trained, 0))
    assert scores.probabilities.shape == (500, 10)
    assert (scores.scored.name, scores.scored.finite) == ("tiny-epochs2-seed0", True)
    assert scores.scored.robustness.keys() == {"shifted", "noisy", "rotated"}
    assert all(0 < accuracy < 1 for accuracy in scores.scored.robustness.values())
    folder = trained.store.trained(trained.refs[0].digest)
    assert scores.scored.megabytes == (folder / "model.keras").stat().st_size / 1e6
    assert np.isnan(scores.scored.latency_ms)


def test_a_candidate_whose_model_has_changed_is_not_scored(trained: TrainedHome) -> None:
    """The file is hashed before it is loaded."""
    candidate = trained.trained[0]
    nights.flip(trained.store.trained(trained.refs[0].digest) / "model.keras")
    with pytest.raises(Corrupt, match=r"model\.keras"):
        scoring.score_candidate(trained.store, candidate, trained.tests)


def test_a_champion_is_scored_on_the_same_images(trained: TrainedHome) -> None:
    """Before the first promotion there is none; then it has predictions, class names and its own test set."""
    assert scoring.score_champion(trained.store, SAMPLE, trained.tests) is None
    version = trained.promote(1)
    champion = scoring.score_champion(trained.store, SAMPLE, trained.tests)
    assert champion is not None
    assert (champion.version, champion.state, champion.problem) == (version.id, "loaded", "")
    assert champion.class_names == tuple("0123456789")
    assert champion.test_digest == trained.tests.digest
    np.testing.assert_array_equal(champion.predicted, recorded(trained, 1))
    assert scoring.accuracy_of(trained.store, version, trained.tests) == trained.trained[1].test.accuracy


def test_a_champion_that_cannot_be_scored_says_why(trained: TrainedHome, monkeypatch: pytest.MonkeyPatch) -> None:
    """Images of another size, another Keras, a changed file, a missing folder: the reason for the message."""
    version = trained.promote(0)
    larger = replace(trained.tests, images=np.zeros((500, 30, 28), np.uint8))
    other_size = scoring.score_champion(trained.store, SAMPLE, larger)
    assert other_size is not None
    assert (other_size.predicted, other_size.state) == (None, "unfit")
    assert other_size.problem == "it takes images of 28×28, tonight's have 30×28"
    with pytest.raises(BadInput):
        scoring.accuracy_of(trained.store, version, larger)
    with monkeypatch.context() as patched:
        patched.setattr("keras.saving.load_model", lambda *_, **__: {}["moved>BatchNorm"])
        newer = scoring.score_champion(trained.store, SAMPLE, trained.tests)
    assert newer is not None
    assert (newer.predicted, newer.state, newer.class_names) == (None, "unloadable", tuple("0123456789"))
    assert "cannot load it ('moved>BatchNorm'); it was made with keras 3.15.1" in newer.problem
    nights.flip(version.model)
    changed = scoring.score_champion(trained.store, SAMPLE, trained.tests)
    assert changed is not None
    assert (changed.predicted, changed.state) == (None, "corrupt")
    assert "model.keras has changed" in changed.problem
    shutil.rmtree(version.folder)
    gone = scoring.score_champion(trained.store, SAMPLE, trained.tests)
    assert gone is not None
    assert gone.predicted is None
    assert "is missing" in gone.problem


def test_a_champion_must_still_predict_what_was_recorded(trained: TrainedHome) -> None:
    """Other predictions, or none, stop the night; another test set, or no champion, is nothing to check."""
    tests = trained.tests
    scoring.require_recorded_predictions(trained.store, SAMPLE, tests)
    version = trained.promote(0)
    scoring.require_recorded_predictions(trained.store, SAMPLE, tests)
    reversed_order = replace(tests, images=tests.images[::-1])
    with pytest.raises(Broken, match=r"its predictions for \d+ of 500 images are not those recorded"):
        scoring.require_recorded_predictions(trained.store, SAMPLE, reversed_order)
    scoring.require_recorded_predictions(trained.store, SAMPLE, replace(reversed_order, digest="another test set"))
    nights.flip(version.model)
    with pytest.raises(Broken, match=r"is champion, but .*model\.keras has changed"):
        scoring.require_recorded_predictions(trained.store, SAMPLE, tests)


def test_the_evidence_has_siblings_looks_and_bars(trained: TrainedHome) -> None:
    """Siblings bring their recorded predictions, the ledger its looks and the bar on these weights."""
    winner, sibling = trained.trained
    scored = scoring.score_candidate(trained.store, winner, trained.tests).scored
    dataset, when = catalogue.get(trained.store, SAMPLE), date(2026, 11, 20)
    arguments = (trained.store, dataset, trained.tests, scored, winner, [sibling], None, when)
    first = scoring.gather(*arguments)
    assert (first.dataset, first.when, first.n_expected, first.looks, first.barred) == (
        SAMPLE,
        "2026-11-20",
        500,
        (),
        "",
    )
    np.testing.assert_array_equal(first.siblings[0], recorded(trained, 1))
    trained.promote(0)
    trained.promote(1)
    bars.bar(trained.store, f"{SAMPLE}/1", **nights.BY_ME)
    look = {"when": "2026-11-19", "test_digest": "t", "champion": f"{SAMPLE}/2", "recipe": "r", "rights": ["AA=="]}
    decision = {**nights.decision("HOLD"), "look": {**look, "allotted": 0.05, "spent": 0.01}}
    provenance = nights.provenance("b", "run-b", dataset=SAMPLE)
    champions.record(trained.store, SAMPLE, "hold", decision=decision, provenance=provenance, **nights.BY_ME)
    later = scoring.gather(*arguments)
    assert later.looks == (Look("2026-11-19", "t", f"{SAMPLE}/2", "r", ("AA==",), 0.05, 0.01),)
    assert later.barred == "an earlier version"


def test_a_rolled_back_version_is_named_in_the_evidence(trained: TrainedHome) -> None:
    """The version that a rollback left is the one that is barred."""
    trained.promote(1)
    trained.promote(0)
    champions.rollback(trained.store, SAMPLE, **nights.BY_ME)
    winner = trained.trained[0]
    scored = scoring.score_candidate(trained.store, winner, trained.tests).scored
    dataset = catalogue.get(trained.store, SAMPLE)
    evidence = scoring.gather(trained.store, dataset, trained.tests, scored, winner, [], None, date(2026, 11, 20))
    assert evidence.barred == f"{SAMPLE}/2"


def test_a_fingerprint_is_everything_but_the_seed(trained: TrainedHome) -> None:
    """Two seeds of one recipe share it; other data change it."""
    winner, sibling = trained.trained
    assert scoring.fingerprint(trained.store, winner) == scoring.fingerprint(trained.store, sibling)
    other = replace(winner.ref, digest="0" * 64)
    with trained.store.publish(trained.store.trained(other.digest)) as draft:
        draft.meta.update(recipe="tiny:epochs=2", seed=0, prepared="other data")
    changed = scoring.fingerprint(trained.store, replace(winner, ref=other))
    assert changed != scoring.fingerprint(trained.store, winner)
