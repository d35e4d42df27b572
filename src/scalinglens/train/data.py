"""The order in which members see data: sequence number i of a seed at batch position i, or a fixed set again and again."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from scalinglens.train.settings import Settings
from scalinglens.worlds.world import World

__all__ = ["Batches"]

AHEAD = 2048  # sequences sampled at once; worlds draw their random numbers in blocks of as many


class Batches:
    """Batches [M, batch, length + 1] of every step, member by member from its own seed; any step can be asked for."""

    def __init__(self, world: World, settings: Sequence[Settings]) -> None:
        how = settings[0].training
        self.world, self.seeds = world, [each.seed for each in settings]
        self.batch, self.length = how.batch, how.sequence_length + 1
        self.unique = how.tokens_unique // how.sequence_length if how.tokens_unique else 0
        self._held: list[tuple[int, np.ndarray]] = [(-1, np.empty(0))] * len(self.seeds)
        self._order: list[tuple[int, np.ndarray]] = [(-1, np.empty(0))] * len(self.seeds)

    def __call__(self, step: int) -> np.ndarray:
        """Return the batch of a step [M, batch, length + 1]."""
        numbers = np.arange(step * self.batch, (step + 1) * self.batch)
        of = self._repeated if self.unique else self._new
        return np.stack([of(member, numbers) for member in range(len(self.seeds))])

    def _new(self, member: int, numbers: np.ndarray) -> np.ndarray:
        parts = []
        for block in range(numbers[0] // AHEAD, numbers[-1] // AHEAD + 1):
            number, held = self._held[member]
            if number != block:
                held = self.world.sample(AHEAD, length=self.length, seed=self.seeds[member], first=int(block) * AHEAD)
                self._held[member] = (block, held)
            parts.append(held[numbers[numbers // AHEAD == block] - block * AHEAD])
        return np.concatenate(parts) if len(parts) > 1 else parts[0]

    def _repeated(self, member: int, numbers: np.ndarray) -> np.ndarray:
        seed = self.seeds[member]
        if self._held[member][0] < 0:
            self._held[member] = (0, self.world.sample(self.unique, length=self.length, seed=seed))
        rows = np.empty(len(numbers), dtype=np.int64)
        for epoch in range(numbers[0] // self.unique, numbers[-1] // self.unique + 1):
            if self._order[member][0] != epoch:
                rng = np.random.default_rng(np.random.SeedSequence([seed, 0xE90C, int(epoch)]))
                self._order[member] = (epoch, rng.permutation(self.unique))
            within = numbers // self.unique == epoch
            rows[within] = self._order[member][1][numbers[within] - epoch * self.unique]
        return self._held[member][1][rows]
