"""`early_stopping`: when to stop, what it saves, and the weight decay that would do instead.

With noisy or few samples the loss falls, has a least value at t*, and rises towards that of ridgeless regression. Ridge
regression with the best decay is the other way not to fit the noise: at late times the filter rho/(x + rho) has one pole, at
s = rho, so

    L_rho = s s' C_0 at s = s' = rho,

a closed form in z(rho); its least value over rho is beside that over t.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from scalinglens.numerics.roots import bracketed_root
from scalinglens.theory.random_features.correlations import correlation, pairs
from scalinglens.theory.random_features.problem import RandomFeatures
from scalinglens.theory.random_features.renormalised import edge_of, renormalise, resolution
from scalinglens.theory.random_features.solve import solve, solve_each
from scalinglens.theory.random_features.static import static_loss

__all__ = ["EarlyStopping", "early_stopping", "ridge_loss"]

_PER_DECADE = 6
_FIRST, _LAST = 1e-2, 1e3  # times over the largest rate and the smallest
_CLOSEST = 1e-3  # of 1 - N/P: nearer the smallest rate is not followed
_PAYS = 1e-6  # of the loss: what stopping must save
_GOLDEN = (5**0.5 - 1) / 2
_ROUNDS = 60


@dataclass(frozen=True, eq=False)
class EarlyStopping:
    """The result of `early_stopping`; arrays have the shape of the problem.

    Attributes:
        problem: what was solved.
        time: t* that is best, inf where it never pays to stop. loss: the test loss there, without the label noise.
        late: the loss at t = inf. ratio: loss/late, 1 where it never pays.
        decay: weight decay whose late loss is least; 0 where none helps, inf where it is best to learn nothing.
        decayed: that loss.
    """

    problem: RandomFeatures
    time: np.ndarray
    loss: np.ndarray
    late: np.ndarray
    ratio: np.ndarray
    decay: np.ndarray
    decayed: np.ndarray

    def to_frame(self) -> pd.DataFrame:
        """Return one row per problem."""
        names = ("features", "samples", "noise")
        columns = {name: getattr(self.problem, name).ravel() for name in names}
        found = ("time", "loss", "late", "ratio", "decay", "decayed")
        return pd.DataFrame(columns | {name: np.ravel(getattr(self, name)) for name in found})


def early_stopping(problem: RandomFeatures) -> EarlyStopping:
    """Find the time at which the test loss of gradient flow is least, and the weight decay whose late loss is.

    t* = argmin L(t): d ln L/d ln t = 0, from the least value of a grid over all time scales

    Args:
        problem: one or a batch.

    Returns:
        The `EarlyStopping`.

    Cost: a solution with some hundred times, and about ten more losses, per problem.

    Source: Bordelon, Atanasov and Pehlevan 2024 (arXiv 2402.01092), on early stopping; the least ridge of white data is that of
        Dobriban and Wager 2018 (arXiv 1507.03003).

    >>> from scalinglens.worlds.spectra import Spectrum
    >>> white = RandomFeatures(Spectrum(np.ones(200), np.full(200, 1 / 200)), samples=400, noise=0.3)
    >>> found = early_stopping(white)
    >>> round(float(found.decay), 4), bool(found.decayed < found.loss < found.late)    # M/P noise/signal
    (0.15, True)
    """
    size = int(np.prod(problem.shape, dtype=int))
    N, P, noise = (array.reshape(size) for array in (problem.features, problem.samples, problem.noise))
    late = static_loss(problem)[0].reshape(size)
    time, loss = np.full(size, np.inf), late.copy()
    decay, decayed = np.zeros(size), late.copy()
    for i in np.flatnonzero(np.isfinite(np.minimum(N, P))):
        one = RandomFeatures(problem.spectrum, N[i : i + 1], P[i : i + 1], noise[i : i + 1])
        time[i], loss[i] = _best_time(one, late[i])
        decay[i], decayed[i] = _best_decay(one, late[i])
    with np.errstate(invalid="ignore"):
        ratio = np.where(np.isinf(time), 1.0, loss / late)
    found = (time, loss, late, ratio, decay, decayed)
    return EarlyStopping(problem, *(array.reshape(problem.shape) for array in found))


def ridge_loss(problem: RandomFeatures, decay: Any) -> np.ndarray:
    """Return the late test loss with weight decay rho > 0: ridge regression on random features.

    Args:
        problem: one or a batch [...]. decay: rho [R].

    Returns:
        The loss [..., R], without the label noise.

    Cost: a dozen sums over the modes for each.

    >>> from scalinglens.worlds.spectra import power_law
    >>> ridge_loss(RandomFeatures(power_law(1.5, 1.25), 128, 256, 0.1), [1e-12, 0.01]).round(4).tolist()
    [1.041, 0.6235]
    """
    rho = np.atleast_1d(np.asarray(decay, dtype=float))
    size = int(np.prod(problem.shape, dtype=int))
    N, P, noise = (array.reshape(size) for array in (problem.features, problem.samples, problem.noise))
    at = renormalise(problem.spectrum, N, P, rho)
    own = np.arange(len(rho))
    loss = np.real(correlation(pairs(at), N, P, noise)[:, own, own])
    return loss.reshape(*problem.shape, len(rho))


def _best_time(one: RandomFeatures, late: float) -> tuple[float, float]:
    """t* and the loss there; inf where the least value of the grid is no smaller than the late loss."""
    slowest, quickest = _rates(one)
    count = int(np.ceil(_PER_DECADE * np.log10(_LAST * quickest / (_FIRST * slowest)))) + 2
    times = np.geomspace(_FIRST / quickest, _LAST / slowest, count)
    curve = solve(one, times).test[0]
    i = int(np.nanargmin(curve))
    if not curve[i] < late * (1 - _PAYS):
        return np.inf, late
    signal = one.spectrum.signal
    if i == 0 and curve[0] >= signal:
        return 0.0, signal
    x = np.log(times[[max(i - 1, 0), min(i + 1, count - 1)]])

    def slope(at: np.ndarray) -> np.ndarray:
        return solve_each(one, np.exp(at))["times"]

    best = np.exp(bracketed_root(slope, x[:1], x[1:]))
    return float(best[0]), float(solve_each(one, best)["test"][0])


def _best_decay(one: RandomFeatures, late: float) -> tuple[float, float]:
    slowest, quickest = _rates(one)
    grid = np.geomspace(slowest / _LAST, quickest / _FIRST, int(_PER_DECADE * np.log10(quickest / slowest)) + 40)
    losses = ridge_loss(one, grid)[0]
    i = int(np.argmin(losses))
    if not losses[i] < late * (1 - _PAYS):
        return 0.0, late
    signal = one.spectrum.signal
    if i == len(grid) - 1:
        return np.inf, signal
    x = _least(lambda at: ridge_loss(one, np.exp(at))[0], *np.log(grid[[max(i - 1, 0), i + 1]]))
    return float(np.exp(x)), float(ridge_loss(one, np.exp(x))[0, 0])


def _least(function: Callable[[float], np.ndarray], low: float, high: float) -> float:
    """Where a function has its least value, by golden sections: to about the root of the rounding error."""
    a, b = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    at_a, at_b = float(function(a)[0]), float(function(b)[0])
    for _ in range(_ROUNDS):
        if at_a < at_b:
            high, b, at_b = b, a, at_a
            a = high - _GOLDEN * (high - low)
            at_a = float(function(a)[0])
        else:
            low, a, at_a = a, b, at_b
            b = low + _GOLDEN * (high - low)
            at_b = float(function(b)[0])
        if high - low < 1e-8:
            break
    return (low + high) / 2


def _rates(one: RandomFeatures) -> tuple[float, float]:
    """About the slowest rate at which anything is learned, and the quickest."""
    N, P = one.features, one.samples
    few, many = np.minimum(N, P), np.maximum(N, P)
    kappa = float(resolution(one.spectrum, few)[0]) or float(one.spectrum.eigenvalues.min())
    apart = max(1 - float((few / many)[0]), _CLOSEST)
    return kappa * apart**2, float(edge_of(one.spectrum, N, P)[0])
