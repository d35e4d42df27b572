"""`Estimate`: a number with its interval, the one interval type of the package."""

from __future__ import annotations

from dataclasses import dataclass

from scalinglens.errors import FitError
from scalinglens.quantities import format_quantity

__all__ = ["Estimate", "check_level"]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with its interval; the ends are None where an interval was not asked for, is refused, or is open.

    Attributes:
        value: the estimate.
        low, high: ends of the interval.
        level: its probability, None without interval.
        method: how it was made: "percentile", "bca", "profile", "delta", ...

    >>> alpha = Estimate(0.347, 0.319, 0.369, 0.9, "percentile")
    >>> print(alpha.says(), 0.35 in alpha, round(alpha.width, 3))
    0.347 (0.319 to 0.369) True 0.05
    """

    value: float
    low: float | None = None
    high: float | None = None
    level: float | None = None
    method: str = ""

    def __contains__(self, value: float) -> bool:
        return (self.low is None or value >= self.low) and (self.high is None or value <= self.high)

    @property
    def width(self) -> float:
        """high - low, infinite where an end is open."""
        return float("inf") if self.low is None or self.high is None else self.high - self.low

    def says(self) -> str:
        """Return the value with its interval in words."""
        value = format_quantity(self.value)
        if self.low is None and self.high is None:
            return value
        ends = ["open" if end is None else format_quantity(end) for end in (self.low, self.high)]
        return f"{value} ({ends[0]} to {ends[1]})"


def check_level(level: float) -> None:
    """Refuse a probability of intervals outside (0, 1), with the remedy for one given in percent."""
    if not isinstance(level, int | float) or not 0 < level < 1:
        percent = isinstance(level, int | float) and 1 < level < 100
        remedy = f"write {level / 100:g} for {level:g} percent" if percent else "write for example 0.9"
        raise FitError(f"the level of an interval lies between 0 and 1, got {level!r}; {remedy}")
