"""Methods that fit a law of size and data and take its optimum: approach 3, variable projection, Kaplan's coupled law."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from scalinglens.fit.fit import fit
from scalinglens.fit.result import REFUSED, Fit
from scalinglens.laws.catalogue import law as find_law
from scalinglens.plan.methods.projection import PARAMETERS, project
from scalinglens.plan.methods.task import LAW, Answer, Refused, Task
from scalinglens.plan.optimum.estimates import value_interval
from scalinglens.plan.optimum.optimum import STATUSES, slack_of
from scalinglens.plan.optimum.problem import state
from scalinglens.plan.optimum.solutions import Solver
from scalinglens.plan.source import Head, Source, as_source

__all__ = ["approach3", "kaplan", "optimum_of", "varpro"]

_SIDE = 0.25  # of ln budget on both sides, between which an exponent is read
_KAPLAN = "((Nc/{size})^(alphaN/alphaD) + Dc/tokens)^alphaD"


def approach3(task: Task) -> Answer:
    """The certified Huber fit of E + A/params^alpha + B/tokens^beta (Hoffmann et al. 2022, approach 3)."""
    return optimum_of(_sound(task.fitted), task, _resampled(task))


def varpro(task: Task) -> Answer:
    """The same law by variable projection on the squared loss, as practitioners do (Czech et al. 2026)."""
    table = task.runs.complete("params", "tokens", "loss")
    if len(table) < len(PARAMETERS):
        raise Refused("too_few_runs", f"{len(table)} runs cannot determine {len(PARAMETERS)} parameters; add runs")
    columns = (table.column(name) for name in ("params", "tokens", "loss"))
    labels = np.arange(len(table))
    if task.groups is not None:
        labels = np.unique(table.labels(task.groups), return_inverse=True)[1]
    found = project(*columns, groups=labels, boot=task.boot, seed=task.seed)
    law = find_law(LAW)
    order = [PARAMETERS.index(name) for name in law.parameters]
    draws = found.draws[:, order]
    notes = ()
    if found.lost > 0.01:
        notes = (f"{found.lost:.0%} of the resamples are left out: a term of the law vanished in them",)
    source = replace(
        as_source(law, constants=dict(zip(PARAMETERS, found.values.tolist(), strict=True))),
        heads=(Head(law, found.values[order], draws),),
    )
    return optimum_of(source, task, task.groups or "runs", notes)


def kaplan(task: Task) -> Answer:
    """Kaplan et al.'s coupled law without a floor, in parameters without embeddings where the table has them.

    The optimum is that of 6 FLOP per such parameter; it is turned to all parameters with the embeddings that the runs show,
    a power of the size.
    """
    own = "params_nonembedding" in task.runs.columns and task.cost is None
    size = "params_nonembedding" if own else "params"
    found = fit(
        task.runs,
        _KAPLAN.format(size=size),
        boot=task.boot,
        level=task.level,
        seed=task.seed,
        groups=task.groups,
    )
    counted = "parameters without embeddings" if own else "all parameters, the table has no others"
    notes = (f"no floor; counted in {counted}",)
    answer = optimum_of(_sound(found), task, _resampled(task), notes)
    return _with_embeddings(answer, task) if own else answer


def optimum_of(source: Source, task: Task, resampled: str, notes: tuple[str, ...] = ()) -> Answer:
    """The optimum of a law at the budget with its exponents, and the same of every draw.

    Raises: Refused: there is no optimum inside.
    """
    stated = state(source, task.cost)
    solver = Solver(stated)
    problem = solver.problem
    sizes = [name for name in problem.free if name.startswith("params")]
    if set(problem.free) != {*sizes, "tokens"} or len(sizes) != 1 or len(problem.outer) != 1:
        raise Refused("cost", f"the cost {stated.cost.formula} does not trade a size against tokens")
    log_c = np.log(task.flops) + np.array([-_SIDE, 0.0, _SIDE])
    best = solver.estimate(log_c)
    status = STATUSES[int(best.status[1])]
    if status != "inside":
        raise Refused("no_optimum", f"the law that fits best has no optimum inside at this budget: it is {status}")
    order = (sizes[0], "tokens")
    point = _lines({name: best.logs[name][:, None] for name in order}, order)[0]
    draws = np.empty((0, 4))
    drawn = solver.drawn(log_c, best)
    name = problem.outer[0]
    if name in drawn and drawn[name].shape[1]:
        logs = {name: drawn[name]}
        logs[problem.slack] = slack_of(problem, {**problem.fixed, **logs}, log_c[:, None])[0]
        draws = _lines(logs, order)
    at = {order[0]: np.exp(point[0]), "tokens": np.exp(point[2])}
    loss = value_interval(source, at, task.level).at(0)
    return Answer(point, draws[np.isfinite(draws).all(axis=1)], loss, resampled if len(draws) else "", notes)


def _lines(logs: dict[str, np.ndarray], order: tuple[str, str]) -> np.ndarray:
    """Value in the middle and slope of both inputs [draws, 4] from ln inputs at three budgets [3, draws]."""
    parts: list[Any] = []
    for name in order:
        low, middle, high = logs[name]
        parts += [middle, (high - low) / (2 * _SIDE)]
    return np.stack(parts, axis=1)


def _sound(found: Fit) -> Source:
    """The fit as a source, refused where it is not identified."""
    if found.status in REFUSED:
        said = found.refusal.partition(": ")[2] or "; ".join(found.certificate.reasons)
        raise Refused("not_identified", f"the fit is {found.status}: {said}")
    return as_source(found)


def _resampled(task: Task) -> str:
    return f"noise of the law, {task.groups}" if task.groups else "noise of the law"


def _with_embeddings(answer: Answer, task: Task) -> Answer:
    """Sizes without embeddings turned to sizes with them; tokens follow from the budget."""
    table = task.runs.complete("params", "params_nonembedding")
    bare, whole = np.log(table.column("params_nonembedding")), np.log(table.column("params"))
    extra = np.exp(whole) - np.exp(bare)
    if extra.min() < 0:
        raise Refused("impossible", "params_nonembedding is above params in some runs; check which column is which")
    if extra.max() <= 1e-6 * np.exp(whole.max()):
        return answer
    kept = extra > 0
    slope, start = np.polyfit(bare[kept], np.log(extra[kept]), 1) if np.ptp(bare[kept]) > 0 else (0.0, 0.0)
    rows = np.concatenate([answer.point[None], answer.draws])
    added = np.exp(start + slope * rows[:, 0])
    total = np.exp(rows[:, 0]) + added
    share = (np.exp(rows[:, 0]) + slope * added) / total  # d ln total / d ln bare
    size, a = np.log(total), rows[:, 1] * share
    turned = np.stack([size, a, np.log(task.flops / 6) - size, 1 - a], axis=1)
    own = f"in its own counting params_nonembedding ~ C^{answer.point[1]:.3f}"
    return replace(answer, point=turned[0], draws=turned[1:], loss=None, notes=(*answer.notes, own))
