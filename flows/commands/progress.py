"""Progress of a night: bars on a terminal, plain lines in a pipe or a log."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from tasks.progress import Event, listening


@contextmanager
def showing(console: Console) -> Iterator[None]:
    """Show the events of this process while the block runs."""
    if console.is_terminal:
        columns = (
            SpinnerColumn(finished_text="[green]✓[/]"),
            TextColumn("{task.fields[step]:<24}"),
            BarColumn(bar_width=20),
            TimeElapsedColumn(),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.description}"),
        )
        with Progress(*columns, console=console) as progress, listening(_Bars(progress)):
            yield
    else:
        with listening(_Lines(console)):
            yield


@contextmanager
def counting(console: Console) -> Iterator[Callable[[str, int, int], None]]:
    """Yield a function that shows what is being done, how many are done, and how many there are (0 if unknown)."""
    if not console.is_terminal:
        lines = _Lines(console)
        yield lambda what, done, total: lines(Event(what, f"{done:,}{_of(total)}", done / total if total else 0.0))
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        TextColumn("{task.fields[n]}"),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        row = progress.add_task("", total=None, n="")
        yield lambda what, done, total: progress.update(
            row, description=escape(what), completed=done, total=total or None, n=f"{done:,}{_of(total)}"
        )


def _of(total: int) -> str:
    return f" of {total:,}" if total else ""


class _Bars:
    """One bar per step."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._rows: dict[str, TaskID] = {}

    def __call__(self, event: Event) -> None:
        if event.step not in self._rows:
            self._rows[event.step] = self._progress.add_task("", total=1.0, step=event.step)
        done = 1.0 if event.done is None else event.done
        self._progress.update(self._rows[event.step], completed=done, description=escape(event.text))


class _Lines:
    """A line when a step begins, at most one per `every_s` seconds while it works, and one when it is done."""

    def __init__(self, console: Console, every_s: float = 5.0) -> None:
        self._console = console
        self._every_s = every_s
        self._last: dict[str, float] = {}
        self._first: dict[str, tuple[float, float]] = {}  # when a step was first heard of, and how much was done

    def __call__(self, event: Event) -> None:
        now = time.monotonic()
        began, before = self._first.setdefault(event.step, (now, event.done or 0.0))
        finished = event.done is None or event.done >= 1
        if finished or now - self._last.get(event.step, 0.0) >= self._every_s:
            self._last[event.step] = now
            share = f" {event.done:4.0%}" if event.done and not finished else ""
            if share and event.done and event.done > before and now > began:
                share += f", {(now - began) / (event.done - before) * (1 - event.done):.0f} s left"
            self._console.print(f"{event.step}:{share} {escape(event.text)}", highlight=False, soft_wrap=True)
