"""Numbered samples: number i of a seed has the same bits however many are asked for at once, by whom and in which order.

Samples come in blocks, each with a random stream of its own, keyed by (seed, held_out, block). A part of a block is had by
drawing all of it and dropping the rest, so ask for whole blocks where speed matters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from scalinglens.worlds.checks import whole

__all__ = ["BLOCK", "Part", "drawn", "parts", "stream"]

BLOCK = 2048  # samples whose random numbers come from one stream

Part = tuple[int, slice, slice]


def stream(seed: int, held_out: bool, block: int) -> np.random.Generator:
    """Return the random numbers of a block of samples."""
    return np.random.Generator(np.random.SFC64(np.random.SeedSequence([seed, int(held_out), block])))


def parts(count: int, *, seed: int, first: int = 0, length: int = 1) -> Iterator[Part]:
    """Return the blocks that hold samples first .. first+count-1: number, which of its samples, and where they go.

    Raises:
        WorldError: a negative number, or sequences of no length.

    >>> list(parts(100, seed=0, first=2000))
    [(0, slice(2000, 2048, None), slice(0, 48, None)), (1, slice(0, 52, None), slice(48, 100, None))]
    """
    whole("count", count)
    whole("first", first)
    whole("seed", seed)
    whole("length", length, 1)
    for block in range(first // BLOCK, -(-(first + count) // BLOCK)):
        low, high = max(first - block * BLOCK, 0), min(first + count - block * BLOCK, BLOCK)
        at = block * BLOCK + low - first
        yield block, slice(low, high), slice(at, at + high - low)


def drawn(
    draw: Callable[[np.random.Generator], tuple[np.ndarray, ...]],
    count: int,
    *,
    seed: int,
    first: int = 0,
    held_out: bool = False,
) -> tuple[np.ndarray, ...]:
    """Return samples of a function that draws a block of them: arrays whose first axis counts samples.

    >>> both = drawn(lambda rng: (rng.random(BLOCK),), 5000, seed=1)[0]
    >>> bool(both[4321] == drawn(lambda rng: (rng.random(BLOCK),), 1, seed=1, first=4321)[0][0])
    True
    """
    pieces = [
        [array[which] for array in draw(stream(seed, held_out, block))]
        for block, which, _ in parts(count, seed=seed, first=first)
    ]
    if not pieces:
        return tuple(array[:0] for array in draw(stream(seed, held_out, 0)))
    return tuple(np.concatenate(same) for same in zip(*pieces, strict=True))
