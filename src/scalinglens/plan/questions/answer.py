"""How every question reads what is given and writes its answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from scalinglens.errors import PlanError
from scalinglens.fit.estimate import Estimate
from scalinglens.laws.catalogue import law as find_law
from scalinglens.laws.law import Law
from scalinglens.plan.optimum.problem import positive
from scalinglens.plan.plan import Plan

__all__ = ["Amount", "answered", "one_of", "read", "share", "value_of"]

Amount = float | str
"""A number, or text such as "70B" or "3 PF-day"."""


def read(**given: Any) -> dict[str, float]:
    """Return what was given as numbers, in the units of the glossary; None is left out.

    Raises:
        PlanError: naming what is not a positive finite number, or is in the wrong unit.

    >>> read(params="7B", tokens=None)
    {'params': 7000000000.0}
    """
    return {name: positive(name, value) for name, value in given.items() if value is not None}


def share(name: str, value: Any, *, open_low: bool = False, open_high: bool = True) -> float:
    """Return a share between 0 and 1, or say by name what is wrong.

    >>> share("sparsity", 0.5)
    0.5
    """
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise PlanError(f"{name} is {value!r}; it is a share such as 0.5") from None
    inside = (number > 0 if open_low else number >= 0) and (number < 1 if open_high else number <= 1)
    if not inside:
        percent = f"; for {number:g}% write {number / 100:g}" if 1 < number < 100 else ""
        ends = f"{'above' if open_low else 'from'} 0 {'to below' if open_high else 'to'} 1"
        raise PlanError(f"{name} is {number:g}; it is a share {ends}{percent}")
    return number


def one_of(**given: Any) -> str:
    """Return the name of the one thing that is given of several that say the same.

    >>> one_of(flops=1e20, tokens=None)
    'flops'
    """
    said = [name for name, value in given.items() if value is not None]
    if len(said) == 1:
        return said[0]
    names = list(given)
    listed = f"{', '.join(names[:-1])} or {names[-1]}"
    if not said:
        raise PlanError(f"give {listed}")
    raise PlanError(f"{' and '.join(said)} are given; give one of {listed}")


def value_of(law: str | Law, constants: Mapping[str, float] | None = None, **points: Any) -> Any:
    """Return a law of the catalogue at its inputs: a number for numbers, an array for arrays.

    >>> f"{value_of('steplaw2025.batch', tokens=1e11):.4g}"
    '1.108e+06'
    """
    found = find_law(law, unverified=True) if isinstance(law, str) else law
    value = found.value(dict(constants or {}), points={name: points[name] for name in found.inputs})
    return float(value) if np.ndim(value) == 0 else np.asarray(value)


def answered(
    kind: str,
    *,
    source: str,
    given: Mapping[str, Any],
    answer: Mapping[str, float | Estimate],
    laws: Sequence[str] = (),
    spread: Mapping[str, Mapping[str, float]] | None = None,
    near_optimal: Mapping[str, Any] | None = None,
    extrapolation_decades: Mapping[str, float] | None = None,
    assumptions: Sequence[str] = (),
    warnings: Sequence[str] = (),
    figure: Any = None,
    level: float = 0.9,
) -> Plan:
    """Return the `Plan` of an answer.

    Args:
        kind: the question, with underscores.
        source: the law or fit that answers it.
        given: what was asked.
        answer: quantity -> value, or estimate with an interval.
        laws: catalogue names behind answer and spread: their papers are cited, their range of use is told, and constants
            that nobody could verify are warned of.
        spread: law -> quantity -> value, of other laws that answer the same.
        near_optimal, extrapolation_decades, assumptions, warnings, figure, level: as in `Plan`.
    """
    known = {name: find_law(name, unverified=True) for name in laws}
    said = [f"{name}: {law}" for name, law in known.items()]
    said += [f"{name} is known for {law.about['valid']}" for name, law in known.items() if law.about.get("valid")]
    doubtful = [name for name, law in known.items() if "U" in law.tags.values()]
    doubts = [f"constants of {', '.join(doubtful)} could not be verified in the paper"] if doubtful else []
    papers = [law.source for law in known.values() if law.source]
    return Plan(
        question={"kind": kind, "source": source, **given},
        answer={name: e if isinstance(e, Estimate) else Estimate(float(e)) for name, e in answer.items()},
        near_optimal=near_optimal or {},
        extrapolation_decades=extrapolation_decades or {},
        spread=spread or {},
        assumptions=tuple(dict.fromkeys((*said, *assumptions))),
        warnings=tuple(dict.fromkeys((*warnings, *doubts))),
        sources=tuple(dict.fromkeys(papers)),
        figure=figure,
        level=level,
    )
