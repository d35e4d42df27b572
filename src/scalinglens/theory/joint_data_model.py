"""One kernel for random-feature regression at any size, any number of samples and any ridge: the planar limit.

Features phi = u x of latents x with covariance lambda, weights by ridge regression. With r_I = lambda_I/(lambda_I + kappa),
z = sum r_I and q = sum r_I^2,

    ridge = var_u kappa (N - z)(T - z)
    loss + noise = [sum_I v_I ((1 - r_I) - r_I (1 - r_I)(N - z)/(N - q)) + noise] / [1 - (q (N - 2z) + z^2)/(T (N - q))]

The model of Maloney, Roberts and Sully 2022 is `joint_data_power_law.isotropic_teacher`; Zhang 2024 sums the same planar
diagrams. Derivation, and the forms without cancellation that the code uses: docs/theory/joint_data_model.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from scalinglens.errors import TheoryError
from scalinglens.theory.numbers import together
from scalinglens.theory.random_features.renormalised import resolution
from scalinglens.worlds.spectra import Spectrum

__all__ = [
    "JointLosses",
    "PlanarTraces",
    "duality_gap",
    "joint_losses",
    "optimal_ridge",
    "planar_traces",
]

_CHUNK = 1 << 20  # numbers of one block, problems times modes
_STEPS = 200
_CLOSE = 1e-8  # a step of Newton's method squares it
_GRID = 49  # ridges of the coarse search for the best one
_NARROW = 44  # golden sections: the bracket shrinks to 1e-9


@dataclass(frozen=True, eq=False)
class PlanarTraces:
    """Traces of the averaged resolvent, for a batch of problems.

    Attributes:
        features, samples, ridge: the problem.
        kappa: the renormalised ridge. df1, df2: z and q, the degrees of freedom.
        free_features: s_N = <tr ridge (ridge + Phi Phi')^-1> = N - z.
        free_samples: s_T = <tr ridge (ridge + Phi' Phi)^-1> = T - z.
        ladder: D/(N T) with D = N T - q (N + T) + 2 q z - z^2; the sum of the ladder diagrams is its inverse.
    """

    features: np.ndarray
    samples: np.ndarray
    ridge: np.ndarray
    kappa: np.ndarray
    df1: np.ndarray
    df2: np.ndarray
    free_features: np.ndarray
    free_samples: np.ndarray
    ladder: np.ndarray


@dataclass(frozen=True, eq=False)
class JointLosses:
    """Losses of a batch of problems, mean squares; `test` = `signal` + `label_noise` is without the noise of fresh labels.

    Attributes:
        traces: the problem with its ridge, and the traces that the losses are made of.
        signal: what is missing of the target. label_noise: what the noise in the labels adds.
        train: on the training set, with its noise.
    """

    traces: PlanarTraces
    signal: np.ndarray
    label_noise: np.ndarray
    train: np.ndarray

    @property
    def test(self) -> np.ndarray:
        """The test loss, without the noise of fresh labels."""
        return self.signal + self.label_noise

    def to_frame(self) -> pd.DataFrame:
        """Return one row per problem."""
        known = {name: np.ravel(values) for name, values in vars(self.traces).items()}
        losses = {name: np.ravel(getattr(self, name)) for name in ("test", "signal", "label_noise", "train")}
        return pd.DataFrame(known | losses)


def planar_traces(
    spectrum: Spectrum, *, features: Any, samples: Any, ridge: Any = 0.0, feature_variance: Any = None
) -> PlanarTraces:
    """Solve ridge = feature_variance kappa (N - z)(T - z) for kappa; arguments as in `joint_losses`.

    Source: Zhang 2024 (arXiv 2405.19398).

    >>> found = planar_traces(Spectrum([1.0], [1.0]), features=2, samples=3, ridge=1.0, feature_variance=1.0)
    >>> bool(np.isclose(found.kappa * found.free_features * found.free_samples, 1.0))
    True
    """
    problem = _Problem.read(spectrum, features, samples, ridge, feature_variance)
    delta = _solve(problem)
    return _traces(problem, delta, problem.sums(delta), problem.ridge)


def joint_losses(
    spectrum: Spectrum,
    *,
    features: Any,
    samples: Any,
    ridge: Any = 0.0,
    noise: Any = 0.0,
    feature_variance: Any = None,
) -> JointLosses:
    """Return test and train loss of ridge regression on random features, in the planar limit.

    Weights minimise sum_samples (theta phi - y)^2 + ridge theta^2; arrays go together as NumPy broadcasts them.

    Args:
        spectrum: eigenvalues of the latents' covariance and target power.
        features, samples: N and T, 1 or more, inf allowed.
        ridge: 0 or more, in units of a sum of squares over samples; 0 is the limit from above.
        noise: variance of the label noise.
        feature_variance: variance of an entry of u; by default 1/features, the normalised features of a kernel limit.

    Returns:
        The `JointLosses`; endless at the peak features = samples without ridge.

    Raises:
        TheoryError: sizes below 1, a negative ridge or noise, endless features with a variance.

    Cost: some ten sums over the modes per problem.

    Source: Maloney, Roberts and Sully 2022 (arXiv 2210.16859); Zhang 2024 (arXiv 2405.19398).

    >>> from scalinglens.theory.joint_data_power_law import isotropic_teacher
    >>> known = isotropic_teacher(1.0, 1200, outputs=10)
    >>> found = joint_losses(known, features=[100, 300], samples=[300, 100], feature_variance=1 / 1200)
    >>> found.test.round(10).tolist()
    [0.0001421435, 0.0001421435]
    """
    problem = _Problem.read(spectrum, features, samples, ridge, feature_variance)
    extra = together(noise=(noise, 0.0), features=(problem.features, 1.0))["noise"]
    if extra.shape != problem.features.shape:
        problem = _Problem.read(spectrum, *(a + 0 * extra for a in problem.sizes), problem.variance)
    return _losses(problem, _solve(problem), extra, problem.ridge)


def duality_gap(
    spectrum: Spectrum,
    *,
    features: Any,
    samples: Any,
    ridge: Any = 0.0,
    noise: Any = 0.0,
    feature_variance: Any = 1.0,
) -> np.ndarray:
    """Return L(N, T) - L(T, N) at the same ridge and feature variance: zero without label noise.

    Source: Zhang 2024 (arXiv 2405.19398).

    >>> from scalinglens.theory.joint_data_power_law import isotropic_teacher
    >>> known = isotropic_teacher(1.0, 1200, outputs=10)
    >>> gap = duality_gap(known, features=300, samples=100, ridge=1e-3, noise=0.005, feature_variance=1 / 1200)
    >>> round(float(gap), 9)
    0.003253512
    """
    if feature_variance is None:
        raise TheoryError("the duality holds at one feature variance; the default 1/features changes with the exchange")
    given = {"ridge": ridge, "noise": noise, "feature_variance": feature_variance}
    one = joint_losses(spectrum, features=features, samples=samples, **given)
    return one.test - joint_losses(spectrum, features=samples, samples=features, **given).test


def optimal_ridge(
    spectrum: Spectrum, *, features: Any, samples: Any, noise: Any = 0.0, feature_variance: Any = None
) -> JointLosses:
    """Return the losses at the ridge that makes the test loss least, by a search over kappa.

    Args: as in `joint_losses`.

    Returns:
        The `JointLosses`; `traces.ridge` is the best one, 0 where none helps (always for endless samples).

    Cost: some hundred sums over the modes per problem.

    >>> from scalinglens.theory.joint_data_power_law import isotropic_teacher
    >>> known = isotropic_teacher(1.0, 20000)
    >>> found = optimal_ridge(known, features=200, samples=200, feature_variance=1 / 20000)
    >>> bool(np.isclose(found.traces.ridge, np.pi**2 / (4 * 20000), rtol=0.02))    # closed form for endless modes
    True
    """
    parts = together(features=(features, 1.0), samples=(samples, 1.0), noise=(noise, 0.0))
    problem = _Problem.read(spectrum, parts["features"], parts["samples"], 0.0, feature_variance)
    extra = parts["noise"] + np.zeros(problem.features.shape)
    floor = np.where(problem.kappa0 > 0, problem.kappa0, spectrum.eigenvalues.min())
    low = np.log(floor) - 30.0
    high = np.log(1e3 * spectrum.trace * (1 + extra / max(spectrum.signal, 1e-300)))

    def loss(x: np.ndarray) -> np.ndarray:
        return _losses(problem, np.exp(x), extra).test

    grid = low + (high - low) * np.linspace(0, 1, _GRID).reshape(-1, *(1,) * low.ndim)
    best = np.argmin(np.stack([loss(x) for x in grid]), axis=0)
    spacing = (high - low) / (_GRID - 1)
    a, b = low + np.maximum(best - 1, 0) * spacing, low + np.minimum(best + 1, _GRID - 1) * spacing
    ratio = (math.sqrt(5) - 1) / 2
    c, d = b - ratio * (b - a), a + ratio * (b - a)
    at_c, at_d = loss(c), loss(d)
    for _ in range(_NARROW):
        left = at_c < at_d
        a, b = np.where(left, a, c), np.where(left, d, b)
        new = np.where(left, b - ratio * (b - a), a + ratio * (b - a))
        c, d, at_new = np.where(left, new, d), np.where(left, c, new), loss(new)
        at_c, at_d = np.where(left, at_new, at_d), np.where(left, at_c, at_new)
    delta = np.exp((a + b) / 2)
    none = loss(np.full(delta.shape, -np.inf)) <= loss(np.log(delta)) * (1 + 1e-12)
    return _losses(problem, np.where(none, 0.0, delta), extra)


@dataclass(frozen=True, eq=False)
class _Problem:
    """Checked arrays of one shape; `variance` is None or an array, `kappa0` is kappa without ridge."""

    spectrum: Spectrum
    features: np.ndarray
    samples: np.ndarray
    ridge: np.ndarray
    variance: np.ndarray | None
    kappa0: np.ndarray

    @property
    def sizes(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return self.features, self.samples, self.ridge

    @classmethod
    def read(cls, spectrum: Spectrum, features: Any, samples: Any, ridge: Any, variance: Any) -> _Problem:
        if not isinstance(spectrum, Spectrum):
            kind = type(spectrum).__name__
            raise TheoryError(f"the spectrum is {kind}; pass power_law(a, b) or Spectrum(eigenvalues, target_power)")
        given = {"features": (features, 1.0), "samples": (samples, 1.0), "ridge": (ridge, 0.0)}
        if variance is not None:
            given["feature_variance"] = (variance, 0.0)
        parts = together(**given)
        spread = parts.get("feature_variance")
        if spread is not None and not (np.all(spread > 0) and np.all(np.isfinite(parts["features"]))):
            raise TheoryError(
                "a feature variance needs to be positive, and features finite; leave it out for endless features"
            )
        if not np.all(np.isfinite(parts["ridge"])):
            raise TheoryError(f"ridge is {ridge!r}; it is finite")
        N, T = parts["features"], parts["samples"]
        smaller, where = np.unique(np.minimum(N, T), return_inverse=True)
        kappa0 = resolution(spectrum, smaller)[where].reshape(N.shape)
        return cls(spectrum, N, T, parts["ridge"], spread, kappa0)

    @property
    def aim(self) -> np.ndarray:
        """Ridge over T and over N times the feature variance: kappa (1 - z/N)(1 - z/T)."""
        gain = 1.0 if self.variance is None else self.variance * self.features
        return self.ridge / (gain * self.samples)

    def only(self, which: np.ndarray) -> _Problem:
        """Some of the problems of a flat batch."""
        N, T, ridge = self.features[which], self.samples[which], self.ridge[which]
        return _Problem(self.spectrum, N, T, ridge, None, self.kappa0[which])

    def sums(self, delta: np.ndarray, *, losses: bool = True) -> dict[str, np.ndarray]:
        """What the losses are made of, at kappa = kappa0 + delta, without cancellation.

        free_*: 1 - z/N and 1 - z/T; they start from m - z = max(m - M, 0) + delta sum lambda/((kappa0 + lambda)(kappa + lambda)),
        m = min(N, T). z, q; between = z - q; A = sum v (1 - r), lost = sum v (1 - r)^2, both only where losses are wanted.
        """
        trace, power = self.spectrum.weights
        eigenvalues = self.spectrum.eigenvalues
        size = delta.size
        names = ("hidden", "z", "between", "A", "lost")
        out = {name: np.empty(size) for name in names}
        flat, start = delta.ravel(), self.kappa0.ravel()
        step = max(1, _CHUNK // len(eigenvalues))
        for first in range(0, size, step):
            block = slice(first, first + step)
            kappa = (start[block] + flat[block])[:, None]
            inverse = 1.0 / (eigenvalues + kappa)
            near = 1.0 / (eigenvalues + start[block][:, None])
            missing = kappa * inverse
            out["hidden"][block] = flat[block] * ((near * inverse) @ trace)
            out["z"][block] = inverse @ trace
            out["between"][block] = (missing * inverse) @ trace
            if losses:
                out["A"][block] = missing @ power
                out["lost"][block] = (missing * missing) @ power
        found = {name: values.reshape(delta.shape) for name, values in out.items()}
        hidden = found.pop("hidden")
        m = np.minimum(self.features, self.samples)
        if math.isfinite(self.spectrum.modes):
            hidden = hidden + np.where(np.isfinite(m), np.maximum(m - self.spectrum.modes, 0.0), 0.0)
        for name, own in (("features", self.features), ("samples", self.samples)):
            with np.errstate(invalid="ignore"):
                exact = ((own - m) + hidden) / own
            found[f"free_{name}"] = np.where(np.isfinite(own), exact, 1.0)
        return found


def _solve(problem: _Problem) -> np.ndarray:
    """delta = kappa - kappa0, by Newton's method in logarithms: ln ridge rises with ln delta by 1 to 3."""
    aim = problem.aim
    delta = np.zeros(aim.shape)
    some = aim > 0
    if not some.any():
        return delta
    N, T, start = (a[some] for a in (problem.features, problem.samples, problem.kappa0))
    part = _Problem(problem.spectrum, N, T, problem.ridge[some], None, start)
    target = np.log(aim[some])
    # beyond 2 trace/m both factors are above 1/2
    high = np.log(np.maximum(2 * problem.spectrum.trace / np.minimum(N, T), 4 * aim[some]))
    low = np.full(high.shape, -740.0)
    x = np.minimum(high, target)
    left = np.arange(len(x))  # problems that have not converged
    for _ in range(_STEPS):
        now = part.only(left)
        at = np.exp(x[left])
        sums = now.sums(at, losses=False)
        kappa, nn, tt = now.kappa0 + at, sums["free_features"], sums["free_samples"]
        off = np.log(kappa) + np.log(nn) + np.log(tt) - target[left]
        low[left], high[left] = np.where(off < 0, x[left], low[left]), np.where(off > 0, x[left], high[left])
        step = off * kappa / (at * (1 + sums["between"] * (1 / (now.features * nn) + 1 / (now.samples * tt))))
        next_ = x[left] - step
        inside = (next_ > low[left]) & (next_ < high[left])
        close = np.abs(step) <= _CLOSE
        x[left] = np.where(inside | close, next_, (low[left] + high[left]) / 2)
        left = left[~close]
        if not len(left):
            break
    delta[some] = np.exp(x)
    return delta


def _traces(
    problem: _Problem, delta: np.ndarray, sums: dict[str, np.ndarray], ridge: np.ndarray | None = None
) -> PlanarTraces:
    """The traces at kappa0 + delta; the ridge is the one given, or else the one that belongs to delta."""
    N, T = problem.features, problem.samples
    kappa, nn, tt = problem.kappa0 + delta, sums["free_features"], sums["free_samples"]
    gain = 1.0 if problem.variance is None else problem.variance * N
    if ridge is None:
        with np.errstate(invalid="ignore"):
            ridge = np.where((delta > 0) & np.isfinite(T), gain * kappa * nn * tt * T, 0.0)
    return PlanarTraces(
        features=N,
        samples=T,
        ridge=ridge,
        kappa=kappa,
        df1=sums["z"],
        df2=sums["z"] - sums["between"],
        free_features=N * nn,
        free_samples=T * tt,
        ladder=nn * tt + sums["between"] * (nn / T + tt / N),
    )


def _losses(problem: _Problem, delta: np.ndarray, noise: np.ndarray, ridge: np.ndarray | None = None) -> JointLosses:
    """Losses at kappa = kappa0 + delta.

    signal = [(1 - z/N) lost + (z - q) A/N]/(D/(N T)), label noise = noise [q (1 - z/N) + z (z - q)/N]/(T D/(N T))
    """
    sums = problem.sums(delta)
    known = _traces(problem, delta, sums, ridge)
    N, T, ladder = known.features, known.samples, known.ladder
    nn, between = sums["free_features"], sums["between"]
    with np.errstate(divide="ignore", invalid="ignore"):
        signal = (nn * sums["lost"] + between * sums["A"] / N) / ladder
        added = (known.df2 * nn + sums["z"] * between / N) / (T * ladder)
        extra = np.where(noise > 0, noise * added, 0.0)
        train = (signal + extra + noise) * sums["free_samples"] ** 2
        M = problem.spectrum.modes
        nothing = known.kappa == 0  # not more modes than features and samples, and no ridge: all is learned
        signal = np.where(nothing, 0.0, signal)
        limit = noise * np.where(np.isfinite(T), M / (T - M), 0.0)
        extra = np.where(nothing, np.where(noise > 0, limit, 0.0), extra)
        train = np.where(nothing, noise * np.where(np.isfinite(T), 1 - M / T, 1.0), train)
        at_peak = (ladder == 0) & ~nothing
        fits_all = (sums["free_samples"] == 0) & ~nothing
    signal = np.where(at_peak, np.inf, signal)
    extra = np.where(at_peak & (noise > 0), np.inf, extra)
    return JointLosses(known, signal, extra, np.where(fits_all, 0.0, train))
