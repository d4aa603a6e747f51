"""What is wrong with the images and labels of a dataset, whatever it pins as expected: sentences with counts.

The rules are in `rules.py`, those for the two splits side by side in `witness.py`. The limits, and why these:
docs/decisions/0016-what-no-dataset-may-pin-away.md.
"""

from dataclasses import dataclass

import pyarrow as pa

from data.dataset import Dataset, RawData
from data.inspection.known import known
from data.inspection.rules import Measured, copied_images, equal_files, label_rules
from data.inspection.witness import compare_images, compare_statistics
from data.statistics.facts import copies


@dataclass(frozen=True)
class Finding:
    """Something that is wrong, or that a person should know.

    Args:
        rule: a short name, such as "shared images".
        refuses: whether a dataset with it is refused.
        sentence: what was found, with counts.
        remedy: what to do about it.
    """

    rule: str
    refuses: bool
    sentence: str
    remedy: str


def findings(row: Dataset, raw: RawData, table: pa.Table) -> tuple[Finding, ...]:
    """Return what is wrong with a dataset, what refuses it first.

    Args:
        row: the dataset; its class names and file hashes are used.
        raw: its images and labels; may be memory-mapped.
        table: as `data.statistics.summary.summarise` returned it for the row's ground.
    """
    found = [one for one in measures(row, table, raw) if one.found > min(one.notable, one.allowed)]
    found.sort(key=lambda one: one.found <= one.allowed)
    return tuple(Finding(one.rule, bool(one.found > one.allowed), one.sentence, one.remedy) for one in found)


def measures(row: Dataset, table: pa.Table, raw: RawData | None = None) -> tuple[Measured, ...]:
    """Return what every rule found; without images only the rules that need none."""
    copied = copies(table)
    return (  # what explains others first
        *equal_files(row),
        *label_rules(row, table, copied),
        *compare_statistics(table),
        *(compare_images(raw) if raw is not None else ()),
        *copied_images(table, copied),
        *known(row),
    )
