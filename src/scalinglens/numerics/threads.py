"""Keep BLAS on one thread while many small systems are solved: its threads would only get in each other's way."""

from __future__ import annotations

import functools
from contextlib import AbstractContextManager

from threadpoolctl import ThreadpoolController

__all__ = ["single_threaded_blas"]


def single_threaded_blas() -> AbstractContextManager[object]:
    """Return a context in which BLAS uses one thread; what it used before is restored."""
    return _controller().limit(limits=1, user_api="blas")


@functools.cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController()  # looks through the loaded libraries once, which takes milliseconds
