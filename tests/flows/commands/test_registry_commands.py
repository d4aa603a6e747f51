"""Commands about versions and champions on a home that is not as it should be: what they print, and exit codes."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from artifacts.registry import champions, versions
from data.home.store import Store
from tests.artifacts.registry import nights
from tests.flows.commands.test_main import nightshift

pytestmark = pytest.mark.slow


@pytest.fixture
def home(tmp_path: Path) -> Store:
    """Three versions of mnist, the third is champion."""
    store = Store(tmp_path / "home")
    for label in "abc":
        nights.night(store, label)
    return store


def test_the_champion_is_the_pointers_whatever_the_clock_says(home: Store) -> None:
    """A rollback by a clock that was a day ahead counts as soon as it is made."""
    champions.rollback(home, "mnist", **nights.BY_ME, when=datetime.now(UTC) + timedelta(days=1))
    assert nightshift(home.root, "champion", "mnist").stdout.startswith("mnist/2 since")
    asked = nightshift(home.root, "champion", "mnist", "--at", "9999-12-31T23:59:59-12:00")
    assert asked.returncode == 2
    assert "out of the calendar in UTC" in asked.stderr
    assert "Traceback" not in asked.stderr


def test_a_version_named_by_its_number_is_verified_like_the_champion(home: Store) -> None:
    """A changed file of any version is refused, and no number from it is printed."""
    metrics = versions.find(home, "mnist/2").folder / "metrics.json"
    metrics.chmod(0o644)
    metrics.write_text('{"test": {"accuracy": 0.999}}')
    for command in (("show", "mnist/2"), ("why", "mnist/2"), ("predict", "x.png", "--model", "mnist/2")):
        shown = nightshift(home.root, *command)
        assert shown.returncode == 1
        assert "has changed since it was written" in shown.stderr
        assert "99.9" not in shown.stdout
    listed = nightshift(home.root, "models", "list", "--json")
    assert listed.returncode == 1
    assert "mnist/2" in {row["version"] for row in json.loads(listed.stdout) if "damaged" in row}


def test_verify_says_what_it_checked_and_repair_exits_by_what_is_left(home: Store) -> None:
    """Red before the repair, green after it; the ledger as it was is kept."""
    ledger = home.ledger("mnist")
    sound = ledger.read_bytes()
    ledger.write_bytes(sound.replace(b"\n", b""))
    before = nightshift(home.root, "verify")
    assert before.returncode == 1
    assert "the ledger of mnist: line ends are missing" in before.stdout
    repaired = nightshift(home.root, "verify", "--repair")
    assert repaired.returncode == 0
    assert "checked 2 registries, 3 versions, 3 trained: no problem found; not checked: quarantine" in repaired.stdout
    assert ledger.read_bytes() == sound
    nights.flip(versions.find(home, "mnist/1").model)
    assert nightshift(home.root, "verify", "--repair").returncode == 1


def test_a_home_without_pointer_and_ledger_is_not_well(home: Store) -> None:
    """Every command that needs them says what is lost, and what to do."""
    home.champion("mnist").unlink()
    home.ledger("mnist").unlink()
    for command in (("verify",), ("champion", "mnist"), ("status", "--check"), ("rollback", "mnist", "--reason", "x")):
        ran = nightshift(home.root, *command)
        assert ran.returncode == 1, command
        assert "neither a champion pointer nor a promotion" in ran.stdout + ran.stderr
        assert "Traceback" not in ran.stderr


def test_what_waits_is_shown_and_declined_by_the_name_of_its_dataset(home: Store) -> None:
    """`champion` and `status` name it with the command to give; a second answer is refused with what became of it."""
    waits = nights.waits(home, "d")
    shown = nightshift(home.root, "champion", "mnist")
    assert shown.returncode == 0
    assert f"{waits.id} waits for a person's approval until" in shown.stdout
    assert f"nightshift approve {waits.id} --reason WHY" in nightshift(home.root, "status").stdout
    declined = nightshift(home.root, "decline", "mnist", "--reason", "worse on hand-drawn 7s")
    assert (declined.returncode, declined.stdout) == (0, f"{waits.id} is declined; the champion is mnist/3\n")
    refused = nightshift(home.root, "approve", waits.id, "--reason", "I like it")
    assert refused.returncode == 2
    assert f"refused: {waits.id} was declined by" in refused.stderr
    nothing = nightshift(home.root, "approve", "fashion-mnist", "--reason", "I like it")
    assert nothing.returncode == 2
    assert "nothing of fashion-mnist waits for approval" in nothing.stderr


def test_verify_misses_the_folder_of_what_waits(home: Store) -> None:
    """It is hashed like any version, and named if it is gone."""
    waits = nights.waits(home, "d")
    assert nightshift(home.root, "verify").returncode == 0
    waits.folder.rename(home.root / "moved")
    found = nightshift(home.root, "verify")
    assert found.returncode == 1
    assert f"{waits.id}" in found.stdout + found.stderr
    assert "it waits for a person's approval, but its folder is missing" in found.stdout + found.stderr


def test_keys_are_made_used_and_rotated(home: Store, tmp_path: Path) -> None:
    """The path that docs/server.md describes, on a home that was not signed before."""
    keys = {"NIGHTSHIFT_KEYS": str(tmp_path / "keys")}
    assert nightshift(home.root, "keys", "list").returncode == 2
    assert nightshift(home.root, "keys", "new", "--name", "nights", **keys).returncode == 0
    found = nightshift(home.root, "verify", **keys)
    assert found.returncode == 1
    assert "no line is signed by a trusted key" in found.stdout + found.stderr
    sealed = nightshift(home.root, "keys", "seal", "--reason", "compared with the backup", **keys)
    assert sealed.stdout == "mnist: the 3 lines before line 4 are vouched for\n"
    (old,) = json.loads(nightshift(home.root, "keys", "list", "--json", **keys).stdout)
    nightshift(home.root, "keys", "new", "--replace", **keys)
    nightshift(home.root, "keys", "seal", "--reason", "rotation", **keys)
    assert nightshift(home.root, "keys", "revoke", old["id"], **keys).returncode == 0
    assert nightshift(home.root, "verify", **keys).returncode == 0
    assert nightshift(home.root, "verify").returncode == 0
