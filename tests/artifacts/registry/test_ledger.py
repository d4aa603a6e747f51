import hashlib
import json
import os
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from artifacts.registry import ledger
from artifacts.registry.ledger import Entry
from data.errors import BadInput, Corrupt, StorageFailed
from data.home.store import Store

DATASET = "mnist"
in_tmp_path = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def write(store: Store, *actions: str, **more: Any) -> tuple[Entry, ...]:
    """Append one line per action, and return the ledger."""
    for action in actions:
        entries = ledger.read(store, DATASET)
        ledger.append(store, DATASET, ledger.following(entries, action=action, who="me", why="a test", **more))
    return ledger.read(store, DATASET)


@pytest.fixture
def three(store: Store) -> Store:
    """A home whose ledger has three lines."""
    write(store, "promote", "hold", "reject", decision={"accuracy": 0.1 + 0.2, "p": 1e-300}, digests={"test": "t"})
    return store


def lines(store: Store) -> list[bytes]:
    """The lines of the ledger file."""
    return store.ledger(DATASET).read_bytes().splitlines(keepends=True)


def test_what_is_written_is_read_back(three: Store) -> None:
    """Every field survives, floats to the last bit, and each line follows from the one before."""
    entries = ledger.read(three, DATASET)
    assert [entry.seq for entry in entries] == [1, 2, 3]
    assert [entry.action for entry in entries] == ["promote", "hold", "reject"]
    assert entries[0].previous == ledger.GENESIS
    assert [entry.previous for entry in entries[1:]] == [entry.hash for entry in entries[:-1]]
    assert entries[2].decision == {"accuracy": 0.1 + 0.2, "p": 1e-300}
    assert Entry.from_json(json.loads(json.dumps(entries[1].to_json()))) == entries[1]
    assert ledger.check(three, DATASET) is None


def test_the_newest_line_can_be_kept_elsewhere(three: Store) -> None:
    """Number and hash of the last line: what a ledger that is cut short no longer has."""
    entries = ledger.read(three, DATASET)
    assert ledger.newest(entries) == f"3 {entries[2].hash}"
    store_lines = lines(three)
    three.ledger(DATASET).write_bytes(b"".join(store_lines[:-1]))
    cut = ledger.read(three, DATASET)  # the chain itself cannot notice
    assert ledger.newest(entries).split()[1] not in {entry.hash for entry in cut}
    assert ledger.newest(()) == ""


def test_a_ledger_without_a_file_is_empty(store: Store) -> None:
    """Before the first decision there is nothing to read and nothing wrong."""
    assert ledger.read(store, DATASET) == ()
    assert ledger.check(store, DATASET) is None
    assert not ledger.recover(store, DATASET)


@pytest.mark.parametrize("line", [1, 2, 3])
@pytest.mark.parametrize("field", ["when", "who", "why", "action", "decision", "digests", "seq", "generation", "to"])
def test_a_changed_field_is_found_and_its_line_named(three: Store, line: int, field: str) -> None:
    """Whoever edits a line without its hash is found out."""
    content = lines(three)
    value = json.loads(content[line - 1])
    value[field] = {"x": 1} if isinstance(value[field], dict) else "2020"
    content[line - 1] = json.dumps(value).encode() + b"\n"
    three.ledger(DATASET).write_bytes(b"".join(content))
    with pytest.raises(Corrupt, match=rf"broken at line {line}: its content has changed"):
        ledger.read(three, DATASET)
    assert f"line {line}" in str(ledger.check(three, DATASET))


def test_a_changed_line_with_a_new_hash_is_found_by_the_next_one(three: Store) -> None:
    """Whoever recomputes the hash of a line would have to rewrite all that follow, and the pointer."""
    content, entries = lines(three), ledger.read(three, DATASET)
    forged = ledger.following(entries[:1], action="hold", who="somebody else", why="a test")
    content[1] = json.dumps(forged.to_json()).encode() + b"\n"
    three.ledger(DATASET).write_bytes(b"".join(content))
    with pytest.raises(Corrupt, match="broken at line 3: it does not follow from the line before it"):
        ledger.read(three, DATASET)


@pytest.mark.parametrize(
    ("order", "line"),
    [((1, 2), 1), ((0, 2), 2), ((0, 2, 1), 2), ((0, 1, 1, 2), 3), ((0, 1, 2, 0), 4)],
    ids=["first removed", "middle removed", "swapped", "doubled", "repeated at the end"],
)
def test_removed_doubled_and_reordered_lines_are_found(three: Store, order: tuple[int, ...], line: int) -> None:
    """The numbers and the chain hold the order."""
    content = lines(three)
    three.ledger(DATASET).write_bytes(b"".join(content[index] for index in order))
    with pytest.raises(Corrupt, match=f"broken at line {line}: expected line {line}"):
        ledger.read(three, DATASET)


@in_tmp_path
@given(where=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_no_flipped_bit_gives_another_story(three: Store, where: float, bit: int) -> None:
    """A flipped bit anywhere is found, unless it only touches the last line's end: then that line counts as torn."""
    path = three.ledger(DATASET)
    content, entries = path.read_bytes(), ledger.read(three, DATASET)
    damaged = bytearray(content)
    damaged[int(where * len(damaged))] ^= 1 << bit
    path.write_bytes(damaged)
    try:
        try:
            told = ledger.read(three, DATASET)
        except Corrupt:
            return
        assert told in (entries, entries[:-1])
        assert told == entries or ledger.torn(three, DATASET)
    finally:
        path.write_bytes(content)


@in_tmp_path
@given(cut=st.floats(0, 1, exclude_max=True))
def test_a_torn_last_line_is_removed_and_the_next_write_goes_on(three: Store, cut: float) -> None:
    """Wherever a power cut tears the last line, the lines before it stand and the chain goes on from them."""
    path, content, last = three.ledger(DATASET), three.ledger(DATASET).read_bytes(), lines(three)[-1]
    left = int(cut * (len(last) - 1))  # without its last byte but one: what lacks only the line end is a line
    torn = content[: len(content) - len(last) + left]
    path.write_bytes(torn)
    try:
        assert [entry.seq for entry in ledger.read(three, DATASET)] == [1, 2]
        assert ledger.torn(three, DATASET) == left
        assert ledger.recover(three, DATASET) == (left > 0)
        assert [entry.action for entry in write(three, "lift")] == ["promote", "hold", "lift"]
        assert ledger.check(three, DATASET) is None
    finally:
        path.write_bytes(content)


def test_a_complete_line_without_its_line_end_is_a_line(three: Store) -> None:
    """It was acknowledged: nothing may drop it, and the next write gives it back its line end."""
    path, content = three.ledger(DATASET), three.ledger(DATASET).read_bytes()
    path.write_bytes(content[:-1])
    assert [entry.seq for entry in ledger.read(three, DATASET)] == [1, 2, 3]
    assert ledger.torn(three, DATASET) == 0
    assert ledger.untidy(three, DATASET)
    assert ledger.recover(three, DATASET)
    assert path.read_bytes() == content
    assert not ledger.recover(three, DATASET)


@pytest.mark.parametrize("separator", [b"", b"\n\n", b"\n\n\n"], ids=["none", "two", "three"])
def test_lost_and_doubled_line_ends_lose_no_line(three: Store, separator: bytes) -> None:
    """What an editor or `tr` did to the line ends is undone, and the file as it was is kept."""
    path, content = three.ledger(DATASET), three.ledger(DATASET).read_bytes()
    spoilt = content.replace(b"\n", separator)
    path.write_bytes(spoilt)
    assert [entry.seq for entry in ledger.read(three, DATASET)] == [1, 2, 3]
    assert ledger.recover(three, DATASET)
    assert path.read_bytes() == content
    assert [kept.read_bytes() for kept in three.quarantine(DATASET, "x").parent.iterdir()] == [spoilt]


def test_what_is_cut_off_the_ledger_is_kept(three: Store) -> None:
    """An unfinished line may be all that is left of one that was acknowledged."""
    path, content = three.ledger(DATASET), three.ledger(DATASET).read_bytes()
    path.write_bytes(content[:-9])
    assert ledger.recover(three, DATASET)
    assert path.read_bytes() == b"".join(content.splitlines(keepends=True)[:2])
    assert [kept.read_bytes() for kept in three.quarantine(DATASET, "x").parent.iterdir()] == [content[:-9]]


@pytest.mark.parametrize(
    "spoil",
    [b'"seq":NaN', b'"seq":1e999', b'"seq":"\\ud800"', b'"seq":' + b"9" * 5000, b'"seq":' + b"[" * 100_000],
    ids=["NaN", "infinite", "surrogate", "huge", "deep"],
)
def test_what_json_cannot_hold_is_a_broken_line(three: Store, spoil: bytes) -> None:
    """Python reads NaN, lone surrogates and numbers without end; none of them is a traceback."""
    path = three.ledger(DATASET)
    path.write_bytes(path.read_bytes().replace(b'"seq":2', spoil))
    with pytest.raises(Corrupt, match="broken at line 2"):
        ledger.read(three, DATASET)


def test_a_line_with_values_of_the_wrong_type_is_refused(three: Store) -> None:
    """A hash that fits is no proof that the values can be worked with."""
    value = json.loads(lines(three)[0]) | {"digests": ["x"]}
    del value["hash"]
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()
    with pytest.raises(Corrupt, match="digests cannot have these values"):
        Entry.from_json(value | {"hash": hashlib.sha256(text).hexdigest()})


def test_a_ledger_that_is_a_folder_or_a_pipe_is_refused(three: Store) -> None:
    """Reading a pipe would wait for ever."""
    path = three.ledger(DATASET)
    for make in (os.mkfifo, os.mkdir):
        path.rename(path.with_name("aside"))
        make(path)
        with pytest.raises(Corrupt, match=r"expected a file|cannot be read"):
            ledger.read(three, DATASET)
        path.rmdir() if path.is_dir() else path.unlink()
        path.with_name("aside").rename(path)


def test_a_line_that_the_disk_did_not_confirm_is_said_to_be_there(
    three: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message is read from the file, after the error."""

    def written(store: Store, target: Path, line: bytes) -> None:
        with target.open("ab") as stream:
            stream.write(line + b"\n")
        raise StorageFailed("cannot write the ledger: Input/output error", "check the disk")

    entry = ledger.following(ledger.read(three, DATASET), action="lift", who="me", why="a test")
    with monkeypatch.context() as patched:
        patched.setattr(Store, "append_line", written)
        with pytest.raises(StorageFailed, match="line 4 is in the ledger, but the disk did not confirm it"):
            ledger.append(three, DATASET, entry)
        patched.setattr(Store, "append_line", lambda *_: (_ for _ in ()).throw(StorageFailed("full", "free some")))
        with pytest.raises(StorageFailed, match="full; nothing was recorded"):
            ledger.append(three, DATASET, ledger.following((entry,), action="lift", who="me", why="a test"))


def test_zeros_at_the_end_count_as_torn(three: Store) -> None:
    """Some file systems grow a file before they write it."""
    with three.ledger(DATASET).open("ab") as stream:
        stream.write(bytes(300))
    assert len(ledger.read(three, DATASET)) == 3
    assert ledger.torn(three, DATASET) == 300
    assert ledger.recover(three, DATASET)
    assert ledger.check(three, DATASET) is None


@pytest.mark.fault("F-44")
def test_another_schema_is_refused_politely(three: Store) -> None:
    """Old code that meets a newer ledger says so, and does not guess."""
    content = lines(three)
    content[0] = content[0].replace(b'"schema":1', b'"schema":2')
    three.ledger(DATASET).write_bytes(b"".join(content))
    with pytest.raises(Corrupt, match="expected schema 1, got 2"):
        ledger.read(three, DATASET)


def test_a_symbolic_link_is_no_ledger(three: Store) -> None:
    """A link could lead to a file that others change."""
    path = three.ledger(DATASET)
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")
    with pytest.raises(Corrupt, match="symbolic link"):
        ledger.read(three, DATASET)


@pytest.mark.parametrize(
    "entry",
    [{"action": "celebrate"}, {"who": " "}, {"why": ""}, {"when": datetime(2026, 11, 20, 2)}],
    ids=["unknown action", "nobody", "no reason", "no time zone"],
)
def test_a_line_says_who_what_when_and_why(entry: dict[str, Any]) -> None:
    """What cannot be answered for is not written."""
    with pytest.raises(BadInput):
        ledger.following((), **{"action": "hold", "who": "me", "why": "a test", **entry})


def test_times_are_written_in_utc() -> None:
    """A time in any zone becomes the same moment in UTC."""
    berlin = timezone(timedelta(hours=1))
    assert ledger.timestamp(datetime(2026, 11, 20, 3, tzinfo=berlin)) == "2026-11-20T02:00:00.000000Z"
    now = datetime.fromisoformat(ledger.timestamp())
    assert abs(datetime.now(UTC) - now) < timedelta(minutes=1)


def test_numbers_that_are_none_and_broken_text_are_kept_as_text(store: Store) -> None:
    """The rejection of a model with NaN metrics is recorded, too; bytes that are no UTF-8 do not stop it."""
    decision: dict[Any, Any] = {"loss": float("nan"), "gain": (float("-inf"), 1.5), 3: True}
    entry = ledger.following((), action="reject", who="me \udcff", why="broken", decision=decision)
    ledger.append(store, DATASET, entry)
    assert ledger.read(store, DATASET) == (entry,)
    assert entry.decision == {"loss": "nan", "gain": ["-inf", 1.5], "3": True}


def test_the_looks_of_a_test_set_are_counted(store: Store) -> None:
    """Promotions, holds, rejections and forces are looks at the test set they name; a rollback is none."""
    look = {"when": "2026-11-20", "spent": 0.001}
    write(store, "promote", digests={"test": "a"})
    write(store, "hold", "reject", "force", digests={"test": "a"}, decision={"look": look})
    write(store, "rollback", "hold", digests={"test": "b"}, decision={"look": None})
    entries = ledger.read(store, DATASET)
    assert [entry.seq for entry in ledger.decided(entries, "a")] == [1, 2, 3, 4]
    assert [entry.seq for entry in ledger.decided(entries, "b")] == [6]
    assert ledger.looks(entries) == ({**look, "promoted": False},) * 3


def test_a_look_that_promoted_is_known_by_its_line(store: Store) -> None:
    """The comparison that promoted its candidate gets back what it spent; one that a person overrode does not."""
    write(store, "promote", "force", "hold", digests={"test": "a"}, decision={"look": {"spent": 0.001}})
    assert [look["promoted"] for look in ledger.looks(ledger.read(store, DATASET))] == [True, False, False]


def test_a_bar_holds_until_it_is_lifted(store: Store) -> None:
    """The newest line about some weights decides."""
    write(store, "rollback", digests={"barred": "x"})
    write(store, "bar", digests={"barred": "y"})
    assert sorted(ledger.barred(ledger.read(store, DATASET))) == ["x", "y"]
    write(store, "lift", digests={"lifted": "x"})
    assert sorted(ledger.barred(ledger.read(store, DATASET))) == ["y"]
    write(store, "rollback", digests={"barred": "x", "lifted": "y"})
    assert sorted(ledger.barred(ledger.read(store, DATASET))) == ["x"]
