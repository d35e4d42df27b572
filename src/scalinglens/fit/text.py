"""A fit as text for a terminal and as HTML for a notebook, numbers at the digits their intervals deserve."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

from scalinglens.laws.render import equation
from scalinglens.quantities import format_number

if TYPE_CHECKING:
    from scalinglens.fit.estimate import Estimate
    from scalinglens.fit.result import Fit

__all__ = ["as_html", "as_text"]

_RESAMPLES = {
    "rows": "bootstrap over {}",
    "wild": "wild bootstrap over {}",
    "parametric": "parametric bootstrap over {}",
}


def as_text(fit: Fit) -> str:
    """Return the fit as a block of text: law, numbers, objective, certificate, warnings."""
    rows = _rows(fit)
    widths = [max(len(row[k]) for row in rows) for k in range(4)]
    table = [
        "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
    left = "0" if fit.law.between else fit.target  # an implicit law is an equation with the output inside
    lines = [_title(fit), f"  {left} = {fit.law.formula}", f"  {' ' * len(left)} = {_numbers(fit)}", ""]
    lines += [*table, "", *(f"  {name:<12}{text}" for name, text in _facts(fit))]
    lines += [f"  ! {warning}" for warning in fit.warnings]
    return "\n".join(lines)


def as_html(fit: Fit) -> str:
    """Return the fit as a small HTML table with its certificate below."""
    head, *body = _rows(fit)
    cells = lambda row, tag: "".join(f"<{tag} style='text-align:left'>{html.escape(cell)}</{tag}>" for cell in row)  # noqa: E731
    table = f"<tr>{cells(head, 'th')}</tr>" + "".join(f"<tr>{cells(row, 'td')}</tr>" for row in body)
    facts = "<br>".join(f"<b>{html.escape(name)}</b> {html.escape(text)}" for name, text in _facts(fit))
    notes = "".join(f"<li>{html.escape(warning)}</li>" for warning in fit.warnings)
    left = "0" if fit.law.between else fit.target
    return (
        f"<div><b>{html.escape(_title(fit))}</b><br><code>{html.escape(left)} = {html.escape(_numbers(fit))}</code>"
        f"<table>{table}</table>{facts}<ul>{notes}</ul></div>"
    )


def _title(fit: Fit) -> str:
    used, read = fit.table["used"], fit.table["read"]
    rows = f"{used} runs" if used == read else f"{used} of {read} runs"
    name = "law" if fit.law.name == fit.law.formula or " " in fit.law.name else fit.law.name
    return f"{name} fitted to {rows} of {fit.table['origin']}: {fit.status}"


def _numbers(fit: Fit) -> str:
    numbers = {
        name: "0" if _vanished(fit, name) else format_number(e.value, e.low, e.high)
        for name, e in fit.parameters.items()
    }
    numbers |= {name: f"({text})" for name, text in fit.law.derived.items()}
    return equation(equation(fit.law.formula, numbers), numbers)


def _rows(fit: Fit) -> list[tuple[str, str, str, str]]:
    rows = [("", "value", f"{fit.level:.0%} interval", "")]
    for kind, part in (("", fit.parameters), ("derived", fit.derived)):
        for name, estimate in part.items():
            note = "pinned" if name in fit.pinned and not kind else kind
            if name in fit.certificate.bounds and not kind:
                note = "at its bound"
            rows.append(
                (name, "0", "-", note) if not kind and _vanished(fit, name) else (name, *_interval(estimate), note)
            )
    return rows


def _vanished(fit: Fit, name: str) -> bool:
    """Whether a parameter went to zero: its last value, 1e-19 or so, is an accident of where the search stopped."""
    return fit.certificate.bounds.get(name) == 0.0


def _interval(estimate: Estimate) -> tuple[str, str]:
    value, low, high = estimate.value, estimate.low, estimate.high
    shown = format_number(value, low, high)
    if low is None and high is None:
        return shown, "-"
    ends = ["open" if end is None else format_number(end, low, high) for end in (low, high)]
    return shown, f"{ends[0]} to {ends[1]}"


def _facts(fit: Fit) -> list[tuple[str, str]]:
    c = fit.certificate
    loss = fit.loss
    detail = [] if loss.name in ("squares", "lad") else [f"delta {loss.delta:g}"]
    detail += [f"{loss.space} space", "summed"] + ([f"asymmetry {loss.asymmetry:g}"] if loss.asymmetry != 1 else [])
    facts = [("objective", f"{loss.name} ({', '.join(detail)}) = {fit.value:.10g}")]
    if fit.scale is not None:
        facts.append(("scale", f"{fit.scale:.6g} of the residuals"))
    facts.append(
        (
            "certificate",
            f"gradient {c.gradient:.0e}, Hessian {'positive' if c.hessian_positive else 'not positive'}, "
            f"{c.starts_agree} of {c.starts} starts agree, condition {c.condition:.0e}",
        )
    )
    for basin in c.basins[1:4]:
        where = ", ".join(f"{name} {value:.4g}" for name, value in basin.parameters.items() if name not in fit.pinned)
        facts.append(("near optimum", f"{basin.excess:+.3%} objective at {where}"))
    if fit.interval_method == "delta" and fit.covariance is not None:
        facts.append(("intervals", f"delta method, covariance robust over {fit.settings.get('groups') or 'rows'}"))
    elif len(fit.draws):
        unit = fit.settings.get("groups") or "rows"
        resample = fit.settings.get("resample") or "rows"
        facts.append(
            ("intervals", f"{fit.interval_method}, {len(fit.draws)} refits, {_RESAMPLES[resample].format(unit)}")
        )
    elif fit.interval_method == "profile" and fit.profile:
        facts.append(("intervals", "profile likelihood"))
    elif fit.refusal:
        facts.append(("intervals", "refused"))
    else:
        facts.append(("intervals", "none asked for (boot=1000 or interval='profile')"))
    return facts
