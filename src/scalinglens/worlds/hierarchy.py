"""`Hierarchy`: the random hierarchy model, a classification task made of random rules that replace a symbol by several.

A class is replaced by one of m tuples of s symbols, each symbol by one of its m tuples, L times; the s^L symbols of the last
level are the input. No tuple belongs to two symbols, so the class can be read off the input and the best loss is zero.

Source: Cagnetta, Petrini, Tomasini, Favero and Wyart 2023 (arXiv 2307.02129).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from scalinglens.errors import WorldError

__all__ = ["Hierarchy", "random_hierarchy"]

_MOST = 2**53  # tuples are counted in exact whole numbers


@dataclass(frozen=True, eq=False)
class Hierarchy:
    """Rules of a random hierarchy.

    Attributes:
        rules: one table a level, from the classes down: the tuples of each symbol [symbols, m, s].
        vocab: v, symbols of every level below the classes.

    >>> world = random_hierarchy(vocab=3, synonyms=2, levels=2, classes=3, seed=0)
    >>> world.length, world.inputs
    (4, 24)
    """

    rules: tuple[np.ndarray, ...]
    vocab: int

    def __post_init__(self) -> None:
        for rules in self.rules:
            rules.setflags(write=False)

    @property
    def levels(self) -> int:
        """L, how often symbols are replaced."""
        return len(self.rules)

    @property
    def classes(self) -> int:
        """How many classes there are."""
        return self.rules[0].shape[0]

    @property
    def synonyms(self) -> int:
        """m, tuples of each symbol."""
        return self.rules[0].shape[1]

    @property
    def branching(self) -> int:
        """s, symbols of a tuple."""
        return self.rules[0].shape[2]

    @property
    def length(self) -> int:
        """s^L, symbols of an input."""
        return self.branching**self.levels

    @property
    def inputs(self) -> int:
        """How many different inputs there are: classes * m^((s^L - 1)/(s - 1))."""
        nodes = sum(self.branching**level for level in range(self.levels))
        return self.classes * self.synonyms**nodes

    @property
    def entropy(self) -> float:
        """The least loss that can be reached, in nats: zero, since the input tells its class."""
        return 0.0

    def sample(self, count: int, *, seed: int | np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Return inputs [count, s^L] and their classes [count], every input equally likely.

        >>> x, y = random_hierarchy(vocab=4, synonyms=2, levels=3, seed=1).sample(100, seed=2)
        >>> x.shape, y.shape
        ((100, 8), (100,))
        """
        rng = np.random.default_rng(seed)
        labels = rng.integers(self.classes, size=_whole("count", count, 0))
        symbols = labels[:, None]
        for rules in self.rules:
            chosen = rng.integers(self.synonyms, size=symbols.shape)
            symbols = rules[symbols, chosen].reshape(len(labels), -1)
        return symbols, labels

    def all_inputs(self) -> tuple[np.ndarray, np.ndarray]:
        """Return every input once with its class, class by class; for small worlds.

        Raises:
            WorldError: there are more than a million.
        """
        if self.inputs > 1_000_000:
            raise WorldError(f"there are {self.inputs} inputs, too many to list; draw some with sample")
        symbols, labels = np.arange(self.classes)[:, None], np.arange(self.classes)
        for rules in self.rules:
            width = symbols.shape[1]
            choices = np.stack(np.meshgrid(*[np.arange(self.synonyms)] * width, indexing="ij"), -1).reshape(-1, width)
            symbols = rules[symbols[:, None], choices].reshape(len(labels) * len(choices), -1)
            labels = np.repeat(labels, len(choices))
        return symbols, labels

    def classify(self, inputs: Any) -> np.ndarray:
        """Return the class of each input [count], read from the last level up.

        Args:
            inputs: symbols [count, s^L].

        Raises:
            WorldError: a wrong length, or a tuple that no rule makes.

        >>> world = random_hierarchy(vocab=4, synonyms=2, levels=3, seed=1)
        >>> x, y = world.sample(100, seed=2)
        >>> bool((world.classify(x) == y).all())
        True
        """
        symbols = np.asarray(inputs)
        if symbols.ndim != 2 or symbols.shape[1] != self.length or not np.issubdtype(symbols.dtype, np.integer):
            raise WorldError(
                f"inputs have shape {symbols.shape}, {symbols.dtype}; they are whole numbers [count, {self.length}]"
            )
        if symbols.size and not (symbols.min() >= 0 and symbols.max() < self.vocab):
            raise WorldError(f"inputs hold symbols {symbols.min()} to {symbols.max()}; there are 0 to {self.vocab - 1}")
        for level in reversed(range(self.levels)):
            symbols = self.parents(symbols.reshape(len(symbols), -1, self.branching), level)
        return symbols[:, 0]

    def parents(self, tuples: np.ndarray, level: int) -> np.ndarray:
        """Return the symbol of each tuple [count, n, s] that the rules of a level replace: [count, n].

        Raises:
            WorldError: a tuple that no rule makes.
        """
        place = self.vocab ** np.arange(self.branching)
        codes = (self.rules[level] @ place).ravel()
        order = np.argsort(codes)
        asked = tuples @ place
        at = np.minimum(np.searchsorted(codes[order], asked), len(codes) - 1)
        found = order[at]
        wrong = codes[found] != asked
        if wrong.any():
            row = int(np.argwhere(wrong)[0][0])
            raise WorldError(
                f"input {row} holds a tuple that no rule of level {level + 1} makes; it is not of this world"
            )
        return found // self.synonyms


def random_hierarchy(
    *, vocab: int, synonyms: int, levels: int, branching: int = 2, classes: int | None = None, seed: int = 0
) -> Hierarchy:
    """Draw the rules of a random hierarchy.

    Args:
        vocab: v, symbols of every level. synonyms: m, tuples that each symbol and each class may become.
        levels: L. branching: s, symbols of a tuple, 2 or more.
        classes: n_c; v if not given. seed: of the rules.

    Returns:
        The `Hierarchy`.

    Raises:
        WorldError: numbers that are no whole numbers, or more tuples than there are: max(v, n_c) m <= v^s.

    Cost: O(v m s) a level, also where v^s is large.

    Source: Cagnetta et al. 2023 (arXiv 2307.02129).

    >>> random_hierarchy(vocab=8, synonyms=4, levels=3, seed=0).rules[1].shape
    (8, 4, 2)
    """
    v, m = _whole("vocab", vocab, 2), _whole("synonyms", synonyms, 1)
    depth, s = _whole("levels", levels, 1), _whole("branching", branching, 2)
    top = v if classes is None else _whole("classes", classes, 2)
    if max(v, top) * m > v**s:
        raise WorldError(f"{max(v, top)} symbols with {m} tuples each need {max(v, top) * m} tuples of {s}, and {v} symbols "
                         f"make {v**s}; take fewer synonyms, at most {v**s // max(v, top)}")  # fmt: skip
    if v**s >= _MOST:
        raise WorldError(f"{v} symbols make more than 2^53 tuples of {s}; take a smaller vocab or branching")
    rng = np.random.default_rng(seed)
    rules = []
    for level in range(depth):
        symbols = top if level == 0 else v
        codes = _distinct(rng, v**s, symbols * m)
        tuples = codes[:, None] // v ** np.arange(s) % v
        rules.append(tuples.reshape(symbols, m, s))
    return Hierarchy(tuple(rules), v)


def _distinct(rng: np.random.Generator, high: int, count: int) -> np.ndarray:
    """Different whole numbers below high, in random order; without a list of all of them where they are many."""
    return rng.choice(high, size=count, replace=False) if high <= 1 << 22 else _few(rng, high, count)


def _few(rng: np.random.Generator, high: int, count: int) -> np.ndarray:
    found = np.zeros(0, dtype=np.int64)
    while len(found) < count:
        new = np.concatenate([found, rng.integers(high, size=math.ceil(1.1 * (count - len(found))) + 8)])
        found = new[np.sort(np.unique(new, return_index=True)[1])]
    return found[:count]


def _whole(name: str, value: Any, low: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < low:
        raise WorldError(f"{name} is {value!r}; it is a whole number of at least {low}")
    return int(value)
