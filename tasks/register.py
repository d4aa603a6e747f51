"""Step 8: record the decision, and replace the champion if the verdict is PROMOTE."""

from typing import Any

from prefect import task

from artifacts.judging.verdict import Judged
from artifacts.models import provenance
from artifacts.models.provenance import Provenance
from artifacts.registry import champions, versions
from data.home.store import Store
from data.prepared import parquet
from data.prepared.parquet import PreparedRef
from tasks.progress import say


@task(task_run_name="register {prepared.dataset}")
def register(store: Store, prepared: PreparedRef, judged: Judged, run: str, who: str) -> Provenance:
    """Register a promoted model and make it champion; write any other verdict into the ledger.

    A dry run and an unchanged night write nothing.

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
    if decision.mode == "dry-run" or judged.unchanged:
        say("register", "nothing to write")
    elif decision.verdict == "PROMOTE":
        assert judged.infra is not None  # it is None on an unchanged night only
        documents: dict[str, Any] = {"decision": decision.to_json(), "provenance": origin, "infra": judged.infra}
        version = versions.register(store, prepared.dataset, store.trained(chosen.ref.digest), **documents)
        why = decision.force_reason or decision.reason
        champions.promote(store, version, generation=judged.generation, who=who, why=why)
        say("register", f"{version.id} is champion")
    else:
        documents = {"decision": decision.to_json(), "provenance": origin}
        champions.record(store, prepared.dataset, decision.verdict.lower(), who=who, why=decision.reason, **documents)
        say("register", f"{decision.verdict} is in the ledger; the champion is unchanged")
    return origin
