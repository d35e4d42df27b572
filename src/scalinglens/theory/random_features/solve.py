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
from scalinglens.theory.random_features.optimizers import GradientFlow, Optimizer, settled
from scalinglens.theory.random_features.problem import RandomFeatures
from scalinglens.theory.random_features.renormalised import edge_of, renormalise
from scalinglens.theory.random_features.rules import Rule
from scalinglens.theory.random_features.static import static_loss

if TYPE_CHECKING:
    from scalinglens.runs import Runs
    from scalinglens.worlds.spectra import Spectrum

__all__ = ["Curves", "solve", "solve_each"]

DIGITS = 8.0  # of the contour; the result has about as many
TOLERANCE = 1e-6
_CHUNK = 1 << 19  # complex numbers of one block of two-point functions: more would leave the cache
_BLOCK = 1 << 23  # complex numbers of one block of rows, where a contour has very many nodes
_ROUNDING = 8e-15
_SAFETY = 30.0  # the errors of the two rules have different factors in front
_MORE_DIGITS = 4.0
_MARGIN = 4.0  # digits that nodes are chosen for are missed by 1.7 in one of 2,000 problems
_CLAIMED = 3e-9  # relative error below which nothing is claimed
_RESOURCES = ("times", "features", "samples")
_DECADES = 2.0  # of a window in which doubtful losses are solved again


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
    [1.367815, 0.318065, 0.471586, 0.478655]
    """
    optimizer = GradientFlow() if optimizer is None else optimizer
    asked = checked_times(times, optimizer)
    times = settled(optimizer, asked)
    size = int(np.prod(problem.shape, dtype=int))
    N, P, noise = (array.reshape(size) for array in (problem.features, problem.samples, problem.noise))
    inner = np.flatnonzero((times > 0) & np.isfinite(times))
    T = len(times)
    store = _Store.empty(size, T, slopes, parts)
    _ends(problem, times, store)
    endless = np.isinf(N) & np.isinf(P)
    if len(inner) and endless.any():
        _no_bottleneck(problem, optimizer, times, inner, endless, store)
    finite = np.flatnonzero(~endless)
    if len(inner) and len(finite):
        edge = float(edge_of(problem.spectrum, N[finite], P[finite]).max()) if optimizer.needs_edge else math.inf

        def fill(configurations: np.ndarray, at: np.ndarray, precision: float) -> None:
            for rule in optimizer.rules(times[at], edge, precision):
                step = max(1, _CHUNK // (2 * len(rule.s) ** 2))
                for start in range(0, len(configurations), step):
                    block = configurations[start : start + step]
                    found = _integrate(
                        problem.spectrum, N[block], P[block], noise[block], rule, precision, slopes, parts
                    )
                    store.put(block, at[rule.which], found)

        fill(finite, inner, digits)
        # where losses of one window differ by many orders, the small ones lose digits: again, closer and with more
        doubtful = store.values["error"] > tolerance * np.abs(store.values["test"])
        for window in _windows(times, inner[doubtful[:, inner].any(axis=0)]):
            fill(np.flatnonzero(doubtful[:, window].any(axis=1)), window, digits + _MORE_DIGITS)
    shape = (*problem.shape, T)
    values = {name: value.reshape(shape) for name, value in store.values.items()}
    drawn = {name: values.pop(f"slope_{name}") / values["test"] for name in _RESOURCES} if slopes else {}
    if slopes:
        drawn["times"] = drawn["times"] * times
        if optimizer.discrete:
            del drawn["times"]
    warned = _warnings(store.values["test"], store.values["error"], tolerance, problem)
    test, train, error = (values.pop(name) for name in ("test", "train", "error"))
    return Curves(problem, optimizer, asked, test, train, error, drawn, values, warned)


@dataclass(frozen=True, eq=False)
class _Store:
    """What is found, name -> [problems, times]."""

    values: dict[str, np.ndarray]

    @staticmethod
    def empty(size: int, T: int, slopes: bool, parts: bool) -> _Store:
        names = ["test", "train", *(PARTS[1:] if parts else ())]
        values = {name: np.full((size, T), np.nan) for name in (*names, "error")}
        values |= {f"slope_{name}": np.full((size, T), np.nan) for name in _RESOURCES} if slopes else {}
        return _Store(values)

    def put(self, problems: np.ndarray, at: np.ndarray, found: Mapping[str, np.ndarray]) -> None:
        """Keep what was found where nothing was, or where it is more accurate."""
        where = np.ix_(problems, at)
        better = ~(self.values["error"][where] <= found["error"])
        for name, values in found.items():
            kept = self.values[name]
            kept[where] = np.where(better, values, kept[where])


def _windows(times: np.ndarray, which: np.ndarray) -> list[np.ndarray]:
    """Numbers of times, in groups that span at most two decades."""
    order = which[np.argsort(times[which])]
    found: list[list[int]] = []
    for i in order:
        if not found or times[i] > times[found[-1][0]] * 10**_DECADES:
            found.append([])
        found[-1].append(int(i))
    return [np.array(group) for group in found]


def solve_each(problem: RandomFeatures, times: np.ndarray, *, digits: float = DIGITS) -> dict[str, np.ndarray]:
    """Return the test loss of each problem of a batch at a time of its own, under gradient flow.

    Args:
        problem: a batch [n] with finite N or P. times: positive and finite [n].
        digits: of the contour integral.

    Returns:
        "test", and its logarithmic slopes "times", "features" [n].

    Cost: a third of a millisecond each.
    """
    unit, ds = hyperbola(1.0, 1.0, digits)
    w = (np.exp(unit) * ds / unit)[:, None]
    found = {name: np.empty(len(times)) for name in ("test", "times", "features")}
    step = max(1, _CHUNK // (2 * len(unit) ** 2))
    for start in range(0, len(times), step):
        block = slice(start, start + step)
        N, P, noise, t = (a[block] for a in (problem.features, problem.samples, problem.noise, times))
        at = renormalise(problem.spectrum, N, P, unit / t[:, None])
        of = pairs(at)
        C = correlation(of, N, P, noise)
        test = found["test"][block] = bilinear(C, w, w)[:, 0]
        moved = at.s[..., None] * w * t[:, None, None]
        found["times"][block] = 2 * bilinear(C, moved, w)[:, 0] / test
        matrix = gradients(at, of, N, P, noise, by=("features",))["features"]
        found["features"][block] = bilinear(matrix, w, w)[:, 0] / test
    return found


def _integrate(
    spectrum: Spectrum,
    N: np.ndarray,
    P: np.ndarray,
    noise: np.ndarray,
    rule: Rule,
    digits: float,
    slopes: bool,
    parts: bool,
) -> dict[str, np.ndarray]:
    """Losses [batch, T] of one contour."""
    at = renormalise(spectrum, N, P, rule.s)
    w = rule.weights / rule.s[:, None]
    # the train loss is R_1 R_1' (C_0 + noise): the same matrix with other weights
    seen = at.R1[..., None] * w
    n = len(rule.s)
    found: dict[str, np.ndarray] = {}

    def add(name: str, matrix: np.ndarray, left: np.ndarray, right: np.ndarray) -> None:
        found[name] = found.get(name, 0.0) + bilinear(matrix, left, right)

    # every second node makes a rule too; poles of the filter, at the end, are no part of it
    share = np.where(np.arange(n) % 2 == 0, 2.0, 0.0)
    share[n - rule.lone :] = 1.0
    second, doubled = np.flatnonzero(share), share[:, None] * w
    columns = np.concatenate((second, n + second))
    size = np.empty((len(N), n))
    step = max(1, _BLOCK // (2 * n * len(N)))
    for start in range(0, n, step):
        rows = slice(start, start + step)
        of = pairs(at, rows)
        C = correlation(of, N, P, noise)
        own = np.arange(C.shape[1])
        size[:, rows] = np.sqrt(np.abs(C[:, own, n + start + own]))
        add("test", C, w[rows], w)
        taken = second[(second >= start) & (second < start + step)]
        add("coarse", C[:, taken[:, None] - start, columns], doubled[taken], doubled[second])
        add("train", C, seen[:, rows], seen)
        if parts:
            for name in PARTS[1:]:
                add(name, correlation(of, N, P, noise, name), w[rows], w)
        if slopes:
            if rule.moving is not None:
                add("slope_times", C, 2 * (rule.moving / rule.s[:, None])[rows], w)
            for name, matrix in gradients(at, of, N, P, noise).items():
                add(f"slope_{name}", matrix, w[rows], w)
    test = found["test"]
    found["train"] += noise[:, None] * (2 * np.real(seen.sum(axis=-2))) ** 2
    most = (2 * size @ np.abs(w)) ** 2
    found["error"] = _error(test, found.pop("coarse"), most, digits)
    found["error"] += np.nan_to_num(at.gap, nan=np.inf)[:, None] * np.abs(test)
    return found


def _error(value: np.ndarray, coarse: np.ndarray, most: np.ndarray, digits: float) -> np.ndarray:
    """Estimate the error from every second node, whose error is about the square root of that of all of them."""
    with np.errstate(all="ignore"):
        apart = np.nan_to_num(np.abs(coarse - value) / np.abs(value))  # a loss of zero is right
    relative = np.maximum(np.minimum(_SAFETY * apart**2, apart), max(_MARGIN * 10.0**-digits, _CLAIMED))
    return np.abs(value) * relative + _ROUNDING * most


def _ends(problem: RandomFeatures, times: np.ndarray, store: _Store) -> None:
    """Fill in time zero and the limit of late times; slopes and parts of the limit are not known in closed form here."""
    start, late = times == 0, np.isinf(times)
    signal = problem.spectrum.signal
    for name, kept in store.values.items():
        if name == "train":
            kept[:, start] = signal + problem.noise.reshape(-1, 1)
        elif name == "error":
            kept[:, start | late] = 0.0
        elif name.startswith("slope"):
            kept[:, start] = 0.0
        else:
            kept[:, start] = signal
    if late.any():
        for name, end in zip(("test", "train"), static_loss(problem), strict=True):
            store.values[name][:, late] = end.reshape(-1, 1)


def _no_bottleneck(
    problem: RandomFeatures,
    optimizer: Optimizer,
    times: np.ndarray,
    inner: np.ndarray,
    endless: np.ndarray,
    store: _Store,
) -> None:
    """N = P = inf: each mode learns by itself, L = sum_k lambda_k w_k^2 p_t(lambda_k)^2."""
    x, (_, power) = problem.spectrum.eigenvalues, problem.spectrum.weights
    left = optimizer.filter(x, times[inner])
    loss = (left**2) @ power
    where = np.ix_(endless, inner)
    noise = problem.noise.reshape(-1)[endless][:, None]
    for name, kept in store.values.items():
        if name == "error":
            kept[where] = 0.0
        elif name == "train":
            kept[where] = loss + noise
        elif name == "slope_times":
            kept[where] = -2 * ((left**2) @ (power * x)) if isinstance(optimizer, GradientFlow) else np.nan
        else:
            kept[where] = 0.0 if name.startswith("slope") else loss


def checked_times(times: Any, optimizer: Optimizer) -> np.ndarray:
    """Times as an array [T]; a discrete optimizer has whole numbers of steps."""
    try:
        array = np.atleast_1d(np.asarray(times, dtype=float))
    except (TypeError, ValueError):
        raise TheoryError(f"times are {times!r}; give one or more numbers, zero or later") from None
    if array.ndim != 1 or not array.size:
        raise TheoryError(f"times have shape {array.shape}; give a list of numbers")
    if not np.all(array >= 0):
        raise TheoryError(f"times must be zero or later, got {array[~(array >= 0)][0]:g}")
    if np.any(array > optimizer.last):
        raise TheoryError(
            f"time {array.max():g} lies beyond the {optimizer.last:g} steps of the schedule; give a longer one, or earlier times"
        )
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
