"""Places that are not folders of this machine, and hostile ones."""

import gzip
import io
import os
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from data.errors import BadFile, BadInput, SourceUnavailable
from data.importing.places.archives import archive
from data.importing.places.locations import open_place
from data.importing.places.place import UNSETTLED
from tests.data.importing.buckets import bucket, credentials
from tests.data.importing.made import images, png, read, tar, write
from tests.data.servers import Server, answer

PIXELS = images(12)
FOLDER: dict[str, bytes | str] = {
    f"pets/{'train' if i < 8 else 'test'}/{'cat' if i % 2 else 'dög'}/{i}.png": png(image)
    for i, image in enumerate(PIXELS)
}


def npz() -> bytes:
    """An .npz as bytes."""
    stream = io.BytesIO()
    np.savez(stream, x_train=PIXELS[:8], y_train=np.arange(8) % 2, x_test=PIXELS[8:], y_test=np.arange(4) % 2)
    return stream.getvalue()


def test_a_bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A prefix is a folder, an object is a file; what is missing is said; credentials come from the environment."""
    pytest.importorskip("obstore")
    write(tmp_path / "bucket", {**FOLDER, "arrays/a.npz": npz()})
    tar(
        tmp_path / "bucket" / "shards" / "train-0.tar",
        [
            pair
            for i, content in enumerate(FOLDER.values())
            for pair in ((f"{i}.png", content), (f"{i}.cls", str(i % 2).encode()))
        ],
    )  # type: ignore[list-item]
    with bucket(tmp_path / "bucket") as endpoint:
        for name, value in credentials(endpoint).items():
            monkeypatch.setenv(name, value)
        got = read("s3://pictures/pets", tmp_path / "out")
        assert got.classes == ("cat", "dög")
        assert sorted(image.tobytes() for image in got.train_images) == sorted(image.tobytes() for image in PIXELS[:8])
        assert np.array_equal(read("s3://pictures/arrays/a.npz", tmp_path / "out2").train_images, PIXELS[:8])
        assert read("s3://pictures/shards/", tmp_path / "out3").classes == ("0", "1")
        for url in ("s3://pictures/nothing", "s3://elsewhere/pets"):
            with pytest.raises(SourceUnavailable, match=url):
                read(url, tmp_path / "out4")


def test_without_obstore_the_command_that_installs_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an extra."""
    monkeypatch.setitem(sys.modules, "obstore", None)
    with pytest.raises(BadInput, match="reading buckets needs obstore") as error:
        read("s3://pictures/pets", tmp_path / "out")
    assert error.value.hint == "pip install 'nightshift[cloud]'"


def test_a_file_on_the_web(tmp_path: Path, server: Server) -> None:
    """Fetched, then read like a local one; a page that is not there is an error with its address."""
    server.routes["/data/a.npz"] = answer(npz())
    assert np.array_equal(read(f"{server.url}/data/a.npz", tmp_path / "out").train_images, PIXELS[:8])
    with pytest.raises(SourceUnavailable, match=r"/data/b\.npz: HTTP 404"):
        read(f"{server.url}/data/b.npz", tmp_path / "out2")


@pytest.mark.parametrize(
    ("location", "problem"),
    [
        ("ftp://example.com/x.zip", "expected a path or a URL that begins with"),
        ("file:///etc", "expected a path or a URL"),
        ("https://me:secret@example.com/x.zip", "without a password"),
        ("https://example.com/x.zip?token=secret", "without a password, a query"),
        ("s3://key:secret@pictures/pets", "without a password"),
    ],
)
def test_addresses_that_are_refused(tmp_path: Path, location: str, problem: str) -> None:
    """Other schemes, and whatever may hold a secret, which is not repeated."""
    with pytest.raises(BadInput, match=problem) as error:
        read(location, tmp_path / "out")
    assert "secret@" not in str(error.value)
    assert "token" not in str(error.value)


def test_devices_and_pipes(tmp_path: Path) -> None:
    """Reading them might never end."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(BadFile, match="device or a pipe"):
        read(tmp_path / "pipe", tmp_path / "out")
    write(tmp_path / "in", FOLDER)
    os.mkfifo(tmp_path / "in" / "pets" / "train" / "cat" / "pipe.png")
    assert len(read(tmp_path / "in", tmp_path / "out").train_images) == 8


@pytest.mark.fault("F-05")
def test_zip_bombs(tmp_path: Path) -> None:
    """A member is never read beyond the size of an image, whatever it announces."""
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in FOLDER.items():
            archive.writestr(name, content)
        archive.writestr("pets/train/cat/bomb.png", bytes(300 << 20))
    with pytest.raises(
        BadFile, match=r"1 of 13 images cannot be used:\n.*bomb\.png: expected an image of at most 256 MiB"
    ):
        read(tmp_path / "bomb.zip", tmp_path / "out")


def test_encrypted_zips(tmp_path: Path) -> None:
    """Members with a password are named."""
    path = tmp_path / "locked.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in FOLDER.items():
            archive.writestr(name, content)
    content = bytearray(path.read_bytes())
    at = 0
    while (at := content.find(b"PK\x01\x02", at)) >= 0:  # the flag in each entry of the directory
        content[at + 8] |= 1
        at += 4
    path.write_bytes(content)
    with pytest.raises(BadFile, match="encrypted"):
        read(path, tmp_path / "out")


def test_a_path_that_is_not_there(tmp_path: Path) -> None:
    """Is said to be missing, at any depth."""
    for name in ("nowhere", "no/where/at/all"):
        with pytest.raises(BadFile, match="is not there"):
            read(tmp_path / name, tmp_path / "out")


def test_stamps_tell_whether_a_file_has_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The time of the last change, unless that was just now; members of an archive have that of the archive."""
    write(tmp_path / "in", FOLDER)
    old = 1_700_000_000_000_000_000
    names = sorted(str(path) for path in (tmp_path / "in").rglob("*.png"))
    for i, name in enumerate(names[1:]):
        os.utime(name, ns=(old + i, old + i))
    now = Path(names[0]).stat().st_mtime_ns + 1_000_000_000
    monkeypatch.setattr("data.importing.places.local.time.time_ns", lambda: now)
    folder = open_place(str(tmp_path / "in"), tmp_path, lambda *_: None)
    stamps = {str(file.local()): file.stamp for file in folder.files}
    assert stamps == {names[0]: UNSETTLED, **{name: old + i for i, name in enumerate(names[1:])}}
    tar(tmp_path / "all.tar", [(name, content) for name, content in FOLDER.items() if isinstance(content, bytes)])
    os.utime(tmp_path / "all.tar", ns=(old, old))
    outer = open_place(str(tmp_path / "all.tar"), tmp_path, lambda *_: None)
    assert {file.stamp for file in archive(outer.files[0]).files} == {old}


def test_a_changed_file_is_noticed_after_it_was_listed(tmp_path: Path) -> None:
    """Another size, another time, or gone."""
    write(tmp_path, {"a.png": "1", "b.png": "1", "c.png": "1"})
    for name in ("a.png", "b.png"):
        os.utime(tmp_path / name, ns=(10**18, 10**18))
    place = open_place(str(tmp_path), tmp_path, lambda *_: None)
    assert not any(place.changed(file) for file in place.files)
    (tmp_path / "a.png").write_text("2")
    (tmp_path / "b.png").unlink()
    (tmp_path / "c.png").write_text("22")
    assert all(place.changed(file) for file in place.files)


def test_a_tar_header_without_end_is_refused(tmp_path: Path) -> None:
    """Extended headers are read into memory by `tarfile`, whatever size they announce."""
    header = tarfile.TarInfo("././@PaxHeader")
    header.type, header.size = tarfile.XHDTYPE, 64 << 20
    (tmp_path / "bomb.tar.gz").write_bytes(gzip.compress(header.tobuf(tarfile.USTAR_FORMAT) + bytes(64 << 20)))
    with pytest.raises(BadFile, match=r"bomb\.tar\.gz cannot be read"):
        read(tmp_path / "bomb.tar.gz", tmp_path / "scratch")


def test_long_names_in_a_tar_archive_are_read(tmp_path: Path) -> None:
    """They lie in extended headers, too."""
    members = [(f"{'a' * 120}/{name}", bytes(content)) for name, content in FOLDER.items()]  # type: ignore[arg-type]
    long = tar(tmp_path / "long.tar", members)
    assert len(read(long, tmp_path / "scratch").train_images) == 8


def test_damage_inside_packed_members_is_named(tmp_path: Path) -> None:
    """What zlib and gzip raise on the way is an error with the file's name, found by tests/fuzz."""
    pixels = [(f"train/a/{i}.png", png(images(1, seed=i)[0])) for i in range(4)]
    zipped = tmp_path / "a.zip"
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in pixels:
            archive.writestr(name, content)
        start = archive.infolist()[0].header_offset + 30 + len(pixels[0][0])
    content = bytearray(zipped.read_bytes())
    content[start : start + 8] = b"\xff" * 8
    zipped.write_bytes(content)
    packed = tar(tmp_path / "a.tar.gz", pixels, "w:gz")
    packed.write_bytes(packed.read_bytes() + b"\0" * 8 + b"no gzip")
    bzipped = tar(tmp_path / "b.tar", pixels, "w:bz2")
    for path in (zipped, packed, bzipped):
        with pytest.raises(BadFile, match="cannot be read"):
            read(path, tmp_path / f"scratch-{path.name}")
