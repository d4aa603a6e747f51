import shutil
from dataclasses import replace

import pytest

from artifacts.models import bundle, provenance
from artifacts.models.bundle import REQUIRED
from artifacts.models.warm_start import Parent
from artifacts.operations.replay import replay
from artifacts.recipes.candidate import Candidate
from artifacts.registry import versions
from artifacts.registry.versions import Version
from artifacts.training.train import train
from data import catalogue
from data.dataset import Geometry, Origin
from data.errors import BadInput
from data.home.store import Store
from data.prepared.parquet import PreparedRef
from data.values import canonical_json, digest_of
from tests.artifacts.registry import nights
from tests.artifacts.small import prepare
from tests.data import growing

pytestmark = pytest.mark.slow

CANDIDATE = Candidate.parse("tiny:epochs=1", seed=7)


def registered(
    store: Store,
    prepared: PreparedRef,
    candidate: Candidate = CANDIDATE,
    parent: Parent | None = None,
    **changes: object,
) -> Version:
    """Train on the bundled sample, and register where the model comes from, or something else."""
    folder = store.trained(digest_of(candidate.spec))
    with store.publish(folder) as draft:
        result = train(store, prepared, candidate, draft.path, parent=parent)
        bundle.write_interface(draft.path, Geometry(28, 28), [str(digit) for digit in range(10)])
        (draft.path / "metrics.json").write_bytes(canonical_json({"splits": {"test": "t"}}))
        for name in set(REQUIRED) - {path.name for path in draft.path.iterdir()}:
            (draft.path / name).write_bytes(b"of no interest here")
    known = {
        "run_id": "run",
        "dataset": prepared.dataset,
        "raw_digest": "r",
        "prepared_digest": prepared.digest,
        "test_digest": "t",
        "recipe": result.recipe,
        "parameters": result.parameters,
        "seed": result.seed,
        "weights_digest": result.weights_digest,
        "device": result.device,
        "backend": result.backend,
        "parent": result.parent,
        "parent_weights": result.parent_weights,
    }
    made_from = provenance.collect(**{**known, **changes})
    infra = nights.infra(store, folder)
    return versions.register(
        store, prepared.dataset, folder, decision=nights.decision(), provenance=made_from, infra=infra
    )


@pytest.mark.fault("F-45")
def test_a_version_trained_again_has_the_same_weights(store: Store) -> None:
    """The provenance is enough to get the very same weights, and the registry is not touched."""
    version = registered(store, prepare(store))
    before = nights.tree(store.root)
    result = replay(store, version)
    assert result.same
    assert result.differing == {}
    assert result.sentence.endswith("the same weights, bit by bit")
    assert nights.tree(store.root) == before


def test_an_input_that_differs_is_named(store: Store) -> None:
    """Another seed in the provenance, as if the code had changed: other weights, and what is not as it was is named."""
    version = registered(store, prepare(store), seed=8, device="a processor of long ago")
    result = replay(store, version)
    assert not result.same
    assert result.differing.keys() == {"device"}
    assert result.differing["device"][0] == "a processor of long ago"
    assert result.sentence.endswith("other weights; these inputs differ: device")


def test_data_that_are_gone_cannot_be_trained_on(store: Store) -> None:
    """Without the prepared data there is nothing to replay; the message says how to get them back."""
    version = registered(store, prepare(store), prepared_digest="0" * 64)
    with pytest.raises(BadInput, match="prepared data 000000000000, which this home no longer has") as refused:
        replay(store, version)
    assert "nightshift retrain mnist-sample --mode dry-run" in refused.value.hint


def test_a_night_of_growing_data_is_trained_again_from_its_snapshot(store: Store) -> None:
    """After more images came, and without prepared/: the same weights; without the snapshot, it says what is lost."""
    first = growing.night(store, 1, {"train": 300, "validation": 30, "test": 60}, (12, 12))
    ref = growing.snapshot(store, first, shape=(12, 12))
    prepared = growing.prepare(store, ref, (12, 12))
    catalogue.write(store, replace(growing.row(ref, (12, 12)), origin=Origin("zoo")))
    version = registered(store, prepared, raw_digest=ref.digest)
    later = growing.snapshot(store, [*first, *growing.night(store, 2, {"train": 50}, (12, 12))], shape=(12, 12))
    catalogue.write(store, replace(growing.row(later, (12, 12)), origin=Origin("zoo")))
    shutil.rmtree(store.root / "prepared")
    assert replay(store, version).same
    shutil.rmtree(store.root / "prepared")
    shutil.rmtree(store.snapshot(ref.digest))
    with pytest.raises(BadInput, match="no longer has") as refused:
        replay(store, version)
    assert "restore the snapshot" in refused.value.hint


def test_a_warm_start_is_trained_again_from_its_parent(store: Store) -> None:
    """The provenance names the version it began with; without that version, replaying says so."""
    prepared, text = prepare(store), "mlp:hidden=8,least_steps=20"
    first = registered(store, prepared, Candidate.parse(text), run_id="one")
    warm = Candidate.parse(f"{text},warm_start=champion", seed=1)
    parent = Parent(first.id, first.weights_digest, first.folder)
    second = registered(store, prepared, warm, parent, run_id="two")
    assert (second.provenance().parent, second.provenance().parent_weights) == (first.id, first.weights_digest)
    assert replay(store, second).same
    first.folder.rename(first.folder.with_name("kept-elsewhere"))
    with pytest.raises(BadInput, match=r"mnist-sample/2 began with the weights .* of mnist-sample/1, which") as refused:
        replay(store, second)
    assert "from a backup" in refused.value.hint
