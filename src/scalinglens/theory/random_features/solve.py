"""`solve`: test and train loss of a problem at any times, with an estimate of the accuracy of each value."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scalinglens.errors import TheoryError
from scalinglens.numerics.contour import hyperbola
from scalinglens.theory.random_features.correlations import PARTS, bilinear, correlation, gradients, pairs
from scalinglens.theory.random_features.optimizers import GradientFlow, Optimizer, Rule
from scalinglens.theory.random_features.problem import RandomFeatures
from scalinglens.theory.random_features.renormalised import alternate, edge_of, renormalise
from scalinglens.theory.random_features.static import static_loss

if TYPE_CHECKING:
    from scalinglens.runs import Runs
    from scalinglens.worlds.spectra import Spectrum

__all__ = ["Curves", "solve", "solve_each"]

DIGITS = 8.0  # of the contour; the result has about as many
TOLERANCE = 1e-6
_CHUNK = 1 << 19  # complex numbers of one block of two-point functions: more would leave the cache
_ROUNDING = 1e-15


@dataclass(frozen=True, eq=False)
class Curves:
    """Losses of a problem over time; arrays are [..., T] with the shape of the problem in front.

    Attributes:
        problem, optimizer: what was solved.
        times: [T]; learning rate times steps for a flow, steps otherwise.
        test: the test loss, without the label noise. train: the loss on the training set, with it.
        error: estimate of the absolute error of `test`.
        slopes: "times", "features", "samples" -> d ln test/d ln of it, where asked for.
        parts: names of `PARTS` -> the correlation of two models' errors, where asked for.
        warnings: what a reader should know.
    """

    problem: RandomFeatures
    optimizer: Any
    times: np.ndarray
    test: np.ndarray
    train: np.ndarray
    error: np.ndarray
    slopes: Mapping[str, np.ndarray] = field(default_factory=dict)
    parts: Mapping[str, np.ndarray] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def ensemble(self, members: float, *, bagging: bool = False) -> np.ndarray:
        """Return the test loss of the mean of several students [..., T].

        L/E + (1 - 1/E) L_cross

        Args:
            members: E, 1 or more, inf allowed. bagging: each member has data of its own and they share the features;
                otherwise each has features of its own and they share the data.

        Raises:
            TheoryError: the parts were not asked for.
        """
        if not self.parts:
            raise TheoryError("the correlation of two models is not known; solve with parts=True")
        if not members >= 1:
            raise TheoryError(f"members is {members!r}; an ensemble has at least one")
        cross = self.parts["same_features" if bagging else "same_data"]
        return self.test / members + (1 - 1 / members) * cross

    def decomposition(self) -> dict[str, np.ndarray]:
        """Return bias, data variance, feature variance and their interaction [..., T]; they add up to the test loss."""
        if not self.parts:
            raise TheoryError("the parts of the loss are not known; solve with parts=True")
        bias = self.parts["bias"]
        data, features = self.parts["same_data"] - bias, self.parts["same_features"] - bias
        return {"bias": bias, "data": data, "features": features, "interaction": self.test - bias - data - features}

    def to_frame(self) -> pd.DataFrame:
        """Return one row per problem and time: features, samples, noise, time, test_loss, train_loss, error."""
        problem = self.problem
        shape = (*problem.shape, len(self.times))
        columns = {
            "features": problem.features[..., None],
            "samples": problem.samples[..., None],
            "noise": problem.noise[..., None],
            "time": self.times,
            "test_loss": self.test,
            "train_loss": self.train,
            "error": self.error,
        }
        return pd.DataFrame({name: np.broadcast_to(value, shape).ravel() for name, value in columns.items()})

    def runs(self) -> Runs:
        """Return the finite ones among the losses as a table of runs: params, tokens_unique, steps, loss with its noise floor.

        params is N, tokens_unique is P, steps is the time; loss is the test loss plus the label noise.
        """
        from scalinglens.runs import read_runs

        frame = self.to_frame()
        frame["loss"] = frame.test_loss + frame.noise
        columns = {"features": "params", "samples": "tokens_unique", "time": "steps"}
        keep = [name for name in columns if bool(np.all(np.isfinite(frame[name]) & (frame[name] > 0)))]
        table = {columns.get(name, name): frame[name].to_numpy() for name in (*keep, "loss")}
        known = np.isfinite(table["loss"])
        return read_runs({name: values[known] for name, values in table.items()})


def solve(
    problem: RandomFeatures,
    times: Any,
    optimizer: Optimizer | None = None,
    *,
    slopes: bool = False,
    parts: bool = False,
    digits: float = DIGITS,
    tolerance: float = TOLERANCE,
) -> Curves:
    """Solve the mean-field equations of a problem.

    L(t) = (2 pi i)^-2 oint oint e^((s + s') t) C_0(s, s') ds ds', a theory of leading order in 1/N and 1/P: the mean of real
    draws lies a relative 0.3/min(N, P) or so above it.

    Args:
        problem: one or a batch.
        times: zero or later, inf for the limit; whole numbers of steps for a discrete optimizer.
        optimizer: by default `GradientFlow()`.
        slopes: also d ln test/d ln t, d ln N and d ln P, exactly.
        parts: also the correlations of `PARTS`, for ensembles and the decomposition of the loss.
        digits: of the contour integral.
        tolerance: relative, beyond which an estimated error is warned of.

    Returns:
        The `Curves`.

    Raises:
        TheoryError: negative times, times that are no steps, a step that diverges.

    Cost: some ten milliseconds for thirty times over twelve decades; a few milliseconds per problem in a batch.

    Source: Bordelon, Atanasov and Pehlevan 2024 (arXiv 2402.01092); derivation in docs/theory/random_features.md.

    >>> from scalinglens.worlds.spectra import power_law
    >>> found = solve(RandomFeatures(power_law(1.5, 1.25), 512, 1024), [1, 100, 1e4, np.inf])
    >>> found.test.round(6).tolist()
    [1.367817, 0.318065, 0.471587, 0.478656]
    """
    optimizer = GradientFlow() if optimizer is None else optimizer
    times = _times(times, optimizer)
    size = int(np.prod(problem.shape, dtype=int))
    N, P, noise = (array.reshape(size) for array in (problem.features, problem.samples, problem.noise))
    inner = np.flatnonzero((times > 0) & np.isfinite(times))
    T = len(times)
    test, train, error = np.empty((size, T)), np.empty((size, T)), np.zeros((size, T))
    drawn = {name: np.full((size, T), np.nan) for name in ("times", "features", "samples")} if slopes else {}
    split = {name: np.empty((size, T)) for name in PARTS[1:]} if parts else {}
    _ends(problem, times, test, train, split, optimizer)
    endless = np.isinf(N) & np.isinf(P)
    if len(inner):
        _no_bottleneck(problem, optimizer, times, inner, endless, noise, test, train, drawn, split)
        finite = np.flatnonzero(~endless)
        if len(finite):
            edge = float(edge_of(problem.spectrum, N[finite], P[finite]).max()) if optimizer.discrete else math.inf
            for rule in optimizer.rules(times[inner], edge, digits):
                at = inner[rule.which]
                step = max(1, _CHUNK // len(rule.s) ** 2)
                for start in range(0, len(finite), step):
                    block = finite[start : start + step]
                    found = _integrate(problem.spectrum, N[block], P[block], noise[block], rule, slopes, parts)
                    where = np.ix_(block, at)
                    test[where], train[where], error[where] = found["test"], found["train"], found["error"]
                    for name, kept in split.items():
                        kept[where] = found[name]
                    for name, kept in drawn.items():
                        scale = times[at] if name == "times" and not optimizer.discrete else 1.0
                        if name in found:
                            kept[where] = found[name] * scale / found["test"]
    shape = (*problem.shape, T)
    reshape = lambda named: {name: value.reshape(shape) for name, value in named.items()}  # noqa: E731
    if slopes and optimizer.discrete:
        drawn.pop("times")
    return Curves(
        problem,
        optimizer,
        times,
        test.reshape(shape),
        train.reshape(shape),
        error.reshape(shape),
        reshape(drawn),
        reshape(split),
        _warnings(test, error, tolerance, problem),
    )


def solve_each(problem: RandomFeatures, times: np.ndarray, *, digits: float = DIGITS) -> dict[str, np.ndarray]:
    """Return the test loss of each problem of a batch at a time of its own, under gradient flow.

    Args:
        problem: a batch [n] with finite N or P. times: positive and finite [n].
        digits: of the contour integral.

    Returns:
        "test", and its logarithmic slopes "times", "features", "samples" [n].

    Cost: a third of a millisecond each.
    """
    unit, ds = hyperbola(1.0, 1.0, digits)
    w = alternate(np.exp(unit) * ds / unit)[:, None]
    found = {name: np.empty(len(times)) for name in ("test", "times", "features", "samples")}
    step = max(1, _CHUNK // len(unit) ** 2)
    for start in range(0, len(times), step):
        block = slice(start, start + step)
        N, P, noise, t = (a[block] for a in (problem.features, problem.samples, problem.noise, times))
        at = renormalise(problem.spectrum, N, P, unit / t[:, None]).alternating()
        of = pairs(at)
        C = correlation(of, N, P, noise)
        test = found["test"][block] = bilinear(C, w, w)[:, 0]
        moved = at.s[..., None] * w * t[:, None, None]
        found["times"][block] = 2 * bilinear(C, moved, w)[:, 0] / test
        for name, matrix in gradients(at, of, N, P, noise).items():
            found[name][block] = bilinear(matrix, w, w)[:, 0] / test
    return found


def _integrate(
    spectrum: Spectrum, N: np.ndarray, P: np.ndarray, noise: np.ndarray, rule: Rule, slopes: bool, parts: bool
) -> dict[str, np.ndarray]:
    """Losses [batch, T] of one contour."""
    at = renormalise(spectrum, N, P, rule.s).alternating()
    of = pairs(at)
    C = correlation(of, N, P, noise)
    w = alternate((rule.weights / rule.s[:, None]).T).T
    test = bilinear(C, w, w)
    found = {"test": test, "error": _error(C, w, test) + np.nan_to_num(at.gap, nan=np.inf)[:, None] * np.abs(test)}
    # the train loss is R_1 R_1' (C_0 + noise): the same matrix with other weights
    seen = at.R1[..., None] * w
    found["train"] = bilinear(C, seen, seen) + noise[:, None] * (2 * np.real(seen.sum(axis=-2))) ** 2
    if parts:
        for name in PARTS[1:]:
            found[name] = bilinear(correlation(of, N, P, noise, name), w, w)
    if slopes:
        found["times"] = 2 * bilinear(C, at.s[:, None] * w, w)
        found |= {name: bilinear(matrix, w, w) for name, matrix in gradients(at, of, N, P, noise).items()}
    return found


def _error(C: np.ndarray, w: np.ndarray, value: np.ndarray) -> np.ndarray:
    """Estimate the error from every third node, whose error is about the cube root of that of all of them."""
    third = slice(1, None, 3)
    coarse = 9 * bilinear(C[:, third, third], w[third], w[third])
    with np.errstate(all="ignore"):
        size = np.sqrt(np.abs(np.diagonal(C, axis1=1, axis2=2)))
        most = (2 * size @ np.abs(w)) ** 2
        apart = np.abs(coarse - value) / np.abs(value)
    return np.abs(value) * np.minimum(apart**3, apart) + _ROUNDING * most


def _ends(
    problem: RandomFeatures,
    times: np.ndarray,
    test: np.ndarray,
    train: np.ndarray,
    split: Mapping[str, np.ndarray],
    optimizer: Optimizer,
) -> None:
    """Fill in time zero and the limit of late times."""
    start = times == 0
    test[:, start] = problem.spectrum.signal
    train[:, start] = problem.spectrum.signal + problem.noise.reshape(-1, 1)
    for kept in split.values():
        kept[:, start] = problem.spectrum.signal
    late = np.isinf(times)
    if late.any():
        ends = static_loss(problem)
        test[:, late], train[:, late] = (end.reshape(-1, 1) for end in ends)
        for kept in split.values():
            kept[:, late] = np.nan


def _no_bottleneck(
    problem: RandomFeatures,
    optimizer: Optimizer,
    times: np.ndarray,
    inner: np.ndarray,
    endless: np.ndarray,
    noise: np.ndarray,
    test: np.ndarray,
    train: np.ndarray,
    drawn: Mapping[str, np.ndarray],
    split: Mapping[str, np.ndarray],
) -> None:
    """N = P = inf: each mode learns by itself, L = sum_k lambda_k w_k^2 p_t(lambda_k)^2."""
    if not endless.any():
        return
    x, (_, power) = problem.spectrum.eigenvalues, problem.spectrum.weights
    left = optimizer.filter(x, times[inner])
    loss = (left**2) @ power
    where = np.ix_(endless, inner)
    test[where] = loss
    train[where] = loss + noise[endless][:, None]
    for kept in split.values():
        kept[where] = loss
    for name, kept in drawn.items():
        if name == "times" and isinstance(optimizer, GradientFlow):
            kept[where] = -2 * times[inner] * ((left**2) @ (power * x)) / loss
        elif name != "times":
            kept[where] = 0.0


def _times(times: Any, optimizer: Optimizer) -> np.ndarray:
    try:
        array = np.atleast_1d(np.asarray(times, dtype=float))
    except (TypeError, ValueError):
        raise TheoryError(f"times are {times!r}; give one or more numbers, zero or later") from None
    if array.ndim != 1 or not array.size:
        raise TheoryError(f"times have shape {array.shape}; give a list of numbers")
    if not np.all(array >= 0):
        raise TheoryError(f"times must be zero or later, got {array[~(array >= 0)][0]:g}")
    finite = array[np.isfinite(array)]
    if optimizer.discrete and np.any(finite != np.round(finite)):
        raise TheoryError(f"time {finite[finite != np.round(finite)][0]:g} is no number of steps; round it")
    return array


def _warnings(test: np.ndarray, error: np.ndarray, tolerance: float, problem: RandomFeatures) -> tuple[str, ...]:
    told: list[str] = []
    with np.errstate(all="ignore"):
        off = ~(error <= tolerance * np.abs(test)) & np.isfinite(test)
    lost = off & (error > 1e-12 * problem.spectrum.signal)
    if lost.any():
        share = float(np.nanmax(np.where(lost, error / np.maximum(np.abs(test), 1e-300), 0.0)))
        told.append(
            f"{int(lost.sum())} of {test.size} losses have an estimated error above {tolerance:g}, at most {share:.1g}: "
            "raise digits"
        )
    elif off.any():
        told.append(
            f"{int(off.sum())} of {test.size} losses are so small that only their absolute error, below 1e-12 of the first "
            "loss, is known"
        )
    return tuple(told)
