"""Every expectation of a kept validation with what was observed; Great Expectations is not loaded."""

import json
from dataclasses import dataclass
from typing import Any

from data.home.store import Store
from data.validation.failures import as_text, wanted


@dataclass(frozen=True)
class Observed:
    """One expectation and what was found.

    Args:
        subject: a suite, and a column if it concerns one, such as "train.mean".
        expectation: its name, in Great Expectations' spelling.
        expected: the values that meet it.
        observed: what was found.
        met: whether it was met.
        value: the number that was found, where it is one.
    """

    subject: str
    expectation: str
    expected: str
    observed: str
    met: bool
    value: float | None = None


def observed(store: Store, digest: str) -> tuple[Observed, ...]:
    """Return what each expectation of a published validation found; () if it cannot be read."""
    try:
        details = json.loads((store.validation(digest) / "result.json").read_bytes())["details"]
        return tuple(_one(name, result) for name, suite in details.items() for result in suite["results"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return ()


def _one(suite: str, result: dict[str, Any]) -> Observed:
    config, found = result["expectation_config"], result.get("result") or {}
    column, value = config["kwargs"].get("column"), found.get("observed_value")
    number = float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
    return Observed(
        subject=f"{suite}.{column}" if column else suite,
        expectation=config["type"],
        expected=wanted(config["type"], config["kwargs"]),
        observed=as_text(found),
        met=bool(result["success"]),
        value=number,
    )
