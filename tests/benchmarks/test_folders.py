"""Ways that are compared read the same images."""

from pathlib import Path

from benchmarks.folders import (
    AGAIN,
    Way,
    _add,
    _pillow,
    _read,
    as_lines,
    decoders,
    files_of,
    in_turns,
    write_jpegs,
    write_pngs,
)
from data.dataset import Geometry


def test_the_files_are_different_images_in_folders_of_classes(tmp_path: Path) -> None:
    """No two files are equal, and every class has some."""
    write_pngs(tmp_path / "png", 1200)
    write_jpegs(tmp_path / "jpg", 30)
    for kind, n in (("png", 1200), ("jpg", 30)):
        files = files_of(tmp_path / kind)
        assert len({Path(file).read_bytes() for file in files}) == n
        assert len({Path(file).parent for file in files}) == 10


def test_what_was_imported_has_the_pixels_that_pillow_reads(tmp_path: Path) -> None:
    """The sum of all pixels is the same from files, from a decoder's memory, and from what was imported."""
    write_pngs(tmp_path / "png", 60)
    files = files_of(tmp_path / "png")
    pixels = sum(map(_pillow, files))
    assert decoders(tmp_path / "png", Geometry(28, 28))["Nightshift"]() == AGAIN * pixels
    assert _add(tmp_path / "png", tmp_path) == 60
    assert _read(tmp_path) == pixels


def test_ways_take_turns_and_the_first_round_does_not_count() -> None:
    """Each way runs once per round, and ratios are taken round by round."""
    ran: list[str] = []

    def way(name: str) -> Way:
        return lambda: ran.append(name) or len(ran)  # type: ignore[func-returns-value]

    costs = in_turns({"Nightshift": way("a"), "other": way("b")}, 2)
    assert ran == ["a", "b"] * 3
    assert {len(taken) for taken in costs.values()} == {2}
    lines = as_lines("decode", 100, {"Nightshift": [(1.0, 2.0), (2.0, 2.0)], "other": [(3.0, 1.0), (4.0, 1.0)]})
    assert lines[1] == "| decode | other | 29 | 10,000 µs | 2.50 (2.00 to 3.00) | 0.50 (0.50 to 0.50) |"
