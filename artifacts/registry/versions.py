"""Registered models: immutable, numbered per dataset, never visible half written.

A version is a folder with a manifest, published in one step under the dataset's lock, so that no number is ever used
twice and no reader sees half of one. Which version is champion: `artifacts.registry.champions`.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from artifacts.models import bundle
from artifacts.models.provenance import Provenance
from artifacts.registry import card, ledger, pointer, signing, traces
from artifacts.registry.ledger import Entry
from artifacts.serving.check import InfraResult
from data.errors import BadInput, Corrupt, UnknownName
from data.home.files import file_sha256
from data.home.layout import NAME
from data.home.plain_files import read_plain
from data.home.store import MANIFEST, Store
from data.values import canonical_json, plain

DECISION, PROVENANCE, INFRA = "decision.json", "provenance.json", "infra.json"
VERSION_ID = re.compile(r"(?P<dataset>[a-z0-9][a-z0-9._-]*)/(?P<number>[1-9][0-9]{0,8})")


@dataclass(frozen=True)
class Version:
    """One registered model.

    Args:
        dataset: the dataset's name.
        number: 1, 2, 3...; never used twice.
        folder: its files, as listed in `artifacts.models.bundle`.
        run_id: the run that registered it.
        recipe: the name of the recipe that trained it.
        weights_digest: SHA-256 of the weights: the identity of the model.
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
        """Its name, as "mnist/3"."""
        return f"{self.dataset}/{self.number}"

    @property
    def model(self) -> Path:
        """The saved model; load it with `artifacts.models.loading`."""
        return self.folder / bundle.MODEL

    def document(self, name: str) -> dict[str, Any]:
        """Return one of its JSON files, such as "metrics.json" or "decision.json", checked against its recorded hash.

        Raises:
            Corrupt: missing, not readable, or changed.
        """
        try:
            content, manifest = read_plain(self.folder / name), read_plain(self.folder / MANIFEST)
            value: dict[str, Any] = json.loads(content)
            recorded = json.loads(manifest)["files"][name]["sha256"]
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise Corrupt(f"{self.id} has no readable {name} ({error})", "run 'nightshift verify'") from error
        if (sha256(manifest).hexdigest(), sha256(content).hexdigest()) != (self.manifest_digest, recorded):
            raise Corrupt(f"{name} of {self.id} has changed since it was written", "run 'nightshift verify'")
        return value

    def provenance(self) -> Provenance:
        """Return its origin: run, data, recipe, code, libraries."""
        return Provenance.from_json(self.document(PROVENANCE))


def versions(store: Store, dataset: str) -> tuple[Version, ...]:
    """Return the complete versions of a dataset in order; `nightshift verify` reports those that are damaged."""
    found = []
    for number in numbers(store, dataset):
        try:
            found.append(load(store, dataset, number))
        except Corrupt:
            continue  # one damaged version must not hide the others; `find` reports what is wrong with it
    return tuple(found)


def find(store: Store, name: str) -> Version:
    """Return the version called, say, "mnist/3".

    Raises:
        UnknownName: there is no such version; the message lists those there are.
        Corrupt: its manifest is not readable.
    """
    match = VERSION_ID.fullmatch(name)
    if match and int(match["number"]) in numbers(store, match["dataset"]):
        return load(store, match["dataset"], int(match["number"]))
    known = [version.id for dataset in datasets(store) for version in versions(store, dataset)]
    raise UnknownName.among("version", name, known)


def datasets(store: Store) -> tuple[str, ...]:
    """Return the datasets that have registered models or decisions, sorted by name."""
    folder = store.models()
    names = (path.name for path in folder.iterdir()) if folder.is_dir() else ()
    return tuple(sorted(name for name in names if NAME.fullmatch(name)))


def registered(store: Store, dataset: str, run_id: str, weights_digest: str) -> Version | None:
    """Return the version that a run registered for these weights, if it did so before a crash; else None."""
    for version in versions(store, dataset):
        if (version.run_id, version.weights_digest) == (run_id, weights_digest):
            return version
    return None


def verify_version(store: Store, version: Version, entries: tuple[Entry, ...]) -> None:
    """Hash every file of a version, and its manifest against the moves that name it; check who vouches for it.

    Args:
        store: the home.
        version: the version.
        entries: the whole ledger.

    Raises:
        Corrupt: a file differs from the manifest, or the manifest from the ledger; or keys are configured, and no
            trusted one has signed it.
    """
    store.verify(version.folder)
    require_recorded(version, entries)
    signing.require_signed(store, version.id, version.folder, version.manifest_digest, entries)


def require_recorded(version: Version, entries: tuple[Entry, ...]) -> None:
    """Compare the manifest of a version with the moves that name it; no file is hashed.

    Raises:
        Corrupt: it is not the manifest in the ledger.
    """
    recorded = {entry.digests.get("manifest") for entry in entries if entry.to_version == version.id} - {None}
    if recorded and recorded != {version.manifest_digest}:
        raise Corrupt(
            f"the manifest of {version.id} is not the one in the ledger", "restore it from a backup, or roll back"
        )


def numbers(store: Store, dataset: str) -> tuple[int, ...]:
    """Return the numbers that have a folder, complete or not, in order."""
    folder = _without_links(store.versions(dataset))
    names = (path.name for path in folder.iterdir()) if folder.is_dir() else ()
    return tuple(sorted(int(name) for name in names if re.fullmatch("[1-9][0-9]{0,8}", name)))


def load(store: Store, dataset: str, number: int) -> Version:
    """Return the version with this number; only its manifest is read.

    Raises:
        Corrupt: it has no readable manifest, or is the folder of another version.
    """
    folder = _without_links(store.versions(dataset)) / str(number)
    if folder.is_symlink():
        raise Corrupt(f"{folder} is a symbolic link", "replace it with the folder itself")
    if not folder.is_dir():
        raise Corrupt(f"{dataset}/{number} is missing", f"restore {folder} from a backup, or roll back")
    meta, manifest_digest = store.meta(folder), file_sha256(folder / MANIFEST)
    if any(not isinstance(meta.get(name), str) for name in ("run_id", "recipe", "weights_digest")):
        raise Corrupt(f"the manifest of {dataset}/{number} is not that of a version", "restore it from a backup")
    if (meta.get("dataset"), meta.get("number")) != (dataset, number):
        raise Corrupt(
            f"{folder} has the manifest of {meta.get('dataset')}/{meta.get('number')}", "move it to where it belongs"
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
    about: Mapping[str, str] | None = None,
) -> Version:
    """Register a candidate that the gate promoted and the serving check passed, under the next number.

    Args:
        store: the home.
        dataset: the dataset's name.
        candidate: the candidate's published folder, with all files in `bundle.REQUIRED`.
        decision: the gate's decision as JSON; its "verdict" must be PROMOTE.
        provenance: the candidate's origin: run, data, recipe, weights.
        infra: the result of serving it in a fresh process.
        about: what the model card says about the dataset: see `card.about`.

    Returns:
        The new version, or the one that the same run registered for the same weights before.

    Raises:
        BadInput: the verdict is not PROMOTE, it does not serve, or the documents are about different models.
        Corrupt: a file of the candidate has changed or is missing.
        StorageFailed: the home cannot be written; nothing was registered.
    """
    bundle.check(store, candidate)
    _require_promotable(store, dataset, candidate, decision=decision, provenance=provenance, infra=infra)
    with pointer.writing(store, dataset) as now:
        known = registered(store, dataset, provenance.run_id, provenance.weights_digest)
        if known:
            return known
        ledger.create(store, dataset)
        number = 1 + max((*numbers(store, dataset), *_mentioned(dataset, now.entries)), default=0)
        _explain(store, dataset)
        with store.publish(store.versions(dataset) / str(number)) as draft:
            bundle.copy(store, candidate, draft.path)
            documents = {DECISION: dict(decision), PROVENANCE: provenance.to_json(), INFRA: infra.to_json()}
            for name, value in documents.items():
                (draft.path / name).write_bytes(canonical_json(plain(value)))
            (draft.path / card.CARD).write_text(card.of_folder(f"{dataset}/{number}", draft.path, about))
            draft.meta |= {
                "dataset": dataset,
                "number": number,
                "run_id": provenance.run_id,
                "recipe": provenance.recipe,
                "weights_digest": provenance.weights_digest,
                traces.LEDGER: ledger.newest(now.entries),
            }
            draft.meta |= signing.of_draft(store, draft)
        return load(store, dataset, number)


def _explain(store: Store, dataset: str) -> None:
    """Leave a README beside the versions, for whoever finds the folder; no version depends on it."""
    path = store.versions(dataset).with_name(card.CARD)
    if not path.exists():
        store.write_bytes(path, card.FOLDER.format(dataset=dataset).encode())


def _without_links(folder: Path) -> Path:
    """Return a folder of versions, if no part of its path in the home is a symbolic link."""
    for path in (folder.parent, folder):
        if path.is_symlink():
            raise Corrupt(f"{path} is a symbolic link", "replace it with the folder itself")
    return folder


def _require_promotable(
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
        raise BadInput(f"the model does not serve: {infra.message}", "only a model that serves can be registered")
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
            raise BadInput(f"the documents describe different candidates: {what} {one} and {other}", "run again")


def require_verdict(decision: Mapping[str, Any], verdict: str) -> None:
    """Check that a decision has this verdict and may be acted on.

    Raises:
        BadInput: it has another verdict, or is that of a dry run.
    """
    if str(decision.get("verdict")).upper() != verdict:
        raise BadInput(
            f"expected {verdict} from the gate, got {decision.get('verdict')}: {decision.get('reason', 'no reason')}",
            "only what the gate promotes becomes a version" if verdict == "PROMOTE" else "record the verdict as it is",
        )
    if decision.get("mode") == "dry-run":
        raise BadInput("this decision was a dry run", "a dry run changes nothing; run again without it")


def _mentioned(dataset: str, entries: tuple[Entry, ...]) -> tuple[int, ...]:
    names = (name for entry in entries for name in (entry.from_version, entry.to_version) if name)
    return tuple(int(name.removeprefix(f"{dataset}/")) for name in names)
