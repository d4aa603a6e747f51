"""The night: prepare the data, train the candidates, judge the best of them, keep what was decided, and say so."""

from prefect import flow
from prefect.client.schemas.objects import State

from artifacts.reporting.summary import NightReport
from flows.prepare import prepare
from flows.runs.fanout import train_all
from flows.runs.forms import AS_USUAL, CANDIDATES, DatasetName, Device, Mode, PolicyChanges, Recipes, Seed, Seeds
from flows.runs.names import explained, night_name
from flows.runs.night import Night
from flows.train import train
from tasks.choose import choose
from tasks.decide import decide
from tasks.register import register
from tasks.report import report


@flow(flow_run_name=night_name)
@explained
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
    """Retrain on one dataset and promote the best candidate if it is really better than the champion.

    Args:
        dataset: What to learn.
        recipes: What to train. The best on the validation images goes before the gate.
        seed: Decides initial weights, order of images and augmentation: any whole number.
        seeds: Seeds per recipe, 1 to 9. The recipe with the best mean goes on, with its median seed.
        device: Where to train. auto takes a GPU if there is one; gpu fails where there is none.
        mode: dry-run shows the decision and changes nothing; force promotes what the floors allow, and needs a reason.
        reason: Why you force it, in a sentence; the ledger keeps it. Not asked for otherwise.
        policy: What a model must fulfil tonight. What is left empty is as the dataset has it.
    """
    with Night.begin(dataset, policy, mode, reason) as night:
        prepared = prepare(dataset)
        outcomes = train_all(train, prepared, night.candidates(recipes, seed, seeds), device)
        finished = choose(night.store, outcomes)
        judged = decide(night.store, prepared, finished, night.policy, mode, reason, night.serving)
        made_from = register(night.store, prepared, judged, night.run, night.who)
        told = night.told(prepared, outcomes, finished, judged, made_from)
        report(night.store, prepared, judged.chosen.ref, told)
        return night.ended(told)
