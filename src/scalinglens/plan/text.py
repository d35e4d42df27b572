"""A plan and a frontier as text for a terminal and as HTML for a notebook."""

from __future__ import annotations

import html
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from scalinglens.fit.estimate import Estimate
from scalinglens.quantities import QUANTITIES, format_number, format_quantity

if TYPE_CHECKING:
    from scalinglens.plan.frontier import Frontier
    from scalinglens.plan.plan import Plan

__all__ = ["as_html", "as_text", "frontier_text"]

_SHOWN = 12  # budgets of a frontier that are printed
_WIDTH = 110
_UNITS = {
    "batch_break_even": "sequences",
    "batch_critical": "tokens",
    "characters_break_even": "characters",
    "characters_effective": "characters",
    "characters_transferred": "characters",
    "chip_hours": "chip-hours",
    "chips_least": "chips",
    "compute_factor": "times",
    "data_factor": "times",
    "data_multiplier": "times",
    "days": "days",
    "decay_share": "of the steps",
    "density_doubling_days": "days",
    "density_factor": "times",
    "dollars": "USD",
    "doubling_months": "months",
    "elo_difference": "Elo",
    "energy_kwh": "kWh",
    "excess": "nats/token",
    "flops_extra": "of flops_optimal",
    "flops_factor": "times",
    "flops_per_query": "FLOP",
    "flops_per_token": "FLOP/token",
    "flops_per_token_equivalent": "FLOP/token",
    "gain": "times",
    "gain_limit": "times",
    "gain_loss": "nats/token",
    "loss_normalised": "nats/token, unigram-normalised",
    "memory_training": "bytes",
    "params_factor": "times",
    "saving": "of the compute",
    "served_best": "tokens",
    "served_break_even": "tokens",
    "share": "of the tokens",
    "size_factor": "times",
    "teacher_per_student": "times",
    "time_factor": "times",
    "tokens_factor": "times",
    "tokens_per_character": "tokens/character",
    "tokens_per_param": "tokens/parameter",
    "tokens_ratio": "of the training tokens",
    "transfer_factor": "times",
    "usd": "USD",
    "vocab_share": "of all parameters",
    "waste": "of the cost",
    "waste_dollars": "USD",
    "width_per_depth": "units/layer",
    "worth_last": "fresh tokens",
    "worth_mean": "fresh tokens",
}


def as_text(plan: Plan) -> str:
    """Return the plan as a block of text: question, numbers, assumptions, warnings."""
    lines = [_title(plan), *_table(_rows(plan)), ""]
    if cases := _cases(plan):
        lines += [*_table(_crossed(plan, cases)), ""]
    for name, text in _facts(plan):
        lines += textwrap.wrap(text, _WIDTH, initial_indent=f"  {name:<13}", subsequent_indent=" " * 15)
    for warning in plan.warnings:
        lines += textwrap.wrap(warning, _WIDTH, initial_indent="  ! ", subsequent_indent="    ")
    return "\n".join(lines)


def as_html(plan: Plan) -> str:
    """Return the plan as a small HTML table with what it assumes below."""
    head, *body = _rows(plan)
    cells = lambda row, tag: "".join(f"<{tag} style='text-align:left'>{html.escape(cell)}</{tag}>" for cell in row)  # noqa: E731
    if found := _cases(plan):
        body += _crossed(plan, found)
    table = f"<tr>{cells(head, 'th')}</tr>" + "".join(f"<tr>{cells(row, 'td')}</tr>" for row in body)
    facts = "<br>".join(f"<b>{html.escape(name)}</b> {html.escape(text)}" for name, text in _facts(plan))
    notes = "".join(f"<li>{html.escape(warning)}</li>" for warning in plan.warnings)
    return f"<div><b>{html.escape(_title(plan))}</b><table>{table}</table>{facts}<ul>{notes}</ul></div>"


def frontier_text(front: Frontier) -> str:
    """Return a frontier as text: some of its budgets, exponents, warnings."""
    n = len(front.budgets)
    shown = np.arange(n) if n <= _SHOWN else np.unique(np.linspace(0, n - 1, _SHOWN).round().astype(int))
    names = (*front.free, front.source.target)
    rows: list[tuple[str, ...]] = [("budget", *names, "")]
    for i in shown:
        estimates = [front.optimum[name].at(int(i)) for name in front.free] + [front.loss.at(int(i))]
        status = front.status[i]
        cells = (_with_ends(e, name) for e, name in zip(estimates, names, strict=True))
        rows.append((format_quantity(float(front.budgets[i])), *cells, "" if status == "inside" else status))
    lines = [f"frontier of {front.source.name} over {n} budgets in {front.cost.unit}: {front.how}", *_table(rows)]
    if n > len(shown):
        lines.append(f"  ({len(shown)} of {n} shown)")
    lines.append("")
    for name, e in front.exponents.items():
        lines.append(f"  {name} ~ budget^{_number(e)}")
    if front.gamma is not None:
        floor = "" if front.floor is None else f" - {format_number(front.floor.value)}"
        lines.append(f"  {front.source.target}{floor} ~ budget^-{_number(front.gamma)}")
    if n:
        middle = int(shown[len(shown) // 2])
        ranges = [f"{k} {_range(tuple(v[middle]), k)}" for k, v in front.near_optimal.items()]
        lines.append(
            f"  within {front.tolerance:.3g} of the best at {format_quantity(float(front.budgets[middle]))}: {', '.join(ranges)}"
        )
    for warning in front.warnings:
        lines += textwrap.wrap(warning, _WIDTH, initial_indent="  ! ", subsequent_indent="    ")
    return "\n".join(lines)


def _title(plan: Plan) -> str:
    asked = plan.question
    words = []
    for key, value in asked.items():
        if key in ("kind", "source", "cost", "unit", "fix") or value is None or value == "":
            continue
        words.append(f"{key.replace('_', ' ')} {_given(value)}")
    kind = str(asked.get("kind", "")).replace("_", " ")
    title = f"plan ({kind})" if kind else "plan"
    return f"{title} on {asked.get('source', '?')}" + (f": {', '.join(words)}" if words else "")


def _rows(plan: Plan) -> list[tuple[str, ...]]:
    tolerance = plan.near_optimal.get("tolerance")
    near = (
        f"within {tolerance:.2%} of the best"
        if isinstance(tolerance, int | float)
        else "as good"
        if plan.near_optimal
        else ""
    )
    any_interval = any(e.low is not None or e.high is not None for e in plan.answer.values())
    rows: list[tuple[str, ...]] = [("", "value", f"{plan.level:.0%} interval" if any_interval else "", near, "")]
    crossed = {f"{name}[{case}]" for case, names in _cases(plan).items() for name in names}
    for name, e in plan.answer.items():
        if name in crossed:
            continue
        ends = plan.near_optimal.get(name)
        unit = _unit(name.removeprefix("instead_"))
        rows.append((name, _shown(e.value, e, name), _interval(e, name), _range(ends, name) if ends else "", unit))
    return rows


def _given(value: Any) -> str:
    """What was asked, in words."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_given(part)}" for name, part in value.items())
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return format_quantity(value) if number else str(value)


def _unit(name: str) -> str:
    """The unit of a quantity; params_optimal has that of params."""
    name = name.partition("[")[0]  # days[h100:64] are days
    stem = name if name in QUANTITIES else name.partition("_")[0]
    return _UNITS.get(name) or (QUANTITIES[stem].unit if stem in QUANTITIES else "")


def _cases(plan: Plan) -> dict[str, list[str]]:
    """Case -> quantities, of numbers without intervals that several cases share: days[h100:64], dollars[h100:64], ..."""
    found: dict[str, list[str]] = {}
    for key, e in plan.answer.items():
        name, bracket, case = key.partition("[")
        if bracket and e.low is None and e.high is None and key not in plan.near_optimal:
            found.setdefault(case.removesuffix("]"), []).append(name)
    found = {case: names for case, names in found.items() if len(names) > 1}
    return found if len(found) > 1 else {}


def _crossed(plan: Plan, cases: Mapping[str, Sequence[str]]) -> list[tuple[str, ...]]:
    """One row per case, one column per quantity."""
    names = list(dict.fromkeys(name for each in cases.values() for name in each))
    units = {name: _unit(name) for name in names}
    rows: list[tuple[str, ...]] = [
        ("", *(f"{name} ({unit})" if unit not in ("", name) else name for name, unit in units.items()))
    ]
    for case, each in cases.items():
        told = {name: plan.answer[f"{name}[{case}]"] for name in each}
        rows.append((case, *(_shown(told[name].value, told[name], name) if name in told else "" for name in names)))
    return rows


def _facts(plan: Plan) -> list[tuple[str, str]]:
    facts = []
    if plan.spread:
        names = {key for values in plan.spread.values() for key in values}
        parts = []
        for key in sorted(names):
            known = {law: values[key] for law, values in plan.spread.items() if key in values}
            least, most = min(known, key=known.__getitem__), max(known, key=known.__getitem__)
            if len(known) == 1:
                parts.append(f"{key} {_count(known[least], key)} ({least})")
                continue
            parts.append(f"{key} {_count(known[least], key)} ({least}) to {_count(known[most], key)} ({most})")
        facts.append(("other laws", "; ".join(parts)))
    far = {name: d for name, d in plan.extrapolation_decades.items() if d > 0}
    if far:
        facts.append(("extrapolates", ", ".join(f"{name} by {d:.1f} decades" for name, d in far.items())))
    elif plan.extrapolation_decades:
        facts.append(("extrapolates", "nowhere: inside the runs"))
    facts += [("assumes" if i == 0 else "", text) for i, text in enumerate(plan.assumptions)]
    return facts


def _table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    keep = [k for k in range(len(rows[0])) if any(row[k] for row in rows)]
    widths = {k: max(len(row[k]) for row in rows) for k in keep}
    return ["  " + "  ".join(row[k].ljust(widths[k]) for k in keep).rstrip() for row in rows]


def _shown(value: float, e: Estimate, name: str) -> str:
    if not np.isfinite(value):
        return "none" if np.isnan(value) else "endless"
    if name.startswith("chips") and value == round(value):
        return f"{value:.0f}"
    if e.low is None and e.high is None and value == round(value) and abs(value) < 1e4:
        return f"{value:.0f}"  # layers, heads, epochs
    return _count(value, name) if abs(value) >= 1e4 else format_number(value, e.low, e.high)


def _count(value: float, name: str) -> str:
    """Counts with a suffix; amounts of compute as powers of ten, which nobody says in thousands."""
    return f"{value:.3g}" if name.startswith("flops") else format_quantity(value)


def _interval(e: Estimate, name: str) -> str:
    if e.low is None and e.high is None:
        return ""
    low, high = ("open" if end is None else _shown(end, e, name) for end in (e.low, e.high))
    return f"{low} to {high}"


def _with_ends(e: Estimate, name: str) -> str:
    ends = _interval(e, name)
    return _shown(e.value, e, name) + (f" ({ends})" if ends else "")


def _range(ends: Any, name: str) -> str:
    low, high = (float(end) for end in ends)
    if not (np.isfinite(low) and np.isfinite(high)) or high <= low * (1 + 1e-9):  # nothing to choose
        return ""
    plain = Estimate(low)
    return f"{_shown(low, plain, name)} to {_shown(high, plain, name)}"


def _number(e: Estimate) -> str:
    ends = "" if e.low is None or e.high is None else f" ({format_number(e.low)} to {format_number(e.high)})"
    return f"{format_number(e.value, e.low, e.high)}{ends}"
