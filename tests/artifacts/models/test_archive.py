"""Model files that no training wrote are refused by a look at their members."""

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from artifacts.models.archive import check_archive
from data.errors import Corrupt


def weights(**datasets: Any) -> bytes:
    """An HDF5 file with datasets, or whatever h5py makes of the keyword arguments in a dictionary."""
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        for name, value in (datasets or {"kernel": np.zeros(100, np.float32)}).items():
            if isinstance(value, dict):
                file.create_dataset(name, **value)
            else:
                file[name] = value
    return stream.getvalue()


def archive(path: Path, *, leave_out: str = "", packed: bool = False, **members: bytes) -> Path:
    """A model file as Keras writes it, with some members replaced or added; "/" is written as "__"."""
    usual = {"metadata.json": b"{}", "config.json": b'{"class_name": "Functional"}', "model.weights.h5": weights()}
    given = {name.replace("__", "/").replace("_h5", ".h5").replace("_json", ".json"): m for name, m in members.items()}
    kind = zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED
    with zipfile.ZipFile(path, "w", kind) as file:
        for name, content in (usual | given).items():
            if name != leave_out:
                file.writestr(name, content)
    return path


def test_what_keras_writes_is_accepted(tmp_path: Path) -> None:
    """With and without assets."""
    import keras

    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    model.save(tmp_path / "model.keras")
    check_archive(tmp_path / "model.keras")
    check_archive(archive(tmp_path / "a.keras", assets__vocabulary=b"a b c"))


@pytest.mark.parametrize("name", ["metadata.json", "config.json", "model.weights.h5"])
def test_a_member_that_is_missing_is_named(tmp_path: Path, name: str) -> None:
    """The three that every model file has."""
    with pytest.raises(Corrupt, match=f"it has no {name}"):
        check_archive(archive(tmp_path / "a.keras", leave_out=name))


@pytest.mark.fault("F-27")
def test_foreign_members_are_refused(tmp_path: Path) -> None:
    """A pickle, a path that leads out, a member twice, and what is no archive at all."""
    for name in ("data.pkl", "../evil", "/etc/passwd", "assets/../../evil"):
        with pytest.raises(Corrupt, match="it has a member"):
            check_archive(archive(tmp_path / "a.keras", **{name: b"x"}))
    with zipfile.ZipFile(archive(tmp_path / "a.keras"), "a") as file, pytest.warns(UserWarning, match="Duplicate"):
        file.writestr("config.json", b"{}")
    with pytest.raises(Corrupt, match="one of them twice"):
        check_archive(tmp_path / "a.keras")
    for content in (b"", b"PK\x03\x04 no model", b"\x89HDF\r\n\x1a\n"):
        (tmp_path / "a.keras").write_bytes(content)
        with pytest.raises(Corrupt, match="it cannot be unpacked"):
            check_archive(tmp_path / "a.keras")


@pytest.mark.fault("F-27")
def test_bombs_are_refused_before_they_are_unpacked(tmp_path: Path) -> None:
    """A description of 64 MiB of blanks, one that is nested without end, and weights that are mostly promised."""
    with pytest.raises(Corrupt, match=r"config\.json unpacks to 67,108,864 bytes"):
        check_archive(archive(tmp_path / "a.keras", packed=True, config_json=b" " * (64 << 20)))
    for depth in (500, 200_000):
        nested = b'{"a":' * depth + b"1" + b"}" * depth
        with pytest.raises(Corrupt, match="nested"):
            check_archive(archive(tmp_path / "a.keras", config_json=nested))
    promised = weights(kernel={"shape": (1 << 33,), "dtype": "float32", "chunks": (1 << 16,)})
    with pytest.raises(Corrupt, match="its weights claim 34,359,738,368 bytes in a file of"):
        check_archive(archive(tmp_path / "a.keras", **{"model.weights_h5": promised}))


@pytest.mark.parametrize("name", ["Lambda", "TFSMLayer", "__lambda__", "TorchModuleWrapper", "JaxLayer", "FlaxLayer"])
def test_layers_that_are_code_are_refused_before_keras_sees_them(tmp_path: Path, name: str) -> None:
    """Wherever in the description they stand."""
    layer = {"class_name": "Dense", "config": {"activation": {"class_name": name, "config": {"value": "evil"}}}}
    config = json.dumps({"class_name": "Functional", "config": {"layers": [layer]}}).encode()
    with pytest.raises(Corrupt, match=f"its description has a {name}, which is code or loads it"):
        check_archive(archive(tmp_path / "a.keras", config_json=config))


def test_a_real_lambda_is_refused(tmp_path: Path) -> None:
    """As Keras itself writes it."""
    import keras

    evil = keras.layers.Lambda(lambda x: x + 0 * len(str(__import__("os").getcwd())))
    keras.Sequential([keras.Input((4,)), evil]).save(tmp_path / "model.keras")
    with pytest.raises(Corrupt, match="which is code or loads it"):
        check_archive(tmp_path / "model.keras")


@pytest.mark.fault("F-27")
def test_weights_that_lie_in_another_file_are_refused(tmp_path: Path) -> None:
    """A link or an external dataset would read whatever the description names."""
    for elsewhere in (
        weights(kernel=h5py.ExternalLink("/etc/passwd", "/")),
        weights(kernel={"shape": (4,), "dtype": "u1", "external": [("/etc/passwd", 0, 4)]}),
    ):
        with pytest.raises(Corrupt, match=r"to another file|in another file"):
            check_archive(archive(tmp_path / "a.keras", **{"model.weights_h5": elsewhere}))


def test_the_description_is_json(tmp_path: Path) -> None:
    """Anything else is refused in one sentence."""
    assert json.loads(b'{"class_name": "Functional"}')
    for content in (b"", b"{", b"\xff", b"9" * 5000):
        with pytest.raises(Corrupt, match="it cannot be unpacked"):
            check_archive(archive(tmp_path / "a.keras", config_json=content))
