"""Batch size: where more data per step stops saving steps, and what speed costs."""

from __future__ import annotations

from typing import Any

import numpy as np

from scalinglens.errors import PlanError
from scalinglens.figures.figure import ACCENT, INK, MUTED, Axis, Figure, Line, Panel, Points, Rule
from scalinglens.fit.estimate import Estimate
from scalinglens.plan.hardware.hardware import MFU
from scalinglens.plan.hardware.spending import spending
from scalinglens.plan.plan import Plan
from scalinglens.plan.questions.answer import Amount, answered, read, value_of
from scalinglens.plan.questions.own import estimate, lacks, own_source
from scalinglens.plan.questions.ranges import decades
from scalinglens.quantities import format_quantity

__all__ = ["batch_size"]

_TOLERANCE = 0.1  # of time times compute, for the range of batches that are nearly as good
_BERGSMA = 2048  # tokens: the sequences in which bergsma2025 counts


def batch_size(
    *,
    tokens: Amount | None = None,
    loss: Amount | None = None,
    params: Amount | None = None,
    batch_tokens: Amount | None = None,
    source: Any = None,
    sequence_length: Amount = 2048,
    hardware: str | None = None,
    mfu: float = MFU,
    precision: str = "bf16",
    price: Amount | None = None,
) -> Plan:
    """Find the critical batch, and what another batch costs in steps and in tokens.

    steps = S_min (1 + B_crit/B),  tokens = E_min (1 + B/B_crit),  B_crit = E_min/S_min

    Time times compute is least at B_crit, where both are twice their minimum. On hardware the chips grow with the batch, so
    that a step takes as long at any batch.

    Args:
        tokens: least tokens to the loss, those at a small batch (E_min).
        loss: to be reached, nats/token as in Kaplan et al.; without it bergsma2025 answers from the tokens.
        params: of the model, for FLOP and days, and for the loss where none is given.
        batch_tokens: tokens per step to judge; by default the critical batch.
        source: saved fit of mccandlish2018.steps or .examples, in place of published laws.
        sequence_length: tokens of a sequence, where laws or the source count sequences.
        hardware: cluster that takes a step of batch_tokens: h100:64.
        mfu: share of the peak rate reached.
        precision: bf16 or fp8.
        price: USD per chip and hour.

    Raises:
        PlanError: neither loss, tokens nor source; a source without Smin and Emin; hardware without params and tokens.

    Source: McCandlish et al. 2018 (arXiv 1812.06162), Kaplan et al. 2020 (eq. 5.3), Bergsma et al. 2025 (arXiv 2505.13738),
        Zhang et al. 2024 (arXiv 2410.21676).

    >>> found = batch_size(loss=3.0, tokens="10B")
    >>> f"{found.answer['batch_critical'].value:.4g} {found.answer['steps'].value:.5g}"
    '1.123e+06 17816'
    """
    given = read(
        tokens=tokens, loss=loss, params=params, batch_tokens=batch_tokens, sequence_length=sequence_length, price=price
    )
    length = given.pop("sequence_length")
    spread: dict[str, dict[str, float]] = {}
    laws: list[str] = []
    warnings: list[str] = []
    far: dict[str, float] = {}
    if source is not None:
        own = own_source(source, "", example="Smin=1e3,Emin=1e6")
        if own.law is None or not {"Smin", "Emin"} <= set(own.law.parameters):
            raise lacks(own, ("Smin", "Emin"), "batch-size")
        name = own.name
        critical = estimate(own, lambda p: length * p["Emin"] / p["Smin"])
        least = estimate(own, lambda p: length * p["Emin"])
        given.setdefault("tokens", least.value)
        warnings += own.warnings
    else:
        if "loss" not in given and "tokens" not in given:
            raise PlanError(
                "the critical batch depends on the loss reached, or on the tokens; give loss=3.0 or tokens=10B"
            )
        name, critical, far = _published(given, length, spread, laws)
        warnings.append(
            "critical batches depend on optimizer, data and schedule; measure with two or three batches (steps to one loss) "
            "before buying chips for it"
        )
    batch = given.get("batch_tokens", critical.value)
    ratio = batch / critical.value
    answer: dict[str, float | Estimate] = {
        "batch_critical": critical,
        "time_factor": 1 + 1 / ratio,
        "compute_factor": 1 + ratio,
    }
    if "tokens" in given:
        minimum = given["tokens"]
        answer |= {
            "steps_least": minimum / critical.value,
            "tokens_least": minimum,
            "steps": minimum / critical.value * (1 + 1 / ratio),
            "tokens_used": minimum * (1 + ratio),
        }
    assumptions = [
        f"at {format_quantity(batch)} tokens a step: time_factor times the least steps, compute_factor times the least tokens",
        "time times compute is least at the critical batch; the range is where that product is within 10%",
    ]
    if "params" in given and "tokens" in given:
        answer["flops"] = 6 * given["params"] * given["tokens"] * (1 + ratio)
    if hardware is not None:
        answer |= _on_hardware(
            given,
            ratio,
            spending(hardware, mfu=mfu, precision=precision, price=given.get("price")),
            assumptions,
            warnings,
        )
    edge = np.roots([1, 2 - 4 * (1 + _TOLERANCE), 1]).real  # (1 + x)^2/x = 4 (1 + tolerance)
    return answered(
        "batch_size",
        source=name,
        given={**given, "hardware": hardware},
        answer=answer,
        laws=laws,
        spread=spread,
        near_optimal={
            "tolerance": _TOLERANCE,
            "batch_critical": tuple(float(critical.value * x) for x in sorted(edge)),
        },
        extrapolation_decades=far,
        assumptions=assumptions,
        warnings=warnings,
        figure=_figure(critical.value, batch, given.get("tokens"), name),
    )


def _published(
    given: dict[str, float], length: float, spread: dict[str, dict[str, float]], laws: list[str]
) -> tuple[str, Estimate, dict[str, float]]:
    """The critical batch of the first law that what is given suffices for, the others as its spread."""
    found: dict[str, tuple[str, float]] = {}
    if "loss" in given:
        found["kaplan2020"] = "kaplan2020.B_crit", value_of("kaplan2020.B_crit", loss=given["loss"])
    if "tokens" in given:
        sequences = value_of("bergsma2025.B_crit", tokens_min=given["tokens"])
        found["bergsma2025"] = "bergsma2025.B_crit", _BERGSMA * sequences
        if "params" in given and "loss" not in given:
            reached = value_of("kaplan2020.L_ND", params_nonembedding=given["params"], tokens=given["tokens"])
            found["kaplan2020"] = "kaplan2020.B_crit", value_of("kaplan2020.B_crit", loss=reached)
            laws.append("kaplan2020.L_ND")
        found["zhang2024_cbs.tokens"] = (
            "zhang2024_cbs.tokens",
            length * value_of("zhang2024_cbs.tokens", tokens=given["tokens"]),
        )
    if "params" in given:
        found["zhang2024_cbs.params"] = (
            "zhang2024_cbs.params",
            length * value_of("zhang2024_cbs.params", params=given["params"]),
        )
    first = next(iter(found))
    laws += [entry for entry, _ in found.values()]
    spread.update({name: {"batch_critical": value} for name, (_, value) in found.items() if name != first})
    known = {name: given[name] for name in ("params", "tokens") if name in given}
    return first, Estimate(found[first][1]), decades(first, **known)


def _on_hardware(
    given: dict[str, float], ratio: float, cluster: Any, assumptions: list[str], warnings: list[str]
) -> dict[str, Estimate]:
    if "params" not in given or "tokens" not in given:
        raise PlanError("days on hardware need the FLOP of a run; give params and tokens")
    flops = 6 * given["params"] * given["tokens"]
    found = dict(cluster.of(Estimate(flops * (1 + ratio))))
    step = found["days"].value / (1 + 1 / ratio)  # days of the least number of steps, each as long as here
    chips = cluster.cluster.chips
    found["days[critical batch]"] = Estimate(2 * step)
    found["chips[critical batch]"] = Estimate(chips / ratio)
    if "dollars" in found:
        found["dollars[critical batch]"] = Estimate(found["dollars"].value * 2 / (1 + ratio))
    found["days[least]"] = Estimate(step)
    assumptions += cluster.assumptions()
    assumptions.append(
        f"{cluster.cluster} takes a step at the batch asked for; a larger one is put on more chips, so a step takes as long"
    )
    warnings += cluster.warnings(flops * (1 + ratio), given["params"])
    return found


def _figure(critical: float, batch: float, tokens: float | None, name: str) -> Figure:
    batches = critical * np.logspace(-2, 2, 121)
    steps, data = 1 + critical / batches, 1 + batches / critical
    scale = (1.0, 1.0) if tokens is None else (tokens, tokens / critical)
    said = ("tokens (least = 1)", "steps (least = 1)") if tokens is None else ("tokens", "steps")
    marks = np.array([1 + batch / critical]) * scale[0], np.array([1 + critical / batch]) * scale[1]
    trade = Panel(
        "Steps against tokens",
        Axis(said[0], "log", "engineering"),
        Axis(said[1], "log", "engineering"),
        (
            Line(data * scale[0], steps * scale[1], ACCENT, 1.8),
            Points(*marks, INK, size=6),
            Points([2 * scale[0]], [2 * scale[1]], MUTED, symbol="ring", size=7),
        ),
    )
    product = Panel(
        "Time times compute",
        Axis("batch (tokens)", "log", "engineering"),
        Axis("least = 1", "log"),
        (
            Line(batches, steps * data / 4, ACCENT, 1.8),
            Rule(critical, "x", MUTED, "dotted", f"critical {format_quantity(critical)}"),
        ),
    )
    return Figure(
        f"Batch size: {name}", (trade, product), subtitle="dot: the batch asked for; ring: the critical batch"
    )
