"""Which rows of a table carry each of the two steps: the last checkpoints of a run, or all of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from scalinglens.errors import FitError
from scalinglens.runs import Runs

__all__ = ["Checkpoints", "StepRows", "step_rows"]


@dataclass(frozen=True, slots=True)
class Checkpoints:
    """How a table with several rows per run, in the order of training, is read.

    Step 1 sees one row per run, the mean of its last rows; step 2 sees every row, as a trailing mean.

    Attributes:
        run: column that names the run of a row.
        final: rows at the end of a run that are averaged for step 1, 5 in Bhagia et al. 2024.
        smooth: rows of the trailing mean for step 2, 5 there.
        skip: share of a run that step 2 leaves out at its beginning, 0.1 there.
    """

    run: str = "run"
    final: int = 1
    smooth: int = 1
    skip: float = 0.0

    def __post_init__(self) -> None:
        for name in ("final", "smooth"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
                raise FitError(f"{name} is a number of checkpoints, 1 or more, got {value!r}")
        if not (isinstance(self.skip, int | float) and 0 <= self.skip < 1):
            raise FitError(f"skip is a share of a run, 0 or more and below 1, got {self.skip!r}")


@dataclass(frozen=True, eq=False)
class StepRows:
    """The rows of one table for the two steps.

    Attributes:
        inputs: input -> value of each run, at its end [runs].
        loss, accuracy: of each run [runs]; the accuracy may be missing.
        run: label of each run [runs].
        link_loss, link_accuracy, link_run: of each row that step 2 is fitted to [rows].
    """

    inputs: Mapping[str, np.ndarray]
    loss: np.ndarray
    accuracy: np.ndarray
    run: np.ndarray
    link_loss: np.ndarray
    link_accuracy: np.ndarray
    link_run: np.ndarray


def step_rows(
    runs: Runs, inputs: tuple[str, ...], loss_column: str, task: str, checkpoints: Checkpoints | None = None
) -> StepRows:
    """Return the rows of the two steps.

    Args:
        runs: the table; without `checkpoints` every row is a run of its own.
        inputs: columns the loss is predicted from.
        loss_column, task: columns of the loss and of the accuracy.
        checkpoints: how several rows per run are read.

    Raises:
        RunsError: no such column. FitError: no run with a loss and all inputs, or none with an accuracy.

    Cost: linear.
    """
    columns = {name: runs.column(name) for name in (*inputs, loss_column, task)}
    labels = np.arange(len(runs)) if checkpoints is None else runs.labels(checkpoints.run)
    reading = checkpoints or Checkpoints()
    ends: list[dict[str, float]] = []
    names: list[object] = []
    smooth: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    for label in pd.unique(labels):
        own = {name: values[labels == label] for name, values in columns.items()}
        seen = np.isfinite(own[loss_column])
        own = {name: values[seen] for name, values in own.items()}
        if not len(own[loss_column]):
            continue
        end = {name: own[name][-1] for name in inputs}
        for name in (loss_column, task):
            end[name] = float(np.mean(own[name][-reading.final :]))
        if all(math.isfinite(end[name]) for name in inputs):
            ends.append(end)
            names.append(label)
        both = np.isfinite(own[task])
        first = math.ceil(reading.skip * int(both.sum()))
        x, y = (_trailing_mean(own[name][both][first:], reading.smooth) for name in (loss_column, task))
        smooth.append((x, y, np.full(len(x), label, dtype=object)))
    if not ends:
        wanted = ", ".join((*inputs, loss_column))
        raise FitError(f"no run of {runs.origin} has numbers in all of {wanted}; map other columns")
    link_loss, link_accuracy, link_run = (np.concatenate(part) for part in zip(*smooth, strict=True))
    if not len(link_loss):
        raise FitError(f"no run of {runs.origin} has both {loss_column} and {task}; map other columns")
    return StepRows(
        inputs={name: np.array([end[name] for end in ends]) for name in inputs},
        loss=np.array([end[loss_column] for end in ends]),
        accuracy=np.array([end[task] for end in ends]),
        run=np.array(names, dtype=object),
        link_loss=link_loss,
        link_accuracy=link_accuracy,
        link_run=link_run,
    )


def _trailing_mean(values: np.ndarray, window: int) -> np.ndarray:
    """Mean of each value with the ones before it, fewer at the beginning."""
    return np.asarray(pd.Series(values).rolling(window, min_periods=1).mean())
