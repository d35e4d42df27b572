"""Methods that compare runs of equal compute without a law: approaches 1 and 2, and Akima interpolation."""

from __future__ import annotations

import numpy as np

from scalinglens.errors import FitError
from scalinglens.fit.isoflop import isoflop
from scalinglens.fit.isoflop.budgets import TOGETHER
from scalinglens.plan.methods.task import Answer, Refused, Task

__all__ = ["akima", "approach1", "approach2"]


def approach1(task: Task) -> Answer:
    """The envelope of training curves (Hoffmann et al. 2022, approach 1)."""
    return _equal_compute(task, "envelope", "sizes")


def approach2(task: Task) -> Answer:
    """A parabola in ln size for each budget (Hoffmann et al. 2022, approach 2)."""
    return _equal_compute(task, "parabola", "noise of single losses")


def akima(task: Task) -> Answer:
    """Akima interpolation of ln loss for each budget (Porian et al. 2024)."""
    return _equal_compute(task, "akima", "noise of single losses")


def _equal_compute(task: Task, method: str, resampled: str) -> Answer:
    if task.cost is not None:
        raise Refused("cost", "it compares runs of equal flops and knows no other cost; use a law")
    try:
        found = isoflop(task.runs, method, draws=task.boot, level=task.level, seed=task.seed)
    except FitError as problem:
        kind = "no_training_curves" if method == "envelope" else "no_equal_compute"
        raise Refused(kind, str(problem)) from None
    blurred = next((warning for warning in found.warnings if warning.startswith(TOGETHER)), "")
    if blurred:
        raise Refused("no_equal_compute", blurred)
    if found.lines is None:
        raise Refused("no_optimum" if found.status == "too_few_budgets" else "no_trend", found.refusal)
    x = np.log(task.flops) - found.lines[0]
    lines = np.concatenate([np.array([found.lines[1:]]), found.drawn])
    lines = lines[:, [0, 1, 2, 3]] + x * np.stack(
        [lines[:, 1], np.zeros(len(lines)), lines[:, 3], np.zeros(len(lines))], axis=1
    )
    notes = tuple(found.warnings[len(task.runs.warnings) :])
    return Answer(lines[0], lines[1:], None, resampled if len(found.drawn) else "", notes)
