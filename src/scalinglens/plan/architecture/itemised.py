"""A sum with its parts by name: parameters, floating-point operations, bytes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from scalinglens.errors import PlanError, did_you_mean
from scalinglens.quantities import format_quantity

__all__ = ["Itemised"]


@dataclass(frozen=True, eq=False)
class Itemised(Mapping[str, float]):
    """Parts by name, and their sum; whole numbers stay exact, however large.

    Attributes:
        items_by_name: part -> amount, in the order of a forward pass.
        unit: of every part, such as "FLOP/sequence".

    >>> count = Itemised({"mlp": 6, "head": 4}, "FLOP/sequence")
    >>> count.total, count["head"], count.scaled(3).total
    (10, 4, 30)
    >>> print(count)
    mlp    6  60.0%
    head   4  40.0%
    total 10 FLOP/sequence
    """

    items_by_name: Mapping[str, float]
    unit: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "items_by_name", MappingProxyType(dict(self.items_by_name)))

    def __getitem__(self, name: str) -> float:
        if name not in self.items_by_name:
            raise PlanError(
                f'there is no part "{name}"{did_you_mean(str(name), self.items_by_name)}; '
                f"there are {', '.join(self.items_by_name)}"
            )
        return self.items_by_name[name]

    def __contains__(self, name: object) -> bool:
        return name in self.items_by_name

    def __iter__(self) -> Iterator[str]:
        return iter(self.items_by_name)

    def __len__(self) -> int:
        return len(self.items_by_name)

    @property
    def total(self) -> float:
        """The sum of the parts."""
        return sum(self.items_by_name.values())

    def scaled(self, factor: float, unit: str = "") -> Itemised:
        """Return every part times a factor, in another unit if one is given."""
        return Itemised({name: amount * factor for name, amount in self.items_by_name.items()}, unit or self.unit)

    def plus(self, other: Mapping[str, float]) -> Itemised:
        """Return the sum of two, part by part."""
        names = dict.fromkeys((*self.items_by_name, *other))
        return Itemised({n: self.items_by_name.get(n, 0) + other.get(n, 0) for n in names}, self.unit)

    def to_dict(self) -> dict[str, float]:
        """The parts and their total, as plain numbers."""
        return {**self.items_by_name, "total": self.total}

    def __reduce__(self) -> tuple[type[Itemised], tuple[dict[str, float], str]]:  # a mapping proxy does not pickle
        return Itemised, (dict(self.items_by_name), self.unit)

    def __str__(self) -> str:
        total = self.total
        shown = {
            name: format_quantity(amount, digits=4) for name, amount in (*self.items_by_name.items(), ("total", total))
        }
        left, right = max(map(len, shown)), max(map(len, shown.values()))
        lines = [
            f"{name:<{left}} {shown[name]:>{right}}  {amount / total if total else 0:.1%}"
            for name, amount in self.items_by_name.items()
        ]
        return "\n".join([*lines, f"{'total':<{left}} {shown['total']:>{right}} {self.unit}"])
