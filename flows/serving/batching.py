"""One thread per dataset asks the model; requests that arrive while it is busy become one batch.

Nothing waits for a batch to fill up: a single request is answered at once, and the busier the model is, the larger its
batches become.
"""

import asyncio
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from artifacts.prediction.loaded import Floats, Images, Loaded

MOST_WAITING = 4096  # images: about a second of work; beyond that it is better to say so than to let everybody wait

Result = tuple[Floats, Floats]  # logits and probabilities, (n, c)


class Busy(Exception):
    """More images wait than can be answered soon."""


@dataclass(eq=False)
class Job:
    """One request's images, and who waits for the answer.

    Args:
        loaded: the version that was champion when the request came: it answers, whatever happens meanwhile.
        images: uint8 (n, *geometry.shape).
    """

    loaded: Loaded
    images: Images
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)

    def __post_init__(self) -> None:
        self.future: asyncio.Future[Result] = self.loop.create_future()

    def finish(self, result: Result | BaseException) -> None:
        """Hand the result to the waiting request, in its loop's thread; one that has gone away is left alone."""
        if self.future.done():
            return
        if isinstance(result, BaseException):
            self.future.set_exception(result)
        else:
            self.future.set_result(result)


class Batcher:
    """The queue and the thread of one dataset.

    Args:
        observe: called with the number of images of every batch.
    """

    def __init__(self, observe: Callable[[int], None] = lambda _: None) -> None:
        self._observe, self._waiting = observe, 0
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    async def predict(self, loaded: Loaded, images: Images) -> Result:
        """Return the model's answers to some images; see `Loaded.predict`.

        Raises:
            Busy: too many images wait already.
        """
        with self._lock:
            if self._waiting and self._waiting + len(images) > MOST_WAITING:
                raise Busy
            self._waiting += len(images)
        job = Job(loaded, images)
        self._jobs.put(job)
        return await job.future

    def close(self) -> None:
        """Answer what waits, then end the thread."""
        self._jobs.put(None)
        self._thread.join()

    def _run(self) -> None:
        kept: Job | None = None
        while (first := kept or self._jobs.get()) is not None:
            batch, kept, ended = self._gathered(first)
            self._answer(batch)
            if ended:
                return

    def _gathered(self, first: Job) -> tuple[list[Job], Job | None, bool]:
        """Return the jobs of one batch, the job that did not fit, and whether there will be no more."""
        batch, n = [first], len(first.images)
        while n < first.loaded.largest:
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                break
            if job is None:
                return batch, None, True
            if job.loaded is not first.loaded or n + len(job.images) > first.loaded.largest:
                return batch, job, False
            batch.append(job)
            n += len(job.images)
        return batch, None, False

    def _answer(self, batch: list[Job]) -> None:
        images = batch[0].images if len(batch) == 1 else np.concatenate([job.images for job in batch])
        results: dict[Job, Result | BaseException]
        try:
            results = _shared_out(batch, batch[0].loaded.predict(images))
        except BaseException as error:  # noqa: BLE001  # the thread must live on, and the requests must be answered
            results = dict.fromkeys(batch, error)
        with self._lock:
            self._waiting -= len(images)
        self._observe(len(images))
        for loop in {job.loop for job in batch}:
            loop.call_soon_threadsafe(_finish, {job: one for job, one in results.items() if job.loop is loop})


def _shared_out(batch: list[Job], together: Result) -> dict[Job, Result | BaseException]:
    """Return for each job its part of what the batch was answered with."""
    results: dict[Job, Result | BaseException] = {}
    at = 0
    for job in batch:
        part = slice(at, at + len(job.images))
        results[job] = (together[0][part], together[1][part])
        at = part.stop
    return results


def _finish(results: dict[Job, Result | BaseException]) -> None:
    """Hand out all results of a loop in one call: every call from another thread wakes it up."""
    for job, result in results.items():
        job.finish(result)
