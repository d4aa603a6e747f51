import hashlib
from dataclasses import replace

import numpy as np

from artifacts.gate.evidence import Look, pack
from artifacts.gate.growing.answers import different, earlier_answers, prefixes, same_lineage
from artifacts.gate.growing.spending import POOLED
from tests.artifacts.gate.gate_cases import LOOK, growing, grown

RIGHT = np.array([True, False, True, True, False, True])


def look(n: int, right: np.ndarray = RIGHT) -> Look:
    """A look at the first n images by one model."""
    return grown(replace(LOOK, rights=(pack(right[:n]),)), n)


def test_prefixes_are_digests_of_the_first_images() -> None:
    """Each is the digest of the identities up to there; a test set has no prefix longer than itself."""
    items = growing(6).items
    found = prefixes(items, [4, 6, 4, 7])
    assert found == {n: hashlib.sha256(items[:n].tobytes()).hexdigest() for n in (4, 6)}
    assert found[4] == prefixes(growing(4).items, [4])[4]


def test_earlier_models_count_on_the_images_that_they_saw() -> None:
    """Images that were added since are not asked; the newest look comes first."""
    newest, oldest = earlier_answers([look(4), look(6, ~RIGHT)], growing(6))
    assert newest.tolist() == [0, 1, 0, 0, 1, 0]
    assert oldest.tolist() == [1, 0, 1, 1, -1, -1]


def test_evidence_on_other_images_does_not_count() -> None:
    """After a removal nothing is known of the places of old images, unless somebody says where they are."""
    now = growing(6)
    removed = replace(now, items=np.delete(now.items, 1, axis=0))
    assert earlier_answers([look(4)], removed) == []
    past = look(4).grown
    assert past is not None
    moved = replace(removed, moved={past.items: np.array([0, -1, 1, 2])})
    assert [answers.tolist() for answers in earlier_answers([look(4)], moved)] == [[1, 1, 1, -1, -1]]


def test_only_the_last_looks_count() -> None:
    """Thirteen earlier looks and tonight's are pooled: a recipe's models get better while its data grow."""
    found = earlier_answers([look(n) for n in (4, 5, *[6] * POOLED)], growing(6))
    assert len(found) == POOLED - 1
    assert all(answers.tolist() == RIGHT.tolist() for answers in found)


def test_repeated_models_are_one_model() -> None:
    """A model that agrees with a newer one, or with the champion, on all that it answered is no new evidence."""
    champion = np.array([True, True, False])
    models = [[1, 0, 1], [1, 0, -1], [1, 1, -1], [1, 1, 1], [1, 0, 1], [1, 1, 0]]
    kept = different([np.array(model, np.int8) for model in models], champion)
    assert kept.tolist() == [[1, 0, 1], [1, 1, 1]]
    assert different([], champion).shape == (0, 3)


def test_a_test_set_is_followed_by_its_lineage() -> None:
    """Looks at another dataset's images, or from before a dataset grew, are not of this lineage."""
    mine = look(4)
    assert mine.grown is not None
    other = replace(mine, grown=replace(mine.grown, lineage="another"))
    assert same_lineage([LOOK, mine, other], mine.grown.lineage) == (mine,)
