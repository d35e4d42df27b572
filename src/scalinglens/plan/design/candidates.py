"""Runs that could be made: the rows of a table, a grid over inputs, or a grid that follows from law and budget."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from scalinglens.errors import PlanError, did_you_mean
from scalinglens.laws.law import Law
from scalinglens.plan.cost import Cost
from scalinglens.plan.design.decision import DATA, SIZES

__all__ = ["RATIO", "candidate_table", "default_grid", "read_columns"]

RATIO = "tokens_per_param"
"""Column that says the data by the size: tokens = tokens_per_param * params."""
KEPT = ("recipe", "group", "run", "width", "depth", "seed")  # columns that are carried along
MOST = 20_000
RATIOS = (2.5, 640.0)  # tokens per parameter of the default grid
SPAN = 100.0  # largest over smallest size of the default grid
PART = 0.3  # of the budget that the largest run of the default grid may cost at the fewest tokens


def candidate_table(
    candidates: Any, inputs: Sequence[str], law: Law, cost: Cost, *, also: Sequence[str] = ()
) -> pd.DataFrame:
    """Return a table of candidate runs with their cost.

    Args:
        candidates: a frame or `Runs` (its rows), or a mapping input -> values (all combinations; `tokens_per_param` may stand
            for the data).
        inputs: columns that are needed.
        law: says which values are impossible.
        cost: of a run; a column `cost` in a table takes its place.
        also: further columns to keep.

    Raises:
        PlanError: a column is missing, a value is no positive number, or there are none or too many.
    """
    frame = _rows(candidates)
    if RATIO in frame.columns:
        size, data = (next((n for n in names if n in inputs), None) for names in (SIZES, DATA))
        if size is None or data is None or size not in frame.columns:
            raise PlanError(f"{RATIO} needs a size beside it, and {data or 'tokens'} among the inputs of the law")
        frame[data] = frame[RATIO] * frame[size]
    for name in inputs:
        if name not in frame.columns:
            raise PlanError(
                f'the candidates have no "{name}"{did_you_mean(name, map(str, frame.columns))}, which the law needs; '
                f"they have {', '.join(map(str, frame.columns))}; give it a value, for example {name}=1e9"
            )
    if not len(frame):
        raise PlanError(
            "there are no candidate runs; give a grid such as {'params': [1e8, 1e9], 'tokens': [2e9, 2e10]}"
        )
    if len(frame) > MOST:
        raise PlanError(f"there are {len(frame)} candidate runs, more than {MOST}; take a coarser grid")
    law.input_arrays(read_columns(frame, law.inputs))  # its message names the value that is wrong
    kept = [*inputs, *(name for name in (*KEPT, *also) if name in frame.columns and name not in inputs)]
    if "cost" in frame.columns and not isinstance(candidates, Mapping):
        price = frame["cost"].to_numpy(dtype=float)
    else:
        price = np.broadcast_to(cost.value({name: frame[name].to_numpy() for name in frame.columns}), len(frame))
    if not np.all(np.isfinite(price)) or np.any(price < 0):
        row = int(np.argmax(~(np.isfinite(price) & (price >= 0))))
        raise PlanError(f"candidate run {row} costs {price[row]:g}; a cost is a finite number, 0 or more")
    return frame[list(dict.fromkeys(kept))].assign(cost=np.asarray(price, dtype=float)).reset_index(drop=True)


def read_columns(frame: pd.DataFrame, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Return columns of a frame as arrays of numbers."""
    found = {}
    for name in names:
        try:
            found[name] = frame[name].to_numpy(dtype=float)
        except (TypeError, ValueError):
            raise PlanError(
                f'the column "{name}" of the runs holds something that is no number; drop those rows'
            ) from None
    return found


def default_grid(
    law: Law, points: Mapping[str, np.ndarray], cost: Cost, budget: float, fixed: Mapping[str, float]
) -> Any:
    """Return a grid that the budget allows: sizes by tokens per parameter.

    With runs behind the law, from their smallest size up and over their ratios; without, two decades below the largest size
    that a third of the budget trains at 2.5 tokens per parameter, up to 640.

    Raises:
        PlanError: the law has other inputs than a size, data, and those fixed.
    """
    size, data = (next((n for n in names if n in law.inputs), None) for names in (SIZES, DATA))
    other = [name for name in law.inputs if name not in (size, data, *fixed)]
    if size is None or data is None or other:
        missing = other or list(law.inputs)
        raise PlanError(
            f"there is no default grid over {', '.join(missing)}; give candidates={{'{missing[0]}': [...], ...}} "
            f'(--grid "{missing[0]}=LOW:HIGH:COUNT,...")'
        )
    low_ratio, high_ratio = RATIOS
    known = size in points and data in points and len(points[size]) > 0
    if known:
        ratio = points[data] / points[size]
        low_ratio, high_ratio = max(float(ratio.min()), low_ratio), max(float(ratio.max()), high_ratio / 4)

    def price(n: float) -> float:
        return float(cost.value({**fixed, size: n, data: low_ratio * n}))

    steps = np.geomspace(1e3, 1e15, 481)
    fits = [n for n in steps if price(n) <= (1.0 if known else PART) * budget]
    if not fits:
        raise PlanError(f"a budget of {budget:g} {cost.unit} trains nothing of the default grid; give a larger one")
    high = float(fits[-1])
    low = min(float(points[size].min()), high) if known else high / SPAN
    return {
        **{name: [value] for name, value in fixed.items() if name in law.inputs},
        size: np.geomspace(low, high, 13).tolist(),
        RATIO: np.geomspace(low_ratio, high_ratio, 9).tolist(),
    }


def _rows(candidates: Any) -> pd.DataFrame:
    frame = getattr(candidates, "frame", candidates)
    if isinstance(frame, pd.DataFrame):
        return frame.reset_index(drop=True).copy()
    if not isinstance(frame, Mapping) or not frame:
        raise PlanError(
            f"candidates are a table or a grid {{'params': [...], 'tokens': [...]}}, got {type(candidates).__name__}"
        )
    levels = [list(np.atleast_1d(values)) for values in frame.values()]
    if np.prod([float(len(level)) for level in levels]) > MOST:
        raise PlanError(f"the grid has more than {MOST} runs; take fewer values of {next(iter(frame))}")
    return pd.DataFrame(list(itertools.product(*levels)), columns=list(frame))
