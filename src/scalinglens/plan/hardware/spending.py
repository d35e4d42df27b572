"""What a plan costs on a cluster: hours, chip-hours, dollars and energy, and the budget that days or dollars buy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from scalinglens.errors import PlanError
from scalinglens.fit.estimate import Estimate
from scalinglens.plan.amounts import check_mfu
from scalinglens.plan.hardware.hardware import MFU, Hardware, data_movement, hardware
from scalinglens.plan.optimum.problem import positive

__all__ = ["Spending", "spending"]

_ADAM = 16.0  # bytes per parameter of mixed-precision Adam: weights, gradients, fp32 copy and two moments


@dataclass(frozen=True)
class Spending:
    """A cluster, how well it is used, and what its hours cost.

    Attributes:
        cluster: the hardware. mfu: share of the peak rate reached. precision: whose peak counts.
        price: USD per chip and hour; None takes that of the table, if it has one.
    """

    cluster: Hardware
    mfu: float = MFU
    precision: str = "bf16"
    price: float | None = None

    @property
    def price_known(self) -> bool:
        """Whether money can be told."""
        return self.price is not None or self.cluster.accelerator.price is not None

    def budget(self, *, days: Any = None, dollars: Any = None) -> float:
        """Return the FLOP that days or dollars buy.

        >>> f"{spending('h100:1024').budget(days=16.8):.3g}"
        '5.88e+23'
        """
        given = {"days": days, "dollars": dollars}
        amounts = {name: positive(name, value) for name, value in given.items() if value is not None}
        bought = self.cluster.flops(**amounts, mfu=self.mfu, precision=self.precision, price=self.price)
        return float(bought)

    def of(self, flops: Estimate) -> dict[str, Estimate]:
        """Return days, chip_hours, dollars and energy_kwh of a compute; what the table does not know is left out.

        >>> spent = spending("h100:1024", price=2.5).of(Estimate(5.88e23))
        >>> round(spent["chip_hours"].value), round(spent["dollars"].value)
        (412875, 1032187)
        """
        used: dict[str, Any] = {"mfu": self.mfu, "precision": self.precision}
        cluster = self.cluster
        found = {
            "days": _each(flops, lambda c: cluster.days(c, **used)),
            "chip_hours": _each(flops, lambda c: cluster.chip_hours(c, **used)),
        }
        if self.price_known:
            found["dollars"] = _each(flops, lambda c: cluster.dollars(c, **used, price=self.price))
        if cluster.accelerator.tdp is not None:
            found["energy_kwh"] = _each(flops, lambda c: cluster.energy_kwh(c, **used))
        return found

    def assumptions(self) -> tuple[str, ...]:
        """Return what the answers rest on."""
        return self.cluster.assumptions(mfu=self.mfu, precision=self.precision, price=self.price)

    def warnings(self, flops: float, params: float | None = None) -> tuple[str, ...]:
        """Return doubts: unverified prices, runs too large to feed, models too large to hold."""
        told = list(self.cluster.warnings(price=self.price))
        if limit := data_movement(flops):
            told.append(limit)
        if params is not None and not self.cluster.fits(_ADAM * params):
            told.append(
                f"{_ADAM:g} bytes per parameter of Adam need {self.cluster.chips_for(_ADAM * params)} chips of "
                f"{self.cluster.accelerator.title}, and there are {self.cluster.chips}"
            )
        return tuple(told)


def spending(
    cluster: str | Hardware, *, mfu: float = MFU, precision: str = "bf16", price: float | str | None = None
) -> Spending:
    """Read a cluster and how it is used.

    Args:
        cluster: "h200:64". mfu: share of the peak rate that is reached. precision: "bf16" or "fp8".
        price: USD per chip and hour.

    Raises:
        PlanError: no such accelerator or precision, an mfu outside (0, 1], a price that is not positive.

    >>> str(spending("H200:64", mfu=0.4).cluster)
    'h200:64'
    """
    found = hardware(cluster)
    if not isinstance(mfu, int | float) or isinstance(mfu, bool):
        raise PlanError(f"mfu is {mfu!r}; it is the share of the peak rate that is used, such as 0.4")
    found.accelerator.peak(precision)  # refuses a precision the chip does not have
    paid = None if price is None else positive("the price", price)
    return Spending(found, check_mfu(mfu), precision, paid)


def _each(flops: Estimate, made: Callable[[float], float]) -> Estimate:
    low, high = (None if end is None or not 0 < end < float("inf") else made(end) for end in (flops.low, flops.high))
    return Estimate(made(flops.value), low, high, flops.level, flops.method)
