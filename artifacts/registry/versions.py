"""Registered models: immutable, numbered per dataset, complete or not there.

A version is a folder with a manifest, published in one step under the dataset's lock, so that no number is ever used
twice and no reader sees half of one. Who is champion is not written here: see `artifacts.registry.champions`.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from artifacts.models import bundle
from artifacts.models.provenance import Provenance
from artifacts.registry import ledger, pointer
from artifacts.registry.ledger import Entry
from artifacts.serving.check import InfraResult
from data.errors import BadInput, Corrupt, UnknownName
from data.files import file_sha256
from data.layout import NAME
from data.store import MANIFEST, Store
from data.values import canonical_json

DECISION, PROVENANCE, INFRA = "decision.json", "provenance.json", "infra.json"
VERSION_ID = re.compile(r"(?P<dataset>[a-z0-9][a-z0-9._-]*)/(?P<number>[1-9][0-9]{0,8})")


@dataclass(frozen=True)
class Version:
    """One registered model.

    Args:
        dataset: name.
        number: 1, 2, 3...; never used twice.
        folder: its files, as `artifacts.models.bundle` lists them.
        run_id: the run that trained it.
        recipe: what it was trained by.
        weights_digest: the identity of the model.
        manifest_digest: SHA-256 of its manifest, which holds the SHA-256 of every file.
    """

    dataset: str
    number: int
    folder: Path
    run_id: str
    recipe: str
    weights_digest: str
    manifest_digest: str

    @property
    def id(self) -> str:
        """The name that people use, as "mnist/3"."""
        return f"{self.dataset}/{self.number}"

    @property
    def model(self) -> Path:
        """The saved model; load it with `artifacts.models.loading`."""
        return self.folder / bundle.MODEL

    def document(self, name: str) -> dict[str, Any]:
        """Return one of its JSON files, such as "metrics.json" or "decision.json".

        Raises:
            Corrupt: missing or not readable.
        """
        try:
            value: dict[str, Any] = json.loads((self.folder / name).read_bytes())
        except (OSError, ValueError) as error:
            raise Corrupt(f"{self.id} has no readable {name} ({error})", "run 'nightshift verify'") from error
        return value

    def provenance(self) -> Provenance:
        """Return what it was made from."""
        return Provenance.from_json(self.document(PROVENANCE))


def versions(store: Store, dataset: str) -> tuple[Version, ...]:
    """Return the complete versions of a dataset in order; what is half written or damaged is for `audit.verify`."""
    found = []
    for number in numbers(store, dataset):
        try:
            found.append(load(store, dataset, number))
        except Corrupt:
            continue  # one rotten version must not hide the others; asking for it by name says what is wrong with it
    return tuple(found)


def find(store: Store, name: str) -> Version:
    """Return the version called, say, "mnist/3".

    Raises:
        UnknownName: there is none.
        Corrupt: there is, but its manifest is not readable.
    """
    match = VERSION_ID.fullmatch(name)
    if match and int(match["number"]) in numbers(store, match["dataset"]):
        return load(store, match["dataset"], int(match["number"]))
    known = [version.id for dataset in datasets(store) for version in versions(store, dataset)]
    raise UnknownName.among("version", name, known)


def datasets(store: Store) -> tuple[str, ...]:
    """Return the datasets that have registered models or decisions about them."""
    folder = store.models()
    names = (path.name for path in folder.iterdir()) if folder.is_dir() else ()
    return tuple(sorted(name for name in names if NAME.fullmatch(name)))


def registered(store: Store, dataset: str, run_id: str, weights_digest: str) -> Version | None:
    """Return the version that a run registered for these weights: the answer to "was this done before the crash?"."""
    for version in versions(store, dataset):
        if (version.run_id, version.weights_digest) == (run_id, weights_digest):
            return version
    return None


def verify_version(store: Store, version: Version, entries: tuple[Entry, ...]) -> None:
    """Hash every file of a version, and its manifest against the moves that name it.

    Raises:
        Corrupt: a file differs from the manifest, or the manifest from the ledger.
    """
    store.verify(version.folder)
    told = {entry.digests.get("manifest") for entry in entries if entry.to_version == version.id} - {None}
    if told and told != {version.manifest_digest}:
        raise Corrupt(f"the manifest of {version.id} is not the one in the ledger", "restore it, or roll back")


def numbers(store: Store, dataset: str) -> tuple[int, ...]:
    """Return the numbers that have a folder, complete or not."""
    folder = _without_links(store.versions(dataset))
    names = (path.name for path in folder.iterdir()) if folder.is_dir() else ()
    return tuple(sorted(int(name) for name in names if re.fullmatch("[1-9][0-9]{0,8}", name)))


def load(store: Store, dataset: str, number: int) -> Version:
    """Return the version with this number; only its manifest is read.

    Raises:
        Corrupt: it has no readable manifest, or is somebody else.
    """
    folder = _without_links(store.versions(dataset)) / str(number)
    if folder.is_symlink():
        raise Corrupt(f"{folder} is a symbolic link", "put the folder itself there")
    if not folder.is_dir():
        raise Corrupt(f"{dataset}/{number} is not there any more", f"restore {folder} from a backup, or roll back")
    meta, manifest_digest = store.meta(folder), file_sha256(folder / MANIFEST)
    if (meta.get("dataset"), meta.get("number")) != (dataset, number):
        raise Corrupt(
            f"{folder} says that it is {meta.get('dataset')}/{meta.get('number')}", "move it to where it belongs"
        )
    return Version(dataset, number, folder, meta["run_id"], meta["recipe"], meta["weights_digest"], manifest_digest)


def register(
    store: Store,
    dataset: str,
    candidate: Path,
    *,
    decision: Mapping[str, Any],
    provenance: Provenance,
    infra: InfraResult,
) -> Version:
    """Give a candidate that passed every gate a number, and keep it for ever.

    Args:
        store: the home.
        dataset: name.
        candidate: the candidate's published folder, with everything that `bundle.REQUIRED` lists.
        decision: the gate's decision as JSON; its "verdict" must be PROMOTE.
        provenance: what the candidate was made from.
        infra: what the fresh process found.

    Returns:
        The new version, or the one that the same run registered for the same weights before.

    Raises:
        BadInput: a gate did not let it through, or the gates speak of different models.
        Corrupt: the candidate's files have changed or are not all there.
        StorageFailed: the home cannot be written; nothing was registered.
    """
    bundle.check(store, candidate)
    _require_gates(store, dataset, candidate, decision=decision, provenance=provenance, infra=infra)
    with pointer.writing(store, dataset) as now:
        known = registered(store, dataset, provenance.run_id, provenance.weights_digest)
        if known:
            return known
        number = 1 + max((*numbers(store, dataset), *_told(dataset, now.entries)), default=0)
        with store.publish(store.versions(dataset) / str(number)) as draft:
            bundle.copy(store, candidate, draft.path)
            documents = {DECISION: dict(decision), PROVENANCE: provenance.to_json(), INFRA: infra.to_json()}
            for name, value in documents.items():
                (draft.path / name).write_bytes(canonical_json(ledger.plain(value)))
            draft.meta |= {
                "dataset": dataset,
                "number": number,
                "run_id": provenance.run_id,
                "recipe": provenance.recipe,
                "weights_digest": provenance.weights_digest,
            }
        return load(store, dataset, number)


def _without_links(folder: Path) -> Path:
    """Return a folder of versions, if it lies where it seems to lie."""
    for path in (folder.parent, folder):
        if path.is_symlink():
            raise Corrupt(f"{path} is a symbolic link", "put the folder itself there")
    return folder


def _require_gates(
    store: Store,
    dataset: str,
    candidate: Path,
    *,
    decision: Mapping[str, Any],
    provenance: Provenance,
    infra: InfraResult,
) -> None:
    require_verdict(decision, "PROMOTE")
    if not infra.passed:
        raise BadInput(f"the model does not serve: {infra.message}", "only what serves gets registered")
    model = store.files(candidate).get(bundle.MODEL, {}).get("sha256")
    trained = json.loads((candidate / "training.json").read_bytes())
    scored = json.loads((candidate / "metrics.json").read_bytes())
    claims = {
        "dataset": (dataset, provenance.dataset),
        "model file": (model, infra.model_sha256),
        "weights digest": (trained.get("weights_digest"), provenance.weights_digest),
        "test set": (scored.get("splits", {}).get("test"), provenance.test_digest),
        **{
            name: (decision[name], getattr(provenance, name))
            for name in ("run_id", "weights_digest", "prepared_digest")
            if decision.get(name) is not None
        },
    }
    for what, (one, other) in claims.items():
        if one != other:
            raise BadInput(f"the gates speak of different candidates: {what} {one} and {other}", "run again")


def require_verdict(decision: Mapping[str, Any], verdict: str) -> None:
    """Check that a decision says what it is used for.

    Raises:
        BadInput: it has another verdict, or was computed in a dry run.
    """
    if str(decision.get("verdict")).upper() != verdict:
        raise BadInput(
            f"the gate said {decision.get('verdict')}, not {verdict}: {decision.get('reason', 'no reason given')}",
            "only what the gate promotes becomes a version",
        )
    if decision.get("mode") == "dry-run":
        raise BadInput("this decision was a dry run", "a dry run changes nothing; run again without it")


def _told(dataset: str, entries: tuple[Entry, ...]) -> tuple[int, ...]:
    names = (name for entry in entries for name in (entry.from_version, entry.to_version) if name)
    return tuple(int(name.removeprefix(f"{dataset}/")) for name in names)
