"""Real champions over HTTP: TensorFlow Serving's form, image files, and the pointer followed under load."""

import base64
import io
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest
import uvicorn
from PIL import Image

from artifacts.models import bundle
from artifacts.prediction.predict import ask
from artifacts.registry import champions as registry
from data.errors import UnknownName, Unloadable
from flows.serving import bodies, following
from flows.serving.application import VERSION, Champions, application
from tests.artifacts.trained import SAMPLE, TrainedHome
from tests.flows.serving.client import Client

pytestmark = pytest.mark.slow

MODEL = f"/v1/models/{SAMPLE}"
PATIENCE_S = 120.0


@pytest.fixture
def champions(trained: TrainedHome, monkeypatch: pytest.MonkeyPatch) -> Iterator[Champions]:
    """The first candidate, served."""
    monkeypatch.setattr(following, "EVERY_S", 0.05)
    trained.promote(0)
    serving = Champions(trained.store, [SAMPLE])
    yield serving
    serving.close()


@pytest.fixture
def client(champions: Champions) -> Client:
    """Its client, in this process."""
    return Client(application(champions))


def png(image: np.ndarray) -> bytes:
    """An image file."""
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "PNG")
    return stream.getvalue()


def test_pixels_in_the_form_of_tensorflow_serving(trained: TrainedHome, client: Client) -> None:
    """Rows, columns, by the input's name, as Base64 files: the recorded answers, and the version in the header."""
    images, recorded = bundle.read_requests(trained.store.versions(SAMPLE) / "1")
    listed, files = images.tolist(), [{"b64": base64.b64encode(png(image)).decode()} for image in images]
    mixed = [{"images": files[0]}, listed[1], {"images": listed[2]}, *files[3:]]
    for body, field in (
        ({"instances": listed}, "predictions"),
        ({"inputs": listed, "signature_name": "serving_default"}, "outputs"),
        ({"inputs": {"images": images[..., None].tolist()}}, "outputs"),
        ({"instances": mixed}, "predictions"),
    ):
        answer = client.post(f"{MODEL}:predict", json=body)
        assert answer.status_code == 200, answer.text
        assert answer.headers[VERSION] == f"{SAMPLE}/1"
        assert list(answer.json()) == [field]
        np.testing.assert_allclose(answer.json()[field], recorded, atol=1e-5)
    assert client.post(f"{MODEL}/versions/1:predict", json={"instances": listed[:1]}).status_code == 200
    status = client.get(MODEL).json()["model_version_status"]
    assert [(one["version"], one["state"]) for one in status] == [("1", "AVAILABLE")]
    assert client.get(f"{MODEL}/metadata").json()["metadata"]["inputs"]["images"]["shape"] == [-1, 28, 28]


def test_an_image_file_is_answered_as_by_predict(trained: TrainedHome, client: Client, tmp_path: Any) -> None:
    """As the body or in a form: class, probabilities, novelty; noise is marked; advice is for who asks a server."""
    image = trained.tests.images[0]
    (tmp_path / "digit.png").write_bytes(png(image))
    version = registry.champion(trained.store, SAMPLE)
    assert version is not None
    expected = ask(trained.store, version, [str(tmp_path / "digit.png")]).to_json()
    for given in ({"content": png(image)}, {"files": {"image": ("digit.png", png(image))}}):
        answer = client.post(f"{MODEL}:image", **given).json()
        assert answer["version"] == f"{SAMPLE}/1"
        assert answer["answers"][0]["predicted"] == expected["answers"][0]["predicted"]
        assert answer["answers"][0]["novelty"] == pytest.approx(expected["answers"][0]["novelty"], abs=1e-4)
    noise = client.post(f"{MODEL}:image", content=png(255 - np.resize(image, (40, 60)))).json()
    assert noise["answers"][0]["none_of_these"] is True
    assert noise["notes"]
    assert "--" not in " ".join(noise["warnings"])


@pytest.mark.parametrize(
    ("path", "given", "code", "said"),
    [
        (":predict", {"content": b"{"}, 400, "not JSON"),
        (":predict", {"json": [1]}, 400, "either 'instances' or 'inputs'"),
        (":predict", {"json": {"instances": [], "inputs": []}}, 400, "either 'instances' or 'inputs'"),
        (":predict", {"json": {"instances": []}}, 400, "at least one instance"),
        (":predict", {"json": {"instances": 3}}, 400, "a list of instances"),
        (":predict", {"json": {"inputs": 3}}, 400, "expected numbers"),
        (":predict", {"json": {"instances": [[1, 2], [3]]}}, 400, "not all of one shape"),
        (":predict", {"json": {"instances": [[[1] * 28] * 27]}}, 400, "expected images of shape"),
        (":predict", {"json": {"instances": [[[0.5] * 28] * 28]}}, 400, "whole numbers from 0 to 255"),
        (":predict", {"json": {"instances": [[[256] * 28] * 28]}}, 400, "whole numbers from 0 to 255"),
        (":predict", {"json": {"instances": ["7"]}}, 400, "expected numbers"),
        (":predict", {"json": {"instances": [{"b64": "?"}]}}, 400, "not Base64"),
        (":predict", {"json": {"instances": [{"file": "x"}]}}, 400, "expected pixels"),
        (":predict", {"json": {"inputs": [[[0] * 28] * 28], "signature_name": "x"}}, 400, "expected the signature"),
        (":predict", {"json": {"instances": [0] * 2000}}, 413, "at most 1024 images"),
        ("/versions/7:predict", {"json": {"inputs": []}}, 404, "is not the champion"),
        (":image", {"content": b""}, 400, "empty body"),
        (":image", {"content": b"hello"}, 400, "expected PNG"),
        (":image", {"content": png(np.zeros((9, 9), np.uint8))[:60]}, 400, "the image"),
        (":image", {"data": {"a": "b"}, "headers": {"content-type": "multipart/form-data"}}, 400, "cannot be read"),
        (":image", {"files": {"image": ("a.png", b"hello")}}, 400, "expected PNG"),
        (":image", {"content": b" " * (bodies.LARGEST + 1)}, 413, "at most 32 MiB"),
        ("s:predict", {"json": {"inputs": []}}, 404, "did you mean 'mnist-sample'"),
        (":classify", {"json": {}}, 405, "no answer to POST"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(
    built: TrainedHome, client: Client, path: str, given: dict[str, Any], code: int, said: str
) -> None:
    """In JSON, under "error", as TensorFlow Serving does."""
    answer = client.post(MODEL + path, **given)
    assert (answer.status_code, list(answer.json())) == (code, ["error"])
    assert said in answer.json()["error"]


def test_health_metrics_and_the_page(champions: Champions, client: Client) -> None:
    """Each says what it is for; the page asks no other host."""
    assert client.get("/health").json() == {"status": "ok", "serving": {SAMPLE: f"{SAMPLE}/1"}, "problems": {}}
    client.post(f"{MODEL}:predict", json={"instances": np.zeros((3, 28, 28), int).tolist()})
    metrics = client.get("/metrics").text
    assert f'nightshift_champion_number{{dataset="{SAMPLE}"}} 1.0' in metrics
    assert 'nightshift_requests_total{code="200",route="predict"} 1.0' in metrics
    page = "".join(client.get(path).text for path in ("/", "/page.css", "/page.js", "/page.svg"))
    assert f"<option>{SAMPLE}</option>" in page
    assert "https://" not in page


def test_a_champion_that_cannot_be_loaded_leaves_the_old_one_in_place(
    trained: TrainedHome, champions: Champions, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And /health says why, until it can."""

    def unloadable(*_: Any) -> None:
        raise Unloadable("made with another Keras")

    followed = champions.followed[SAMPLE]
    with monkeypatch.context() as patched:
        patched.setattr(following, "Loaded", unloadable)
        trained.promote(1)
        until(lambda: followed.problem)
        health = client.get("/health").json()
        assert health["status"] == "degraded"
        assert health["problems"][SAMPLE] == f"{SAMPLE}/1 goes on answering: made with another Keras"
        assert client.post(f"{MODEL}:predict", json={"inputs": [[[0] * 28] * 28]}).headers[VERSION] == f"{SAMPLE}/1"
        assert "nightshift_champion_failures_total" in client.get("/metrics").text
    trained.store.champion(SAMPLE).touch()
    until(lambda: followed.current.version.number == 2)
    assert client.get("/health").json()["status"] == "ok"


def test_no_champion_is_refused_at_the_start(built: TrainedHome) -> None:
    """With the command that makes one."""
    with pytest.raises(UnknownName, match="has no champion yet"):
        Champions(built.store, ["fashion-mnist"])


def test_no_request_fails_while_champions_change(trained: TrainedHome, champions: Champions) -> None:
    """Several clients ask a real server all the time; each answer is that of the version it names."""
    expected = {}
    images = trained.tests.images[:2]
    server = uvicorn.Server(uvicorn.Config(application(champions), log_level="warning", lifespan="off"))
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    answers: list[tuple[int, str, Any]] = []
    stop = threading.Event()
    address = f"http://127.0.0.1:{listener.getsockname()[1]}{MODEL}:predict"

    def hammer() -> None:
        with httpx.Client(trust_env=False, timeout=PATIENCE_S) as client:
            while not stop.is_set():
                answer = client.post(address, json={"instances": images.tolist()})
                answers.append((answer.status_code, answer.headers.get(VERSION, ""), answer.json()))

    clients = [threading.Thread(target=hammer) for _ in range(3)]
    try:
        for one in clients:
            one.start()
        until(lambda: len(answers) > 20)
        trained.promote(1)
        until(lambda: any(version == f"{SAMPLE}/2" for _, version, _ in answers))
        registry.rollback(trained.store, SAMPLE, who="me", why="a test")
        until(lambda: answers[-1][1] == f"{SAMPLE}/1")
    finally:
        stop.set()
        for one in clients:
            one.join()
        server.should_exit = True
        thread.join()
        listener.close()
    assert {code for code, _, _ in answers} == {200}
    for _, version, content in answers:
        first = expected.setdefault(version, content["predictions"])
        np.testing.assert_allclose(content["predictions"], first, atol=1e-5)
    assert set(expected) == {f"{SAMPLE}/1", f"{SAMPLE}/2"}


def until(true: Any) -> None:
    """Wait until something is true."""
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)
