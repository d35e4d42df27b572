"""A comparison of methods as text for a terminal and as HTML for a notebook."""

from __future__ import annotations

import html
import math
import textwrap
from typing import TYPE_CHECKING

from scalinglens.fit.estimate import Estimate
from scalinglens.plan.methods.task import REFUSALS
from scalinglens.quantities import format_number, format_quantity

if TYPE_CHECKING:
    from scalinglens.plan.methods.result import Methods, Row

__all__ = ["as_html", "as_text"]

_WIDTH = 110
_HEAD = ("method", "params ~ C^a", "tokens ~ C^b", "params", "tokens", "loss", "regret", "waste", "bias here")


def as_text(found: Methods) -> str:
    """Return the table, then what each method resamples and warns of, then the refusals."""
    rows = [_HEAD, *(_cells(row) for row in found.rows)]
    widths = [max(len(row[k]) for row in rows) for k in range(len(_HEAD))]
    lines = [_title(found), ""]
    lines += ["  " + "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows]
    lines.append("")
    for name, text in _facts(found):
        lines += textwrap.wrap(text, _WIDTH, initial_indent=f"  {name:<11}", subsequent_indent=" " * 13)
    for warning in found.warnings:
        lines += textwrap.wrap(warning, _WIDTH, initial_indent="  ! ", subsequent_indent="    ")
    return "\n".join(lines)


def as_html(found: Methods) -> str:
    """Return the table in HTML with the facts below."""
    cells = lambda row, tag: "".join(f"<{tag} style='text-align:left'>{html.escape(c)}</{tag}>" for c in row)  # noqa: E731
    body = "".join(f"<tr>{cells(_cells(row), 'td')}</tr>" for row in found.rows)
    facts = "<br>".join(f"<b>{html.escape(name)}</b> {html.escape(text)}" for name, text in _facts(found))
    notes = "".join(f"<li>{html.escape(warning)}</li>" for warning in found.warnings)
    table = f"<table><tr>{cells(_HEAD, 'th')}</tr>{body}</table>"
    return f"<div><b>{html.escape(_title(found))}</b>{table}{facts}<ul>{notes}</ul></div>"


def _title(found: Methods) -> str:
    good = sum(row.status == "ok" for row in found.rows)
    far = f", {found.decades:.2g} decades beyond the runs" if found.decades > 0 else ""
    return (
        f"{good} of {len(found)} methods answer on {found.table['used']} runs of {found.table['origin']}: "
        f"flops {format_quantity(found.flops)}{far}"
    )


def _cells(row: Row) -> tuple[str, ...]:
    if row.status != "ok":
        return (row.method, f"- {row.status}", *[""] * (len(_HEAD) - 2))
    return (
        row.method,
        _number(row.a),
        _number(row.b),
        _quantity(row.params),
        _quantity(row.tokens),
        _number(row.loss),
        "-" if row.excess is None else _small(row.excess),
        "-" if row.waste is None else _share(row.waste),
        "-" if row.bias is None else f"{round(row.bias, 4) + 0.0:+.2%}",
    )


def _facts(found: Methods) -> list[tuple[str, str]]:
    said: list[tuple[str, str]] = []
    drawn: dict[str, list[str]] = {}
    for row in found.rows:
        if row.draws:
            drawn.setdefault(row.resampled, []).append(f"{row.method} {row.draws}")
    if drawn:
        text = "; ".join(f"{what} ({', '.join(names)})" for what, names in drawn.items())
        said.append(("intervals", f"{found.level:.0%}, percentile, resampled: {text}"))
    if found.reference:
        how = "given" if found.given else "fitted to these runs"
        said.append(
            (
                "regret",
                f"loss of the method's size at the budget above the least, by {found.reference}, {how}; waste: share of ",
            )
        )
        said[-1] = (said[-1][0], said[-1][1] + "the budget that this loss did not need")
    if any(row.bias is not None for row in found.rows):
        said.append(
            (
                "bias here",
                "error of the size where the fitted law holds exactly at these runs: what no more runs of this design cure",
            )
        )
    for row in found.rows:
        said += [(row.method, note) for note in row.notes]
        if row.status != "ok":
            said.append((row.method, f"no answer, {REFUSALS[row.status]}: {row.reason}"))
    return said


def _number(e: Estimate | None) -> str:
    if e is None:
        return "-"
    value = format_number(e.value, e.low, e.high)
    if e.low is None or e.high is None:
        return value
    return f"{value} ({format_number(e.low, e.low, e.high)} to {format_number(e.high, e.low, e.high)})"


def _quantity(e: Estimate | None) -> str:
    return "-" if e is None else e.says()


def _small(e: Estimate) -> str:
    top = "" if e.high is None else f" (to {e.high:.2g})"
    return f"{e.value:.2g}{top}" if e.value > 1e-9 else f"0{top}"


def _share(e: Estimate) -> str:
    top = "" if e.high is None or math.isnan(e.high) else f" (to {e.high:.1%})"
    return f"{max(e.value, 0.0):.1%}{top}"
