"""Methods that regress the loss on size and data without a law, and search the regression both ways (Barkeshli et al. 2026)."""

from __future__ import annotations

import math

import numpy as np

from scalinglens.errors import FitError
from scalinglens.fit.estimate import Estimate
from scalinglens.fit.surface import surface
from scalinglens.plan.methods.task import Answer, Refused, Task

__all__ = ["kernel", "network"]

_MOST = 40  # resamples of a surface, each of which is trained anew


def network(task: Task) -> Answer:
    """Networks over (params, tokens), their optimum along sizes and along tokens, clipped to the inside of the runs."""
    return _searched(task, "network")


def kernel(task: Task) -> Answer:
    """Kernel regression over (params, tokens), searched in the same way."""
    return _searched(task, "kernel")


def _searched(task: Task, kind: str) -> Answer:
    if task.cost is not None:
        raise Refused("cost", "it searches along 6 FLOP per parameter and token and knows no other cost; use a law")
    fewest = math.ceil(2 / (1 - task.level) - 1e-9)  # that show the ends of the interval
    try:
        found = surface(
            task.runs,
            kind,
            members=task.members,
            boot=min(task.boot, max(_MOST, fewest)),
            level=task.level,
            seed=task.seed,
            groups=task.groups,
        )
    except FitError as problem:
        raise Refused("too_few_runs", str(problem)) from None
    if found.status != "certified":
        raise Refused("not_identified", f"the surface is {found.status}: {'; '.join(found.reasons)}")
    front = found.frontier(curve=task.curve)
    if front.lines is None:
        flat = bool((front.table["clipped"] == "no trend").all())
        raise Refused("no_trend" if flat else "no_optimum", "; ".join(front.warnings))
    x = np.log(task.flops) - front.lines[0]
    drawn = front.drawn[np.isfinite(front.drawn).all(axis=1)]
    lines = np.concatenate([np.array([front.lines[1:]]), drawn])
    lines[:, [0, 2]] += x * lines[:, [1, 3]]
    loss = None
    if front.gamma is not None and front.loss_fit is not None:
        loss = Estimate(float(front.loss_fit.law.value(front.loss_fit.values, {"flops": task.flops})))
    notes = [f"a + b = {lines[0, 1] + lines[0, 3]:.3f}, from two searches"]
    if front.disagreement > 0.1:
        notes.append(f"the two searches disagree by up to {front.disagreement:.0%} in size")
    if len(drawn) < len(front.drawn):
        notes.append(f"{len(front.drawn) - len(drawn)} of {len(front.drawn)} resamples have no exponents")
    return Answer(lines[0], lines[1:], loss, task.groups or "runs" if len(drawn) else "", tuple(notes))
