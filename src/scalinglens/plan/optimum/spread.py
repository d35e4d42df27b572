"""`Spread`: quantities of every draw at many budgets, and their intervals without solving every draw at every budget."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from scalinglens.plan.optimum.estimates import between, quantiles
from scalinglens.plan.optimum.traces import Trace, read

__all__ = ["Part", "Spread", "ends_of"]

_KNOWN = 1e-12  # an error that is none

Exact = Callable[[str, np.ndarray, np.ndarray], np.ndarray]
"""(name, numbers of budgets [k], numbers of draws [k]) -> values [k]."""


@dataclass(frozen=True, eq=False)
class Part:
    """The draws of one law at ln budgets [n].

    Attributes:
        trace: of the deviations from `middle`.
        weights: of the trace at the budgets.
        middle: name -> what the deviations are from [n].
        exact: solves single draws at single budgets; None where the trace has no errors.
        inside: name -> ends [n], [n] that values are kept between.
        lost: numbers of draws that the trace does not follow. apart: their values, name -> [n, lost].
    """

    trace: Trace
    weights: np.ndarray
    middle: Mapping[str, np.ndarray]
    exact: Exact | None = None
    inside: Mapping[str, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)
    lost: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=int))
    apart: Mapping[str, np.ndarray] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """How many draws."""
        return next(iter(self.trace.values.values())).shape[1]

    def rows(self, name: str, rows: Any) -> np.ndarray:
        """Values [rows, draws] at some of the budgets."""
        values = read(self.weights[rows], self.trace.values[name])
        values += self.middle[name][rows, None]
        if name in self.inside:
            low, high = self.inside[name]
            np.clip(values, low[rows, None], high[rows, None], out=values)
        if len(self.lost):
            values[:, self.lost] = self.apart[name][rows]
        return values

    def errors(self, name: str, log_budgets: np.ndarray) -> np.ndarray:
        """Bounds [k, draws] of the errors at ln budgets [k]."""
        if self.weights.ndim == 1:
            return np.zeros((len(log_budgets), self.size))
        cell = np.searchsorted(self.trace.nodes, log_budgets, side="right") - 1
        found = self.trace.errors[name][np.clip(cell, 0, len(self.trace.nodes) - 2)]
        found[:, self.lost] = 0.0
        return found

    def pairs(self, name: str, rows: np.ndarray, draws: np.ndarray) -> np.ndarray:
        """Values [k] of single draws at single budgets, solved where the trace has errors."""
        if self.exact is not None:
            return self.exact(name, rows, draws)
        values = self.trace.pairs(name, self.weights[rows], draws) + self.middle[name][rows]
        if name in self.inside:
            values = np.clip(values, *(end[rows] for end in self.inside[name]))
        return values

    def weighted(self, name: str, weights: np.ndarray) -> np.ndarray:
        """Sums [draws] of the values times weights [n]."""
        used = np.flatnonzero(weights)
        if name in self.inside or len(self.lost):
            return weights[used] @ self.rows(name, slice(None))[used]
        middle = weights[used] @ self.middle[name][used]
        if self.weights.ndim == 1:
            return weights[used] @ self.trace.values[name][self.weights[used]] + middle
        return (weights[used] @ self.weights[used]) @ self.trace.values[name] + middle


@dataclass(frozen=True, eq=False)
class Spread:
    """Quantities of the draws of one or more laws at ln budgets [n]."""

    log_budgets: np.ndarray
    parts: tuple[Part, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Quantities known of the draws of every law."""
        if not self.parts:
            return ()
        return tuple(name for name in self.parts[0].trace.values if all(name in p.trace.values for p in self.parts))

    @property
    def size(self) -> int:
        """How many draws."""
        return sum(part.size for part in self.parts)

    def whole(self, name: str) -> np.ndarray:
        """All values [n, draws]; interpolated where there are many budgets."""
        return np.concatenate([part.rows(name, slice(None)) for part in self.parts], axis=1)

    def weighted(self, name: str, weights: np.ndarray) -> np.ndarray:
        """Sums [draws] of the values times weights [n] over the budgets."""
        return np.concatenate([part.weighted(name, weights) for part in self.parts])

    def ends(self, name: str, level: float) -> tuple[np.ndarray, np.ndarray]:
        """Return the ends [n], [n] of the central interval of a quantity; draws that are NaN everywhere are left aside.

        Between neighbouring nodes the traces bound every draw. Few draws can have the rank that an end asks for, and of
        these few are so close to each other that the error of the trace leaves their order open: they are solved, so that
        the ends are those of draws solved one by one.

        Cost: a look at a tenth of the draws at every budget, and some ten solved draws for each budget.
        """
        n, k = len(self.log_budgets), self.size
        if not k:
            return np.full(n, np.nan), np.full(n, np.nan)
        if any(part.weights.ndim == 1 or len(part.lost) for part in self.parts):
            return quantiles(self.whole(name), level)
        good = np.concatenate([np.isfinite(part.trace.values[name]).all(axis=0) for part in self.parts])
        if not good.any():
            return np.full(n, np.nan), np.full(n, np.nan)
        places = np.array([(1 - level) / 2, (1 + level) / 2]) * (np.count_nonzero(good) - 1)
        ends = np.full((2, n), np.nan)
        for end, place in zip(ends, places, strict=True):
            end[:] = self._ranked(name, good, int(place), min(int(place) + 1, int(good.sum()) - 1), place % 1)
        return ends[0], ends[1]

    def _ranked(self, name: str, good: np.ndarray, i: int, j: int, share: float) -> np.ndarray:
        """The value [n] between the ranks i and j of the good draws."""
        middles = np.stack([part.middle[name] for part in self.parts])
        n = len(self.log_budgets)
        found = np.full(n, np.nan)
        bounds = [part.trace.between(name) for part in self.parts]
        nodes = np.unique(np.concatenate([part.trace.nodes for part in self.parts]))
        segment = np.clip(np.searchsorted(nodes, self.log_budgets, side="right") - 1, 0, len(nodes) - 2)
        segment = np.where(np.isfinite(middles).all(axis=0), segment, -1)
        order = np.argsort(segment, kind="stable")
        starts = np.searchsorted(segment[order], np.arange(len(nodes)))
        open_: list[tuple[np.ndarray, ...]] = []
        for number in range(len(nodes) - 1):
            rows = order[starts[number] : starts[number + 1]]
            if not len(rows):
                continue
            off = middles[:, rows] - middles[0, rows]  # laws of a pool have estimates of their own
            inside = 0.5 * (nodes[number] + nodes[number + 1])
            cells = [int(np.searchsorted(part.trace.nodes, inside)) - 1 for part in self.parts]
            low, high, errors = (
                np.concatenate(parts)
                for parts in zip(
                    *(
                        (b[0][c] + o.min(), b[1][c] + o.max(), part.trace.errors[name][c])
                        for part, b, c, o in zip(self.parts, bounds, cells, off, strict=True)
                    ),
                    strict=True,
                )
            )
            least = np.partition(low[good], i)[i]
            most = np.partition(high[good], j)[j]
            under = np.count_nonzero(high[good] < least)
            active = np.flatnonzero(good & (high >= least) & (low <= most))
            values = self._at(name, rows, active) - middles[0, rows, None]
            ranks, errors = (i - under, j - under), errors[active]
            if errors.max() <= _KNOWN:
                sorted_ = np.partition(values, sorted({*ranks}), axis=1)
                found[rows] = between(sorted_[:, ranks[0]], sorted_[:, ranks[1]], share)
                continue
            least = np.partition(values - errors, ranks[0], axis=1)[:, ranks[0]]
            most = np.partition(values + errors, ranks[1], axis=1)[:, ranks[1]]
            below = under + np.count_nonzero(values + errors < least[:, None], axis=1)
            row, column = np.nonzero((values + errors >= least[:, None]) & (values - errors <= most[:, None]))
            sure = errors[column] <= _KNOWN
            open_.append((rows[row], active[column], below[row], np.where(sure, values[row, column], np.nan)))
        if open_:
            rows, draws, below, values = (np.concatenate(arrays) for arrays in zip(*open_, strict=True))
            unsure = np.isnan(values)
            values[unsure] = self._pairs(name, rows[unsure], draws[unsure]) - middles[0, rows[unsure]]
            order = np.lexsort((values, rows))
            values, below = values[order], below[order]
            budgets, first = np.unique(rows[order], return_index=True)
            a, b = (values[first + rank - below[first]] for rank in (i, j))
            found[budgets] = between(a, b, share)
        found += middles[0]
        if name in self.parts[0].inside:  # which moves no draw past another
            low, high = self.parts[0].inside[name]
            found = np.clip(found, low, high)
        return found

    def _at(self, name: str, rows: np.ndarray, draws: np.ndarray) -> np.ndarray:
        """Values [rows, draws] of some draws at some budgets, as the traces have them."""
        found, offset = [], 0
        for part in self.parts:
            own = draws[(draws >= offset) & (draws < offset + part.size)] - offset
            found.append(part.weights[rows] @ part.trace.values[name][:, own] + part.middle[name][rows, None])
            offset += part.size
        return found[0] if len(found) == 1 else np.concatenate(found, axis=1)

    def _pairs(self, name: str, rows: np.ndarray, draws: np.ndarray) -> np.ndarray:
        """Values [k] of single draws at single budgets, solved where a trace has errors."""
        values, offset = np.empty(len(rows)), 0
        for part in self.parts:
            own = (draws >= offset) & (draws < offset + part.size)
            if own.any():
                values[own] = part.pairs(name, rows[own], draws[own] - offset)
            offset += part.size
        return values


def ends_of(
    values: np.ndarray, errors: np.ndarray, level: float, exact: Callable[[np.ndarray, np.ndarray], np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the ends [n], [n] of the central interval of values known to errors.

    Args:
        values, errors: [n, draws]; an infinite error is one of a value that is not known at all.
        level: of the interval.
        exact: (numbers of rows [k], numbers of draws [k]) -> values [k].

    >>> x = np.linspace(0, 1, 101)
    >>> ends_of(x[None].round(1), np.full((1, 101), 0.06), 0.9, lambda rows, draws: x[draws])
    (array([0.05]), array([0.95]))
    """
    low, high = quantiles(values, level)
    open_ = np.flatnonzero((errors > _KNOWN).any(axis=1))
    if not len(open_):
        return low, high
    values, errors = values[open_], errors[open_]
    k = values.shape[1]
    places = [tail * (k - 1) for tail in ((1 - level) / 2, (1 + level) / 2)]
    pairs = [(int(place), min(int(place) + 1, k - 1)) for place in places]
    lower, upper = values - errors, values + errors
    least = np.partition(lower, sorted({i for i, _ in pairs}), axis=1)
    most = np.partition(upper, sorted({j for _, j in pairs}), axis=1)
    for end, place, (i, j) in zip((low, high), places, pairs, strict=True):
        above = upper >= least[:, i, None]
        below = k - np.count_nonzero(above, axis=1)
        row, column = np.nonzero(above & (lower <= most[:, j, None]))
        found = values[row, column]
        unsure = errors[row, column] > _KNOWN
        found[unsure] = exact(open_[row[unsure]], column[unsure])
        sorted_ = found[np.lexsort((found, row))]
        first = np.searchsorted(row, np.arange(len(open_)))
        end[open_] = between(sorted_[first + i - below], sorted_[first + j - below], place % 1)
    return low, high
