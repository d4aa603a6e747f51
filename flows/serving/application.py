"""The web application: TensorFlow Serving's REST interface, image upload, health, metrics, and a page.

    GET  /                                    a page to drop an image on
    GET  /health                              200 while every dataset is answered
    GET  /metrics                             Prometheus' text format
    GET  /v1/models/NAME                      which version answers, as TensorFlow Serving says it
    GET  /v1/models/NAME/metadata             what the model takes and gives
    POST /v1/models/NAME:predict              pixels to probabilities, as TensorFlow Serving does
    POST /v1/models/NAME:image                an image file to what `nightshift predict --json` prints

NAME may be followed by /versions/NUMBER, which is answered while that version is champion. Every answer of a model has
the version in the header `nightshift-version`; the body has it where the shape is ours.
"""

import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from importlib import resources
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from artifacts.prediction.loaded import Loaded
from data.errors import BadInput, NightshiftError, UnknownName
from data.home.store import Store
from flows.serving import bodies
from flows.serving.batching import Batcher, Busy
from flows.serving.following import Following
from flows.serving.meters import Meters

VERSION = "nightshift-version"
FILES = {"": "text/html", "page.css": "text/css", "page.js": "text/javascript", "page.svg": "image/svg+xml"}
Handler = Callable[[Request], Awaitable[Response]]


class Json(Response):
    """A JSON body; orjson writes arrays of NumPy as they are."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """Return strict JSON."""
        return orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE)


class Champions:
    """The champions of some datasets, and what their answers are counted by. Close it when done.

    Args:
        store: the home.
        datasets: their names.

    Raises:
        UnknownName: one has no champion.
        Corrupt: the champion's files have changed.
        Unloadable: a champion cannot be loaded.
    """

    def __init__(self, store: Store, datasets: Iterable[str]) -> None:
        self.meters = Meters()
        self.followed: dict[str, Following] = {}
        self.batchers: dict[str, Batcher] = {}
        for name in dict.fromkeys(datasets):
            self.followed[name] = Following(store, name, lambda version, name=name: self.meters.champion(name, version))  # type: ignore[misc]
            self.batchers[name] = Batcher(lambda images, name=name: self.meters.batch(name, images))  # type: ignore[misc]

    def close(self) -> None:
        """End the threads."""
        for followed in self.followed.values():
            followed.close()
        for batcher in self.batchers.values():
            batcher.close()

    def loaded(self, request: Request) -> tuple[str, Loaded]:
        """Return the dataset that a request names, and the version that answers now.

        Raises:
            UnknownName: it is not served, or not in the version that is asked for.
        """
        name, number = request.path_params["name"], request.path_params.get("number")
        if name not in self.followed:
            raise UnknownName.among("model", name, self.followed)
        loaded = self.followed[name].current
        if number is not None and number != loaded.version.number:
            raise UnknownName(f"version {number} of {name} is not the champion, which is {loaded.version.number}")
        return name, loaded


def application(champions: Champions) -> Starlette:
    """Return the web application."""
    one = "/v1/models/{name}"
    routes = []
    for path in (one, one + "/versions/{number:int}"):
        routes += [
            _route(champions, path, "status", _status),
            _route(champions, f"{path}/metadata", "metadata", _metadata),
            _route(champions, f"{path}:predict", "predict", _predict, "POST"),
            _route(champions, f"{path}:image", "image", _image, "POST"),
        ]
    routes += [_route(champions, "/health", "health", _health), _route(champions, "/metrics", "metrics", _metrics)]
    routes += [_route(champions, f"/{name}", "page", _file) for name in FILES]
    return Starlette(routes=routes, exception_handlers={HTTPException: _no_route})


def _route(
    champions: Champions,
    path: str,
    name: str,
    handler: Callable[[Champions, Request], Awaitable[Response]],
    method: str = "GET",
) -> Route:
    """Return a route whose errors are one sentence in JSON, as TensorFlow Serving's, and whose answers are counted."""

    async def answer(request: Request) -> Response:
        started = time.perf_counter()
        try:
            response = await handler(champions, request)
        except NightshiftError as error:
            response = Json({"error": f"{error.problem}{f'; {error.hint}' if error.hint else ''}"}, _code(error))
        except Busy:
            response = Json({"error": "too many images wait; try again"}, 503, {"Retry-After": "1"})
        champions.meters.request(name, response.status_code, time.perf_counter() - started)
        return response

    return Route(path, answer, methods=[method])


async def _no_route(request: Request, error: Exception) -> Response:
    """Answer a request that no route takes: another path (404), or another method (405)."""
    code = error.status_code if isinstance(error, HTTPException) else 500
    return Json({"error": f"no answer to {request.method} {request.url.path[:200]}"}, code)


def _code(error: NightshiftError) -> int:
    match error:
        case bodies.TooLarge():
            return 413
        case UnknownName():
            return 404
        case BadInput():
            return 400
        case _:
            return 500


def _versioned(loaded: Loaded, content: Mapping[str, Any]) -> Json:
    return Json(content, headers={VERSION: loaded.version.id})


async def _status(champions: Champions, request: Request) -> Response:
    name, loaded = champions.loaded(request)
    problem = champions.followed[name].problem
    state = {"error_code": "UNKNOWN" if problem else "OK", "error_message": problem}
    status = {"version": str(loaded.version.number), "state": "AVAILABLE", "status": state}
    return _versioned(loaded, {"model_version_status": [status]})


async def _metadata(champions: Champions, request: Request) -> Response:
    name, loaded = champions.loaded(request)
    geometry = loaded.geometry
    return _versioned(
        loaded,
        {
            "model_spec": {"name": name, "signature_name": bodies.SIGNATURE, "version": str(loaded.version.number)},
            "metadata": {
                "inputs": {bodies.INPUT: {"dtype": "DT_UINT8", "shape": [-1, *geometry.shape]}},
                "outputs": {"probabilities": {"dtype": "DT_FLOAT", "shape": [-1, len(loaded.class_names)]}},
                "class_names": list(loaded.class_names),
            },
        },
    )


async def _predict(champions: Champions, request: Request) -> Response:
    body = await bodies.read(request)
    name, loaded = champions.loaded(request)
    small = len(body) < 1 << 16  # a thread costs more than reading so little
    asked = (
        bodies.predict_request(body, loaded) if small else await run_in_threadpool(bodies.predict_request, body, loaded)
    )
    _, probabilities = await champions.batchers[name].predict(loaded, asked.images)
    return _versioned(loaded, {asked.answer: probabilities})


async def _image(champions: Champions, request: Request) -> Response:
    file = await bodies.image_file(request)
    name, loaded = champions.loaded(request)
    invert = request.query_params.get("invert", "") in ("1", "true", "yes")
    given = await run_in_threadpool(loaded.prepared, file, invert=invert)
    if len(given.images) > bodies.MOST_IMAGES:
        raise bodies.TooLarge(f"expected at most {bodies.MOST_IMAGES} images, got {len(given.images)}")
    logits, probabilities = await champions.batchers[name].predict(loaded, given.images)
    answer = await run_in_threadpool(loaded.answer, given, logits, probabilities, invert=invert)
    return _versioned(loaded, answer.to_json())


async def _health(champions: Champions, _: Request) -> Response:
    problems = {name: one.problem for name, one in champions.followed.items() if one.problem}
    served = {name: one.current.version.id for name, one in champions.followed.items()}
    return Json({"status": "degraded" if problems else "ok", "serving": served, "problems": problems})


async def _metrics(champions: Champions, _: Request) -> Response:
    return Response(champions.meters.text(), media_type="text/plain; version=0.0.4")


async def _file(champions: Champions, request: Request) -> Response:
    name = request.url.path.lstrip("/")
    content = resources.files("flows.serving").joinpath("page", name or "index.html").read_text("utf-8")
    if not name:
        content = content.replace("<!-- datasets -->", "".join(f"<option>{one}</option>" for one in champions.followed))
    return Response(content, media_type=FILES[name], headers={"Cache-Control": "no-cache"})
