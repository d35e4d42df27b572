"""Stochastic gradient descent on fresh batches: the loss as a linear Volterra equation of discrete time.

    L_t = L_t(descent on the population) + (eta^2/B) sum_{j < t} K(t - 1 - j) (L_j + sigma^2)
    K(tau) = (2 pi i)^-2 oint oint w w' [d2 + z z' dD^2/(N - d2)],   N = inf: K(tau) = sum_k lambda_k^2 (1 - eta lambda_k)^(2 tau)

A batch adds variance only; the noise of each step decays with the memory K of the descent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.interpolate import CubicSpline

from scalinglens.errors import TheoryError
from scalinglens.numerics.volterra import solve_volterra
from scalinglens.theory.random_features.correlations import bilinear, pairs
from scalinglens.theory.random_features.optimizers import GradientDescent
from scalinglens.theory.random_features.problem import RandomFeatures
from scalinglens.theory.random_features.renormalised import edge_of, renormalise
from scalinglens.theory.random_features.solve import solve
from scalinglens.worlds.spectra import Spectrum

if TYPE_CHECKING:
    from scalinglens.runs import Runs

__all__ = ["OnePass", "one_pass"]

MOST_STEPS = 10_000_000
_EACH = 64  # first steps that are computed one by one; between later ones the logarithm is interpolated
_PER_DECADE = 24
_FLOOR = 1e-12  # of the first value


@dataclass(frozen=True, eq=False)
class OnePass:
    """The result of `one_pass`; arrays are by step [T].

    Attributes:
        steps: asked for.
        test: expected test loss, without the label noise. descent: the part without the noise of the batches.
        plateau: factor by which a constant loss grows: 1/(1 - eta^2/B sum_tau K(tau)), the sum over the steps computed.
        problem: what was solved. batch: samples per step.
    """

    steps: np.ndarray
    test: np.ndarray
    descent: np.ndarray
    plateau: float
    problem: RandomFeatures
    batch: float

    def runs(self) -> Runs:
        """Return the losses after the start as a table of runs: steps, tokens = batch x steps, params where N is finite.

        loss is the test loss plus the label noise.
        """
        from scalinglens.runs import read_runs

        known = self.steps > 0
        steps = self.steps[known].astype(float)
        table = {"steps": steps, "tokens": self.batch * steps, "loss": self.test[known] + float(self.problem.noise)}
        if np.isfinite(self.problem.features):
            table["params"] = np.full(len(steps), float(self.problem.features))
        return read_runs(table)


def one_pass(
    problem: RandomFeatures, steps: Any, *, learning_rate: float, batch: float, digits: float = 9.0
) -> OnePass:
    """Solve one-pass SGD with a constant step.

    Args:
        problem: one problem; its samples must be inf, since each batch is fresh.
        steps: numbers of steps, whole. learning_rate: eta. batch: B, samples per step.
        digits: of the contour integrals.

    Returns:
        The `OnePass` losses.

    Raises:
        TheoryError: finite samples, a step that diverges, more than ten million steps.

    Cost: O(T log T) for T steps, and some hundred contour integrals.

    Source: Bordelon, Atanasov and Pehlevan 2024 (arXiv 2402.01092); Paquette et al. 2024 (arXiv 2405.15074). The exact second
        moment of Gaussian data has (B + 1)/B in front of the squared drift; theory of leading order has 1.

    >>> from scalinglens.worlds.spectra import power_law
    >>> found = one_pass(RandomFeatures(power_law(1.5, 1.25, modes=1000), 128), [10, 300], learning_rate=0.1, batch=32)
    >>> found.test.round(6).tolist()
    [1.304462, 0.403342]
    """
    if problem.shape != ():
        raise TheoryError(f"one problem at a time, got a batch of shape {problem.shape}")
    if np.isfinite(problem.samples):
        raise TheoryError("each batch of one-pass SGD is fresh, so samples must be inf; for fixed data use solve")
    if not batch >= 1:
        raise TheoryError(f"batch is {batch!r}; it is a number of samples per step, 1 or more")
    asked = np.atleast_1d(np.asarray(steps, dtype=float))
    if not np.all((asked >= 0) & (asked == np.round(asked))) or asked.max() > MOST_STEPS:
        raise TheoryError(f"steps are {steps!r}; give whole numbers from 0 to {MOST_STEPS:,}")
    descent = GradientDescent(learning_rate)
    last = int(asked.max())
    nodes = _nodes(last)
    direct = _interpolated(nodes, solve(problem, nodes, descent, digits=digits).test, last)
    kernel = _interpolated(nodes, _memory(problem, nodes, descent, digits), last)
    gain = learning_rate**2 / batch
    share = gain * float(kernel[:last].sum())
    if share >= 1:
        raise TheoryError(
            f"the noise of the batches feeds itself: eta^2/B sum K = {share:.3g} is above 1; lower the learning rate "
            f"{learning_rate:g} or raise the batch {batch:g}"
        )
    noise = float(problem.noise)
    loss = solve_volterra(direct + noise, gain * kernel) - noise
    at = asked.astype(int)
    return OnePass(at, loss[at], direct[at], 1 / (1 - share), problem, float(batch))


def _nodes(last: int) -> np.ndarray:
    if last <= _EACH:
        return np.arange(last + 1.0)
    count = int(np.ceil(_PER_DECADE * np.log10(last / _EACH))) + 2
    return np.unique(np.concatenate((np.arange(_EACH + 1.0), np.round(np.geomspace(_EACH, last, count)))))


def _interpolated(nodes: np.ndarray, values: np.ndarray, last: int) -> np.ndarray:
    """Values at 0 ... last from those at the nodes, by a spline of their logarithms."""
    steps = np.arange(last + 1.0)
    if len(nodes) == last + 1:
        return values
    found = np.empty(last + 1)
    found[: _EACH + 1] = values[: _EACH + 1]
    lost = np.flatnonzero(~(values > _FLOOR * values[0]))
    end = len(nodes) if not len(lost) else int(lost[0])  # from there on only rounding is left
    keep = np.arange(len(nodes)) < end
    known = int(nodes[end - 1])
    found[known + 1 :] = 0.0
    if known > _EACH:
        keep &= nodes >= _EACH // 2
        spline = CubicSpline(np.log(nodes[keep]), np.log(values[keep]))
        found[_EACH + 1 : known + 1] = np.exp(spline(np.log(steps[_EACH + 1 : known + 1])))
    return found


def _memory(problem: RandomFeatures, times: np.ndarray, descent: GradientDescent, digits: float) -> np.ndarray:
    """K(tau) at whole times."""
    spectrum: Spectrum = problem.spectrum
    eigenvalues, (trace, _) = spectrum.eigenvalues, spectrum.weights
    N, P = np.atleast_1d(problem.features), np.array([np.inf])
    if np.isinf(N[0]):
        return (descent.filter(eigenvalues, times) ** 2) @ (trace * eigenvalues)
    found = np.empty(len(times))
    found[times == 0] = trace @ eigenvalues + spectrum.trace**2 / N[0]
    inner = np.flatnonzero(times > 0)
    for rule in descent.rules(times[inner], float(edge_of(spectrum, N, P)[0]), digits):
        at = renormalise(spectrum, N, P, rule.s)
        of = pairs(at)
        matrix = of.d2 + of.zz * of.dD**2 / (N[0] - of.d2)
        found[inner[rule.which]] = bilinear(matrix[0], rule.weights, rule.weights)
    return found
