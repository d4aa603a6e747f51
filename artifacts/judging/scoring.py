"""The gate's evidence: candidate and champion scored on tonight's test images in one process.

No recorded accuracy is used: it may have been measured on other images, by other code, or on another device.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from artifacts.evaluation.candidates import Trained
from artifacts.evaluation.perturbations import perturbed
from artifacts.evaluation.test_set import TestSet
from artifacts.gate.evidence import Champion, Evidence, Look, Scored
from artifacts.judging.grown_test_set import growing_of
from artifacts.models import bundle, loading, predictions
from artifacts.models.bundle import MODEL
from artifacts.registry import champions, ledger, versions
from artifacts.registry.versions import Version
from data.dataset import Dataset
from data.errors import Broken, Corrupt, UnknownName, Unloadable
from data.home.store import Store
from data.prepared import parquet
from data.prepared.parquet import PreparedRef
from data.prepared.split_images import slices
from data.values import digest_of, from_json

DATA = ("prepared",)  # what a training's record says about its data


@dataclass(frozen=True, eq=False)
class Scores:
    """The candidate's predictions on the test images.

    Args:
        scored: what the gate decides from; its latency is not measured yet.
        probabilities: float32 of shape (n, c).
    """

    scored: Scored
    probabilities: npt.NDArray[np.float32]


def score_candidate(store: Store, chosen: Trained, tests: TestSet) -> Scores:
    """Score the candidate on the test images and on shifted, noisy and rotated copies of them.

    Raises:
        Corrupt: a file of the candidate is missing or has changed.
    """
    return score_folder(store, store.trained(chosen.ref.digest), chosen.ref.candidate.name, tests)


def score_folder(store: Store, folder: Path, name: str, tests: TestSet) -> Scores:
    """Score the model in a published folder, a candidate's or a version's, under a name.

    Raises:
        Corrupt: a file is missing or has changed.
        Unloadable: it is whole, but cannot be loaded.
    """
    probabilities, robustness = score_images(loading.load_recorded(store, folder), tests)
    scored = Scored(
        name=name,
        predicted=probabilities.argmax(axis=1).astype(np.int64),
        finite=bool(np.isfinite(probabilities).all()),
        megabytes=store.files(folder)[MODEL]["bytes"] / 1e6,
        robustness=robustness,
    )
    return Scores(scored, probabilities)


def score_images(model: Any, tests: TestSet) -> tuple[npt.NDArray[np.float32], dict[str, float]]:
    """Return a model's probabilities for the test images, and the share it gets right of each kind of changed copy.

    Some megabytes of images, and of their copies, are in memory at a time.
    """
    probabilities, hits, noise = [], Counter[str](), np.random.default_rng(0)
    for part in slices(tests.images):
        images, labels = tests.images[part], tests.labels[part]
        probabilities.append(loading.predict(model, images))
        for name, copies in perturbed(images, noise, tests.ground).items():
            hits[name] += int(np.sum(loading.predict(model, copies).argmax(axis=1) == labels))
    return np.concatenate(probabilities), {name: right / len(tests.labels) for name, right in hits.items()}


def score_champion(store: Store, dataset: str, tests: TestSet) -> Champion | None:
    """Return the champion's predictions on the test images, or why there are none; None before the first promotion."""
    name = f"the champion of {dataset}"
    try:
        version = champions.champion(store, dataset)
        if version is None:
            return None
        name = version.id
        classes, provenance = bundle.class_names(version.folder), version.provenance()
        model = loading.load_recorded(store, version.folder)
    except Corrupt as error:
        return Champion(name, None, (), "", "corrupt", error.problem)
    except UnknownName as error:
        return Champion(name, None, (), "", "missing", error.problem)
    except Unloadable as error:
        return Champion(name, None, classes, provenance.test_digest, "unloadable", error.problem)
    if tuple(model.input_shape[1:]) != tests.images.shape[1:]:
        size = "×".join(map(str, model.input_shape[1:]))
        problem = f"it takes images of {size}, tonight's have {'×'.join(map(str, tests.images.shape[1:]))}"
        return Champion(name, None, classes, provenance.test_digest, "unfit", problem)
    return Champion(name, _predicted(model, tests), classes, provenance.test_digest)


def accuracy_of(store: Store, version: Version, tests: TestSet) -> float:
    """Return the share of tonight's test images that a registered version gets right.

    Raises:
        Corrupt: its model file has changed.
        Unloadable: it is whole, but cannot be loaded.
        BadInput: it takes images of another size.
    """
    model = loading.load_recorded(store, version.folder)
    return float(np.mean(_predicted(model, tests) == tests.labels))


def _predicted(model: Any, tests: TestSet) -> npt.NDArray[np.int64]:
    """Return the most probable class of every test image; some megabytes of images are in memory at a time."""
    parts = (loading.predict(model, tests.images[part]).argmax(axis=1) for part in slices(tests.images))
    return np.concatenate([part.astype(np.int64) for part in parts])


def require_recorded_predictions(store: Store, dataset: str, tests: TestSet) -> Champion | None:
    """Check that the champion still predicts what it predicted when it was registered.

    Without a champion, or with one that was promoted on another test set, there is nothing to check.

    Returns:
        The champion's answers now; None without a champion.

    Raises:
        Broken: it predicts something else now, or cannot be loaded.
    """
    champion = score_champion(store, dataset, tests)
    if champion is None:
        return None
    if champion.predicted is None:
        raise _unusable(champion.version, champion.problem)
    if champion.test_digest != tests.digest:
        return champion
    recorded = predictions.read(versions.find(store, champion.version).folder / "predictions-test.parquet").predicted
    different = int(np.sum(champion.predicted != recorded))
    if different:
        raise Broken(
            f"{champion.version} is champion, but its predictions for {different} of {len(recorded)} images are not "
            "those recorded",
            "libraries or hardware have changed: see 'nightshift show', or train it again with another seed",
        )
    return champion


def require_whole(store: Store, dataset: str) -> None:
    """Check that the files of the champion, if there is one, are those that were registered.

    Raises:
        Broken: they are not.
    """
    try:
        champions.champion(store, dataset)
    except (Corrupt, UnknownName) as error:
        raise _unusable(champions.champion_id(store, dataset) or dataset, error.problem) from error


def _unusable(champion: str, problem: str) -> Broken:
    return Broken(
        f"{champion} is champion, but {problem}",
        "run 'nightshift verify --load', then roll back to a version that loads",
    )


def gather(
    store: Store,
    dataset: Dataset,
    tests: TestSet,
    candidate: Scored,
    chosen: Trained,
    siblings: Sequence[Trained],
    champion: Champion | None,
    when: date,
    prepared: PreparedRef | None = None,
) -> Evidence:
    """Collect everything that tonight's decision depends on.

    Args:
        store: the home.
        dataset: the catalogue's row.
        tests: tonight's test images.
        candidate: the winner's predictions on them.
        chosen: the winner's training and metrics.
        siblings: all other seeds of the same recipe that finished.
        champion: the champion's predictions on the same images; None before the first promotion.
        when: the UTC date.
        prepared: tonight's data; needed for a dataset that grows.
    """
    return evidence_about(
        store,
        dataset,
        tests,
        candidate,
        weights=chosen.training["weights_digest"],
        recipe=fingerprint(store, chosen, data=not (prepared and _grows(store, dataset, prepared))),
        siblings=[recorded_predictions(store, one) for one in siblings],
        champion=champion,
        when=when,
        prepared=prepared,
    )


def evidence_about(
    store: Store,
    dataset: Dataset,
    tests: TestSet,
    candidate: Scored,
    *,
    weights: str,
    recipe: str,
    siblings: Sequence[npt.NDArray[np.int64]],
    champion: Champion | None,
    when: date,
    prepared: PreparedRef | None,
) -> Evidence:
    """Collect what a decision about any model depends on, a candidate of tonight or a version.

    Args:
        store: the home.
        dataset: the catalogue's row.
        tests: the test images.
        candidate: the model's predictions on them.
        weights: the digest of its weights.
        recipe: the fingerprint of its recipe, see `fingerprint`.
        siblings: the predictions of all other seeds of the same recipe that finished.
        champion: the champion's predictions on the same images; None before the first promotion.
        when: the UTC date.
        prepared: the data; needed for a dataset that grows.
    """
    history = champions.history(store, dataset.name)
    looks = tuple(from_json(Look, look) for look in ledger.looks(history))
    growing = growing_of(store, prepared, looks) if prepared and dataset.growth else None
    barred = ledger.barred(history).get(weights)
    return Evidence(
        dataset=dataset.name,
        labels=tests.labels,
        class_names=dataset.class_names,
        n_expected=dataset.n_test,
        test_digest=tests.digest,
        when=when.isoformat(),
        candidate=candidate,
        recipe=recipe,
        champion=champion,
        siblings=tuple(siblings),
        looks=looks,
        growing=growing,
        barred=(barred.from_version or "an earlier version") if barred else "",
    )


def fingerprint(store: Store, trained: Trained, *, data: bool = True) -> str:
    """Return a digest of everything but the seed that decides the weights; without the data if these grow."""
    others = {"seed"} if data else {"seed", *DATA}
    inputs = {key: value for key, value in store.meta(store.trained(trained.ref.digest)).items() if key not in others}
    return digest_of(inputs)


def _grows(store: Store, dataset: Dataset, prepared: PreparedRef) -> bool:
    return bool(dataset.growth and parquet.describe(store, prepared).get("snapshot"))


def recorded_predictions(store: Store, trained: Trained) -> npt.NDArray[np.int64]:
    """Return the class that a candidate predicted for every test image when it was evaluated: int64 (n,)."""
    return predictions.read(store.trained(trained.ref.digest) / "predictions-test.parquet").predicted
