"""A dataset that grows, night after night: a folder of small drawings, the cheapest recipe, the real flow."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from prefect.testing.utilities import prefect_test_harness

from artifacts.operations.replay import replay
from artifacts.operations.verify import find_problems
from artifacts.registry import champions, ledger, versions
from artifacts.reporting.summary import NightReport
from data import adding, catalogue
from data.errors import DataRefused
from data.growth import Growth
from data.home.store import Store
from data.snapshots import nights
from data.snapshots.items import items
from data.snapshots.snapshot import SnapshotRef
from flows.retrain import retrain
from flows.settings import temporary_home
from tests.flows.test_retrain import probed_here  # noqa: F401  a fixture

pytestmark = pytest.mark.slow

NAME, RECIPE = "shapes", "softmax-regression:epochs=20"
SIDE = 10  # pixels


@pytest.fixture(scope="module", autouse=True)
def server() -> Iterator[None]:
    """A Prefect server that nobody else uses."""
    with prefect_test_harness(server_startup_timeout=120):
        yield


@pytest.fixture
def home() -> Iterator[Store]:
    """A home that is removed after the test."""
    with temporary_home() as settings:
        yield settings.store


@dataclass
class Source:
    """A folder of drawings that is being filled.

    Args:
        folder: a folder per class.
        dice: decides everything.
        noise: standard deviation of the noise, in grey levels.
    """

    folder: Path
    dice: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))
    noise: float = 70.0

    def add(self, kind: str, n: int, light: float = 0.0) -> list[Path]:
        """Draw n bars: "left", "right", "top" or "bottom", brighter by `light` grey levels; return the files."""
        return [self._save(kind, self._drawing(kind, light)) for _ in range(n)]

    def day(self, n: int = 12, **how: float) -> None:
        """Draw n of each kind there is."""
        for kind in sorted(path.name for path in self.folder.iterdir()):
            self.add(kind, n, **how)

    def correct(self, kind: str, to: str, n: int) -> None:
        """Move n drawings into the folder of another kind."""
        for path in sorted((self.folder / kind).glob("*.png"))[:n]:
            path.rename(self.folder / to / path.name)

    def remove(self, kind: str, n: int) -> None:
        """Remove n drawings."""
        for path in sorted((self.folder / kind).glob("*.png"))[:n]:
            path.unlink()

    def break_one(self, kind: str) -> Path:
        """Add a file that was cut off."""
        (path,) = self.add(kind, 1)
        path.write_bytes(path.read_bytes()[:40])
        return path

    def _drawing(self, kind: str, light: float) -> np.ndarray:
        pixels = self.dice.normal(60 + light, self.noise, (SIDE, SIDE))
        where = {"left": np.s_[:, :3], "right": np.s_[:, -3:], "top": np.s_[:3], "bottom": np.s_[-3:]}[kind]
        pixels[where] += 60
        return np.clip(pixels, 0, 255).astype(np.uint8)

    def _save(self, kind: str, pixels: np.ndarray) -> Path:
        path = self.folder / kind / f"{self.dice.integers(2**62):x}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
        return path


@pytest.fixture
def source(tmp_path: Path) -> Source:
    """A source with 100 drawings of each of three kinds."""
    made = Source(tmp_path / "shapes")
    for kind in ("left", "right", "top"):
        made.add(kind, 100)
    return made


def night(**parameters: object) -> NightReport:
    """Run one night and return its report, or raise the error that stopped it."""
    state = retrain(NAME, [RECIPE], device="cpu", return_state=True, **parameters)
    report: NightReport = state.result()
    return report


def sides(store: Store) -> dict[bytes, str]:
    """Return on which side each image of the newest snapshot is."""
    table = items(store, SnapshotRef(NAME, catalogue.get(store, NAME).snapshot), ["sha256", "split"])
    return dict(zip(table["sha256"].to_pylist(), table["split"].to_pylist(), strict=True))


def test_thirty_nights(home: Store, source: Source, probed_here: None) -> None:  # noqa: F811
    """Growth, corrections, removals, broken files and a shift: whatever a night brings, the rules hold every time."""
    adding.add(home, NAME, source.folder, growth=Growth())
    seen: dict[bytes, str] = {}
    promoted: list[str] = []
    for number in range(1, 31):
        if number > 1:
            _what_happens(source, number)
        before = champions.champion_id(home, NAME)
        if number == 20:  # the disk is not mounted
            aside = source.folder.rename(source.folder.with_name("aside"))
            with pytest.raises(DataRefused, match="is it mounted"):
                night()
            aside.rename(source.folder)
            assert champions.champion_id(home, NAME) == before
            continue
        report = night()
        told = nights.nights(home, NAME)[-1]
        assert report.news == told
        now = sides(home)
        assert not {key for key in seen.keys() & now.keys() if seen[key] != now[key]}
        seen |= now
        if number % 5 == 0:
            assert report.verdict == "POSTPONED", report.reason
            assert told.changed == 0
        else:
            assert bool(told.changed) == (number > 1), "`add` took the first snapshot"
            assert report.verdict in ("PROMOTE", "HOLD", "REJECT")
        if number == 3:
            assert (told.n_relabelled, told.n_quarantined) == (2, 1)
            assert [was for _, was, _ in told.relabelled] == ["left", "left"]
        if number == 9:
            assert told.new_classes == ("bottom",)
            assert report.class_names == ("left", "right", "top", "bottom")
        if number == 14:
            assert told.n_removed == 6
        promoted += [str(report.champion_after)] if report.promoted else []
        assert report.champion_after == (promoted[-1] if promoted else None)
        if report.decision and report.decision.budget:
            assert report.decision.budget.left >= 0
    assert promoted[0] == f"{NAME}/1"
    moves = [entry.to_version for entry in champions.history(home, NAME) if entry.action in ledger.MOVES]
    assert moves == promoted
    assert find_problems(home) == []
    for version in (promoted[0], promoted[-1]):
        shutil.rmtree(home.root / "prepared")  # a snapshot is enough
        found = replay(home, versions.find(home, version), "cpu")
        assert found.same, found.sentence


def _what_happens(source: Source, number: int) -> None:
    """Change the source as the day before this night did."""
    if number % 5 == 0:
        return  # nothing came
    if number == 3:
        source.correct("left", "right", 2)
        source.break_one("top")
    if number == 14:
        source.remove("right", 6)
    source.day()
    if number == 9:
        source.add("bottom", 60)
    if number == 22:
        source.day(40, light=120.0)  # somebody switched on a lamp


def test_a_night_waits_until_enough_is_new(home: Store, source: Source, probed_here: None) -> None:  # noqa: F811
    """Fewer changes than asked for postpone the training; what is asked for differently is trained at once."""
    adding.add(home, NAME, source.folder, growth=Growth(retrain_images=20))
    assert night().promoted
    source.add("left", 15)
    waiting = night()
    assert (waiting.verdict, waiting.champion_after) == ("POSTPONED", f"{NAME}/1")
    assert waiting.reason.startswith("15 images have changed")
    assert (home.run(waiting.run) / "report.md").is_file()
    assert night(seed=1).verdict != "POSTPONED"
    source.add("right", 15)
    assert night().verdict in ("PROMOTE", "HOLD", "REJECT"), "30 images since the last training of this recipe and seed"


def test_broken_files_beyond_the_budget_end_the_night(home: Store, source: Source, probed_here: None) -> None:  # noqa: F811
    """Three may be left out; a fourth ends the night, named, and nothing changes."""
    adding.add(home, NAME, source.folder, growth=Growth())
    broken = [source.break_one("left") for _ in range(4)]
    with pytest.raises(DataRefused, match=broken[0].name):
        night()
    assert versions.numbers(home, NAME) == ()
    broken[0].unlink()
    assert night().promoted
