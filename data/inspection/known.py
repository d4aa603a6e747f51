"""Recognises images of the built-in datasets under another name."""

import math
from collections.abc import Iterator

from data.builtin import DATASETS
from data.dataset import Dataset
from data.inspection.rules import Measured


def known(row: Dataset) -> Iterator[Measured]:
    """Yield which images of a user's dataset are those of a built-in one, by the hashes of their files."""
    ours = {
        file.raw_sha256: f"{known.title}'s {role.replace('_', ' ').replace('train', 'training')}"
        for known in DATASETS.values()
        for role, file in known.files.items()
        if file.raw_sha256 and role.endswith("images")
    }
    same = {
        role.replace("_", " ").replace("train", "training"): ours[file.raw_sha256]
        for role, file in row.files.items()
        if file.raw_sha256 in ours and row.name not in DATASETS
    }
    yield Measured(
        "known images",
        len(same),
        0,
        math.inf,
        "; ".join(f"the {role} are {what}" for role, what in same.items()) + ", which are built in",
        "use the built-in dataset: it has names, licence and statistics of its own; see 'nightshift datasets'",
    )
