"""Asking a real, small model: many images at once, fitted, judged by what it has seen, and honest about strangers."""

import io
import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from artifacts.models import bundle, loading, novelty
from artifacts.prediction import inputs
from artifacts.prediction.predict import Answer, ask
from artifacts.registry.versions import Version
from data.errors import BadFile, BadInput, SourceUnavailable, UnknownName
from tests.artifacts.trained import TrainedHome


@pytest.fixture
def version(trained: TrainedHome) -> Version:
    """A registered version of the tiny recipe on the bundled sample."""
    return trained.promote(0)


def old(version: Version) -> Version:
    """The version as an earlier Nightshift would have left it: no novelty, only names and size in interface.json."""
    (version.folder / novelty.FILE).unlink()
    path = version.folder / bundle.INTERFACE
    path.chmod(0o644)
    kept = {name: json.loads(path.read_bytes())[name] for name in ("height", "width", "class_names")}
    path.write_text(json.dumps(kept))
    return version


def pngs(folder: Path, images: np.ndarray) -> Path:
    """A folder with a PNG per image."""
    folder.mkdir(parents=True, exist_ok=True)
    for index, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{index:04}.png")
    return folder


def asked(trained: TrainedHome, version: Version, *sources: Any, **options: Any) -> Answer:
    """Ask about files."""
    return ask(trained.store, version, [str(source) for source in sources], **options)


# -- many files -----------------------------------------------------------------------------------------------


def test_a_thousand_pngs_are_one_call(trained: TrainedHome, version: Version, tmp_path: Path) -> None:
    """Every image of a folder, in the order of the names, with what the model gives for the array."""
    images = np.resize(trained.tests.images, (1000, 28, 28))
    answer = asked(trained, version, pngs(tmp_path / "many", images))
    model = loading.load_recorded(trained.store, version.folder)
    np.testing.assert_allclose(answer.probabilities, loading.predict(model, images), atol=1e-5)
    assert answer.sources[7] == str(tmp_path / "many" / "0007.png")
    assert len(answer.lines(3)) == 1000
    assert all(":" in line for line in answer.lines(3))


def test_files_folders_urls_and_standard_input_together(
    trained: TrainedHome, version: Version, tmp_path: Path, served: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the order in which they are given, each under its name."""
    image = trained.tests.images[0]
    pngs(tmp_path / "folder" / "inner", trained.tests.images[:2])
    (tmp_path / "folder" / ".DS_Store").write_bytes(b"?")
    (tmp_path / "folder" / "notes.txt").write_text("no image")
    np.save(tmp_path / "two.npy", np.stack([image, image]))
    content = io.BytesIO()
    Image.fromarray(image).save(content, "BMP")
    given = SimpleNamespace(buffer=io.BytesIO(content.getvalue()), isatty=lambda: False)
    monkeypatch.setattr("sys.stdin", given)
    answer = asked(trained, version, tmp_path / "folder", "-", tmp_path / "two.npy", f"{served}/digit.png?key=secret")
    names = [name.removeprefix(str(tmp_path)) for name in answer.sources]
    assert names == [
        "/folder/inner/0000.png",
        "/folder/inner/0001.png",
        "standard input",
        "/two.npy[0]",
        "/two.npy[1]",
        f"{served}/digit.png",
    ]
    assert (answer.images[2] == image).all()
    assert answer.notes == ()


@pytest.fixture
def served() -> Iterator[str]:
    """A web server that has one digit."""
    content = io.BytesIO()
    Image.fromarray(np.eye(28, dtype=np.uint8) * 255).save(content, "PNG")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            there = self.path.startswith("/digit.png")
            self.send_response(200 if there else 404)
            self.end_headers()
            self.wfile.write(content.getvalue() if there else b"")

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_what_cannot_be_read_is_said(trained: TrainedHome, version: Version, tmp_path: Path, served: str) -> None:
    """By its name where it was named; of a folder it is left out with a warning, unless nothing is left."""
    folder = pngs(tmp_path / "folder", trained.tests.images[:2])
    (folder / "bad.png").write_bytes(b"<html>")
    answer = asked(trained, version, folder)
    assert len(answer.probabilities) == 2
    assert answer.warnings[0].startswith(f"One file was left out: {folder / 'bad.png'}: expected PNG")
    for path in folder.glob("0*"):
        path.unlink()
    for source in (folder, folder / "bad.png"):
        with pytest.raises(BadFile, match=r"bad\.png: expected PNG, got .*a web page"):
            asked(trained, version, source)
    (folder / "bad.png").unlink()
    with pytest.raises(BadInput, match="has no image file"):
        asked(trained, version, folder)
    with pytest.raises(SourceUnavailable, match="HTTP 404"):
        asked(trained, version, f"{served}/no.png")
    with pytest.raises(BadInput, match="expected an http or https URL"):
        asked(trained, version, "s3://bucket/a.png")
    with pytest.raises(BadInput, match="no option --inver"):
        asked(trained, version, "--inver")
    with pytest.raises(BadInput, match="expected at least one image"):
        asked(trained, version)
    with pytest.raises(BadInput, match="only once"):
        asked(trained, version, "-", "-")


def test_a_terminal_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever types - without redirecting is told how."""
    monkeypatch.setattr("sys.stdin", SimpleNamespace(isatty=lambda: True))
    with pytest.raises(BadInput, match="got a terminal"):
        list(inputs.read(["-"]))


def test_true_classes_are_one_per_image(trained: TrainedHome, version: Version, tmp_path: Path) -> None:
    """By name or number."""
    folder = pngs(tmp_path / "two", trained.tests.images[:2])
    answer = asked(trained, version, folder, true=["7", "3"])
    assert answer.labels is not None
    assert answer.labels.tolist() == [7, 3]
    assert "(true: 7)" in answer.lines(1)[0]
    with pytest.raises(BadInput, match="expected 2 true classes"):
        asked(trained, version, folder, true=["7"])
    with pytest.raises(UnknownName):
        asked(trained, version, folder, true=["7", "seven"])


# -- fitting and polarity -------------------------------------------------------------------------------------


def test_another_size_is_fitted_and_said(trained: TrainedHome, version: Version, tmp_path: Path) -> None:
    """As the training images were unless the user says otherwise; enlarged ten times, the answer is the same."""
    image = trained.tests.images[0]
    Image.fromarray(np.kron(image, np.ones((10, 10), np.uint8))).save(tmp_path / "large.png")
    answer = asked(trained, version, tmp_path / "large.png")
    assert (answer.images[0] == image).all()
    assert answer.notes == (
        "The image was fitted from 280×280 pixels into 28×28 (pad: all of it, on the ground colour).",
    )
    Image.fromarray(np.pad(image, ((0, 0), (14, 14)))).save(tmp_path / "wide.png")
    assert (asked(trained, version, tmp_path / "wide.png", fit="crop").images[0] == image).all()
    assert "stretch" in asked(trained, version, tmp_path / "wide.png", fit="stretch").notes[0]


@pytest.mark.parametrize("age", ["new", "old"])
def test_polarity_is_judged_by_the_training_images(
    age: str, trained: TrainedHome, version: Version, tmp_path: Path
) -> None:
    """Dark on light brings a warning for a model of light on dark, and --invert makes it the right image."""
    version = old(version) if age == "old" else version
    image = trained.tests.images[0]
    Image.fromarray(255 - image).save(tmp_path / "paper.png")
    (warning, *_) = asked(trained, version, tmp_path / "paper.png").warnings
    assert "a light background, the model learned light on dark: add --invert" in warning
    answer = asked(trained, version, tmp_path / "paper.png", invert=True)
    assert (answer.images[0] == image).all()
    assert answer.warnings == ()
    Image.fromarray(image).save(tmp_path / "right.png")
    assert "without --invert" in asked(trained, version, tmp_path / "right.png", invert=True).warnings[0]


def test_a_white_transparent_frame_is_the_ground(trained: TrainedHome, version: Version, tmp_path: Path) -> None:
    """An image with its paper cut away needs no warning."""
    image = trained.tests.images[0]
    Image.fromarray(np.stack([image, image, image, image], axis=-1)).save(tmp_path / "cut.png")
    assert asked(trained, version, tmp_path / "cut.png").warnings == ()


# -- none of these --------------------------------------------------------------------------------------------


def test_noise_and_blank_images_are_marked(trained: TrainedHome, version: Version, tmp_path: Path) -> None:
    """In the sentence before the answers, in each line, and in JSON; genuine digits are not."""
    strange = np.random.default_rng(0).integers(0, 256, (4, 28, 28)).astype(np.uint8)
    images = np.concatenate([strange, np.zeros((1, 28, 28), np.uint8), trained.tests.images[:5]])
    np.save(tmp_path / "all.npy", images)
    answer = asked(trained, version, tmp_path / "all.npy")
    value = answer.to_json()
    assert [one["none_of_these"] for one in value["answers"]] == [True] * 5 + [False] * 5
    assert answer.warnings[-1].startswith("5 of 10 images are unlike the training images")
    assert "1 of 10 images have hardly any contrast" in " ".join(answer.warnings)
    assert "4 of 10 images have a brightness of" in " ".join(answer.warnings)
    lines = [line for line in answer.lines(1) if line.startswith("image")]
    assert ["none of these" in line for line in lines] == [True] * 5 + [False] * 5
    json.dumps(value, allow_nan=False)


def test_a_version_from_before_answers_as_before(trained: TrainedHome, version: Version, tmp_path: Path) -> None:
    """Without a score, and with the lines it always had."""
    Image.fromarray(trained.tests.images[0]).save(tmp_path / "digit.png")
    new = asked(trained, version, tmp_path / "digit.png")
    answer = asked(trained, old(version), tmp_path / "digit.png")
    assert (answer.scores, answer.warnings, answer.notes) == (None, (), ())
    assert answer.to_json()["answers"][0]["none_of_these"] is None
    np.testing.assert_allclose(answer.probabilities, new.probabilities, atol=1e-6)
    first, *bars = answer.lines(3)
    assert first.startswith("image 0: ")
    assert len(bars) == 3
