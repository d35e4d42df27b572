"""`Plan`: the answer to a question of planning, and the verb `plan`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scalinglens.documents import plain
from scalinglens.errors import PlanError
from scalinglens.files import PICTURES, written_whole
from scalinglens.fit.estimate import Estimate
from scalinglens.plan.cost import cost as read_cost
from scalinglens.plan.frontier import Frontier, frontier_of
from scalinglens.plan.hardware.hardware import MFU
from scalinglens.plan.hardware.spending import Spending, spending
from scalinglens.plan.inverse import Reach, reach_of
from scalinglens.plan.optimum.estimates import Estimates
from scalinglens.plan.optimum.problem import Stated, default_cost, positive, state
from scalinglens.plan.optimum.solutions import Solver
from scalinglens.plan.other_laws import other_laws
from scalinglens.plan.regret import regret
from scalinglens.plan.repetition import with_repetition
from scalinglens.plan.source import Source, as_source
from scalinglens.quantities import format_quantity

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["SCHEMA", "Plan", "plan"]

SCHEMA = 1


@dataclass(frozen=True, eq=False)
class Plan:
    """The answer to one question, with its interval, its range of nearly as good answers, and what it rests on.

    Attributes:
        question: what was asked: kind, source, and the numbers given.
        answer: quantity -> value with interval, in the units of the glossary.
        near_optimal: "tolerance" -> number, quantity -> (low, high) within which the loss is that close to the best.
        extrapolation_decades: quantity -> decades beyond the runs behind the source; empty where these are not known.
        spread: law -> quantity -> value, of other published laws that answer the question; empty with a fit of the user's.
        assumptions: sentences.
        warnings: sentences.
        sources: papers.
        frontier: the optimum over budgets, where the question has one.
        figure: data of a picture other than that of the frontier, or None.
        level: of the intervals.
    """

    question: Mapping[str, Any]
    answer: Mapping[str, Estimate]
    near_optimal: Mapping[str, Any] = field(default_factory=dict)
    extrapolation_decades: Mapping[str, float] = field(default_factory=dict)
    spread: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    assumptions: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    frontier: Frontier | None = None
    figure: Any = None
    level: float = 0.9

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as the JSON object of `scalinglens plan --json`, numbers unrounded."""
        return plain(
            {
                "schema": SCHEMA,
                "question": self.question,
                "answer": {name: {"value": e.value, "low": e.low, "high": e.high} for name, e in self.answer.items()},
                "near_optimal": self.near_optimal,
                "extrapolation_decades": self.extrapolation_decades,
                "spread": self.spread,
                "level": self.level,
                "assumptions": self.assumptions,
                "warnings": self.warnings,
                "citations": self.sources,
            }
        )

    def to_frame(self) -> pd.DataFrame:
        """Return one row per quantity of the answer: value, low, high, and the ends of its near-optimal range."""
        rows = [
            {
                "name": name,
                "value": e.value,
                "low": np.nan if e.low is None else e.low,
                "high": np.nan if e.high is None else e.high,
                **dict(zip(("near_low", "near_high"), self.near_optimal.get(name, (np.nan, np.nan)), strict=True)),
            }
            for name, e in self.answer.items()
        ]
        return pd.DataFrame(rows, columns=["name", "value", "low", "high", "near_low", "near_high"]).set_index("name")

    def citations(self) -> tuple[str, ...]:
        """Return the papers that the answer rests on."""
        return self.sources

    def plot(self, path: str | Path | None = None) -> Figure:
        """Draw the answer with matplotlib; write the picture where a path is given."""
        from scalinglens.figures.matplotlib import draw
        from scalinglens.plan.figures import plan_figure

        figure = draw(plan_figure(self))
        if path is not None:
            with written_whole(path, PICTURES) as part:
                figure.savefig(part, format=Path(path).suffix[1:].lower())
        return figure

    def __repr__(self) -> str:
        from scalinglens.plan.text import as_text

        return as_text(self)

    def _repr_html_(self) -> str:
        from scalinglens.plan.text import as_html

        return as_html(self)


def plan(
    source: Any,
    *,
    flops: Any = None,
    target_loss: Any = None,
    budget: Any = None,
    days: Any = None,
    dollars: Any = None,
    hardware: Any = None,
    mfu: float = MFU,
    precision: str = "bf16",
    price: Any = None,
    tokens_unique: Any = None,
    inference_tokens: Any = None,
    fix: Mapping[str, Any] | None = None,
    bounds: Mapping[str, Any] | None = None,
    instead: Mapping[str, Any] | None = None,
    tolerance: float = 1e-3,
    cost: Any = None,
    level: float | None = None,
    constants: Mapping[str, float] | None = None,
    spread: bool = True,
) -> Plan:
    """Answer how big and how long: the best inputs at a budget, or the least cost of a target.

    Args:
        source: a fit, a saved fit, or a law with constants; see `as_source`.
        flops: budget in FLOP. budget: the same for a cost in another unit. target_loss: what to reach, in place of a budget.
        days, dollars: the same as what a cluster does in that time, or for that money.
        hardware: a cluster, "h200:64"; days, chip-hours, dollars and energy of the training are then answered too.
        mfu, precision, price: of the cluster, as in `spending`.
        tokens_unique: distinct tokens there are; more are repetitions, worth less (Muennighoff et al. 2023).
        inference_tokens: tokens served over the lifetime, paid with 2 FLOP per parameter (Sardana et al. 2023).
        fix: input -> value that is given. bounds: input -> (least, most).
        instead: another allocation, {"params": 280e9}: what it loses in loss, compute and dollars is answered too.
        tolerance: of the near-optimal range, relative to the least loss.
        cost: formula or name; by default 6 FLOP per parameter and token.
        level: of the intervals, by default that of the source.
        constants: parameter -> value, for a law.
        spread: for a law of others, ask other published laws too.

    Returns:
        The `Plan`.

    Raises:
        PlanError: a question that is not complete or cannot be met: no budget, a target below the floor, fixed inputs beyond
            the budget, a loss without least value.

    Cost: as `frontier`.

    >>> found = plan("besiroglu2024", flops=5.76e23)
    >>> f"{found.answer['params'].value:.4g} {found.answer['tokens'].value:.5g}"
    '7.225e+10 1.3287e+12'
    """
    given = as_source(source, constants=constants)
    question, paid, held, given = _asked(given, cost, tokens_unique, inference_tokens, dict(fix or {}))
    stated = state(given, paid, held, bounds)
    cluster = _cluster(hardware, mfu, precision, price, stated, days=days, dollars=dollars)
    if cluster is not None:
        question |= {"hardware": str(cluster.cluster), "mfu": cluster.mfu}
    amount = _amount(stated, cluster, flops=flops, budget=budget, days=days, dollars=dollars, target_loss=target_loss)
    reached = None
    if amount is None:
        target = positive(f"the target {given.target}", target_loss, given.target)
        question |= {"kind": "target", f"target_{given.target}": target}
        reached = reach_of(stated, np.array([target]), tolerance=tolerance, level=level)
        front = _reached(reached, stated, target)
    else:
        question |= {"kind": "budget", "flops" if stated.cost.unit == "FLOP" else "budget": amount}
        front = frontier_of(stated, np.array([amount]), tolerance=tolerance, level=level)
    _check_status(front)
    question |= {"cost": stated.cost.formula, "unit": stated.cost.unit, "fix": dict(stated.fixed)}
    answer = _answer(front, reached)
    said, doubts = _assumptions(front, reached), [*front.warnings, *_doubts(front, reached)]
    if instead is not None:
        answer |= _regret(given, instead, answer, stated, bounds, front.level, cluster)
        question["instead"] = dict(instead)
    if cluster is not None:
        trained = answer.get("flops_training", answer["flops"])
        answer |= cluster.of(trained)
        said += cluster.assumptions()
        size = next((e.value for name, e in answer.items() if name.startswith("params")), None)
        doubts += cluster.warnings(trained.value, size)
    others: dict[str, dict[str, float]] = {}
    if spread and given.published and amount is not None:
        others = other_laws(stated, amount, bounds)
    return Plan(
        question=question,
        answer=answer,
        near_optimal={
            "tolerance": front.tolerance,
            **{name: (float(ends[0, 0]), float(ends[0, 1])) for name, ends in front.near_optimal.items()},
        },
        extrapolation_decades={name: float(d[0]) for name, d in front.decades.items() if np.isfinite(d[0])},
        spread=others,
        assumptions=said,
        warnings=tuple(dict.fromkeys(doubts)),
        sources=tuple(dict.fromkeys((*given.citations(), *_papers(stated)))),
        frontier=front,
        level=front.level,
    )


def _asked(
    source: Source, cost: Any, tokens_unique: Any, inference_tokens: Any, fix: dict[str, Any]
) -> tuple[dict[str, Any], Any, dict[str, Any], Source]:
    """The question so far, the cost, what is fixed, and the source, with unique and served tokens worked in."""
    question: dict[str, Any] = {"kind": "", "source": source.name}
    if tokens_unique is not None:
        question["tokens_unique"] = positive("tokens_unique", tokens_unique)
        source = source if "tokens_unique" in source.inputs else with_repetition(source)
        _once(fix, "tokens_unique", question["tokens_unique"])
    paid = default_cost(source) if cost is None else read_cost(cost)
    if inference_tokens is not None:
        question["inference_tokens"] = positive("inference_tokens", inference_tokens)
        if "tokens_inference" not in paid.inputs:
            paid = paid.with_inference()
        _once(fix, "tokens_inference", question["inference_tokens"])
    return question, paid, fix, source


def _once(fix: dict[str, Any], name: str, value: float) -> None:
    if name in fix:
        raise PlanError(f"{name} is given twice, as an option and in fix; keep one")
    fix[name] = value


def _cluster(hardware: Any, mfu: float, precision: str, price: Any, stated: Stated, **bought: Any) -> Spending | None:
    """The cluster that is paid for, if there is one."""
    if hardware is None:
        wants = [name for name, value in {**bought, "price": price}.items() if value is not None]
        if wants:
            raise PlanError(f"{wants[0]} is of a cluster; say which: hardware='h200:64' (--hardware h200:64)")
        return None
    if stated.cost.unit != "FLOP":
        raise PlanError(f"a cluster does FLOP, and the cost is in {stated.cost.unit}; write the cost in FLOP")
    return spending(hardware, mfu=mfu, precision=precision, price=price)


def _amount(stated: Stated, cluster: Spending | None, **given: Any) -> float | None:
    """The budget, or None where a target is asked for."""
    said = {name: value for name, value in given.items() if value is not None}
    unit = stated.cost.unit
    if not said:
        word = "flops=5.76e23" if unit == "FLOP" else f"budget=... in {unit}"
        raise PlanError(f"a plan needs a budget or a target; give {word} (--flops 5.76e23) or target_loss=2.0")
    if len(said) > 1:
        raise PlanError(f"{' and '.join(said)} are given, and each determines the other; keep one")
    name, value = next(iter(said.items()))
    if name == "target_loss":
        return None
    if name in ("days", "dollars"):
        assert cluster is not None  # `_cluster` refuses them without one
        return cluster.budget(**{name: value})
    if name == "flops" and unit != "FLOP":
        raise PlanError(f"flops is a budget in FLOP, and the cost is in {unit}; give budget=... in {unit}")
    return positive("flops" if name == "flops" else "the budget", value, "flops" if unit == "FLOP" else None)


def _regret(
    source: Source,
    instead: Mapping[str, Any],
    answer: Mapping[str, Estimate],
    stated: Stated,
    bounds: Mapping[str, Any] | None,
    level: float,
    cluster: Spending | None,
) -> dict[str, Estimate]:
    """What another allocation loses at the cost of the answer, or at its own where it says every input."""
    unit = "flops" if stated.cost.unit == "FLOP" else stated.cost.unit.lower()
    spent = answer[unit].value if len(instead) < len(stated.free) else None
    lost = regret(source, instead, spent, stated.cost, fix=stated.fixed, bounds=bounds, level=level)
    found = {f"instead_{name}": Estimate(float(value[0])) for name, value in lost.allocation.items()}
    found |= {f"instead_{source.target}": lost.loss.at(0), "excess": lost.excess.at(0), "waste": lost.waste.at(0)}
    if cluster is not None and cluster.price_known:
        money = cluster.of(Estimate(float(lost.budget[0])))["dollars"].value
        share = lost.waste.at(0)
        low, high = (None if end is None else money * end for end in (share.low, share.high))
        found["waste_dollars"] = Estimate(money * share.value, low, high, share.level, share.method)
    return found


def _reached(reached: Reach, stated: Stated, target: float) -> Frontier:
    """The frontier at the cost of a target; refused where the target cannot be reached."""
    if reached.frontier is not None and reached.status[0] != "above_start":
        return reached.frontier
    source = stated.source
    if reached.status[0] == "above_start":
        raise PlanError(
            f"the smallest run that is allowed does better than a {source.target} of {target:g}; ask for a harder target"
        )
    floors = Solver(stated).floors()[0]
    floor = f", whose floor is {floors:.4g}" if np.isfinite(floors) else ""
    held = f" with {', '.join(f'{k} {format_quantity(v)}' for k, v in stated.fixed.items())}" if stated.fixed else ""
    raise PlanError(
        f"no budget reaches a {source.target} of {target:g} under {source.name}{held}{floor}; ask for a target above it"
    )


def _check_status(front: Frontier) -> None:
    if front.status[0] == "infeasible":
        held = ", ".join(f"{name} {format_quantity(v)}" for name, v in front.fixed.items())
        spent = f" with {held}" if held else ""
        raise PlanError(
            f"no choice of {', '.join(front.free)}{spent} costs {front.budgets[0]:.4g} {front.cost.unit}: what is fixed, or "
            "the bounds, cost more than the budget or cannot use it up; change them or the budget"
        )
    if front.status[0] == "unbounded":
        said = next((w for w in front.warnings if "no least value" in w), "the loss has no least value at that cost")
        raise PlanError(f"no optimum of {front.source.name} at {front.budgets[0]:.4g} {front.cost.unit}: {said}")


def _answer(front: Frontier, reached: Reach | None) -> dict[str, Estimate]:
    answer = {name: e.at(0) for name, e in front.optimum.items() if name != "tokens_inference"}
    unit = "flops" if front.cost.unit == "FLOP" else front.cost.unit.lower()
    answer[unit] = Estimate(float(front.budgets[0])) if reached is None else reached.cost.at(0)
    sizes = [name for name in front.optimum if name.startswith("params")]
    if "tokens" in answer and sizes:
        answer["tokens_per_param"] = _ratio(front.optimum["tokens"], front.optimum[sizes[0]])
    if "tokens" in answer and "tokens_unique" in answer:
        answer["epochs"] = _ratio(front.optimum["tokens"], front.optimum["tokens_unique"])
    if "tokens_inference" in front.fixed and sizes and unit == "flops":
        served = 2 * front.fixed["tokens_inference"]
        size = front.optimum[sizes[0]].at(0)
        low, high = (None if end is None else served * end for end in (size.low, size.high))
        answer["flops_inference"] = Estimate(served * size.value, low, high, size.level, size.method)
        answer["flops_training"] = Estimate(answer[unit].value - served * size.value)
    answer[front.source.target] = front.loss.at(0)
    return answer


def _ratio(above: Estimates, below: Estimates) -> Estimate:
    """Above over below, which move against each other at a given cost."""
    known = lambda e, end: np.where(np.isnan(end), e.value, end)  # noqa: E731
    value = above.value / below.value
    low = known(above, above.low) / known(below, below.high)
    high = known(above, above.high) / known(below, below.low)
    sure = np.isnan(above.low) & np.isnan(below.low)
    return Estimates(value, np.where(sure, np.nan, low), np.where(sure, np.nan, high), above.level).at(0)


def _assumptions(front: Frontier, reached: Reach | None) -> tuple[str, ...]:
    words = [*front.source.assumptions, f"cost = {front.cost}"]
    words += [f"{name} is given: {format_quantity(value)}" for name, value in front.fixed.items()]
    if reached is not None:
        words.append(
            "the inputs and their intervals are those at the cost answered; the interval of the cost is its own"
        )
    return tuple(words)


def _doubts(front: Frontier, reached: Reach | None) -> list[str]:
    found = []
    if reached is not None and reached.unreachable[0] > 0:
        found.append(
            f"{reached.unreachable[0]:.0%} of the draws never reach the target: it is near the floor, where the cost diverges"
        )
    ratio = (
        front.optimum["tokens"].value[0] / front.optimum["params"].value[0]
        if {"params", "tokens"} <= set(front.optimum)
        else 0
    )
    if ratio > 1e3:
        found.append(f"{ratio:.0f} tokens per parameter are beyond what laws were tested on (about 1,000)")
    if "tokens_unique" in front.fixed and front.optimum["tokens"].value[0] / front.fixed["tokens_unique"] > 16:
        found.append("beyond 16 epochs or so repetitions may harm, which a law that only saturates cannot show")
    return found


def _papers(stated: Stated) -> list[str]:
    found = []
    if "tokens_inference" in stated.cost.inputs:
        found.append("Sardana et al. 2023, Beyond Chinchilla-Optimal, arXiv 2401.00448")
    if "tokens_unique" in stated.source.inputs:
        found.append("Muennighoff et al. 2023, Scaling Data-Constrained Language Models, arXiv 2305.16264")
    return found
