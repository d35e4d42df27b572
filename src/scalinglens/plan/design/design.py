"""`design`: choose the runs that most reduce the uncertainty of a decision, under a budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from scalinglens.errors import PlanError
from scalinglens.fit.compare.pool import PooledFit, extents_of
from scalinglens.fit.estimate import check_level
from scalinglens.laws.law import Law
from scalinglens.plan.cost import Cost
from scalinglens.plan.design.belief import Belief
from scalinglens.plan.design.bend import Bend
from scalinglens.plan.design.candidates import read_columns
from scalinglens.plan.design.decision import DATA, GOALS, SIZES, Question, decide
from scalinglens.plan.design.ladder import first_ladder
from scalinglens.plan.design.mixture import doubted, weighed
from scalinglens.plan.design.outcome import (
    assumptions_of,
    intervals,
    ladder_notes,
    near_alternatives,
    ordered,
    run_table,
    says,
    warnings_of,
)
from scalinglens.plan.design.prior import beliefs_of
from scalinglens.plan.design.problem import Doubt, Posed, pose, pose_difference
from scalinglens.plan.design.reading import (
    amount,
    check_counts,
    check_goal,
    cost_of,
    made_table,
    named_sources,
    read_question,
    read_target,
    table_of,
    with_recipes,
)
from scalinglens.plan.design.result import Design
from scalinglens.plan.design.search import search

__all__ = ["design"]

SOURCES = (
    "Fedorov 1972, Theory of Optimal Experiments (exchange)",
    "Chaloner and Verdinelli 1995, Bayesian experimental design: a review, Statist. Sci. 10",
    "Li et al. 2026, Spend Less, Fit Better, arXiv 2604.22753 (pilot runs chosen for the target)",
)


def design(
    source: Any,
    *,
    target: Mapping[str, Any] | float | str,
    budget: float | str,
    candidates: Any = None,
    goal: str = "loss",
    made: Any = None,
    batch: int | None = None,
    cost: str | Cost | None = None,
    shared: Sequence[str] = (),
    copies: int = 1,
    most: int = 30,
    noise: float | None = None,
    bend: float = 0.01,
    departure: float | None = None,
    draws: int = 200,
    seed: int = 0,
    level: float = 0.9,
) -> Design:
    """Choose the runs that most reduce the uncertainty of a decision.

    minimise over sets of runs within the budget: mean over draws of ln( g' (S^-1 + sum_i j_i j_i')^-1 g + b )

    with g the derivative of the decision by the coordinates of the law, j_i that of ln loss of run i in units of its noise, S
    the covariance of what is known, b what the law itself may get wrong (see `criterion.py`).

    Args:
        source: a `Fit` or `PooledFit` with draws, a saved one, a law with constants ("besiroglu2024"), or "prior" (the spread of
            published laws); for a difference two of them, as a pair or as name -> source.
        target: inputs of the law {"params": 70e9, "tokens": 1.4e12}, or a budget {"flops": 1e24} or 1e24, at whose optimum
            the decision is taken; {"cost": x} is a budget in the units of `cost`.
        budget: for the new runs, in the unit of the cost.
        candidates: table of runs that could be made, or grid input -> values; `tokens_per_param` may stand for the tokens.
        goal: "loss", "size" (the best size at the target's budget), "difference" (of the ln loss of two recipes), or a
            formula in parameters and inputs of the law.
        made: table of runs beyond those of the fit that are already made or certain. Where `source` is a prior and the table
            has losses, they bring it up to date; else they count as information.
        batch: how many runs are made at a time; `runs` says which belong together. Ask again once a batch is made.
        cost: formula or `Cost` of one run; by default 6 FLOP per parameter and token. A table's own column `cost` counts first.
        shared: parameters that two recipes have in common.
        copies: how often a candidate may be run, with another seed; once by default, because a neighbour says as much and more.
        most: at most so many runs.
        noise: relative scatter of a run, where there is no fit; by default 0.5%.
        bend: standard deviation of what the law gets wrong one decade away from the target, relative; it grows with the
            distance and is alike for runs within a decade of each other, so that many runs far from the target do not
            average it away (`bend.py`). A prior holds sizes from a tenth of it to ten times it for equally likely, and losses
            of runs made say which (`mixture.py`). 0 trusts the law everywhere.
        departure: standard deviation of what the law gets wrong at a place, relative; runs within half a decade of each input
            share it. By default as large as the scatter of a run; 0 trusts the law, and then buys many runs in few corners.
        draws: of what is known, used in the search.
        seed: of the draws taken, and the first seed of the runs.
        level: probability of the intervals.

    Returns:
        The `Design`.

    Raises:
        PlanError: an impossible request: no draws, an unknown goal or input, a budget below the cheapest candidate.

    Cost: well under a second for 200 candidates and 200 draws.

    Source: expected information about a decision (Lindley 1956), linear in each draw (Chaloner and Verdinelli 1995, 2.2).

    >>> found = design("prior", target={"flops": 1e21}, budget=1e18)
    >>> found.first, found.cost <= 1e18, found.runs["params"].nunique() >= 5, found.sd_after < 0.5 * found.sd_before
    (True, True, True, True)
    """
    check_level(level)
    spend = amount("budget", budget)
    check_counts(batch, copies, most, draws, seed, bend, departure, noise)
    check_goal(goal)
    where, asked = read_target(target)
    named = named_sources(source, goal)

    def points(law: Law) -> dict[str, np.ndarray]:
        return read_columns(table_of(candidates, law, {}, cost_of(cost, law), spend, where), law.inputs)

    groups = {
        name: beliefs_of(part, noise=noise, seed=seed + place, where=points)
        for place, (name, part) in enumerate(named.items())
    }
    beliefs = [belief for group in groups.values() for belief in group]
    law = beliefs[0].law
    if goal == "difference" and any(len(group) > 1 for group in groups.values()):
        raise PlanError("the difference of two pools of laws has no design; compare two fits of one law each")
    price = cost_of(cost, law)
    inputs = tuple(dict.fromkeys(name for belief in beliefs for name in belief.law.inputs))
    question = read_question(goal, where, asked, price, law, inputs)
    beliefs = _bent(beliefs, question, bend)
    past = None if made is None else made_table(made, law, inputs, price, goal)
    notes: list[str] = []
    if past is not None and goal != "difference" and beliefs[0].prior and law.output in past.columns:
        losses = past[law.output].to_numpy(dtype=float)
        if np.isfinite(losses).all():
            beliefs = weighed(beliefs, read_columns(past, law.inputs), losses, seed=seed)
            beliefs = [replace(b, notes=("published laws brought up to date with the runs made",)) for b in beliefs]
            past = None

    frame = table_of(candidates, law, beliefs[0].points, price, spend, where, inputs)
    frame = with_recipes(frame, list(named)) if goal == "difference" else frame
    each = frame["cost"].to_numpy(dtype=float)
    affordable = each <= spend * (1 + 1e-9)
    if not affordable.any():
        raise PlanError(
            f"the cheapest of {len(frame)} candidate runs costs {each.min():.3g} {price.unit}, more than the budget of "
            f"{spend:.3g}; give a larger budget or smaller candidates"
        )
    frame = frame.iloc[np.flatnonzero(affordable)].reset_index(drop=True)

    beliefs = [replace(b, weight=b.weight if len(beliefs) > 1 else 1.0) for b in beliefs]
    if goal == "difference":
        posed = pose_difference(
            dict(zip(named, beliefs, strict=True)),
            question,
            frame,
            past,
            shared=tuple(shared),
            departure=departure,
            draws=draws,
            seed=seed,
        )
    else:
        if shared:
            raise PlanError('shared parameters belong to goal="difference", the comparison of two recipes')
        posed = pose(beliefs, question, frame, past, departure=departure, draws=draws, seed=seed)
        if (doubted := _doubt(source, beliefs, posed, past, inputs)) is not None:
            posed = doubted.put_into(posed, frame)

    fresh = past is None and all(b.prior for b in beliefs)
    size, data = (next((name for name in names if name in inputs), None) for names in (SIZES, DATA))
    ladder = fresh and size is not None and data is not None and goal != "difference"
    forced = first_ladder(frame, str(size), str(data), spend) if ladder else []
    state = search(posed.problem, spend, copies=copies, most=max(most, len(forced)), forced=forced)
    order = ordered(posed, state.chosen)
    runs, left = run_table(frame, posed, order, batch, seed)
    if ladder:
        notes += ladder_notes(runs, str(size), str(data))
    before, after, sds = intervals(posed, left, level)
    full = posed.problem.start()
    for run in range(posed.problem.size):
        full.add(run)
    start, end = posed.problem.start().score, full.score
    share = (start - state.score) / (start - end) if start - end > 1e-12 else 1.0
    output = says(goal, law, posed)
    return Design(
        runs=runs,
        cost=float(runs["cost"].to_numpy().sum()),
        unit=price.unit,
        budget=spend,
        decision=output,
        at=dict(where) if asked is None else {"flops" if question.cost.unit == "FLOP" else "cost": asked, **where},
        before=before,
        after=after,
        sd_before=sds[0],
        sd_after=sds[1],
        share=float(share),
        alternatives=near_alternatives(frame, state, order, [n for n in inputs if n in frame.columns]),
        made=sum(len(next(iter(b.points.values()), ())) for b in beliefs[:1]) + (0 if past is None else len(past)),
        first=ladder,
        question={
            "goal": goal,
            **{str(k): v for k, v in where.items()},
            **({} if asked is None else {"target_budget": asked}),
            "budget": spend,
            "cost": price.formula,
            "candidates": len(frame),
            "copies": copies,
            "batch": batch,
            "draws": len(posed.problem.weights),
            "seed": seed,
            "level": level,
        },
        assumptions=assumptions_of(beliefs, posed),
        warnings=tuple(dict.fromkeys([*notes, *warnings_of(beliefs, posed, runs, past, spend, inputs)])),
        sources=SOURCES,
    )


def _bent(beliefs: Sequence[Belief], question: Question, size: float) -> list[Belief]:
    """The beliefs with a bend about the target: its size and data where it has them, else its other inputs.

    A prior has bends of several sizes; a fit, a pool of laws and a difference have one.
    """
    found = []
    for belief in beliefs:
        decided = decide(belief, belief.best[None], question) if question.goal in GOALS else None
        where = question.point if decided is None else decided.where
        extents = [n for n in (*SIZES, *DATA, "flops", "x") if n in belief.law.inputs and n in where]
        centre = {name: float(np.asarray(where[name]).ravel()[0]) for name in extents}
        good = centre and all(np.isfinite(v) and v > 0 for v in centre.values())
        if not good:
            found.append(belief)
        elif belief.prior and len(beliefs) == 1:
            found += doubted(belief, Bend(size, centre))
        else:
            found.append(belief.bent(Bend(size, centre)))
    return found


def _doubt(
    source: Any, beliefs: Sequence[Belief], posed: Posed, past: pd.DataFrame | None, inputs: Sequence[str]
) -> Doubt | None:
    """What the laws may get wrong together and apart, at the target."""
    extents = tuple(name for name in extents_of(tuple(inputs)) if name in posed.decided[0].where)
    if not extents:
        return None
    spot = [np.median(np.log(posed.decided[0].where[name])) for name in extents]
    target = float(np.sum(spot))
    sizes = [sum(np.log(beliefs[0].points[n]) for n in extents).max()] if extents[0] in beliefs[0].points else []  # type: ignore[union-attr]
    if past is not None:
        sizes.append(sum(np.log(past[n].to_numpy(dtype=float)) for n in extents).max())  # type: ignore[union-attr]
    largest = float(max(sizes)) if sizes else -np.inf
    far = max(target - largest, 0.0) if sizes else np.log(100.0)
    now = 0.0
    if isinstance(source, PooledFit):
        weights = np.array([b.weight for b in beliefs]) / sum(b.weight for b in beliefs)
        middles = np.array([d.best for d in posed.decided])
        now += float(weights @ (middles - weights @ middles) ** 2)
        if source.growth is not None and posed.decided[0].name == source.target:
            now = max(now, float(source.growth.at(np.array(far))) ** 2)
    return Doubt(now, extents, target, largest) if now > 0 else None
