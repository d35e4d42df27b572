"""Where a parameter may lie, and in which coordinate it is estimated.

A domain is written as in print: `positive`, `nonnegative`, `negative`, `real`, `(0, 2]`, `[1.01, 20]`, `(0, inf)`.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from scalinglens.errors import FormulaError
from scalinglens.laws.formula import Add, Call, Mul, Node, Num, Pow, Sym, names

__all__ = ["Domain", "estimated_in_logs", "roles"]

_NAMED = {
    "positive": (0.0, math.inf, True),
    "nonnegative": (0.0, math.inf, False),
    "negative": (-math.inf, 0.0, True),
    "real": (-math.inf, math.inf, True),
}
_INTERVAL = re.compile(r"\s*([(\[])\s*([^,\s]+)\s*,\s*([^,\s]+)\s*([)\]])\s*")


@dataclass(frozen=True, slots=True)
class Domain:
    """An interval of the real line.

    Attributes:
        low, high: its ends, possibly infinite.
        open: whether the lower end itself is outside; an optimum that comes to lie on an end is reported either way.
    """

    low: float = 0.0
    high: float = math.inf
    open: bool = True

    @classmethod
    def parse(cls, text: str) -> Domain:
        """Read a domain as written in the catalogue or after `where` in a typed law.

        >>> Domain.parse("(0, 2]"), Domain.parse("negative").sign
        (Domain(low=0.0, high=2.0, open=True), -1)
        """
        if text.strip() in _NAMED:
            return cls(*_NAMED[text.strip()])
        match = _INTERVAL.fullmatch(text)
        try:
            low, high = (float(match[2]), float(match[3])) if match else (math.nan, math.nan)
        except ValueError:
            low = high = math.nan
        if not match or not low < high:
            raise FormulaError(
                f"{text!r} is not a domain; write positive, nonnegative, negative, real, or an interval such as (0, 2]"
            )
        return cls(low, high, match[1] == "(")

    @property
    def sign(self) -> int:
        """+1 or -1 where every value has that sign, else 0."""
        return 1 if self.low >= 0 else -1 if self.high <= 0 else 0

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high

    def __str__(self) -> str:
        for name, (low, high, is_open) in _NAMED.items():
            if (self.low, self.high) == (low, high) and (self.open == is_open or name in ("real", "negative")):
                return name
        closing = ")" if self.high == math.inf else "]"
        return f"{'(' if self.open else '['}{self.low:g}, {self.high:g}{closing}"


def estimated_in_logs(root: Node, parameter: str, domain: Domain) -> bool:
    """Whether a parameter is better estimated as its logarithm.

    Amplitudes and scales of positive domain are (their magnitude is unknown by decades and the formula is then nearly
    linear in their logarithm). Exponents are not: ln of a power law is linear in its exponent already. A parameter that
    something is divided by is a scale even inside an exponent.

    >>> from scalinglens.laws.formula import parse
    >>> [estimated_in_logs(parse("A/params^alpha"), name, Domain()) for name in ("A", "alpha")]
    [True, False]
    """
    if domain.low < 0:
        return False
    places = set(roles(root, parameter, False))
    return "exponent" not in places or "divisor" in places


def roles(node: Node, parameter: str, inside_exponent: bool = False) -> list[str]:
    """Return the parts a parameter plays, once per appearance: "amplitude", "exponent", "divisor" (inside an exponent)."""
    match node:
        case Sym(name):
            return ["exponent" if inside_exponent else "amplitude"] if name == parameter else []
        case Num():
            return []
        case Pow(base, exponent):
            divisor = inside_exponent and isinstance(exponent, Num) and exponent.value < 0 and parameter in names(base)
            return (
                (["divisor"] if divisor else [])
                + roles(base, parameter, inside_exponent)
                + roles(exponent, parameter, True)
            )
        case Call("exp" | "log" | "sigmoid" as function, (argument,)):
            return roles(argument, parameter, inside_exponent or function != "log")
        case Add(parts) | Mul(parts) | Call(_, parts):
            return [role for part in parts for role in roles(part, parameter, inside_exponent)]
    return []
