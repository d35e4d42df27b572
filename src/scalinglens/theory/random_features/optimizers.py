"""Full-batch optimizers as spectral filters: after time t the error is p_t(K) w*, K the kernel the student learns with.

Each is written as a contour: nodes s_i and weights w_i with

    p_t(x) = sum_i w_i(t)/(s_i + x)   for every eigenvalue x of K

so that one solver serves all of them. The generating function of p_t has one pole, at x = -s(sigma):

    gradient flow      s = sigma                                 p_t = e^(-x t)
    gradient descent   s = (r - 1)/eta                           p_t = (1 - eta x)^t
    heavy ball         s = (r - 1)(1 - mu/r)/eta                 p_(t+1) = (1 + mu - eta x) p_t - mu p_(t-1)
    Nesterov           s = (r - 1)(r - mu)/(eta ((1+mu) r - mu))    p_(t+1) = (1 - eta x)((1 + mu) p_t - mu p_(t-1))
    the same, any eta  see scheduled.py                          p_t = prod_(j<t) (1 - eta_j x)
    flow, momentum     s = sigma + beta sigma^2                  beta p'' + p' = -x p
    weight decay       gradient flow on loss + rho |w|^2: p_t = (rho + x e^(-(x + rho) t))/(x + rho)

Multipliers r and rates sigma that are slow lie on the real axis, and a hyperbola around it holds all times after the others have
died out. Before, p_t itself is what the contour carries, on an ellipse around all eigenvalues: p_t is entire in x.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from scalinglens.errors import TheoryError
from scalinglens.numerics.contour import CROSSING, hyperbola
from scalinglens.theory.random_features.rules import Rule, entire_rule, positive, share

__all__ = [
    "ContinuousMomentum",
    "GradientDescent",
    "GradientFlow",
    "HeavyBall",
    "Nesterov",
    "Optimizer",
    "WeightDecay",
    "settled",
]

_MARGIN = 1.15  # how much longer than it takes them the oscillating modes are given to die out


class Optimizer(Protocol):
    """What the solver needs of an optimizer."""

    @property
    def discrete(self) -> bool:
        """Whether times are whole numbers of steps."""
        ...

    @property
    def needs_edge(self) -> bool:
        """Whether the contours depend on the largest eigenvalue."""
        ...

    @property
    def last(self) -> float:
        """The latest time there is; inf where the optimizer goes on for ever."""
        ...

    def filter(self, x: np.ndarray, times: np.ndarray) -> np.ndarray:
        """p_t(x) [T, ...] at eigenvalues x."""
        ...

    def rules(self, times: np.ndarray, edge: float, digits: float) -> list[Rule]:
        """Contours for positive finite times; `edge` bounds the eigenvalues where it is needed, or is inf."""
        ...


@dataclass(frozen=True)
class GradientFlow:
    """Gradient descent with an infinitesimal step; time is learning rate times steps.

    >>> float(GradientFlow().filter(np.array(2.0), np.array([1.0]))[0]) == math.exp(-2.0)
    True
    """

    discrete, needs_edge, last = False, False, math.inf

    def filter(self, x: np.ndarray, times: np.ndarray) -> np.ndarray:
        """e^(-x t)."""
        return np.exp(-np.multiply.outer(times, x))

    def rules(self, times: np.ndarray, edge: float, digits: float) -> list[Rule]:
        """One hyperbola for all times."""
        s, ds = hyperbola(float(times.min()), float(times.max()), digits)
        weights = np.exp(np.outer(s, times)) * ds[:, None]
        return [Rule(s, weights, np.arange(len(times)), s[:, None] * weights)]


@dataclass(frozen=True)
class WeightDecay:
    """Gradient flow with weight decay rho; at late times ridge regression.

    Args:
        decay: rho, in units of the eigenvalues.
    """

    decay: float
    discrete, needs_edge, last = False, False, math.inf

    def __post_init__(self) -> None:
        positive("decay", self.decay)

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
        moving = np.concatenate(((s - rho)[:, None] * weights, 0 * own))
        return [Rule(np.append(s, rho), np.concatenate((weights, own)), np.arange(len(times)), moving, 1)]


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
class ContinuousMomentum:
    """Gradient flow with momentum: beta v'' + v' = -K v from rest, which heavy ball is with small steps.

    With step eta and momentum mu, heavy ball after n steps is at time n eta/(1 - mu), with beta = eta/(1 - mu)^2.

    Args:
        inertia: beta > 0, in units of time: modes with eigenvalues above 1/(4 beta) oscillate.

    Source: Bordelon, Atanasov and Pehlevan 2024 (arXiv 2402.01092), appendix on momentum.

    >>> ContinuousMomentum(0.25).filter(np.array(1.0), np.array([2.0])).round(12).item()    # critical: (1 + 2 t) e^(-2 t)
    0.091578194444
    """

    inertia: float
    discrete, needs_edge, last = False, True, math.inf

    def __post_init__(self) -> None:
        positive("inertia", self.inertia)

    def filter(self, x: np.ndarray, times: np.ndarray) -> np.ndarray:
        """(e^(q t) + e^(q' t))/2 + S/(2 beta), S = (e^(q t) - e^(q' t))/(q - q'), q and q' the roots of beta q^2 + q + x."""
        mean, apart = self._exponentials(np.asarray(x), times)
        found = mean + apart / (2 * self.inertia)
        return found if np.iscomplexobj(x) else np.real(found)

    def _moving(self, x: np.ndarray, times: np.ndarray) -> np.ndarray:
        """dp_t/dt = -(x/beta) S."""
        return -x / self.inertia * self._exponentials(x, times)[1]

    def _exponentials(self, x: np.ndarray, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(e^(q t) + e^(q' t))/2 and S [T, ...]."""
        beta = self.inertia
        root = np.sqrt((1 - 4 * beta * x).astype(complex))
        slow, quick = -2 * x / (1 + root), -(1 + root) / (2 * beta)
        t = np.reshape(times, (-1,) + (1,) * x.ndim)
        turn = root * t / (2 * beta)  # (q - q') t/2
        first, second = np.exp(slow * t), np.exp(quick * t)
        with np.errstate(all="ignore"):
            # near the double root by sinh(z)/z
            close = t * np.exp(-t / (2 * beta)) * _sinhc(turn)
            apart = np.where(np.abs(turn) < 1, close, (first - second) * beta / root)
        return (first + second) / 2, apart

    def rules(self, times: np.ndarray, edge: float, digits: float) -> list[Rule]:
        """An ellipse while modes oscillate, a hyperbola to the right of them for the rest."""
        beta = self.inertia
        early = times <= _MARGIN * 2 * beta * digits * math.log(10)
        rules = []
        if early.any():
            rules.append(entire_rule(self.filter, times, np.flatnonzero(early), edge, digits, self._moving))
        if (~early).any():
            late = np.flatnonzero(~early)
            sigma, ds = hyperbola(float(times[late].min()), float(times[late].max()), digits)
            keep = np.real(sigma) > -1 / (2 * beta)  # beyond, where e^(sigma t) is nothing, the lower half plane begins
            sigma, ds = sigma[keep], ds[keep]
            weights = np.exp(np.outer(sigma, times[late])) * ((1 + beta * sigma) * ds)[:, None]
            rules.append(Rule(sigma * (1 + beta * sigma), weights, late, sigma[:, None] * weights))
        return rules


@dataclass(frozen=True)
class GradientDescent:
    """Full-batch gradient descent with a constant step.

    Args:
        learning_rate: eta > 0; stable below 2/(largest eigenvalue).
    """

    learning_rate: float
    discrete, needs_edge, last = True, True, math.inf

    def __post_init__(self) -> None:
        positive("learning_rate", self.learning_rate)

    def filter(self, x: np.ndarray, times: np.ndarray) -> np.ndarray:
        """(1 - eta x)^t."""
        return (1.0 - self.learning_rate * x)[None] ** np.reshape(times, (-1,) + (1,) * np.ndim(x))

    def rules(self, times: np.ndarray, edge: float, digits: float) -> list[Rule]:
        """An ellipse for the first steps, a hyperbola for the rest."""
        return _discrete(times, edge, digits, self.learning_rate, 0.0, nesterov=False)


@dataclass(frozen=True)
class HeavyBall:
    """Gradient descent with momentum: v_(t+1) = v_t - eta K v_t + mu (v_t - v_(t-1)).

    Args:
        learning_rate: eta > 0; stable below 2 (1 + mu)/(largest eigenvalue). momentum: mu, from 0 to below 1.
    """

    learning_rate: float
    momentum: float
    discrete, needs_edge, last = True, True, math.inf

    def __post_init__(self) -> None:
        positive("learning_rate", self.learning_rate)
        share("momentum", self.momentum)

    def filter(self, x: np.ndarray, times: np.ndarray) -> np.ndarray:
        """The recursion p_(t+1) = (1 + mu - eta x) p_t - mu p_(t-1), p_0 = p_-1 = 1."""
        return _recursion(x, times, self.learning_rate, self.momentum, nesterov=False)

    def rules(self, times: np.ndarray, edge: float, digits: float) -> list[Rule]:
        """An ellipse for the first steps, a hyperbola for the rest."""
        return _discrete(times, edge, digits, self.learning_rate, self.momentum, nesterov=False)


@dataclass(frozen=True)
class Nesterov:
    """Nesterov's accelerated gradient with constant momentum.

    Args:
        learning_rate: eta > 0. momentum: mu, from 0 to below 1.
    """

    learning_rate: float
    momentum: float
    discrete, needs_edge, last = True, True, math.inf

    def __post_init__(self) -> None:
        positive("learning_rate", self.learning_rate)
        share("momentum", self.momentum)

    def filter(self, x: np.ndarray, times: np.ndarray) -> np.ndarray:
        """The recursion p_(t+1) = (1 - eta x)((1 + mu) p_t - mu p_(t-1)), p_0 = p_-1 = 1."""
        return _recursion(x, times, self.learning_rate, self.momentum, nesterov=True)

    def rules(self, times: np.ndarray, edge: float, digits: float) -> list[Rule]:
        """An ellipse for the first steps, a hyperbola for the rest."""
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


def _multipliers(x: np.ndarray, eta: float, mu: float, nesterov: bool) -> tuple[np.ndarray, np.ndarray]:
    """Roots r of the recursion at eigenvalues x, the larger one first."""
    step = (1 - eta * np.asarray(x)).astype(complex)
    total, product = (step * (1 + mu), step * mu) if nesterov else (step + mu, np.full_like(step, mu))
    root = np.sqrt(total * total - 4 * product)
    root = np.where(np.real(total * root.conj()) < 0, -root, root)
    first = (total + root) / 2
    with np.errstate(all="ignore"):
        return first, np.where(first == 0, 0.0, product / first)


def _powers(x: np.ndarray, times: np.ndarray, eta: float, mu: float, nesterov: bool) -> np.ndarray:
    """p_t(x) [T, n] by the multipliers, x real or complex: S_(t+1) - r r' S_t, S_t = (r^t - r'^t)/(r - r')."""
    first, second = _multipliers(x, eta, mu, nesterov)
    product = first * second
    middle = np.sqrt(product)
    middle = np.where(np.real(middle * first.conj()) < 0, -middle, middle)
    with np.errstate(all="ignore"):
        h = np.arcsinh((first - second) / (2 * middle))  # r = middle e^h, r' = middle e^-h

    def S(t: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):
            apart = (first**t - second**t) / (first - second)
            close = t * middle ** (t - 1) * _sinhc(t * h) / _sinhc(h)
            return np.where(np.abs(t * h) < 1, close, apart)

    t = np.asarray(times, dtype=float)[:, None]
    found = S(t + 1) - product * S(t)
    return found if np.iscomplexobj(x) else np.real(found)


def _sinhc(z: np.ndarray) -> np.ndarray:
    """sinh(z)/z."""
    small = np.abs(z) < 1e-4
    with np.errstate(all="ignore"):
        return np.where(small, 1 + z * z / 6, np.sinh(z) / np.where(small, 1.0, z))


def _discrete(times: np.ndarray, edge: float, digits: float, eta: float, mu: float, *, nesterov: bool) -> list[Rule]:
    """Contours in s or in sigma = ln r.

    The slow multipliers lie on the real axis between sqrt(mu) and 1; the others within the circle of radius `fast`. Once
    fast^t is negligible a hyperbola in sigma that keeps to the right of ln fast, and within |Im sigma| < pi, holds all that
    is left; before, an ellipse around all eigenvalues.
    """
    r = np.concatenate(_multipliers(np.linspace(0, 1, 400)[1:] * edge, eta, mu, nesterov))
    if np.abs(r).max() > 1 + 1e-12:
        raise TheoryError(
            f"the learning rate {eta:g} makes the descent diverge: the largest eigenvalue is {edge:.4g}; choose it below "
            f"{2 * (1 + mu) / edge:.3g}" + (f" with momentum {mu:g}" if mu else "")
        )
    # what is not a slow, positive, real multiplier must have died out
    fast = max(math.sqrt(mu), float(np.abs(r[(np.abs(np.imag(r)) > 1e-9) | (np.real(r) < 0)]).max(initial=0.0)))
    depth = digits * math.log(10)
    needed = depth / math.pi * 1.3 + 2
    if fast > 0:
        needed = max(needed, _MARGIN * depth / -math.log(fast) if fast < 1 else math.inf)
    rules, early = [], times <= needed
    if early.any():

        def filter(x: np.ndarray, t: np.ndarray) -> np.ndarray:
            return _powers(x, t, eta, mu, nesterov)

        rules.append(entire_rule(filter, times, np.flatnonzero(early), edge, digits))
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
    return Rule(np.append(s, far), np.concatenate((weights, far * constant[None].astype(complex) / 2)), which, lone=1)
