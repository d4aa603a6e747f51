"""The first step of a night: the source files of the dataset whose row it is given."""

import asyncio
from typing import Any

import pytest
from prefect.states import Failed

from data import catalogue
from data.errors import Corrupt, SourceUnavailable, UnknownName
from data.home.store import Store
from tasks.download import _worth_a_retry, download
from tasks.progress import Event, listening


def test_bundled_sample_needs_no_network(store: Store) -> None:
    """The step returns a reference to four verified files, and says so in its last event."""
    events: list[Event] = []
    with listening(events.append):
        ref = download.fn(store, catalogue.get(store, "mnist-sample"))
    assert ref.dataset == "mnist-sample"
    assert events[-1].text == f"all four files of mnist-sample match their pinned hashes ({ref.digest[:12]})"


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (SourceUnavailable("no mirror answers"), True),
        (Corrupt("the row was changed"), False),
        (UnknownName("no such dataset"), False),
    ],
)
def test_only_unavailable_sources_are_tried_again(error: Exception, again: bool) -> None:
    """A mirror may come back; what is wrong in the home or in the parameters stays wrong."""
    run: Any = None
    assert asyncio.run(_worth_a_retry(run, run, Failed(data=error))) is again
