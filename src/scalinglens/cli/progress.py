"""A progress bar on stderr for whatever takes longer than a second.

It is drawn from a timer signal and not from a thread, because a process with threads cannot fork workers safely.
"""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["bar"]

PATIENCE = 1.0  # seconds of silence before a bar appears
PERIOD = 0.2  # seconds between two pictures of it


@contextmanager
def bar(title: str) -> Iterator[Callable[[int, int], None]]:
    """Show how far the work inside the context is, if stderr is a terminal.

    Args:
        title: what is being done, as in "training".

    Yields:
        A function to be called with (done, in all); before its first call the bar only moves.

    >>> with bar("counting") as progress:
    ...     progress(1, 2)
    """
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    drawing = _Bar(title)
    timed = hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread()
    before: Any = None
    if timed:
        before = signal.signal(signal.SIGALRM, lambda number, frame: drawing.draw())
        signal.setitimer(signal.ITIMER_REAL, PATIENCE, PERIOD)
    try:

        def report(done: int, total: int) -> None:
            drawing.done, drawing.total = done, total
            if not timed:
                drawing.draw()

        yield report
    finally:
        if timed:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        drawing.close()


class _Bar:
    def __init__(self, title: str) -> None:
        self.title = title
        self.done, self.total = 0, 0
        self.begin = self.last = time.monotonic()
        self.rich: Any = None
        self.drawing = False  # a signal can arrive while the last one is still being answered

    def draw(self) -> None:
        now = time.monotonic()
        if self.drawing or now - self.begin < PATIENCE * 0.99 or (self.rich and now - self.last < PERIOD * 0.9):
            return
        self.drawing = True
        try:
            self.rich = self.rich or self._opened()
            self.rich.update(self.task, completed=self.done, total=self.total or None)
            self.rich.refresh()
            self.last = now
        finally:
            self.drawing = False

    def _opened(self) -> Any:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
        from rich.progress import TimeRemainingColumn as Remaining

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        left = (TextColumn("left"), Remaining())
        rich = Progress(*columns, *left, console=Console(stderr=True), auto_refresh=False, transient=True)
        rich.start()
        self.task = rich.add_task(self.title, total=None)
        return rich

    def close(self) -> None:
        if self.rich is not None:
            self.rich.stop()
