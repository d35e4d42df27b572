"""Reading what was asked of a design: sources, target, cost, candidates, runs made; every mistake is named here."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from scalinglens.errors import PlanError, did_you_mean
from scalinglens.laws.formula import names as names_of
from scalinglens.laws.formula import parse
from scalinglens.laws.law import Law
from scalinglens.plan.cost import Cost
from scalinglens.plan.cost import cost as find_cost
from scalinglens.plan.design.candidates import candidate_table, default_grid
from scalinglens.plan.design.decision import DATA, GOALS, SIZES, Question, roles
from scalinglens.quantities import parse_quantity

__all__ = [
    "amount",
    "check_counts",
    "check_goal",
    "cost_of",
    "made_table",
    "named_sources",
    "read_question",
    "read_target",
    "table_of",
    "with_recipes",
]


def named_sources(source: Any, goal: str) -> dict[str, Any]:
    """Return name -> source: one, or the two recipes of a difference."""
    if goal != "difference":
        if isinstance(source, tuple | list | Mapping):
            raise PlanError(
                'several sources are compared with goal="difference"; give one, or pool fits with pool([...])'
            )
        return {"": source}
    named = dict(source) if isinstance(source, Mapping) else None
    if named is None and isinstance(source, tuple | list):
        named = {f"recipe {i + 1}": part for i, part in enumerate(source)}
    if named is None or len(named) != 2:
        raise PlanError('a difference is that of two recipes; give a pair of fits, or {"old": fit, "new": other}')
    return {str(name): part for name, part in named.items()}


def read_target(target: Any) -> tuple[dict[str, float], float | None]:
    """Return the inputs given, and the budget or None."""
    if not isinstance(target, Mapping):
        return {}, amount("target", target)
    if not target:
        raise PlanError(
            "the target is empty; give {'flops': 1e24}, or inputs such as {'params': 70e9, 'tokens': 1.4e12}"
        )
    point = {str(name): amount(f"target {name}", value, positive=False) for name, value in target.items()}
    budgets = [name for name in ("flops", "cost") if name in point and not {"params", "tokens"} <= set(point)]
    if len(budgets) > 1:
        raise PlanError("the target has both flops and cost; give one budget")
    asked = point.pop(budgets[0]) if budgets else None
    if asked is not None and asked <= 0:
        raise PlanError(f"the budget of the target is {asked:g}; it must be positive")
    if budgets == ["cost"]:
        point["_cost"] = 1.0
    return point, asked


def read_question(
    goal: str, where: dict[str, float], asked: float | None, price: Cost, law: Law, inputs: Sequence[str]
) -> Question:
    """Return the question, every input that it lacks named."""
    in_cost = where.pop("_cost", None) is not None
    unknown = [
        name for name in where if name not in inputs and name not in price.inputs and name not in names_of(parse(goal))
    ]
    if unknown:
        raise PlanError(
            f'the target has "{unknown[0]}"{did_you_mean(unknown[0], (*inputs, "flops"))}, which is no input; '
            f"the law has {', '.join(inputs)}, and flops is the budget of an optimum"
        )
    if asked is not None and goal in GOALS:
        size, data = roles(law)
        chosen = price if in_cost else find_cost(f"6*{size}*{data}")
        missing = [n for n in (*law.inputs, *chosen.inputs) if n not in (size, data) and n not in where]
    else:
        chosen, missing = price, [n for n in inputs if n not in where] if goal in GOALS else []
    if missing:
        raise PlanError(
            f"the target lacks {missing[0]}; give target={{'{missing[0]}': ..., ...}}"
            + ("" if asked is not None else ", or a budget as target={'flops': 1e24}")
        )
    return Question(goal if goal != "difference" else "loss", where, asked, chosen)


def cost_of(cost: str | Cost | None, law: Law) -> Cost:
    """Return the cost asked for, or 6 FLOP per parameter and token under the names the law has."""
    if cost is not None:
        return find_cost(cost)
    size, data = (next((name for name in names if name in law.inputs), None) for names in (SIZES, DATA))
    if size is None or data is None:
        return find_cost("6*params*tokens" if "flops" not in law.inputs else "flops = 1*flops")
    return find_cost(f"6*{size}*{data}")


def table_of(
    candidates: Any,
    law: Law,
    points: Mapping[str, np.ndarray],
    price: Cost,
    spend: float,
    where: Mapping[str, float],
    inputs: Sequence[str] = (),
) -> pd.DataFrame:
    """Return the candidates asked for, or the default grid."""
    if candidates is None:
        candidates = default_grid(law, points, price, spend, where)
    return candidate_table(candidates, inputs or law.inputs, law, price)


def made_table(made: Any, law: Law, inputs: Sequence[str], price: Cost, goal: str) -> pd.DataFrame:
    """Return the runs made, with their output where the table has it."""
    frame = candidate_table(made, inputs, law, price, also=(law.output,))
    if goal == "difference" and "recipe" not in frame.columns:
        raise PlanError('the runs made have no column "recipe" that says which of the two recipes each belongs to')
    return frame


def with_recipes(frame: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """Return the candidates once for each recipe, where they do not say which they belong to."""
    if "recipe" in frame.columns:
        return frame
    return pd.concat([frame.assign(recipe=name) for name in names], ignore_index=True)


def amount(what: str, value: Any, *, positive: bool = True) -> float:
    """Return a positive number given as such or as text."""
    try:
        number = parse_quantity(value) if isinstance(value, str) else float(value)
    except (TypeError, ValueError) as problem:
        raise PlanError(f"the {what} is {value!r}, which is no number ({problem}); write for example 1e20") from None
    if not math.isfinite(number) or (positive and number <= 0):
        raise PlanError(f"the {what} is {number:g}; it must be a positive finite number")
    return number


def check_counts(
    batch: Any, copies: Any, most: Any, draws: Any, seed: Any, bend: Any, departure: Any, noise: Any
) -> None:
    """Refuse counts and relative sizes that mean nothing."""
    counts = (("batch", batch, 1), ("copies", copies, 1), ("most", most, 1), ("draws", draws, 24), ("seed", seed, 0))
    for name, value, least in counts:
        if value is None and name == "batch":
            continue
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
            raise PlanError(f"{name} is a whole number, {least} or more, got {value!r}")
    if not isinstance(bend, int | float) or not 0 <= bend < 1:
        raise PlanError(f"bend is the relative error of the law a decade from the target, from 0 to 1, got {bend!r}")
    if departure is not None and (not isinstance(departure, int | float) or not 0 <= departure < 1):
        raise PlanError(f"departure is the relative error of the law at a place, from 0 to 1, got {departure!r}")
    if noise is not None and (not isinstance(noise, int | float) or not 0 < noise < 1):
        raise PlanError(
            f"noise is the relative scatter of a run, between 0 and 1, got {noise!r}; 0.005 is half a percent"
        )


def check_goal(goal: Any) -> None:
    """Refuse a goal that is neither known nor a formula."""
    if not isinstance(goal, str) or not goal.strip():
        raise PlanError(f"the goal is one of {', '.join(GOALS)}, or a formula, got {goal!r}")
    if goal not in GOALS and goal.isidentifier():
        near = did_you_mean(goal, GOALS)
        if near or not goal.islower():
            raise PlanError(
                f'unknown goal "{goal}"{near}; known are {", ".join(GOALS)}, or a formula in the parameters'
            )
