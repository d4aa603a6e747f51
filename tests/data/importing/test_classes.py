"""What labels mean in a dataset that has classes already."""

import pytest

from data.importing.batches import Label
from data.importing.classes import extended
from data.importing.options import ImportOptions

DIGITS = tuple("0123456789")


@pytest.mark.parametrize(
    ("labels", "known", "source_names", "options", "names", "numbers", "refused"),
    [
        (["b", "a"], ("a", "b"), (), {}, ("a", "b"), {"a": 0, "b": 1}, []),
        (["b", "a", "z", "c"], ("b", "a"), (), {}, ("b", "a", "c", "z"), {"b": 0, "a": 1, "c": 2, "z": 3}, []),
        (["cafe\u0301"], ("x", "caf\u00e9"), (), {}, ("x", "caf\u00e9"), {"cafe\u0301": 1}, []),
        (["c"], ("a", "b"), (), {"classes": ("a", "b")}, ("a", "b"), {}, ["c"]),
        ([3, 9], DIGITS, (), {}, DIGITS, {3: 3, 9: 9}, []),
        ([10, 255], DIGITS, (), {}, (*DIGITS, "10"), {10: 10}, [255]),
        ([-1], DIGITS, (), {}, DIGITS, {}, [-1]),
        ([1, 3], ("1", "2"), (), {"first_label": 1}, ("1", "2", "3"), {1: 0, 3: 2}, []),
        ([0, 2], ("ant", "bee"), ("ant", "bee", "cat"), {}, ("ant", "bee", "cat"), {0: 0, 2: 2}, []),
        ([0, 1, "x"], ("0", "1"), (), {"classes": ("0", "1")}, ("0", "1"), {0: 0, 1: 1}, ["x"]),
        ([0, 1], ("1", "0"), (), {"classes": ("1", "0")}, ("1", "0"), {0: 0, 1: 1}, []),
        ([0, "cat"], ("0", "cat"), (), {}, ("0", "cat"), {0: 0, "cat": 1}, []),
        ([-1, 5], ("-1", "1"), (), {"labels_are_names": True}, ("-1", "1", "5"), {-1: 0, 5: 2}, []),
        (["a\nb", "  ", "x" * 61], ("a", "b"), (), {}, ("a", "b"), {}, ["a\nb", "  ", "x" * 61]),
    ],
)
def test_known_classes_keep_their_numbers(
    labels: list[Label],
    known: tuple[str, ...],
    source_names: tuple[str, ...],
    options: dict[str, object],
    names: tuple[str, ...],
    numbers: dict[Label, int],
    refused: list[Label],
) -> None:
    """New names and the next number are appended; what can be no class is refused with a reason."""
    found = extended(labels, known, source_names, ImportOptions(**options))  # type: ignore[arg-type]
    assert (found.names, found.numbers) == (names, numbers)
    assert sorted(map(str, found.refused)) == sorted(map(str, refused))
    assert all(found.refused.values())


def test_there_are_no_more_classes_than_a_model_can_have() -> None:
    """The thousandth is the last."""
    known = tuple(f"n{i}" for i in range(1000))
    found = extended(["n5", "one more"], known, (), ImportOptions())
    assert found.numbers == {"n5": 5}
    assert "there are 1000 classes already" in found.refused["one more"]
