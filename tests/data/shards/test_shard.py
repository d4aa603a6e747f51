"""A shard keeps its images with what is known about them, ordered by hash, for ever."""

from pathlib import Path

import numpy as np
import pytest

from data.errors import BadInput, Corrupt
from data.home.store import Store
from data.shards import shard as shards
from data.shards.parquet_file import digests, image_hashes
from data.shards.pieces import Piece, read
from data.shards.shard import ShardRef, first_rows, images_file, read_rows, sortable, write_shard
from data.statistics.summary import numeric, summarise_images
from tests.data.growing import pictures, put


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty home."""
    return Store(tmp_path / "home")


def stored_images(store: Store, ref: ShardRef, shape: tuple[int, ...]) -> np.ndarray:
    """The pixels in a shard, uint8."""
    return np.rint(read([Piece(images_file(store, ref))], shape).images * 255).astype(np.uint8)


@pytest.mark.parametrize("shape", [(5, 4), (6, 6, 3)], ids=["grey", "colour"])
def test_a_shard_holds_images_and_facts_in_the_order_of_the_hashes(store: Store, shape: tuple[int, ...]) -> None:
    """Pixels, labels, paths and statistics still belong together after they were sorted."""
    images, labels = pictures(50, 1, shape), np.arange(50) % 3
    ref = put(store, "train", images, labels, 1)
    order = np.argsort(sortable(image_hashes(images)))
    table, statistics = read_rows(store, ref), summarise_images("train", images, labels)
    assert (ref.split, ref.rows, ref.first_seen) == ("train", 50, "2026-01-01T03:00:00Z")
    assert (stored_images(store, ref, shape) == images[order]).all()
    assert (digests(table["sha256"].combine_chunks()) == image_hashes(images)[order]).all()
    assert table["label"].to_pylist() == labels[order].tolist()
    assert table["path"].to_pylist() == [f"night 1/train {number}.png" for number in order]
    assert numeric(table) == numeric(statistics)
    for name in numeric(statistics):
        assert table[name].to_pylist() == statistics[name].to_numpy()[order].tolist()


def test_the_same_images_in_any_order_on_any_night_are_the_same_shard(store: Store, tmp_path: Path) -> None:
    """The address follows the content alone, and equal addresses are equal bytes: a killed night can be repeated."""
    images, labels = pictures(30, 1), np.arange(30)
    paths = [f"{number}.png" for number in range(30)]
    found = []
    for home, night, order in (("a", "2026-01-01", np.arange(30)), ("b", "2026-02-02", np.arange(30)[::-1])):
        other, hashes = Store(tmp_path / home), image_hashes(images)
        statistics = summarise_images("train", images[order], labels[order])
        there = [paths[number] for number in order]
        ref = write_shard(other, "train", night, (5, 4), images[order], hashes[order], labels[order], there, statistics)
        found.append((ref.digest, other.files(other.shard(ref.digest))))
    assert found[0] == found[1]
    assert put(store, "train", images, labels, 1).digest != put(store, "validation", images, labels, 1).digest
    assert put(store, "train", images, labels, 1).digest != put(store, "train", images, labels + 1, 1).digest


def test_the_first_rows_are_those_with_the_smallest_hashes(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sample of a shard is read without reading all of it."""
    monkeypatch.setattr(shards.parquet_file, "ROW_GROUP", 16)
    ref = put(store, "test", pictures(50, 1), np.arange(50), 1)
    whole = read_rows(store, ref)
    for n in (0, 1, 16, 17, 49, 50, 60):
        assert first_rows(store, ref, n).equals(whole.slice(0, n))
    assert first_rows(store, ref, 3, ["label"]).column_names == ["label"]


def test_a_path_that_is_no_text_is_kept_readable(store: Store) -> None:
    """A name with bytes that are not UTF-8 does not end the night."""
    images, labels = pictures(1, 1), np.zeros(1, np.int64)
    statistics = summarise_images("train", images, labels)
    hashes = image_hashes(images)
    ref = write_shard(store, "train", "2026", (5, 4), images, hashes, labels, ["cat/\udcff\n.png"], statistics)
    assert read_rows(store, ref)["path"].to_pylist() == ["cat/\\udcff\n.png"]


def test_what_does_not_belong_together_is_refused(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """No images, too many, two that are equal, another shape, or the hashes of others."""
    images, labels = pictures(4, 1), np.zeros(4, np.int64)
    hashes, statistics = image_hashes(images), summarise_images("train", images, labels)

    def write(shape: tuple[int, ...], *given: object) -> None:
        write_shard(store, "train", "2026", shape, *given, ["a"] * 4, statistics)  # type: ignore[arg-type]

    with pytest.raises(BadInput, match="1 to 65,536"):
        write((5, 4), images[:0], hashes, labels)
    with pytest.raises(BadInput, match=r"shape \(4, 5\)"):
        write((4, 5), images, hashes, labels)
    with pytest.raises(BadInput, match="a hash, a label, a path"):
        write((5, 4), images, hashes, labels[:3])
    with pytest.raises(BadInput, match="same pixels"):
        write((5, 4), images, hashes[[0, 1, 2, 2]], labels)
    with pytest.raises(BadInput, match="not those of the statistics"):
        write((5, 4), images, hashes[::-1], labels)
    monkeypatch.setattr(shards, "MOST", 3)
    with pytest.raises(BadInput, match="several shards"):
        write((5, 4), images, hashes, labels)
    assert not (store.root / "shards").exists()


def test_a_damaged_shard_is_found_and_can_be_written_again(store: Store) -> None:
    """Its images are hashed before they are read; the same images make the same shard."""
    ref = put(store, "train", pictures(40, 1), np.arange(40), 1)
    path = images_file(store, ref)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(Corrupt, match=r"images\.parquet has changed"):
        images_file(store, ref)
    with pytest.raises(Corrupt, match="backup"):
        read_rows(store, ShardRef("a" * 64, "train", 1, "2026"))
    assert put(store, "train", pictures(40, 1), np.arange(40), 1) == ref
    store.verify(store.shard(ref.digest))
