"""The same runs, counted anew: what becomes of the best size of each budget when size and compute count something else."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.interpolate import PchipInterpolator

from scalinglens.errors import PlanError
from scalinglens.fit.isoflop import IsoFlop, isoflop
from scalinglens.plan.optimum.problem import numbers
from scalinglens.runs import Runs, read_runs

__all__ = ["recount"]

_SAME = 0.01  # relative difference up to which recorded compute is one budget
_EDGE = 1e-9  # relative, of the ends of a curve


def recount(
    runs: Any, size: Any, *, flops_per_token: Any = None, budgets: Any = None, target: str = "loss", **options: Any
) -> IsoFlop:
    """Find the best size of each budget after counting size and compute anew, from one and the same losses.

    The losses of each model are a curve over its tokens. At a budget C of the new count it has seen C/flops_per_token tokens;
    its loss there is interpolated (monotone cubics of ln loss over ln tokens), never extrapolated. Then `isoflop` goes on.

    Args:
        runs: what `read_runs` takes, with `params`, `tokens` and loss; rows of equal `params` are one model, with two amounts
            of tokens or more.
        size: the new size of each row, [rows] or the name of a column.
        flops_per_token: the new compute per token, likewise; by default 6 times the new size.
        budgets: of the new count; by default those of the recorded compute.
        target: column of the loss.
        options: as `isoflop`: noise, draws, level, seed, method.

    Returns:
        The `IsoFlop` of the new count.

    Raises:
        PlanError: counts that are not positive, differ within a model, or of another length; no model with a curve.
        FitError: as `isoflop`, for example where no two models share a budget.

    Cost: one spline per model, and `isoflop`.

    Source: Porian et al. 2024, arXiv 2406.19146: counting the head alone moves the exponent from 0.84 to 0.71.

    >>> blocks, budget = map(np.ravel, np.meshgrid(10.0 ** np.arange(5, 9, 0.25), 10.0 ** np.arange(15, 19, 0.5)))
    >>> total, tokens = blocks + 47_491 * blocks ** (1 / 3), budget / 6 / blocks
    >>> losses = 1.8 + 480 / total**0.35 + 2000 / tokens**0.37
    >>> table = {"params": blocks, "tokens": tokens, "loss": losses}
    >>> [round(recount(table, count, budgets=10.0 ** np.arange(16, 19), draws=0).a.value, 2) for count in (blocks, total)]
    [0.83, 0.51]
    """
    table = runs if isinstance(runs, Runs) else read_runs(runs)
    table = table.complete("params", "tokens", target)
    old, tokens, losses = (table.column(name) for name in ("params", "tokens", target))
    new = _column(table, "size", size)
    rate = 6 * new if flops_per_token is None else _column(table, "flops_per_token", flops_per_token)
    levels = _recorded(table) if budgets is None else numbers("the budgets", budgets, "flops")
    found: dict[str, list[np.ndarray]] = {"flops": [], "params": [], "tokens": [], "loss": []}
    for model in np.unique(old):
        at = np.flatnonzero(old == model)
        for what, values in (("size", new), ("flops_per_token", rate)):
            if np.ptp(values[at]) > _EDGE * values[at[0]]:
                raise PlanError(
                    f"{what} differs among the runs of the model of {model:g} params: {values[at].min():g} to "
                    f"{values[at].max():g}; a model has one"
                )
        seen, first = np.unique(tokens[at], return_index=True)
        if len(seen) < 2:
            continue
        curve = PchipInterpolator(np.log(seen), np.log(losses[at][first]))
        wanted = levels / rate[at[0]]
        inside = (wanted >= seen[0] * (1 - _EDGE)) & (wanted <= seen[-1] * (1 + _EDGE))
        wanted = np.clip(wanted[inside], seen[0], seen[-1])
        found["flops"].append(levels[inside])
        found["params"].append(np.full(len(wanted), new[at[0]]))
        found["tokens"].append(wanted)
        found["loss"].append(np.exp(curve(np.log(wanted))))
    if not sum(len(part) for part in found["flops"]):
        raise PlanError(
            f"no model of {table.origin} has losses at two amounts of tokens around a budget of the new count; give "
            "budgets= that its runs pass through"
        )
    return isoflop(read_runs({name: np.concatenate(parts) for name, parts in found.items()}), **options)


def _column(table: Runs, what: str, given: Any) -> np.ndarray:
    values = table.column(given) if isinstance(given, str) else numbers(what, given)
    if len(values) != len(table):
        raise PlanError(f"{what} has {len(values)} values for {len(table)} runs; give one for each run, or a column")
    return numbers(what, values)


def _recorded(table: Runs) -> np.ndarray:
    """The budgets of the recorded compute: geometric means of what differs by less than a hundredth."""
    flops = np.sort(table.column("flops"))
    groups = np.split(flops, np.flatnonzero(np.diff(np.log(flops)) > _SAME) + 1)
    return np.array([np.exp(np.mean(np.log(group))) for group in groups])
