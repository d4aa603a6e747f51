"""A snapshot of a source: what is new is read, what is known is not, and nothing moves."""

from pathlib import Path

import pytest

from tests.data.snapshots.sources import Source


@pytest.fixture
def source(tmp_path: Path) -> Source:
    """Sixty images of two classes."""
    made = Source(tmp_path)
    made.fill(60)
    return made


def test_what_is_known_is_not_read_again(source: Source) -> None:
    """The first night decodes all, the next nothing, a third one only what is new; the digest follows the content."""
    first = source.take()
    assert (first.decoded, first.night.images, first.night.n_added) == (60, 60, 60)
    assert first.class_names == ("a", "b")
    again = source.take()
    assert (again.decoded, again.ref, again.night.changed) == (0, first.ref, 0)
    source.fill(5, seed=9, start=100)
    grown = source.take()
    assert (grown.decoded, grown.night.n_added, grown.night.images) == (5, 5, 65)
    assert grown.ref != first.ref
    assert grown.night.added == tuple(f"{'ab'[i % 2]}/{i:04}.png" for i in (100, 102, 104, 101, 103))
    old, new = source.content(first), source.content(grown)
    assert old.items() <= new.items()
    assert len(new) == 65
