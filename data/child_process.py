"""A conversation with a child process: one JSON object per line in both directions.

`ChildProcess` is the parent's side: it starts `python -m MODULE`, sends requests and reads answers. `serve` is the
child's side, called by that module. The child ends as soon as its standard input is closed, so it never outlives the
process that started it, however that one ends.
"""

import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

from data import errors
from data.errors import NightshiftError

Message = dict[str, Any]
TAIL_BYTES = 1 << 16  # of standard error are kept for a message
PACKAGES = Path(__file__).parents[1]  # where `data`, `artifacts` and the others lie


class ChildFailed(Exception):
    """A child process ended, gave an invalid answer, or did not answer in time.

    Not a NightshiftError: only the code that started the process knows what its failure means.

    Args:
        how: what it did, to follow the process's name in a sentence, such as "ended with signal SIGKILL".
        code: its exit code; negative for a signal, as in `subprocess`; None if it had not ended.
        output: the last 64 KiB that it wrote to standard error, stripped.
    """

    def __init__(self, how: str, code: int | None, output: str) -> None:
        super().__init__(how)
        self.how, self.code, self.output = how, code, output


class ChildProcess:
    """A `python -m MODULE` that answers requests. Use it as a context manager: leaving the block ends the process.

    It imports from wherever this process imports, in the same order.

    Args:
        module: a module that calls `serve` when it is run.
        environment: variables that it gets besides those of this process.
        python: the interpreter.
        prefix: a command that starts it, such as `prlimit --as=...`.
        pass_fds: open files that it inherits, such as a lock.

    Raises:
        OSError: the process cannot be started.
    """

    def __init__(
        self,
        module: str,
        environment: Mapping[str, str] | None = None,
        python: str = sys.executable,
        prefix: Sequence[str] = (),
        pass_fds: Sequence[int] = (),
    ) -> None:
        path = os.pathsep.join(os.path.abspath(entry) for entry in (*sys.path, str(PACKAGES)))  # noqa: PTH100  # "" is here
        variables = (f"{name}={value}" for name, value in {"PYTHONPATH": path, **(environment or {})}.items())
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  # closed in `close`
        try:
            self._process = subprocess.Popen(
                # -P: the folder this process happens to work in is not a place to import from
                [*prefix, "env", *variables, python, "-P", "-m", module],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                text=True,
                pass_fds=pass_fds,
            )
        except OSError:
            self._errors.close()
            raise
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> "ChildProcess":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def close(self) -> None:
        """Kill the process, unless it has ended."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.kill()
        self._process.wait()
        self._reader.join()
        self._process.stdout.close()
        with suppress(BrokenPipeError):  # a request that it never read
            self._process.stdin.close()
        self._errors.close()

    def ask(
        self,
        request: Message,
        on_progress: Callable[[Message], None] | None = None,
        timeout_s: float | None = None,
    ) -> Message:
        """Send a request and return its result.

        Args:
            request: JSON-able.
            on_progress: called with every report of progress; what it raises ends the wait, not the process.
            timeout_s: seconds to wait for the result; None waits for as long as the process lives.

        Raises:
            NightshiftError: the child raised it; the same class, problem and hint.
            ChildFailed: there is no valid answer, or none in time.
        """
        assert self._process.stdin
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        with suppress(BrokenPipeError):  # it has ended; `_receive` finds out how
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        while True:
            line = self._receive(deadline, timeout_s)
            match _parsed(line):
                case {"progress": dict(values)}:
                    if on_progress:
                        on_progress(values)
                case {"error": [str(kind), str(problem), str(hint)]}:
                    raise getattr(errors, kind)(problem, hint)
                case {"result": dict(values)}:
                    return values
                case _:
                    raise self._failed(f"gave an invalid answer ({line[-200:]!r})")

    def _receive(self, deadline: float | None, timeout_s: float | None) -> str:
        def left() -> float | None:
            return None if deadline is None else max(deadline - time.monotonic(), 0.0)

        try:
            line = self._lines.get(timeout=left())
            if line is None:
                self._lines.put(None)  # for the next request
                self._process.wait(left())
        except (queue.Empty, subprocess.TimeoutExpired):
            raise self._failed(f"did not answer within {timeout_s:g} s") from None
        if line is None:
            raise self._failed(f"ended with {_ending(self._process.returncode)}")
        return line

    def _failed(self, how: str) -> ChildFailed:
        self._errors.seek(max(0, self._errors.seek(0, os.SEEK_END) - TAIL_BYTES))
        return ChildFailed(how, self._process.poll(), self._errors.read().decode(errors="replace").strip())

    def _read(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put(None)


def _parsed(line: str) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return None


def _ending(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


# -- the child's side -------------------------------------------------------------------------------------------------


def serve(
    answer: Callable[[Message, Callable[[Message], None]], Message], prepare: Callable[[], object] = lambda: None
) -> None:
    """Answer requests from standard input until it is closed, then end the process at once.

    Args:
        answer: (request, report) -> result; may call `report` with its progress. The parent gets a NightshiftError
            that it raises; any other exception ends the process, and its traceback goes to standard error.
        prepare: called before the first request is read; for imports that take seconds.
    """
    stream = private_stdout()

    def send(kind: str, value: Any) -> None:
        stream.write(json.dumps({kind: value}) + "\n")

    requests = _requests()
    prepare()
    for line in requests:
        try:
            result = answer(json.loads(line), lambda progress: send("progress", progress))
        except NightshiftError as error:
            kind = next(one.__name__ for one in type(error).__mro__ if one.__module__ == errors.__name__)
            send("error", [kind, error.problem, error.hint])
        else:
            send("result", result)


def private_stdout() -> TextIO:
    """Return the real standard output; from now on, whatever libraries print goes to standard error instead."""
    stream = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    return stream


def _requests() -> TextIO:
    """Return the lines of standard input, which a thread watches even while the main thread works."""
    reading, writing = os.pipe()
    threading.Thread(target=_forward, args=(writing,), daemon=True).start()
    return os.fdopen(reading)


def _forward(writing: int) -> None:
    """Pass requests on, and end the process when there can be no more: the parent is gone."""
    for line in sys.stdin:
        os.write(writing, line.encode())
    os._exit(0)  # not sys.exit: the main thread may be deep inside TensorFlow
