"""What a trainer may ask of a world: numbered samples, and the exact answer where there is one.

A `World` gives sequences of tokens, a `Task` examples of vectors. Samples are numbered from 0 without end, and a number's bits
depend on (seed, held_out) alone: not on how many are asked for at once, by whom, or after which interruption.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

from scalinglens.documents import plain

__all__ = ["Description", "Task", "World"]


_SHORT = 16  # what is longer does not widen its column


@runtime_checkable
class World(Protocol):
    """Sequences of tokens to be learned."""

    @property
    def name(self) -> str:
        """Short text that names the world completely."""
        ...

    @property
    def vocab(self) -> int:
        """How many tokens there are; they are 0 .. vocab-1."""
        ...

    @property
    def entropy_rate(self) -> float | None:
        """Lowest loss any model can reach [nats/token]; None where it is not known."""
        ...

    def sample(self, count: int, *, length: int, seed: int = 0, first: int = 0, held_out: bool = False) -> np.ndarray:
        """Return the sequences number first .. first+count-1: int32 [count, length]."""
        ...

    def next_token(self, tokens: np.ndarray) -> np.ndarray | None:
        """Return the exact distribution after each prefix of tokens [..., T]: float32 [..., T, vocab]; None if not known."""
        ...

    def describe(self) -> Description:
        """Return the measures of complexity."""
        ...


@runtime_checkable
class Task(Protocol):
    """Examples of vectors to be learned."""

    @property
    def name(self) -> str:
        """Short text that names the task completely."""
        ...

    @property
    def inputs(self) -> int:
        """Numbers per example."""
        ...

    @property
    def outputs(self) -> int:
        """Classes, or numbers to predict."""
        ...

    @property
    def kind(self) -> str:
        """Either "classification" (nats/example) or "regression" (mean squared error)."""
        ...

    @property
    def floor(self) -> float | None:
        """Lowest loss any model can reach; None where it is not known."""
        ...

    def examples(
        self, count: int, *, seed: int = 0, first: int = 0, held_out: bool = False
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the examples number first .. first+count-1: float32 [count, inputs], and classes or numbers."""
        ...

    def describe(self) -> Description:
        """Return the measures of complexity."""
        ...


@dataclass(frozen=True)
class Description:
    """Measures of complexity, with what each one is.

    >>> print(Description("walk", {"entropy_rate": 2.147}, {"entropy_rate": "nats/token, exact"}))
    walk
      entropy_rate  2.147  nats/token, exact
    """

    name: str
    values: Mapping[str, Any]
    says: Mapping[str, str]

    def to_dict(self) -> dict[str, Any]:
        """Return plain data, numbers unrounded."""
        return {"schema": 1, "name": self.name, **plain(self.values)}

    def __str__(self) -> str:
        width = max(map(len, self.values), default=0)
        shown = {name: _shown(value) for name, value in self.values.items()}
        wide = max((len(text) for text in shown.values() if len(text) <= _SHORT), default=0)
        rows = [f"  {n:<{width}}  {shown[n]:<{wide}}  {self.says.get(n, '')}".rstrip() for n in self.values]
        return "\n".join([self.name, *rows])


def _shown(value: Any) -> str:
    if value is None:
        return "not known"
    if isinstance(value, list | tuple | np.ndarray):
        return " ".join(map(_shown, value))
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1e4 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int | np.integer) and not isinstance(value, bool) else str(value)
