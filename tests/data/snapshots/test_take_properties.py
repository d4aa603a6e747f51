"""Whatever happens to a folder between nights, its snapshot is that of the folder as it is now."""

import tempfile
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data.dataset import Geometry
from data.growth import Growth
from data.snapshots.settle import SIDES, sides_of
from data.sources.images import decode
from data.statistics.summary import image_digests
from tests.data.importing.made import png
from tests.data.snapshots.sources import Source, new_row

SIDE = 2
GEOMETRY = Geometry(SIDE, SIDE)
CLASSES = ("a", "b", "c")


def pixels(number: int) -> np.ndarray:
    """The image with this number, uint8 of shape (2, 2)."""
    return np.array([[number % 256, number // 256], [0, 99]], np.uint8)


def _anchors() -> list[int]:
    """Numbers of an image for each side, which stay, so that no side is ever empty."""
    numbers = np.arange(1000, 1400)
    sides = sides_of(image_digests(np.stack([pixels(int(number)) for number in numbers])), None, 0.2)
    return [int(numbers[np.flatnonzero(sides == side)[0]]) for side in range(len(SIDES))]


ANCHORS = _anchors()
PLACE = st.tuples(st.sampled_from(CLASSES), st.integers(0, 5)).map(lambda found: f"{found[0]}/{found[1]}.png")
STEP = st.one_of(
    st.tuples(st.just("write"), PLACE, st.integers(0, 12)),  # add, replace, copy, restore
    st.tuples(st.just("remove"), PLACE, st.just(0)),
    st.tuples(st.just("break"), PLACE, st.integers(0, 20)),
    st.tuples(st.just("move"), PLACE, PLACE),  # rename, relabel
    st.tuples(st.just("take"), st.just(""), st.sampled_from(["", "", "reread", "forget"])),
)


def happen(source: Source, step: tuple[str, str, object]) -> None:
    """Change the folder."""
    what, place, other = step
    path = source.folder / place
    if what == "write":
        source.put(place, pixels(int(other)))  # type: ignore[call-overload]
    elif what == "remove":
        path.unlink(missing_ok=True)
    elif what == "break":
        source.put(place, png(pixels(5))[: int(other)])  # type: ignore[call-overload]
    elif what == "move" and path.is_file():
        target = source.folder / str(other)
        target.parent.mkdir(exist_ok=True)
        path.rename(target)


def expected(folder: Path) -> dict[bytes, str]:
    """Class name by hash of every image that a person would find there."""
    labels: dict[bytes, set[str]] = {}
    for path in folder.rglob("*.png"):
        try:
            image = decode(path.read_bytes(), path.name, channels=1, ground=(0,))
        except Exception:  # noqa: BLE001  damaged on purpose
            continue
        labels.setdefault(image_digests(image[None])[0].tobytes(), set()).add(path.parent.name)
    return {content: names.pop() for content, names in labels.items() if len(names) == 1}


def new(root: Path, folder: Path) -> Source:
    """A home that has seen nothing yet of a folder."""
    source = Source(root)
    source.folder, source.row = folder, new_row(str(folder), GEOMETRY, Growth(quarantine_least=1000))
    return source


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=st.lists(STEP, max_size=25))
def test_any_history_gives_the_snapshot_of_the_present(steps: list[tuple[str, str, object]]) -> None:
    """Items, classes and sides are those of a first snapshot taken now; none ever moves to another side."""
    with tempfile.TemporaryDirectory() as root:
        source = new(Path(root, "one"), Path(root, "source"))
        for i, number in enumerate(ANCHORS):
            source.put(f"{'ab'[i % 2]}/anchor{i}.png", pixels(number))
        seen: dict[bytes, str] = {}
        for step in [*steps, ("take", "", "")]:
            if step[0] != "take":
                happen(source, step)
                continue
            if step[2] == "forget":
                source.forget()
            found = source.content(source.take(reread=step[2] == "reread"))
            assert {content: name for content, (name, _) in found.items()} == expected(source.folder)
            for content, (_, side) in found.items():
                assert seen.setdefault(content, side) == side
        fresh = new(Path(root, "two"), source.folder)
        assert fresh.content(fresh.take()) == found
