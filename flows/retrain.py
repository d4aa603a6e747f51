"""The night: prepare the data, train the candidates, judge the best one, register the decision, write the report."""

from prefect import flow
from prefect.client.schemas.objects import State

from artifacts.reporting.summary import NightReport
from flows.prepare import prepare
from flows.runs.fanout import train_all
from flows.runs.forms import AS_USUAL, CANDIDATES, DatasetName, Device, Mode, PolicyChanges, Recipes, Seed, Seeds
from flows.runs.names import errors_to_failed_state, night_name
from flows.runs.night import Night
from flows.train import train
from tasks.choose import choose
from tasks.decide import decide
from tasks.register import register
from tasks.report import report


@flow(flow_run_name=night_name)
@errors_to_failed_state
def retrain(
    dataset: DatasetName = "mnist",
    recipes: Recipes = CANDIDATES,
    seed: Seed = 0,
    seeds: Seeds = 1,
    device: Device = "auto",
    mode: Mode = "normal",
    reason: str = "",
    policy: PolicyChanges = AS_USUAL,
) -> State[NightReport]:
    """Retrain on one dataset and promote the best candidate if it is better than the champion beyond chance.

    Args:
        dataset: Dataset to train on.
        recipes: Recipes to train. The one with the best validation accuracy is compared with the champion.
        seed: Integer that determines initial weights, order of images and augmentation.
        seeds: Seeds per recipe, 1 to 9. The recipe with the best mean wins and is represented by its median seed.
        device: Where to train. auto uses a GPU if there is one; gpu fails if there is none.
        mode: dry-run decides and changes nothing; force skips the comparison, never the minimum requirements.
        reason: Why the promotion is forced, in one sentence; recorded in the ledger. Required by force.
        policy: Promotion policy of this run. An empty field keeps the dataset's value.
    """
    with Night.begin(dataset, policy, mode, reason) as begun:
        prepared = prepare(dataset)
        night, candidates = begun.on(prepared), begun.candidates(recipes, seed, seeds)
        if waits := night.waits(candidates):
            summary = night.postponed(prepared, waits)
            report(night.store, prepared, None, summary)
            return night.finish(summary)
        night.get_ready(candidates)
        outcomes = train_all(train, prepared, candidates, device)
        finished = choose(night.store, outcomes)
        judged = decide(
            night.store,
            night.dataset,
            prepared,
            finished,
            night.policy,
            mode,
            reason,
            night.serving,
            answered_lately=night.champion_answered_lately,
        )
        made_from = register(night.store, prepared, judged, night.run, night.who)
        summary = night.report(prepared, outcomes, finished, judged, made_from)
        report(night.store, prepared, judged.chosen.ref, summary)
        return night.finish(summary, candidates, answers=judged.answers)
