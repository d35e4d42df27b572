"""`Parity`: multitask sparse parity, skills that are met with falling frequency and are each learned or not.

An example names one of the tasks by a control bit and holds random bits; its class is the parity of the few bits that belong to
the task. Task i = 1, 2, ... comes with probability ~ i^-(1 + a), so that a model that has learned n tasks misses ~ n^-a of them.

Source: Michaud, Liu, Girit and Tegmark 2023 (arXiv 2303.13506).
"""

from __future__ import annotations

import functools
import itertools
import math
from dataclasses import dataclass

import numpy as np

from scalinglens.worlds.checks import number, whole
from scalinglens.worlds.streams import BLOCK, drawn
from scalinglens.worlds.world import Description

__all__ = ["Parity", "parity"]


@dataclass(frozen=True, eq=False)
class Parity:
    """Tasks of parity.

    Attributes:
        name: of it. subsets: the bits of each task [tasks, k]. bits: random ones per example. tail: a.

    >>> world = parity(tasks=5, bits=8, subset=2)
    >>> x, y = world.examples(100)
    >>> task, bits = x[:, :5].argmax(1), x[:, 5:]
    >>> bool(np.all(y == [bits[i, world.subsets[t]].sum() % 2 for i, t in enumerate(task)]))
    True
    """

    name: str
    subsets: np.ndarray
    bits: int
    tail: float
    outputs: int = 2
    kind: str = "classification"
    floor: float = 0.0

    @property
    def inputs(self) -> int:
        """Control bits and random ones."""
        return len(self.subsets) + self.bits

    @functools.cached_property
    def frequencies(self) -> np.ndarray:
        """How often each task comes [tasks]."""
        p = np.arange(1.0, len(self.subsets) + 1) ** -(1 + self.tail)
        return p / p.sum()

    def examples(
        self, count: int, *, seed: int = 0, first: int = 0, held_out: bool = False
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the examples number first .. first+count-1: float32 [count, inputs] of 0 and 1, and classes [count]."""
        task, bits = drawn(self._draw, count, seed=seed, first=first, held_out=held_out)
        x = np.zeros((count, self.inputs), dtype=np.float32)
        x[np.arange(count), task] = 1
        x[:, len(self.subsets) :] = bits
        y = np.take_along_axis(bits, self.subsets[task], axis=1).sum(1) % 2
        return x, y.astype(np.int64)

    def _draw(self, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
        edges = np.cumsum(self.frequencies)
        edges[-1] = 1.0
        task = np.searchsorted(edges, rng.random(BLOCK), side="right")
        return task, rng.integers(2, size=(BLOCK, self.bits), dtype=np.uint8)

    def describe(self) -> Description:
        """Return sizes and the exponents that the quantization model foretells."""
        values = {
            "inputs": self.inputs,
            "tasks": len(self.subsets),
            "subset": self.subsets.shape[1],
            "floor": self.floor,
            "untrained": math.log(2),
            "most_frequent": float(self.frequencies[0]),
            "params_exponent": self.tail,
            "data_exponent": self.tail / (1 + self.tail),
        }
        says = {
            "floor": "nats/example, exact",
            "untrained": "nats/example of a coin",
            "most_frequent": "share of the first task",
            "params_exponent": "a: of the number of tasks learned, and of parameters if each needs as many",
            "data_exponent": "a/(1 + a)",
        }
        return Description(self.name, values, says)


def parity(*, tasks: int = 100, bits: int = 50, subset: int = 3, tail: float = 0.4, seed: int = 0) -> Parity:
    """Return multitask sparse parity.

    Args:
        tasks: How many.
        bits: Random bits of each example.
        subset: Bits whose parity a task asks for.
        tail: a > 0; task i comes with probability ~ i^-(1+a).
        seed: Of the tasks' bits; no two tasks have the same.

    Raises:
        WorldError: more tasks than subsets.

    Source: Michaud et al. 2023 (arXiv 2303.13506), section 3.
    """
    whole("seed", seed)
    whole("bits", bits, 1)
    whole("subset", subset, 1, bits, "the bits there are")
    whole("tasks", tasks, 1, math.comb(bits, subset), f"subsets of {subset} of {bits} bits")
    number("tail", tail, 0, math.inf, open=True)
    rng = np.random.default_rng(np.random.SeedSequence([seed, 0x9A]))
    found: dict[tuple[int, ...], None] = {}
    if math.comb(bits, subset) <= 2 * tasks:
        every = list(itertools.combinations(range(bits), subset))
        found = {every[i]: None for i in rng.permutation(len(every))[:tasks]}
    while len(found) < tasks:
        found[tuple(sorted(rng.choice(bits, size=subset, replace=False).tolist()))] = None
    name = f"parity tasks {tasks} bits {bits} subset {subset} tail {tail:g} seed {seed}"
    return Parity(name, np.array(list(found)), bits, float(tail))
