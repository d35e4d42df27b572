"""What is counted as size and as compute, and which exponents that alone makes: Kaplan's 0.73 against Hoffmann's 0.5.

One law of the loss, models of one shape, and several ways to count both their parameters and their operations. Blocks grow as
N = 12 depth width^2 with width = aspect depth, so the vocabulary V width grows as N^(1/3) and attention as N^(2/3):

    width = (N aspect/12)^(1/3),   vocabulary = V width,   attention = sequence_length width^2/aspect   [parameters]

(attention as the parameters that would need its 6 depth sequence_length width operations per token, law `flops.kaplan`). The
best tokens for N follow from equal elasticities, with S the counted size and 6 F D the counted compute:

    (dL/d ln params) (d ln params/d ln N) = (dL/d ln tokens) (d ln F/d ln N)

Small models are mostly vocabulary: leave it out, and N* seems to grow faster with C than it does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from scalinglens.errors import PlanError, did_you_mean
from scalinglens.fit.estimate import Estimate, check_level
from scalinglens.numerics.roots import bracketed_root
from scalinglens.plan.amounts import whole
from scalinglens.plan.optimum.estimates import estimate_of
from scalinglens.plan.optimum.head import Model
from scalinglens.plan.optimum.problem import limits, positive
from scalinglens.plan.source import Source, as_source

__all__ = ["CONVENTIONS", "KAPLAN_SIZES", "Counting", "Reconciliation", "reconcile"]

KAPLAN_SIZES = (768.0, 1.5e9)  # parameters without embeddings, smallest and largest, of Kaplan et al. 2020
_SIZES = {"params": ("blocks", "vocabulary"), "params_nonembedding": ("blocks",)}  # what the size of a law counts
_STEP = 1e-3  # of ln compute, for local exponents
_RANGE = (0.0, np.log(1e30))  # ln of sizes and tokens that are searched


@dataclass(frozen=True)
class Counting:
    """What is counted.

    Attributes:
        size: parts of a model that its size counts, of "blocks", "vocabulary", "attention".
        compute: parts whose operations the compute counts, 6 per parameter and token.
        says: in words.
    """

    size: tuple[str, ...]
    compute: tuple[str, ...]
    says: str


_WHOLE, _BLOCKS, _ALL = ("blocks", "vocabulary"), ("blocks",), ("blocks", "vocabulary", "attention")
CONVENTIONS: Mapping[str, Counting] = {
    "total": Counting(_WHOLE, _WHOLE, "blocks and vocabulary, 6 N D: Hoffmann et al., Porian et al. ('standard')"),
    "nonembedding": Counting(_BLOCKS, _BLOCKS, "blocks only, in size and in compute: Kaplan et al."),
    "nonembedding_size": Counting(_BLOCKS, _WHOLE, "blocks only in the size; the compute counts the head"),
    "nonembedding_compute": Counting(_WHOLE, _BLOCKS, "the compute leaves the head out; the size counts it"),
    "attention": Counting(_ALL, _ALL, "operations per token over 6, attention included: Porian et al. ('attention')"),
}
"""How size and compute are counted: name -> what is counted."""


@dataclass(frozen=True, eq=False)
class Reconciliation:
    """The result of `reconcile`; by convention.

    Attributes:
        exponents: a of N* ~ C^a, the least-squares slope of ln N* over the range of ln C, N* and C as counted.
        flops: counted compute [n]. sizes: counted best size [n]. local: d ln N*/d ln C there [n].
        level: of the intervals.
    """

    exponents: Mapping[str, Estimate]
    flops: Mapping[str, np.ndarray]
    sizes: Mapping[str, np.ndarray]
    local: Mapping[str, np.ndarray]
    level: float

    def to_frame(self) -> pd.DataFrame:
        """Return one row per convention: exponent, low, high; local exponents at both ends; range of compute; what counts."""
        rows = {
            name: {
                "exponent": e.value,
                "low": e.low,
                "high": e.high,
                "local_first": self.local[name][0],
                "local_last": self.local[name][-1],
                "flops_first": self.flops[name][0],
                "flops_last": self.flops[name][-1],
                "counts": CONVENTIONS[name].says,
            }
            for name, e in self.exponents.items()
        }
        return pd.DataFrame.from_dict(rows, orient="index")


def reconcile(
    source: Any,
    *,
    flops: Any = None,
    params: Any = KAPLAN_SIZES,
    conventions: Sequence[str] = tuple(CONVENTIONS),
    vocab: int = 32_000,
    aspect: float = 39.2,
    sequence_length: int = 2048,
    points: int = 100,
    level: float | None = None,
    constants: Mapping[str, float] | None = None,
) -> Reconciliation:
    """Find the exponent of the best size under each way to count, the law and the models being the same.

    Args:
        source: a fit, a saved fit, or a law with constants, of `tokens` and `params` or `params_nonembedding`.
        flops: (least, most) compute, as each convention counts it. Without it the range is that of the budgets at which
            the sizes `params` are best, so that all conventions speak of the same models.
        params: (least, most) parameters of the blocks; by default those of Kaplan et al. 2020.
        conventions: names of `CONVENTIONS`.
        vocab: entries of the vocabulary. aspect: width/depth. sequence_length: tokens of a sequence; the defaults are those
            of Pearce and Song (vocab (aspect/12)^(1/3) is 47,481; they fit 47,491 to the shapes of Hoffmann et al.).
        points: budgets in the range.
        level, constants: as `frontier`.

    Returns:
        The `Reconciliation`, with intervals from the draws of a fit.

    Raises:
        PlanError: a source of other inputs, an unknown convention, impossible shapes or ranges.

    Cost: about 40 evaluations of the law per budget, 10 for each draw.

    Source: Pearce and Song 2024, arXiv 2406.12907, section 2 (there 0.78 and 0.74 without embeddings, 0.51 and 0.46 with).

    >>> found = reconcile("besiroglu2024", flops=(10**12.95, 10**20.7), conventions=("total", "nonembedding"))
    >>> {name: round(e.value, 2) for name, e in found.exponents.items()}
    {'total': 0.51, 'nonembedding': 0.78}
    """
    source = as_source(source, constants=constants)
    at = source.level if level is None else level
    check_level(at)
    shape = _Shape(
        _size_of(source), whole("vocab", vocab), positive("aspect", aspect), whole("sequence_length", sequence_length)
    )
    points = whole("points", points, 2)
    if isinstance(conventions, str):
        conventions = (conventions,)
    for name in conventions:
        if name not in CONVENTIONS:
            near = did_you_mean(str(name), CONVENTIONS)
            raise PlanError(f'there is no convention "{name}"{near}; there are {", ".join(CONVENTIONS)}')
    asked = limits("flops", flops) if flops is not None else None
    ends = np.array(limits("params", params))
    model = source.model()
    drawn = [(head, head.model(head.draws)) for head in source.heads if len(head.draws)]
    exponents, budgets, sizes, local = {}, {}, {}, {}
    for name in conventions:
        counting = CONVENTIONS[name]
        first, last = _budgets_at(model, shape, counting, ends) if asked is None else asked
        x = np.linspace(first, last, points)
        best = _best(model, shape, counting, x[None])[0]
        counted = shape.log_sum(counting.size, best)[0]
        around = [
            shape.log_sum(counting.size, _best(model, shape, counting, x[None] + step)[0])[0]
            for step in (_STEP, -_STEP)
        ]
        slope = lambda y: (x - x.mean()) @ np.atleast_2d(y).T / np.sum((x - x.mean()) ** 2)  # noqa: B023, E731
        value, parts = float(slope(counted)[0]), []
        for head, one in drawn:
            a = slope(shape.log_sum(counting.size, _best(one, shape, counting, np.tile(x, (len(head.draws), 1))))[0])
            parts.append(value + head.widening * (a - value))
        exponents[name] = estimate_of(value, np.concatenate(parts) if parts else np.empty(0), at)
        budgets[name], sizes[name] = np.exp(x), np.exp(counted)
        local[name] = (around[0] - around[1]) / (2 * _STEP)
    return Reconciliation(exponents, budgets, sizes, local, at)


@dataclass(frozen=True)
class _Shape:
    """Models of one shape, by the ln of the parameters of their blocks."""

    size: str  # of the law
    vocab: int
    aspect: float
    sequence_length: int

    def log_sum(self, parts: tuple[str, ...], x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """ln of some parts together, and its derivative by ln of the blocks."""
        width = np.exp((x + np.log(self.aspect / 12)) / 3)
        each: Mapping[str, tuple[np.ndarray, float]] = {
            "blocks": (np.exp(x), 1.0),
            "vocabulary": (self.vocab * width, 1 / 3),
            "attention": (self.sequence_length * width**2 / self.aspect, 2 / 3),
        }
        total = sum((each[name][0] for name in parts), np.zeros(np.shape(x)))
        rises = sum((each[name][0] * each[name][1] for name in parts), np.zeros(np.shape(x)))
        return np.log(total), rises / total


def _size_of(source: Source) -> str:
    found = [name for name in _SIZES if name in source.inputs]
    if len(found) != 1 or set(source.inputs) != {found[0], "tokens"}:
        raise PlanError(
            f"counting is compared under a law of tokens and of params or params_nonembedding, and {source.name} depends on "
            f'{", ".join(source.inputs)}; take for example "besiroglu2024"'
        )
    return found[0]


def _along(model: Model, shape: _Shape, counting: Counting) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """d loss/d ln N at fixed counted compute, as a function of ln N and ln tokens [..., n]."""

    def slope(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        size, size_rises = shape.log_sum(_SIZES[shape.size], x)
        _, slopes = model({shape.size: size, "tokens": y})
        return slopes[shape.size] * size_rises - slopes["tokens"] * shape.log_sum(counting.compute, x)[1]

    return slope


def _best(model: Model, shape: _Shape, counting: Counting, log_budgets: np.ndarray) -> np.ndarray:
    """ln of the blocks of the best model [draws, n] at ln of counted compute [draws, n]."""
    slope = _along(model, shape, counting)
    low, high = (np.full(log_budgets.shape, end) for end in _RANGE)

    def at(x: np.ndarray) -> np.ndarray:
        return slope(x, log_budgets - np.log(6) - shape.log_sum(counting.compute, x)[0])

    return bracketed_root(at, low, high)


def _budgets_at(model: Model, shape: _Shape, counting: Counting, x: np.ndarray) -> np.ndarray:
    """ln of the counted compute at which models of ln blocks [n] are best."""
    slope = _along(model, shape, counting)
    low, high = (np.full((1, len(x)), end) for end in _RANGE)
    y = bracketed_root(lambda y: slope(x[None], y), low, high)[0]
    return np.log(6) + shape.log_sum(counting.compute, x)[0] + y
