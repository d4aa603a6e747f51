"""Out of memory: once more with half the batch, in a new process; then a clear failure."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from artifacts.evaluation import candidates
from artifacts.models.warm_start import Parent
from artifacts.recipes.candidate import Candidate
from artifacts.training.child import ChildTrainer
from data.errors import OutOfMemory
from data.home.store import Store
from data.prepared.parquet import PreparedRef
from flows import train as flow
from tasks.evaluate import evaluate
from tasks.train import train
from tests.artifacts.small import prepare

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def without_prefect(monkeypatch: pytest.MonkeyPatch) -> None:
    """The steps themselves; what Prefect adds to them is tested on a server."""
    monkeypatch.setattr(flow, "train_task", train.fn)
    monkeypatch.setattr(flow, "evaluate_task", evaluate.fn)


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process, and only here, the first step finds no memory left, as TensorFlow reports it."""
    import tensorflow as tf

    from artifacts.optimization.loop import Loop

    def epoch(*_: Any) -> None:
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor with shape[4096,4096]")

    monkeypatch.setattr(Loop, "epoch", epoch)


@pytest.mark.fault("F-37")
def test_half_the_batch_is_trained_in_a_new_process(store: Store, full: None) -> None:
    """The result is the candidate with half the batch, by name and in its record."""
    candidate = Candidate.parse("mlp:epochs=1,batch=64,hidden=16")
    ref = flow.train_with_smaller_batch_if_needed(flow.Job(store, prepare(store), candidate, "cpu"))
    assert str(ref.candidate) == "mlp:batch=32,epochs=1,hidden=16"
    assert candidates.read(store, ref).training["parameters"]["batch"] == 32


@pytest.mark.fault("F-37")
def test_second_time_out_of_memory_is_a_clear_failure(
    store: Store, full: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A real limit on the new process: it ends there, and leaves no partial result."""
    monkeypatch.setattr(flow, "ChildTrainer", partial(ChildTrainer, prefix=["prlimit", "--as=2500000000"]))
    job = flow.Job(store, prepare(store), Candidate.parse("mlp:epochs=1,batch=64,hidden=16"), "cpu")
    with pytest.raises(OutOfMemory, match="use a smaller batch"):
        flow.train_with_smaller_batch_if_needed(job)
    assert not Path(store.root / "trained").exists()


def test_recipe_without_a_batch_is_not_tried_again(store: Store, full: None) -> None:
    """There is nothing to halve."""
    assert flow.half_batch(Candidate.parse("tiny")) is None
    assert flow.half_batch(Candidate.parse("mlp:batch=1")) is None
    with pytest.raises(OutOfMemory, match="tiny ran out of memory on cpu"):
        flow.train_with_smaller_batch_if_needed(flow.Job(store, prepare(store), Candidate.parse("tiny"), "cpu"))


def test_a_warm_start_has_an_address_of_its_own(store: Store) -> None:
    """The champion's weights are part of what decides its weights, and only of those of candidates that begin so."""
    warm, cold = Candidate.parse("mlp:warm_start=champion"), Candidate.parse("mlp")
    first, second = (Parent(f"mnist-sample/{n}", f"w{n}", store.root) for n in (1, 2))
    job = flow.Job(store, PreparedRef("mnist-sample", "p"), warm, "cpu", champion=first)
    addresses = {
        candidates.address(one, replace(job, champion=parent).inputs_of(one))
        for one in (warm, cold)
        for parent in (None, first, second)
    }
    assert len(addresses) == 4
    assert replace(job, candidate=cold).parent_of(cold) is None


def test_a_child_begins_with_the_champions_weights(store: Store) -> None:
    """A training in a process of its own gets the parent, too, and ends with the same weights."""
    prepared = prepare(store)
    first = flow.train_or_reuse(flow.Job(store, prepared, Candidate.parse("mlp:epochs=1,hidden=8"), "cpu"), False)
    trained = candidates.read(store, first)
    champion = Parent("mnist-sample/1", trained.training["weights_digest"], store.trained(first.digest))
    job = flow.Job(store, prepared, Candidate.parse("mlp:epochs=1,hidden=8,warm_start=champion"), "cpu")
    job = replace(job, champion=champion)
    here = candidates.read(store, flow.train_or_reuse(job, in_child=False)).training
    (store.trained(candidates.address(job.candidate, job.inputs_of(job.candidate)))).rename(store.scratch())
    there = candidates.read(store, flow.train_or_reuse(job, in_child=True)).training
    assert here["start"] == there["start"] == "began with the weights of mnist-sample/1"
    assert here["weights_digest"] == there["weights_digest"] != trained.training["weights_digest"]
