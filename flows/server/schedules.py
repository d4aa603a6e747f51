"""When the datasets of a home are trained by themselves: one small file each, so that it outlives every server.

`make deploy` makes a deployment of each, beside those of prefect.yaml.
"""

import json
from typing import Annotated, Any
from zoneinfo import available_timezones

from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints, ValidationError

from data.errors import BadInput, Corrupt
from data.home.layout import NAME
from data.home.store import Store
from data.values import canonical_json

EVERY = {"night": "30 5 * * *", "week": "30 5 * * 0"}  # after the nights of prefect.yaml have begun


def _zone(name: str) -> str:
    if name not in available_timezones():
        raise ValueError(f"{name!r} is not an IANA time zone such as Europe/Berlin")
    return name


class Strict(BaseModel):
    """A model that refuses unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Schedule(Strict):
    """When a deployment starts by itself; `slug` lets a later deploy change it instead of adding another."""

    slug: str
    cron: Annotated[str, StringConstraints(pattern=r"^(\S+ ){4}\S+$")]
    timezone: Annotated[str, AfterValidator(_zone)]
    active: bool = True


def schedule(cron: str, timezone: str) -> Schedule:
    """Return a schedule that a person wrote.

    Args:
        cron: five fields: minute, hour, day of month, month, day of week.
        timezone: an IANA name.

    Raises:
        BadInput: one of them is not valid.
    """
    from prefect.client.schemas.schedules import CronSchedule

    if timezone not in available_timezones():
        raise BadInput(f"{timezone!r} is not a time zone", "use an IANA name, such as Europe/Berlin or UTC")
    text = " ".join(cron.split())
    try:
        CronSchedule(cron=text, timezone=timezone)
        return Schedule(slug="nightly", cron=text, timezone=timezone)
    except ValidationError as error:
        raise BadInput(
            f"{cron!r} is not a cron expression of five fields",
            "write minute, hour, day of month, month and day of week, such as '30 3 * * *' for half past three",
        ) from error


def read(store: Store) -> dict[str, Schedule]:
    """Return the schedules by dataset, sorted.

    Raises:
        Corrupt: a file is not what was written.
    """
    paths = sorted(store.schedules().glob("*.json"))
    return {path.stem: _read(path) for path in paths if NAME.fullmatch(path.stem)}


def _read(path: Any) -> Schedule:
    try:
        value = json.loads(path.read_bytes())
        if value.get("active") is True:
            del value["active"]  # its default; said explicitly, it would wake a schedule that a person has paused
        return Schedule.model_validate(value)
    except (OSError, ValueError, AttributeError) as error:
        raise Corrupt(
            f"{path} cannot be read as a schedule ({error})", f"nightshift datasets schedule {path.stem} --off"
        ) from error


def write(store: Store, dataset: str, when: Schedule) -> None:
    """Keep a schedule, in place of an earlier one.

    Raises:
        StorageFailed: the home cannot be written.
    """
    store.write_bytes(store.schedules() / f"{dataset}.json", canonical_json(when.model_dump()))


def remove(store: Store, dataset: str) -> bool:
    """Remove a dataset's schedule, and return whether there was one."""
    path = store.schedules() / f"{dataset}.json"
    found = path.is_file()
    path.unlink(missing_ok=True)
    return found
