"""Which formats there are, and what is refused before any work is done."""

from pathlib import Path

import pytest

from artifacts.exporting import export, formats, parity
from artifacts.exporting.parity import TOLERANCE, Parity
from artifacts.registry import champions
from artifacts.registry.versions import Version
from data.errors import BadInput, Broken, UnknownName
from data.home.store import Store


@pytest.fixture
def version(two: Store) -> Version:
    """A champion of small files."""
    found = champions.champion(two, "mnist")
    assert found is not None
    return found


def test_formats_are_chosen_once_and_in_order() -> None:
    """However often and in which order they are named."""
    assert [row.name for row in formats.chosen(["keras", "savedmodel", "keras"])] == ["savedmodel", "keras"]


def test_an_unknown_format_is_refused_with_the_list() -> None:
    """And no format at all, too."""
    with pytest.raises(UnknownName, match="no export format is called 'tflite'"):
        formats.chosen(["keras", "tflite"])
    with pytest.raises(BadInput, match="at least one format"):
        formats.chosen([])


def test_a_format_whose_package_is_missing_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is converted."""
    monkeypatch.setattr(formats, "find_spec", lambda name: None if name == "onnxruntime" else object())
    with pytest.raises(BadInput, match="needs onnxruntime") as refused:
        formats.chosen(["onnx"])
    assert "'.[onnx]'" in refused.value.hint


@pytest.mark.parametrize(
    ("measured", "said"),
    [
        (Parity("onnx", max_abs_diff=2 * TOLERANCE, argmax_equal=True), "differ from the recorded ones by 0.002"),
        (Parity("onnx", max_abs_diff=0.0, argmax_equal=False), "gives other classes"),
        (Parity("keras", error="TypeError: no class Mine"), "cannot be loaded without Nightshift's code: TypeError"),
    ],
)
def test_what_does_not_answer_alike_leaves_nothing_behind(
    version: Version, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, measured: Parity, said: str
) -> None:
    """The reason is said, and not even the folder is there."""
    monkeypatch.setattr(export, "_convert", lambda _version, _chosen, draft, _say: (draft / "model.onnx").touch())
    monkeypatch.setattr(parity, "measure", lambda *_: (measured,))
    with pytest.raises(Broken, match=said):
        export.export(version, ["keras"], tmp_path / "new" / "exported")
    assert not (tmp_path / "new").exists()


def test_an_export_is_never_overwritten(version: Version, tmp_path: Path) -> None:
    """A folder of that number is left as it is."""
    there = tmp_path / "mnist" / str(version.number)
    there.mkdir(parents=True)
    with pytest.raises(BadInput, match="exists already"):
        export.export(version, ["keras"], tmp_path)
    assert list(there.iterdir()) == []
