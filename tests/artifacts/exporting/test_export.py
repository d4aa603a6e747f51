"""A real version in every format, and layers of our own that do not leak into it."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from artifacts.exporting import formats
from artifacts.exporting.export import Export, export
from artifacts.exporting.parity import measure
from artifacts.exporting.reproduce import Refused
from artifacts.models import bundle
from data.errors import BadInput
from tests.artifacts.trained import TrainedHome

pytestmark = pytest.mark.slow

# saved_model_cli prints what TensorFlow Serving will answer
SIGNATURE = """\
The given SavedModel SignatureDef contains the following input(s):
  inputs['images'] tensor_info:
      dtype: DT_UINT8
      shape: (-1, 28, 28)
      name: serving_default_images:0
The given SavedModel SignatureDef contains the following output(s):
  outputs['output_0'] tensor_info:
      dtype: DT_FLOAT
      shape: (-1, 10)
"""


def test_every_format_answers_as_recorded_without_our_code(
    trained: TrainedHome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """In a process that refuses our packages; with the layout and the signature that TensorFlow Serving wants."""
    for package in ("onnxruntime", "ai_edge_litert", "tf2onnx"):
        pytest.importorskip(package)
    version = trained.promote(0)
    done = export(version, list(formats.FORMATS), tmp_path)
    assert done.folder == tmp_path / version.dataset / "1"
    assert [one.format for one in done.measured] == list(formats.FORMATS)
    assert all(one.max_abs_diff < 1e-5 and one.n_requests == 64 for one in done.measured)
    assert [path.name for path in (tmp_path / version.dataset).iterdir()] == ["1"], "no draft is left"
    described = json.loads((done.folder / "export.json").read_text())
    assert described["input"]["shape"] == [None, 28, 28]
    assert json.loads((done.folder / "class_names.json").read_text()) == list(bundle.class_names(version.folder))
    check_signature(done, monkeypatch, capfd)
    check_readme(trained, done, monkeypatch)
    # an export that was changed is noticed
    (done.folder / "model.onnx").write_bytes(b"no model")
    (broken,) = measure(done.folder, version.folder, formats.chosen(["onnx"]))
    assert "cannot be loaded" in broken.problem


def check_signature(done: Export, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    """TensorFlow's own saved_model_cli shows the signature that the documents promise."""
    from tensorflow.python.tools import saved_model_cli

    options = ["show", "--dir", str(done.folder), "--tag_set", "serve", "--signature_def", "serving_default"]
    monkeypatch.setattr(sys, "argv", ["saved_model_cli", *options])
    capfd.readouterr()
    with pytest.raises(SystemExit):
        saved_model_cli.main()
    assert SIGNATURE in capfd.readouterr().out


def check_readme(trained: TrainedHome, done: Export, monkeypatch: pytest.MonkeyPatch) -> None:
    """The README's code loads each format and answers as the version did."""
    images, recorded = bundle.read_requests(trained.store.versions("mnist-sample") / "1")
    monkeypatch.chdir(done.folder)
    text = Path("README.md").read_text()
    for row in formats.FORMATS.values():
        assert f"```python\n{row.loads}\n```" in text
        names: dict[str, Any] = {"images": images}
        exec(row.loads, names)
        np.testing.assert_allclose(names["probabilities"], recorded, atol=1e-5)


def test_layers_of_our_own_become_those_of_keras() -> None:
    """With the same weights and the same answers; a layer that has no equal is refused."""
    import keras

    from artifacts.exporting.portable import portable
    from artifacts.recipes.layers import BatchNorm, HandWrittenDense

    inner = keras.Sequential([keras.Input((6, 6, 1)), keras.layers.Conv2D(3, 3), keras.layers.ReLU(), BatchNorm()])
    images = keras.Input((6, 6, 1))
    flat = keras.layers.Flatten()(inner(images))
    model = keras.Model(images, keras.ops.max(HandWrittenDense(4, relu=True)(flat), axis=-1, keepdims=True) - 1)
    some = np.random.default_rng(0).random((5, 6, 6, 1)).astype(np.float32)
    copy = portable(model)
    np.testing.assert_allclose(copy.predict(some, verbose=0), model.predict(some, verbose=0), atol=1e-6)
    assert {type(layer).__module__.partition(".")[0] for layer in copy._flatten_layers()} == {"keras"}

    class Mine(keras.layers.Layer):  # type: ignore[misc]
        """A layer of somebody's recipe."""

    with pytest.raises(BadInput, match="is a Mine of its recipe"):
        portable(keras.Sequential([keras.Input((3,)), Mine()]))


def test_the_process_that_checks_refuses_our_packages() -> None:
    """Whatever is installed."""
    with pytest.raises(ModuleNotFoundError, match="package of Nightshift"):
        Refused.find_spec("artifacts.recipes.layers")
    assert Refused.find_spec("numpy") is None  # type: ignore[func-returns-value]
