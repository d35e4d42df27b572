"""Which column of a table is the x of a one-variable law."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from scalinglens.errors import FitError, RunsError
from scalinglens.laws.law import Law
from scalinglens.quantities import QUANTITIES
from scalinglens.runs import Runs
from scalinglens.runs.table import Column

__all__ = ["with_curve_input"]

# what a curve runs over, the most telling first; columns that follow from each other count once
_CURVE_INPUTS = ("flops", "tokens", "params", "steps", "epochs")


def with_curve_input(table: Runs, law: Law, x: str | None, target: str) -> Runs:
    """Return the table with the column `x` that a one-variable law needs.

    Args:
        table: the runs.
        law: the law; others than those of x are left alone.
        x: name of the column, as the glossary or the file has it; chosen if None and only one column varies.
        target: column that is fitted, which cannot be x.

    Raises:
        FitError: x is named for a law without one, or several columns could be meant.
        RunsError: there is no such column.
    """
    if "x" not in law.inputs:
        if x is not None:
            raise FitError(
                f"the law {law.name} has no x; it runs over {', '.join(law.inputs)}: leave x={x!r} away, or map a column "
                f"to one of these ({law.inputs[0]}={x!r})"
            )
        return table
    if x is None and "x" in table.columns:
        return table
    name = x if x is not None else _only_one(table, law, target)
    if name == target:
        raise FitError(f'"{name}" is the column that is fitted, so it cannot be the x of the law; name another')
    values = table.column(name)
    known = table.columns.get(name)
    column = replace(known, name="x") if known else Column("x", name, "", 1.0, "mapped")
    frame = table.frame.assign(x=values)
    return replace(table, frame=frame, columns={**table.columns, "x": column})


def _only_one(table: Runs, law: Law, target: str) -> str:
    varying = [
        name
        for name in _CURVE_INPUTS
        if name in table.columns and len(np.unique(table.column(name)[np.isfinite(table.column(name))])) > 1
    ]
    measured = [name for name in varying if table.columns[name].how != "derived"] or varying
    if len(measured) == 1:
        return measured[0]
    others = [
        name
        for name in table.frame.columns
        if name not in (target, "run", "seed") and table.frame[name].dtype.kind in "fi" and name not in QUANTITIES
    ]
    choice = measured or others
    if len(choice) == 1:
        return choice[0]
    have = ", ".join(measured + others) or "no column of numbers besides it"
    problem = "several columns of the table vary" if choice else "no column of the table is one that a curve runs over"
    raise (FitError if choice else RunsError)(
        f"the law {law.name} runs over one variable x, and {problem} ({have}); name it: x=COLUMN, --x COLUMN"
    )
