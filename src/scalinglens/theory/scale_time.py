"""Size and time as one resource: the flow of a random subspace depends on p t, where it does, and when it stops to.

A model of p parameters that are random directions of a large space follows the flow of the endless one at time p t, up to a
relative sqrt(r/p). This is a hypothesis with a diagnostic, not a law: few parameters and fitted noise break it.
Derivation: docs/theory/scale_time.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.integrate import solve_ivp
from scipy.optimize import minimize_scalar

from scalinglens.errors import TheoryError
from scalinglens.theory.random_features.problem import RandomFeatures
from scalinglens.theory.random_features.solve import solve
from scalinglens.worlds.spectra import Spectrum

__all__ = ["Collapse", "linear_gd_risk", "random_subspace_flow", "scale_time_collapse", "subspace_risk"]

_GRID = 200
_SEARCH = (-1.0, 4.0)  # exponents of p looked at
_TOLERANCE = 0.1
_NODES = 1 << 21


def linear_gd_risk(features: Any, samples: Any, *, time: Any, signal: float = 1.0, noise: float = 0.0) -> np.ndarray:
    """Return the excess risk of linear regression by gradient flow on isotropic data, in the limit of large sizes.

    signal int rho(x) e^(-2 x t) + noise g int rho(x) (1 - e^(-x t))^2/x, rho the Marchenko-Pastur law of ratio g = d/n

    Args:
        features, samples: d and n, finite. time: t of the flow of half the mean square error; 0 or more, inf allowed.
        signal: the target's norm squared. noise: variance of the label noise.

    Returns:
        The risk without the noise of fresh labels; arrays as NumPy broadcasts them. Endless at d = n late with noise.

    Raises:
        TheoryError: sizes, times or variances that are not such.

    Cost: some sqrt(t) nodes of a trapezoidal rule per value.

    Source: the linear analysis of Boopathy and Fiete 2024 (arXiv 2409.05782); derived in docs/theory/scale_time.md.

    >>> linear_gd_risk(50, 100, time=[0.0, 10.0, float("inf")], noise=0.25).round(4).tolist()
    [1.0, 0.2108, 0.25]
    """
    d, n, t = _read(features=features, samples=samples, time=time)
    if not (np.all((d > 0) & (n > 0) & np.isfinite(d) & np.isfinite(n)) and np.all(t >= 0)):
        raise TheoryError("features and samples are positive and finite, time is 0 or more")
    for name, value in (("signal", signal), ("noise", noise)):
        if not 0 <= value < math.inf:
            raise TheoryError(f"{name} is {value!r}; it is a variance, zero or positive and finite")
    pairs = zip(*(a.ravel() for a in (d / n, t)), strict=True)
    found = [_risk(float(g), float(at), signal, noise) for g, at in pairs]
    return np.array(found).reshape(d.shape)


def _risk(g: float, t: float, signal: float, noise: float) -> float:
    if math.isinf(t):
        late = g / (1 - g) if g < 1 else 1 / (g - 1) if g > 1 else math.inf
        return signal * max(0.0, 1 - 1 / g) + (noise * late if noise else 0.0)
    middle, half = 1 + g, 2 * math.sqrt(g)
    # nodes resolve e^(-x t) along the circle, and x = 0, which the law comes close to, where it is divided by
    count = int(64 + 16 * math.sqrt((middle + half) * t))
    if g < 0.5:
        count += 64
    if count > _NODES:
        raise TheoryError(f"time {t:g} needs {count:g} nodes; take inf for the limit of late times")
    angle = (np.arange(count) + 0.5) * (np.pi / count)
    # near x = 0 by the half angle, without cancellation
    x = (1 - math.sqrt(g)) ** 2 + 2 * half * np.cos(angle / 2) ** 2
    weight = (half * np.sin(angle)) ** 2 / (2 * np.pi * g) * (np.pi / count)  # rho dx = weight/x
    # 1 + int rho (e^(-2xt) - 1) has no pole at x = 0; where x stays away from it the direct form keeps small values
    left = (
        float((weight / x * np.exp(-2 * x * t)).sum())
        if g < 0.5
        else 1 + float((weight / x * np.expm1(-2 * x * t)).sum())
    )
    fitted = float((weight * (np.expm1(-x * t) / x) ** 2).sum())
    return signal * left + noise * g * fitted


def random_subspace_flow(
    gradient: Callable[[np.ndarray], np.ndarray],
    K: Any,
    *,
    size: float,
    scaled_times: Any,
    start: Any = None,
    seed: int = 0,
) -> np.ndarray:
    """Follow gradient flow of p random directions of a large space, in the r outputs that matter.

    d alpha/d tau = -K (R R'/p) K' gradient(alpha), tau = p t, R [P, p] of independent standard normals; R R'/p -> 1 for p = inf

    Args:
        gradient: of the loss by alpha [r] -> [r].
        K: [r, P], from the large space to the outputs.
        size: p, whole, or inf. scaled_times: tau, 0 or later, rising.
        start: alpha at time 0, by default 0. seed: of R.

    Returns:
        alpha [times, r].

    Raises:
        TheoryError: sizes or times that are not such, an integration that fails.

    Cost: one product [r, P] x [P, p], then a system of r equations.

    Source: Boopathy and Fiete 2024 (arXiv 2409.05782).

    >>> K = np.eye(2)
    >>> random_subspace_flow(lambda a: a - 1.0, K, size=float("inf"), scaled_times=[0.0, 1.0])[1].round(4).tolist()
    [0.6321, 0.6321]
    """
    K = np.atleast_2d(np.asarray(K, dtype=float))
    times = np.atleast_1d(np.asarray(scaled_times, dtype=float))
    if not (np.all(np.isfinite(times)) and times[0] >= 0 and np.all(np.diff(times) > 0)):
        raise TheoryError("scaled_times are 0 or later, finite and rising")
    r, P = K.shape
    if math.isinf(size):
        G = K @ K.T
    elif size >= 1 and size == int(size):
        KR = K @ np.random.default_rng(seed).standard_normal((P, int(size)))
        G = KR @ KR.T / size
    else:
        raise TheoryError(f"size is {size!r}; it is a whole number of parameters, or inf")
    first = np.zeros(r) if start is None else np.asarray(start, dtype=float)
    if times[-1] == 0:
        return first[None]
    done = solve_ivp(
        lambda _, alpha: -G @ gradient(alpha), (0.0, times[-1]), first, "LSODA", times, rtol=1e-9, atol=1e-11
    )
    if not done.success:
        raise TheoryError(f"the flow could not be followed: {done.message}")
    return done.y.T


def subspace_risk(
    spectrum: Spectrum, *, sizes: Any, scaled_times: Any, samples: float = math.inf, noise: float = 0.0
) -> np.ndarray:
    """Return the excess risk of linear models in random subspaces of p directions at tau = p t [sizes, times].

    It is the loss of p random features at the time tau of their flow, from the dynamical model.

    Args:
        spectrum: of the data and target. sizes: p [S], inf allowed. scaled_times: tau [K].
        samples: n. noise: variance of the label noise.

    >>> from scalinglens.worlds.spectra import power_law
    >>> subspace_risk(power_law(1.5, 1.5, 800), sizes=[40, 1200], scaled_times=[10], samples=150).round(3).tolist()
    [[0.748], [0.625]]
    """
    problem = RandomFeatures(spectrum, np.atleast_1d(np.asarray(sizes, dtype=float)), samples, noise)
    return solve(problem, scaled_times).test


@dataclass(frozen=True, eq=False)
class Collapse:
    """How well loss = f(p^a t) holds over the sizes.

    Attributes:
        sizes: p [S]. exponent: a that brings the curves closest. residual: their spread there, of ln loss.
        residual_at_one: with a = 1, the hypothesis. residual_apart: with a = 0, curves of time alone.
        scaled_time: p t [G], common to all sizes where a = 1. losses: [S, G], NaN beyond a curve.
        curve: of the largest size [G]. deviation: ln(loss/curve) [S, G].
        holds_until: p t up to which a size stays within `tolerance` of the largest [S]; NaN where it never does.
        ends: p t at which the comparison of a size ends [S].
        tolerance: of ln loss.
    """

    sizes: np.ndarray
    exponent: float
    residual: float
    residual_at_one: float
    residual_apart: float
    scaled_time: np.ndarray
    losses: np.ndarray
    curve: np.ndarray
    deviation: np.ndarray
    holds_until: np.ndarray
    ends: np.ndarray
    tolerance: float

    @property
    def holds(self) -> np.ndarray:
        """Whether a size agrees with the largest as far as the two can be compared [S]."""
        return self.holds_until >= self.ends

    def to_frame(self) -> pd.DataFrame:
        """Return one row per size: where it holds and fails, and the worst deviation."""
        with np.errstate(all="ignore"):
            worst = np.nanmax(np.where(np.isfinite(self.deviation), np.abs(self.deviation), -np.inf), axis=1)
        return pd.DataFrame(
            {
                "size": self.sizes,
                "holds_until": self.holds_until,
                "compared_until": self.ends,
                "holds": self.holds,
                "worst": worst,
            }
        )


def scale_time_collapse(
    sizes: Any,
    times: Any,
    *,
    losses: Any,
    effective: Callable[[np.ndarray], np.ndarray] | None = None,
    tolerance: float = _TOLERANCE,
) -> Collapse:
    """Test whether losses of several sizes are one function of p^a t, and say where that holds and where it fails.

    Curves are interpolated in ln loss against ln(p^a t); a minimises their mean square spread over what all pairs share.

    Args:
        sizes: p [S], at least two different ones. times: positive and rising [K], or a row for each size, of any length.
        losses: positive, a row for each size, with a floor that is known taken off.
        effective: p as a function of the given sizes, such as its cube root for networks.
        tolerance: of ln loss, for holding.

    Returns:
        The `Collapse`; a is 1 where size and time are one resource.

    Raises:
        TheoryError: shapes that do not go together, curves that share no p t, losses that do not change.

    Source: Boopathy and Fiete 2024 (arXiv 2409.05782), the claim; the test is this project's.

    >>> p, t = np.array([10.0, 40.0]), np.geomspace(1, 1e4, 30)
    >>> found = scale_time_collapse(p, t, losses=(p[:, None] * t) ** -0.5)
    >>> round(found.exponent, 6), bool(found.holds.all())
    (1.0, True)
    """
    given = np.atleast_1d(np.asarray(sizes, dtype=float))
    p = given if effective is None else np.asarray(effective(given), dtype=float)
    if not (p.shape == given.shape and np.all((p > 0) & np.isfinite(p)) and len(np.unique(p)) > 1):
        raise TheoryError("sizes are positive and finite, and at least two differ")
    y, t = _rows("losses", losses, len(p)), _rows("times", times, len(p))
    for size, row, at in zip(given, y, t, strict=True):
        if row.shape != at.shape or row.ndim != 1 or len(row) < 3:
            raise TheoryError(f"size {size:g} has {row.shape} losses at {at.shape} times; each has as many, 3 or more")
        if not (np.all((at > 0) & np.isfinite(at)) and np.all(np.diff(at) > 0)):
            raise TheoryError(f"the times of size {size:g} are not positive, finite and rising")
        if not np.all((row > 0) & np.isfinite(row)):
            raise TheoryError(
                f"some losses of size {size:g} are not positive and finite; take off no more than the floor"
            )
    log_p, log_t, log_y = np.log(p), [np.log(row) for row in t], [np.log(row) for row in y]
    if max(map(np.max, log_y)) - min(map(np.min, log_y)) < 1e-9:
        raise TheoryError("the losses do not change, so any exponent brings the curves together")

    def spread(a: float) -> float:
        total, count = 0.0, 0
        x = [a * own + row for own, row in zip(log_p, log_t, strict=True)]
        for i in range(len(p)):
            for j in range(i):
                low, high = max(x[i][0], x[j][0]), min(x[i][-1], x[j][-1])
                if high - low < 1e-9 or p[i] == p[j]:
                    continue
                at = np.linspace(low, high, _GRID)
                gap = np.interp(at, x[i], log_y[i]) - np.interp(at, x[j], log_y[j])
                total, count = total + float((gap**2).mean()) / 2, count + 1
        return math.sqrt(total / count) if count else math.inf

    grid = np.linspace(*_SEARCH, 101)
    values = np.array([spread(a) for a in grid])
    if not np.isfinite(values).any() or not math.isfinite(spread(1.0)):
        raise TheoryError("the curves share no p t; add times so that p t overlaps between sizes")
    k = int(np.argmin(values))
    ends = grid[max(k - 1, 0)], grid[min(k + 1, len(grid) - 1)]
    a = float(minimize_scalar(spread, bounds=ends, method="bounded", options={"xatol": 1e-8}).x)  # type: ignore[attr-defined]
    x = [own + row for own, row in zip(log_p, log_t, strict=True)]
    largest = int(np.argmax(p))
    at = np.linspace(x[largest][0], x[largest][-1], _GRID)
    lines = np.full((len(p), len(at)), np.nan)
    for line, row, known in zip(lines, x, log_y, strict=True):
        inside = (at > row[0] - 1e-9) & (at < row[-1] + 1e-9)  # ends that differ by rounding are the same
        line[inside] = np.interp(at[inside], row, known)
    off = lines - lines[largest]
    until, last = np.full(len(p), np.nan), np.full(len(p), np.nan)
    for i, row in enumerate(off):
        known = np.flatnonzero(np.isfinite(row))
        if not len(known):
            continue
        last[i] = math.exp(at[known[-1]])
        outside = np.flatnonzero(np.abs(row[known]) > tolerance)
        if not len(outside):
            until[i] = last[i]
        elif outside[0]:
            until[i] = math.exp(at[known[outside[0] - 1]])
    return Collapse(
        given,
        a,
        spread(a),
        spread(1.0),
        spread(0.0),
        np.exp(at),
        np.exp(lines),
        np.exp(lines[largest]),
        off,
        until,
        last,
        tolerance,
    )


def _rows(name: str, value: Any, count: int) -> list[np.ndarray]:
    """One row of numbers for each size; a single row of times serves all."""
    try:
        rows = [np.asarray(row, dtype=float) for row in value]
    except (TypeError, ValueError):
        raise TheoryError(f"{name} are no rows of numbers") from None
    if name == "times" and rows and not rows[0].ndim:
        rows = [np.asarray(value, dtype=float)] * count
    if len(rows) != count:
        raise TheoryError(f"{name} have {len(rows)} rows for {count} sizes")
    return rows


def _read(**given: Any) -> list[np.ndarray]:
    try:
        return list(np.broadcast_arrays(*(np.asarray(value, dtype=float) for value in given.values())))
    except (TypeError, ValueError):
        shapes = ", ".join(f"{name} {np.shape(value)}" for name, value in given.items())
        raise TheoryError(f"the numbers or their shapes do not go together: {shapes}") from None
