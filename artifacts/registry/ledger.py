"""Every decision about a dataset's champion, with who, when and why: an append-only log of hash-chained JSON lines.

Each line holds the hash of the line before it, so that a changed, removed, inserted or reordered line is detected.
Lines are ordered by their sequence number, because clocks may jump. The chain alone cannot show that its newest lines
were cut off: the champion pointer carries the line of the newest move, which covers everything up to that line; for
later lines, the report of every run has the newest hash, so keep reports in a second place, or sign (signing.py).

This module reads and writes lines; `artifacts.registry.champions` decides what is written and holds the lock.
"""

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any

from artifacts.registry import keyring
from data.errors import BadInput, Corrupt, StorageFailed
from data.home import json_lines
from data.home.plain_files import read_plain
from data.home.store import Store
from data.values import plain

SCHEMA = 1
GENESIS = "0" * 64
MOVES = ("promote", "force", "rollback")
DECISIONS = ("promote", "hold", "reject", "force", "wait")
ACTIONS = (*DECISIONS, "rollback", "bar", "lift", "decline", "expire", "seal")
ANSWERS = "answers"  # in the digests of the line that ends a waiting: the hash of the line with which it began
_TEXT: tuple[type, ...] = (str, type(None))
_TYPES: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("when", "action", "who", "why", "previous", "hash"), (str,)),
    **dict.fromkeys(("from", "to", "verdict", "run_id"), _TEXT),
    "seq": (int,),
    "generation": (int, type(None)),
    "digests": (dict,),
    "decision": (dict,),
}


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One line of the ledger.

    Args:
        seq: 1, 2, 3...; the order of events.
        when: UTC, ISO 8601, by the system clock; not necessarily increasing.
        action: one of ACTIONS.
        who: a person or a schedule.
        why: the reason, for people.
        from_version: the champion before, as "mnist/2"; None on the first night.
        to_version: the version promoted, rolled back to, barred or lifted, or that waits, is declined or expires; None
            for hold and reject.
        verdict: the gate's verdict, PROMOTE for a version that waits; None for what a person did without the gate.
        run_id: the run that decided; None for what a person did by hand.
        generation: the champion pointer's counter after a move; None when the pointer did not move.
        digests: SHA-256 of the "weights", "model", "manifest", "raw", "prepared" and "test" data; "barred" is the
            weights digest that this line bars from promotion, "lifted" the one whose bar it lifts; "answers" is the
            hash of the line with which a waiting began that this line ends, "recipe" the fingerprint of what waits;
            "key" and "signature" are not digests but say who signed the line.
        decision: the gate's decision as JSON; empty where the gate was not asked.
        previous: hash of the line before, GENESIS in the first.
        hash: SHA-256 of everything above.
    """

    seq: int
    when: str
    action: str
    who: str
    why: str
    from_version: str | None = None
    to_version: str | None = None
    verdict: str | None = None
    run_id: str | None = None
    generation: int | None = None
    digests: Mapping[str, str]
    decision: Mapping[str, Any]
    previous: str
    hash: str

    def to_json(self) -> dict[str, Any]:
        """Return the line as a JSON object; the inverse of `from_json`."""
        values = {field.name.removesuffix("_version"): getattr(self, field.name) for field in fields(self)}
        return {"schema": SCHEMA, **values}

    @classmethod
    def from_json(cls, value: Any) -> "Entry":
        """Read a line and check its own hash.

        Raises:
            Corrupt: it is not an entry, has another schema, or its content does not match its hash.
        """
        if not isinstance(value, dict) or "schema" not in value:
            raise Corrupt("expected a ledger entry, got something else")
        if value["schema"] != SCHEMA:
            raise Corrupt(f"expected schema {SCHEMA}, got {value['schema']}", "use the code that wrote it")
        names = {field.name.removesuffix("_version"): field.name for field in fields(cls)}
        if value.keys() != {"schema", *names}:
            raise Corrupt(f"the fields {sorted(value.keys() ^ {'schema', *names})} are missing or too many")
        if not _matches(value):
            raise Corrupt("its content has changed since it was written")
        if wrong := [key for key, types in _TYPES.items() if not isinstance(value[key], types)]:
            raise Corrupt(f"{', '.join(wrong)} cannot have these values", "use the code that wrote it")
        return cls(**{names[key]: item for key, item in value.items() if key != "schema"})


def following(
    entries: Sequence[Entry],
    *,
    action: str,
    who: str,
    why: str,
    when: datetime | None = None,
    digests: Mapping[str, str] | None = None,
    decision: Mapping[str, Any] | None = None,
    **more: Any,
) -> Entry:
    """Return the next line: numbered, timed and chained, but not written.

    Args:
        entries: the whole ledger so far.
        action: one of ACTIONS.
        who: a person or a schedule.
        why: the reason.
        when: the time of the event, with a time zone; now when not given.
        digests: see Entry.
        decision: anything that is JSON; non-finite numbers are kept as the strings "nan", "inf", "-inf".
        **more: the other fields of Entry.

    Raises:
        BadInput: unknown action, nobody or no reason given, or a time without a time zone.
    """
    if action not in ACTIONS:
        raise BadInput(f"the ledger has no action {action!r}", f"known: {', '.join(ACTIONS)}")
    if not who.strip() or not why.strip():
        raise BadInput(f"{action} needs who and why, and one is empty", "give both; the ledger keeps them")
    value = {field.name.removesuffix("_version"): None for field in fields(Entry)} | {
        "schema": SCHEMA,
        "seq": len(entries) + 1,
        "when": timestamp(when),
        "action": action,
        "who": plain(who.strip()),
        "why": plain(why.strip()),
        "digests": dict(digests or {}),
        "decision": plain(dict(decision or {})),
        "previous": entries[-1].hash if entries else GENESIS,
        **{key.removesuffix("_version"): item for key, item in more.items()},
    }
    return Entry.from_json(value | {"hash": _hash(value)})


def create(store: Store, dataset: str) -> None:
    """Make an empty ledger where there is none; callers hold the dataset's lock.

    Nothing is registered without a ledger, so that a lost one is never taken for that of a first night.
    """
    if not store.ledger(dataset).exists():
        store.write_bytes(store.ledger(dataset), b"")


def append(store: Store, dataset: str, entry: Entry) -> None:
    """Write a line and wait until it is on disk. Callers hold the dataset's lock and have called `recover`.

    Raises:
        StorageFailed: the disk refused; the message says whether the ledger has the line.
    """
    line = _compact(entry.to_json())
    try:
        store.append_line(store.ledger(dataset), line)
    except StorageFailed as error:
        if _ends_with(store, dataset, line):
            problem = f"line {entry.seq} is in the ledger, but the disk did not confirm it: {error.problem}"
            raise StorageFailed(problem, f"run the command again, which changes nothing twice; {error.hint}") from error
        raise StorageFailed(f"{error.problem}; nothing was recorded", error.hint) from error
    if keys := keyring.of(store):
        keys.remember(store, dataset, newest((entry,)))


def read(store: Store, dataset: str) -> tuple[Entry, ...]:
    """Return every line, oldest first; an unfinished last line counts as not written.

    A line is what is complete, with or without the line end that separates it from the next.

    Raises:
        Corrupt: names the first line that is changed, missing or out of order.
    """
    entries: list[Entry] = []
    for value in _parsed(store, dataset).values:
        try:
            entry = Entry.from_json(value)
            if entry.seq != len(entries) + 1:
                raise Corrupt(
                    f"expected line {len(entries) + 1}, got line {entry.seq}: lines were removed or reordered"
                )
            if entry.previous != (entries[-1].hash if entries else GENESIS):
                raise Corrupt("it does not follow from the line before it")
        except Corrupt as error:
            raise _broken(store, dataset, len(entries) + 1, error.problem) from error
        entries.append(entry)
    return tuple(entries)


def check(store: Store, dataset: str) -> str | None:
    """Return what is wrong with the first broken line; None when every line is complete and in order."""
    try:
        read(store, dataset)
    except Corrupt as error:
        return error.problem
    return None


def torn(store: Store, dataset: str) -> int:
    """Return the length in bytes of an unfinished last line, 0 if there is none; `recover` removes it."""
    return len(_parsed(store, dataset).rest)


def begins(store: Store, dataset: str, entry: Entry) -> bool:
    """Whether the file ends in the beginning of a line that is known in full, so that nothing of it is lost."""
    rest = _parsed(store, dataset).rest
    return bool(rest) and _compact(entry.to_json()).startswith(rest)


def untidy(store: Store, dataset: str) -> str:
    """Return what `recover` would change, in one clause; "" if nothing.

    Raises:
        Corrupt: something in the middle is no line at all.
    """
    content, parsed = _content(store, dataset), _parsed(store, dataset)
    if parsed.rest:
        return f"it ends in {len(parsed.rest)} bytes of an unfinished line"
    return "line ends are missing or too many" if content != parsed.tidy else ""


def recover(store: Store, dataset: str) -> bool:
    """Give every line its line end, and move an unfinished last one away; callers hold the dataset's lock.

    A power cut may leave an unfinished line that was never acknowledged. Since it may also be what is left of one that
    was, the file as it was is kept under quarantine/.

    Returns:
        Whether there was something to do.

    Raises:
        Corrupt: something in the middle is no line at all.
        StorageFailed: the home cannot be written; the ledger is unchanged.
    """
    problem = untidy(store, dataset)
    if not problem:
        return False
    path, kept, tidy = store.ledger(dataset), store.quarantine(dataset, "ledger.jsonl"), _parsed(store, dataset).tidy
    store.write_bytes(kept, _content(store, dataset))
    store.write_bytes(path, tidy)
    logging.getLogger(__name__).warning("%s was tidied: %s; as it was: %s", path, problem, kept)
    return True


def newest(entries: Sequence[Entry]) -> str:
    """Return number and hash of the last line, to be kept in a second place; "" for an empty ledger."""
    return f"{entries[-1].seq} {entries[-1].hash}" if entries else ""


def looks(entries: Sequence[Entry]) -> tuple[Mapping[str, Any], ...]:
    """Return the gate's own record of every earlier look at a test set, oldest first, as plain values.

    Each says, besides what the gate wrote, whether the comparison promoted the candidate; a person's force did not. An
    approval by which the comparison stands has no look of its own: that of the night has then promoted.
    """
    approved = {entry.digests[ANSWERS] for entry in entries if stands(entry)}
    return tuple(
        {**entry.decision["look"], "promoted": entry.action == "promote" or entry.hash in approved}
        for entry in entries
        if entry.action in DECISIONS and entry.decision.get("look")
    )


def decided(entries: Sequence[Entry], test_digest: str) -> tuple[Entry, ...]:
    """Return every decision that was based on a test set: holds, rejections, promotions, forced ones, what waits.

    Args:
        entries: the ledger, oldest first.
        test_digest: content digest of the test split.
    """
    return tuple(
        entry
        for entry in entries
        if entry.action in DECISIONS and entry.digests.get("test") == test_digest and not stands(entry)
    )


def stands(entry: Entry) -> bool:
    """Whether a line promotes by an earlier comparison, which a person has approved."""
    return entry.action == "promote" and ANSWERS in entry.digests and not entry.decision.get("look")


def barred(entries: Sequence[Entry]) -> dict[str, Entry]:
    """Return the weights digests that may not be promoted, with the line that barred each."""
    bars: dict[str, Entry] = {}
    for entry in entries:
        if "barred" in entry.digests:
            bars[entry.digests["barred"]] = entry
        bars.pop(entry.digests.get("lifted", ""), None)
    return bars


def timestamp(when: datetime | None = None) -> str:
    """Return a time as UTC, ISO 8601 with microseconds; now when not given.

    Raises:
        BadInput: the time has no time zone.
    """
    when = when or datetime.now(UTC)
    if when.tzinfo is None:
        raise BadInput(f"{when} has no time zone", "give one; the ledger is written in UTC")
    return when.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _parsed(store: Store, dataset: str) -> json_lines.Parsed:
    try:
        return json_lines.parse(_content(store, dataset))
    except json_lines.Broken as error:
        raise _broken(store, dataset, error.number, str(error)) from error


def _broken(store: Store, dataset: str, number: int, problem: str) -> Corrupt:
    return Corrupt(
        f"{store.ledger(dataset)} is broken at line {number}: {problem}",
        "restore the file from a backup; the lines before that one are intact",
    )


def _content(store: Store, dataset: str) -> bytes:
    path = store.ledger(dataset)
    if path.is_symlink():
        raise Corrupt(f"{path} is a symbolic link", "replace it with the ledger itself")
    try:
        return read_plain(path)
    except FileNotFoundError:
        return b""


def _ends_with(store: Store, dataset: str, line: bytes) -> bool:
    try:
        return _content(store, dataset).endswith(line + b"\n")
    except Corrupt:
        return False


def _compact(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def _hash(value: Mapping[str, Any]) -> str:
    return hashlib.sha256(_compact({key: item for key, item in value.items() if key != "hash"})).hexdigest()


def _matches(value: Mapping[str, Any]) -> bool:
    """Whether a line has its own hash; what canonical JSON cannot hold, such as NaN, has none."""
    try:
        return bool(value["hash"] == _hash(value))
    except (ValueError, RecursionError):
        return False
