"""Signatures: what somebody who can write the home, but has no key, cannot do unnoticed."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from artifacts.operations.verify import find_problems
from artifacts.registry import bars, champions, keyring, ledger, pointer, signing, versions
from artifacts.registry.keyring import Keyring
from artifacts.registry.signing import NotVouched
from data.errors import BadInput, Corrupt
from data.home.store import Store
from data.values import canonical_json
from tests.artifacts.registry import nights
from tests.artifacts.registry.nights import BY_ME, DATASET


@pytest.fixture
def keys(tmp_path: Path) -> Keyring:
    """A keyring with a key of one's own."""
    made = Keyring(tmp_path / "keys")
    made.new("ada")
    return made


@pytest.fixture
def signed(store: Store, keys: Keyring) -> Store:
    """A home with two promotions, both signed."""
    home = replace(store, keys=keys.folder)
    nights.night(home, "a")
    nights.night(home, "b")
    return home


def lines(store: Store) -> list[dict[str, Any]]:
    """The ledger's lines."""
    return [json.loads(line) for line in store.ledger(DATASET).read_text().splitlines()]


def rewrite(store: Store, values: list[dict[str, Any]]) -> None:
    """Write lines with a chain that is right again, and a pointer to the newest move, as an attacker would."""
    entries: list[ledger.Entry] = []
    for value in values:
        value["previous"] = entries[-1].hash if entries else ledger.GENESIS
        entries.append(ledger.Entry.from_json(value | {"hash": ledger._hash(value)}))
    store.ledger(DATASET).write_bytes(b"".join(ledger._compact(one.to_json()) + b"\n" for one in entries))
    moves = [one for one in entries if one.action in ledger.MOVES]
    number = int(str(moves[-1].to_version).rpartition("/")[2])
    moved = pointer.Pointer(DATASET, number, moves[-1].generation or 0, moves[-1])
    store.champion(DATASET).write_bytes(canonical_json(moved.to_json()))


def problems(store: Store) -> list[str]:
    """What verify finds."""
    return [found.problem for found in find_problems(store)]


def test_a_signed_home_is_sound_and_code_without_keys_reads_it(signed: Store, keys: Keyring) -> None:
    """Every line and every version has a signature, and nothing but these is different."""
    assert problems(signed) == []
    assert nights.champion_id(signed) == "mnist/2"
    (key,) = keys.trusted().values()
    assert {entry.digests["key"] for entry in champions.history(signed, DATASET)} == {key.id}
    assert [signed.meta(one.folder)["key"] for one in versions.versions(signed, DATASET)] == [key.id] * 2
    without = Store(signed.root)
    assert problems(without) == []
    assert nights.champion_id(without) == "mnist/2"


def test_a_private_key_is_its_owners_alone_and_never_in_the_home(store: Store, keys: Keyring) -> None:
    """0600 from the first moment; one that others can read, or in the home, is refused."""
    private = keys.folder / keyring.PRIVATE
    assert (private.stat().st_mode & 0o777, keys.folder.stat().st_mode & 0o777) == (0o600, 0o700)
    with pytest.raises(BadInput, match="is there already"):
        keys.new("ada")
    private.chmod(0o644)
    with pytest.raises(BadInput, match="can be read by others"):
        keys.private()
    with pytest.raises(BadInput, match="lie in the home"):
        keyring.of(replace(store, keys=store.root / "keys"))


def _another_reason(values: list[dict[str, Any]]) -> None:
    values[1]["why"] = "much better"


def _another_version(values: list[dict[str, Any]]) -> None:
    values[1] |= {"to": "mnist/1", "digests": values[0]["digests"]}


def _no_signatures(values: list[dict[str, Any]]) -> None:
    for value in values:
        value["digests"] = {name: one for name, one in value["digests"].items() if name not in ("key", "signature")}


def _foreign_signature(values: list[dict[str, Any]]) -> None:
    values[1]["digests"]["signature"] = values[0]["digests"]["signature"]


def _cut_off(values: list[dict[str, Any]]) -> None:
    del values[1:]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (_another_reason, "were cut off or rewritten"),
        (_another_version, "were cut off or rewritten"),
        (_no_signatures, "were cut off or rewritten"),
        (_foreign_signature, "were cut off or rewritten"),
        (_cut_off, "this machine wrote line 2, which is not there any more"),
    ],
)
@pytest.mark.parametrize("elsewhere", [False, True], ids=["where it was written", "on another machine"])
def test_a_rewritten_ledger_is_found_and_its_champion_not_loaded(
    signed: Store, tmp_path: Path, change: Callable[[list[dict[str, Any]]], None], named: str, elsewhere: bool
) -> None:
    """Whatever chain and pointer say; another machine knows the public keys, but not how many lines there were."""
    if elsewhere:
        assert signed.keys is not None
        other = tmp_path / "other"
        other.mkdir()
        shutil.copy(signed.keys / keyring.TRUSTED, other)
        signed, named = replace(signed, keys=other), "line|signed"
    values = lines(signed)
    change(values)
    rewrite(signed, values)
    if elsewhere and change is _cut_off:
        assert nights.champion_id(signed) == "mnist/1"  # an older state is a valid one: see the decision
        return
    assert nights.champion_id(Store(signed.root))  # without keys it looks right
    with pytest.raises(NotVouched, match=named):
        champions.champion(signed, DATASET)
    with pytest.raises(NotVouched):
        signing.following(signed, DATASET, champions.history(signed, DATASET), action="bar", **BY_ME)
    assert any("line" in problem for problem in problems(signed))


def test_a_recomputed_manifest_is_found(signed: Store) -> None:
    """A version that no line of the ledger names has its own signature."""
    version = nights.register(signed, "c")
    assert champions.verified(signed, version.id) == version
    manifest = version.folder / "manifest.json"
    value = json.loads(manifest.read_bytes())
    version.model.chmod(0o644)
    version.model.write_bytes(b"another model")
    entry = value["files"]["model.keras"]
    entry["sha256"], entry["bytes"] = nights.tree(version.folder)["model.keras"], len(b"another model")
    manifest.chmod(0o644)
    manifest.write_bytes(canonical_json(value))
    assert champions.verified(Store(signed.root), version.id)  # without keys it looks right
    with pytest.raises(NotVouched, match=r"the manifest of mnist/3 has changed since it was signed"):
        champions.verified(signed, version.id)
    assert any("has changed since it was signed" in problem for problem in problems(signed))


def test_an_old_ledger_is_vouched_for_from_its_seal_on(store: Store, keys: Keyring) -> None:
    """Until a person seals it nothing is loaded or written; then its lines are pinned by the signed one."""
    nights.night(store, "a")
    home = replace(store, keys=keys.folder)
    with pytest.raises(NotVouched, match="no line is signed by a trusted key"):
        champions.champion(home, DATASET)
    signing.seal(home, DATASET, who="ada", why="compared with the backup")
    assert nights.champion_id(home) == "mnist/1"
    assert problems(home) == []
    nights.night(home, "b")
    values = lines(home)
    values[0]["why"] = "another reason"
    rewrite(home, values)
    assert any("rewritten" in problem for problem in problems(home))


def test_a_line_of_somebody_without_a_key_is_named(signed: Store) -> None:
    """The champion from before stays loadable; `verify` names the line, and a seal accepts it."""
    bars.bar(Store(signed.root), "mnist/1", **BY_ME)
    assert nights.champion_id(signed) == "mnist/2"
    assert problems(signed) == ["line 3 is not signed, and no later line vouches for it"]
    with pytest.raises(NotVouched, match="keys seal mnist --reason WHY"):
        bars.lift(signed, "mnist/1", **BY_ME)
    signing.seal(signed, DATASET, **BY_ME)
    bars.lift(signed, "mnist/1", **BY_ME)
    assert problems(signed) == []


def test_after_a_rotation_old_lines_are_valid_and_the_old_key_signs_nothing_new(
    signed: Store, keys: Keyring, tmp_path: Path
) -> None:
    """New key, seal, revoke; a thief of the old key can neither rewrite what was sealed nor go on."""
    stolen = replace(signed, keys=tmp_path / "stolen")
    shutil.copytree(keys.folder, tmp_path / "stolen")
    (old,) = keys.trusted()
    keys.new("ada", replace=True)
    signing.seal(signed, DATASET, who="ada", why="rotation")
    keys.revoke(old)
    assert problems(signed) == []
    assert nights.champion_id(signed) == "mnist/2"
    shutil.copy(keys.folder / keyring.TRUSTED, stolen.keys or "")
    thief = replace(stolen, keys=tmp_path / "thief")
    shutil.copytree(tmp_path / "stolen", tmp_path / "thief")
    trusted = json.loads((tmp_path / "thief" / keyring.TRUSTED).read_text())
    for key in trusted["keys"]:
        key["revoked"] = False
    (tmp_path / "thief" / keyring.TRUSTED).write_text(json.dumps(trusted))
    nights.night(thief, "evil")
    with pytest.raises(NotVouched, match=rf"line 4 is signed by the key {old} \(ada\), which is revoked"):
        champions.champion(signed, DATASET)


def test_an_unknown_key_vouches_for_nothing(signed: Store, keys: Keyring, tmp_path: Path) -> None:
    """Anyone can make a key; until it is trusted, its lines are named."""
    other = Keyring(tmp_path / "mallory")
    other.new("mallory")
    for key in keys.trusted().values():
        other.trust(key.public, key.name)
    bars.bar(replace(signed, keys=other.folder), "mnist/1", **BY_ME)
    (foreign,) = other.trusted().keys() - keys.trusted().keys()
    assert problems(signed) == [
        f"line 3 is signed by the key {foreign}, which is not trusted, and no later line vouches for it"
    ]
    keys.trust(other.trusted()[foreign].public, "mallory")
    assert problems(signed) == []


@pytest.mark.parametrize("content", [b"", b"{}", b"[" * 100_000, b'{"keys": [1]}', b'{"keys": [{"id": "x"}]}'])
def test_a_damaged_list_of_keys_is_an_error(signed: Store, keys: Keyring, content: bytes) -> None:
    """It never counts as an empty one, which would let everything fail or everything pass."""
    (keys.folder / keyring.TRUSTED).write_bytes(content)
    with pytest.raises(Corrupt, match="is not a list of keys"):
        champions.champion(signed, DATASET)
