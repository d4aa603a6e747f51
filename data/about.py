"""What was found about a dataset when it was added: notes, findings and contact sheet, kept beside its row."""

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from data.dataset import Dataset, RawData
from data.home.store import Store
from data.values import canonical_json

if TYPE_CHECKING:  # `nightshift --help` needs no pyarrow
    from data.inspection.findings import Finding

FOUND = "found.json"


@dataclass(frozen=True)
class About:
    """What was found.

    Args:
        notes: what was found and decided by looking at the source, one sentence each.
        findings: what is questionable about the images, as plain values: rule, refuses, sentence, remedy.
        sheet: the contact sheet; None if there is none.
    """

    notes: tuple[str, ...] = ()
    findings: tuple[dict[str, object], ...] = ()
    sheet: Path | None = None


def keep(store: Store, row: Dataset, raw: RawData, notes: tuple[str, ...], findings: "tuple[Finding, ...]") -> About:
    """Draw the contact sheet, and keep it with what was found, in place of earlier ones.

    Args:
        store: the home.
        row: the dataset.
        raw: its images; may be memory-mapped. Only those that are shown are read.
        notes: see `About`.
        findings: see `About`.

    Raises:
        StorageFailed: the home cannot be written.
    """
    from data.inspection.contact_sheet import SHEET, contact_sheet

    found = {"notes": list(notes), "findings": [asdict(finding) for finding in findings]}
    store.write_bytes(store.about(row.name) / FOUND, canonical_json(found))
    contact_sheet(store.about(row.name) / SHEET, row, raw)
    return read(store, row.name)


def read(store: Store, name: str) -> About:
    """Return what was kept about a dataset; nothing for a built-in one, or one added before this was kept."""
    from data.inspection.contact_sheet import SHEET

    try:
        found = json.loads((store.about(name) / FOUND).read_bytes())
        notes, findings = tuple(found["notes"]), tuple(found["findings"])
    except (OSError, ValueError, KeyError, TypeError):
        notes, findings = (), ()  # it is a convenience: nothing decides by it
    sheet = store.about(name) / SHEET
    return About(notes, findings, sheet if sheet.is_file() else None)


def remove(store: Store, name: str) -> None:
    """Remove what was kept about a dataset."""
    shutil.rmtree(store.about(name), ignore_errors=True)
