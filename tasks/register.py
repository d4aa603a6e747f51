"""Step 8: keep what was decided, and move the champion if the gate says so."""

from typing import Any

from prefect import task

from artifacts.judging.verdict import Judged
from artifacts.models import provenance
from artifacts.models.provenance import Provenance
from artifacts.registry import champions, versions
from data import parquet
from data.parquet import PreparedRef
from data.store import Store
from tasks.progress import say


@task(task_run_name="register {prepared.dataset}")
def register(store: Store, prepared: PreparedRef, judged: Judged, run: str, who: str) -> Provenance:
    """Give a promoted model a version and the champion's place; write any other verdict into the ledger.

    A dry run and an unchanged night write nothing.

    Returns:
        What the winner was made from.
    """
    decision, chosen = judged.decision, judged.chosen
    made_from = provenance.collect(
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
    )
    if decision.mode == "dry-run" or judged.unchanged:
        say("register", "nothing to write")
    elif decision.verdict == "PROMOTE":
        assert judged.infra is not None  # only an unchanged night goes without
        gates: dict[str, Any] = {"decision": decision.to_json(), "provenance": made_from, "infra": judged.infra}
        version = versions.register(store, prepared.dataset, store.trained(chosen.ref.digest), **gates)
        why = decision.force_reason or decision.reason
        champions.promote(store, version, generation=judged.generation, who=who, why=why)
        say("register", f"{version.id} is champion")
    else:
        told: dict[str, Any] = {"decision": decision.to_json(), "provenance": made_from}
        champions.record(store, prepared.dataset, decision.verdict.lower(), who=who, why=decision.reason, **told)
        say("register", f"{decision.verdict} is in the ledger; the champion stays")
    return made_from
