"""Whether a task can be forecast at all: checks to read before trusting a forecast of accuracy.

Most single tasks cannot (Lourie et al. 2025: 18 of 46 follow a law). The reasons known are checked one by one, each with
the number it rests on: accuracy at chance, no trend, inverse or U-shaped scaling (McKenzie et al. 2023), a metric that is
sharp because it asks for many tokens at once (Schaeffer et al. 2023), saturation, a benchmark with too few items.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.optimize import isotonic_regression

from scalinglens.errors import FitError

__all__ = ["BASE_RATE", "Check", "predictability", "scatter_of"]

BASE_RATE = (18, 46)
"""Tasks whose accuracy followed a law, of those looked at (Lourie et al. 2025, arXiv 2507.00885)."""

SURE = 0.01  # probability of a false alarm of one check
ENOUGH = 4  # runs above chance: as many as the sigmoid has parameters
FEWEST = 5  # runs without which no ranking has a probability below SURE
LOUD = 5.0  # rise of the accuracy over its noise from which on the shape of the link shows
FULL = 0.95  # share of the way from chance to one from which on a task is saturated
SHARP = 5.0  # tokens that must all be right, from which on a metric is called sharp
LOW = 0.05  # accuracy below which a task without chance level counts as not begun


@dataclass(frozen=True, slots=True)
class Check:
    """One reason to trust a forecast, or not to.

    Attributes:
        name: of the check.
        passed: None where what is known of the task does not decide it.
        value, limit: the number behind the check, and the one it is compared with.
        says: one sentence.
        fatal: whether a forecast is refused when the check fails.
    """

    name: str
    passed: bool | None
    value: float | None
    limit: float | None
    says: str
    fatal: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return the check as plain data."""
        return asdict(self)


def predictability(
    loss: np.ndarray,
    accuracy: np.ndarray,
    *,
    chance: float | None = None,
    items: int | None = None,
) -> tuple[Check, ...]:
    """Check whether the accuracies of a set of runs can carry a forecast.

    Args:
        loss: of the final model of each run [n], in any unit.
        accuracy: its share of right answers [n].
        chance: accuracy of guessing; checks that need it are undecided without it.
        items: questions of the benchmark, for its binomial standard error.

    Returns:
        The checks, in the order of the module's words. A forecast is refused where a fatal one fails.

    Raises:
        FitError: lengths differ, a number is not finite, chance or items are impossible.

    Cost: a millisecond.

    Source: Schaeffer et al. 2023 (arXiv 2304.15004), McKenzie et al. 2023 (arXiv 2306.09479), Lourie et al. 2025.

    >>> loss = np.linspace(4.0, 2.0, 12)
    >>> checks = predictability(loss, 0.8 - 0.55 / (1 + np.exp(-4 * (loss - 3))), chance=0.25)
    >>> [check.name for check in checks if check.passed is False]
    []
    """
    loss, accuracy = np.asarray(loss, dtype=float).ravel(), np.asarray(accuracy, dtype=float).ravel()
    _check_input(loss, accuracy, chance, items)
    order = np.argsort(-loss, kind="stable")
    loss, accuracy = loss[order], accuracy[order]
    scatter = scatter_of(loss, accuracy)
    return (
        _runs(len(loss)),
        _above_chance(accuracy, chance, items, scatter),
        _trend(loss, accuracy),
        _monotone(loss, accuracy, scatter),
        _loud(accuracy, items, scatter),
        _saturated(accuracy, chance),
        _sharp(loss, accuracy, chance),
        _base_rate(),
    )


def scatter_of(x: np.ndarray, y: np.ndarray) -> float:
    """Return the standard deviation of y about a smooth curve in x, from how each point misses the line of its neighbours.

    sd^2 = mean of e^2/c, e = a y[i-1] + b y[i+1] - y[i], c = a^2 + b^2 + 1

    Args:
        x: sorted [n], upwards or downwards.
        y: [n].

    Source: Gasser, Sroka and Jennen-Steinmetz 1986, Biometrika 73.

    >>> scatter_of(np.arange(5.0), 3 * np.arange(5.0))
    0.0
    """
    if len(x) < 3:
        return 0.0
    width = x[2:] - x[:-2]
    with np.errstate(invalid="ignore", divide="ignore"):
        a = np.where(width == 0, 0.5, (x[2:] - x[1:-1]) / width)
    e = a * y[:-2] + (1 - a) * y[2:] - y[1:-1]
    return float(np.sqrt(np.mean(e**2 / (a**2 + (1 - a) ** 2 + 1))))


def _check_input(loss: np.ndarray, accuracy: np.ndarray, chance: float | None, items: int | None) -> None:
    if len(loss) != len(accuracy) or not len(loss):
        raise FitError(f"the checks need one accuracy per loss, got {len(accuracy)} for {len(loss)}")
    for what, values in (("loss", loss), ("accuracy", accuracy)):
        if not np.all(np.isfinite(values)):
            row = int(np.argmax(~np.isfinite(values)))
            raise FitError(f"the {what} of run {row} is {values[row]:g}; leave out runs that were not evaluated")
    if chance is not None and not (isinstance(chance, int | float) and 0 <= chance < 1):
        raise FitError(f"chance is the share of right answers of guessing, 0 or more and below 1, got {chance!r}")
    if items is not None and (isinstance(items, bool) or not isinstance(items, int | np.integer) or items < 1):
        raise FitError(f"items is the number of questions of the benchmark, a positive whole number, got {items!r}")


def _runs(count: int) -> Check:
    says = f"{count} runs; a trend shows from {FEWEST} on, and a link has up to {ENOUGH} parameters"
    return Check("enough runs", count >= FEWEST, count, FEWEST, says, fatal=True)


def _above_chance(accuracy: np.ndarray, chance: float | None, items: int | None, scatter: float) -> Check:
    from scipy import stats  # a slow import, of no use to most commands

    name = "above chance"
    if chance is None:
        return Check(name, None, None, ENOUGH, "the accuracy of guessing is not given (chance=0.25)", fatal=False)
    error = _binomial(chance, items) if items else scatter
    bar = chance + float(stats.norm.isf(SURE / len(accuracy))) * error
    above = int(np.sum(accuracy > bar))
    noise = f"the binomial error of {items} items" if items else "the scatter of the runs"
    says = f"{above} of {len(accuracy)} runs lie above {bar:.3f}, where chance {chance:.3g} and {noise} end"
    if above and above < ENOUGH:
        says += f"; fewer than {ENOUGH} do not show the shape of the rise"
    return Check(name, above >= ENOUGH, above, ENOUGH, says, fatal=above == 0)


def _trend(loss: np.ndarray, accuracy: np.ndarray) -> Check:
    """Kendall's rank correlation, one-sided: does accuracy rise as the loss falls?"""
    from scipy import stats  # a slow import, of no use to most commands

    if len(loss) < 2 or np.ptp(loss) == 0 or np.ptp(accuracy) == 0:
        same = "loss" if np.ptp(loss) == 0 else "accuracy"
        return Check("trend", False, 1.0, SURE, f"all runs have the same {same}", fatal=True)
    tau: Any = stats.kendalltau(-loss, accuracy, alternative="greater")
    chance = float(tau.pvalue)
    shown = f"rank correlation {tau.statistic:+.2f}, probability {chance:.2g} without any trend"
    if chance <= SURE:
        return Check("trend", True, chance, SURE, f"accuracy rises as the loss falls: {shown}", fatal=True)
    opposite: Any = stats.kendalltau(-loss, accuracy, alternative="less")
    inverse = float(opposite.pvalue) <= SURE
    says = "accuracy falls as the loss falls (inverse scaling)" if inverse else "accuracy shows no trend with the loss"
    return Check("trend", False, chance, SURE, f"{says}: {shown}", fatal=True)


def _monotone(loss: np.ndarray, accuracy: np.ndarray, scatter: float) -> Check:
    """Distance from the nearest rising curve, in units of the scatter between neighbours."""
    from scipy import stats  # a slow import, of no use to most commands

    name = "monotone"
    if len(loss) < FEWEST:
        return Check(name, None, None, SURE, f"{len(loss)} runs do not show a turn", fatal=False)
    rising = isotonic_regression(accuracy).x
    misfit = float(np.sum((accuracy - rising) ** 2))
    worst = float(np.max(np.maximum.accumulate(accuracy) - accuracy))
    spare = max(len(loss) - len(np.unique(rising)), 1)
    if misfit == 0.0:
        return Check(name, True, 1.0, SURE, "no run has a lower accuracy than one of higher loss", fatal=True)
    probability = float(stats.chi2.sf(misfit / scatter**2, spare)) if scatter > 0 else 0.0
    says = (
        f"the deepest fall of accuracy with a falling loss is {worst:.3f}, the scatter of a run {scatter:.3f} "
        f"(probability {probability:.2g} under a rising curve)"
    )
    return Check(name, probability > SURE, probability, SURE, says, fatal=True)


def _loud(accuracy: np.ndarray, items: int | None, scatter: float) -> Check:
    """The rise over the noise of one run: the larger of what is seen and what the number of items alone gives."""
    rise = float(np.ptp(isotonic_regression(accuracy).x))
    binomial = _binomial(float(np.clip(accuracy.mean(), 0.0, 1.0)), items) if items else 0.0
    noise = max(scatter, binomial)
    ratio = rise / noise if noise > 0 else math.inf
    source = f"binomial for {items} items" if binomial >= scatter and items else "scatter between neighbours"
    says = f"accuracy rises by {rise:.3f} over the runs, {ratio:.3g} times the noise of one run ({noise:.2g}, {source})"
    return Check("signal", ratio >= LOUD, ratio, LOUD, says)


def _saturated(accuracy: np.ndarray, chance: float | None) -> Check:
    floor = chance or 0.0
    best = (float(accuracy.max()) - floor) / (1 - floor)
    share = float(np.mean((accuracy - floor) / (1 - floor) > FULL))
    says = f"the best run is {best:.0%} of the way from {floor:.3g} to 1, and {share:.0%} of the runs are beyond {FULL:.0%}"
    if best > FULL:
        says += "; what is left to gain is the benchmark's own errors"
    return Check("not saturated", best <= FULL, best, FULL, says)


def _sharp(loss: np.ndarray, accuracy: np.ndarray, chance: float | None) -> Check:
    """Exact match over n tokens is exp(-n loss): the slope of ln accuracy where accuracy is small counts the tokens."""
    name = "smooth metric"
    if (chance or 0.0) > LOW or accuracy.min() > LOW:
        floor = float(accuracy.min())
        return Check(
            name, True, None, SHARP, f"accuracy starts at {floor:.2f}: no answer is all or nothing at the floor"
        )
    zeros = float(np.mean(accuracy == 0))
    begun = (accuracy > 0) & (accuracy < 0.5)
    says = f"{zeros:.0%} of the runs score exactly zero"
    if begun.sum() < 3 or np.ptp(loss[begun]) == 0:
        undecided = zeros == 0
        says += ", and too few lie between zero and a half to see how fast the score rises"
        return Check(
            name, None if undecided else False, zeros, 0.0, f"{says}; score the likelihood of the answer instead"
        )
    slope = -float(np.polyfit(loss[begun], np.log(accuracy[begun]), 1)[0])
    says += f", and ln accuracy rises by {slope:.3g} per unit of loss, as if {slope:.2g} tokens had to be right at once"
    if slope >= SHARP:
        says += "; score the likelihood of the answer, or partial credit, instead"
    return Check(name, slope < SHARP, slope, SHARP, says)


def _base_rate() -> Check:
    good, of = BASE_RATE
    says = f"base rate: {good} of {of} tasks ({good / of:.0%}) followed a law in Lourie et al. 2025 (arXiv 2507.00885)"
    return Check("base rate", None, good / of, None, says)


def _binomial(share: float, items: int | None) -> float:
    return math.sqrt(share * (1 - share) / items) if items else 0.0
