"""A bounded run over every reader of files from outside; `python -m tests.fuzz --minutes 60` is the long one."""

import contextlib
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data.errors import NightshiftError
from tests.fuzz.damage import KINDS, Change, damaged
from tests.fuzz.readers import CANARY, READERS

CHANGES = st.lists(
    st.builds(Change, st.integers(0, len(KINDS) - 1), st.floats(0, 1, exclude_max=True), st.integers(0, 65535)),
    max_size=4,
)


@pytest.mark.parametrize("name", READERS)
def test_sound_files_are_read_or_refused(name: str, tmp_path: Path) -> None:
    """The files that all others are made from; those that lead out of a folder write nothing there."""
    for index, content in enumerate(READERS[name].seeds().values()):
        folder = tmp_path / str(index)
        folder.mkdir()
        read(name, content, folder)
    assert not [*tmp_path.rglob(f"*{CANARY}*"), *tmp_path.parent.glob(f"{CANARY}*"), *Path("/").glob(f"{CANARY}*")]


@pytest.mark.parametrize("name", READERS)
def test_damaged_files_are_read_or_refused(name: str) -> None:
    """Whatever is changed: an answer, or an error that has a name; nothing else is raised."""
    reader, seeds = READERS[name], READERS[name].seeds()

    @settings(
        max_examples=15 if reader.heavy else 80,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.sampled_from(sorted(seeds)), CHANGES)
    def check(seed: str, changes: list[Change]) -> None:
        with TemporaryDirectory() as folder:
            read(name, damaged(seeds[seed], changes), Path(folder))

    check()


def read(name: str, content: bytes, folder: Path) -> None:
    """Read a file; a named error is as good as an answer."""
    with warnings.catch_warnings(), contextlib.suppress(NightshiftError):
        warnings.simplefilter("ignore")  # Pillow, tarfile and zipfile say what they find odd
        READERS[name].read(content, folder)
