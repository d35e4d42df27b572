"""The schedule behind each row of a table: what laws over a learning-rate schedule are fitted to.

Such a law (`luo2025_mpl`, `tissue2024`, or any formula with `drops(...)`) needs the learning rate at every step of the run
that a row belongs to. `with_schedules` puts it beside the row, so that it stays there when rows are held out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from scalinglens.errors import RunsError, ScheduleError, did_you_mean
from scalinglens.laws.law import Law
from scalinglens.laws.schedule import Schedule, as_schedules
from scalinglens.runs import Runs, read_runs

__all__ = ["curve_blocks", "law_inputs", "own_schedules", "run_labels", "schedule_points", "with_schedules"]

FEW_RUNS = 8  # below this, whole runs are too few to resample
BLOCKS = 10  # consecutive pieces that each run is then cut into
RUN_COLUMNS = ("run", "curve", "run_name", "schedule_name")


def with_schedules(
    runs: Any, schedules: Schedule | str | Mapping[Any, Schedule | str] | None = None, *, warmup: int = 0
) -> Runs:
    """Put the learning-rate schedule of its run beside every row, as the column `schedule`.

    Args:
        runs: `Runs`, or anything `read_runs` takes, with a column of steps, and one that names the run (`run` or `curve`)
            unless all rows are one run.
        schedules: run -> `Schedule` or its text, or one for all; without it schedules are rebuilt from the logged
            `learning_rate`, see `Schedule.logged`.
        warmup: steps of the linear warm-up where the log begins after it.

    Returns:
        The runs with a `Schedule` object in each row of `schedule`.

    Raises:
        RunsError: no steps or no learning rate, or rows of several runs under one name.
        ScheduleError: a run without a schedule, or one that ends before the run's last row.

    Cost: a pass over the steps of each run.

    >>> table = {"run": ["a"] * 3, "steps": [10, 20, 30], "learning_rate": [1e-3, 1e-3, 1e-4], "loss": [4.0, 3.5, 3.2]}
    >>> str(with_schedules(table).frame["schedule"][0])
    'logged at 3 steps, 31 in all'
    """
    table = runs if isinstance(runs, Runs) else read_runs(runs)
    if schedules is None and (own := own_schedules(table)) is not None:
        return replace(table, frame=table.frame.assign(schedule=own))
    if "steps" not in table.columns:
        raise RunsError(
            f"a law over a schedule needs the step of each row, and {table.origin} has no column of steps; "
            "map it: steps='iteration' (--map steps=COLUMN)"
        )
    steps = table.column("steps")
    labels = run_labels(table)
    names = list(dict.fromkeys(labels.tolist()))
    given = _given(schedules, names)
    found = np.empty(len(table), dtype=object)
    rates = None if given is not None else _rates(table)
    for name in names:
        rows = np.flatnonzero(labels == name)
        if given is not None:
            one = given[name]
        else:
            assert rates is not None
            _check_one_run(table, name, steps[rows], rates[rows])
            one = Schedule.logged(steps[rows], rates[rows], warmup=warmup)
        one.positions(steps[rows][np.isfinite(steps[rows])])
        found[rows] = one
    return replace(table, frame=table.frame.assign(schedule=found))


def run_labels(table: Runs) -> np.ndarray:
    """Return the name of the run of each row; without a column of names all rows are one run.

    Raises:
        RunsError: no column of names, and the steps repeat.
    """
    for name in RUN_COLUMNS:
        if name in table.columns or name in table.frame.columns:
            return table.labels(name)
    if "steps" in table.columns:
        steps = table.column("steps")
        repeated = len(np.unique(steps)) < len(steps)
        if repeated:
            raise RunsError(
                f"{table.origin} has no column that names the run of a row, and its steps repeat, so it holds several runs; "
                "map one: run='experiment' (--map run=COLUMN)"
            )
    return np.zeros(len(table))


def law_inputs(table: Runs, law: Law, target: str) -> tuple[Runs, tuple[np.ndarray, ...]]:
    """Return the complete rows of a table and one array per input of a law; schedules are attached where it needs them."""
    if law.scheduled:
        table = with_schedules(table)
    table = table.complete(*(name for name in law.inputs if name != "schedule"), target)
    inputs = tuple(
        table.frame["schedule"].to_numpy() if name == "schedule" else table.column(name) for name in law.inputs
    )
    return table, inputs


def curve_blocks(table: Runs) -> np.ndarray:
    """Return the groups that a bootstrap of curves resamples: whole runs, or pieces of them where there are few.

    Neighbouring rows of a curve share their noise, so rows are never resampled one by one. With fewer than 8 runs many
    resamples would lack a schedule that some parameter needs; runs are then cut into ten consecutive pieces.
    """
    labels = np.unique(run_labels(table), return_inverse=True)[1]
    if int(labels.max()) + 1 >= FEW_RUNS:
        return labels
    place = table.frame.assign(_step=table.column("steps")).groupby(labels)["_step"].rank(method="first").to_numpy() - 1
    size = np.bincount(labels)[labels]
    return labels * BLOCKS + np.floor(place * np.minimum(BLOCKS, size) / size).astype(int)


def schedule_points(points: Any, law: Law) -> Any:
    """Complete points to predict at: a table with learning rates instead of schedules gets them rebuilt."""
    frame = getattr(points, "frame", points)
    if not law.scheduled or not isinstance(frame, pd.DataFrame) or _holds_schedules(frame):
        return points
    if "learning_rate" not in frame.columns or "steps" not in frame.columns:
        return points
    runs = points if isinstance(points, Runs) else read_runs(points)
    return with_schedules(runs)


def _holds_schedules(frame: pd.DataFrame) -> bool:
    return "schedule" in frame.columns and isinstance(frame["schedule"].iloc[0], Schedule)


def own_schedules(table: Runs) -> np.ndarray | None:
    """Return the schedules that a table carries itself, as objects or as text such as `cosine(peak=...)`, or None."""
    if "schedule" not in table.frame.columns or not len(table):
        return None
    cells = table.frame["schedule"].to_numpy()
    if not all(isinstance(cell, Schedule) or (isinstance(cell, str) and "(" in cell) for cell in cells):
        return None  # the name of a shape, not the shape
    return as_schedules(cells)


def _given(schedules: Any, names: list[Any]) -> dict[Any, Schedule] | None:
    if schedules is None:
        return None
    if isinstance(schedules, Schedule | str):
        one: Schedule = as_schedules(schedules).item()
        return dict.fromkeys(names, one)
    missing = [name for name in names if name not in schedules]
    if missing:
        near = did_you_mean(str(missing[0]), map(str, schedules))
        raise ScheduleError(
            f"no schedule is given for {len(missing)} of {len(names)} runs, first {missing[0]!r}{near}; "
            f"schedules are given for {', '.join(map(repr, schedules))}"
        )
    return {name: as_schedules(schedules[name]).item() for name in names}


def _rates(table: Runs) -> np.ndarray:
    if "learning_rate" not in table.columns:
        raise RunsError(
            f"a law over a schedule needs the learning rate, and {table.origin} has none; map it "
            "(learning_rate='lr', --map learning_rate=COLUMN), or give schedules to with_schedules"
        )
    return table.column("learning_rate")


def _check_one_run(table: Runs, name: Any, steps: np.ndarray, rates: np.ndarray) -> None:
    order = np.argsort(steps, kind="stable")
    same = np.diff(steps[order]) == 0
    if np.any(same & (np.abs(np.diff(rates[order])) > 1e-6 * rates.max())):
        step = steps[order][:-1][same][0]
        raise RunsError(
            f"run {name!r} of {table.origin} has several learning rates at step {step:g}, so it is more than one run; "
            "name each run on its own (run=COLUMN, --map run=COLUMN), or keep one of them with where"
        )
