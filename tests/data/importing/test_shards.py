"""WebDataset's shards."""

import json
from pathlib import Path

import numpy as np
import pytest

from data.errors import BadFile, BadInput
from tests.data.importing.made import images, png, read, tar

PIXELS = images(12)
FILES = [png(image) for image in PIXELS]


def members(rows: range, *, label: str = "cls", names: bool = False) -> list[tuple[str, bytes]]:
    """Pairs of key.png and key.cls."""
    pairs = []
    for i in rows:
        text = "abc"[i % 3] if names else str(i % 3)
        content = json.dumps({"label": i % 3, "caption": "x"}) if label == "json" else text
        pairs += [(f"sample.d/{i:04}.png", FILES[i]), (f"sample.d/{i:04}.{label}", content.encode())]
    return pairs


@pytest.mark.parametrize(("label", "names"), [("cls", False), ("cls", True), ("json", False)])
def test_shards_of_two_splits(tmp_path: Path, label: str, names: bool) -> None:
    """Their names say the split; labels are numbers or names, in a .cls or in a .json."""
    folder = tmp_path / "in"
    tar(folder / "train-000000.tar", members(range(4), label=label, names=names))
    tar(folder / "train-000001.tar", members(range(4, 8), label=label, names=names))
    tar(folder / "test-000000.tar", members(range(8, 12), label=label, names=names))
    got = read(folder, tmp_path / "out")
    assert np.array_equal(got.train_images, PIXELS[:8])
    assert np.array_equal(got.test_images, PIXELS[8:])
    assert got.test_labels.tolist() == [i % 3 for i in range(8, 12)]
    assert got.classes == (("a", "b", "c") if names else ("0", "1", "2"))
    assert "read as WebDataset shards" in got.notes


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_a_single_shard(tmp_path: Path, mode: str) -> None:
    """Packed or not; a share is set apart, and what belongs to no image is passed over."""
    extra = [("readme.txt", b"hello"), ("__key__.json", b"{}")]
    source = tar(tmp_path / ("shard.tar" if mode == "w" else "shard.tar.gz"), [*extra, *members(range(12))], mode)
    got = read(source, tmp_path / "out")
    assert got.imported.n_train + got.imported.n_test == 12


@pytest.mark.fault("F-07")
def test_names_that_lead_elsewhere_write_nothing(tmp_path: Path) -> None:
    """Members called ../../x or /etc/x are read where they are; nothing is extracted."""
    pairs = [
        (f"../../{name}" if i % 2 else f"/tmp/{name}", content) for i, (name, content) in enumerate(members(range(12)))
    ]
    source = tar(
        tmp_path / "deep" / "er" / "shard.tar", [(f"x{i // 2}{name[-4:]}", c) for i, (name, c) in enumerate(pairs)]
    )
    before = set(tmp_path.rglob("*"))
    read(source, tmp_path / "deep" / "er" / "out")
    after = set(tmp_path.rglob("*")) - before
    assert all((tmp_path / "deep" / "er" / "out") in (path, path.parent) for path in after)


def test_images_without_labels_and_damaged_shards(tmp_path: Path) -> None:
    """Named and counted, not passed over; a shard that is cut short is refused."""
    source = tar(tmp_path / "s.tar", [*members(range(10)), ("sample.d/x.png", FILES[11]), ("y.cls", b"1")])
    with pytest.raises(BadFile, match=r"1 of 11 images cannot be used:\n.*sample\.d/x\.png: it has no label"):
        read(source, tmp_path / "out")
    source.write_bytes(source.read_bytes()[:-9000])
    with pytest.raises(BadInput):
        read(source, tmp_path / "out2")
