import pytest

from artifacts.models import provenance
from artifacts.models.bundle import REQUIRED
from artifacts.operations.replay import replay
from artifacts.recipes.candidate import Candidate
from artifacts.registry import versions
from artifacts.registry.versions import Version
from artifacts.training.train import train
from data.errors import BadInput
from data.home.store import Store
from data.prepared.parquet import PreparedRef
from data.values import canonical_json, digest_of
from tests.artifacts.registry import nights
from tests.artifacts.small import prepare

pytestmark = pytest.mark.slow

CANDIDATE = Candidate.parse("tiny:epochs=1", seed=7)


def registered(store: Store, prepared: PreparedRef, **changes: object) -> Version:
    """Train on the bundled sample, and register where the model comes from, or something else."""
    folder = store.trained(digest_of("candidate"))
    with store.publish(folder) as draft:
        result = train(store, prepared, CANDIDATE, draft.path)
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
    }
    made_from = provenance.collect(**{**known, **changes})
    infra = nights.infra(store, folder)
    return versions.register(
        store, prepared.dataset, folder, decision=nights.decision(), provenance=made_from, infra=infra
    )


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
