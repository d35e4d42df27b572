"""The decision that the runs are to settle, and how it moves with the coordinates of the law.

| goal | decision | derivative |
|---|---|---|
| loss, at a point | ln L(target) | that of the law |
| loss, at a budget | ln min L on the curve cost = budget | that of the law at each draw's own optimum (envelope theorem) |
| size | ln N* on that curve | implicit: -(df/du)/(df/dn) of the slope f along the curve, by central differences |
| a formula | the formula in the parameters of the law | central differences over a thousandth of a standard deviation |
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from scalinglens.errors import PlanError, did_you_mean
from scalinglens.laws.law import Law
from scalinglens.plan.cost import Cost
from scalinglens.plan.design.belief import Belief, log_slopes, to_natural

__all__ = ["DATA", "GOALS", "SIZES", "Decided", "Question", "decide"]

GOALS = ("loss", "size", "difference")
SIZES = ("params", "params_nonembedding", "params_active", "params_nonvocab", "params_dense")
DATA = ("tokens", "examples", "steps", "tokens_unique")
STEP = 1e-3
PARTS, ROUNDS = 129, 7  # of the search for an optimum: 129^7 is 2^49
WIDEST = (1e3, 1e18)  # sizes that an optimum is looked for between


@dataclass(frozen=True)
class Question:
    """What is to be decided, and where.

    Attributes:
        goal: "loss", "size", or a formula in the parameters and inputs of the law.
        point: input -> value at the target; sizes and data are missing where a budget is given.
        budget: of the target, or None where it is a point.
        cost: the cost that the budget is in.
    """

    goal: str
    point: Mapping[str, float]
    budget: float | None
    cost: Cost


@dataclass(frozen=True, eq=False)
class Decided:
    """A decision at every draw.

    Attributes:
        name: what it is: "loss", "params", ...
        best: at the most likely coordinates.
        values: [draws].
        slopes: by the coordinates [draws, p].
        in_logs: whether it is a logarithm.
        edge: share of the draws whose optimum lies at the end of the range.
        where: input -> value of the target [draws], or one for all.
    """

    name: str
    best: float
    values: np.ndarray
    slopes: np.ndarray
    in_logs: bool
    edge: float
    where: Mapping[str, np.ndarray]


def decide(belief: Belief, draws: np.ndarray, question: Question) -> Decided:
    """Return the decision at every draw [draws, p] of the coordinates.

    Raises:
        PlanError: the law lacks a size or data to choose, an input of the target is missing, or a formula is wrong.

    Cost: for an optimum, seven evaluations of the elasticities at 128 sizes for every draw.
    """
    law, u = belief.law, np.concatenate([belief.best[None], draws])
    if belief.bend is not None:  # zero at the target, with its first derivatives
        flat = replace(belief, bend=None, best=belief.best[: -belief.bend.count])
        flat = replace(flat, covariance=belief.covariance[: len(flat.best), : len(flat.best)])
        found = decide(flat, draws[:, : len(flat.best)], question)
        return replace(found, slopes=np.pad(found.slopes, ((0, 0), (0, belief.bend.count))))
    if question.goal not in GOALS:
        return _formula(belief, u, question)
    if question.budget is None:
        if question.goal == "size":
            raise PlanError(
                "the best size needs a budget, not a point; give target={'flops': 1e24} (--target-flops 1e24)"
            )
        point = {name: np.full((1, 1), question.point[name]) for name in law.inputs}
        value, slopes = log_slopes(law, u, point, belief.in_logs)
        return _decided(law.output, value[:, 0], slopes[:, 0], belief.in_logs, 0.0, question.point)
    size, _ = roles(law)
    where, edge = optimum(law, u, question)
    if question.goal == "loss":
        value, slopes = log_slopes(law, u, where, belief.in_logs)
        spots = {name: array[1:, 0] for name, array in where.items()}
        return _decided(law.output, value[:, 0], slopes[:, 0], belief.in_logs, _share(edge[1:]), spots)
    slopes = _size_slopes(belief, u, np.log(where[size]), question)
    spots = {name: array[1:, 0] for name, array in where.items()}
    return _decided(size, np.log(where[size][:, 0]), slopes, True, _share(edge[1:]), spots)


def roles(law: Law) -> tuple[str, str]:
    """Return the inputs that an optimum is taken over: the size and the data."""
    size = next((name for name in SIZES if name in law.inputs), None)
    data = next((name for name in DATA if name in law.inputs), None)
    if size is None or data is None:
        raise PlanError(
            f"{law.name} has the inputs {', '.join(law.inputs)}, so a budget has no best size; give a point as target, "
            f"for example target={{{', '.join(repr(n) + ': ...' for n in law.inputs)}}}"
        )
    return size, data


def optimum(law: Law, u: np.ndarray, question: Question) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return the inputs [draws, 1] with the least loss on the curve cost = budget, and where that is an end of the range.

    On the curve d ln L/d ln N - (e_N/e_D) d ln L/d ln D changes sign once for the laws of the catalogue; the range is cut into
    many parts at a time, because an evaluation costs what it costs to start, hardly what it has to compute.
    """
    size, data = roles(law)
    balance = _balance(law, question)
    low, high = (np.full((len(u), 1), np.log(end)) for end in WIDEST)
    inside = np.arange(1, PARTS) / PARTS
    for _ in range(ROUNDS):
        wide = high - low
        falls = np.sum(balance(u, low + wide * inside) < 0, axis=1, keepdims=True)  # parts below the optimum
        low, high = low + wide * falls / PARTS, low + wide * (falls + 1) / PARTS
    found = 0.5 * (low + high)
    edge = (found < np.log(WIDEST[0]) + 1e-6) | (found > np.log(WIDEST[1]) - 1e-6)
    columns = {**_others(law, question, len(u)), size: np.exp(found)}
    return {**columns, data: _affordable(question, columns, data)}, edge[:, 0]


def _others(law: Law, question: Question, count: int) -> dict[str, np.ndarray]:
    """Inputs that are fixed at the target [count, 1]."""
    return {name: np.full((count, 1), question.point[name]) for name in law.inputs if name not in roles(law)}


def _balance(law: Law, question: Question) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """The slope of the loss by ln N along the curve cost = budget, of coordinates [draws, p] and ln N [draws, 1]."""
    size, data = roles(law)

    def slope(u: np.ndarray, n: np.ndarray) -> np.ndarray:
        natural = to_natural(law, u)
        parameters = {name: natural[:, i : i + 1] for i, name in enumerate(law.parameters)}
        columns = {**_others(law, question, len(u)), size: np.exp(n)}
        columns[data] = _affordable(question, columns, data)
        slopes = law.elasticities(parameters, columns)
        price = question.cost.elasticities({**dict(question.point), **columns})
        return slopes[size] - price[size] / price[data] * slopes[data]

    return slope


def _size_slopes(belief: Belief, u: np.ndarray, n: np.ndarray, question: Question) -> np.ndarray:
    """Derivatives of ln N* by the coordinates [draws, p]: -(df/du)/(df/dn) of the balance f that is zero there."""
    balance = _balance(belief.law, question)
    with np.errstate(all="ignore"):
        bend = (balance(u, n + STEP) - balance(u, n - STEP)) / (2 * STEP)
        slopes = (
            -_differences(belief, u, lambda moved: balance(moved, np.tile(n, (len(moved) // len(n), 1)))[:, 0]) / bend
        )
    return np.where(np.isfinite(slopes), slopes, 0.0)


def _affordable(question: Question, columns: Mapping[str, np.ndarray], data: str) -> np.ndarray:
    """The data that the budget buys: Newton in logarithms, which is exact at once for products of powers."""
    assert question.budget is not None
    fixed = {**dict(question.point), **columns}
    shape = next(iter(columns.values())).shape
    d = np.zeros(shape) + 20.0
    for _ in range(50):
        now = {**fixed, data: np.exp(d)}
        miss = np.log(question.cost.value(now)) - np.log(question.budget)
        if np.all(np.abs(miss) < 1e-13):
            break
        d = np.clip(d - miss / np.maximum(question.cost.elasticities(now)[data], 1e-3), -50.0, 150.0)
    return np.exp(d)


def _share(edge: np.ndarray) -> float:
    return float(edge.mean()) if len(edge) else 0.0


def _formula(belief: Belief, u: np.ndarray, question: Question) -> Decided:
    """A decision that the user wrote as a formula in the parameters and inputs of the law."""
    law = belief.law
    wanted = Law("goal", question.goal, domains={}, output="loss")
    unknown = [name for name in wanted.parameters if name not in law.parameters]
    if unknown:
        raise PlanError(
            f'the goal names "{unknown[0]}"{did_you_mean(unknown[0], (*law.parameters, *GOALS))}; it is one of '
            f"{', '.join(GOALS)}, or a formula in {', '.join((*law.parameters, *law.inputs))}"
        )
    missing = [name for name in wanted.inputs if name not in question.point]
    if missing:
        raise PlanError(
            f"the goal {question.goal} needs {missing[0]} at the target; give target={{'{missing[0]}': ...}}"
        )
    domains = {name: law.domains[name] for name in wanted.parameters if name in law.domains}
    wanted = replace(wanted, domains=domains)
    point = {name: question.point[name] for name in wanted.inputs}

    def value(moved: np.ndarray) -> np.ndarray:
        natural = to_natural(law, moved)
        return wanted.value({name: natural[:, law.parameters.index(name)] for name in wanted.parameters}, point)

    return _decided(question.goal, value(u), _differences(belief, u, value), False, 0.0, question.point)


def _differences(belief: Belief, u: np.ndarray, value: Any) -> np.ndarray:
    """Central differences [draws, p] over a thousandth of a standard deviation; zero for what is held."""
    slopes = np.zeros(u.shape)
    steps = STEP * np.sqrt(np.maximum(np.diag(belief.covariance), 0.0))
    moving = np.flatnonzero(steps > 0)
    if not len(moving):
        return slopes
    either = np.concatenate([np.diag(steps)[moving], -np.diag(steps)[moving]])  # all in one evaluation
    ahead, behind = np.split(value((u + either[:, None]).reshape(-1, u.shape[1])).reshape(len(either), len(u)), 2)
    slopes[:, moving] = ((ahead - behind) / (2 * steps[moving, None])).T
    return np.where(np.isfinite(slopes), slopes, 0.0)


def _decided(
    name: str, values: np.ndarray, slopes: np.ndarray, in_logs: bool, edge: float, where: Mapping[str, Any]
) -> Decided:
    spots = {key: np.atleast_1d(np.asarray(value, dtype=float)) for key, value in where.items()}
    return Decided(name, float(values[0]), values[1:], slopes[1:], in_logs, edge, spots)
