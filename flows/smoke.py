"""Self-check of an installation: nights on the bundled sample, with corrupted data, a good and a bad model.

Needs no network and leaves nothing behind: it runs in a temporary home, which is removed afterwards.
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
from data import adding, catalogue
from data.dataset import Dataset, RawData
from data.errors import Broken, DataRefused
from data.home.store import Store
from data.importing.options import ImportOptions
from data.sources import source
from data.sources.idx import write_idx
from data.validation.corrupted.corruptions import CORRUPTIONS
from flows.prepare import prepare
from flows.retrain import retrain
from flows.runs.names import errors_to_failed_state
from flows.settings import temporary_home

SAMPLE = "mnist-sample"
CORRUPTED = "mnist-sample-corrupted"
CORRUPTION = "labels shifted"  # each label moved to the next image: every count and every pixel is still correct
GOOD = "tiny"
BAD = "tiny:epochs=1,learning_rate=1e-06"  # learns so slowly that it guesses
HINT = "do not use this installation; report this with the log of the run"


@dataclass(frozen=True)
class Outcome:
    """Results of a smoke run, one sentence each.

    Args:
        refused: which expectations failed on the corrupted data.
        promoted: the verdict on the good model.
        rejected: the verdict on the bad model.
        seconds: duration, without the start of the server.
    """

    refused: str
    promoted: str
    rejected: str
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """Return the fields as plain values."""
        return asdict(self)

    def rows(self) -> list[tuple[str, str]]:
        """Return (input, result) for each of the three, for a table."""
        return [
            ("corrupted data", f"refused: {self.refused}"),
            ("a good model", self.promoted),
            ("a bad model", self.rejected),
        ]


@flow(flow_run_name="smoke")
@errors_to_failed_state
def smoke() -> State[Outcome]:
    """Run the pipeline on a tiny bundled dataset: refuse corrupted data, promote a good model, reject a bad one."""
    began = time.monotonic()
    with temporary_home() as here:
        refused = _refused(here.store)
        promoted = _promoted(here.store)
        rejected = _rejected(here.store)
    outcome = Outcome(refused, promoted, rejected, round(time.monotonic() - began, 1))
    rows = [(text(given), text(result)) for given, result in outcome.rows()]
    create_markdown_artifact(table(("input", "result"), rows), key="smoke", description="All checks passed")
    return Completed(name="Passed", message=f"All checks passed in {outcome.seconds:.0f} s", data=outcome)


def _refused(store: Store) -> str:
    """Pass corrupted data to the flow `prepare`, and require that its expectations refuse it."""
    corrupted = _plant_corrupted(store)
    state: State[Any] = prepare(corrupted.name, return_state=True)
    error = state.result(raise_on_failure=False)
    if isinstance(error, DataRefused):
        return error.problem.splitlines()[0].rstrip(":")  # the details are in the log of this run
    if isinstance(error, BaseException):
        raise error  # another error proves nothing about the expectations
    raise Broken(f"expected the corrupted data ({CORRUPTION}) to be refused, but it passed its expectations", HINT)


def _promoted(store: Store) -> str:
    """Train a good model, and require that it becomes champion."""
    night = _night(GOOD)
    champion = champions.champion_id(store, SAMPLE)
    if not night.promoted or champion != f"{SAMPLE}/1":
        raise Broken(f"expected the first good model to become champion, but {_summary(night)}", HINT)
    return _summary(night)


def _rejected(store: Store) -> str:
    """Train a model that guesses, and require that the champion stays."""
    before = champions.champion_id(store, SAMPLE)
    night = _night(BAD)
    if night.promoted or champions.champion_id(store, SAMPLE) != before:
        raise Broken(f"expected a model that guesses to be rejected, but {_summary(night)}", HINT)
    return _summary(night)


def _night(recipe: str) -> NightReport:
    state: State[Any] = retrain(SAMPLE, [recipe], device="cpu", return_state=True)
    night: NightReport = state.result()
    return night


def _summary(night: NightReport) -> str:
    return f"{night.headline}: {night.reason}"


def _plant_corrupted(store: Store) -> Dataset:
    """Add a corrupted copy of the sample as a dataset that must match the sample's statistics."""
    sample = catalogue.get(store, SAMPLE)
    original = source.read_raw(store, sample, source.download(store, sample))
    corrupted = next(one for one in CORRUPTIONS if one.name == CORRUPTION).apply(original)
    folder = store.scratch()
    folder.mkdir()
    _write(folder, corrupted)
    return adding.add(
        store, CORRUPTED, folder, ImportOptions(classes=sample.class_names), expected=sample.reference
    ).row


def _write(folder: Path, data: RawData) -> None:
    for role, name in (("train", "train"), ("test", "t10k")):
        images, labels = getattr(data, f"{role}_images"), getattr(data, f"{role}_labels")
        (folder / f"{name}-images-idx3-ubyte").write_bytes(write_idx(images))
        (folder / f"{name}-labels-idx1-ubyte").write_bytes(write_idx(labels.astype("uint8")))
