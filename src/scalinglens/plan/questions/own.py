"""What a user brings of his own to a question: constants as text, lists, saved fits, and intervals from their draws."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from scalinglens.errors import PlanError, QuantityError
from scalinglens.fit.estimate import Estimate
from scalinglens.laws.catalogue import law as find_law
from scalinglens.laws.law import Law
from scalinglens.plan.optimum.estimates import quantiles, widened
from scalinglens.plan.optimum.problem import positive
from scalinglens.plan.source import Source, as_source
from scalinglens.quantities import parse_quantity

__all__ = ["constants_of", "estimate", "lacks", "numbers_of", "own_source", "words_of"]


def constants_of(given: str | Mapping[str, float]) -> dict[str, float]:
    """Read constants written as NAME=NUMBER,NAME=NUMBER.

    >>> constants_of("A=0.61, C_mid=2k")
    {'A': 0.61, 'C_mid': 2000.0}
    """
    if isinstance(given, Mapping):
        return {str(name): float(value) for name, value in given.items()}
    found: dict[str, float] = {}
    for word in filter(None, (word.strip() for word in given.split(","))):
        name, sign, value = (part.strip() for part in word.partition("="))
        if not sign or not name:
            raise PlanError(f"constants are written A=0.61,B=1.5, got {word!r}")
        if name in found:
            raise PlanError(f"the constant {name} is given twice; keep one")
        try:
            found[name] = parse_quantity(value)
        except QuantityError as problem:
            raise PlanError(f"the constant {name}: {problem}") from None
    return found


def words_of(given: str | Sequence[str]) -> list[str]:
    """Read a list of words written with commas."""
    parts = given.split(",") if isinstance(given, str) else list(given)
    return [str(part).strip() for part in parts if str(part).strip()]


def numbers_of(name: str, given: str | float | Sequence[float]) -> list[float]:
    """Read one positive number or more, written with commas.

    >>> numbers_of("samples", "1,10,1k")
    [1.0, 10.0, 1000.0]
    """
    parts: Sequence[Any] = words_of(given) if isinstance(given, str) else np.atleast_1d(np.asarray(given)).tolist()
    if not parts:
        raise PlanError(f"{name} is empty; give numbers such as 1,10,100")
    return [positive(name, part) for part in parts]


def own_source(given: Any, constants: str | Mapping[str, float], *, example: str) -> Source:
    """Return the `Source` of a saved fit, a fit or a law, with constants given as text; unverified ones are taken.

    Raises:
        PlanError: a law some of whose constants are neither published nor given, by name, with an example.
    """
    values = constants_of(constants)
    if isinstance(given, str) and not (given.endswith(".json") or "/" in given):
        given = find_law(given, unverified=True)
    if isinstance(given, Law):
        missing = [name for name in given.parameters if name not in {**given.constants, **values}]
        if missing:
            raise PlanError(
                f"{given.name} has no published value for {', '.join(missing)}; give {example} from your own runs, or a "
                "saved fit of it (source=fit.json)"
            )
    return as_source(given, constants=values or None)


def lacks(source: Source, wanted: Sequence[str], question: str) -> PlanError:
    """The complaint that a source has not the parameters or inputs that a question needs."""
    law = source.law
    has = f"parameters {', '.join(law.parameters)} and inputs {', '.join(law.inputs)}" if law else "no single law"
    return PlanError(f"{question} needs a law with {', '.join(wanted)}; {source.name} has {has}")


def estimate(source: Source, function: Callable[[Mapping[str, Any]], Any], level: float | None = None) -> Estimate:
    """Return a quantity that follows from the parameters of a law, with its interval where the fit has draws.

    Args:
        source: with one law.
        function: parameter -> number or array [draws], to the quantity.
        level: of the interval; that of the source if not given.

    >>> source = as_source("khatri2025", constants={"R0": 0.2, "B": 1.5, "C_mid": 2000})
    >>> round(estimate(source, lambda p: p["A"] - p["R0"]).value, 12)
    0.41
    """
    at_level = source.level if level is None else level
    value = float(function(source.values))
    head = source.heads[0]
    if not len(head.draws):
        return Estimate(value)
    with np.errstate(all="ignore"):
        drawn = np.asarray(function({name: head.draws[:, i] for i, name in enumerate(head.law.parameters)}), float)
    drawn = np.broadcast_to(drawn, len(head.draws))
    low, high = quantiles(drawn[None], at_level)
    ends = [float(widened(np.array([value]), end, head.widening)[0]) for end in (low, high)]
    open_ended = [end if np.isfinite(end) else None for end in ends]
    return Estimate(value, open_ended[0], open_ended[1], at_level, "percentile")
