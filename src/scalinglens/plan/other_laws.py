"""What other published laws answer, for a user who has no runs: their spread is the least that is not known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from scalinglens.errors import ScalingLensError
from scalinglens.laws.catalogue import law as find_law
from scalinglens.plan.frontier import frontier_of
from scalinglens.plan.optimum.problem import Stated, state
from scalinglens.plan.repetition import with_repetition
from scalinglens.plan.source import as_source

__all__ = ["ALLOCATIONS", "LOSSES", "other_laws"]

# one law per study: a study's rounded and refitted variants would count it twice. Left out is gadre2024, whose five runs do
# not determine the best ratio (catalogue, warning under its optimum).
LOSSES = ("besiroglu2024", "hoffmann2022.a3_tex", "muennighoff2023.base", "sardana2023.all")
ALLOCATIONS: Mapping[str, str] = {"porian2024.N_opt": "params", "llama3_2024.D_opt": "tokens"}  # of 6 N D alone


def other_laws(stated: Stated, budget: float, bounds: Mapping[str, Any] | None = None) -> dict[str, dict[str, float]]:
    """Return law -> quantity -> value for the other published laws that answer the question at a budget.

    Losses are left out: each law's are those of its own data and tokenizer.

    >>> found = other_laws(state(as_source("besiroglu2024")), 5.76e23)
    >>> {name: f"{value['params']:.2g}" for name, value in found.items() if name.startswith(("hoff", "porian"))}
    {'hoffmann2022.a3_tex': '4e+10', 'porian2024.N_opt': '7.7e+10'}
    """
    source = stated.source
    repeated = "tokens_unique" in source.inputs
    if set(source.inputs) - {"tokens_unique"} != {"params", "tokens"} or source.target != "loss":
        return {}
    found: dict[str, dict[str, float]] = {}
    for name in (*LOSSES, *(("muennighoff2023",) if repeated else ())):
        if name == source.name or (repeated and name == "muennighoff2023.base"):
            continue
        try:
            other = as_source(name)
            if repeated and "tokens_unique" not in other.inputs:
                other = with_repetition(other)
            front = frontier_of(state(other, stated.cost, stated.fixed, bounds), np.array([budget]))
        except ScalingLensError:
            continue
        if front.status[0] in ("inside", "at_bound"):
            found[name] = {key: float(e.value[0]) for key, e in front.optimum.items() if key in ("params", "tokens")}
    if not stated.fixed and not bounds and stated.cost.formula == "6*params*tokens":
        for name, gives in ALLOCATIONS.items():
            value = float(find_law(name).value(flops=budget))
            other_value = budget / (6 * value)
            pair = (value, other_value) if gives == "params" else (other_value, value)
            found[name] = dict(zip(("params", "tokens"), pair, strict=True))
    return found
