"""A backup has everything that a home needs, and nothing of its server; a restore is whole or refuses every run."""

import json
import os
import tarfile
from pathlib import Path

import pytest

from artifacts.operations.verify import check_home
from artifacts.registry import champions
from artifacts.upkeep import backup as backups
from artifacts.upkeep.backup import backup, restore
from artifacts.upkeep.preflight import preflight
from data.errors import BadFile, BadInput, Broken
from data.home.store import Store
from tests.artifacts.registry import nights
from tests.artifacts.upkeep.test_kinds import raw, record


@pytest.fixture
def full(two: Store) -> Store:
    """A home with some of everything, and a server with a password."""
    raw(two)
    record(two)
    (two.root / "server").mkdir()
    (two.root / "server" / "auth").write_text("admin:canary")
    (two.root / "prefect").mkdir()
    (two.root / "prefect" / "prefect.db").write_bytes(b"canary")
    return two


@pytest.mark.parametrize("name", ["home.tar", "home.tar.gz"])
def test_what_is_restored_is_what_there_was(full: Store, tmp_path: Path, name: str) -> None:
    """Every file but the server's; the file is for its owner only, and has no secret in it."""
    size = backup(full, tmp_path / name)
    assert size == (tmp_path / name).stat().st_size
    assert (tmp_path / name).stat().st_mode & 0o777 == 0o600
    new = Store(tmp_path / "elsewhere" / "home")
    restore(new, tmp_path / name)
    expected = {
        path: hash_
        for path, hash_ in nights.tree(full.root).items()
        if not path.startswith(("server/", "prefect/", "locks/", "tmp/", "home.json", ".writable"))
    }
    found = nights.tree(new.root)
    assert {path: found.get(path) for path in expected} == expected
    assert b"canary" not in b"".join(path.read_bytes() for path in new.root.rglob("*") if path.is_file())
    assert check_home(new).findings == ()
    assert nights.champion_id(new) == "mnist/2"
    assert preflight(new) == []


def test_a_promotion_during_a_backup_is_in_it_or_not(
    two: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pointer and ledger belong together, whatever is published while the versions are copied."""
    genuine = backups._add

    def busy(tar: tarfile.TarFile, store: Store, path: Path) -> None:
        if path == two.versions(nights.DATASET) and len(champions.history(two, nights.DATASET)) == 2:
            nights.night(two, "c")
        genuine(tar, store, path)

    monkeypatch.setattr(backups, "_add", busy)
    backup(two, tmp_path / "home.tar")
    assert nights.champion_id(two) == "mnist/3"
    new = Store(tmp_path / "new")
    restore(new, tmp_path / "home.tar")
    assert check_home(new).serious == ()
    assert nights.champion_id(new) == "mnist/2"


def test_where_a_backup_cannot_go(two: Store, tmp_path: Path) -> None:
    """Into the home, over another file; and there is nothing to back up where there is no home."""
    taken = tmp_path / "taken"
    taken.write_bytes(b"x")
    for target in (taken, two.root / "home.tar"):
        with pytest.raises(BadInput, match="expected a new file outside"):
            backup(two, target)
    with pytest.raises(BadInput, match="there is no home"):
        backup(Store(tmp_path / "none"), tmp_path / "home.tar")
    assert taken.read_bytes() == b"x"


def test_a_home_that_is_not_empty_is_left_alone(two: Store, tmp_path: Path) -> None:
    """Nothing of it is replaced."""
    backup(two, tmp_path / "home.tar")
    before = nights.tree(two.root)
    with pytest.raises(BadInput, match="is not empty"):
        restore(two, tmp_path / "home.tar")
    assert nights.tree(two.root) == before


@pytest.mark.fault("F-07", "F-44")
@pytest.mark.parametrize("damage", ["text", "cut", "outside", "link", "server", "newer", "no header", "missing"])
def test_what_is_no_backup_is_refused_and_leaves_nothing(two: Store, tmp_path: Path, damage: str) -> None:
    """Names that lead out of the home, links, other files, a file cut short, a backup of newer code."""
    file, new = tmp_path / "home.tar", Store(tmp_path / "new")
    backup(two, file)
    if damage == "text":
        file.write_bytes(b"hello" * 1000)
    elif damage == "cut":
        os.truncate(file, file.stat().st_size // 2)
    elif damage == "missing":
        file.unlink()
    else:
        names = {"outside": "../outside", "link": "models/link", "server": "server/auth"}
        with tarfile.open(file, "w") as tar:
            first = "x" if damage == "no header" else "home.json"
            backups._add_bytes(tar, first, json.dumps({"schema": 99 if damage == "newer" else 1}).encode())
            if damage in names:
                member = tarfile.TarInfo(names[damage])
                if damage == "link":
                    member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
                tar.addfile(member)
            backups._add_bytes(tar, backups.LAST, json.dumps({"files": len(tar.getmembers())}).encode())
    with pytest.raises(Broken if damage == "newer" else BadFile):
        restore(new, file)
    assert not (tmp_path / "outside").exists()
    assert [path for path in new.root.rglob("*") if path.is_file() and path.name != ".writable"] == []


def test_an_interrupted_restore_stops_every_run_and_can_be_given_again(
    two: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a home could begin another first night."""
    backup(two, tmp_path / "home.tar")
    new, moves = Store(tmp_path / "new"), []

    def move(store: Store, path: Path, target: Path) -> None:
        moves.append(path.name)
        if len(moves) == 2:
            raise KeyboardInterrupt
        path.rename(target)

    with monkeypatch.context() as patched:
        patched.setattr(Store, "move", move)
        with pytest.raises(KeyboardInterrupt):
            restore(new, tmp_path / "home.tar")
    with pytest.raises(Broken, match="was interrupted"):
        preflight(new)
    restore(new, tmp_path / "home.tar")
    assert preflight(new) == []
    assert nights.champion_id(new) == "mnist/2"
