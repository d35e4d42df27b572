"""Forecasts that need no fit: a law that does not beat them has learned nothing from the table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.spatial import KDTree

__all__ = ["BASELINES", "View"]


@dataclass(frozen=True, eq=False)
class View:
    """What a baseline sees of a fold.

    Attributes:
        inputs: input -> values [n] of all rows of the table, those of the laws that are compared.
        extent: how large each run is [n], NaN where the table does not say.
        target: what is forecast [n]; only its training rows are looked at.
        train, test: row numbers.
    """

    inputs: Mapping[str, np.ndarray]
    extent: np.ndarray
    target: np.ndarray
    train: np.ndarray
    test: np.ndarray

    @property
    def falls(self) -> bool:
        """Whether a larger run has a smaller target, as losses do and accuracies do not."""
        from scipy.stats import rankdata  # a slow import, of no use to most commands

        size, target = self.extent[self.train], self.target[self.train]
        if not np.all(np.isfinite(size)) or np.ptp(size) == 0 or np.ptp(target) == 0:
            return True
        return float(np.corrcoef(rankdata(size), rankdata(target))[0, 1]) <= 0


def best_smaller(view: View) -> np.ndarray | str:
    """The best training run among those not larger than the run that is forecast.

    >>> two = np.array([1.0, 2.0, 3.0])
    >>> best_smaller(View({}, two, np.array([4.0, 3.0, 2.0]), np.array([0, 1]), np.array([2])))
    array([3.])
    """
    order = view.train[np.argsort(view.extent[view.train], kind="stable")]
    pick = np.minimum if view.falls else np.maximum
    best = pick.accumulate(view.target[order])
    if not np.all(np.isfinite(view.extent)):
        return np.full(len(view.test), best[-1])
    count = np.searchsorted(view.extent[order], view.extent[view.test], side="right")
    return np.where(count > 0, best[np.maximum(count, 1) - 1], best[-1])  # nothing smaller: the best of all


def nearest(view: View) -> np.ndarray | str:
    """The training run whose inputs are nearest, as a sum of squared logarithms of ratios.

    Inputs that are not all positive count by their difference, in units of their range.

    >>> size = np.array([1.0, 10.0, 40.0])
    >>> nearest(View({"params": size}, size, np.array([4.0, 3.0, 2.0]), np.array([0, 1]), np.array([2])))
    array([3.])
    """
    if not view.inputs:
        return "the laws share no input column with the table"
    columns = []
    for values in view.inputs.values():
        positive = values.min() > 0
        columns.append(np.log(values) if positive else values / (np.ptp(values) or 1.0))
    places = np.column_stack(columns)
    return view.target[view.train[KDTree(places[view.train]).query(places[view.test])[1]]]


def line(view: View) -> np.ndarray | str:
    """The straight line in logarithms through the two ends of the frontier: target against extent.

    The frontier holds the training runs that no run of their extent or less surpasses.

    >>> size, loss = np.array([1.0, 10.0, 100.0]), np.array([4.0, 2.0, 1.0])
    >>> line(View({}, size, loss, np.array([0, 1]), np.array([2])))
    array([1.])
    """
    size, target = view.extent[view.train], view.target[view.train]
    if not np.all(np.isfinite(view.extent)) or view.extent.min() <= 0:
        return "the table does not say how large a run is"
    if target.min() <= 0:
        return "the target is not positive everywhere, so it has no logarithm"
    sign = 1.0 if view.falls else -1.0
    order = np.lexsort((sign * target, size))
    size, target = size[order], target[order]
    before = np.concatenate([[np.inf], np.minimum.accumulate(sign * target)[:-1]])
    front = np.flatnonzero(sign * target < before)
    first, last = front[0], front[-1]
    if size[first] == size[last]:
        return "the frontier is a single run"
    slope = np.log(target[last] / target[first]) / np.log(size[last] / size[first])
    return target[last] * (view.extent[view.test] / size[last]) ** slope


BASELINES: Mapping[str, Callable[[View], np.ndarray | str]] = {
    "best smaller run": best_smaller,
    "nearest run": nearest,
    "log-log line": line,
}
"""Name -> forecasts [test], or why there are none."""
