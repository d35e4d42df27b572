"""Draws along budgets: solved at some, cubic splines between, with the error seen in each cell."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from scipy.interpolate import CubicSpline

__all__ = ["FEW", "Trace", "known", "read", "traced"]

FEW = 24  # budgets up to which each is solved
_FIRST, _MOST = 9, 129  # nodes at first and at most
_MANY = 0.75  # share of the draws whose error must be small; of the others, which have kinks there, more are solved
_SHARE = 5e-3  # of the standard deviation of the draws, an error in the middle of a cell that is small enough
_SAFE = 4.0  # an error may be larger elsewhere than where it was seen, by as much

_NEWTON = 4  # steps that invert a cubic without an inner bend to the last digits
_ROUNDING = 1e-11  # of ln budget, that the inversion itself may err by

Found = Mapping[str, np.ndarray]
"""name -> [budgets, draws]."""


@dataclass(frozen=True, eq=False)
class Trace:
    """Quantities of every draw as functions of ln budget.

    Attributes:
        nodes: ln budgets [k], rising.
        values: name -> [k, draws].
        errors: name -> bounds [k - 1, draws] of the error inside each cell.
    """

    nodes: np.ndarray
    values: Mapping[str, np.ndarray]
    errors: Mapping[str, np.ndarray]

    def weights(self, at: np.ndarray) -> np.ndarray:
        """How values at ln budgets [n] follow from the nodes: the number [n] of each one's node, or shares [n, k] of all.

        Splines are linear in what they interpolate.
        """
        k = len(self.nodes)
        place = np.minimum(np.searchsorted(self.nodes, at), k - 1)
        if np.array_equal(self.nodes[place], at):
            return place
        if k < 4:  # of three nodes the parabola, of two the line
            return np.stack([_lagrange(self.nodes, i, at) for i in range(k)], axis=1)
        return CubicSpline(self.nodes, np.eye(k))(at)

    def at(self, name: str, at: np.ndarray) -> np.ndarray:
        """A quantity [n, draws] at ln budgets [n]."""
        return read(self.weights(at), self.values[name])

    def pairs(self, name: str, weights: np.ndarray, draws: np.ndarray) -> np.ndarray:
        """A quantity [k] of draws [k], each at its own budget with these weights."""
        if weights.ndim == 1:
            return self.values[name][weights, draws]
        return np.einsum("ij,ji->i", weights, self.values[name][:, draws])

    def between(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Bounds [k - 1, draws] of a quantity inside each cell.

        A cubic lies within the hull of its four Bezier coefficients; the error of the spline comes on top.
        """
        values, errors = self.values[name], self.errors[name]
        width = np.diff(self.nodes)[:, None] / 3
        slopes = CubicSpline(self.nodes, np.eye(len(self.nodes)))(self.nodes, 1) @ values
        corners = (values[:-1], values[:-1] + width * slopes[:-1], values[1:] - width * slopes[1:], values[1:])
        low, high = corners[0], corners[0]
        for corner in corners[1:]:
            low, high = np.minimum(low, corner), np.maximum(high, corner)
        return low - errors, high + errors

    def backwards(self, name: str, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where each draw of a quantity that falls with the budget has a value.

        Args:
            values: [n, draws].

        Returns:
            ln budgets [n, draws] and bounds of their errors, infinite where a draw is nowhere so large; the last node where
            it is nowhere so small.

        Cost: about 40 operations on [n, draws].
        """
        nodes, own = self.nodes, self.values[name]
        count = own.shape[1]
        cell = np.zeros(values.shape, dtype=np.int32)
        for inner in own[1:-1]:
            cell += values <= inner
        place = cell * count + np.arange(count)
        a, b, c, d = (part.reshape(-1)[place] for part in self._cubics(name))
        width = np.diff(nodes)[cell]
        with np.errstate(all="ignore"):
            x = width * np.clip((d - values) / (d - own[1:].reshape(-1)[place]), 0.0, 1.0)  # along the chord
            for _ in range(_NEWTON):
                slope = (3 * a * x + 2 * b) * x + c
                x = np.clip(x - (((a * x + b) * x + c) * x + d - values) / slope, 0.0, width)
            slope = (3 * a * x + 2 * b) * x + c
            # the true slope nearby may be less than the spline's, whose chord is true
            flat = np.minimum(-slope, (d - own[1:].reshape(-1)[place]) / width)
            errors = 2.0 * self.errors[name].reshape(-1)[place] / flat + _ROUNDING
            good = (slope < 0) & (values <= own[0]) & np.isfinite(x)
        return np.where(good, nodes[cell] + x, nodes[0]), np.where(good, errors, np.inf)

    def _cubics(self, name: str) -> np.ndarray:
        """Coefficients [4, k - 1, draws] of each cell, the highest power first."""
        return CubicSpline(self.nodes, self.values[name]).c


def read(weights: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Values [n, draws] at budgets from those [k, draws] at nodes."""
    return values[weights] if weights.ndim == 1 else weights @ values


def _lagrange(nodes: np.ndarray, i: int, at: np.ndarray) -> np.ndarray:
    others = np.delete(nodes, i)
    return np.prod([(at - other) / (nodes[i] - other) for other in others], axis=0) * np.ones(len(at))


def traced(
    solve: Callable[[np.ndarray, Trace | None], Found], log_budgets: np.ndarray, checked: tuple[str, ...]
) -> Trace:
    """Return draws along budgets.

    Up to 24 budgets are solved each. Of more, evenly spaced nodes are solved; cells in whose middle the spline misses more
    than a tenth of the draws by more than a two-hundredth of their standard deviation are halved, up to 129 nodes. The error
    of a draw inside a cell is bounded by four times its miss in the middle, before that middle became a node.

    Args:
        solve: (ln budgets [k], the trace so far, from which starts may be read) -> name -> [k, draws]; finite.
        log_budgets: [n], in any order.
        checked: names whose error decides.

    Cost: 17 budgets where the draws are smooth.

    >>> x = np.linspace(0, 9, 100)
    >>> trace = traced(lambda at, _: {"a": np.outer(np.exp(at / 9), [0.5, 1.0])}, x, ("a",))
    >>> len(trace.nodes), bool(np.abs(trace.at("a", x)[:, 1] - np.exp(x / 9)).max() < 1e-5)
    (17, True)
    """
    unique = np.unique(log_budgets)
    if len(unique) <= FEW:
        return _exactly(solve, unique)
    nodes = np.linspace(unique[0], unique[-1], _FIRST)
    values = dict(solve(nodes, None))
    errors = {name: np.full((_FIRST - 1, own.shape[1]), np.inf) for name, own in values.items()}
    trace = Trace(nodes, values, errors)
    while True:
        bad = np.zeros(len(trace.nodes) - 1, dtype=bool)
        for name in checked:
            spread = trace.values[name].std(axis=1)
            room = _SAFE * _SHARE * np.minimum(spread[1:], spread[:-1])
            bad |= np.quantile(trace.errors[name], _MANY, axis=1, method="higher") > np.maximum(room, 1e-12)
        if not bad.any() or len(trace.nodes) + bad.sum() > _MOST:
            break
        if len(trace.nodes) + bad.sum() >= len(unique):
            return _exactly(solve, unique, trace)
        middle = 0.5 * (trace.nodes[1:] + trace.nodes[:-1])[bad]
        trace = _with(trace, middle, solve(middle, trace), bad)
    if not all(np.isfinite(trace.errors[name]).all() for name in checked):
        return _exactly(solve, unique, trace)
    return replace(trace, errors={name: _spread(error) for name, error in trace.errors.items()})


def _spread(errors: np.ndarray) -> np.ndarray:
    """The largest of each cell and its neighbours: a kink close to a node is seen from one side, and splines ring."""
    wide = np.maximum(errors[1:], errors[:-1])
    return np.maximum(errors, np.maximum(np.concatenate([errors[:1], wide]), np.concatenate([wide, errors[-1:]])))


def _exactly(
    solve: Callable[[np.ndarray, Trace | None], Found], unique: np.ndarray, trace: Trace | None = None
) -> Trace:
    values = dict(solve(unique, trace))
    return known(unique, values)


def known(nodes: np.ndarray, values: Found) -> Trace:
    """The trace of what has no error: known at every budget that will be asked, or a straight line."""
    return Trace(
        nodes, values, {name: np.zeros((max(len(nodes) - 1, 0), own.shape[1])) for name, own in values.items()}
    )


def _with(trace: Trace, middle: np.ndarray, found: Found, bad: np.ndarray) -> Trace:
    """The trace with the middles of some cells as further nodes."""
    order = np.argsort(np.concatenate([trace.nodes, middle]))
    guess = trace.weights(middle)
    halves = np.where(bad, 2, 1)
    values, errors = {}, {}
    for name, own in trace.values.items():
        error = trace.errors[name].copy()
        error[bad] = _SAFE * np.abs(read(guess, own) - found[name])
        errors[name] = np.repeat(error, halves, axis=0)
        values[name] = np.concatenate([own, found[name]])[order]
    return Trace(np.concatenate([trace.nodes, middle])[order], values, errors)
