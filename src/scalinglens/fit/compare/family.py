"""Families of models: forecast the largest from the others, borrow parameters from a relative, compare parameters of many."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from scalinglens.errors import FitError, did_you_mean
from scalinglens.fit.compare.holdout import subset
from scalinglens.fit.fit import fit
from scalinglens.fit.result import Fit
from scalinglens.laws.law import Law
from scalinglens.runs import Runs, read_runs
from scalinglens.runs.table import SIZES

__all__ = ["LeftOut", "ParameterComponents", "borrowed", "leave_target_out", "parameter_components"]

SAME_SIZE = 0.01  # relative difference below which two sizes are one


@dataclass(frozen=True, eq=False)
class LeftOut:
    """A law fitted without some runs, and its forecast of them.

    Attributes:
        fit: the fit to the others.
        observed, predicted: values of the runs that were scored [n].
        are: mean abs(predicted / observed - 1).
        baseline: the same of the forecast that needs no fit: the best of the runs of the fit.
    """

    fit: Fit
    observed: np.ndarray
    predicted: np.ndarray
    are: float
    baseline: float


def leave_target_out(
    runs: Any, law: str | Law, *, held: np.ndarray | None = None, last: float = 1.0, **options: Any
) -> LeftOut:
    """Fit a law without the largest size and forecast that size.

    Args:
        runs: `Runs`, or anything `read_runs` takes.
        law: as in `fit`.
        held: which rows are left out [rows]; by default those of the largest size.
        last: of the rows left out, the part of each size's length that is scored: 0.3 scores those beyond 70% of the
            longest, as Choshen et al. do.
        options: further options of `fit`.

    Returns:
        The `LeftOut`.

    Raises:
        FitError: one size only, nothing left to fit, or a share outside (0, 1].
        RunsError: no column of sizes.

    Cost: one fit.

    Source: Choshen et al. 2024, section 3.
    """
    table = read_runs(runs) if not isinstance(runs, Runs) else runs
    if not 0 < last <= 1:
        raise FitError(f"last is a share of the target's length, above 0 and at most 1, got {last!r}")
    if held is None:
        held = _largest(table)
    held = np.asarray(held, dtype=bool)
    if held.shape != (len(table),):
        raise FitError(f"there are {len(table)} runs but {held.size} marks of what is held out; give one per run")
    if not held.any() or held.all():
        raise FitError(f"{int(held.sum())} of {len(table)} runs are held out; leave some to fit and some to forecast")
    scored = held.copy()
    if last < 1 and "tokens" in table.columns:
        tokens = table.column("tokens")
        scored &= tokens >= (1 - last) * tokens[held].max()
    rest = subset(table, np.flatnonzero(~held), "held out")
    found = fit(rest, law, **options)
    target = found.target
    ahead = subset(table, np.flatnonzero(scored), "not forecast")
    observed = ahead.column(target)
    predicted = found.predict(ahead.frame)[target].to_numpy()
    fine = np.isfinite(observed) & (observed != 0)
    observed, predicted = observed[fine], predicted[fine]
    if not len(observed):
        raise FitError(f"no run that is held out has a value of {target}; hold out others")
    return LeftOut(
        fit=found,
        observed=observed,
        predicted=predicted,
        are=float(np.mean(np.abs(predicted / observed - 1))),
        baseline=float(np.mean(np.abs(np.min(found.observed) / observed - 1))),
    )


def borrowed(relative: Fit, *names: str) -> dict[str, float]:
    """Return parameters of another family's fit, to be pinned: `fit(runs, law, pin=borrowed(other, "A", "alpha"))`.

    Args:
        relative: fit of the same law to another family.
        names: parameters to take, as those of the size when there is one size only.

    Raises:
        FitError: no such parameter, or one that the relative does not determine either.

    Source: Choshen et al. 2024, section 5.1: OLMo 7B from one model of 1B within 1%; OPT 175B from 8.7B, 13B and 30B misses
        by 37, 25 and 15%.
    """
    for name in names:
        if name not in relative.values:
            raise FitError(
                f'the fit of {relative.law.name} has no parameter "{name}" to lend{did_you_mean(name, relative.values)}; '
                f"it has {', '.join(relative.values)}"
            )
    if not names:
        raise FitError(f"name the parameters to borrow: {', '.join(relative.values)}")
    if relative.refusal:
        raise FitError(f"the fit of {relative.law.name} cannot lend parameters: {relative.refusal}")
    return {name: relative.values[name] for name in names}


@dataclass(frozen=True, eq=False)
class ParameterComponents:
    """Principal components of the parameters of several fits of one law.

    Attributes:
        parameters: names.
        shares: share of the variance of each component, largest first.
        directions: components [component, parameter], of unit length, the largest entry positive.
        scores: of each fit on each component [fit, component].
        centre, spread: mean and standard deviation of the coordinates [parameter].
    """

    parameters: tuple[str, ...]
    shares: np.ndarray
    directions: np.ndarray
    scores: np.ndarray
    centre: np.ndarray
    spread: np.ndarray


def parameter_components(
    fits: Sequence[Fit] | Mapping[str, Fit], *, names: Sequence[str] | None = None
) -> ParameterComponents:
    """Find how many numbers the parameters of families really are.

    Parameters of positive domain count by their logarithm, the others as they are, each in units of its spread over the
    families: otherwise the logarithms of the prefactors alone would make up nearly all of the variance.

    Args:
        fits: two or more fits of one law, to different families.
        names: parameters to look at; all by default.

    Raises:
        FitError: fewer than two fits, fits of different laws, or no such parameter.

    Cost: one singular value decomposition.

    Source: Choshen et al. 2024, section 9: three components explain 99.49% of the variance of five parameters.
    """
    every = list(fits.values()) if isinstance(fits, Mapping) else list(fits)
    if len(every) < 2:
        raise FitError(f"components need the fits of two families at least, got {len(every)}")
    law = every[0].law
    for other in every[1:]:
        if other.law.formula != law.formula:
            raise FitError(f"components need one law, got {law.formula!r} and {other.law.formula!r}")
    chosen = tuple(names or law.parameters)
    for name in chosen:
        if name not in law.parameters:
            raise FitError(f'the law has no parameter "{name}"{did_you_mean(name, law.parameters)}')
    columns = []
    for name in chosen:
        values = np.array([found.values[name] for found in every])
        columns.append(np.log(values) if law.domain(name).low >= 0 and np.all(values > 0) else values)
    coordinates = np.column_stack(columns)
    centre, spread = coordinates.mean(axis=0), coordinates.std(axis=0)
    if not np.any(spread > 0):
        raise FitError("the parameters of all fits are the same, so they have no components")
    spread = np.where(spread > 0, spread, 1.0)  # held at one value everywhere: it has no part in any component
    scores, sizes, directions = np.linalg.svd((coordinates - centre) / spread, full_matrices=False)
    total = float(np.sum(sizes**2))
    sign = np.sign(directions[np.arange(len(directions)), np.argmax(np.abs(directions), axis=1)])
    return ParameterComponents(
        parameters=chosen,
        shares=sizes**2 / total,
        directions=directions * sign[:, None],
        scores=scores * sizes * sign,
        centre=centre,
        spread=spread,
    )


def _largest(table: Runs) -> np.ndarray:
    """Mask of the rows of the largest size."""
    size = next((name for name in SIZES if name in table.columns), "params")
    values = table.column(size)
    held = values >= np.nanmax(values) * (1 - SAME_SIZE)
    if held.all():
        raise FitError(
            f"all {len(table)} runs have one size, so there is none to forecast from the others; name held rows"
        )
    return held
