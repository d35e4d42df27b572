"""Where a loss curve that is still being drawn will end: several laws on several stretches of it, pooled.

Members are E + A x^-a - c d on the last part of the curve, for several lengths of that part and several weights on recent
rows; x is the progress (the running sum of the learning rate where it is known, else steps or tokens) and d how far the
learning rate has fallen from its peak, smoothed over a fiftieth of the run. All but a is linear, so a runs over a grid and
the rest is least squares, for all resamples at once. The effect c of a decay that has hardly begun is not in the data; it
gets the prior of runs that were seen to the end.

No single law is right and the noise is correlated, so the interval holds three things: resampled blocks of residuals, the
disagreement of the members, and an error in proportion to the fall that is still to come, all growing with the distance.
The weights of these parts were calibrated on one half of the public curves and measured on the other (`benchmarks/live.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from scalinglens.laws.schedule import Schedule

__all__ = ["DECAY_EFFECT", "Outlook", "Windows", "anneal", "outlook", "windows"]

WINDOWS = 48  # log-spaced stretches whose mean losses are fitted
FEWEST = 8  # windows below which nothing is forecast
MEMBERS = (
    (0.02, 0.5),
    (0.1, 1.0),
    (0.3, 1.0),
    (0.1, 3.0),
)  # (part of the progress left out, power of x in the weights)
EXPONENTS = np.geomspace(0.03, 2.5, 48)
SMOOTHING = 0.02  # of the run: memory of the loss for the learning rate (Tissue et al. 2024: lam 0.998 in 24,000 steps)
DECAY_EFFECT = (
    0.04,
    0.02,
)  # c relative to the loss, of a full decay: 0.030 to 0.063 in the 21 runs of Luo et al. (2025)
RECENT = 0.4  # of the progress: the end of the curve that shows whether it rises
# weights of the parts of the width, and its growth with log2 of the distance to the end: calibrated, see above
SHARES = {"resampled": 0.4, "members": 0.6, "open": 0.12, "noise": 2.3}
FREEDOM = 4  # of the t distribution that the errors follow: forecasts fail by a lot now and then


@dataclass(frozen=True)
class Windows:
    """Mean losses over log-spaced stretches of the progress.

    Attributes:
        x: mean progress [windows].
        loss: mean loss [windows].
        fall: how far the learning rate has fallen, between 0 and 1 [windows].
        count: rows in each [windows].
    """

    x: np.ndarray
    loss: np.ndarray
    fall: np.ndarray
    count: np.ndarray

    def __len__(self) -> int:
        return len(self.x)


@dataclass(frozen=True)
class Outlook:
    """The pooled forecast of one number, the mean loss at the end.

    Attributes:
        value: the forecast.
        draws: equally likely values [draws].
        now: mean loss of the last window.
        noise: standard deviation of a window's mean about the law.
        members: value of each member.
        parts: the deviations that make up the width: "resampled", "members", "open" (of the fall still to come), "noise".
        rising: whether the loss rises at the end, which no member can follow; the trend is then a member of its own.
    """

    value: float
    draws: np.ndarray
    now: float
    noise: float
    members: tuple[float, ...]
    parts: dict[str, float]
    rising: bool

    def interval(self, level: float) -> tuple[float, float]:
        """Return the central interval of the draws."""
        low, high = np.quantile(self.draws, [(1 - level) / 2, (1 + level) / 2])
        return float(low), float(high)

    def below(self, bound: float) -> float:
        """Return the probability of ending below a bound."""
        return float(np.mean(self.draws < bound))


def windows(x: np.ndarray, loss: np.ndarray, fall: np.ndarray | None = None, count: int = WINDOWS) -> Windows:
    """Average a curve in log-spaced windows of its progress; rows in any order, all finite, x positive.

    >>> len(windows(np.arange(1.0, 10_001.0), np.ones(10_000)))
    44
    """
    edges = np.geomspace(x.min() * (1 - 1e-9), x.max() * (1 + 1e-9), count + 1)
    inverse, number = np.unique(np.searchsorted(edges, x, side="right"), return_inverse=True, return_counts=True)[1:]
    fall = np.zeros(len(x)) if fall is None else fall
    mean = lambda values: np.bincount(inverse, values) / number  # noqa: E731
    return Windows(mean(x), mean(loss), mean(fall), number)


def anneal(schedule: Schedule) -> np.ndarray:
    """Return how far the learning rate has fallen from its peak at each step [steps], averaged over the steps before."""
    peak = np.maximum.accumulate(schedule.rates)
    total = np.cumsum(np.where(peak > 0, 1 - schedule.rates / np.where(peak > 0, peak, 1.0), 0.0))
    width = max(round(2 * SMOOTHING * schedule.steps), 1)  # the mean lag is half of it
    before = np.concatenate([np.zeros(min(width, len(total))), total[:-width]])
    return (total - before) / width


def outlook(
    seen: Windows,
    final: float,
    final_fall: float = 0.0,
    *,
    distance: float | None = None,
    draws: int = 400,
    seed: int = 0,
) -> Outlook | None:
    """Forecast the mean loss at progress `final`, or None where there is too little to say.

    Args:
        seen: the curve so far, without its warm-up.
        final: progress at the end, in the unit of `seen.x`.
        final_fall: how far the learning rate will have fallen.
        distance: to the end, as log2 of (end / now) in steps; by default that of the progress.
        draws: how many.
        seed: of the resamples.

    Cost: about 200 small least-squares problems, 30 ms.
    """
    if len(seen) < FEWEST:
        return None
    rng = np.random.default_rng(seed)
    now = float(seen.x[-1])
    found = [_member(seen, now, final, final_fall, skip, power, rng, draws) for skip, power in MEMBERS]
    found = [member for member in found if member is not None]
    if not found:
        return None
    values = np.array([member[0] for member in found])
    trend = _rise(seen, final / now)
    if trend is not None:
        values = np.append(values, [trend] * len(values))  # as likely as all laws together
    value = float(values.mean())
    level = float(np.average(seen.loss[-2:], weights=seen.count[-2:]))
    parts = {
        "resampled": float(np.sqrt(np.mean([np.var(member[1]) for member in found]))),
        "members": float(values.std()),
        "open": abs(level - value),
        "noise": float(np.median([member[2] for member in found])),
    }
    distance = max(float(np.log2(final / now)) if distance is None else distance, 0.0)
    grown = {name: SHARES[name] * part * (1.0 if name == "noise" else distance) for name, part in parts.items()}
    spread = float(np.sqrt(sum(part**2 for part in grown.values())))
    # draws at the quantiles of a t distribution, in a random order so that pairs of forecasts are independent
    ranks = (rng.permutation(draws) + 0.5) / draws
    values_drawn = value + spread * stdtrit(FREEDOM, ranks)
    return Outlook(value, values_drawn, level, parts["noise"], tuple(values.tolist()), parts, trend is not None)


def _rise(seen: Windows, ratio: float) -> float | None:
    """The straight line in ln x through the end of the curve, where it rises beyond its scatter; else None."""
    keep = seen.x >= RECENT * seen.x[-1]
    if keep.sum() < 5:
        keep = np.arange(len(seen)) >= len(seen) - 5
    x, y = np.log(seen.x[keep] / seen.x[-1]), seen.loss[keep]
    basis = np.stack([np.ones_like(x), x], axis=1)
    found = np.linalg.lstsq(basis, y, rcond=None)[0]
    error = float(np.sqrt(np.sum((y - basis @ found) ** 2) / (len(x) - 2) * np.linalg.inv(basis.T @ basis)[1, 1]))
    rises = found[1] > 3.0 * error + 1e-6 * abs(float(y.mean()))
    return float(found[0] + found[1] * np.log(ratio)) if rises else None


def _member(
    seen: Windows,
    now: float,
    final: float,
    final_fall: float,
    skip: float,
    power: float,
    rng: np.random.Generator,
    draws: int,
) -> tuple[float, np.ndarray, float] | None:
    """Forecast of one member, its resamples, and the deviation of its residuals."""
    keep = seen.x >= skip * now
    if keep.sum() < 6:
        return None
    x, y, fall, count = seen.x[keep] / now, seen.loss[keep], seen.fall[keep], seen.count[keep]
    weight = np.sqrt(x**power * np.minimum(count, 3 * np.median(count)))
    annealed = max(final_fall, float(fall.max())) > 1e-3
    size = float(np.median(np.abs(y)))
    prior = np.array(DECAY_EFFECT) * size
    # without knowledge of the noise the prior on the decay cannot be weighed: a first fit with its mean gives it
    first = _best(x, y[None], fall, weight, np.inf, prior[:1], final / now, final_fall)
    residual = y - first[1]
    noise = float(np.sqrt(np.sum((weight * residual) ** 2) / np.sum(weight**2) * len(x) / max(len(x) - 3, 1)))
    stiffness = noise * float(np.sqrt(np.mean(weight**2))) / prior[1] if annealed else np.inf
    centre = _best(x, y[None], fall, weight, stiffness, prior[:1], final / now, final_fall)
    length = max(2, len(x) // 8)
    begins = rng.integers(0, max(len(x) - length, 1), size=(draws // 8, -(-len(x) // length)))
    index = (begins[:, :, None] + np.arange(length)).reshape(len(begins), -1)[:, : len(x)]
    residual = (y - centre[1]) * np.sqrt(len(x) / max(len(x) - 3, 1))
    effects = prior[0] + prior[1] * rng.standard_normal(len(begins)) if annealed else np.repeat(prior[:1], len(begins))
    again = _best(x, centre[1] + residual[index], fall, weight, stiffness, effects, final / now, final_fall)
    return float(centre[0][0]), again[0], noise


def _best(
    x: np.ndarray, y: np.ndarray, fall: np.ndarray, weight: np.ndarray, stiffness: float, effects: np.ndarray,
    final: float, final_fall: float,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Least squares over the grid of exponents for curves y [k, windows]: value at the end [k], and the first fit.

    The effect of the decay is held at `effects` where the stiffness of its prior is infinite.
    """
    held = not np.isfinite(stiffness)
    lowest = np.full(len(y), np.inf)
    end = np.full(len(y), np.nan)
    fitted = np.full(len(x), float(y[0].mean()))
    target = y + effects[:, None] * fall if held else y
    for a in (0.0, *EXPONENTS):
        for floor in (True, False) if a else (False,):  # a loss that no longer falls is a constant
            columns = [x**-a] if not floor else [np.ones_like(x), x**-a]
            last = [final**-a] if not floor else [1.0, final**-a]
            if not held:
                columns, last = [*columns, -fall], [*last, -final_fall]
            basis = np.stack(columns, axis=1)
            rows = basis * weight[:, None]
            right = target * weight
            if not held:  # one more row: the prior
                rows = np.vstack([rows, stiffness * np.eye(basis.shape[1])[-1]])
                right = np.hstack([right, stiffness * effects[:, None]])
            found = right @ np.linalg.pinv(rows).T
            excess = np.sum((right - found @ rows.T) ** 2, axis=1)
            amplitudes = found[:, : 1 + floor]
            better = (excess < lowest) & np.all(amplitudes >= 0, axis=1)
            lowest = np.where(better, excess, lowest)
            value = found @ np.array(last) - (effects * final_fall if held else 0.0)
            end = np.where(better, value, end)
            if better[0]:
                fitted = found[0] @ basis.T - (effects[0] * fall if held else 0.0)
    return np.where(np.isfinite(end), end, y[:, -1]), fitted
