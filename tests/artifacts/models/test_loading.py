"""Model files that Keras cannot load are told apart from those that are not what they were."""

import json
from pathlib import Path
from typing import Any

import pytest

from artifacts.models import loading
from data.errors import Corrupt, Unloadable
from data.home.files import file_sha256
from tests.artifacts.models.test_archive import archive

INPUT = {"class_name": "InputLayer", "module": "keras.layers", "config": {"batch_shape": [None, 4], "dtype": "float32"}}


def sequential(*layers: dict[str, Any]) -> bytes:
    """The description of a network of these layers."""
    config = {"name": "s", "trainable": True, "layers": [INPUT, *layers]}
    return json.dumps({"module": "keras", "class_name": "Sequential", "config": config}).encode()


def dense(**config: Any) -> dict[str, Any]:
    """The description of a dense layer."""
    return {"module": "keras.layers", "class_name": "Dense", "config": {"units": 2, **config}, "registered_name": None}


def nested(depth: int) -> dict[str, Any]:
    """Networks inside each other."""
    layer = dense()
    for _ in range(depth):
        inner = {"name": "n", "trainable": True, "layers": [INPUT, layer]}
        layer = {"module": "keras", "class_name": "Sequential", "config": inner, "registered_name": None}
    return layer


CRAFTED = {
    "an unknown class": sequential({"module": "keras.layers", "class_name": "Nope", "config": {}}),
    "a foreign module": sequential({"module": "nowhere.at_all", "class_name": "Nope", "config": {}}),
    "a system call": sequential({"module": "os", "class_name": "system", "config": {"command": "touch pwned"}}),
    "a layer without end": sequential(dense(units=1 << 40)),
    "no network": json.dumps(["x"]).encode(),
    "networks inside each other": sequential(nested(12)),
}


@pytest.mark.parametrize("config", CRAFTED.values(), ids=list(CRAFTED))
def test_whatever_keras_makes_of_a_description_is_one_sentence(tmp_path: Path, config: bytes) -> None:
    """No traceback, no lasting memory, and nothing of it runs."""
    path = archive(tmp_path / "model.keras", config_json=config)
    with pytest.raises(Unloadable, match=r"is as it was written, but Keras .* cannot load it") as refused:
        loading.load(path, file_sha256(path))
    assert "verify --load" in refused.value.hint
    assert "\n" not in refused.value.problem
    assert [found.name for found in tmp_path.iterdir()] == ["model.keras"]


def test_a_file_with_another_hash_is_corrupt_and_is_not_looked_into(tmp_path: Path) -> None:
    """The hash comes first."""
    path = archive(tmp_path / "model.keras")
    with pytest.raises(Corrupt, match="expected SHA-256"):
        loading.load(path, "0" * 64)


def test_what_a_version_was_made_with_is_said_where_it_is_known(tmp_path: Path) -> None:
    """From its provenance; a candidate has none, and whatever else lies there says nothing."""
    assert loading.made_with(tmp_path) == ""
    for content in ("", "[]", '{"libraries": 7}'):
        (tmp_path / "provenance.json").write_text(content)
        assert loading.made_with(tmp_path) == ""
    (tmp_path / "provenance.json").write_text('{"libraries": {"pyarrow": "26", "numpy": "2.5", "keras": "3.15.1"}}')
    assert loading.made_with(tmp_path) == "keras 3.15.1, numpy 2.5"
