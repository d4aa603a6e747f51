"""Step 8: keep what was decided, and move the champion if the gate says so."""

from prefect import task

from artifacts import provenance, registry, versions
from artifacts.verdict import Judged
from data import parquet
from data.parquet import PreparedRef
from data.store import Store
from tasks.progress import say


@task(task_run_name="register {prepared.dataset}")
def register(store: Store, prepared: PreparedRef, judged: Judged, run: str, who: str) -> None:
    """Give a promoted model a version and the champion's place; write any other verdict into the ledger.

    A dry run and an unchanged night write nothing.
    """
    decision, chosen = judged.decision, judged.chosen
    if decision.mode == "dry-run" or judged.unchanged:
        say("register", "nothing to write")
        return
    made_from = provenance.collect(
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
    )
    if decision.verdict != "PROMOTE":
        action = decision.verdict.lower()
        told = decision.to_json()
        why = decision.reason
        registry.record(store, prepared.dataset, action, decision=told, provenance=made_from, who=who, why=why)
        say("register", f"{decision.verdict} is in the ledger; the champion stays")
        return
    assert judged.infra is not None  # only an unchanged night goes without
    version = versions.register(
        store,
        prepared.dataset,
        store.trained(chosen.ref.digest),
        decision=decision.to_json(),
        provenance=made_from,
        infra=judged.infra,
    )
    why = decision.force_reason or decision.reason
    registry.promote(store, version, generation=judged.generation, who=who, why=why)
    say("register", f"{version.id} is champion")
