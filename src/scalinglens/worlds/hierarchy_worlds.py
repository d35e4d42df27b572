"""The random hierarchy model as sequences to be continued and as examples to be classified.

Sentences of s^L symbols follow one another, each as likely as any other, so that the entropy rate is ln(sentences)/s^L. What
comes next is exact: the symbols left of the path from the class to the next leaf are known, since no tuple belongs to two
symbols, and down the path

    P(child c of symbol a) ~ sum over the tuples of a that begin with the known symbols and go on with c

gives the distribution of each symbol on it from that of the one above.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np

from scalinglens.worlds.checks import whole
from scalinglens.worlds.hierarchy import Hierarchy, random_hierarchy
from scalinglens.worlds.streams import BLOCK, drawn, parts, stream
from scalinglens.worlds.world import Description

__all__ = ["Classes", "Sentences", "hierarchy", "hierarchy_classes"]

_AT_ONCE = 1 << 22  # numbers of a table of beliefs


@dataclass(frozen=True, eq=False)
class Sentences:
    """Sentences of a hierarchy, one after the other.

    >>> world = hierarchy(vocab=4, synonyms=2, levels=2)
    >>> tokens = world.sample(2, length=6)
    >>> world.next_token(tokens).shape, round(world.entropy_rate, 4)    # ln(4 * 2^3)/4
    ((2, 6, 4), 0.8664)
    """

    name: str
    rules: Hierarchy

    @property
    def vocab(self) -> int:
        """Symbols of the last level."""
        return self.rules.vocab

    @property
    def entropy_rate(self) -> float:
        """Entropy of a sentence over its length [nats/token]."""
        return math.log(self.rules.inputs) / self.rules.length

    def sample(self, count: int, *, length: int, seed: int = 0, first: int = 0, held_out: bool = False) -> np.ndarray:
        """Return the sequences number first .. first+count-1: int32 [count, length]; each begins with a sentence."""
        pieces = list(parts(count, seed=seed, first=first, length=length))
        out = np.empty((count, length), dtype=np.int32)
        size = self.rules.length
        for block, which, at in pieces:
            rng = stream(seed, held_out, block)
            for begin in range(0, length, size):
                sentence = self.rules.sample(BLOCK, seed=rng)[0][which]
                out[at, begin : begin + size] = sentence[:, : length - begin]
        return out

    def next_token(self, tokens: np.ndarray) -> np.ndarray:
        """Return the distribution after each prefix of tokens [..., T]: float32 [..., T, vocab].

        Raises:
            WorldError: a tuple that no rule makes.
        """
        rows = np.asarray(tokens)
        flat = rows.reshape(-1, rows.shape[-1])
        found = np.empty((*flat.shape, self.vocab), dtype=np.float32)
        size = self.rules.length
        for t in range(flat.shape[1]):
            known = (t + 1) % size
            found[:, t] = self._leaf(flat[:, t + 1 - known : t + 1])
        return found.reshape(*rows.shape, self.vocab)

    def _leaf(self, known: np.ndarray) -> np.ndarray:
        """Distribution [n, vocab] of the leaf after the known ones [n, p] of its sentence."""
        rules, s = self.rules, self.rules.branching
        step = max(_AT_ONCE // (max(rules.classes, rules.vocab) * rules.synonyms), 1)
        if len(known) > step:
            return np.concatenate([self._leaf(known[low : low + step]) for low in range(0, len(known), step)])
        place = known.shape[1]
        belief = np.full((len(known), rules.classes), 1 / rules.classes)
        for level in range(rules.levels):
            below = s ** (rules.levels - 1 - level)  # leaves of a child
            child, begin = place // below % s, place // (below * s) * below * s
            table = rules.rules[level]
            match = np.repeat(belief[:, :, None], rules.synonyms, axis=2)
            for left in range(child):
                leaves = known[:, begin + left * below : begin + (left + 1) * below]
                match *= table[None, :, :, left] == self._symbol(leaves, level + 1)[:, None, None]
            belief = match.reshape(len(known), -1) @ self._shows[level][child]
            belief /= belief.sum(1, keepdims=True)
        return belief

    def _symbol(self, leaves: np.ndarray, level: int) -> np.ndarray:
        """The symbol [n] that became these leaves [n, s^k], at a level."""
        for under in reversed(range(level, self.rules.levels)):
            leaves = self.rules.parents(leaves.reshape(len(leaves), -1, self.rules.branching), under)
        return leaves[:, 0]

    @functools.cached_property
    def _shows(self) -> list[list[np.ndarray]]:
        """Per level and child, which symbol stands there in each tuple [symbols * m, vocab]."""
        eye = np.eye(self.vocab)
        return [[eye[table[:, :, i].ravel()] for i in range(self.rules.branching)] for table in self.rules.rules]

    def describe(self) -> Description:
        """Return sizes and entropies."""
        return Description(self.name, {"vocab": self.vocab, **_facts(self.rules), "entropy_rate": self.entropy_rate},
                           {**_SAYS, "entropy_rate": "nats/token, exact"})  # fmt: skip


@dataclass(frozen=True, eq=False)
class Classes:
    """Sentences of a hierarchy as vectors, one place per position and symbol, to be told the class of.

    >>> x, y = hierarchy_classes(vocab=4, synonyms=2, levels=2).examples(3)
    >>> x.shape, x.sum(1).tolist()
    ((3, 16), [4.0, 4.0, 4.0])
    """

    name: str
    rules: Hierarchy
    kind: str = "classification"
    floor: float = 0.0

    @property
    def inputs(self) -> int:
        """s^L v."""
        return self.rules.length * self.rules.vocab

    @property
    def outputs(self) -> int:
        """Classes."""
        return self.rules.classes

    def examples(
        self, count: int, *, seed: int = 0, first: int = 0, held_out: bool = False
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the examples number first .. first+count-1: float32 [count, inputs] and classes [count]."""
        symbols, labels = drawn(
            lambda rng: self.rules.sample(BLOCK, seed=rng), count, seed=seed, first=first, held_out=held_out
        )
        return np.eye(self.rules.vocab, dtype=np.float32)[symbols].reshape(count, self.inputs), labels.astype(np.int64)

    def describe(self) -> Description:
        """Return sizes, and how many samples are asked for."""
        values = {"inputs": self.inputs, **_facts(self.rules), "floor": self.floor}
        return Description(self.name, values, {**_SAYS, "floor": "nats/example: the input tells its class"})


def hierarchy(
    *, vocab: int = 16, synonyms: int = 4, levels: int = 3, branching: int = 2, classes: int = 0, seed: int = 0
) -> Sentences:
    """Return sentences of the random hierarchy model.

    Args:
        vocab: v, symbols of every level.
        synonyms: m, tuples that each symbol may become.
        levels: L, how often symbols are replaced.
        branching: s, symbols of a tuple.
        classes: n_c, what a sentence may be about; 0 for as many as symbols.
        seed: Of the rules.

    Raises:
        WorldError: more tuples than there are: max(v, n_c) m <= v^s.

    Source: Cagnetta et al. 2023 (arXiv 2307.02129).
    """
    return Sentences(*_made("hierarchy", vocab, synonyms, levels, branching, classes, seed))


def hierarchy_classes(
    *, vocab: int = 16, synonyms: int = 4, levels: int = 3, branching: int = 2, classes: int = 0, seed: int = 0
) -> Classes:
    """Return the random hierarchy model as a task of classification.

    Args:
        vocab: v, symbols of every level.
        synonyms: m, tuples that each symbol may become.
        levels: L, how often symbols are replaced.
        branching: s, symbols of a tuple.
        classes: n_c; 0 for as many as symbols.
        seed: Of the rules.

    Raises:
        WorldError: more tuples than there are: max(v, n_c) m <= v^s.

    Source: Cagnetta et al. 2023 (arXiv 2307.02129).
    """
    return Classes(*_made("hierarchy-classes", vocab, synonyms, levels, branching, classes, seed))


def _made(kind: str, v: int, m: int, levels: int, s: int, classes: int, seed: int) -> tuple[str, Hierarchy]:
    whole("seed", seed)
    rules = random_hierarchy(vocab=v, synonyms=m, levels=levels, branching=s, classes=classes or v, seed=seed)
    return f"{kind} v {v} m {m} L {levels} s {s} classes {classes or v} seed {seed}", rules


def _facts(rules: Hierarchy) -> dict[str, int]:
    return {
        "classes": rules.classes,
        "synonyms": rules.synonyms,
        "levels": rules.levels,
        "length": rules.length,
        "samples_of_depth": rules.classes * rules.synonyms**rules.levels,
    }


_SAYS = {
    "length": "symbols of a sentence",
    "samples_of_depth": "n_c m^L: samples from which deep networks learn classes",
}
