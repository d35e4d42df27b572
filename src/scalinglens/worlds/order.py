"""Order of a finite set of windows: a keyed permutation, so that any place of any epoch is known without a list of all.

A number x < n is written as l + a r with l < a and r < b, a b >= n, and mixed by rounds l <- l + F(r) mod a, r <- r + F(l) mod b,
each of which can be undone; a result that is n or more is mixed again until it is smaller.

Source: Black and Rogaway 2002, Ciphers with arbitrary finite domains (generalised Feistel networks, cycle walking).
"""

from __future__ import annotations

import numpy as np

from scalinglens.worlds.checks import whole

__all__ = ["places", "shuffled"]

_ROUNDS = 4  # pairs


def shuffled(numbers: np.ndarray, size: int, *, key: tuple[int, ...]) -> np.ndarray:
    """Return where numbers below `size` stand in the permutation of that key.

    >>> [int(x) for x in sorted(shuffled(np.arange(7), 7, key=(1, 0)))]
    [0, 1, 2, 3, 4, 5, 6]
    """
    a = int(np.ceil(np.sqrt(size)))
    b = -(-size // a)
    secrets = np.random.SeedSequence(key).generate_state(2 * _ROUNDS, np.uint64)
    found = _mixed(np.asarray(numbers, dtype=np.uint64), a, b, secrets)
    while (far := found >= size).any():
        found[far] = _mixed(found[far], a, b, secrets)
    return found.astype(np.int64)


def places(count: int, size: int, *, seed: int, first: int = 0, held_out: bool = False) -> np.ndarray:
    """Return which of `size` things have the numbers first .. first+count-1 [count]: all in random order, again and again.

    >>> twice = places(10, 5, seed=0)
    >>> [int(x) for x in np.bincount(twice)], bool((twice[:5] == twice[5:]).all())
    ([2, 2, 2, 2, 2], False)
    """
    whole("count", count)
    whole("first", first)
    whole("seed", seed)
    numbers = np.arange(first, first + count)
    found = np.empty(count, dtype=np.int64)
    for epoch in range(first // size, -(-(first + count) // size)):
        inside = numbers // size == epoch
        found[inside] = shuffled(numbers[inside] - epoch * size, size, key=(seed, int(held_out), epoch))
    return found


def _mixed(x: np.ndarray, a: int, b: int, secrets: np.ndarray) -> np.ndarray:
    sizes = np.uint64(a), np.uint64(b)
    left, right = x % sizes[0], x // sizes[0]
    for at in range(_ROUNDS):
        left = (left + _hash(right, secrets[2 * at]) % sizes[0]) % sizes[0]
        right = (right + _hash(left, secrets[2 * at + 1]) % sizes[1]) % sizes[1]
    return left + sizes[0] * right


def _hash(x: np.ndarray, secret: np.uint64) -> np.ndarray:
    """SplitMix64 of Steele, Lea and Flood 2014; products are meant to overflow."""
    z = x * np.uint64(0x9E3779B97F4A7C15) + np.array(secret)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
