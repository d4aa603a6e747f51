"""Earlier evidence on tonight's images: which of them each model of the past has answered, and how."""

import hashlib
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from artifacts.gate.evidence import Growing, Labels, Look, unpack
from artifacts.gate.growing.pooling import Answers
from artifacts.gate.growing.spending import POOLED
from artifacts.gate.paired_tests import Bools

NOT_ASKED = -1


def prefixes(items: npt.NDArray[np.uint8], lengths: Iterable[int]) -> dict[int, str]:
    """Return the digest of the first images of a test set, for each length that it has.

    Args:
        items: see `Growing`.
        lengths: numbers of images.
    """
    digest, start, found = hashlib.sha256(), 0, {}
    for length in sorted({length for length in lengths if length <= len(items)}):
        digest.update(np.ascontiguousarray(items[start:length]).tobytes())
        start, found[length] = length, digest.hexdigest()
    return found


def same_lineage(looks: Sequence[Look], lineage: str) -> tuple[Look, ...]:
    """Return the looks at earlier states of this test set, oldest first."""
    return tuple(look for look in looks if look.grown and look.grown.lineage == lineage)


def earlier_answers(ours: Sequence[Look], growing: Growing) -> list[npt.NDArray[np.int8]]:
    """Return how the models of the last looks answered tonight's images, the newest look first.

    A look at images that are still the first of tonight's counts as it is. After a removal or a correction it counts
    as far as `Growing.moved` says where its images are; otherwise it does not count.

    Args:
        ours: the looks of this recipe at this champion, oldest first.
        growing: tonight's images.

    Returns:
        One int8 array of shape (n,) per model: 1 right, 0 wrong, -1 not asked.
    """
    last = ours[-(POOLED - 1) :]
    digests = prefixes(growing.items, (look.grown.images for look in last if look.grown))
    found = []
    for look in reversed(last):
        assert look.grown is not None
        if digests.get(look.grown.images) == look.grown.items:
            now: Labels | None = np.arange(look.grown.images)
        else:
            now = growing.moved.get(look.grown.items)
        if now is not None:
            found += [_placed(unpack(text, look.grown.images), now, len(growing.items)) for text in look.rights]
    return found


def different(models: Iterable[npt.NDArray[np.int8]], champion: Bools) -> Answers:
    """Return the models without those that repeat an earlier one of them, or the champion, on all images they answered.

    A training that is deterministic repeats its model, which is no new evidence.

    Args:
        models: int8 of shape (n,) each.
        champion: bool of shape (n,).

    Returns:
        Of shape (k, n), in the same order.
    """
    kept: list[npt.NDArray[np.int8]] = [champion.astype(np.int8)]
    for model in models:
        asked = model >= 0
        if not any(np.array_equal(one[asked], model[asked]) for one in kept):
            kept.append(model)
    return np.array(kept[1:], np.int8).reshape(-1, champion.size)


def _placed(right: Bools, now: Labels, n: int) -> npt.NDArray[np.int8]:
    answers = np.full(n, NOT_ASKED, np.int8)
    there = now >= 0
    answers[now[there]] = right[there]
    return answers
