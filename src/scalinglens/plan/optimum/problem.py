"""What is asked, read and checked: which inputs are free, which are fixed, what they cost, where they may lie."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from scalinglens.errors import PlanError, QuantityError, did_you_mean
from scalinglens.plan.cost import Cost, training_flops
from scalinglens.plan.cost import cost as read_cost
from scalinglens.plan.optimum.closed_form import powers_of
from scalinglens.plan.optimum.optimum import Problem
from scalinglens.plan.source import Source
from scalinglens.quantities import QUANTITIES, format_quantity, parse_quantity

__all__ = ["Stated", "default_cost", "limits", "numbers", "positive", "state"]

_DATA = ("tokens", "examples", "samples", "interactions", "steps", "finetune_tokens", "finetune_characters")
_EDGE = 1e-9  # how far inside an open end of a domain an input is kept


@dataclass(frozen=True, eq=False)
class Stated:
    """A question ready to be solved.

    Attributes:
        source, cost: as they are.
        problem: for the solver, or None where every input is fixed.
        free: inputs that are chosen. fixed: the others of law and cost -> value.
    """

    source: Source
    cost: Cost
    problem: Problem | None
    free: tuple[str, ...]
    fixed: Mapping[str, float]


def state(
    source: Source,
    cost: Any = None,
    fix: Mapping[str, Any] | None = None,
    bounds: Mapping[str, Any] | None = None,
) -> Stated:
    """Read a question.

    Args:
        source: of the loss.
        cost: formula, name or `Cost`; by default 6 FLOP per parameter and token of the law's own size and data.
        fix: input -> value that is given.
        bounds: input -> (least, most) where it may lie; None for an open end.

    Returns:
        The `Stated` question.

    Raises:
        PlanError: unknown names, impossible values, inputs that nothing determines, or nothing to choose.
    """
    fix, bounds = dict(fix or {}), dict(bounds or {})
    paid = default_cost(source) if cost is None else read_cost(cost)
    known = tuple(dict.fromkeys((*source.inputs, *paid.inputs)))
    _check_names(fix, known, source, "fix")
    _check_names(bounds, known, source, "bounds")
    both = next((name for name in fix if name in bounds), None)
    if both is not None:
        raise PlanError(f"{both} is fixed and has bounds; keep one of the two")
    shared = [name for name in source.inputs if name in paid.inputs]
    if not shared:
        raise PlanError(
            f"the cost {paid.formula} depends on {', '.join(paid.inputs)}, and {source.name} on {', '.join(source.inputs)}: "
            f"no input in common, so nothing is traded; write a cost over {', '.join(source.inputs)}"
        )
    fixed = {name: _fixed(source, name, value) for name, value in fix.items()}
    for name in paid.inputs:
        if name not in source.inputs and name not in fixed:
            raise PlanError(
                f"the cost {paid.formula} needs {name}, which {source.name} does not hold; give it: "
                f"fix={{'{name}': ...}} (--fix {name}=...)"
            )
    for name in source.inputs:
        if name not in paid.inputs and name not in fixed and name not in bounds:
            raise PlanError(
                f"{name} costs nothing in {paid.formula}, so its best value has no limit; give it: fix={{'{name}': ...}} "
                f"(--fix {name}=...), or bounds, or write a cost that holds it"
            )
    free = tuple(name for name in source.inputs if name not in fixed)
    payers = [name for name in free if name in paid.inputs]
    if free and not payers:
        raise PlanError(
            f"all inputs of the cost ({', '.join(paid.inputs)}) are fixed, so the budget determines nothing; free one of them"
        )
    ranges = {name: limits(name, ends) for name, ends in bounds.items()}
    ranges |= {name: ends for name in free if name not in ranges and (ends := _natural_bounds(source, name))}
    if not free:
        return Stated(source, paid, None, free, fixed)
    slack = _slack(payers, ranges)
    with np.errstate(divide="ignore"):
        logs = {name: float(np.log(value)) for name, value in fixed.items()}
    problem = Problem(free, slack, paid.model(), logs, ranges, powers_of(paid.law))
    _check_rising(problem, paid)
    return Stated(source, paid, problem, free, fixed)


def default_cost(source: Source) -> Cost:
    """Return 6 FLOP per parameter and token, in the names of the source's own size and data."""
    sizes = [name for name in ("params_active", *source.inputs) if name in source.inputs and name.startswith("params")]
    data = [name for name in _DATA if name in source.inputs]
    if sizes and data:
        return training_flops(sizes[0], data[0])
    if source.inputs == ("flops",):
        raise PlanError(
            f"{source.name} gives {source.target} from compute alone, so there is nothing to choose; evaluate it at the budget, "
            "or take a law of params and tokens"
        )
    raise PlanError(
        f"{source.name} depends on {', '.join(source.inputs)}, not on a size and an amount of data; say what a run costs, "
        f'for example cost="6*params*tokens" over {", ".join(source.inputs)}'
    )


def positive(what: str, value: Any, expect: str | None = None) -> float:
    """Read one positive finite number, or text such as 70B."""
    found = numbers(what, value, expect)
    if found.size != 1:
        raise PlanError(f"{what} is one number, got {found.size}")
    return float(found.ravel()[0])


def numbers(what: str, value: Any, expect: str | None = None) -> np.ndarray:
    """Read positive finite numbers [n], or text such as 5.76e23 or 3 PF-day.

    Args:
        what: how a complaint calls them; a quantity of the glossary is also what the unit must be.
        expect: quantity whose unit they must have, where `what` is none.
    """
    expect = what if what in QUANTITIES else expect if expect in QUANTITIES else None
    try:
        if isinstance(value, str):
            array = np.array([parse_quantity(value, expect=expect)])
        elif isinstance(value, Iterable) and not isinstance(value, np.ndarray):
            array = np.array(
                [parse_quantity(v, expect=expect) if isinstance(v, str) else v for v in value], dtype=float
            )
        else:
            array = np.atleast_1d(np.asarray(value, dtype=float))
    except QuantityError as problem:
        raise PlanError(f"{what}: {problem}") from None
    except (TypeError, ValueError):
        raise PlanError(
            f"{what} must be a positive number, got {str(value)[:60]!r}; write for example 70B or 5.76e23"
        ) from None
    if not array.size:
        raise PlanError(f"{what} is empty; give at least one number")
    if array.ndim > 1:
        raise PlanError(f"{what} has {array.ndim} dimensions; give one number or a list of them")
    wrong = ~np.isfinite(array) | (array <= 0)
    if wrong.any():
        i = int(np.argmax(wrong))
        place = f" at position {i}" if array.size > 1 else ""
        raise PlanError(
            f"{what} must be positive and finite, got {array.ravel()[i]:g}{place}; write for example 70B or 5.76e23"
        )
    return array


def _check_names(given: Mapping[str, Any], known: tuple[str, ...], source: Source, what: str) -> None:
    for name in given:
        if name not in known:
            if name in QUANTITIES and name not in ("flops",):
                raise PlanError(
                    f'{what} names "{name}", which neither {source.name} nor its cost depends on; they hold {", ".join(known)}'
                )
            near = did_you_mean(str(name), known)
            raise PlanError(f'{what} names "{name}"{near}; law and cost hold {", ".join(known)}')


def _fixed(source: Source, name: str, value: Any) -> float:
    laws = [head.law for head in source.heads if name in head.law.inputs]
    zero = isinstance(value, int | float) and value == 0 and bool(laws)
    if zero and all(law.domain(name).low <= 0 and law.signs.get(name, 0) <= 0 for law in laws):
        return 0.0  # nothing pruned, for example
    found = positive(name, value)
    for law in laws:
        domain = law.domain(name)
        if found < domain.low or found > domain.high:
            raise PlanError(f"{name} is fixed at {format_quantity(found)}, and {law.name} needs it in {domain}")
    return found


def limits(name: str, ends: Any) -> tuple[float, float]:
    """Read the bounds of an input: ln of the least and the most; None is an open end."""
    try:
        low, high = ends
    except (TypeError, ValueError):
        raise PlanError(f"the bounds of {name} are two numbers, the least and the most, got {ends!r}") from None
    least = 1e-300 if low is None else positive(f"the lower bound of {name}", low, name)
    most = 1e300 if high is None else positive(f"the upper bound of {name}", high, name)
    if low is None:
        least = min(1.0, most * 1e-30)
    if high is None:
        most = max(1e30, least * 1e30)
    if not least < most:
        raise PlanError(
            f"the bounds of {name} are {format_quantity(least)} and {format_quantity(most)}; the first must be below the "
            f"second, and one value is given as fix={{'{name}': {least:g}}}"
        )
    return float(np.log(least)), float(np.log(most))


def _natural_bounds(source: Source, name: str) -> tuple[float, float] | None:
    """Bounds that nobody has to give: the domain of a law's input; the runs of a forecast that knows nothing outside."""
    if not source.heads and name in source.range:
        low, high = source.range[name]
        return float(np.log(low)), float(np.log(high))
    highs = [head.law.domain(name).high for head in source.heads if name in head.law.inputs]
    highs = [high for high in highs if np.isfinite(high)]
    if highs:
        return float(np.log(1e-12)), float(np.log(min(highs)) - _EDGE)
    return None


def _slack(payers: list[str], limits: Mapping[str, tuple[float, float]]) -> str:
    """The input that the budget determines: one without bounds if there is one, data before sizes."""
    order = [name for name in _DATA if name in payers] + [name for name in payers if name not in _DATA]
    unbounded = [name for name in order if name not in limits]
    return (unbounded or order)[0]


def _check_rising(problem: Problem, paid: Cost) -> None:
    """Refuse a cost that falls with the input that shall use it up."""
    middle = {name: np.array([np.mean(np.clip(problem.range(name), -50.0, 50.0))]) for name in problem.free}
    cost, slopes = problem.cost({**problem.fixed, **middle})
    slope = float(np.max(np.asarray(slopes[problem.slack])))
    if not np.all(np.isfinite(np.asarray(cost, dtype=float))) or not slope > 0:
        raise PlanError(
            f"the cost {paid.formula} does not rise with {problem.slack}, so no budget limits it; check the formula"
        )
