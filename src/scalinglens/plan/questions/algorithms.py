"""Progress of algorithms: what years are worth in compute, and when a capability fits into a smaller model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from scalinglens.errors import PlanError
from scalinglens.figures.figure import ACCENT, Axis, Band, Figure, Line, Panel, series
from scalinglens.fit.estimate import Estimate
from scalinglens.laws.catalogue import law
from scalinglens.plan.plan import Plan
from scalinglens.plan.questions.answer import Amount, answered, read
from scalinglens.plan.questions.own import estimate, lacks, own_source

__all__ = ["progress"]

_MONTHS, _LOW, _HIGH = 8.4, 4.5, 14.3  # doubling of effective compute and its 95% interval, ho2024
_LEVEL = 0.95
_YEAR = 365.25


def progress(
    *,
    years: Amount = 1.0,
    flops: Amount | None = None,
    compute_growth: Amount | None = None,
    compute_factor: Amount | None = None,
    params: Amount | None = None,
    params_target: Amount | None = None,
    source: Any = None,
) -> Plan:
    """Tell what years of better algorithms are worth in compute and in size, and how much of all progress they are.

    compute: 2^(12 years/T_C), 1/T_C = 1/T_N + 1/T_D;  size: N exp(-A days)

    Args:
        years: to wait.
        flops: of a run today, to tell what it is worth after the years.
        compute_growth: factor per year by which the compute of runs grows, for the share of algorithms in all growth.
        compute_factor: saving of compute to wait for.
        params: of a model today, to tell the size of an equal one after the years.
        params_target: size into which the capability of `params` is to fit.
        source: saved fit of ho2024 (growth of compute) or of xiao2024_densing.trend (growth of density).

    Returns:
        doubling time and growth of effective compute, of density; the share of algorithms; waiting times.

    Raises:
        PlanError: amounts that are not positive, a target that is not smaller, a source without rates.

    Source: Ho et al. 2024 (arXiv 2403.05812), Xiao et al. 2024 (arXiv 2412.04315).

    >>> found = progress(years=0.7, params="70B", params_target="7B")
    >>> round(found.answer["compute_factor[0.7 years]"].value, 9), round(found.answer["days_to_fit"].value, 1)
    (2.0, 328.9)
    """
    given = read(
        years=years,
        flops=flops,
        compute_growth=compute_growth,
        compute_factor=compute_factor,
        params=params,
        params_target=params_target,
    )
    span = given["years"]
    months, doubling, density = (
        Estimate(_MONTHS, _LOW, _HIGH, _LEVEL, "published"),
        {},
        Estimate(law("xiao2024_densing.trend").constants["A"]),
    )
    name, laws, warnings, level = "ho2024", ["ho2024", "xiao2024_densing.trend"], [], _LEVEL
    assumptions = ["past rates go on; compute is effective compute: that of today's algorithms with the same result"]
    if source is None:
        warnings.append(
            "rates are published averages over model families; E is set to 0 in ho2024, and concurrent trends are hard to part"
        )
        assumptions.append("the interval is the 95% interval of the doubling time alone, 4.5 to 14.3 months")
    else:
        own = own_source(source, "", example="ga and gb")
        found = set(own.law.parameters) if own.law else set()
        name, level = own.name, own.level
        warnings += own.warnings
        if {"ga", "gb"} <= found:
            size = estimate(own, lambda p: 12 * np.log(2) / p["ga"])
            data = estimate(own, lambda p: 12 * np.log(2) / p["gb"])
            doubling = {"doubling_months[params]": size, "doubling_months[tokens]": data}
            # ho2024.doubling: 1/(1/TN + 1/TD)
            months = estimate(own, lambda p: 12 * np.log(2) / (p["ga"] + p["gb"]))
        elif {"A", "B"} <= found and own.law is not None and own.law.inputs == ("days",):
            density = estimate(own, lambda p: p["A"])
        else:
            raise lacks(own, ("ga", "gb", "or the rate A of xiao2024_densing.trend"), "progress")
        assumptions += own.assumptions
    spread: dict[str, dict[str, float]] = {}
    growth = _through(months, lambda t: 2 ** (12 * span / t))
    label = f"{span:g} years" if span != 1 else "1 year"
    answer = {
        "doubling_months": months,
        **doubling,
        f"compute_factor[{label}]": growth,
        "density_doubling_days": _through(density, lambda a: np.log(2) / a),
        f"density_factor[{label}]": _through(density, lambda a: np.exp(a * _YEAR * span)),
    }
    if "flops" in given:
        answer["flops_effective"] = _through(growth, lambda g: given["flops"] * g)
    if "compute_growth" in given:
        rate = given["compute_growth"]
        if rate <= 1:
            raise PlanError(f"compute_growth is {rate:g}; compute that grows has a factor per year above 1, such as 4")
        answer["algorithm_share"] = _through(months, lambda t: (12 / t) / (12 / t + np.log2(rate)))
        assumptions.append(
            "algorithm_share: doublings of effective compute by algorithms, of those by algorithms and compute"
        )
    if "compute_factor" in given:
        saving = given["compute_factor"]
        if saving <= 1:
            raise PlanError(f"compute_factor is {saving:g}; a saving is a factor above 1, such as 10")
        answer["years_to_wait"] = _through(months, lambda t: np.log2(saving) * t / 12)
    if "params_target" in given and "params" not in given:
        raise PlanError("params_target needs the size that has the capability today; give params")
    if "params" in given:
        today = given["params"]
        answer["params_then"] = _through(density, lambda a: today * np.exp(-a * _YEAR * span))
        if "params_target" in given:
            small = given["params_target"]
            if small >= today:
                raise PlanError(f"params_target is {small:g} and params {today:g}; the target must be smaller")
            answer["days_to_fit"] = _through(density, lambda a: np.log(today / small) / a)
            # the best size grows as the root of the compute, so a size N/f is the best at the compute C/f^2
            slow = 2 * np.log2(today / small) * months.value / 12 * _YEAR
            spread["ho2024, size as the root of compute"] = {"days_to_fit": slow}
    warnings.append(
        "density rests on a reference model and on benchmarks that leak into training data, and outruns the saving of compute"
    )
    return answered(
        "progress",
        source=name,
        given=given,
        answer=answer,
        laws=laws,
        spread=spread,
        assumptions=assumptions,
        warnings=warnings,
        figure=_figure(months, density, span, level),
        level=level,
    )


def _through(e: Estimate, function: Callable[[float], Any]) -> Estimate:
    """A monotone function of an estimate, its ends in order."""
    value = float(function(e.value))
    if e.low is None or e.high is None:
        return Estimate(value)
    ends = sorted(float(function(end)) for end in (e.low, e.high))
    return Estimate(value, ends[0], ends[1], e.level, e.method)


def _figure(months: Estimate, density: Estimate, span: float, level: float) -> Figure:
    t = np.linspace(0, max(2 * span, 1.0), 61)
    grown = lambda doubling: 2 ** (12 * t / doubling)  # noqa: E731
    marks = []
    if months.low is not None and months.high is not None:
        marks.append(Band(t, grown(months.high), grown(months.low), ACCENT, f"{level:.0%} interval"))
    marks.append(Line(t, grown(months.value), ACCENT, 1.8, label="effective compute"))
    marks.append(Line(t, np.exp(density.value * _YEAR * t), series(0), 1.6, label="density"))
    panel = Panel("Growth by better algorithms", Axis("years from now"), Axis("factor", "log"), tuple(marks))
    return Figure("Progress of algorithms", (panel,))
