"""Full-batch optimizers as spectral filters: after time t the error is p_t(K) w*, K the kernel the student learns with.

Each is written as a contour: nodes s_i and weights w_i with

    p_t(x) = sum_i w_i(t)/(s_i + x)   for every eigenvalue x of K

so that one solver serves all of them. The generating function of p_t has one pole, at x = -s(sigma):

    gradient flow      s = sigma                                 p_t = e^(-x t)
    gradient descent   s = (r - 1)/eta                           p_t = (1 - eta x)^t
    heavy ball         s = (r - 1)(1 - mu/r)/eta                 p_(t+1) = (1 + mu - eta x) p_t - mu p_(t-1)
    Nesterov           s = (r - 1)(r - mu)/(eta ((1+mu) r - mu))    p_(t+1) = (1 - eta x)((1 + mu) p_t - mu p_(t-1))
    weight decay       gradient flow on loss + rho |w|^2: p_t = (rho + x e^(-(x + rho) t))/(x + rho)
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from scalinglens.errors import TheoryError
from scalinglens.numerics.contour import CROSSING, circle, hyperbola

__all__ = ["GradientDescent", "GradientFlow", "HeavyBall", "Nesterov", "Optimizer", "Rule", "WeightDecay", "settled"]


@dataclass(frozen=True, eq=False)
class Rule:
    """Nodes of the upper half plane [n] and weights [n, T] for the times with these numbers [T].

    The last `lone` nodes are poles of the filter, no part of the trapezoid rule that the others make.
    """

    s: np.ndarray
    weights: np.ndarray
    which: np.ndarray
    lone: int = 0


class Optimizer(Protocol):
    """What the solver needs of an optimizer."""

    @property
    def discrete(self) -> bool:
        """Whether times are whole numbers of steps."""
        ...

    def filter(self, x: np.ndarray, times: np.ndarray) -> np.ndarray:
        """p_t(x) [T, ...] at eigenvalues x."""
        ...

    def rules(self, times: np.ndarray, edge: float, digits: float) -> list[Rule]:
        """Contours for positive finite times; `edge` bounds the eigenvalues."""
        ...


@dataclass(frozen=True)
class GradientFlow:
    """Gradient descent with an infinitesimal step; time is learning rate times steps.

    >>> float(GradientFlow().filter(np.array(2.0), np.array([1.0]))[0]) == math.exp(-2.0)
    True
    """

    discrete = False

    def filter(self, x: np.ndarray, times: np.ndarray) -> np.ndarray:
        """e^(-x t)."""
        return np.exp(-np.multiply.outer(times, x))

    def rules(self, times: np.ndarray, edge: float, digits: float) -> list[Rule]:
        """One hyperbola for all times."""
        s, ds = hyperbola(float(times.min()), float(times.max()), digits)
        return [Rule(s, np.exp(np.outer(s, times)) * ds[:, None], np.arange(len(times)))]


@dataclass(frozen=True)
class WeightDecay:
    """Gradient flow with weight decay rho; at late times ridge regression.

    Args:
        decay: rho, in units of the eigenvalues.
    """

    decay: float
    discrete = False

    def __post_init__(self) -> None:
        _positive("decay", self.decay)

    def filter(self, x: np.ndarray, times: np.ndarray) -> np.ndarray:
        """(rho + x e^(-(x + rho) t))/(x + rho)."""
        rho = self.decay
        return (rho + x * np.exp(-np.multiply.outer(times, x + rho))) / (x + rho)

    def rules(self, times: np.ndarray, edge: float, digits: float) -> list[Rule]:
        """The hyperbola of the flow, and a node at s = rho for what is left at late times."""
        rho = self.decay
        late = min(float(times.max()), digits * math.log(10) * 2 / rho + float(times.min()))
        # the pole at rho must lie well outside the contour: near it the trapezoid rule is slow
        s, ds = hyperbola(float(times.min()), max(late, CROSSING / rho), digits)
        weights = s[:, None] / (s - rho)[:, None] * np.exp(np.outer(s - rho, times)) * ds[:, None]
        own = np.full((1, len(times)), rho / 2, dtype=complex)
        return [Rule(np.append(s, rho), np.concatenate((weights, own)), np.arange(len(times)), 1)]


_SETTLED = 60.0  # of the decay's time scale: what still moves is e^-60


def settled(optimizer: Optimizer, times: np.ndarray) -> np.ndarray:
    """Return the times with the endless ones made finite where weight decay has the last word; others end without a ridge.

    >>> settled(WeightDecay(0.5), np.array([1.0, np.inf])).tolist()
    [1.0, 120.0]
    """
    if isinstance(optimizer, WeightDecay):
        return np.where(np.isinf(times), _SETTLED / optimizer.decay, times)
    return times


@dataclass(frozen=True)
class GradientDescent:
    """Full-batch gradient descent with a constant step.

    Args:
        learning_rate: eta > 0; stable below 2/(largest eigenvalue).
    """

    learning_rate: float
    discrete = True

    def __post_init__(self) -> None:
        _positive("learning_rate", self.learning_rate)

    def filter(self, x: np.ndarray, times: np.ndarray) -> np.ndarray:
        """(1 - eta x)^t."""
        return (1.0 - self.learning_rate * x)[None] ** np.reshape(times, (-1,) + (1,) * np.ndim(x))

    def rules(self, times: np.ndarray, edge: float, digits: float) -> list[Rule]:
        """A circle for the first steps, a hyperbola for the rest."""
        return _discrete(times, edge, digits, self.learning_rate, 0.0, nesterov=False)


@dataclass(frozen=True)
class HeavyBall:
    """Gradient descent with momentum: v_(t+1) = v_t - eta K v_t + mu (v_t - v_(t-1)).

    Args:
        learning_rate: eta > 0; stable below 2 (1 + mu)/(largest eigenvalue). momentum: mu, from 0 to below 1.
    """

    learning_rate: float
    momentum: float
    discrete = True

    def __post_init__(self) -> None:
        _positive("learning_rate", self.learning_rate)
        _share("momentum", self.momentum)

    def filter(self, x: np.ndarray, times: np.ndarray) -> np.ndarray:
        """The recursion p_(t+1) = (1 + mu - eta x) p_t - mu p_(t-1), p_0 = p_-1 = 1."""
        return _recursion(x, times, self.learning_rate, self.momentum, nesterov=False)

    def rules(self, times: np.ndarray, edge: float, digits: float) -> list[Rule]:
        """A circle for the first steps, a hyperbola for the rest."""
        return _discrete(times, edge, digits, self.learning_rate, self.momentum, nesterov=False)


@dataclass(frozen=True)
class Nesterov:
    """Nesterov's accelerated gradient with constant momentum.

    Args:
        learning_rate: eta > 0. momentum: mu, from 0 to below 1.
    """

    learning_rate: float
    momentum: float
    discrete = True

    def __post_init__(self) -> None:
        _positive("learning_rate", self.learning_rate)
        _share("momentum", self.momentum)

    def filter(self, x: np.ndarray, times: np.ndarray) -> np.ndarray:
        """The recursion p_(t+1) = (1 - eta x)((1 + mu) p_t - mu p_(t-1)), p_0 = p_-1 = 1."""
        return _recursion(x, times, self.learning_rate, self.momentum, nesterov=True)

    def rules(self, times: np.ndarray, edge: float, digits: float) -> list[Rule]:
        """A circle for the first steps, a hyperbola for the rest."""
        return _discrete(times, edge, digits, self.learning_rate, self.momentum, nesterov=True)


def _recursion(x: np.ndarray, times: np.ndarray, eta: float, mu: float, *, nesterov: bool) -> np.ndarray:
    """p_t(x) [T, ...] by powers of the matrix that takes (p_t, p_(t-1)) one step on: O(log t) products."""
    x = np.asarray(x, dtype=float)
    first = (1 - eta * x) * (1 + mu) if nesterov else 1 + mu - eta * x
    second = -mu * (1 - eta * x) if nesterov else np.full_like(x, -mu)
    step = np.stack((np.stack((first, second), -1), np.stack((np.ones_like(x), np.zeros_like(x)), -1)), -2)
    state = np.ones((*x.shape, 2, 1))
    steps = np.asarray(times).astype(int)
    found = np.empty((len(steps), *x.shape))
    now = 0
    for i in np.argsort(steps, kind="stable"):
        state = np.linalg.matrix_power(step, steps[i] - now) @ state
        now = steps[i]
        found[i] = state[..., 0, 0]
    return found


def _multipliers(x: float, eta: float, mu: float, nesterov: bool) -> np.ndarray:
    """Roots r of the recursion at an eigenvalue x."""
    if nesterov:
        return np.roots([1.0, -(1 - eta * x) * (1 + mu), (1 - eta * x) * mu])
    return np.roots([1.0, -(1 + mu - eta * x), mu])


def _discrete(times: np.ndarray, edge: float, digits: float, eta: float, mu: float, *, nesterov: bool) -> list[Rule]:
    """Contours in r or in sigma = ln r.

    The slow multipliers lie on the real axis between sqrt(mu) and 1; the others within the circle of radius `fast`. Once
    fast^t is negligible a hyperbola in sigma that keeps to the right of ln fast, and within |Im sigma| < pi, holds all that
    is left; before, a circle around all of them with some four nodes per step.
    """
    worst = max(float(np.abs(_multipliers(x, eta, mu, nesterov)).max()) for x in np.linspace(0.02, 1, 60) * edge)
    if worst > 1 + 1e-12:
        raise TheoryError(
            f"the learning rate {eta:g} makes the descent diverge: the largest eigenvalue is {edge:.4g}; choose it below "
            f"{2 * (1 + mu) / edge:.3g}" + (f" with momentum {mu:g}" if mu else "")
        )
    roots = [_multipliers(x, eta, mu, nesterov) for x in np.linspace(0, 1, 400)[1:] * edge]
    # what is not a slow, positive, real multiplier must have died out
    fast = max([math.sqrt(mu), *(abs(r) for pair in roots for r in pair if abs(r.imag) > 1e-9 or r.real < 0)])
    depth = digits * math.log(10)
    needed = depth / math.pi * 1.3 + 2
    if fast > 0:
        needed = max(needed, 1.15 * depth / -math.log(fast) if fast < 1 else math.inf)
    rules, early = [], times <= needed
    if early.any():
        last = int(times[early].max())
        r, dr = circle(max(last, 1), digits)
        rules.append(_weighted(r, dr, times, np.flatnonzero(early), eta, mu, nesterov))
    if (~early).any():
        late = np.flatnonzero(~early)
        sigma, ds = hyperbola(float(times[late].min()), float(times[late].max()), digits)
        rules.append(_weighted(np.exp(sigma), ds, times, late, eta, mu, nesterov))
    return rules


def _weighted(
    r: np.ndarray, dr: np.ndarray, times: np.ndarray, which: np.ndarray, eta: float, mu: float, nesterov: bool
) -> Rule:
    """The rule in s of nodes r with dr/(2 pi i r)."""
    t = times[which]
    power = np.exp(np.outer(np.log(r), t)) * dr[:, None]
    if not nesterov:
        return Rule((r - 1) * (1 - mu / r) / eta, power * ((r - mu) / eta)[:, None], which)
    g = (1 + mu) - mu / r
    s = (r / g - 1) / eta
    weights = power * ((r - mu - mu * eta * s) / (g * eta))[:, None]
    # the part of the generating function that does not depend on x is a node at infinity
    constant = 2 * np.real(power * (mu / g)[:, None]).sum(axis=0)
    far = 1e12 / eta
    return Rule(np.append(s, far), np.concatenate((weights, far * constant[None].astype(complex) / 2)), which, 1)


def _positive(name: str, value: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not 0 < value < math.inf:
        raise TheoryError(f"{name} is {value!r}; it must be positive and finite, such as 0.1")


def _share(name: str, value: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not 0 <= value < 1:
        raise TheoryError(f"{name} is {value!r}; it lies from 0 to below 1, such as 0.9")
