"""Spread independent pieces of work over the processors.

Threads do not help here: the arrays are small, and every operation on them would wait for the interpreter's lock. A forked
process starts in milliseconds with everything in place. Where forking is unsafe (macOS, Windows, a program with running
threads) the work is done in this process, with the same results.
"""

from __future__ import annotations

import functools
import multiprocessing
import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, TypeVar

from threadpoolctl import ThreadpoolController

__all__ = ["parallel_map", "single_threaded_blas"]

Item = TypeVar("Item")
Result = TypeVar("Result")

_work: Callable[[Any], Any] | None = None  # what forked workers find waiting: closures need not be pickled


def parallel_map(function: Callable[[Item], Result], items: Sequence[Item] | Iterable[Item]) -> Iterator[Result]:
    """Yield function(item) in order, on as many processes as there are processors.

    An interrupt (Ctrl-C) ends the workers and is raised here.

    >>> list(parallel_map(lambda x: x * x, [1, 2, 3]))
    [1, 4, 9]
    """
    items = list(items)
    workers = min(len(items), available_processors())
    if workers < 2 or not _can_fork():
        with single_threaded_blas():
            for item in items:
                yield function(item)
        return
    global _work
    _work = function
    try:
        with multiprocessing.get_context("fork").Pool(workers, initializer=_quiet) as pool:
            yield from pool.imap(_run, items)
    finally:
        _work = None


def available_processors() -> int:
    """Processors this process may use; `SCALINGLENS_PROCESSES` sets it."""
    wanted = os.environ.get("SCALINGLENS_PROCESSES", "")
    if wanted.isdigit() and int(wanted) > 0:
        return int(wanted)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def single_threaded_blas() -> AbstractContextManager[object]:
    """Return a context in which BLAS uses one thread: on small systems its threads only get in each other's way."""
    return _controller().limit(limits=1, user_api="blas")


@functools.cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController()  # looks through the loaded libraries once, which takes milliseconds


def _can_fork() -> bool:
    daemon = multiprocessing.current_process().daemon  # a worker may not have workers of its own
    return sys.platform == "linux" and threading.active_count() == 1 and not daemon


def _quiet() -> None:
    """In a worker: leave the interrupt to the parent, and keep BLAS on one thread."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _controller().limit(limits=1, user_api="blas")


def _run(item: Any) -> Any:
    assert _work is not None
    return _work(item)
