"""Days and dollars: one run on each accelerator, what fits in its memory, and how much the utilisation decides."""

from __future__ import annotations

from typing import Any

import numpy as np

from scalinglens.errors import PlanError
from scalinglens.figures.figure import ACCENT, MUTED, Axis, Figure, Line, Panel, Rule, series
from scalinglens.fit.estimate import Estimate
from scalinglens.plan.amounts import check_mfu, whole
from scalinglens.plan.architecture.architecture import Architecture
from scalinglens.plan.hardware.accelerators import accelerators
from scalinglens.plan.hardware.hardware import MFU
from scalinglens.plan.hardware.spending import Spending, spending
from scalinglens.plan.plan import Plan
from scalinglens.plan.questions.answer import Amount, answered, read
from scalinglens.plan.questions.own import numbers_of, words_of
from scalinglens.quantities import format_quantity

__all__ = ["hardware"]

_FEW = 3  # clusters whose assumptions and doubts are told one by one
_HEADROOM = 0.1  # of the memory, for fragments and buffers


def hardware(
    *,
    flops: Amount | None = None,
    params: Amount | None = None,
    tokens: Amount | None = None,
    clusters: str = "all",
    chips: int = 64,
    mfu: float = MFU,
    mfu_tried: str = "0.2,0.3,0.5,0.6",
    precision: str = "bf16",
    price: Amount | None = None,
    sequence_length: int = 2048,
) -> Plan:
    """Tell days, dollars, energy and memory of a run on clusters.

    days = FLOP/(chips peak mfu 86400),  dollars = chip-hours price,  kWh = chip-hours kW pue load

    Args:
        flops: of training, or params and tokens.
        params: of the model; also for what fits in memory.
        tokens: of training, 6 FLOP per parameter and token.
        clusters: h100:64,a100:128; or all accelerators of the table with `chips` each.
        chips: of a cluster that says none.
        mfu: share of the peak rate that is reached.
        mfu_tried: other shares to show, with commas.
        precision: bf16 or fp8; accelerators without it are left out of `all`.
        price: USD per chip and hour, in place of those of the table.
        sequence_length: of training, for the memory.

    Returns:
        days, dollars, energy_kwh and chips_least (that hold the training state) of each cluster; days at other mfu.

    Raises:
        PlanError: no compute, an unknown accelerator, a share of the peak outside 0 to 1.

    >>> found = hardware(params="70B", tokens="1.4T", clusters="h100:1024", price=2.5)
    >>> [f"{found.answer[name + '[h100:1024]'].value:.4g}" for name in ("days", "dollars")]
    ['16.8', '1.032e+06']
    """
    given: dict[str, Any] = read(flops=flops, params=params, tokens=tokens, price=price)
    total = _compute(given)
    whole("chips", chips)
    tried = [check_mfu(m, "mfu_tried") for m in numbers_of("mfu_tried", mfu_tried)]
    paid = given.get("price")
    names = words_of(clusters)
    if not names:
        raise PlanError("clusters is empty; write h100:64,a100:128, or all")
    warnings: list[str] = []
    if names == ["all"]:
        kept = [name for name, one in accelerators().items() if precision == "bf16" or one.fp8 is not None]
        names = [f"{name}:{chips}" for name in kept]
    found: list[Spending] = [
        spending(name if ":" in name else f"{name}:{chips}", mfu=mfu, precision=precision, price=paid) for name in names
    ]
    answer: dict[str, Estimate] = {"flops": Estimate(total)}
    shape = Architecture.shaped(given["params"], sequence_length=sequence_length) if "params" in given else None
    needed = None
    if shape is not None:
        # one sequence per chip is the least; the states dominate
        needed = shape.training_bytes(1, recomputation="full").total
        answer["memory_training"] = Estimate(needed)
    cheapest: tuple[float, str] | None = None
    small = []
    for one in found:
        label = str(one.cluster)
        spent = one.of(Estimate(total))
        for name in ("days", "dollars", "energy_kwh"):
            if name in spent:
                answer[f"{name}[{label}]"] = spent[name]
        if "dollars" in spent and (cheapest is None or spent["dollars"].value < cheapest[0]):
            cheapest = spent["dollars"].value, label
        if needed is not None:
            least = one.cluster.chips_for(needed, headroom=_HEADROOM)
            answer[f"chips_least[{label}]"] = Estimate(float(least))
            if least > one.cluster.chips:
                small.append(label)
    first = (
        found[0]
        if len(found) <= _FEW or cheapest is None
        else next(one for one in found if str(one.cluster) == cheapest[1])
    )
    for m in tried:
        again = spending(first.cluster, mfu=m, precision=precision, price=paid).of(Estimate(total))
        for name in ("days", "dollars"):
            if name in again:
                answer[f"{name}[{first.cluster}, mfu {m:g}]"] = again[name]
    fastest = min(found, key=lambda one: answer[f"days[{one.cluster}]"].value)
    assumptions = [
        f"mfu {mfu:g} on every cluster; the number of chips does not change dollars and energy, except through mfu",
        f"fastest: {fastest.cluster}" + (f"; cheapest: {cheapest[1]}" if cheapest else ""),
    ]
    if len(found) <= _FEW:
        assumptions += [words for one in found for words in one.assumptions()]
    if shape is not None:
        assumptions.append(
            f"memory: {shape.depth} layers of width {shape.width}, Adam with 16 bytes per parameter, one sequence, activations "
            f"computed again; {_HEADROOM:.0%} kept free"
        )
    span = max([*tried, mfu]) / min([*tried, mfu])
    warnings.append(
        f"mfu dominates the error: those shown differ by a factor of {span:.1f} in days and dollars; measure it on a short run"
    )
    if small:
        warnings.append(
            f"the training state of {format_quantity(given['params'])} parameters does not fit on {', '.join(small)}"
        )
    doubtful = [
        one.cluster.accelerator.name for one in found if paid is None and one.cluster.accelerator.price_tag == "U"
    ]
    if len(found) <= _FEW:
        warnings += [words for one in found for words in one.warnings(total)]
    elif doubtful:
        warnings.append(
            f"prices of {', '.join(doubtful)} are unverified, and sellers differ by a factor of five: give your own"
        )
    return answered(
        "hardware",
        source="time.seconds",
        given={**given, "mfu": mfu, "precision": precision},
        answer=answer,
        laws=["time.seconds", "cost.rental"],
        assumptions=assumptions,
        warnings=warnings,
        figure=_figure(found, total),
    )


def _compute(given: dict[str, Any]) -> float:
    sized = "params" in given and "tokens" in given
    if "flops" in given and sized:
        raise PlanError("flops, and params and tokens are given, and each determines the other; keep flops, or the two")
    if "flops" in given:
        return given["flops"]
    if not sized:
        raise PlanError("give flops, or params and tokens")
    return 6 * given["params"] * given["tokens"]


def _figure(found: list[Spending], total: float) -> Figure:
    m = np.linspace(0.1, 0.7, 61)
    order = sorted(found, key=lambda one: one.of(Estimate(total))["days"].value)
    shown = [order[i] for i in np.unique(np.linspace(0, len(order) - 1, min(len(order), 6)).round().astype(int))]
    lines = tuple(
        Line(
            m,
            np.array([one.cluster.days(total, mfu=float(x), precision=one.precision) for x in m]),
            ACCENT if len(shown) == 1 else series(i),
            1.6,
            label=str(one.cluster),
        )
        for i, one in enumerate(shown)
    )
    panel = Panel(
        "Days by utilisation",
        Axis("share of the peak rate (mfu)"),
        Axis("days", "log"),
        (*lines, Rule(found[0].mfu, "x", MUTED, "dotted", "asked")),
    )
    return Figure(
        f"{format_quantity(total)} FLOP on clusters",
        (panel,),
        subtitle="" if len(shown) == len(found) else "six of the clusters, from fastest to slowest",
    )
