"""The evidence for a model, read from how well it predicts each next example: no validation set is needed.

    log p(D)  = sum_i log E_i p(y_i | theta)                      E_i over the posterior of the examples before i
    bound L   = sum_i E_i log p(y_i | theta)                      <= log p(D)
    bound L_k = sum_i E_i log (1/k) sum_j p(y_i | theta_j)        k samples; rises with k from L to log p(D)

The plain bound L is biased to a small prior variance, because it fines the spread of the posterior before it has shrunk: choose
prior scales by the evidence itself or by L_k with k of 10 or more, which is the default here.

Source: Lyle, Schut, Ru, Gal and van der Wilk 2020 (arXiv 2010.14499); the formulas of the linear model were derived here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import LinAlgError, cholesky, solve_triangular
from scipy.special import logsumexp

from scalinglens.errors import TheoryError

__all__ = ["Evidence", "gp_evidence", "linear_evidence", "nngp_kernel", "posterior_samples", "sotl"]

_CHUNK = 2_000_000  # draws held at a time


@dataclass(frozen=True, eq=False)
class Evidence:
    """The evidence for a model and its lower bounds, in nats.

    Attributes:
        log_evidence: log p(D).
        bound: L, of one posterior sample per example, exact.
        sampled: L_k, its mean over the draws. stderr: its standard error. samples: k.
        mean, variance: of each next noise-free value before it was seen [n].
    """

    log_evidence: float
    bound: float
    sampled: float
    stderr: float
    samples: int
    mean: np.ndarray
    variance: np.ndarray

    @property
    def gap(self) -> float:
        """log p(D) - L: the sum over i of KL(posterior before example i || posterior after it)."""
        return self.log_evidence - self.bound


def linear_evidence(
    features: Any, target: Any, *, prior_variance: float, noise_variance: float, samples: int = 10,
    draws: int = 200, seed: int = 0,
) -> Evidence:  # fmt: skip
    """Return evidence and bounds of a Bayesian linear model, from its predictions of each example by those before.

    y = Phi theta + eps,  theta ~ N(0, s0^2),  eps ~ N(0, sn^2)

    Args:
        features: Phi [n, d]. target: y [n].
        prior_variance: s0^2 of each weight. noise_variance: sn^2.
        samples: k of the bound L_k. Below 10 the bound prefers priors that are too narrow.
        draws: how many sets of k samples L_k is averaged over. seed: of them.

    Returns:
        The `Evidence`, in nats; it depends on the order of the examples only in its bounds.

    Raises:
        TheoryError: shapes that do not fit, variances that are not positive, numbers that are not finite.

    Cost: O(n d^2) or O(n^3), whichever is less, and n k draws normal numbers: only the prediction of the next example enters,
    so no weights are drawn.

    Source: Lyle et al. 2020 (arXiv 2010.14499).

    >>> rng = np.random.default_rng(3)
    >>> features, weights = rng.normal(size=(60, 10)), rng.normal(size=10)
    >>> target = features @ weights + 0.5 * rng.normal(size=60)
    >>> found = linear_evidence(features, target, prior_variance=1.0, noise_variance=0.25)
    >>> round(found.log_evidence, 4), round(found.bound, 1)
    (-67.5113, -407.1)
    """
    phi, y = _matrix("features", features), _vector("target", target)
    if len(phi) != len(y):
        raise TheoryError(f"features have {len(phi)} rows and target has {len(y)} values; give one row for each value")
    s0, sn = _positive("prior_variance", prior_variance), _positive("noise_variance", noise_variance)
    if phi.shape[1] >= len(y):
        mean, variance = _from_kernel(s0 * (phi @ phi.T), y, sn)
    else:
        mean, variance = _from_features(phi, y, s0, sn)
    return _evidence(y, mean, variance, sn, samples, draws, seed)


def gp_evidence(
    kernel: Any, target: Any, *, noise_variance: float, samples: int = 10, draws: int = 200, seed: int = 0
) -> Evidence:
    """Return evidence and bounds of a Gaussian process, such as a network of infinite width.

    With K + sn^2 = R R', alpha = R^-1 y, y_i is predicted by those before it with mean y_i - R_ii alpha_i, variance R_ii^2.

    Args:
        kernel: K [n, n], covariance of the noise-free values. target: y [n].
        noise_variance: sn^2. samples, draws, seed: of L_k, as in `linear_evidence`.

    Returns:
        The `Evidence`, in nats.

    Raises:
        TheoryError: shapes that do not fit, a kernel that is not symmetric or not positive, a variance that is not.

    Cost: O(n^3) once, not once for each prefix.

    Source: Lyle et al. 2020 (arXiv 2010.14499).

    >>> found = gp_evidence([[1.0, 0.5], [0.5, 1.0]], [0.3, -0.2], noise_variance=0.1)
    >>> round(found.log_evidence, 6)
    -1.923195
    """
    k, y = _matrix("kernel", kernel), _vector("target", target)
    if k.shape != (len(y), len(y)):
        raise TheoryError(f"kernel has shape {k.shape} and target has {len(y)} values; it is {len(y)} x {len(y)}")
    if np.abs(k - k.T).max() > 1e-8 * np.abs(k).max():
        raise TheoryError("kernel is not symmetric; a covariance is: give (K + K')/2 if rounding is the cause")
    sn = _positive("noise_variance", noise_variance)
    mean, variance = _from_kernel(k, y, sn)
    return _evidence(y, mean, variance, sn, samples, draws, seed)


def posterior_samples(
    features: Any, target: Any, *, prior_variance: float, noise_variance: float, samples: int, seed: int = 0
) -> np.ndarray:
    """Return exact posterior samples of a linear model's weights, each the optimum of a perturbed problem.

    argmin |y + eps - Phi theta|^2 / sn^2 + |theta - theta_0|^2 / s0^2,  theta_0 ~ N(0, s0^2),  eps ~ N(0, sn^2)

    so that whatever finds the optimum, gradient descent for one, samples the posterior.

    Args:
        features: Phi [n, d]. target: y [n]. prior_variance: s0^2. noise_variance: sn^2.
        samples: how many. seed: of theta_0 and eps.

    Returns:
        weights [samples, d].

    Raises:
        TheoryError: as `linear_evidence`.

    Cost: one factorisation, O((n + samples) d^2).

    Source: Matthews et al. 2017, sample-then-optimise; Lyle et al. 2020 (arXiv 2010.14499).

    >>> posterior_samples([[1.0], [1.0]], [1.0, 3.0], prior_variance=1e6, noise_variance=1.0, samples=4000).mean().round(1).item()
    2.0
    """
    phi, y = _matrix("features", features), _vector("target", target)
    if len(phi) != len(y):
        raise TheoryError(f"features have {len(phi)} rows and target has {len(y)} values; give one row for each value")
    s0, sn = _positive("prior_variance", prior_variance), _positive("noise_variance", noise_variance)
    rng = np.random.default_rng(seed)
    start = rng.normal(0, math.sqrt(s0), (_count("samples", samples), phi.shape[1]))
    shaken = y + rng.normal(0, math.sqrt(sn), (len(start), len(y)))
    precision = phi.T @ phi / sn + np.eye(phi.shape[1]) / s0
    return np.linalg.solve(precision, (shaken @ phi / sn + start / s0).T).T


def nngp_kernel(inputs: Any, *, depth: int, weight_variance: float = 2.0, bias_variance: float = 0.0) -> np.ndarray:
    """Return the covariance of the outputs of infinitely wide ReLU networks with random weights.

    K_0 = sb^2 + sw^2 x.x'/d,   K_l = sb^2 + sw^2/(2 pi) r (sin t + (pi - t) cos t),   r = sqrt(K_xx K_x'x'),  cos t = K_xx'/r

    Args:
        inputs: x [n, d]. depth: hidden layers; 0 is a linear model.
        weight_variance: sw^2 times the width. bias_variance: sb^2.

    Returns:
        kernel [n, n]; give it to `gp_evidence`.

    Raises:
        TheoryError: a depth that is no whole number, variances below 0, inputs that are not finite.

    Source: Cho and Saul 2009; Lee et al. 2018 (arXiv 1711.00165).

    >>> nngp_kernel([[1.0, 0.0], [0.0, 1.0]], depth=1).round(4).tolist()
    [[1.0, 0.3183], [0.3183, 1.0]]
    """
    x = _matrix("inputs", inputs)
    if not (isinstance(depth, int | np.integer) and depth >= 0):
        raise TheoryError(f"depth is {depth!r}; it is the number of hidden layers, 0 or more")
    if not (weight_variance > 0 and bias_variance >= 0):
        raise TheoryError(f"weight_variance is {weight_variance!r}, bias_variance {bias_variance!r}; the first is positive, "
                          "the second not negative")  # fmt: skip
    kernel = bias_variance + weight_variance * (x @ x.T) / x.shape[1]
    for _ in range(depth):
        size = np.sqrt(np.diag(kernel))
        scale = np.outer(size, size)
        cosine = np.clip(np.divide(kernel, scale, out=np.ones_like(kernel), where=scale > 0), -1, 1)
        angle = np.arccos(cosine)
        kernel = bias_variance + weight_variance / (2 * np.pi) * scale * (np.sin(angle) + (np.pi - angle) * cosine)
    return kernel


def sotl(losses: Any, *, window: slice = slice(None)) -> np.ndarray:
    """Return the sum of training losses of each model: the smaller, the more a model learned from each step to the next.

    Args:
        losses: of the minibatches, before each was learned from [models, steps].
        window: the steps that count; the early ones, slice(0, steps // 2), where models end up fitting all data.

    Returns:
        scores [models], in the unit of the losses.

    Raises:
        TheoryError: losses that are not finite, or a window that holds no step.

    Source: Lyle et al. 2020 (arXiv 2010.14499); Ru et al. 2021 (arXiv 2006.04492).

    >>> sotl([[3.0, 2.0, 1.0], [3.0, 1.0, 0.5]]).tolist()
    [6.0, 4.5]
    """
    kept = _matrix("losses", losses)[:, window]
    if not kept.shape[1]:
        raise TheoryError(f"window is {window}, which holds none of the steps; leave it out to take all")
    return kept.sum(1)


def _from_features(phi: np.ndarray, y: np.ndarray, s0: float, sn: float) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of each next value, by rank-one updates of the posterior."""
    weights, spread = np.zeros(phi.shape[1]), s0 * np.eye(phi.shape[1])
    mean, variance = np.empty(len(y)), np.empty(len(y))
    for i, (row, value) in enumerate(zip(phi, y, strict=True)):
        seen = spread @ row
        mean[i], variance[i] = row @ weights, row @ seen
        gain = seen / (variance[i] + sn)
        weights = weights + gain * (value - mean[i])
        spread -= np.outer(gain, seen)
    return mean, np.maximum(variance, 0)


def _from_kernel(kernel: np.ndarray, y: np.ndarray, sn: float) -> tuple[np.ndarray, np.ndarray]:
    """The same for all prefixes from one Cholesky factor."""
    try:
        root = cholesky(kernel + sn * np.eye(len(y)), lower=True)
    except LinAlgError:
        raise TheoryError("kernel + noise_variance is not positive; a covariance is: check the kernel") from None
    diagonal, whitened = np.diag(root), np.asarray(solve_triangular(root, y, lower=True))
    return y - diagonal * whitened, np.maximum(diagonal**2 - sn, 0)


def _evidence(
    y: np.ndarray, mean: np.ndarray, variance: np.ndarray, sn: float, samples: int, draws: int, seed: int
) -> Evidence:
    error, total = (y - mean) ** 2, variance + sn
    evidence = -0.5 * np.sum(error / total + np.log(2 * np.pi * total))
    bound = -0.5 * np.sum((error + variance) / sn + math.log(2 * np.pi * sn))
    k, sets = _count("samples", samples), _count("draws", draws)
    rng = np.random.default_rng(seed)
    found = np.zeros(sets)
    width = max(1, _CHUNK // (k * len(y)))
    for low in range(0, sets, width):
        size = min(width, sets - low)
        drawn = rng.normal(size=(size, len(y), k)) * np.sqrt(variance)[:, None] + (mean - y)[:, None]
        terms = np.asarray(logsumexp(-0.5 * drawn**2 / sn, axis=2)) - math.log(k) - 0.5 * math.log(2 * np.pi * sn)
        found[low : low + size] = terms.sum(1)
    spread = found.std(ddof=1) / math.sqrt(sets) if sets > 1 else math.nan
    return Evidence(float(evidence), float(bound), float(found.mean()), float(spread), k, mean, variance)


def _matrix(name: str, values: Any) -> np.ndarray:
    array = np.asarray(values, dtype=float)
    if array.ndim != 2 or not array.size:
        raise TheoryError(f"{name} has shape {array.shape}; it is a table with rows and columns")
    return _finite(name, array)


def _vector(name: str, values: Any) -> np.ndarray:
    array = np.asarray(values, dtype=float)
    if array.ndim != 1 or not array.size:
        raise TheoryError(f"{name} has shape {array.shape}; it is a list of numbers")
    return _finite(name, array)


def _finite(name: str, array: np.ndarray) -> np.ndarray:
    wrong = ~np.isfinite(array)
    if wrong.any():
        place = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise TheoryError(f"{name} has {int(wrong.sum())} values that are not finite, the first at {place}; drop them")
    return array


def _positive(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not 0 < value < math.inf:
        raise TheoryError(f"{name} is {value!r}; it is a positive number")
    return float(value)


def _count(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise TheoryError(f"{name} is {value!r}; it is a whole number of at least 1")
    return int(value)
