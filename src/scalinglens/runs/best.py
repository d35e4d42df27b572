"""The best run of each setting over what was tuned: which statistic was taken stays with the table, and an edge is said.

The minimum over seeds is lower the more seeds there are; a mean is not. Both are published under the name of "best loss", so the
statistic is part of the provenance of the column.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
import pandas as pd

from scalinglens.errors import RunsError, did_you_mean
from scalinglens.quantities import format_quantity
from scalinglens.runs.checks import check_runs
from scalinglens.runs.recognise import LABELS
from scalinglens.runs.table import Column, Dropped, Runs

__all__ = ["OUTCOMES", "STATISTICS", "best"]

STATISTICS = ("min", "mean", "median")
OUTCOMES = frozenset({"loss", "run", "seed", "flops"})
"""Canonical columns that follow from a run, or name it, and do not tell settings apart."""
MARKED = "learning_rate_diverged"  # smallest learning rate that diverged, from read_runs of a store
SHOWN = 4  # groups that a warning names


def best(
    runs: Runs,
    *,
    over: str | Sequence[str] = ("learning_rate", "seed"),
    statistic: Literal["min", "mean", "median"] = "min",
    by: Sequence[str] | None = None,
) -> Runs:
    """Keep one row per setting: the best over what was tuned, of a statistic over seeds.

        loss = min over the tuned columns of (statistic over seed and run of loss)

    Args:
        runs: the table. over: columns that were tuned, and `seed` if runs differ in it. statistic: over the seeds.
        by: columns that tell settings apart; by default all canonical inputs, and the words of the experiment (names with a
        dot), that are not in `over`.

    Returns:
        A new table: `loss` is the statistic, the other cells are those of the run nearest to it; `best_of` says how many runs
        were compared, `replicates` how many are behind the statistic, `loss_sd` how much they scatter. A warning says in which
        settings the best value is the first or the last that was tried, for then a better one may lie beyond.

    Raises:
        RunsError: an unknown column or statistic.

    >>> from scalinglens.runs import read_runs
    >>> table = read_runs({"params": [1e6] * 4, "tokens": [1e8] * 4, "learning_rate": [1e-3, 1e-3, 1e-2, 1e-2],
    ...                    "seed": [0, 1, 0, 1], "loss": [3.0, 3.2, 2.9, 3.5]})
    >>> [best(table, statistic=name).column("loss").item() for name in ("min", "mean")]
    [2.9, 3.1]
    """
    names = (over,) if isinstance(over, str) else tuple(over)
    if statistic not in STATISTICS:
        raise RunsError(
            f'statistic = "{statistic}" is not known{did_you_mean(str(statistic), STATISTICS)}; there are {", ".join(STATISTICS)}'
        )
    if not names:
        raise RunsError("over is empty; name the columns that were tuned, as in over=('learning_rate', 'seed')")
    for name in (*names, *(by or ())):
        runs.labels(name)  # raises for a column that is not there
    keys = [*(by if by is not None else _settings(runs, names))]
    tuned = [name for name in names if name not in LABELS]
    loss = runs.column("loss")
    group = _codes(runs, keys)
    cell = _codes(runs, [*keys, *tuned])
    gathered = pd.Series(loss).groupby(cell)
    level = gathered.agg(statistic).to_numpy()  # of each cell
    first = pd.Series(group).groupby(cell).first().to_numpy()  # group of each cell
    order = np.lexsort((level, first))
    chosen = order[np.r_[True, np.diff(first[order]) > 0]]  # best cell of each group, in the order of the groups
    of_cell = level[cell]
    distance = np.abs(loss - of_cell)
    rows = np.array([np.flatnonzero(cell == one)[np.argmin(distance[cell == one])] for one in chosen])
    rows = np.sort(rows)
    frame = runs.frame.iloc[rows].reset_index(drop=True)
    frame["loss"] = of_cell[rows]
    sizes = np.bincount(group)
    counts = gathered.size().to_numpy()
    frame["best_of"] = sizes[group[rows]]
    frame["replicates"] = counts[cell[rows]]
    frame["loss_sd"] = gathered.std(ddof=1).to_numpy()[cell[rows]]
    warned = [*_edges(runs, keys, tuned, group, rows), *_uneven(counts)]
    return _made(runs, frame, rows, names, tuned, statistic, warned)


def _settings(runs: Runs, over: Sequence[str]) -> list[str]:
    canonical = [name for name in runs.columns if name not in OUTCOMES and name not in over]
    labels = ["seed"] if "seed" in runs.columns and "seed" not in over else []
    leaves = {name.rpartition(".")[2] for name in over}
    words = [
        str(name)
        for name in runs.frame.columns
        if "." in str(name) and str(name) not in over and str(name).rpartition(".")[2] not in leaves - {"seed"}
    ]
    return [*canonical, *labels, *words]


def _codes(runs: Runs, names: Sequence[str]) -> np.ndarray:
    """Number the combinations of values that occur [n], in the order in which they come."""
    if not names:
        return np.zeros(len(runs), dtype=np.int64)
    columns = {
        str(place): pd.factorize(np.asarray(runs.labels(name)).astype(str))[0] for place, name in enumerate(names)
    }
    return pd.DataFrame(columns).groupby(list(columns), sort=False).ngroup().to_numpy()


def _edges(runs: Runs, keys: Sequence[str], tuned: Sequence[str], group: np.ndarray, rows: np.ndarray) -> list[str]:
    """Say where the best value is not inside of those that were tried."""
    said = []
    for name in tuned:
        try:
            values = runs.column(name)
        except RunsError:  # words have no order
            continue
        ends: dict[str, list[str]] = {"the smallest": [], "the largest": [], "the only one": []}
        stop = (
            runs.column(MARKED)
            if name == "learning_rate" and MARKED in runs.frame.columns
            else np.full(len(runs), np.nan)
        )
        for row in rows:
            tried = np.unique(values[group == group[row]])
            above = stop[row] > values[row]  # larger ones were tried, and diverged
            if len(tried) == 1 and not above:
                ends["the only one"].append(_at(runs, keys, row))
            elif values[row] == tried[-1] and not above:
                ends["the largest"].append(_at(runs, keys, row))
            elif values[row] == tried[0] and len(tried) > 1:
                ends["the smallest"].append(_at(runs, keys, row))
        for which, where in ends.items():
            if where:
                shown = "; ".join(where[:SHOWN]) + (f"; and {len(where) - SHOWN} more" if len(where) > SHOWN else "")
                more = {"the smallest": "try smaller ones", "the largest": "try larger ones"}.get(which, "try others")
                said.append(
                    f"the best {name} is {which} that was tried in {len(where)} of {len(rows)} settings ({shown}); {more} before "
                    "you believe these losses"
                )
    return said


def _at(runs: Runs, keys: Sequence[str], row: int) -> str:
    """Name a setting by the sizes in it."""
    parts = []
    for name in ("width", "depth", "params", "tokens"):
        if name in keys and name in runs.columns:
            value = float(runs.column(name)[row])
            parts.append(f"{name} {format_quantity(value) if name in ('params', 'tokens') else f'{value:g}'}")
    return ", ".join(parts) or f"row {runs.rows[row]}"


def _uneven(counts: np.ndarray) -> list[str]:
    low, high = int(counts.min()), int(counts.max())
    if low == high:
        return []
    return [
        f"settings have {low} to {high} runs each behind their statistic: the minimum over more runs is lower by chance"
    ]


def _made(
    runs: Runs,
    frame: pd.DataFrame,
    rows: np.ndarray,
    over: Sequence[str],
    tuned: Sequence[str],
    statistic: str,
    warned: Sequence[str],
) -> Runs:
    seeds = [name for name in over if name in LABELS]
    text = f"the {statistic} over {', '.join(seeds)}" if seeds else "the loss"
    old = runs.columns["loss"]
    text += f" of column {old.source!r}" if old.source and seeds else ""
    text += f", at the best {', '.join(tuned)}" if tuned else ""
    columns = {**runs.columns, "loss": Column("loss", old.source, old.unit, old.scale, "derived", text)}
    gone = np.setdiff1d(np.arange(len(runs)), rows)
    dropped = [Dropped(f"another run is the best over {', '.join(over)}", tuple(int(r) for r in runs.rows[gone]))]
    return replace(
        runs,
        frame=frame,
        columns=columns,
        rows=runs.rows[rows],
        dropped=(*runs.dropped, *(dropped if len(gone) else [])),
        warnings=(*check_runs(frame, columns), *warned),
    )
