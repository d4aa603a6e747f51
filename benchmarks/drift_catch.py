"""Which accidents do the drift rules catch, and what do they say of nights in which nothing happened?

    python -m benchmarks.drift_catch [--nights N] [--new N] [--seed N] [--mirrors FOLDER]
        [--datasets NAME...] [--only accidents|sound]

The accidents are those of tonight's catch table, here at full size; the sound nights are those of
benchmarks/drift_nights.py.
"""

import argparse
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import numpy as np

from benchmarks.drift_nights import HABITS, NAMES, Pool, growth, pools
from data.drift.accidents.catches import ACCIDENTS, Accident
from data.drift.accidents.frame import Frame
from data.drift.measures import drift, rules_on_new, told
from data.drift.night import night
from data.drift.shift import Shift
from data.drift.whole import whole_rules


def first_import(source: Pool) -> int:
    """Return the size of the first import."""
    return min(20_000, len(source.images) // 3)


def sizes(source: Pool, nights: int, rng: np.random.Generator) -> np.ndarray:
    """Return sizes of nights: 20 to 1,000 new images, most of them small; up to 70 where there are few images."""
    largest = 1_000 if len(source.images) > 10_000 else 70
    return np.exp(rng.uniform(np.log(20), np.log(largest), nights)).astype(np.int64)


@dataclass(frozen=True)
class Said:
    """What the rules said of sound nights.

    Args:
        nights: how many there were.
        warned: nights with anything worth a word.
        stopped: nights that ended, under the policy "warn".
        shifts: everything that was said.
    """

    nights: int
    warned: int
    stopped: int
    shifts: tuple[Shift, ...]


def sound_nights(source: Pool, habit: str, nights: int, seed: int) -> Said:
    """Let a dataset grow for some nights, and count what the rules say."""
    rng = np.random.default_rng(seed)
    states = list(growth(source, habit, first_import(source), sizes(source, nights, rng), rng))
    tables = [state.table(source) for state in states]
    found = []
    for old, new, state in zip(tables[:-1], tables[1:], states[1:], strict=True):
        both = night(old, new, source.names, source.names)
        found.append(told((*whole_rules(both, {}), *rules_on_new(both, state.samples(source, both)))))
    stopped = sum(any(one.ends_night() for one in some) for some in found)
    return Said(len(found), sum(map(bool, found)), stopped, tuple(chain.from_iterable(found)))


def frame_of(source: Pool, new: int, seed: int = 0) -> Frame:
    """Return one night of growth at full size, with its images."""
    rng = np.random.default_rng(seed)
    old, state = growth(source, "mixed", first_import(source), np.array([new]), rng)
    seen = replace(source.seen.where(state.rows), rows=np.arange(len(state.rows)), labels=state.labels)
    return Frame(old.table(source), state.table(source), source.images[state.rows], source.names, source.ground, seen)


def noticed(some: Frame) -> list[Shift]:
    """Return what the rules say of a frame."""
    return list(drift(some.old, some.new, old_names=some.names, new_names=some.names, images=some.images))


def print_accidents(sources: list[Pool], new: int) -> None:
    """Print what the rules say of each accident in each dataset."""
    frames = [frame_of(source, new) for source in sources]
    heads = [
        f"{source.name} ({len(frame.old):,} + {len(frame.night.added)})"
        for source, frame in zip(sources, frames, strict=True)
    ]
    print(f"| accident | {' | '.join(heads)} |")
    print("|---|" + "---|" * len(sources))
    for accident in ACCIDENTS:
        cells = [_cell(accident, frame) for frame in frames]
        print(f"| {accident.name}: {accident.what} | {' | '.join(cells)} |", flush=True)


def _cell(accident: Accident, sound: Frame) -> str:
    after = accident.apply(sound, np.random.default_rng(0))
    said = noticed(after) if after is not sound else []
    if not said:
        return "not noticed" if accident.visible(sound, after) else "cannot be noticed"
    ends = ", ends the night" if said[0].ends_night() else ""
    return f"{said[0].rule} {said[0].effect:.2f}{ends}"


def print_sound(sources: list[Pool], nights: int, first: int) -> None:
    """Print how often the rules say something of sound nights."""
    print(f"| dataset | {' | '.join(HABITS)} |")
    print("|---|" + "---|" * len(HABITS))
    said = []
    for source in sources:
        found = [sound_nights(source, habit, nights, seed) for seed, habit in enumerate(HABITS, first)]
        cells = [f"{one.warned} warned, {one.stopped} stopped, of {one.nights}" for one in found]
        print(f"| {source.name} | {' | '.join(cells)} |", flush=True)
        said += found
    print(
        f"{sum(one.nights for one in said)} nights: {sum(one.warned for one in said)} with a warning, "
        f"{sum(one.stopped for one in said)} stopped"
    )
    for one in chain.from_iterable(one.shifts for one in said):
        print(f"- {one.rule}, {one.measure} {one.effect:.2f} (limit {one.warns_above:.2f}): {one.sentence}")


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nights", type=int, default=25, help="sound nights per dataset and habit")
    parser.add_argument("--new", type=int, default=200, help="new images of the night with accidents")
    parser.add_argument("--seed", type=int, default=0, help="of the first habit of sound nights")
    parser.add_argument("--mirrors", type=Path, help="folder with mnist/ and fashion-mnist/")
    parser.add_argument("--datasets", nargs="+", default=NAMES, choices=NAMES, help="which of them")
    parser.add_argument("--only", choices=("accidents", "sound"), help="one of the two tables")
    options = parser.parse_args()
    sources = pools(options.mirrors, options.datasets)
    if options.only != "sound":
        print_accidents(sources, options.new)
    if options.only != "accidents":
        print_sound(sources, options.nights, options.seed)


if __name__ == "__main__":
    main()
