"""A design as text for a terminal, as HTML for a notebook, and as a sweep file for the experiment runner."""

from __future__ import annotations

import html
import json
from typing import TYPE_CHECKING

import numpy as np

from scalinglens.quantities import format_quantity

if TYPE_CHECKING:
    from scalinglens.plan.design.result import Design

__all__ = ["as_html", "as_text", "as_toml"]

COUNTS = (
    "params",
    "tokens",
    "width",
    "depth",
    "steps",
    "examples",
    "batch",
    "vocab",
    "seed",
    "heads",
    "sequence_length",
)


def as_text(design: Design) -> str:
    """Return the design as a block of text: the ladder, its cost, the interval before and after, warnings."""
    rows = _rows(design)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    table = ["  " + "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows]
    lines = [_title(design), "", *table, ""]
    lines += [f"  {name:<12}{text}" for name, text in _facts(design)]
    lines += [f"  {'near':<12}{text}" for text in _near(design)]
    return "\n".join(lines + [f"  ! {warning}" for warning in design.warnings])


def as_html(design: Design) -> str:
    """Return the design as a small HTML table with its facts below."""
    head, *body = _rows(design)
    cells = lambda row, tag: "".join(f"<{tag} style='text-align:left'>{html.escape(c)}</{tag}>" for c in row)  # noqa: E731
    table = f"<tr>{cells(head, 'th')}</tr>" + "".join(f"<tr>{cells(row, 'td')}</tr>" for row in body)
    facts = "<br>".join(f"<b>{html.escape(name)}</b> {html.escape(text)}" for name, text in _facts(design))
    notes = "".join(f"<li>{html.escape(warning)}</li>" for warning in design.warnings)
    return f"<div><b>{html.escape(_title(design))}</b><table>{table}</table>{facts}<ul>{notes}</ul></div>"


def as_toml(design: Design) -> str:
    """Return the design as TOML: what it is for in comments, then one [[run]] per run."""
    before, after = design.before, design.after
    lines = [
        f"# {_title(design)}",
        f"# {design.decision}: {before.says()} before, {after.says()} expected after",
        *(f"# ! {warning}" for warning in design.warnings),
        "schema = 1",
        f"cost = {design.cost!r}",
        f"unit = {json.dumps(design.unit)}",
    ]
    frame = design.runs
    names = [name for name in frame.columns if name not in ("cost", "cumulative", "left", "group")]
    if {"width", "depth"} <= set(names):  # a shape says the size
        names = [name for name in names if not name.startswith("params")]
    several = len(np.unique(frame["batch"].to_numpy())) > 1
    names = [name for name in names if name != "batch"]
    for row in frame.to_dict("records"):
        lines += ["", "[[run]]", *(f"{name} = {_value(str(name), row[name])}" for name in names)]
        lines += [f"stage = {row['batch']}"] if several else []  # no word that a trainer would take for its batch size
    return "\n".join(lines) + "\n"


def _value(name: str, value: object) -> str:
    if isinstance(value, str):
        return json.dumps(value)
    number = float(value)  # type: ignore[arg-type]
    counted = any(name == word or name.startswith(f"{word}_") for word in COUNTS)
    return str(round(number)) if counted or number == int(number) else repr(number)


def _title(design: Design) -> str:
    what = "a first ladder" if design.first else "next runs"
    count = f"{len(design)} run{'s' if len(design) != 1 else ''}"
    share = design.cost / design.budget if design.budget else 0.0
    return f"{what}: {count} for {_amount(design.cost)} {design.unit} ({share:.0%} of the budget), to settle {_decision(design)}"


def _decision(design: Design) -> str:
    at = ", ".join(f"{name} {format_quantity(value)}" for name, value in design.at.items())
    return f"{design.decision} at {at}" if at else design.decision


def _amount(value: float) -> str:
    return f"{value:.3g}"


def _rows(design: Design) -> list[list[str]]:
    frame = design.runs
    names = [name for name in frame.columns if name not in ("group",)]
    if len(np.unique(frame["batch"].to_numpy())) < 2:
        names = [name for name in names if name != "batch"]
    rows = [["run", *map(str, names)]]
    for number, row in enumerate(frame.to_dict("records"), 1):
        cells = []
        for name in names:
            value = row[name]
            if isinstance(value, str):
                cells.append(value)
            elif name in ("cost", "cumulative"):
                cells.append(_amount(value))
            elif name == "left":
                cells.append(f"{value:.0%}")
            else:
                cells.append(format_quantity(value))
        rows.append([str(number), *cells])
    return rows


def _facts(design: Design) -> list[tuple[str, str]]:
    level = f"{design.before.level:.0%}" if design.before.level else "no"
    ratio = design.sd_after / design.sd_before if design.sd_before else 1.0
    return [
        ("before", f"{design.decision} {design.before.says()}, {level} interval"),
        ("after", f"{design.decision} {design.after.says()}, expected; {1 / ratio:.3g} times narrower"),
        *_most_of_it(design),
        ("information", f"{design.share:.0%} of what all candidates together would give"),
        *(("assumes", text) for text in design.assumptions),
    ]


def _most_of_it(design: Design) -> list[tuple[str, str]]:
    """How far the first runs get, where a few cheap ones bring nearly all."""
    left = design.runs["left"].to_numpy()
    if len(left) < 2 or left[-1] >= 1:
        return []
    enough = int((1 - left >= 0.9 * (1 - left[-1])).argmax())
    share = float(design.runs["cumulative"].iloc[enough]) / design.cost if design.cost else 1.0
    if share > 0.7:
        return []
    return [("cheaper", f"the first {enough + 1} runs bring nine tenths of the narrowing for {share:.1%} of the cost")]


def _near(design: Design) -> list[str]:
    """Ranges that do nearly as well, for the three dearest runs."""
    frame = design.alternatives
    found = []
    records = frame.to_dict("records")
    for number in dict.fromkeys(r["run"] for r in records):
        rows = [r for r in records if r["run"] == number and r["low"] < r["high"]]
        if rows:
            ranges = ", ".join(
                f"{r['input']} {format_quantity(r['low'])} to {format_quantity(r['high'])}" for r in rows
            )
            found.append(
                (float(design.runs["cost"].iloc[int(number) - 1]), f"run {number}: {ranges} would do nearly as well")
            )
    return [text for _, text in sorted(found, key=lambda pair: -pair[0])[:3]]
