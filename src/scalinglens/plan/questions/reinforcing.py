"""Reinforcement learning: a sigmoid in compute, its asymptote, and what the next doubling gives."""

from __future__ import annotations

from typing import Any

import numpy as np

from scalinglens.errors import PlanError
from scalinglens.figures.figure import ACCENT, INK, MUTED, Axis, Band, Figure, Line, Mark, Panel, Points, Rule
from scalinglens.fit.estimate import Estimate
from scalinglens.plan.optimum.estimates import value_interval
from scalinglens.plan.plan import Plan
from scalinglens.plan.questions.answer import Amount, answered, read, share
from scalinglens.plan.questions.own import estimate, lacks, own_source
from scalinglens.plan.source import Source
from scalinglens.quantities import format_quantity

__all__ = ["reinforcement"]

_NEEDED = ("R0", "A", "B", "C_mid")
_PUBLISHED = 1500.0  # GPU-hours from which on the paper fits


def reinforcement(
    *,
    compute: Amount,
    source: Any = "khatri2025",
    constants: str = "",
    target_share: float = 0.9,
    target_reward: float | None = None,
    worth: float = 0.01,
    price: Amount | None = None,
) -> Plan:
    """Tell whether a run of reinforcement learning is worth continuing.

    R(C) = R0 + (A - R0)/(1 + (C_mid/C)^B),  C(share) = C_mid (share/(1 - share))^(1/B)

    Args:
        compute: spent so far, in the unit of C_mid (GPU-hours or FLOP).
        source: saved fit of khatri2025 to your rewards, or the law with constants.
        constants: R0=0.2,B=1.5,C_mid=2000 and A, by default 0.61 of the published recipe.
        target_share: share of the way from R0 to the asymptote A.
        target_reward: reward to reach, in place of the share.
        worth: gain of reward that a doubling of the compute must bring.
        price: USD per unit of compute, such as an hour of a GPU.

    Returns:
        reward now and at the asymptote, share reached, gain of the next doubling, compute to the target, and the compute
        after which a doubling brings less than `worth`.

    Raises:
        PlanError: missing constants, a share outside 0 to 1, a reward at or above the asymptote.

    Source: Khatri et al. 2025 (arXiv 2510.13786).

    >>> found = reinforcement(compute=10000, constants="R0=0.2,B=1.5,C_mid=2000")
    >>> round(found.answer["reward"].value, 4), round(found.answer["compute_needed"].value)
    (0.5763, 8653)
    """
    spent = read(compute=compute)["compute"]
    own = own_source(source, constants, example="constants=R0=0.2,B=1.5,C_mid=2000")
    if own.law is None or not set(_NEEDED) <= set(own.law.parameters):
        raise lacks(own, _NEEDED, "reinforcement")
    values = own.values
    if values["A"] <= values["R0"]:
        raise PlanError(
            f"the asymptote A = {values['A']:g} is not above the start R0 = {values['R0']:g}; nothing is learned"
        )
    if not worth > 0:
        raise PlanError(f"worth is {worth:g}; it is a gain of reward per doubling above 0, such as 0.01")
    wanted = share("target_share", target_share, open_low=True)
    if target_reward is not None and not values["R0"] < target_reward < values["A"]:
        raise PlanError(
            f"target_reward is {target_reward:g}; it must lie between the start {values['R0']:g} and the asymptote "
            f"{values['A']:g}, which no compute reaches"
        )

    def at(p: Any, c: Any) -> Any:
        return p["R0"] + (p["A"] - p["R0"]) / (1 + (p["C_mid"] / c) ** p["B"])

    def needed(p: Any) -> Any:
        if target_reward is None:
            part = wanted
        else:
            part = (target_reward - p["R0"]) / (p["A"] - p["R0"])
            part = np.where((part > 0) & (part < 1), part, np.nan)
        return p["C_mid"] * (part / (1 - part)) ** (1 / p["B"])

    answer = {
        "reward": estimate(own, lambda p: at(p, spent)),
        "asymptote": estimate(own, lambda p: p["A"]),
        "share_reached": estimate(own, lambda p: 1 / (1 + (p["C_mid"] / spent) ** p["B"])),
        "reward_gain[next doubling]": estimate(own, lambda p: at(p, 2 * spent) - at(p, spent)),
        "compute_needed": estimate(own, needed),
    }
    last = _last_worth(values, worth)
    if last is not None:
        answer["compute_worth"] = Estimate(last)
    given: dict[str, Any] = {"compute": spent, "target_share": wanted, "worth": worth}
    if target_reward is not None:
        given |= {"target_share": None, "target_reward": target_reward}
    if price is not None:
        paid = read(price=price)["price"]
        given["price"] = paid
        more = estimate(own, lambda p: np.maximum(needed(p) - spent, 0.0) * paid)
        answer["dollars[to the target]"] = more
        answer["dollars[next doubling]"] = Estimate(spent * paid)
    gain = answer["reward_gain[next doubling]"].value
    if gain >= worth:
        verdict = f"worth it: a doubling from here brings {gain:.3g}, and {worth:g} is asked for"
    elif last is not None and spent <= last:
        verdict = (
            f"worth it later: a doubling brings {gain:.3g} here, and {worth:g} or more before {format_quantity(last)}"
        )
    else:
        verdict = f"not worth it: a doubling from here brings {gain:.3g}, and {worth:g} is asked for"
    assumptions = [*(() if own.published else own.assumptions), f"{verdict}; compute is in the unit of C_mid"]
    warnings = [*own.warnings]
    reach = own.range.get("flops", (0.0, spent))[1]
    if reach < values["C_mid"]:
        warnings.append(
            f"the data end at {format_quantity(reach)}, before the midpoint at {format_quantity(values['C_mid'])}: slope and "
            "asymptote trade off there, so the latter is a guess; run past the midpoint before deciding"
        )
    if own.published and "A" not in constants:
        warnings.append("A = 0.61 is of one recipe (8B, held-out mathematics)")
    decades = own.beyond({"flops": answer["compute_needed"].value}) if own.range else {}
    return answered(
        "reinforcement",
        source=own.name,
        given=given,
        answer=answer,
        laws=["khatri2025"],
        extrapolation_decades={"compute": max(decades.values())} if decades else {},
        assumptions=assumptions,
        warnings=warnings,
        figure=_figure(own, spent, answer["compute_needed"].value),
        level=own.level,
    )


def _last_worth(p: dict[str, float], worth: float) -> float | None:
    """The largest compute from which a doubling still brings `worth`; None where none ever does.

    With u = (C/C_mid)^B and q = 2^B the gain is (A - R0) u (q - 1)/((1 + u)(1 + q u)), a quadratic equation in u.
    """
    q, height = 2 ** p["B"], p["A"] - p["R0"]
    b = 1 + q - height * (q - 1) / worth
    under = b**2 - 4 * q
    if b >= 0 or under < 0:
        return None
    return float(p["C_mid"] * ((-b + np.sqrt(under)) / (2 * q)) ** (1 / p["B"]))


def _figure(own: Source, spent: float, needed: float) -> Figure:
    middle = own.values["C_mid"]
    x = np.geomspace(min(spent, middle) / 30, max(spent, needed, middle) * 3, 121)
    curve = value_interval(own, {"flops": x}, own.level)
    marks: list[Mark] = []
    if np.isfinite(curve.low).all():
        marks.append(Band(x, curve.low, curve.high, ACCENT, f"{own.level:.0%} interval"))
    marks.append(Line(x, curve.value, ACCENT, 1.8))
    if own.forecast is not None:
        marks.append(Points(own.forecast.points["flops"], own.forecast.observed, MUTED))
    marks += [
        Points([spent], [float(own.value({"flops": spent}))], INK, size=6),
        Rule(own.values["A"], "y", MUTED, "dotted", "asymptote"),
        Rule(middle, "x", MUTED, "dotted", "midpoint"),
    ]
    panel = Panel("Reward against compute", Axis("compute", "log", "engineering"), Axis("reward"), tuple(marks))
    return Figure(f"Reinforcement learning: {own.name}", (panel,), subtitle="dot: the run now")
