"""Clusters of accelerators: hours, days, dollars, energy, and what fits.

Time and money are laws of the catalogue (`time.seconds`, `cost.rental`); nothing is written twice. The share of the peak that
a run reaches (MFU) dominates every answer; the default 0.4 is that of the catalogue's worked example.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from scalinglens.errors import PlanError, QuantityError
from scalinglens.laws.catalogue import law
from scalinglens.plan.amounts import as_number, check_mfu
from scalinglens.plan.architecture.architecture import Architecture
from scalinglens.plan.hardware import money
from scalinglens.plan.hardware.accelerators import EVIDENCE, Accelerator, accelerator, accelerators
from scalinglens.quantities import format_quantity, parse_quantity

__all__ = ["Accelerator", "Hardware", "accelerators", "data_movement", "hardware"]

MFU = 0.4
# arXiv 2411.01137, for runs of three months; the sharper 2e28 and 2e31 FLOP are unverified
_SLOWS, _IMPOSSIBLE = 1e28, 1e31


def hardware(text: str | Hardware, chips: int | None = None) -> Hardware:
    """Read hardware written as "h200:64": an accelerator of the table and how many; without a number, one.

    Args:
        text: name, optionally with a count; capitals, blanks, dashes and underscores do not matter. Hardware is passed
            through.
        chips: the count, instead of in the text.

    Raises:
        PlanError: no such accelerator; the nearest one is suggested. A count that is no positive whole number.

    >>> hardware("H200:64")
    Hardware(h200:64, 63.3 PFLOP/s bf16, 9.02 TB)
    >>> hardware("tpu_v5p", 8960).chips
    8960
    """
    if isinstance(text, Hardware):
        return text if chips is None else replace(text, chips=chips)
    if not isinstance(text, str) or not text.strip():
        raise PlanError(f"hardware is written as h200:64, an accelerator and how many, got {text!r}")
    name, colon, count = text.partition(":")
    found = accelerator(name)
    if colon and chips is not None:
        raise PlanError(f"the number of chips is given twice, in {text!r} and as {chips}; keep one")
    number: Any = chips if chips is not None else 1
    if colon:
        try:
            number = parse_quantity(count)
        except QuantityError:
            raise PlanError(
                f"{text!r} has {count.strip()!r} where the number of chips belongs; write h200:64"
            ) from None
    return Hardware(found, number)


@dataclass(frozen=True, repr=False)
class Hardware:
    """A number of equal accelerators.

    Attributes:
        accelerator: one of them. chips: how many.

    All methods take compute as a number, an array, or text such as "5.76e23" or "3 PF-day", and return a number for a
    number and an array for an array.

    >>> cluster = hardware("h100:1024")
    >>> round(cluster.chip_hours(5.88e23)), round(cluster.days(5.88e23), 1), round(cluster.dollars(5.88e23, price=2.5))
    (412875, 16.8, 1032187)
    """

    accelerator: Accelerator
    chips: int = 1

    def __post_init__(self) -> None:
        chips = self.chips
        if (
            isinstance(chips, bool)
            or not isinstance(chips, int | float | np.number)
            or chips < 1
            or chips != int(chips)
        ):
            raise PlanError(f"the number of chips is {chips!r}; it must be a whole number of at least 1")
        object.__setattr__(self, "chips", int(chips))

    # ---- time -------------------------------------------------------------------------------------------------------

    def seconds(self, flops: Any, *, mfu: float = MFU, precision: str = "bf16") -> Any:
        """Return the wall-clock time of a computation: flops/(chips peak mfu), law `time.seconds`.

        Args:
            flops: operations that the model needs, recomputation not counted. mfu: share of the peak rate reached.
            precision: "bf16" or "fp8", whose peak counts.

        Raises:
            PlanError: compute that is not positive, an mfu outside (0, 1], a precision the chip does not have.

        >>> round(hardware("h100:1024").seconds(5.88e23), -2)
        1451500.0
        """
        constants = {"peak": self.accelerator.peak(precision), "mfu": check_mfu(mfu)}
        return as_number(law("time.seconds").value(constants, flops=_flops(flops), chips=self.chips))

    def hours(self, flops: Any, *, mfu: float = MFU, precision: str = "bf16") -> Any:
        """Return the wall-clock time in hours, as `seconds`."""
        return self.seconds(flops, mfu=mfu, precision=precision) / 3600

    def days(self, flops: Any, *, mfu: float = MFU, precision: str = "bf16") -> Any:
        """Return the wall-clock time in days, as `seconds`."""
        return self.seconds(flops, mfu=mfu, precision=precision) / 86_400

    def chip_hours(self, flops: Any, *, mfu: float = MFU, precision: str = "bf16") -> Any:
        """Return hours times chips, what is paid for; the number of chips does not change it."""
        return self.hours(flops, mfu=mfu, precision=precision) * self.chips

    def flops(
        self,
        *,
        days: Any = None,
        dollars: Any = None,
        mfu: float = MFU,
        precision: str = "bf16",
        price: float | None = None,
    ) -> Any:
        """Return the compute that a time or a budget buys: the inverse of `days` or of `dollars`.

        Args:
            days: wall-clock days, or else dollars: USD. Numbers or arrays, positive. price: USD per chip and hour.

        Raises:
            PlanError: neither or both given, or not positive.

        >>> f"{hardware('h100:1024').flops(days=16.8):.3g}"
        '5.88e+23'
        """
        if (days is None) == (dollars is None):
            raise PlanError("give days or dollars, one of them, to learn what compute it buys")
        if dollars is None:  # both laws are proportional to the compute
            name, given, unit = "days", days, self.days(1.0, mfu=mfu, precision=precision)
        else:
            name, given = "dollars", dollars
            unit = self.dollars(1.0, mfu=mfu, precision=precision, price=price)
        amount = np.asarray(given, dtype=float)
        if not np.all(np.isfinite(amount) & (amount > 0)):
            raise PlanError(f"{name} is {given!r}; it must be positive and finite")
        return as_number(amount / unit)

    # ---- money and energy -------------------------------------------------------------------------------------------

    def price(self, price: float | None = None) -> float:
        """Return USD per chip and hour: the one given, or that of the table.

        Raises:
            PlanError: the table has none and none is given.
        """
        value = self.accelerator.price if price is None else price
        if value is None:
            raise PlanError(f"{self.accelerator.title} has no price in the table; give price, in USD per chip and hour")
        return float(value)

    def dollars(self, flops: Any, *, mfu: float = MFU, precision: str = "bf16", price: float | None = None) -> Any:
        """Return the rental of a computation: chip-hours times price, law `cost.rental`.

        Args:
            flops, mfu, precision: as in `seconds`. price: USD per chip and hour; by default the table's, whose date and
                evidence `assumptions` tells.

        >>> f"{hardware('h100').dollars('5.88e23', price=2.5):.4g}"
        '1.032e+06'
        """
        return money.rental(self.chip_hours(flops, mfu=mfu, precision=precision), self.price(price))

    def energy_kwh(
        self,
        flops: Any,
        *,
        mfu: float = MFU,
        precision: str = "bf16",
        pue: float = money.PUE,
        load: float = money.LOAD,
        watts: float | None = None,
    ) -> Any:
        """Return the electricity of a computation: chip-hours kW pue load.

        Args:
            flops, mfu, precision: as in `seconds`. pue, load: as in `money.energy_kwh`.
            watts: of a chip, by default its TDP.

        Raises:
            PlanError: as `seconds`, or a chip whose power is not published.
        """
        watts = self.accelerator.tdp if watts is None else watts
        if watts is None:
            raise PlanError(f"the power of {self.accelerator.title} is not published; give watts, per chip")
        return money.energy_kwh(self.chip_hours(flops, mfu=mfu, precision=precision), watts, pue=pue, load=load)

    # ---- memory -----------------------------------------------------------------------------------------------------

    @property
    def memory(self) -> float:
        """Bytes of all chips together."""
        return self.accelerator.memory * self.chips

    def fits(self, needed: float, *, headroom: float = 0.0) -> bool:
        """Tell whether that many bytes fit into all chips together, spread evenly.

        Args:
            needed: bytes. headroom: share of the memory to keep free, for fragments and buffers.

        >>> hardware("h100").fits(140e9), hardware("h100:2").fits(140e9)
        (False, True)
        """
        return self._bytes(needed) <= self.memory * self._usable(headroom)

    def chips_for(self, needed: float, *, headroom: float = 0.0) -> int:
        """Return the least number of these chips into which that many bytes fit.

        >>> hardware("h100").chips_for(16 * 70e9)
        14
        """
        return max(1, math.ceil(self._bytes(needed) / (self.accelerator.memory * self._usable(headroom))))

    def _bytes(self, needed: float) -> float:
        if isinstance(needed, bool) or not isinstance(needed, int | float | np.number) or not 0 <= needed < math.inf:
            raise PlanError(f"the memory needed is {needed!r}; it must be a number of bytes, zero or more")
        return float(needed)

    def _usable(self, headroom: float) -> float:
        if not 0 <= headroom < 1:
            raise PlanError(f"headroom is {headroom!r}; it is a share of the memory from 0 to below 1, such as 0.1")
        return 1 - headroom

    def decode_seconds_per_token(
        self,
        model: Architecture | float,
        *,
        context: int | None = None,
        batch: int = 1,
        bytes_per_param: float = 2.0,
        bytes_per_value: float = 2.0,
        precision: str = "bf16",
    ) -> float:
        """Return the least time of one decoding step: all weights and caches must be read from memory once.

        Larger of (weights + batch cache)/(chips bandwidth) and batch FLOP/(chips peak): a bound that communication
        between chips only worsens. Each step writes one token for each of the `batch` sequences.

        Args:
            model: an architecture, or the bytes that a step reads.
            context: tokens in the cache; none is read without.
            batch: sequences at once.
            bytes_per_param, bytes_per_value: of the weights and of the cache; 2 for bf16.
            precision: whose peak rate bounds large batches.

        >>> round(hardware("h100").decode_seconds_per_token(14e9), 5)
        0.00418
        """
        if not isinstance(model, Architecture):
            return self._bytes(model) / (self.accelerator.bandwidth * self.chips)
        read = model.weight_bytes_read(batch, bytes_per_param)
        if context is not None:
            read += model.kv_cache_bytes(context, batch=batch, bytes_per_value=bytes_per_value)
        computed = batch * model.decode_flops(context or 1).total / (self.accelerator.peak(precision) * self.chips)
        return max(read / (self.accelerator.bandwidth * self.chips), computed)

    # ---- words ------------------------------------------------------------------------------------------------------

    def assumptions(self, *, mfu: float = MFU, precision: str = "bf16", price: float | None = None) -> tuple[str, ...]:
        """Return what the answers rest on, as sentences."""
        chip = self.accelerator
        rate = f"{chip.title}: {format_quantity(chip.peak(precision) / 1e12, digits=4)} TFLOP/s dense {precision} at the peak"
        first = f"{rate} ({EVIDENCE[chip.tag]}: {chip.source or 'as given'}), of which {check_mfu(mfu):.0%} are used"
        if price is not None:
            return (f"{first}.", f"${price:g} per chip and hour, as given.")
        if chip.price is None:
            return (f"{first}.",)
        return (
            f"{first}.",
            f"${chip.price:g} per chip and hour ({chip.price_source}, {chip.price_date or 'undated'}).",
        )

    def warnings(self, *, price: float | None = None) -> tuple[str, ...]:
        """Return what is doubtful about the numbers of the table."""
        chip, told = self.accelerator, []
        if chip.tag == "U":
            told.append(f"the rates of {chip.title} are unverified: {chip.source or 'no source'}")
        if price is None and chip.price is not None and chip.price_tag == "U":
            told.append(f"the price of {chip.title} is unverified: {chip.price_source or 'no source'}; give your own")
        return tuple(told)

    def __str__(self) -> str:
        return f"{self.accelerator.name}:{self.chips}"

    def __repr__(self) -> str:
        rate = self.accelerator.bf16 * self.chips / 1e15
        return f"Hardware({self}, {rate:.3g} PFLOP/s bf16, {self.memory / 1e12:.3g} TB)"


def data_movement(flops: float | str) -> str:
    """Return a warning for a run so large that moving data limits it, or an empty string.

    Within three months, utilisation falls above about 1e28 FLOP, and above about 1e31 no cluster of such chips suffices.

    Source: arXiv 2411.01137.

    >>> data_movement(1e26), data_movement("5e28")[:36]
    ('', '5e28 FLOP is above about 1e28, where')
    """
    amount = float(np.max(_flops(flops)))
    if amount <= _SLOWS:
        return ""
    told = "moving data lowers the utilisation of a three-month run"
    if amount > _IMPOSSIBLE:
        return (
            f"{format_quantity(amount)} FLOP is above about 1e31, which no three-month run can reach (arXiv 2411.01137)"
        )
    return f"{format_quantity(amount)} FLOP is above about 1e28, where {told} (arXiv 2411.01137)"


def _flops(flops: Any) -> Any:
    try:
        value = parse_quantity(flops, expect="flops") if isinstance(flops, str) else np.asarray(flops, dtype=float)
    except (QuantityError, TypeError, ValueError) as problem:
        raise PlanError(f"the compute cannot be read: {problem}; write for example 5.76e23 or 3 PF-day") from None
    wrong = ~(np.isfinite(value) & (np.asarray(value) > 0))
    if np.any(wrong):
        first = np.ravel(value)[int(np.argmax(wrong))]
        raise PlanError(f"the compute is {first:g} FLOP; it must be positive and finite, such as 5.76e23")
    return value
