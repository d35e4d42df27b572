"""How many samples the random hierarchy model asks for: of a deep network, of a shallow one, and of anyone who counts.

    deep     P ~ n_c m^L                       a power of the input's length s^L
    shallow  P ~ n_c m^((s^L-1)/(s-1))         the number of different inputs, exponential in the length
    counting P_c = (1/n_c)(1-1/n_c) * tuples / Var P(class | tuple)

At P_c the correlation between a tuple of the input and the class stands out of the noise of a finite sample; synonyms share their
correlation, so it is there that they can be told. P_c is computed from the rules and is of the order of the deep estimate.

Source: Cagnetta, Petrini, Tomasini, Favero and Wyart 2023 (arXiv 2307.02129); P_c was derived here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from scalinglens.errors import TheoryError, WorldError
from scalinglens.theory.answer import Answer
from scalinglens.worlds.hierarchy import Hierarchy, random_hierarchy

__all__ = ["HierarchySamples", "class_given_tuple", "hierarchy", "hierarchy_samples"]

_SOURCE = (
    "Cagnetta, Petrini, Tomasini, Favero and Wyart 2023, How Deep Neural Networks Learn Compositional Data: The Random Hierarchy "
    "Model, arXiv 2307.02129"
)


@dataclass(frozen=True)
class HierarchySamples:
    """Samples that a random hierarchy asks for.

    Attributes:
        deep: n_c m^L. shallow: the number of different inputs.
        counting: P_c of these rules; inf where no single tuple tells anything of the class.
    """

    deep: float
    shallow: float
    counting: float


def class_given_tuple(world: Hierarchy) -> tuple[np.ndarray, np.ndarray]:
    """Return how probable each class is given the tuple at one place of the input, and how probable that tuple is.

    Returns:
        P(class | tuple) [places, v, classes] and P(tuple) [places, v]. All m tuples of a symbol of the level above say the same,
        so v stands for v m of them; a symbol that never occurs at a place has probability zero and the classes' own frequencies.

    Cost: O(L v^2 s^L) at most: matrices along the tree, no inputs are drawn.

    Source: derived here.

    >>> given, often = class_given_tuple(random_hierarchy(vocab=4, synonyms=2, levels=2, seed=0))
    >>> given.shape, often.sum(1).tolist()
    ((2, 4, 4), [1.0, 1.0])
    """
    v, n = world.vocab, world.classes
    paths = np.eye(n)[None]  # P(symbol | class) at each place [places, classes, symbols]
    for rules in world.rules[:-1]:
        step = np.zeros((world.branching, len(rules), v))
        for digit in range(world.branching):
            np.add.at(step[digit], (np.arange(len(rules))[:, None], rules[..., digit]), 1 / world.synonyms)
        paths = np.einsum("pca,dab->pdcb", paths, step).reshape(-1, n, v)
    joint = paths.transpose(0, 2, 1) / n
    often = joint.sum(2)
    given = np.divide(joint, often[..., None], out=np.full_like(joint, 1 / n), where=often[..., None] > 0)
    return given, often


def hierarchy_samples(world: Hierarchy) -> HierarchySamples:
    """Return the samples that a deep network, a shallow one and a count of tuples need.

    Args:
        world: the rules; `random_hierarchy` draws them.

    Returns:
        The `HierarchySamples`. The variance in P_c is over tuples as often as they occur, classes and places. Orders of
        magnitude: for v = n_c = m, counting/deep is 0.9 to 1.2 at L = 2 and about 1.5 to 2.2 at L = 3.

    Source: Cagnetta et al. 2023 (arXiv 2307.02129).

    >>> found = hierarchy_samples(random_hierarchy(vocab=8, synonyms=8, levels=2, seed=0))
    >>> found.deep, found.shallow
    (512.0, 4096.0)
    """
    n, m, levels = world.classes, world.synonyms, world.levels
    given, often = class_given_tuple(world)
    places = len(often)
    mean = np.einsum("pv,pvc->pc", often, given)
    variance = np.einsum("pv,pvc->", often, (given - mean[:, None]) ** 2) / (places * n)
    tuples = len(world.rules[-1]) * m
    counting = (1 / n) * (1 - 1 / n) * tuples / variance if variance > 1e-24 else math.inf
    return HierarchySamples(float(n) * float(m) ** levels, _float(world.inputs), float(counting))


def hierarchy(
    *,
    vocab: int,
    synonyms: int,
    levels: int = 2,
    branching: int = 2,
    classes: int | None = None,
    rules: int = 4,
    seed: int = 0,
) -> Answer:
    """Samples that the random hierarchy model asks for, of a deep and of a shallow network, by number of levels.

    Args:
        vocab: v, symbols of every level.
        synonyms: m, tuples that stand for one symbol.
        levels: L; 1 to L are shown.
        branching: s, symbols of a tuple.
        classes: n_c; v if not given.
        rules: draws of the rules that the counting threshold is averaged over (its logarithm).
        seed: of the rules.

    Returns:
        for each number of levels: length of the input, samples of a deep network, of a shallow one, and the counting threshold.

    Raises:
        TheoryError: more tuples than there are, or numbers outside their domain.

    Source: Cagnetta et al. 2023 (arXiv 2307.02129).

    >>> hierarchy(vocab=8, synonyms=8).table["deep"]
    [64.0, 512.0]
    """
    if isinstance(rules, bool) or not isinstance(rules, int | np.integer) or rules < 1:
        raise TheoryError(f"rules is {rules!r}; it is the number of draws, 1 or more")
    if isinstance(levels, bool) or not isinstance(levels, int | np.integer) or not 1 <= levels <= 12:
        raise TheoryError(f"levels is {levels!r}; it is a whole number from 1 to 12")
    table: dict[str, Any] = {name: [] for name in ("levels", "length", "deep", "shallow", "counting")}
    sizes: dict[str, Any] = {"vocab": vocab, "synonyms": synonyms, "branching": branching, "classes": classes}
    try:
        for depth in range(1, levels + 1):
            drawn = [random_hierarchy(levels=depth, seed=seed + k, **sizes) for k in range(rules)]
            table["levels"].append(depth)
            found = [hierarchy_samples(world) for world in drawn]
            table["length"].append(drawn[0].length)
            table["deep"].append(found[0].deep)
            table["shallow"].append(found[0].shallow)
            table["counting"].append(float(np.exp(np.mean([np.log(one.counting) for one in found]))))
    except WorldError as problem:
        raise TheoryError(str(problem)) from None
    given = {**sizes, "classes": drawn[0].classes, "rules": rules, "seed": seed}
    return Answer(
        f"random hierarchy, v = {vocab}, m = {synonyms}, s = {branching}, {drawn[0].classes} classes",
        table,
        {"problem": given, **table},
        ["orders of magnitude; deep: n_c m^L, shallow: all different inputs, counting: where a tuple's correlation with the "
         "class stands out of the noise"],
        (),
        (_SOURCE,),
    )  # fmt: skip


def _float(count: int) -> float:
    try:
        return float(count)
    except OverflowError:
        return math.inf
