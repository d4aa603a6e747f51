"""The only reader of the environment.

    NIGHTSHIFT_HOME       folder for everything that runs produce; default: var/ in the checkout
    NIGHTSHIFT_MIRRORS    folders or URLs tried first, as <mirror>/<dataset>/<file>; separated by spaces or commas
    NIGHTSHIFT_KEYS       folder outside of the home with keys that sign its registry; default: none
    NIGHTSHIFT_RECIPES    modules or packages with more recipes, such as my_team.recipes; separated by spaces or commas

Prefect, Keras and its backends read the environment too; `prepare_environment` sets what Nightshift needs of theirs,
unless it is set already.
"""

import atexit
import getpass
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

from pydantic import ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from artifacts.models.provenance import CHECKOUT
from artifacts.recipes import catalogue
from data.errors import BadInput
from data.home.store import Store

PRIVATE_HOME = "nightshift-prefect-"
OWN_ADDRESSES = ("127.0.0.1", "localhost", "::1")


class Settings(BaseSettings):
    """The settings, checked on first use."""

    model_config = SettingsConfigDict(env_prefix="NIGHTSHIFT_", env_ignore_empty=True, frozen=True)

    home: Path = CHECKOUT / "var"
    mirrors: Annotated[tuple[str, ...], NoDecode] = ()
    recipes: Annotated[tuple[str, ...], NoDecode] = ()
    keys: Path | None = None

    @field_validator("home", "keys")
    @classmethod
    def _absolute(cls, folder: Path | None) -> Path | None:
        try:
            return folder.expanduser().absolute() if folder else None
        except RuntimeError as error:  # ~ where no user is known
            raise ValueError(str(error)) from error

    @field_validator("mirrors", "recipes", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(value.replace(",", " ").split()) if isinstance(value, str) else value

    @property
    def store(self) -> Store:
        """The store in `home`."""
        return Store(self.home, self.keys)


_override: ContextVar[Settings | None] = ContextVar("settings", default=None)


@cache
def _from_environment() -> Settings:
    try:
        found = Settings()
    except ValidationError as error:
        wrong = "; ".join(
            f"NIGHTSHIFT_{'.'.join(map(str, one['loc'])).upper()}: {one['msg']}" for one in error.errors()
        )
        raise BadInput(f"the environment is invalid: {wrong}", "correct the variable, or unset it") from error
    catalogue.search(found.recipes)
    return found


def settings() -> Settings:
    """Return the settings of this process, or those of `temporary_home`.

    The environment is read once. The first reading adds the modules of NIGHTSHIFT_RECIPES to the catalogue of recipes.
    """
    return _override.get() or _from_environment()


@contextmanager
def temporary_home() -> Iterator[Settings]:
    """Use a new home without mirrors while the block runs; it is removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="nightshift-") as folder:
        token = _override.set(Settings(home=Path(folder), mirrors=(), keys=None))
        try:
            yield settings()
        finally:
            _override.reset(token)


def in_temporary_home() -> bool:
    """Whether `temporary_home` is in effect: other runs on the same server then use another home."""
    return _override.get() is not None


def environment_with(**more: str) -> dict[str, str]:
    """Return the environment of this process with `more` added, for a child process."""
    return {**os.environ, **more}


def names_a_server() -> bool:
    """Whether PREFECT_API_URL is set: runs and commands then use that server."""
    return bool(server_url())


def server_url() -> str:
    """Return PREFECT_API_URL; "" if it is not set."""
    return os.environ.get("PREFECT_API_URL", "")


def server_key_is_set() -> bool:
    """Whether PREFECT_API_KEY is set, which a server of one's own does not know."""
    return bool(os.environ.get("PREFECT_API_KEY"))


def proxies() -> dict[str, str]:
    """Return the variables that name a proxy, as they are: they may hold passwords."""
    names = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY")
    return {name: value for one in names for name in (one, one.lower()) if (value := os.environ.get(name))}


def certificate_files() -> dict[str, str]:
    """Return the variables that name trusted certificates, with their paths."""
    names = ("SSL_CERT_FILE", "SSL_CERT_DIR")
    return {name: value for name in names if (value := os.environ.get(name))}


def misspelt_variables() -> dict[str, str]:
    """Return the variables that begin with NIGHTSHIFT_ and that nothing reads, each with the nearest name or ""."""
    known = [f"NIGHTSHIFT_{name.upper()}" for name in Settings.model_fields]
    unknown = sorted(name for name in os.environ if name.startswith("NIGHTSHIFT_") and name not in known)
    return {name: next(iter(get_close_matches(name, known, n=1)), "") for name in unknown}


def use_server(url: str) -> None:
    """Let Prefect use this server, which needs no password; call before Prefect is imported."""
    os.environ.update(PREFECT_API_URL=url, PREFECT_SERVER_EPHEMERAL_ENABLED="false")
    for name in ("PREFECT_API_KEY", "PREFECT_API_AUTH_STRING"):
        os.environ.pop(name, None)


def set_environment(variables: Mapping[str, str]) -> None:
    """Set variables for libraries that read the environment when they are imported, and for child processes."""
    os.environ.update(variables)


def environment_without_server() -> dict[str, str]:
    """Return the environment for the process of a private Prefect server, which asks no other and no password."""
    names = ("PREFECT_API_URL", "PREFECT_API_KEY", "PREFECT_API_AUTH_STRING", "PREFECT_SERVER_API_AUTH_STRING")
    private = {"PREFECT_UI_ENABLED": "0", "PREFECT__SERVER_EPHEMERAL": "1", "PREFECT__SERVER_FINAL": "1"}
    return {**{name: value for name, value in os.environ.items() if name not in names}, **private}


def prefect_home() -> Path:
    """Return the folder in which Prefect keeps its database."""
    return Path(os.environ.get("PREFECT_HOME") or settings().home / "prefect")


def user_name() -> str:
    """Return who runs this process: the user's name, or "uid 54321" where the system has none, as in containers."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return f"uid {os.getuid()}"


def visible_gpus() -> str | None:
    """Return CUDA_VISIBLE_DEVICES, the GPUs that this process may use; None means all."""
    return os.environ.get("CUDA_VISIBLE_DEVICES")


def keras_backend() -> str:
    """Return KERAS_BACKEND, the backend that Keras will load; default: "tensorflow"."""
    return os.environ.get("KERAS_BACKEND") or "tensorflow"


def prepare_environment(*, private_server: bool = False) -> None:
    """Set what Prefect, Keras and its backends read at import time; call before any of them is imported.

    Without PREFECT_API_URL, runs use an embedded server, with its database in the home instead of ~/.prefect.
    TensorFlow's messages below errors are silenced: two pages of them hide the verdict.

    Args:
        private_server: use a temporary Prefect server and profile, whatever the user has set.
    """
    if private_server:
        for name in [name for name in os.environ if name.startswith("PREFECT_")]:
            del os.environ[name]
        os.environ["PREFECT_HOME"] = tempfile.mkdtemp(prefix=PRIVATE_HOME)
        atexit.register(remove_private_home)  # runs after the server's end, which is registered later
    defaults = {
        "PREFECT_HOME": str(settings().home / "prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",  # the first start migrates a database: 9 s here
        "PREFECT_TASKS_DEFAULT_NO_CACHE": "true",  # steps are reused by content address, never by Prefect
        "PREFECT_RESULTS_DEFAULT_SERIALIZER": "json",
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "WARNING",  # the run's log keeps every line
        "KERAS_BACKEND": "tensorflow",  # overrides ~/.keras/keras.json
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "TF_FORCE_GPU_ALLOW_GROWTH": "true",
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",  # the same for JAX
        "GX_ANALYTICS_ENABLED": "false",
    }
    for name, value in defaults.items():
        os.environ.setdefault(name, value)
    os.environ.update(database_in(prefect_home()))
    _spare_own_addresses()


def database_in(folder: Path) -> dict[str, str]:
    """Return the variable for Prefect's database in a folder, where the folder's name would be misread in an address.

    Behind a question mark options begin, and %20 is a blank: the database would lie elsewhere.
    """
    name = "PREFECT_SERVER_DATABASE_CONNECTION_URL"
    path = str(folder / "prefect.db")
    own = name in os.environ or "PREFECT_API_DATABASE_CONNECTION_URL" in os.environ
    return {} if own or not {"?", "%"} & set(path) else {name: f"sqlite+aiosqlite:///{quote(path)}"}


def remove_private_home() -> None:
    """Remove the folder of a private server's database, if there is one."""
    home = prefect_home()
    if home.name.startswith(PRIVATE_HOME):
        shutil.rmtree(home, ignore_errors=True)


def _spare_own_addresses() -> None:
    """Let no request to this machine's own server go to a proxy; downloads still use it."""
    both = ",".join(filter(None, (os.environ.get(name) for name in ("no_proxy", "NO_PROXY"))))
    listed = list(dict.fromkeys(part.strip() for part in both.split(",") if part.strip()))
    listed += [name for name in OWN_ADDRESSES if name not in listed]
    os.environ["no_proxy"] = os.environ["NO_PROXY"] = ",".join(listed)
