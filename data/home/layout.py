"""The map of $NIGHTSHIFT_HOME: the only module that knows where produced files lie.

home.json                            the schema of this home, and the version that wrote it
datasets/<name>.json                 a dataset that a user added, as a catalogue row
about/<dataset>/                     contact sheet and findings of a dataset that a user added
schedules/<dataset>.json             when a user's dataset is trained by itself
raw/<dataset>/<file>                 downloaded source files, verified by hash
quarantine/<dataset>/<file>...       what a mirror served instead
validations/<digest>/                the expectations' result and the Data Docs
shards/<digest>/                     images of a growing dataset that were new in one night, with their statistics
snapshots/<digest>/                  which images a growing dataset had in one night
growing/<dataset>/                   what is known about the source's files, and the list of the nights' snapshots
prepared/<digest>/                   train, validation and test Parquet, and the validation that accepted them
trained/<digest>/                    one trained candidate: model, history, metrics, predictions
runs/<run>/                          the results of one night: report, pictures, decision
journal/<flow run>.json              one run: when, in which process, and how it ended
models/<dataset>/versions/<n>/       registered models, immutable
models/<dataset>/champion.json       the pointer
models/<dataset>/ledger.jsonl        every decision, append-only
models/<dataset>/pins.json           versions whose data are never removed
tmp/                                 what is being written; debris after a crash, swept at the start of a run
locks/                               files to flock; their content means nothing
"""

import re
import uuid
from dataclasses import dataclass
from pathlib import Path

from data.errors import BadInput

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")


@dataclass(frozen=True)
class Layout:
    """Paths below one root; nothing is created by asking for them.

    Args:
        root: $NIGHTSHIFT_HOME.

    Every method raises BadInput for a name that could lead out of the root.
    """

    root: Path

    def home_document(self) -> Path:
        """The file that says with which schema this home was written."""
        return self._at("home.json")

    def dataset_rows(self) -> Path:
        """The folder of the datasets that users added, one JSON file each."""
        return self._at("datasets")

    def about(self, dataset: str) -> Path:
        """The folder of what was found about a dataset when it was added."""
        return self._at("about", dataset)

    def schedules(self) -> Path:
        """The folder of the schedules, one JSON file per dataset."""
        return self._at("schedules")

    def raw(self, dataset: str, file: str) -> Path:
        """A downloaded source file."""
        return self._at("raw", dataset, file)

    def quarantine(self, dataset: str, file: str) -> Path:
        """A fresh path, different at each call, for a file with wrong content."""
        return self._at("quarantine", dataset, f"{file}.{uuid.uuid4().hex[:8]}")

    def validation(self, digest: str) -> Path:
        """The result of validating the raw data with this digest."""
        return self._at("validations", digest)

    def validations(self) -> list[Path]:
        """The folders of all validations, sorted."""
        folder = self._at("validations")
        return sorted(folder.iterdir()) if folder.is_dir() else []

    def shard(self, digest: str) -> Path:
        """Images of a growing dataset that were new in one night."""
        return self._at("shards", digest)

    def snapshot(self, digest: str) -> Path:
        """Which images a growing dataset had in one night."""
        return self._at("snapshots", digest)

    def growing(self, dataset: str, file: str) -> Path:
        """A file with what is known about the source of a growing dataset, such as its index."""
        return self._at("growing", dataset, file)

    def prepared(self, digest: str) -> Path:
        """The Parquet files with this digest."""
        return self._at("prepared", digest)

    def trained(self, digest: str) -> Path:
        """One trained and evaluated candidate."""
        return self._at("trained", digest)

    def run(self, run: str) -> Path:
        """The results of one run."""
        return self._at("runs", run)

    def runs(self) -> Path:
        """The folder of all runs."""
        return self._at("runs")

    def journal(self, id: str) -> Path:
        """The record of one flow run."""
        return self._at("journal", f"{id}.json")

    def journals(self) -> Path:
        """The folder of all records of flow runs."""
        return self._at("journal")

    def models(self) -> Path:
        """The folder of all datasets that have registered models."""
        return self._at("models")

    def versions(self, dataset: str) -> Path:
        """The folder of a dataset's registered versions."""
        return self._at("models", dataset, "versions")

    def champion(self, dataset: str) -> Path:
        """The pointer to a dataset's champion."""
        return self._at("models", dataset, "champion.json")

    def ledger(self, dataset: str) -> Path:
        """The log of all decisions about a dataset's champion."""
        return self._at("models", dataset, "ledger.jsonl")

    def pins(self, dataset: str) -> Path:
        """The list of a dataset's pinned versions."""
        return self._at("models", dataset, "pins.json")

    def lock_file(self, name: str) -> Path:
        """A file to flock."""
        return self._at("locks", name)

    def tmp(self) -> Path:
        """The folder of what is being written."""
        return self._at("tmp")

    def _at(self, *parts: str) -> Path:
        for part in parts:
            if not NAME.fullmatch(part):
                raise BadInput(
                    f"{part!r} cannot be a name here",
                    "use lower-case letters, digits, dots, dashes and underscores, and start with a letter or a digit",
                )
        return self.root.joinpath(*parts)
