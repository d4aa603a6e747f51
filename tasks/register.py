"""Step 8: record the decision; on PROMOTE replace the champion, or let a person decide."""

from typing import Any

from prefect import task

from artifacts.judging.verdict import Judged, asks
from artifacts.models import provenance
from artifacts.models.provenance import Provenance
from artifacts.registry import card, champions, versions, waiting
from data.home.store import Store
from data.prepared import parquet
from data.prepared.parquet import PreparedRef
from tasks.progress import say


@task(task_run_name="register {prepared.dataset}")
def register(store: Store, prepared: PreparedRef, judged: Judged, run: str, who: str) -> Provenance:
    """Register a promoted model and make it champion, or let it wait; write any other verdict into the ledger.

    A dry run writes nothing, and an unchanged night at most that what waited has expired.

    Args:
        store: the home.
        prepared: tonight's data.
        judged: tonight's decision.
        run: the run's id.
        who: a person or "schedule", for the ledger.

    Returns:
        The winner's origin: run, data, recipe, weights, code, libraries.
    """
    decision, chosen = judged.decision, judged.chosen
    origin = provenance.collect(
        backend=chosen.training.get("backend", "tensorflow"),
        run_id=run,
        dataset=prepared.dataset,
        raw_digest=parquet.describe(store, prepared)["raw"],
        prepared_digest=prepared.digest,
        test_digest=judged.test_digest,
        recipe=chosen.ref.candidate.recipe,
        parameters=chosen.ref.candidate.resolved(),
        seed=chosen.ref.candidate.seed,
        weights_digest=chosen.training["weights_digest"],
        device=chosen.training["device"],
        parent=chosen.training.get("parent", ""),
        parent_weights=chosen.training.get("parent_weights", ""),
    )
    if decision.mode == "dry-run":
        say("register", "nothing to write")
        return origin
    if expired := waiting.expire(store, prepared.dataset, who=who):
        say("register", f"{expired.to_version} no longer waits for approval: {expired.why}")
    if judged.unchanged:
        say("register", "nothing to write")
    elif decision.verdict == "PROMOTE":
        _register_version(store, judged, origin, who)
    else:
        documents: dict[str, Any] = {"decision": decision.to_json(), "provenance": origin}
        champions.record(store, prepared.dataset, decision.verdict.lower(), who=who, why=decision.reason, **documents)
        say("register", f"{decision.verdict} is in the ledger; the champion is unchanged")
    return origin


def _register_version(store: Store, judged: Judged, origin: Provenance, who: str) -> None:
    """Store the winner as a version, and make it champion, or let it wait for a person if the policy asks one."""
    decision, candidate = judged.decision, store.trained(judged.chosen.ref.digest)
    assert judged.infra is not None  # it is None on an unchanged night only
    documents: dict[str, Any] = {"decision": decision.to_json(), "provenance": origin, "infra": judged.infra}
    about = card.about(store, origin.dataset)
    version = versions.register(store, origin.dataset, candidate, about=about, **documents)
    if asks(decision):
        token, recipe = judged.generation, judged.recipe
        waiting.wait(store, version, recipe=recipe, generation=token, who=who, why=decision.reason)
        say("register", f"{version.id} waits for a person: nightshift approve {version.id} --reason WHY, or decline")
    else:
        why = decision.force_reason or decision.reason
        champions.promote(store, version, generation=judged.generation, who=who, why=why)
        say("register", f"{version.id} is champion")
