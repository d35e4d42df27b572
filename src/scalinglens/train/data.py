"""The order in which members see data: sample number i of a seed at batch position i, or a fixed set again and again."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from scalinglens.train.settings import Settings
from scalinglens.worlds.streams import BLOCK
from scalinglens.worlds.world import Task, World

__all__ = ["Batches"]

Draw = Callable[[int, int, int], tuple[np.ndarray, ...]]


class Batches:
    """Batches of every step, member by member from its own seed; any step can be asked for.

    Args:
        world: tokens [M, batch, length + 1] of a `World`; of a `Task` inputs [M, batch, n] and targets [M, batch(, outputs)].
        settings: of the members.
    """

    def __init__(self, world: World | Task, settings: Sequence[Settings]) -> None:
        how = settings[0].training
        self.seeds, self.batch = [each.seed for each in settings], how.batch
        self.unique = how.tokens_unique // how.sequence_length if how.tokens_unique else 0
        self._draw = _drawing(world, how.sequence_length + 1)
        self._held: list[tuple[int, tuple[np.ndarray, ...]]] = [(-1, ())] * len(self.seeds)
        self._order: list[tuple[int, np.ndarray]] = [(-1, np.empty(0))] * len(self.seeds)

    def __call__(self, step: int) -> tuple[np.ndarray, ...]:
        """Return the arrays of a step, members first."""
        numbers = np.arange(step * self.batch, (step + 1) * self.batch)
        of = self._repeated if self.unique else self._new
        members = [of(member, numbers) for member in range(len(self.seeds))]
        return tuple(np.stack(arrays) for arrays in zip(*members, strict=True))

    def _new(self, member: int, numbers: np.ndarray) -> tuple[np.ndarray, ...]:
        parts = []
        for block in range(numbers[0] // BLOCK, numbers[-1] // BLOCK + 1):
            number, held = self._held[member]
            if number != block:
                held = self._draw(BLOCK, self.seeds[member], int(block) * BLOCK)
                self._held[member] = (block, held)
            rows = numbers[numbers // BLOCK == block] - block * BLOCK
            parts.append([array[rows] for array in held])
        return tuple(np.concatenate(arrays) for arrays in zip(*parts, strict=True))

    def _repeated(self, member: int, numbers: np.ndarray) -> tuple[np.ndarray, ...]:
        seed = self.seeds[member]
        if self._held[member][0] < 0:
            self._held[member] = (0, self._draw(self.unique, seed, 0))
        rows = np.empty(len(numbers), dtype=np.int64)
        for epoch in range(numbers[0] // self.unique, numbers[-1] // self.unique + 1):
            if self._order[member][0] != epoch:
                rng = np.random.default_rng(np.random.SeedSequence([seed, 0xE90C, int(epoch)]))
                self._order[member] = (epoch, rng.permutation(self.unique))
            within = numbers // self.unique == epoch
            rows[within] = self._order[member][1][numbers[within] - epoch * self.unique]
        return tuple(array[rows] for array in self._held[member][1])


def _drawing(world: World | Task, length: int) -> Draw:
    if isinstance(world, Task):
        return lambda count, seed, first: world.examples(count, seed=seed, first=first)
    return lambda count, seed, first: (world.sample(count, length=length, seed=seed, first=first),)
