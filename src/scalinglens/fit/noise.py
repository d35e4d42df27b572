"""The scatter of runs about a law: how large it is, whether it grows with the loss, and how much of it runs share.

    observed = prediction * exp(e),  sd(e) = scale (prediction/middle)^growth

(or observed = prediction + e where logarithms do not exist; then growth is zero). It makes the intervals of a single new
run, and the tables of the parametric bootstrap.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["Noise", "estimate_noise"]

TAILS = 4.0  # degrees of freedom of the t density that the scale is fitted with: stray runs must not set it
STEEPEST = 8.0  # largest growth believed
ENOUGH = 12  # runs below which growth is not looked for
_STEPS, _LONGEST, _CLOSE = 100, 2.0, 1e-9  # of the search for it: most steps, most change of a log scale, last step


@dataclass(frozen=True)
class Noise:
    """Scatter of single runs about a law.

    Attributes:
        scale: standard deviation where the prediction is `middle`, corrected for the parameters that were fitted.
        growth: d ln sd / d ln prediction.
        middle: geometric mean of the predictions.
        shared: share of the variance that the runs of one group have in common.
        standard: deviations of the runs in units of their standard deviation [n], observed above prediction positive.
        freedom: degrees of freedom that the scale rests on.
    """

    scale: float
    growth: float
    middle: float
    shared: float
    standard: np.ndarray
    freedom: float

    def at(self, prediction: np.ndarray) -> np.ndarray:
        """Return the standard deviation of a run where the law predicts `prediction`."""
        if self.growth == 0.0:
            return np.full(np.shape(prediction), self.scale)
        with np.errstate(all="ignore"):
            return self.scale * np.exp(self.growth * (np.log(prediction) - np.log(self.middle)))

    def shapes(self, size: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
        """Draw deviations in units of their standard deviation.

        The deviations seen are drawn from, smoothed by the kernel of Silverman (1986, section 6.4.1): few runs still have
        tails, and the runs that a fit passes through exactly do not pile up at zero.
        """
        width = 1.06 * len(self.standard) ** -0.2
        return (rng.choice(self.standard, size=size) + width * rng.normal(size=size)) / np.sqrt(1 + width**2)

    def sample(self, prediction: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Draw a deviation for each prediction [draws, n].

        Each draw has its own scale, because the scale is an estimate (this makes a t density of normal noise).
        """
        scale = np.sqrt(self.freedom / rng.chisquare(self.freedom, size=len(prediction)))
        return (
            self.at(prediction) * self.shapes(prediction.shape, rng) * scale.reshape(-1, *[1] * (prediction.ndim - 1))
        )


def estimate_noise(
    deviations: np.ndarray,
    prediction: np.ndarray,
    groups: np.ndarray,
    free: int,
    absorbed: float,
    *,
    grows: bool = True,
) -> Noise:
    """Estimate the scatter of runs from the residuals of a fit.

    Args:
        deviations: observed minus predicted, in logarithms where the law is fitted in those [n].
        prediction: of the law [n].
        groups: group number of each run [n]; all different where runs are independent.
        free: number of fitted parameters.
        absorbed: how many of them the means of the groups determine (all, where every run is a group): see
            `absorbed_by_groups`.
        grows: whether the scatter may depend on the prediction.

    Cost: a few milliseconds.

    Source: two-parameter scale of Harvey 1976 (Econometrica 44), with t errors, shrunk by its own uncertainty.
    """
    rows, count = len(deviations), int(groups.max()) + 1
    freedom = max(rows - free, 1.0) if count == rows else max(count - absorbed, 1.0)
    positive = bool(np.all(prediction > 0))
    middle = float(np.exp(np.mean(np.log(prediction)))) if positive else 1.0
    growth = _growth(deviations, np.log(prediction / middle)) if grows and positive and rows >= ENOUGH else 0.0
    relative = np.exp(growth * np.log(prediction / middle)) if growth else np.ones(rows)
    standard = deviations / relative
    if not np.any(standard):  # the law passes through every run
        return Noise(0.0, 0.0, middle, 0.0, np.zeros(rows), freedom)
    common, own = _variances(standard, groups, free, absorbed)
    spread = float(np.sqrt(np.mean(standard**2)))
    return Noise(float(np.sqrt(common + own)), growth, middle, common / (common + own), standard / spread, freedom)


def _growth(deviations: np.ndarray, z: np.ndarray) -> float:
    """d ln sd / d ln prediction: maximum likelihood of a t density, shrunk towards zero by its uncertainty."""
    size = np.abs(deviations)
    typical = float(np.median(size))
    if typical == 0.0 or np.std(z) < 1e-3:
        return 0.0

    def cost(at: np.ndarray) -> float:
        log_sd = at[0] + at[1] * z
        return float(np.sum(log_sd + 0.5 * (TAILS + 1) * np.log1p((deviations * np.exp(-log_sd)) ** 2 / TAILS)))

    # the cost is convex in both, so damped Newton steps find its minimum from anywhere
    at = np.array([np.log(typical) + 0.4, 0.0])
    value, reach = cost(at), np.array([1.0, np.abs(z).max()])
    for _ in range(_STEPS):
        square = (deviations * np.exp(-at[0] - at[1] * z)) ** 2
        slope = 1.0 - (TAILS + 1) * square / (TAILS + square)
        bend = 2 * (TAILS + 1) * TAILS * square / (TAILS + square) ** 2
        first, second, third = bend.sum(), bend @ z, bend @ (z * z)
        determinant = first * third - second * second
        if not determinant > 0:
            break
        along, across = slope.sum(), slope @ z
        step = np.array([third * along - second * across, first * across - second * along]) / determinant
        step *= min(1.0, _LONGEST / np.abs(step * reach).max())
        new = cost(at - step)
        while new > value and np.abs(step).max() > _CLOSE:
            step = step / 2
            new = cost(at - step)
        if not new <= value:
            break
        at, value = at - step, new
        if np.abs(step).max() < _CLOSE:
            break
    growth = float(np.clip(at[1], -STEEPEST, STEEPEST))
    # information about a log scale per run of a t density: 2 nu / (nu + 3)
    error = 1.0 / np.sqrt(2 * TAILS / (TAILS + 3) * len(z) * np.var(z))
    return growth * max(0.0, 1.0 - (error / growth) ** 2) if growth else 0.0


def _variances(standard: np.ndarray, groups: np.ndarray, free: int, absorbed: float) -> tuple[float, float]:
    """Variances shared by a group and a run's own, by analysis of variance.

    The fit has made both sums of squares smaller: it absorbs so many degrees of freedom from each.
    """
    rows, count = len(standard), np.bincount(groups)
    used = len(count)
    if used < 2 or used == rows:
        return 0.0, float(np.sum(standard**2)) / max(rows - free, 1)
    mean = np.bincount(groups, standard) / np.maximum(count, 1)
    own = float(np.sum((standard - mean[groups]) ** 2)) / max(rows - used - (free - absorbed), 1.0)
    between = float(np.sum(count * mean**2)) / max(used - absorbed, 1.0)
    size = (rows - np.sum(count**2) / rows) / (used - 1)
    return max((between - own) / size, 0.0), own
