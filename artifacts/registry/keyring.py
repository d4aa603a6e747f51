"""A folder of Ed25519 keys outside the home: one's own private key, the public keys one trusts, the newest lines seen.

    signing.pem          the private key with which this machine signs; only its owner can read it
    trusted.json         public keys by their id, with a name, and whether they are revoked
    newest/<home>-<dataset>    number and hash of the newest ledger line that this machine wrote

What is in the home says nothing about whom to trust: whoever can write it could add a key. Which files are signed:
`artifacts.registry.signing`; the threat model: docs/decisions/0029-signatures.md.
"""

import base64
import contextlib
import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data.errors import BadInput, Corrupt, UnknownName
from data.home import files
from data.home.files import storage_errors
from data.home.plain_files import read_plain
from data.home.store import Store
from data.values import canonical_json

if TYPE_CHECKING:  # the registry opens with the standard library alone where there are no keys
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

PRIVATE, TRUSTED, NEWEST = "signing.pem", "trusted.json", "newest"
ID_DIGITS = 16  # hexadecimal digits of a key's id


@dataclass(frozen=True)
class Key:
    """A public key.

    Args:
        id: the first hexadecimal digits of the SHA-256 of its 32 bytes.
        public: these bytes as base64.
        name: whose it is, for people.
        revoked: whether it may not sign anything new.
    """

    id: str
    public: str
    name: str
    revoked: bool = False

    def signed(self, content: bytes, signature: str) -> bool:
        """Whether a signature, as base64, is this key's on some bytes."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        try:
            made = Ed25519PublicKey.from_public_bytes(base64.b64decode(self.public, validate=True))
            made.verify(base64.b64decode(signature, validate=True), content)
        except (InvalidSignature, ValueError):
            return False
        return True


@dataclass(frozen=True)
class Keyring:
    """The keys in one folder.

    Args:
        folder: the folder; outside of every home.
    """

    folder: Path

    # -- reading --------------------------------------------------------------------------------------------------

    def trusted(self) -> dict[str, Key]:
        """Return the trusted keys by their id, revoked ones too.

        Raises:
            Corrupt: the list is not readable.
        """
        path = self.folder / TRUSTED
        try:
            listed = json.loads(read_plain(path))["keys"]
            keys = [Key(one["id"], one["public"], one["name"], one["revoked"] is True) for one in listed]
        except FileNotFoundError:
            return {}
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise Corrupt(f"{path} is not a list of keys ({error})", "restore it from a backup") from error
        return {key.id: key for key in keys if key.id == _id(key.public)}

    def private(self) -> "Ed25519PrivateKey | None":
        """Return the private key; None if there is none, which lets this machine verify but not sign.

        Raises:
            Corrupt: the file is no Ed25519 key.
            BadInput: others can read it.
        """
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        path = self.folder / PRIVATE
        if not path.exists():
            return None
        if path.stat().st_mode & 0o077:
            raise BadInput(f"{path} can be read by others than its owner", f"chmod 600 {path}, or make a new key")
        try:
            key = load_pem_private_key(read_plain(path), None)
        except (ValueError, TypeError) as error:
            raise Corrupt(f"{path} is not a private key: {error}", "restore it from a backup") from error
        if not isinstance(key, Ed25519PrivateKey):
            raise Corrupt(f"{path} is not an Ed25519 key", "make one: nightshift keys new")
        return key

    def sign(self, content: bytes) -> dict[str, str]:
        """Return the id of one's own key and its signature of some bytes; nothing where there is no private key."""
        key = self.private()
        if key is None:
            return {}
        return {"key": _id(_public(key)), "signature": base64.b64encode(key.sign(content)).decode()}

    def newest(self, store: Store, dataset: str) -> str:
        """Return number and hash of the newest line that this machine wrote; "" if it has not written any."""
        try:
            return read_plain(self._newest(store, dataset)).decode(errors="replace").strip()
        except FileNotFoundError:
            return ""

    # -- writing --------------------------------------------------------------------------------------------------

    def new(self, name: str, *, replace: bool = False) -> Key:
        """Make a key pair: the private key is one's own from now on, the public one is trusted.

        Args:
            name: whose it is.
            replace: whether a private key that is there is kept under another name.

        Raises:
            BadInput: there is a private key already.
            StorageFailed: the folder cannot be written.
        """
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        path, made = self.folder / PRIVATE, Ed25519PrivateKey.generate()
        if path.exists() and not replace:
            raise BadInput(f"{path} is there already", "rotate it: nightshift keys new --replace")
        with storage_errors(path):
            files.make_folder(self.folder)
            self.folder.chmod(0o700)
            if path.exists():
                path.rename(path.with_name(f"{_id(_public(made))}-replaced.pem"))
            form = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
            self._write(PRIVATE, made.private_bytes(serialization.Encoding.PEM, *form))
        return self.trust(_public(made), name)

    def trust(self, public: str, name: str) -> Key:
        """Trust a public key, as base64.

        Raises:
            BadInput: it is none.
        """
        try:
            if len(base64.b64decode(public, validate=True)) != 32:
                raise ValueError
        except ValueError:
            raise BadInput(f"{public!r} is not a public key", "copy it from nightshift keys list") from None
        key = Key(_id(public), public, name)
        self._list({**self.trusted(), key.id: key})
        return key

    def revoke(self, key_id: str) -> Key:
        """Let a key sign nothing new; what a later line of another key vouches for stays valid.

        Raises:
            UnknownName: it is not trusted.
        """
        known = self.trusted()
        if key_id not in known:
            raise UnknownName.among("trusted key", key_id, known)
        revoked = Key(key_id, known[key_id].public, known[key_id].name, revoked=True)
        self._list({**known, key_id: revoked})
        return revoked

    def remember(self, store: Store, dataset: str, newest: str) -> None:
        """Keep number and hash of a ledger's newest line; a folder that is read-only, such as a secret, keeps none."""
        with contextlib.suppress(OSError):
            self._write(self._newest(store, dataset).relative_to(self.folder).as_posix(), newest.encode())

    def _newest(self, store: Store, dataset: str) -> Path:
        home = hashlib.sha256(os.fsencode(store.root.absolute())).hexdigest()[:ID_DIGITS]
        return self.folder / NEWEST / f"{home}-{dataset}"

    def _list(self, keys: dict[str, Key]) -> None:
        value: dict[str, Any] = {"keys": [vars(key) for key in keys.values()]}
        with storage_errors(self.folder / TRUSTED):
            files.make_folder(self.folder)
            self._write(TRUSTED, canonical_json(value))

    def _write(self, name: str, content: bytes) -> None:
        """Replace a file in one step; only its owner can read it, at every moment."""
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
        files.fsync(path.parent)


def of(store: Store) -> Keyring | None:
    """Return the keys of whoever uses this home; None where none are configured.

    Raises:
        BadInput: they lie in the home itself, where whoever can change a model could change them, too.
    """
    if store.keys is None:
        return None
    if store.keys.resolve().is_relative_to(store.root.resolve()):
        raise BadInput(f"the keys in {store.keys} lie in the home", "set NIGHTSHIFT_KEYS to a folder outside of it")
    return Keyring(store.keys)


def _id(public: str) -> str:
    try:
        return hashlib.sha256(base64.b64decode(public, validate=True)).hexdigest()[:ID_DIGITS]
    except ValueError:
        return ""


def _public(key: "Ed25519PrivateKey") -> str:
    return base64.b64encode(key.public_key().public_bytes_raw()).decode()
