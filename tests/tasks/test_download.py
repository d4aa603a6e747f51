"""Step 1: what is tried again, and what is not."""

import asyncio
from typing import Any

import pytest
from prefect.states import exception_to_failed_state

from data.errors import BadFile, SourceUnavailable, StorageFailed, UnknownName
from data.store import Store
from tasks.download import download
from tasks.progress import Event, listening


def retried(error: Exception) -> bool:
    """Ask the task's own rule about an attempt that failed with this error."""

    async def ask() -> bool:
        rule: Any = download.retry_condition_fn
        return bool(await rule(download, None, await exception_to_failed_state(error)))

    return asyncio.run(ask())


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (SourceUnavailable("no mirror answered"), True),
        (UnknownName("no dataset is called 'mnits'"), False),
        (BadFile("it is no IDX file"), False),
        (StorageFailed("the disk is full"), False),
        (ValueError("a mistake in the code"), False),
    ],
)
def test_only_a_source_that_cannot_be_reached_is_tried_again(error: Exception, again: bool) -> None:
    """Waiting helps a mirror that is down; it does not correct a name or make room on a disk."""
    assert retried(error) is again
    assert download.retries == 2


def test_the_bundled_sample_is_downloaded_with_its_progress(store: Store) -> None:
    """The last event says what is there, and the progress never passes the end before."""
    events: list[Event] = []
    with listening(events.append):
        ref = download.fn(store, "mnist-sample")
    assert ref.dataset == "mnist-sample"
    assert [event.done for event in events][-1] == 1.0
    assert all(event.done is not None and event.done < 1.0 for event in events[:-1])
    assert ref.digest[:12] in events[-1].text


def test_a_misspelt_dataset_is_named(store: Store) -> None:
    """With the nearest name there is."""
    with pytest.raises(UnknownName, match="did you mean 'mnist-sample'"):
        download.fn(store, "mnist-sampel")
