"""Two snapshots with their images, of which copies with other labels, images or rows are made."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pyarrow as pa

from data.drift.looks import Looks, Samples
from data.drift.night import SIDES, Night, keys, night
from data.statistics.summary import numeric, summarise_images

TEST = SIDES.index("test")


@dataclass(frozen=True)
class Frame:
    """Two snapshots with the images of the second.

    Args:
        old: the last accepted snapshot, as for `data.drift.measures.measures`.
        new: tonight's.
        images: uint8, of the rows of `new`.
        names: what the labels mean, in both.
        ground: of the dataset.
        seen: looks at all images, row by row.
        source: int64: for copies of test images: the row of `new` with the original of each added training image.
    """

    old: pa.Table
    new: pa.Table
    images: np.ndarray
    names: tuple[str, ...]
    ground: tuple[int, ...]
    seen: Looks
    source: np.ndarray | None = None

    @cached_property
    def night(self) -> Night:
        """Both snapshots side by side."""
        return night(self.old, self.new, self.names, self.names)

    def with_labels(self, rows: np.ndarray, labels: np.ndarray) -> "Frame":
        """Return a frame in which some rows of `new` have other labels."""
        changed = self.night.labels.copy()
        changed[rows] = labels
        return replace(self, new=_with(self.new, "label", changed))

    def without(self, rows: np.ndarray) -> "Frame":
        """Return a frame in which some rows of `new` are missing."""
        kept = np.setdiff1d(np.arange(len(self.new)), rows)
        seen = replace(self.seen.where(kept), rows=np.arange(len(kept)))
        return replace(self, new=self.new.take(kept), images=self.images[kept], seen=seen)

    def with_images(self, rows: np.ndarray, images: np.ndarray, source: np.ndarray | None = None) -> "Frame":
        """Return a frame in which some rows of `new` have other images; those that there are already are left out."""
        labels = self.night.labels if source is None else self.night.labels[source]
        again = summarise_images("train", images, labels[rows] if source is None else labels, self.ground)
        fresh = ~np.isin(keys(again), keys(self.old))
        fresh[np.setdiff1d(np.arange(len(again)), np.unique(keys(again), return_index=True)[1])] = False
        place = np.arange(len(self.new))
        place[rows] = len(self.new) + np.arange(len(rows))
        new = self.new
        for name in ("label", *numeric(self.new), "sha256"):
            both = pa.chunked_array([*new[name].chunks, *again[name].cast(new[name].type).chunks])
            new = new.set_column(new.schema.get_field_index(name), name, both.take(place))
        pixels = np.array(self.images)
        pixels[rows] = images
        changed = replace(
            self,
            new=new,
            images=pixels,
            seen=self.seen.replaced(rows, images),
            source=None if source is None else source[fresh],
        )
        return changed.without(rows[~fresh])

    @cached_property
    def samples(self) -> Samples:
        """Looks at known images, at test images, and at the new ones: all of them."""
        both = self.night
        tests = both.sides[both.kept] == TEST
        seen = replace(self.seen, labels=both.labels)
        return Samples(*(seen.where(np.sort(rows)) for rows in (both.kept[~tests], both.kept[tests], both.added)))


def _with(table: pa.Table, name: str, values: np.ndarray) -> pa.Table:
    return table.set_column(table.schema.get_field_index(name), name, pa.array(values))
