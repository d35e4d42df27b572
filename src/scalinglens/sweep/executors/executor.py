"""The three calls of an executor, and how a job that it was given may end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

__all__ = ["Ended", "Executor"]


@dataclass(frozen=True)
class Ended:
    """A job that ended: the answer of `run_job`, or one made in its place where the worker was lost."""

    token: str
    answer: Mapping[str, Any]

    @staticmethod
    def lost(token: str, end: str, error: str) -> Ended:
        """Return the end of a job whose worker could not answer."""
        return Ended(token, {"end": end, "error": error, "published": [], "flops": 0.0, "seconds": 0.0})


class Executor(Protocol):
    """Runs jobs, at most `slots` at once; no call waits for a job."""

    @property
    def slots(self) -> int:
        """How many jobs to hand over at once."""
        ...

    def submit(self, job: Mapping[str, Any]) -> str:
        """Begin a job and return its token."""
        ...

    def poll(self) -> list[Ended]:
        """Return the jobs that ended since the last call."""
        ...

    def cancel(self, *tokens: str) -> None:
        """End jobs; without a token all of them, and the executor with them."""
        ...
