"""Runs sorted into budgets of equal compute: one loss per size, the smallest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scalinglens.errors import FitError
from scalinglens.quantities import format_quantity
from scalinglens.runs import Runs

__all__ = ["TOGETHER", "Budget", "budgets_of"]

TOGETHER = "budgets run together"
"""How the warning begins that compute has no groups."""


@dataclass(frozen=True, eq=False)
class Budget:
    """The runs of one amount of compute.

    Attributes:
        flops: geometric mean of their compute, or the budget they were assigned to.
        sizes: different sizes, rising [k].
        losses: smallest loss at each size [k].
        tokens: of that run [k].
        noise: standard deviation of its loss where that is given by run [k], or None.
    """

    flops: float
    sizes: np.ndarray
    losses: np.ndarray
    tokens: np.ndarray
    noise: np.ndarray | None = None


def budgets_of(
    runs: Runs,
    *,
    column: str,
    given: np.ndarray | None,
    size: str,
    target: str,
    noise: str | None,
    tolerance: float,
) -> tuple[tuple[Budget, ...], tuple[str, ...]]:
    """Group runs whose compute agrees within a tolerance.

    Args:
        runs: the table, complete in all columns named.
        column: of compute.
        given: budgets to assign runs to, or None to find them.
        size, target: columns of size and loss.
        noise: column with the standard deviation of each loss, or None.
        tolerance: relative; compute farther apart belongs to different budgets. Sizes nearer than that count as one: read off
            a figure, equal sizes are not equal to all digits.

    Returns:
        The budgets, rising in compute, and warnings.

    Raises:
        FitError: no two runs share a budget.
    """
    flops, warnings = runs.column(column), []
    if given is None:
        order = np.argsort(flops, kind="stable")
        breaks = np.diff(np.log(flops[order])) > np.log1p(tolerance)
        number = np.empty(len(flops), dtype=int)
        number[order] = np.concatenate([[0], np.cumsum(breaks)])
        values = np.array([_middle(flops[number == i]) for i in range(int(number.max()) + 1)])
        spans = np.array([np.ptp(np.log(flops[number == i])) for i in range(len(values))])
        if spans.max() > 4 * np.log1p(tolerance):
            widest = float(np.exp(spans.max()))
            warnings.append(
                f"{TOGETHER}: one group of runs spans a factor of {widest:.3g} in {column}; name the budgets, "
                "budgets=[1e19, 1e20]"
            )
    else:
        values = np.sort(np.asarray(given, dtype=float))
        number = np.abs(np.log(flops)[:, None] - np.log(values)).argmin(axis=1)
        far = np.abs(np.log(flops / values[number])) > np.log1p(tolerance)
        if far.any():
            warnings.append(
                f"{int(far.sum())} runs are farther than {tolerance:.0%} from every budget and are left out"
            )
        number = np.where(far, -1, number)
    if np.unique(number[number >= 0], return_counts=True)[1].max(initial=0) < 2:
        near = format_quantity(float(np.median(flops)))
        raise FitError(
            f"no two runs of {runs.origin} share a budget: their {column} (median {near}) differ by more than "
            f'{tolerance:.0%}; raise tolerance, name budgets, or use method="envelope" on training curves, or surface(runs)'
        )
    deviation = None if noise is None else runs.column(noise)
    sizes, losses, tokens = runs.column(size), runs.column(target), runs.column("tokens")
    found = []
    for i, value in enumerate(values):
        rows = _best_of_each(np.flatnonzero(number == i), sizes, losses, tolerance)
        if len(rows):
            spread = None if deviation is None else deviation[rows]
            found.append(Budget(float(value), sizes[rows], losses[rows], tokens[rows], spread))
    return tuple(found), tuple(warnings)


def _middle(values: np.ndarray) -> float:
    """The geometric mean, free of rounding where all values are equal."""
    return float(values[0] if np.ptp(values) == 0 else np.exp(np.log(values).mean()))


def _best_of_each(rows: np.ndarray, sizes: np.ndarray, losses: np.ndarray, tolerance: float) -> np.ndarray:
    """Row numbers of the best run of each size, rising in size."""
    rows = rows[np.argsort(sizes[rows], kind="stable")]
    picked: list[int] = []
    first = 0.0  # smallest of the sizes that count as one
    for row in rows:
        if picked and sizes[row] <= first * (1 + tolerance):
            if losses[row] < losses[picked[-1]]:
                picked[-1] = int(row)
        else:
            picked.append(int(row))
            first = sizes[row]
    return np.array(picked, dtype=int)
