"""What a method is given and what it gives back: one shape for all, so that they can stand in one table."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from scalinglens.fit.estimate import Estimate
from scalinglens.fit.fit import fit
from scalinglens.fit.result import Fit
from scalinglens.plan.cost import Cost
from scalinglens.runs import Runs

__all__ = ["LAW", "REFUSALS", "Answer", "Refused", "Task"]

LAW = "hoffmann2022"

REFUSALS = {
    "missing_column": "the table lacks a column that the method needs",
    "no_equal_compute": "no runs share a budget",
    "no_training_curves": "there are no curves of several points per size over common compute",
    "no_optimum": "too few budgets have an optimum inside their sizes",
    "no_trend": "the loss does not fall with size and data",
    "not_identified": "the runs do not determine the parameters",
    "too_few_runs": "fewer runs than the method has parameters",
    "clamped": "a term of the law vanishes or an exponent ends at the edge of its grid",
    "cost": "the method knows no cost but 6 FLOP per parameter and token",
    "impossible": "the method cannot be used on this table",
}
"""Why a method gives no answer, and what that means."""


class Refused(Exception):
    """A method cannot be used on a table; caught by `compare_methods`, where it becomes the status of a row."""

    def __init__(self, kind: str, reason: str):
        assert kind in REFUSALS
        super().__init__(reason)
        self.kind = kind


@dataclass(frozen=True, eq=False)
class Task:
    """The question that every method answers.

    Attributes:
        runs: the table.
        flops: the budget.
        boot: resamples, for intervals (0: none).
        level: of intervals.
        seed: of resamples.
        groups: column whose groups are resampled whole by methods that resample rows, or None.
        cost: of a run; None for 6 FLOP per parameter and token.
        members: networks of a surface.
        curve: whether a surface predicts the loss at the budget, too, which takes longer than finding its size.
    """

    runs: Runs
    flops: float
    boot: int = 0
    level: float = 0.9
    seed: int = 0
    groups: str | None = None
    cost: Cost | None = None
    members: int = 8
    curve: bool = True

    @cached_property
    def fitted(self) -> Fit:
        """The law that approach 3 fits; it also is the reference of regrets."""
        return fit(self.runs, LAW, boot=self.boot, level=self.level, seed=self.seed, groups=self.groups)

    @cached_property
    def noiseless(self) -> Task:
        """The same table with the losses that the law has at its runs, and no resamples: what a method's bias is read from."""
        complete = self.runs.complete("params", "tokens", "loss")
        points = {name: complete.column(name) for name in ("params", "tokens")}
        frame = complete.frame.assign(loss=self.fitted.law.value(self.fitted.values, points))
        return replace(self, runs=replace(complete, frame=frame), boot=0, curve=False, members=min(self.members, 4))


@dataclass(frozen=True, eq=False)
class Answer:
    """What a method says.

    Attributes:
        point: ln params at the budget, d ln params/d ln C, ln tokens, d ln tokens/d ln C [4].
        draws: the same under every resample [draws, 4]; no rows without intervals.
        loss: at the allocation, where the method predicts one.
        resampled: what the draws draw anew.
        notes: what a reader should know.
    """

    point: np.ndarray
    draws: np.ndarray = field(default_factory=lambda: np.empty((0, 4)))
    loss: Estimate | None = None
    resampled: str = ""
    notes: tuple[str, ...] = ()
