"""Signatures on ledger lines and versions: who vouches for what is in the home.

A line carries its signature in its own digests ("key", "signature"), so that pointer and ledger always have the same
one, and code that knows of no signatures reads it. A trusted signature vouches for its line and, through the hash
chain, for every line before it: unsigned lines from before signing began, and lines of keys that were revoked since.
Where no keys are configured nothing here does anything. docs/decisions/0029-signatures.md has the threat model.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from artifacts.registry import keyring, ledger, pointer
from artifacts.registry.keyring import Key
from artifacts.registry.ledger import Entry
from data.errors import BadInput, Corrupt
from data.home import files
from data.home.store import MANIFEST, Draft, Store
from data.values import canonical_json

KEY, SIGNATURE = "key", "signature"  # in a line's digests, and in a version's meta
LINE, VERSION = b"nightshift ledger line\n", b"nightshift version\n"  # what a signature is about


class NotVouched(Corrupt):
    """A ledger or a version is not what a trusted key has signed."""


# -- ledger lines -------------------------------------------------------------------------------------------------


def following(store: Store, dataset: str, entries: Sequence[Entry], *, trusting: bool = False, **event: Any) -> Entry:
    """Return the next line, as `ledger.following` does, signed if a private key is configured.

    Args:
        store: the home.
        dataset: the dataset's name.
        entries: the whole ledger so far.
        trusting: whether a person vouches for the lines so far, whoever wrote them.
        **event: the other arguments of `ledger.following`.

    Raises:
        NotVouched: a trusted key does not vouch for the lines so far; signing would vouch for them.
    """
    keys = keyring.of(store)
    if keys and not trusting:
        require_vouched(store, dataset, entries)
    event["when"] = event.get("when") or datetime.now().astimezone()
    plain = ledger.following(entries, **event)
    signature = keys.sign(_line(dataset, plain)) if keys else {}
    return ledger.following(entries, **event | {"digests": {**plain.digests, **signature}}) if signature else plain


def seal(store: Store, dataset: str, *, who: str, why: str) -> Entry:
    """Write a signed line by which a person vouches for all lines of a ledger so far, whoever wrote them.

    It begins the signing of an old ledger, and pins the lines of a key that is to be revoked.

    Raises:
        BadInput: no private key is configured, or there is no ledger.
        Corrupt: pointer or ledger are damaged.
    """
    keys = keyring.of(store)
    if keys is None or keys.private() is None:
        raise BadInput("there is no private key to sign with", "make one: nightshift keys new")
    with pointer.writing(store, dataset) as now:
        if not now.entries:
            raise BadInput(f"{dataset} has no ledger yet", "nothing to seal: the first night writes signed lines")
        event = {"action": "seal", "who": who, "why": why, "from_version": now.champion_id}
        entry = following(store, dataset, now.entries, trusting=True, **event)
        ledger.append(store, dataset, entry)
        return entry


def require_vouched(store: Store, dataset: str, entries: Sequence[Entry], up_to: int | None = None) -> None:
    """Check that trusted keys vouch for every line, and that none is missing which this machine wrote.

    Args:
        store: the home.
        dataset: the dataset's name.
        entries: the whole ledger.
        up_to: how many lines have to be vouched for; all when not given.

    Raises:
        NotVouched: names the first line that nobody vouches for, or what is missing.
    """
    problem = unvouched(store, dataset, entries, up_to)
    if problem:
        raise NotVouched(
            f"{store.ledger(dataset)}: {problem}",
            f"compare it with a backup; if it is as it should be: nightshift keys seal {dataset} --reason WHY",
        )


def unvouched(store: Store, dataset: str, entries: Sequence[Entry], up_to: int | None = None) -> str:
    """Return what is wrong with the signatures of a ledger, in one clause; "" if nothing, or no keys are configured."""
    keys = keyring.of(store)
    if keys is None:
        return ""
    number, _, known = keys.newest(store, dataset).partition(" ")
    if known and (not number.isdecimal() or int(number) > len(entries) or entries[int(number) - 1].hash != known):
        return f"this machine wrote line {number}, which is not there any more: lines were cut off or rewritten"
    trusted, last = keys.trusted(), pinned(store, dataset, entries)
    if last >= (len(entries) if up_to is None else up_to):
        return ""
    if not last:
        return "no line is signed by a trusted key"
    return f"line {last + 1} {_problem(trusted, dataset, entries[last])}, and no later line vouches for it"


def pinned(store: Store, dataset: str, entries: Sequence[Entry]) -> int:
    """Return how many lines, from the first, a trusted key vouches for."""
    keys = keyring.of(store)
    trusted = keys.trusted() if keys else {}
    return next((entry.seq for entry in reversed(entries) if not _problem(trusted, dataset, entry)), 0)


def _line(dataset: str, entry: Entry) -> bytes:
    """Return what is signed of a line: all of it but signature and hash, and the dataset that it is about."""
    value = {name: item for name, item in entry.to_json().items() if name != "hash"}
    value["digests"] = {name: item for name, item in entry.digests.items() if name not in (KEY, SIGNATURE)}
    return LINE + canonical_json({"dataset": dataset, **value})


def _problem(trusted: Mapping[str, Key], dataset: str, entry: Entry) -> str:
    return _unsigned(trusted, entry.digests, _line(dataset, entry))


def _unsigned(trusted: Mapping[str, Key], values: Mapping[str, Any], content: bytes) -> str:
    """Return why no trusted key has signed some bytes; "" if one has."""
    name, signature = str(values.get(KEY, "")), str(values.get(SIGNATURE, ""))
    if not name:
        return "is not signed"
    if name not in trusted:
        return f"is signed by the key {name}, which is not trusted"
    if not trusted[name].signed(content, signature):
        return "has changed since it was signed"
    return f"is signed by the key {name} ({trusted[name].name}), which is revoked" if trusted[name].revoked else ""


# -- versions -----------------------------------------------------------------------------------------------------


def of_draft(store: Store, draft: Draft) -> dict[str, str]:
    """Return key and signature for the manifest of a version that is about to be published; nothing without a key."""
    keys = keyring.of(store)
    return keys.sign(_manifest(draft.meta, files.inventory(draft.path, leave_out=MANIFEST))) if keys else {}


def require_signed(store: Store, version: str, folder: Path, manifest: str, entries: Sequence[Entry]) -> None:
    """Check that a trusted key has signed a version's manifest, or vouches for a ledger line that has its hash.

    Args:
        store: the home.
        version: its name, such as "mnist/3".
        folder: its files.
        manifest: the SHA-256 of its manifest.
        entries: the ledger.

    Raises:
        NotVouched: none does.
    """
    keys = keyring.of(store)
    if keys is None:
        return
    dataset = version.partition("/")[0]
    vouched = entries[: pinned(store, dataset, entries)]
    if any((entry.to_version, entry.digests.get("manifest")) == (version, manifest) for entry in vouched):
        return
    meta = store.meta(folder)
    plain = {name: value for name, value in meta.items() if name not in (KEY, SIGNATURE)}
    problem = _unsigned(keys.trusted(), meta, _manifest(plain, store.files(folder)))
    if problem:
        raise NotVouched(
            f"the manifest of {version} {problem}, and no signed line of the ledger has its hash",
            "restore it from a backup, or roll back to a version that is signed",
        )


def _manifest(meta: Mapping[str, Any], listed: Mapping[str, Any]) -> bytes:
    return VERSION + canonical_json({"meta": dict(meta), "files": dict(listed)})
