"""What a run costs in money: rented, owned, served, and how the price of the frontier grows. All by laws of the catalogue."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from scalinglens.errors import PlanError
from scalinglens.laws.catalogue import law
from scalinglens.plan.amounts import as_number, check_mfu, positive_arrays

__all__ = ["amortised", "cost_growth", "energy_kwh", "rental", "serving"]

PUE = 1.1  # power of the building per power of the machines, of a large data centre
LOAD = 0.75  # average power of a busy chip, as a share of its TDP
LIFETIME_HOURS = 4 * 8760.0
NETWORK = 0.2  # network's share, on top of the hardware's price


def rental(chip_hours: Any, price: float) -> Any:
    """Return dollars of chip-hours at a price per hour: law `cost.rental`.

    Args:
        chip_hours: number or array, positive. price: USD per chip and hour.

    Raises:
        PlanError: a price or an amount of hours that is not positive and finite.

    >>> round(rental(412_875, 2.5), 6)
    1032187.5
    """
    positive_arrays(chip_hours=chip_hours, price=price)
    return as_number(law("cost.rental").value({"price": price}, chip_hours=chip_hours))


def energy_kwh(chip_hours: Any, watts: float, *, pue: float = PUE, load: float = LOAD) -> Any:
    """Return the electricity of chip-hours: chip_hours watts/1000 pue load.

    Args:
        chip_hours: number or array. watts: TDP of a chip; give that of the server by chip to count the host.
        pue: power of the building per power of the machines. load: average power as a share of the TDP. The defaults are
            round numbers of large data centres; both are assumptions.

    Raises:
        PlanError: an amount that is not positive, a pue below 1 or a load above 1.

    >>> round(energy_kwh(412_875, 700))
    238435
    """
    positive_arrays(chip_hours=chip_hours, watts=watts, pue=pue, load=load)
    if pue < 1:
        raise PlanError(
            f"pue is {pue:g}; a building draws at least what its machines do, so it is 1 or more, such as 1.1"
        )
    if load > 1:
        raise PlanError(f"load is {load:g}; it is a share of the TDP between 0 and 1, so write 0.75 for 75%")
    return as_number(np.asarray(chip_hours, dtype=float) * (watts / 1000) * pue * load)


def amortised(
    chip_hours: Any,
    *,
    capex: float,
    watts: float,
    lifetime_hours: float = LIFETIME_HOURS,
    network: float = NETWORK,
    pue: float = PUE,
    load: float = LOAD,
    kwh_price: float = 0.08,
) -> Any:
    """Return dollars of chip-hours on owned hardware: its price over its lifetime, the network and the electricity.

    chip_hours (capex/lifetime (1 + network) + kW pue load kwh_price), law `cost.amortised`.

    Args:
        chip_hours: number or array.
        capex: USD per chip, with its part of the server.
        watts: TDP of a chip.
        lifetime_hours: over which the price is spread; by default four years of constant use.
        network: the network's price as a share of the hardware's.
        pue, load: as in `energy_kwh`. kwh_price: USD per kWh.

    Raises:
        PlanError: an amount that is not positive; network and kwh_price may be zero.

    Source: shape of the cost model of Cottier et al. 2024 (arXiv 2405.21015); the defaults are round numbers.

    >>> round(amortised(1.0, capex=35_040, watts=1000, pue=1.0, load=1.0, kwh_price=0.1), 12)
    1.3
    """
    energy_kwh(1.0, watts, pue=pue, load=load)  # the same checks
    positive_arrays(chip_hours=chip_hours, capex=capex, lifetime_hours=lifetime_hours)
    for name, value in (("network", network), ("kwh_price", kwh_price)):
        if not 0 <= value < math.inf:
            raise PlanError(f"{name} is {value!r}; it must be zero or a positive number")
    points = {
        "chip_hours": chip_hours,
        "capex": capex,
        "lifetime_hours": lifetime_hours,
        "network": network * capex / lifetime_hours,  # the law wants it in USD per chip-hour
        "tdp_kw": watts / 1000,
        "pue": pue,
        "load": load,
        "kwh_price": kwh_price,
    }
    return as_number(law("cost.amortised").value(points=points))


def serving(
    params: Any,
    tokens: Any,
    *,
    tokens_input: Any,
    tokens_output: Any,
    training_price: float,
    inference_price: float,
    training_peak: float,
    inference_peak: float,
    mfu_training: float = 0.5,
    mfu_prefill: float = 0.5,
    mfu_decode: float = 0.01,
) -> Any:
    """Return dollars of training a model and of serving its lifetime of tokens: law `sardana2023.dollars`.

    6 N D c_tr/mfu_tr + 2 N c_inf (D_in/mfu_in + D_out/mfu_out), c in USD per FLOP at the peak rate.

    Args:
        params, tokens: size and training tokens. tokens_input, tokens_output: read and written over the lifetime.
        training_price, inference_price: USD per chip and hour. training_peak, inference_peak: FLOP/s of those chips.
        mfu_training, mfu_prefill, mfu_decode: share of the peak that is reached; defaults of the paper.

    Raises:
        PlanError: an amount that is not positive, or an mfu above 1.

    Source: Sardana et al. 2023 (arXiv 2401.00448), section 3.

    >>> cheap = dict(training_price=1.5, inference_price=1.1, training_peak=312e12, inference_peak=312e12)
    >>> f"{serving(70e9, 1.4e12, tokens_input=1e12, tokens_output=1e12, **cheap):.4g}"
    '1.556e+07'
    """
    amounts = {"params": params, "tokens": tokens, "tokens_input": tokens_input, "tokens_output": tokens_output}
    positive_arrays(
        **amounts,
        training_price=training_price,
        inference_price=inference_price,
        training_peak=training_peak,
        inference_peak=inference_peak,
    )
    constants = {
        "c_tr": training_price / 3600 / training_peak,
        "c_inf": inference_price / 3600 / inference_peak,
        "mfu_tr": check_mfu(mfu_training, "mfu_training"),
        "mfu_in": check_mfu(mfu_prefill, "mfu_prefill"),
        "mfu_out": check_mfu(mfu_decode, "mfu_decode"),
    }
    return as_number(law("sardana2023.dollars").value(constants, amounts))


def cost_growth(today: float, years: Any, *, rate: float = 2.4) -> Any:
    """Return the cost of a frontier run after some years: today rate^years, law `cost.growth`.

    Args:
        today: USD. years: number or array, negative for the past.
        rate: growth per year; 2.4 since 2016, published interval 2.0 to 2.9 (first version 3.1).

    Source: Cottier et al. 2024 (arXiv 2405.21015).

    >>> round(cost_growth(1.0, 8), 1)
    1100.8
    """
    positive_arrays(today=today, rate=rate)
    return as_number(law("cost.growth").value({"c0": today, "g": rate}, years=years))
