"""A value network at the logits: what one base model learned from demonstrations, added to another base of another size.

    logits(x) = base(x) + V(x),   V trained with the base frozen;   here V is linear in given features

    gap closed = (CE_base - CE_{base+V}) / (CE_base - CE_finetuned)

The penalty on V's logits helps where V sees features that its own base lacks, so that it learns to repair that base; it has a
best value inside. Where V is well matched to its base the penalty hurts the transfer: try it, do not assume it.

Source: Lu et al. 2024, inverse value learning (arXiv 2410.21027); there V is a network that sees the text only.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import minimize
from scipy.special import logsumexp

from scalinglens.errors import TheoryError

__all__ = ["Base", "ValueNetwork", "apply_value", "fit_value", "transfer_report"]

_SMOOTH = 1e-3  # logits below which the penalty |v| is a parabola, for its derivative


@dataclass(frozen=True, eq=False)
class ValueNetwork:
    """A value network that is linear in its features.

    Attributes:
        weights: [features, vocab]. penalty: with which it was trained.
        loss: cross-entropy of base + V on its training data, nats. steps: of the optimizer. gradient: the largest entry left.
    """

    weights: np.ndarray
    penalty: float
    loss: float
    steps: int
    gradient: float


@dataclass(frozen=True, eq=False)
class Base:
    """A base model on test data.

    Attributes:
        logits: [n, vocab] of the base alone.
        tuned: [n, vocab] of the base after fine-tuning it directly, the gap to be closed.
    """

    logits: np.ndarray
    tuned: np.ndarray


def fit_value(
    base_logits: Any, features: Any, labels: Any, *, penalty: float = 0.0, ridge: float = 0.0, max_steps: int = 2000
) -> ValueNetwork:
    """Train a value network on top of a frozen base.

    min over V of  mean_i CE(base_i + V'phi_i, y_i) + penalty mean_{i,c} |(V'phi_i)_c| + ridge/2 |V|^2

    Args:
        base_logits: of the frozen base [n, vocab]. features: phi that V sees [n, d]. labels: y [n], whole numbers below vocab.
        penalty: weight of the mean absolute logit of V. ridge: of the squared weights, for a unique optimum.
        max_steps: of L-BFGS.

    Returns:
        The `ValueNetwork`.

    Raises:
        TheoryError: shapes that do not fit, labels outside the vocabulary, weights below zero, no convergence.

    Cost: some 100 products of features and weights.

    Source: Lu et al. 2024 (arXiv 2410.21027); the penalty as in its released code.

    >>> phi = np.array([[1.0], [1.0], [1.0], [1.0]])
    >>> found = fit_value(np.zeros((4, 2)), phi, [0, 0, 0, 1])
    >>> round(found.loss, 4)    # the entropy of 3 to 1
    0.5623
    """
    base, phi, y = _data(base_logits, features, labels)
    for name, value in (("penalty", penalty), ("ridge", ridge)):
        if not 0 <= value < math.inf:
            raise TheoryError(f"{name} is {value!r}; it is zero or positive")
    n, vocab = base.shape
    rows = np.arange(n)

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weights = flat.reshape(phi.shape[1], vocab)
        value = phi @ weights
        logits = base + value
        norm = np.asarray(logsumexp(logits, axis=1))
        slope = np.exp(logits - norm[:, None])
        slope[rows, y] -= 1
        size = np.sqrt(value**2 + _SMOOTH**2)
        total = np.mean(norm - logits[rows, y]) + penalty * np.mean(size - _SMOOTH) + 0.5 * ridge * (flat @ flat)
        slope = slope / n + penalty * value / size / (n * vocab)
        return float(total), (phi.T @ slope).ravel() + ridge * flat

    found = minimize(objective, np.zeros(phi.shape[1] * vocab), jac=True, method="L-BFGS-B",
                     options={"maxiter": max_steps, "maxfun": 2 * max_steps, "gtol": 1e-6, "ftol": 1e-12})  # fmt: skip
    if not found.success:
        raise TheoryError(
            f"the value network did not converge: {found.message}; give a ridge such as 1e-4, or more max_steps"
        )
    weights = found.x.reshape(phi.shape[1], vocab)
    gradient = float(np.abs(found.jac).max())
    return ValueNetwork(weights, float(penalty), _loss(base + phi @ weights, y), int(found.nit), gradient)


def apply_value(base_logits: Any, value: ValueNetwork, features: Any, *, vocab_map: Any = None) -> np.ndarray:
    """Return the logits of a base with a value network on top.

    Args:
        base_logits: [n, vocab of this base]. value: from `fit_value`. features: that V sees [n, d].
        vocab_map: where the vocabularies differ, how V's tokens go to this base's [vocab of V, vocab of base]; a one-hot row
            moves a token as it is, a zero column leaves a token of the base alone.

    Returns:
        logits [n, vocab of this base].

    Raises:
        TheoryError: shapes that do not fit.

    Source: Lu et al. 2024 (arXiv 2410.21027).

    >>> known = ValueNetwork(np.array([[1.0, -1.0]]), 0.0, 0.0, 0, 0.0)
    >>> apply_value([[0.0, 0.0, 5.0]], known, [[2.0]], vocab_map=[[0, 1, 0], [1, 0, 0]]).tolist()
    [[-2.0, 2.0, 5.0]]
    """
    base, phi = _table("base_logits", base_logits), _table("features", features)
    weights = value.weights
    if phi.shape != (len(base), len(weights)):
        raise TheoryError(
            f"features have shape {phi.shape}; the value network sees {len(weights)}, for {len(base)} rows"
        )
    added = phi @ weights
    if vocab_map is not None:
        moved = _table("vocab_map", vocab_map)
        if moved.shape != (weights.shape[1], base.shape[1]):
            raise TheoryError(
                f"vocab_map has shape {moved.shape}; it goes from {weights.shape[1]} tokens to {base.shape[1]}"
            )
        added = added @ moved
    if added.shape != base.shape:
        raise TheoryError(
            f"the base has {base.shape[1]} tokens and the value network {added.shape[1]}; give a vocab_map"
        )
    return base + added


def transfer_report(bases: Mapping[str, Base], value: ValueNetwork, features: Any, labels: Any) -> pd.DataFrame:
    """Return how much of the gap between a base and its fine-tuned form a value network closes, for several bases.

    Args:
        bases: name -> `Base` on the test data. value: from `fit_value`, trained on any base.
        features: that V sees of the test data [n, d]. labels: of the test data [n].

    Returns:
        one row a base: base, loss, with_value, tuned (cross-entropies in nats), gap_closed. Where fine-tuning gains nothing
        there is no gap, and gap_closed is NaN.

    Raises:
        TheoryError: shapes that do not fit.

    Source: Lu et al. 2024 (arXiv 2410.21027).

    >>> known = ValueNetwork(np.array([[0.0, 1.0]]), 0.0, 0.0, 0, 0.0)
    >>> bases = {"small": Base(np.zeros((2, 2)), np.array([[0.0, 2.0], [0.0, 2.0]]))}
    >>> transfer_report(bases, known, [[1.0], [1.0]], [1, 1])["gap_closed"].round(3).tolist()
    [0.671]
    """
    rows = []
    for name, base in bases.items():
        logits, phi, y = _data(base.logits, features, labels)
        tuned = _table("tuned", base.tuned)
        if tuned.shape != logits.shape:
            raise TheoryError(
                f'base "{name}" has logits of shape {logits.shape}, tuned {tuned.shape}; give them for the same data'
            )
        before, after, best = _loss(logits, y), _loss(apply_value(logits, value, phi), y), _loss(tuned, y)
        closed = (before - after) / (before - best) if before > best else math.nan
        rows.append({"base": name, "loss": before, "with_value": after, "tuned": best, "gap_closed": closed})
    return pd.DataFrame(rows)


def _loss(logits: np.ndarray, y: np.ndarray) -> float:
    return float(np.mean(logsumexp(logits, axis=1) - logits[np.arange(len(y)), y]))


def _data(logits: Any, features: Any, labels: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    base, phi, y = _table("base_logits", logits), _table("features", features), np.asarray(labels)
    if y.ndim != 1 or not np.issubdtype(y.dtype, np.integer):
        raise TheoryError(f"labels have shape {y.shape}, {y.dtype}; they are a list of whole numbers")
    if not len(base) == len(phi) == len(y):
        raise TheoryError(
            f"base_logits have {len(base)} rows, features {len(phi)}, labels {len(y)}; give one each per example"
        )
    if y.min() < 0 or y.max() >= base.shape[1]:
        raise TheoryError(f"labels go from {y.min()} to {y.max()}; the base has tokens 0 to {base.shape[1] - 1}")
    return base, phi, y


def _table(name: str, values: Any) -> np.ndarray:
    array = np.asarray(values, dtype=float)
    if array.ndim != 2 or not array.size:
        raise TheoryError(f"{name} has shape {array.shape}; it is a table with a row for each example")
    if not np.all(np.isfinite(array)):
        raise TheoryError(f"{name} has {int((~np.isfinite(array)).sum())} values that are not finite; drop those rows")
    return array
