"""How much data and how large a model an infinitely wide teacher needs: an information-theoretic bound and its best split.

    loss(p, T) = a K d/p + b d K ln(1 + p/(d K)) ln(1 + T/(d K))/T        nats per sample above the entropy of the labels

The first term is what a model of p parameters misses of the teacher, the second what T samples leave unknown about the model.
Derivation: docs/theory/information.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import linalg

from scalinglens.errors import TheoryError

__all__ = ["Allocation", "Bound", "Misspecification", "bayes_excess_log_loss", "info_bound", "info_optimal_allocation"]
__all__ += ["misspecification"]


@dataclass(frozen=True, eq=False)
class Bound:
    """The bound and its two parts, nats per sample; arrays of the shape of the question."""

    misspecification: np.ndarray
    estimation: np.ndarray

    @property
    def total(self) -> np.ndarray:
        """Their sum."""
        return self.misspecification + self.estimation


@dataclass(frozen=True, eq=False)
class Allocation:
    """The best split of compute C = p T: parameters p, samples T, the bound in nats per sample, and d ln p/d ln C."""

    flops: np.ndarray
    params: np.ndarray
    samples: np.ndarray
    bound: np.ndarray
    slope: np.ndarray


@dataclass(frozen=True, eq=False)
class Misspecification:
    """What n units drawn from a teacher miss of it, means over draws.

    Attributes:
        mse: E (F - F_n)^2. divergence: KL(P(Y|F) || P(Y|F_n)), nats. distinct: how many different units were drawn.
        mse_stderr: standard error of `mse`.
    """

    mse: float
    mse_stderr: float
    divergence: float
    distinct: float


def info_bound(params: Any, samples: Any, *, dimension: Any, complexity: Any, a: float = 0.5, b: float = 1.0) -> Bound:
    """Return the bound on the excess log-loss of the best learner with p parameters after T samples.

    Args:
        params: p, positive. samples: T, positive.
        dimension: d, of the input. complexity: K, concentration of the teacher's units; both positive.
        a, b: constants of the two terms, not fixed by the derivation; a is Var_1/(8 K) with the variance of one unit.

    Returns:
        The `Bound`.

    Raises:
        TheoryError: what is not positive.

    Source: Jeon and Van Roy 2022 (arXiv 2212.01365); the form derived in docs/theory/information.md.

    >>> float(info_bound(1e4, 1e6, dimension=10, complexity=10).total.round(6))
    0.009251
    """
    p, T, d, K = _positive(params=params, samples=samples, dimension=dimension, complexity=complexity)
    _positive(a=a, b=b)
    size = d * K
    return Bound(a * size / p, b * size * np.log1p(p / size) * np.log1p(T / size) / T)


def info_optimal_allocation(
    flops: Any, *, dimension: Any, complexity: Any, a: float = 0.5, b: float = 1.0
) -> Allocation:
    """Return the p and T with p T = C for which the bound is least.

    Its share of the model grows with d K; ln p rises with ln C by less than 1/2 and reaches it only logarithmically.

    Args:
        flops: C, parameters times samples. The rest as in `info_bound`.

    Returns:
        The `Allocation`.

    Cost: sixty evaluations of the bound.

    Source: Jeon and Van Roy 2022 (arXiv 2212.01365), the linear relation of the best p and T up to logarithms.

    >>> found = info_optimal_allocation(1e8, dimension=10, complexity=10)
    >>> round(float(found.params / found.samples), 4), round(float(found.slope), 3)
    (0.0234, 0.396)
    """
    C, d, K = _positive(flops=flops, dimension=dimension, complexity=complexity)

    def best(budget: np.ndarray) -> np.ndarray:
        """ln p where the slope of the bound by ln p vanishes; the slope rises, so bisection with Newton's safety."""
        size = d * K
        low, high = np.log(size) - 40.0, np.log(budget) + np.log1p(budget / size) + 40.0
        for _ in range(120):
            x = (low + high) / 2
            p = np.exp(x)
            T = budget / p
            left, right = np.log1p(p / size), np.log1p(T / size)
            # T = C/p falls as p rises: d/dln p of p left right, over C, against a size/p
            slope = -a * size / p + b * size / T * (left * right + p / (p + size) * right - T / (T + size) * left)
            low, high = np.where(slope < 0, x, low), np.where(slope < 0, high, x)
        return (low + high) / 2

    h = 1e-3
    middle = best(C)
    slope = (best(C * math.exp(h)) - best(C * math.exp(-h))) / (2 * h)
    p = np.exp(middle)
    bound = info_bound(p, C / p, dimension=d, complexity=K, a=a, b=b).total
    return Allocation(C, p, C / p, bound, slope)


def bayes_excess_log_loss(
    X: Any, y: Any, *, prior_variance: float, noise_variance: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the cumulative excess log-loss of the Bayes predictor and the mutual information of weights and labels, nats.

    sum_t E[-ln p(y_t | y_<t)] - entropy = I(w; y_1..T) = 1/2 ln det(1 + (prior/noise) X X'), the chain rule, exact.

    Args:
        X: inputs [T, d]. y: labels [..., T] of y = X w + noise, one row per draw.
        prior_variance: of each weight. noise_variance: of the labels.

    Returns:
        Excess log-loss up to each sample [..., T], and the information [T].

    Raises:
        TheoryError: shapes that do not go together, variances that are not positive.

    Cost: one Cholesky factorisation of size T.

    >>> X, y = np.ones((2, 1)), np.zeros(2)
    >>> bayes_excess_log_loss(X, y, prior_variance=1.0, noise_variance=1.0)[1].round(4).tolist()    # ln(2)/2, ln(3)/2
    [0.3466, 0.5493]
    """
    X, y = np.asarray(X, dtype=float), np.asarray(y, dtype=float)
    if X.ndim != 2 or not y.ndim or y.shape[-1] != len(X):
        raise TheoryError(f"X has shape {X.shape} and y {y.shape}; X is [T, d], y [..., T]")
    if not (np.all(np.isfinite(X)) and np.all(np.isfinite(y))):
        raise TheoryError("X and y are finite numbers; drop the samples that are not")
    prior, noise = _positive(prior_variance=prior_variance, noise_variance=noise_variance)
    # the diagonal of the factor holds the predictive deviations, its solution the standardised surprises
    L = linalg.cholesky(prior * (X @ X.T) + noise * np.eye(len(X)), lower=True)
    ratio = np.diagonal(L) ** 2 / noise
    surprise = linalg.solve_triangular(L, y.reshape(-1, len(X)).T, lower=True).T.reshape(y.shape)
    information = np.cumsum(0.5 * np.log(ratio))
    return np.cumsum(0.5 * np.log(ratio) + 0.5 * surprise**2 - 0.5, axis=-1), information


def misspecification(
    units: int,
    *,
    dimension: int,
    complexity: float,
    atoms: int = 0,
    repeats: int = 50,
    inputs: int = 400,
    seed: int = 0,
) -> Misspecification:
    """Draw teachers of endless width, keep n of their units, and return what is lost.

    F(x) = sqrt(K) sum_i p_i s_i relu(w_i x), p a Dirichlet process of concentration K, |w_i| = 1, s_i = +-1; F_n is the mean of n
    units drawn from p. E (F - F_n)^2 = Var_1/n, the divergence is at most an eighth of it, and K ln(1 + n/K) units differ.

    Args:
        units: n, the width kept. dimension: d. complexity: K.
        atoms: units that stand for the endless teacher, by default 200 K.
        repeats: teachers. inputs: standard normal inputs of each. seed: of them.

    Returns:
        The `Misspecification`.

    Raises:
        TheoryError: what is not positive.

    Source: Jeon and Van Roy 2022 (arXiv 2212.01365), the teacher; the Dirichlet process cut at a finite number of units.

    >>> found = misspecification(64, dimension=10, complexity=50)
    >>> found.divergence < found.mse / 8
    True
    """
    _positive(units=units, dimension=dimension, complexity=complexity, repeats=repeats, inputs=inputs)
    m = atoms or math.ceil(200 * complexity)
    rng = np.random.default_rng(seed)
    rows = np.empty((repeats, 3))
    for row in rows:
        p = rng.standard_gamma(complexity / m, m)
        p /= p.sum()
        kept = np.flatnonzero(p > 1e-12)
        p = p[kept] / p[kept].sum()
        w = rng.standard_normal((len(kept), dimension))
        w /= np.linalg.norm(w, axis=1, keepdims=True)
        signs = rng.choice([-1.0, 1.0], len(kept))
        counts = rng.multinomial(units, p)
        out = math.sqrt(complexity) * signs * np.maximum(rng.standard_normal((inputs, dimension)) @ w.T, 0.0)
        F, G = out @ p, out @ (counts / units)
        true, other = 1 / (1 + np.exp(-F)), np.logaddexp(0, -G) - np.logaddexp(0, -F)
        row[:] = ((F - G) ** 2).mean(), (true * other + (1 - true) * (other + G - F)).mean(), np.count_nonzero(counts)
    mean = rows.mean(axis=0)
    spread = float(rows[:, 0].std(ddof=1) / math.sqrt(repeats)) if repeats > 1 else math.nan
    return Misspecification(float(mean[0]), spread, float(mean[1]), float(mean[2]))


def _positive(**given: Any) -> list[np.ndarray]:
    arrays = []
    for name, value in given.items():
        try:
            array = np.asarray(value, dtype=float)
        except (TypeError, ValueError):
            raise TheoryError(f"{name} is {value!r}; it is a number") from None
        if not array.size or not np.all((array > 0) & np.isfinite(array)):
            raise TheoryError(f"{name} is {value!r}; it is positive and finite")
        arrays.append(array)
    return arrays
