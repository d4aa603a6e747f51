"""How fast does `nightshift serve` answer, next to the bare model?

    NIGHTSHIFT_HOME=... python -m benchmarks.serving DATASET [--seconds 10]

for the champion of a home. `bare` is `Model.predict_on_batch` with 32 images, in this process and alone. `queue` is the
server's queue without HTTP: 64 askers of one image each, again and again. `http` is the server as a process of its
own, asked by 4 connections of one client process with 32 images of JSON each; client and server share the processor.
`single` sends single images 50 times a second on a fixed schedule, whether or not earlier answers have come, and counts
from when each was due; `alone` does the same with the model in this process. The load of the machine is shown because
milliseconds mean little on a busy one.
"""

import argparse
import asyncio
import json
import os
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from typing import Any

import httpx
import numpy as np

from artifacts.models import bundle
from artifacts.prediction.loaded import LARGEST, Loaded
from artifacts.registry import champions
from data.home.store import Store
from flows.serving.batching import Batcher
from flows.settings import prepare_environment, set_environment, settings

RATE = 50.0  # single images a second
ASKERS, CONNECTIONS = 64, 4
START = "from flows.commands.main import main; main()"


def alone(loaded: Loaded, images: Any, seconds: float) -> list[float]:
    """Return the milliseconds of RATE single images a second with the model alone: what the machine allows."""
    times, started = [], time.perf_counter()
    for number in range(int(RATE * seconds)):
        due = started + number / RATE
        time.sleep(max(due - time.perf_counter(), 0))
        loaded._model.predict_on_batch(images[:1])
        times.append(1000 * (time.perf_counter() - due))
    return times


def bare(loaded: Loaded, images: Any, seconds: float) -> float:
    """Return images per second of the model alone, at batch 32."""
    model, done, started = loaded._model, 0, time.perf_counter()
    while time.perf_counter() - started < seconds:
        model.predict_on_batch(images)
        done += len(images)
    return done / (time.perf_counter() - started)


async def queue(loaded: Loaded, images: Any, seconds: float) -> float:
    """Return images per second through the queue, one image per request."""
    batcher, done = Batcher(), 0
    deadline = time.perf_counter() + seconds

    async def asker() -> None:
        nonlocal done
        while time.perf_counter() < deadline:
            await batcher.predict(loaded, images[:1])
            done += 1

    started = time.perf_counter()
    await asyncio.gather(*(asker() for _ in range(ASKERS)))
    batcher.close()
    return done / (time.perf_counter() - started)


async def http(url: str, images: Any, seconds: float) -> float:
    """Return images per second over HTTP, 32 images per request."""
    body, done = json.dumps({"instances": images.tolist()}).encode(), 0
    deadline = time.perf_counter() + seconds
    async with httpx.AsyncClient(trust_env=False, timeout=60) as client:

        async def asker() -> None:
            nonlocal done
            while time.perf_counter() < deadline:
                (await client.post(url, content=body)).raise_for_status()
                done += len(images)

        started = time.perf_counter()
        await asyncio.gather(*(asker() for _ in range(CONNECTIONS)))
        return done / (time.perf_counter() - started)


async def single(url: str, images: Any, seconds: float) -> list[float]:
    """Return the milliseconds of each of RATE single images a second, from when it was due."""
    body, times = json.dumps({"instances": images[:1].tolist()}).encode(), []
    async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
        (await client.post(url, content=body)).raise_for_status()

        async def ask(due: float) -> None:
            (await client.post(url, content=body)).raise_for_status()
            times.append(1000 * (time.perf_counter() - due))

        started, tasks = time.perf_counter(), []
        for number in range(int(RATE * seconds)):
            due = started + number / RATE
            await asyncio.sleep(max(due - time.perf_counter(), 0))
            tasks.append(asyncio.create_task(ask(due)))
        await asyncio.gather(*tasks)
    return times


def measure(store: Store, dataset: str, seconds: float) -> dict[str, Any]:
    """Return all figures."""
    version = champions.champion(store, dataset)
    if version is None:
        raise SystemExit(f"{dataset} has no champion")
    loaded = Loaded(store, version)
    images = np.resize(bundle.read_requests(version.folder)[0], (LARGEST, *loaded.geometry.shape))
    result: dict[str, Any] = {"version": version.id, "recipe": version.recipe, "load": os.getloadavg()[0]}
    rounds = [(bare(loaded, images, seconds / 3), asyncio.run(queue(loaded, images, seconds / 3))) for _ in range(3)]
    result["bare"], result["queue"] = (statistics.median(values) for values in zip(*rounds, strict=True))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-c", START, "serve", dataset, "--port", str(port)],
        stdout=subprocess.DEVNULL,
    )
    try:
        base = f"http://127.0.0.1:{port}"
        _wait(base)
        url = f"{base}/v1/models/{dataset}:predict"
        times = sorted(asyncio.run(single(url, images, seconds)))
        result |= {"p50_ms": statistics.median(times), "p99_ms": times[int(0.99 * len(times))], "n": len(times)}
        times = sorted(alone(loaded, images, seconds))
        result |= {"alone_p50_ms": statistics.median(times), "alone_p99_ms": times[int(0.99 * len(times))]}
        result["http"] = asyncio.run(http(url, images, seconds))
    finally:
        server.terminate()
        server.wait()
    return result | {"load_after": os.getloadavg()[0]}


def _wait(base: str) -> None:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    for _ in range(1200):
        try:
            direct.open(f"{base}/health", timeout=1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise SystemExit("the server did not start")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("dataset")
    parser.add_argument("--seconds", type=float, default=10.0)
    options = parser.parse_args()
    prepare_environment()
    set_environment({"CUDA_VISIBLE_DEVICES": "", "JAX_PLATFORMS": "cpu"})
    result = measure(settings().store, options.dataset, options.seconds)
    print(json.dumps({name: round(one, 2) if isinstance(one, float) else one for name, one in result.items()}))


if __name__ == "__main__":
    main()
