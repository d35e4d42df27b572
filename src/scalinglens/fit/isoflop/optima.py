"""The best size of one budget, by Akima interpolation or by a parabola, with draws of the noise of single runs."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.interpolate import Akima1DInterpolator

from scalinglens.fit.estimate import Estimate
from scalinglens.fit.isoflop.budgets import Budget
from scalinglens.numerics.bootstrap import percentile_interval

__all__ = ["STATUSES", "Optimum", "akima_optimum", "bend_of", "parabola_optimum", "scatter_of"]

STATUSES = {
    "ok": "the loss is least inside the sizes",
    "too_few_sizes": "fewer than three sizes",
    "no_interior_minimum": "the loss is least at the smallest or the largest size",
    "inverted_parabola": "the losses bend downwards, so their parabola has no minimum",
    "erratic_losses": "the losses jump between neighbouring sizes, so a curve through them dips far below all of them",
    "unstable_minimum": "with noise added, the loss is least at an end of the sizes in half of the draws",
}
"""What can be said of a budget, and what it means."""

_FINE = 25  # grid points from one size to the next
_FLOOR = 0.33  # of the spacing of sizes: an optimum is not known better
_DIP = 0.5  # of the range of ln loss: interpolation that dips deeper below the best run has seen noise, no minimum
_SURVIVE = 0.5  # share of draws that must have their minimum inside


@dataclass(frozen=True, eq=False)
class Optimum:
    """The best size of one budget.

    Attributes:
        flops: the budget.
        status: a name in `STATUSES`.
        sizes: number of different sizes.
        smallest, largest: of them.
        size: the best size with its interval, or None.
        tokens: at that size.
        loss: the least loss.
        near: smallest and largest size whose loss is within the tolerance of the least; None for an end beyond the sizes.
        error: standard deviation of ln size that weights rest on; NaN without an optimum.
        draws: ln size under draws of the noise [draws], NaN where a draw has no minimum inside; may be empty.
        token_draws: ln tokens at the drawn sizes [draws].
    """

    flops: float
    status: str
    sizes: int
    smallest: float
    largest: float
    size: Estimate | None = None
    tokens: Estimate | None = None
    loss: Estimate | None = None
    near: tuple[float | None, float | None] = (None, None)
    error: float = float("nan")
    draws: np.ndarray = field(default_factory=lambda: np.empty(0))
    token_draws: np.ndarray = field(default_factory=lambda: np.empty(0))

    @property
    def reason(self) -> str:
        """What the status means."""
        return STATUSES[self.status]


def akima_optimum(budget: Budget, noise: np.ndarray, near: float, level: float) -> Optimum:
    """Interpolate ln loss over ln size and take the least point of a fine grid.

    Args:
        budget: its runs.
        noise: deviations to add to the losses [draws, sizes]; no rows: no interval.
        near: relative tolerance of the near-optimal range.
        level: of the interval.

    Returns:
        The `Optimum`: with draws, the size is their median.

    Cost: draws x 25 x sizes.

    Source: Porian et al. 2024 (arXiv 2406.19146), appendix on estimating optimal sizes, and their code.
    """
    if len(budget.sizes) < 3:
        return _without(budget, "too_few_sizes")
    x = np.log(budget.sizes)
    fine = np.linspace(x[0], x[-1], _FINE * (len(x) - 1))
    curve = Akima1DInterpolator(x, np.log(budget.losses))(fine)
    best = int(curve.argmin())
    if best in (0, len(fine) - 1):
        return _without(budget, "no_interior_minimum")
    logs = np.log(budget.losses)
    if logs.min() - curve[best] > _DIP * np.ptp(logs):
        return _without(budget, "erratic_losses")
    step = fine[1] - fine[0]
    range_ = _near(fine, curve, near)
    if not len(noise):
        return _found(budget, fine[best], np.exp(curve[best]), range_, _FLOOR * _FINE * step, np.empty(0), None, level)
    losses = np.maximum(budget.losses + noise, 1e-12 * budget.losses)
    curves = Akima1DInterpolator(x, np.log(losses), axis=1)(fine)
    at = curves.argmin(axis=1)
    kept = (at > 0) & (at < len(fine) - 1)
    if kept.mean() < _SURVIVE:
        return _without(budget, "unstable_minimum")
    draws = np.where(kept, fine[at], np.nan)
    least = np.exp(curves[np.arange(len(at)), at])
    error = max(float(np.nanstd(draws)), _FLOOR * _FINE * step) / float(kept.mean())
    return _found(budget, float(np.nanmedian(draws)), np.exp(curve[best]), range_, error, draws, least[kept], level)


def parabola_optimum(budget: Budget, noise: np.ndarray, near: float, level: float) -> Optimum:
    """Fit loss = c0 + c1 ln size + c2 (ln size)^2 by least squares and take its vertex.

    Args: as `akima_optimum`.

    Returns:
        The `Optimum`; a vertex outside the sizes is refused, not extrapolated to.

    Cost: one least-squares problem with a right-hand side per draw.

    Source: Hoffmann et al. 2022 (arXiv 2203.15556), approach 2.
    """
    if len(budget.sizes) < 3:
        return _without(budget, "too_few_sizes")
    x = np.log(budget.sizes)
    middle, half = 0.5 * (x[0] + x[-1]), 0.5 * (x[-1] - x[0])
    z = (x - middle) / half
    solve = np.linalg.pinv(np.stack([np.ones_like(z), z, z * z], axis=1))
    c0, c1, c2 = solve @ budget.losses
    if c2 <= 0:
        return _without(budget, "inverted_parabola")
    vertex = -0.5 * c1 / c2
    if abs(vertex) >= 1:
        return _without(budget, "no_interior_minimum")
    least = c0 - 0.25 * c1**2 / c2
    reach = np.sqrt(near * abs(least) / c2) * half
    ends = middle + half * vertex - reach, middle + half * vertex + reach
    range_ = (None if ends[0] < x[0] else float(np.exp(ends[0])), None if ends[1] > x[-1] else float(np.exp(ends[1])))
    floor = _FLOOR * 2 * half / (len(x) - 1)
    if not len(noise):
        return _found(budget, middle + half * vertex, least, range_, floor, np.empty(0), None, level)
    d0, d1, d2 = solve @ (budget.losses + noise).T
    with np.errstate(all="ignore"):
        place = -0.5 * d1 / d2
        kept = (d2 > 0) & (np.abs(place) < 1)
        lows = (d0 - 0.25 * d1**2 / d2)[kept]
    if kept.mean() < _SURVIVE:
        return _without(budget, "unstable_minimum")
    draws = np.where(kept, middle + half * place, np.nan)
    error = max(float(np.nanstd(draws)), floor) / float(kept.mean())
    return _found(budget, middle + half * vertex, least, range_, error, draws, lows, level)


def scatter_of(budgets: tuple[Budget, ...]) -> float:
    """Estimate the standard deviation of single losses, NaN where nothing tells it.

    It is the median deviation from cubics in ln size, each in units of what the cubic leaves of it; stray runs do not set it.
    """
    deviations = []
    for budget in budgets:
        if len(budget.sizes) < 6:
            continue
        z = np.log(budget.sizes)
        z = (z - z.mean()) / z.std()
        basis = np.linalg.qr(np.stack([z**i for i in range(4)], axis=1))[0]
        share = 1 - np.sum(basis**2, axis=1)
        left = budget.losses - basis @ (basis.T @ budget.losses)
        free = share > 0.1  # a run that the cubic passes through tells nothing
        deviations.append(np.abs(left[free]) / np.sqrt(share[free]))
    return float(1.4826 * np.median(np.concatenate(deviations))) if deviations else float("nan")


def bend_of(budgets: tuple[Budget, ...], scatter: float) -> float:
    """Return how many standard errors the budgets' parabolas bend upwards, all together; NaN without noise or sizes."""
    each = []
    for budget in budgets:
        if len(budget.sizes) < 3:
            continue
        z = np.log(budget.sizes)
        z = (z - z.mean()) / z.std()
        solve = np.linalg.pinv(np.stack([np.ones_like(z), z, z * z], axis=1))[2]
        noise = budget.noise if budget.noise is not None else np.full(len(z), scatter)
        with np.errstate(all="ignore"):
            each.append(float(solve @ budget.losses / np.sqrt(np.sum((solve * noise) ** 2))))
    return float(np.sum(each) / np.sqrt(len(each))) if each and np.all(np.isfinite(each)) else float("nan")


def _near(fine: np.ndarray, curve: np.ndarray, near: float) -> tuple[float | None, float | None]:
    """Ends of the connected stretch around the least point where the loss is within the tolerance."""
    within = curve <= curve.min() + np.log1p(near)
    best = int(curve.argmin())
    left = best - int(np.argmin(within[best::-1])) + 1 if not within[: best + 1].all() else None
    right = best + int(np.argmin(within[best:])) - 1 if not within[best:].all() else None
    return (
        None if left is None else float(np.exp(fine[left])),
        None if right is None else float(np.exp(fine[right])),
    )


def _without(budget: Budget, status: str) -> Optimum:
    return Optimum(budget.flops, status, len(budget.sizes), float(budget.sizes[0]), float(budget.sizes[-1]))


def _found(
    budget: Budget,
    log_size: float,
    loss: float,
    near: tuple[float | None, float | None],
    error: float,
    draws: np.ndarray,
    losses: np.ndarray | None,
    level: float,
) -> Optimum:
    x, y = np.log(budget.sizes), np.log(budget.tokens)
    tokens = lambda at: np.exp(np.interp(at, x, y))  # noqa: E731  exact at fixed compute, where ln tokens is linear
    token_draws = np.where(np.isfinite(draws), np.interp(np.where(np.isfinite(draws), draws, x[0]), x, y), np.nan)

    def estimate(value: float, spread: np.ndarray | None) -> Estimate:
        if spread is None or not len(spread):
            return Estimate(float(value))
        low, high = percentile_interval(spread, level)
        return Estimate(float(value), float(low), float(high), level, "percentile")

    return Optimum(
        flops=budget.flops,
        status="ok",
        sizes=len(budget.sizes),
        smallest=float(budget.sizes[0]),
        largest=float(budget.sizes[-1]),
        size=estimate(np.exp(log_size), np.exp(draws)),
        tokens=estimate(float(tokens(log_size)), np.exp(token_draws)),
        loss=estimate(loss, losses),
        near=near,
        error=error,
        draws=draws,
        token_draws=token_draws,
    )
