"""`MeasuredSpectrum`: the spectrum of a data set, from its kernel matrix and targets, freed of the bias of finite samples.

The eigenvalues of a kernel matrix of n samples are not those of the kernel, and the power that its eigenvectors find in the
targets is partly noise. What n samples do show without that bias is how the matrix answers a ridge rho: with
R = mean_i rho/(l_i + rho) over the eigenvalues l_i of K/n and residual power E = sum_i (rho/(l_i + rho))^2 (u_i . y)^2/n,

    kappa = rho/R,    D(kappa) = n (1 - R) = sum_k lambda_k/(lambda_k + kappa),
    T(kappa) = E/(R^2 dkappa/drho) = sum_k v_k (kappa/(lambda_k + kappa))^2 + sigma^2

hold for the kernel itself, at every kappa down to that of rho = 0. Multiplicities and powers that are not negative and have these
sums are the spectrum: everything a theory of P < n samples needs. sigma^2 holds the noise and what n samples cannot resolve.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import lsq_linear, nnls
from scipy.stats import t as student

from scalinglens.errors import WorldError
from scalinglens.fit.estimate import Estimate, check_level
from scalinglens.numerics.processes import single_threaded_blas
from scalinglens.worlds.spectra import Spectrum

__all__ = ["MeasuredSpectrum", "measure_features", "measure_kernel"]

FEWEST = 40  # samples
HALVES = 40  # half-samples behind the intervals
_PER_DECADE = 12  # ridges, and candidates for eigenvalues
_LEADING = 20  # eigenvalues of the matrix that are candidates too
_BEYOND = 30.0  # candidates reach that far below the least kappa and
_ABOVE = 1.3  # that far above the largest eigenvalue
_RANK = 1e-12  # of the largest eigenvalue: below it there is rounding only
_WINDOW = (5, 0.25)  # ranks of the slopes: from the fifth to a quarter of the samples
_SATURATED = 1.8  # of (a - 1)/b: near 2 the sums T fall as kappa^2 whatever a is
_MISFIT = 0.03
_SMALL = 1000  # samples
_STEPS = 10  # of the active set, per candidate


@dataclass(frozen=True, eq=False)
class MeasuredSpectrum:
    """What a data set shows of its spectrum.

    Attributes:
        spectrum: few modes with multiplicities that have the sums of the data.
        noise: variance that no kernel of these samples explains: label noise, and modes too fine to be seen.
        source, capacity: a and b of power laws through the window, with intervals.
        window: first and last rank of the slopes.
        samples: n.
        eigenvalues, power: of the matrix as it is, biased, largest first [r].
        ranks, ridges, residuals: D, kappa and T, what was measured [R].
        misfit: relative root mean square by which the spectrum misses D and T.
        warnings: what a reader should know.
    """

    spectrum: Spectrum
    noise: float
    source: Estimate
    capacity: Estimate
    window: tuple[float, float]
    samples: int
    eigenvalues: np.ndarray
    power: np.ndarray
    ranks: np.ndarray
    ridges: np.ndarray
    residuals: np.ndarray
    misfit: tuple[float, float]
    warnings: tuple[str, ...] = ()

    @property
    def resolution(self) -> float:
        """The least kappa that the samples resolve."""
        return float(self.ridges[0])

    def to_dict(self) -> dict[str, Any]:
        """Return the measurement as plain data."""
        return {
            "schema": 1,
            "samples": self.samples,
            "window": list(self.window),
            "noise": self.noise,
            "signal": self.spectrum.signal,
            **{
                name: {
                    "value": known.value if math.isfinite(known.value) else None,
                    "low": known.low,
                    "high": known.high,
                    "level": known.level,
                }
                for name, known in (("source", self.source), ("capacity", self.capacity))
            },
            "eigenvalues": self.spectrum.eigenvalues.tolist(),
            "target_power": self.spectrum.target_power.tolist(),
            "multiplicity": np.asarray(self.spectrum.multiplicity).tolist(),
            "misfit": list(self.misfit),
            "warnings": list(self.warnings),
        }

    def __repr__(self) -> str:
        a, b = (known.says() if math.isfinite(known.value) else "not known" for known in (self.source, self.capacity))
        lines = [
            f"spectrum measured on {self.samples} samples",
            f"  source a    {a}",
            f"  capacity b  {b}    ranks {self.window[0]:.3g} to {self.window[1]:.3g}",
            f"  signal      {self.spectrum.signal:.4g}    noise and what is not resolved {self.noise:.4g}",
        ]
        return "\n".join([*lines, *(f"  ! {warning}" for warning in self.warnings)])


def measure_kernel(
    kernel: Any,
    targets: Any,
    *,
    window: tuple[float, float] | None = None,
    halves: int = HALVES,
    level: float = 0.9,
    seed: int = 0,
) -> MeasuredSpectrum:
    """Measure the spectrum of a kernel on a data set.

    b = -d ln kappa/d ln D and a - 1 = -d ln(T - sigma^2)/d ln D by least squares over the window: slopes of eigenvalue by rank
    and of the tail sum of the power, both softened by the kernel of the ridge.

    Args:
        kernel: K(x_i, x_j) [n, n], symmetric and positive. targets: y [n] or [n, outputs]; the powers of outputs add up.
        window: first and last rank of the slopes; by default 5 and n/4.
        halves: half-samples behind the intervals, 0 for none. Half of the samples without replacement deviate from all of them
            as all of them do from the truth; samples with replacement would make the matrix singular.
        level: probability of the intervals. seed: of the half-samples.

    Returns:
        The `MeasuredSpectrum`.

    Raises:
        WorldError: a matrix that is no kernel, targets that do not fit it, too few samples, a window outside of them.

    Cost: one eigendecomposition of n by n, and an eighth of it for each half-sample.

    Source: deterministic equivalents of kernel ridge regression, Atanasov, Zavatone-Veth and Pehlevan 2024 (arXiv 2405.00592);
        T is the generalised cross-validation of Golub, Heath and Wahba 1979.

    >>> rng = np.random.default_rng(0)
    >>> k = np.arange(1.0, 1001)
    >>> modes = rng.standard_normal((300, 1000)) * k**-0.625
    >>> found = measure_kernel(modes @ modes.T, modes @ k**-0.125 + rng.standard_normal(300) * 0.3, halves=0)
    >>> abs(found.capacity.value - 1.25) < 0.2
    True
    """
    K, Y = _kernel(kernel), _targets(targets)
    n = len(K)
    if len(Y) != n:
        raise WorldError(f"there are {len(Y)} targets for a kernel of {n} samples; give one row of targets per sample")
    if n < FEWEST:
        raise WorldError(f"{n} samples show no spectrum; measure on at least {FEWEST}")
    check_level(level)
    if isinstance(halves, bool) or not isinstance(halves, int) or halves < 0 or halves == 1:
        raise WorldError(f"halves is {halves!r}; it is a number of half-samples, 0 for none or at least 2")
    low, high = (_WINDOW[0], _WINDOW[1] * n) if window is None else window
    if not 1 <= low < high / 1.5 or high > 0.45 * n:
        raise WorldError(
            f"the window of ranks {low:g} to {high:g} is not inside 1 to {0.45 * n:g} with a ratio above 1.5"
        )
    # small matrices gain nothing from more threads, and lose much on a busy machine
    with single_threaded_blas() if n <= _SMALL else nullcontext():
        whole = _Seen.of(K, Y, (low, high))
    errors = np.full(2, np.nan)
    if halves:
        rng = np.random.default_rng(seed)
        draws = [np.sort(rng.permutation(n)[: n // 2]) for _ in range(halves)]
        with single_threaded_blas() if n <= 2 * _SMALL else nullcontext():
            slopes = np.array([_Seen.of(K[np.ix_(at, at)], Y[at], (low, high)).slopes for at in draws])
        known = np.isfinite(slopes).all(axis=1)
        if known.sum() > halves // 2:
            errors = slopes[known].std(axis=0, ddof=1)
    reach = float(student.ppf((1 + level) / 2, max(halves - 1, 1)))
    a, b = (_estimate(value, error * reach, level) for value, error in zip(whole.slopes, errors, strict=True))
    told = []
    if max(whole.misfit) > _MISFIT:
        told.append(
            f"no spectrum has the sums of this matrix: they are missed by {max(whole.misfit):.1%}; the samples may not be "
            "independent"
        )
    if not np.all(np.isfinite(whole.slopes)):
        told.append(
            f"the data have no ranks from {low:g} to {high:g} with power in them, so a and b are not known; choose a window"
        )
    if whole.slopes[0] - 1 > _SATURATED * whole.slopes[1]:
        told.append("a - 1 is close to 2b, where these sums cannot tell it from a larger one: read a as a lower bound")
    if whole.noise == 0:
        told.append("no noise was found; it is below what these samples resolve")
    return MeasuredSpectrum(
        whole.spectrum, whole.noise, a, b, (low, high), n, whole.l, whole.p, whole.D, whole.kappa, whole.T,
        whole.misfit, tuple(told),
    )  # fmt: skip


def measure_features(features: Any, targets: Any, **options: Any) -> MeasuredSpectrum:
    """Measure the spectrum of the kernel F F^T of a feature matrix.

    Args:
        features: F [n, any], rows are samples. targets, options: as in `measure_kernel`.

    Returns:
        The `MeasuredSpectrum`.

    Raises:
        WorldError: as `measure_kernel`.

    >>> rng = np.random.default_rng(0)
    >>> F = rng.standard_normal((200, 400)) / np.arange(1, 401)
    >>> print(measure_features(F, F[:, 0], halves=0).samples)
    200
    """
    F = _matrix("features", features)
    return measure_kernel(F @ F.T, targets, **options)


@dataclass(frozen=True, eq=False)
class _Seen:
    """What one sample shows: eigenvalues l and powers p, kappa, D, T, and the spectrum with these sums."""

    l: np.ndarray
    p: np.ndarray
    kappa: np.ndarray
    D: np.ndarray
    T: np.ndarray
    spectrum: Spectrum
    noise: float
    misfit: tuple[float, float]
    slopes: tuple[float, float]

    @staticmethod
    def of(K: np.ndarray, Y: np.ndarray, window: tuple[float, float]) -> _Seen:
        n = len(K)
        l, U = np.linalg.eigh(K / n)
        if l[-1] <= 0 or l[0] < -1e-6 * l[-1]:
            raise WorldError(
                f"the kernel has an eigenvalue of {l[0] * n:.4g} where the largest is {l[-1] * n:.4g}; a kernel matrix has none "
                "below zero"
            )
        p = ((U.T @ Y) ** 2).sum(axis=1) / n
        l, p = l[::-1], p[::-1]
        seen = l > _RANK * l[0]
        l = np.where(seen, l, 0.0)
        low, high = float(l[seen][-1]) / 3, float(l[0]) * 3
        rho = np.geomspace(low, high, int(_PER_DECADE * math.log10(high / low)) + 8)
        left = rho[:, None] / (l + rho[:, None])
        R = left.mean(axis=1)
        kappa, D = rho / R, (1 - left).sum(axis=1)
        # dkappa/drho = 1/R - rho R'/R^2
        growth = 1 / R - rho * (l / (l + rho[:, None]) ** 2).mean(axis=1) / R**2
        T = (left**2 @ p) / (R**2 * growth)
        spectrum, noise, misfit = _unfold(kappa, D, T, l)
        return _Seen(l[seen], p[seen], kappa, D, T, spectrum, noise, misfit, _slopes(kappa, D, T - noise, window))


def _unfold(
    kappa: np.ndarray, D: np.ndarray, T: np.ndarray, l: np.ndarray
) -> tuple[Spectrum, float, tuple[float, float]]:
    """The spectrum of not negative multiplicities and powers with these sums, each fitted by its relative error."""
    low, high = kappa[0] / _BEYOND, l[0] * _ABOVE
    grid = np.geomspace(low, high, int(_PER_DECADE * math.log10(high / low)) + 2)
    at = np.unique(np.concatenate((grid, l[: min(_LEADING, len(l) // 4)])))
    many, off = _not_negative(at / (kappa[:, None] + at) / D[:, None])
    at, many = at[many > 0], many[many > 0]
    shape = (kappa[:, None] / (kappa[:, None] + at)) ** 2
    found, missed = _not_negative(np.column_stack((shape, np.ones(len(kappa)))) / T[:, None])
    scale = math.sqrt(len(D))
    return Spectrum(at, found[:-1] / many, many), float(found[-1]), (float(off) / scale, float(missed) / scale)


def _not_negative(parts: np.ndarray) -> tuple[np.ndarray, float]:
    """Coefficients of zero or more with which the parts [R, k] add up to ones, and by how much they do not."""
    ones = np.ones(len(parts))
    try:
        found, off = nnls(parts, ones, maxiter=_STEPS * parts.shape[1])
    except RuntimeError:  # parts that are nearly alike can take turns without end
        known = lsq_linear(parts, ones, (0.0, np.inf), method="bvls")
        found, off = np.maximum(known.x, 0.0), math.sqrt(2 * known.cost)
    return found, float(off)


def _slopes(kappa: np.ndarray, D: np.ndarray, tail: np.ndarray, window: tuple[float, float]) -> tuple[float, float]:
    """a and b by least squares of logarithms at equal steps of ln D; NaN where the data do not reach over the window."""
    low, high = window
    if not D.min() <= low < high <= D.max():
        return math.nan, math.nan
    x = np.linspace(math.log(low), math.log(high), 25)
    order = np.argsort(D)
    by_rank = np.interp(x, np.log(D[order]), np.log(kappa[order]))
    b = -float(np.polyfit(x, by_rank, 1)[0])
    with np.errstate(all="ignore"):
        by_tail = np.interp(x, np.log(D[order]), np.log(np.where(tail > 0, tail, np.nan))[order])
    known = np.isfinite(by_tail)
    a = 1 - float(np.polyfit(x[known], by_tail[known], 1)[0]) if known.sum() > 2 else math.nan
    return a, b


def _estimate(value: float, reach: float, level: float) -> Estimate:
    if not math.isfinite(reach):
        return Estimate(float(value))
    return Estimate(float(value), float(value - reach), float(value + reach), level, "half-samples")


def _matrix(name: str, values: Any) -> np.ndarray:
    try:
        array = np.asarray(values, dtype=float)
    except (TypeError, ValueError):
        raise WorldError(f"{name} is {type(values).__name__}, no matrix of numbers") from None
    if array.ndim != 2 or not array.size:
        raise WorldError(f"{name} has shape {array.shape}; it is a matrix with one row per sample")
    _finite(name, array)
    return array


def _finite(name: str, array: np.ndarray) -> None:
    wrong = ~np.isfinite(array)
    if wrong.any():
        where: Sequence[int] = [int(i) for i in np.argwhere(wrong)[0]]
        raise WorldError(
            f"{name} holds {int(wrong.sum())} values that are not finite, first at {tuple(where)}; drop those samples"
        )


def _kernel(values: Any) -> np.ndarray:
    K = _matrix("kernel", values)
    if K.shape[0] != K.shape[1]:
        raise WorldError(f"the kernel has shape {K.shape}; it is square. For a matrix of features use measure_features")
    uneven = float(np.abs(K - K.T).max())
    if uneven > 1e-6 * float(np.abs(K).max()):
        raise WorldError(f"the kernel is not symmetric: entries differ from their mirror by up to {uneven:.3g}")
    return (K + K.T) / 2


def _targets(values: Any) -> np.ndarray:
    try:
        Y = np.asarray(values, dtype=float)
    except (TypeError, ValueError):
        raise WorldError("targets are no numbers; encode classes as one column of 0 and 1 each") from None
    if Y.ndim not in (1, 2) or not Y.size:
        raise WorldError(f"targets have shape {Y.shape}; give one number, or one row, per sample")
    _finite("targets", Y)
    if not np.any(Y):
        raise WorldError("all targets are zero; there is nothing to learn")
    return Y.reshape(len(Y), -1)
