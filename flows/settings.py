"""The only reader of the environment.

    NIGHTSHIFT_HOME       where everything that runs produce lies; default: var/ in the checkout
    NIGHTSHIFT_MIRRORS    folders or URLs tried first, as <mirror>/<dataset>/<file>; separated by blanks or commas

Prefect and TensorFlow read the environment too; `prepare_environment` gives theirs the values that Nightshift needs,
unless somebody has set them already.
"""

import os
from functools import cache
from pathlib import Path
from typing import Annotated

from pydantic import field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from data.store import Store

CHECKOUT = Path(__file__).resolve().parents[1]


class Settings(BaseSettings):
    """What can be set from outside, checked on first use."""

    model_config = SettingsConfigDict(env_prefix="NIGHTSHIFT_", frozen=True)

    home: Path = CHECKOUT / "var"
    mirrors: Annotated[tuple[str, ...], NoDecode] = ()

    @field_validator("home")
    @classmethod
    def _absolute(cls, home: Path) -> Path:
        return home.expanduser().absolute()

    @field_validator("mirrors", mode="before")
    @classmethod
    def _split(cls, mirrors: object) -> object:
        return tuple(mirrors.replace(",", " ").split()) if isinstance(mirrors, str) else mirrors

    @property
    def store(self) -> Store:
        """The store in `home`."""
        return Store(self.home)


@cache
def settings() -> Settings:
    """Return the settings of this process, read once."""
    return Settings()


def prepare_environment() -> None:
    """Set what Prefect and TensorFlow read at import time; call before either is imported.

    Without a PREFECT_API_URL the run gets a private server, whose database lies in the home and not in the user's
    ~/.prefect. Messages of TensorFlow below an error are silenced: two pages of them hide the verdict.
    """
    defaults = {
        "PREFECT_HOME": str(settings().home / "prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",  # the first start migrates a database: 9 s here
        "PREFECT_TASKS_DEFAULT_NO_CACHE": "true",  # steps are reused by content address, never by Prefect
        "PREFECT_RESULTS_DEFAULT_SERIALIZER": "json",
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "WARNING",  # the log keeps every line; the terminal has its own
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "TF_FORCE_GPU_ALLOW_GROWTH": "true",
        "GX_ANALYTICS_ENABLED": "false",
    }
    for name, value in defaults.items():
        os.environ.setdefault(name, value)
