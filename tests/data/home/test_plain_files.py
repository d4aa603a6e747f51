import os
from pathlib import Path

import pytest

from data.errors import Corrupt
from data.home.plain_files import read_plain


def test_a_file_is_read_and_a_missing_one_is_missing(tmp_path: Path) -> None:
    """Links are followed."""
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "link").symlink_to("file")
    assert read_plain(tmp_path / "file") == read_plain(tmp_path / "link") == b"content"
    with pytest.raises(FileNotFoundError):
        read_plain(tmp_path / "missing")


def test_what_is_no_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    """A pipe would wait for ever, a device has no end."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    (tmp_path / "loop").symlink_to("loop")
    for name, kind in {
        "pipe": "is a pipe",
        "zero": "is a device",
        ".": "is a folder",
        "loop": "cannot be read",
    }.items():
        with pytest.raises(Corrupt, match=kind):
            read_plain(tmp_path / name)


def test_a_file_that_is_too_large_is_refused_by_its_size(tmp_path: Path) -> None:
    """A sparse file of 50 GB takes no disk, and would take all memory."""
    with (tmp_path / "sparse").open("wb") as stream:
        stream.truncate(50 << 30)
    with pytest.raises(Corrupt, match="has 53,687,091,200 bytes; at most"):
        read_plain(tmp_path / "sparse")
