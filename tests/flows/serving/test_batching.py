"""Requests that wait become one batch, and none is left without an answer."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from flows.serving import batching
from flows.serving.batching import Batcher, Busy


class Slow:
    """A model that answers with its images' first pixel, when it is let."""

    largest = 4

    def __init__(self) -> None:
        self.go, self.asked = threading.Event(), threading.Event()

    def predict(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Wait, then answer; an image of 255 breaks it."""
        self.asked.set()
        assert self.go.wait(60)
        if (images == 255).any():
            raise RuntimeError("broken")
        return -images.astype(np.float32), images.astype(np.float32)


def images(*values: int) -> np.ndarray:
    """Images of one pixel."""
    return np.array(values, np.uint8)[:, None]


def run(scenario: Callable[[Batcher, Slow], Any]) -> tuple[Any, list[int]]:
    """Return what a scenario gives, and the sizes of the batches."""
    sizes: list[int] = []
    batcher = Batcher(sizes.append)
    try:
        return asyncio.run(scenario(batcher, Slow())), sizes
    finally:
        batcher.close()


async def waiting(batcher: Batcher, model: Any, *requests: np.ndarray) -> list[asyncio.Task[Any]]:
    """Start requests, the first of which has reached the model when the others come."""
    tasks = []
    for request in requests:
        tasks.append(asyncio.create_task(batcher.predict(model, request)))
        await asyncio.sleep(0)
        await asyncio.to_thread(model.asked.wait, 60)
    return tasks


def test_what_waits_becomes_one_batch() -> None:
    """At most the largest batch; everybody gets their own answers."""

    async def scenario(batcher: Batcher, model: Slow) -> Any:
        tasks = await waiting(batcher, model, images(1), images(2), images(3, 4), images(5, 6), images(7, 8, 9, 10, 11))
        model.go.set()
        return [result[1][:, 0].tolist() for result in await asyncio.gather(*tasks)]

    answers, sizes = run(scenario)
    assert answers == [[1], [2], [3, 4], [5, 6], [7, 8, 9, 10, 11]]
    assert sizes == [1, 3, 2, 5]


def test_a_model_that_fails_answers_everybody_of_its_batch() -> None:
    """And the next request, too."""

    async def scenario(batcher: Batcher, model: Slow) -> Any:
        tasks = await waiting(batcher, model, images(1), images(255), images(3))
        model.go.set()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        return results, await batcher.predict(model, images(9))  # type: ignore[arg-type]

    (results, after), _ = run(scenario)
    assert [isinstance(result, RuntimeError) for result in results] == [False, True, True]
    assert after[1].tolist() == [[9.0]]


def test_too_many_images_are_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that wait are answered; one request alone is never too many."""
    monkeypatch.setattr(batching, "MOST_WAITING", 3)

    async def scenario(batcher: Batcher, model: Slow) -> Any:
        tasks = await waiting(batcher, model, images(1, 2))
        with pytest.raises(Busy):
            await batcher.predict(model, images(3, 4))  # type: ignore[arg-type]
        model.go.set()
        await asyncio.gather(*tasks)
        return (await batcher.predict(model, images(*range(9))))[0].shape  # type: ignore[arg-type]

    assert run(scenario)[0] == (9, 1)
