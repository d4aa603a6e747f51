"""Does all of it work here? A night on the bundled sample, and two things that must not get through.

Needs no network and leaves nothing behind: it works in a home of its own, which is removed in the end.
"""

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from prefect import flow
from prefect.artifacts import create_markdown_artifact
from prefect.client.schemas.objects import State
from prefect.states import Completed

from artifacts.registry import champions
from artifacts.reporting.markdown import table, text
from artifacts.reporting.summary import NightReport
from data import catalogue, source
from data.corruptions import CORRUPTIONS
from data.dataset import Dataset, RawData
from data.errors import Broken, DataRefused
from data.idx import write_idx
from data.store import Store
from flows.prepare import prepare
from flows.retrain import retrain
from flows.runs.names import explained
from flows.settings import temporary_home

SAMPLE = "mnist-sample"
CORRUPTED = "mnist-sample-corrupted"
CORRUPTION = "labels shifted"  # each label moved to the next image: every count and every pixel is still right
GOOD = "tiny"
BAD = "tiny:epochs=1,learning_rate=1e-06"  # so slow that it guesses
ASK = "do not trust this installation; report it with the log of this run"


@dataclass(frozen=True)
class Outcome:
    """What a smoke run saw: one sentence each.

    Args:
        refused: what the expectations said to the corrupted data.
        promoted: what the gate said to the good model.
        rejected: what the gate said to the bad model.
        seconds: it took, without the start of the server.
    """

    refused: str
    promoted: str
    rejected: str
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """Return the fields as plain values."""
        return asdict(self)

    def rows(self) -> list[tuple[str, str]]:
        """Return what was tried and what came of it, for a table."""
        return [
            ("corrupted data", f"refused: {self.refused}"),
            ("a good model", self.promoted),
            ("a bad model", self.rejected),
        ]


@flow(flow_run_name="smoke")
@explained
def smoke() -> State[Outcome]:
    """Run the pipeline on a tiny bundled dataset: refuse corrupted data, promote a good model, reject a bad one."""
    began = time.monotonic()
    with temporary_home() as here:
        refused = _refused(here.store)
        promoted = _promoted(here.store)
        rejected = _rejected(here.store)
    outcome = Outcome(refused, promoted, rejected, round(time.monotonic() - began, 1))
    rows = [(text(tried), text(said)) for tried, said in outcome.rows()]
    create_markdown_artifact(table(("tried", "what came of it"), rows), key="smoke", description="All as it should be")
    return Completed(name="Passed", message=f"All as it should be, in {outcome.seconds:.0f} s", data=outcome)


def _refused(store: Store) -> str:
    """Hand corrupted data to the flow `prepare`, and require that it stops there."""
    corrupted = _plant_corrupted(store)
    state: State[Any] = prepare(corrupted.name, return_state=True)
    error = state.result(raise_on_failure=False)
    if isinstance(error, DataRefused):
        return error.problem.splitlines()[0].rstrip(":")  # the details are in the log of this run
    if isinstance(error, BaseException):
        raise error  # it was stopped by something else: that is no proof
    raise Broken(f"expected the data to be refused ({CORRUPTION}), but it passed its expectations", ASK)


def _promoted(store: Store) -> str:
    """Train a model that is good enough, and require that it becomes champion."""
    night = _night(GOOD)
    champion = champions.champion_id(store, SAMPLE)
    if not night.promoted or champion != f"{SAMPLE}/1":
        raise Broken(f"expected the first good model to become champion, but {_said(night)}", ASK)
    return _said(night)


def _rejected(store: Store) -> str:
    """Train a model that has learnt nothing, and require that the champion stays."""
    before = champions.champion_id(store, SAMPLE)
    night = _night(BAD)
    if night.promoted or champions.champion_id(store, SAMPLE) != before:
        raise Broken(f"expected a model that guesses to be held back, but {_said(night)}", ASK)
    return _said(night)


def _night(recipe: str) -> NightReport:
    state: State[Any] = retrain(SAMPLE, [recipe], device="cpu", return_state=True)
    night: NightReport = state.result()
    return night


def _said(night: NightReport) -> str:
    return f"{night.headline}: {night.reason}"


def _plant_corrupted(store: Store) -> Dataset:
    """Add a corrupted copy of the sample under its own name, of which the sample's statistics are expected."""
    sample = catalogue.get(store, SAMPLE)
    genuine = source.read_raw(store, sample, source.download(store, sample))
    corrupted = next(one for one in CORRUPTIONS if one.name == CORRUPTION).apply(genuine)
    folder = store.scratch()
    folder.mkdir()
    _write(folder, corrupted)
    return catalogue.add(store, CORRUPTED, folder, sample.class_names, expected=sample.reference)


def _write(folder: Path, data: RawData) -> None:
    for role, name in (("train", "train"), ("test", "t10k")):
        images, labels = getattr(data, f"{role}_images"), getattr(data, f"{role}_labels")
        (folder / f"{name}-images-idx3-ubyte").write_bytes(write_idx(images))
        (folder / f"{name}-labels-idx1-ubyte").write_bytes(write_idx(labels.astype("uint8")))
