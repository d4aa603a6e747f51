"""What is wrong with the images and labels of a dataset, whatever it pins as expected: sentences with counts."""

from dataclasses import dataclass

import pyarrow as pa

from data.dataset import Dataset, RawData


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
    """Return what is wrong with a dataset.

    Args:
        row: the dataset; its class names and ground are used.
        raw: its images and labels; may be memory-mapped.
        table: as `data.summary.summarise` returned it.
    """
    return ()
