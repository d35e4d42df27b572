"""A comparison as sentences, as text for a terminal and as HTML for a notebook."""

from __future__ import annotations

import html
import math
import textwrap
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from scalinglens.fit.compare.contenders import FAILED
from scalinglens.fit.result import REFUSED

if TYPE_CHECKING:
    from scalinglens.fit.compare.comparison import Comparison
    from scalinglens.fit.compare.paired import Paired

__all__ = ["as_html", "as_text", "percent", "verdict"]

WIDTH = 34  # characters of a law's name in the table


def verdict(found: Comparison) -> tuple[str, ...]:
    """Return what a comparison says, in sentences: the best law, what it cannot be told from, baselines, intervals, marks."""
    best = found.scores[found.best]
    origins = len(found.folds)
    reach = max((fold.factor for fold in found.folds if math.isfinite(fold.factor)), default=math.nan)
    held = f"{best['runs']} held-out run{'s' if best['runs'] != 1 else ''}" + (
        f" from {origins} origins" if origins > 1 else ""
    )
    far = f", up to {reach:.3g} times as large as the largest of the fit" if reach > 1 else ""
    lead = "forecasts best" if len(found.laws) > 1 else "forecasts"
    sentences = [f"{_short(found.best)} {lead}: {_error(found, best)} over {held}{far}."]
    laws = [test for test in found.tests if test.law in found.laws]
    sentences += _against_laws(found, laws)
    sentences += _against_baselines(found, [test for test in found.tests if test.law not in found.laws])
    sentences += _intervals(found, best)
    sentences += _marks(found)
    return tuple(sentences)


def as_text(found: Comparison) -> str:
    """Return the comparison as a block of text: origins, scores, verdict, advice."""
    rows = _rows(found)
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    lines = [_title(found)]
    lines += [f"  origin {fold.origin}: {fold.says()}" for fold in found.folds]
    lines += [
        "",
        *("  " + "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows),
        "",
    ]
    for sentence in found.verdict:
        lines += textwrap.wrap(sentence, 116, initial_indent="  ", subsequent_indent="    ", break_long_words=False)
    lines += [f"  ! {warning}" for warning in found.warnings]
    advised = _advised(found)
    if advised:
        lines += ["", "  advice"]
        for said in advised:
            lines += textwrap.wrap(said, 116, initial_indent="    ", subsequent_indent=" " * 10)
    return "\n".join(lines)


def as_html(found: Comparison) -> str:
    """Return the comparison as a small HTML table with its verdict below."""
    head, *body = _rows(found)
    cells = lambda row, tag: "".join(f"<{tag} style='text-align:left'>{html.escape(cell)}</{tag}>" for cell in row)  # noqa: E731
    table = f"<tr>{cells(head, 'th')}</tr>" + "".join(f"<tr>{cells(row, 'td')}</tr>" for row in body)
    listed = lambda items: "".join(f"<li>{html.escape(item)}</li>" for item in items)  # noqa: E731
    folds = listed(f"origin {fold.origin}: {fold.says()}" for fold in found.folds)
    said = listed(found.verdict) + listed(found.warnings)
    advised = f"<b>advice</b><ul>{listed(_advised(found))}</ul>" if found.advice else ""
    return (
        f"<div><b>{html.escape(_title(found))}</b><ul>{folds}</ul><table>{table}</table><ul>{said}</ul>{advised}</div>"
    )


def percent(value: float) -> str:
    """Show a share as percent with three digits.

    >>> percent(0.01234), percent(float("nan"))
    ('1.23%', '-')
    """
    return "-" if math.isnan(value) else f"{100 * value:.3g}%"


def _title(found: Comparison) -> str:
    used, read = found.data["used"], found.data["read"]
    rows = f"{used} runs" if used == read else f"{used} of {read} runs"
    laws = f"{len(found.laws)} laws" if len(found.laws) > 1 else "1 law"
    return f"{laws} on {rows} of {found.data['origin']}: forecasts of {found.target}, hold-out {found.holdout}"


def _rows(found: Comparison) -> list[tuple[str, ...]]:
    head = ("", "ARE", "RMSLE", "R2", f"in {found.level:.0%}", "width", "score", "AICc", "fits", "against the best law")
    rows: list[tuple[str, ...]] = [head]
    for name, row in found.scores.items():
        test = found.test(name)
        kind = "" if row["kind"] == "law" else " (no fit)"
        rows.append(
            (
                _short(name) + kind,
                percent(row["are"]),
                _number(row["rmsle"]),
                "-" if math.isnan(row["r2"]) else f"{row['r2']:.4f}",
                "-" if math.isnan(row["coverage"]) else f"{row['coverage']:.0%}",
                _number(row["width"]),
                _number(row["interval_score"]),
                "-" if math.isnan(row["aicc"]) else f"{row['aicc']:.1f}",
                "-" if row["kind"] != "law" else str(row["status"]),
                "best" if name == found.best else _outcome(test),
            )
        )
    return rows


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3g}"


def _outcome(test: Paired | None) -> str:
    if test is None:
        return "-"
    if test.p is None:
        return test.verdict
    return f"{test.verdict} ({_p(test)})"


def _p(test: Paired) -> str:
    p = test.adjusted if test.adjusted is not None else test.p
    return "p < 0.001" if p is not None and p < 1e-3 else f"p = {p:.2g}"


def _against_laws(found: Comparison, tests: list[Paired]) -> list[str]:
    sentences = []
    worse = [test for test in tests if test.verdict == "worse"]
    if worse:
        sentences.append("It beats " + "; ".join(f"{_short(test.law)} by {_gap(found, test)}" for test in worse) + ".")
    for test in (test for test in tests if test.verdict == "better"):
        sentences.append(
            f"On the {test.runs} runs that both forecast, {_short(test.law)} was better by {_gap(found, test, -1.0)}."
        )
    same = [test for test in tests if test.verdict == "not distinguishable"]
    if same:
        smallest = 2.0 ** (1 - same[0].clusters)
        pairs = len(found.laws) * (len(found.laws) - 1) // 2
        why = (
            f"; with {same[0].clusters} independent clusters of runs and {pairs} pairs of laws, no difference could be shown"
            if smallest * pairs > 1 - found.level
            else ""
        )
        gaps = "; ".join(f"{_short(test.law)} ({_gap(found, test)})" for test in same)
        sentences.append(f"Not distinguishable from it: {gaps}{why}.")
    for why in dict.fromkeys(test.why for test in tests if test.verdict == "not tested"):
        names = ", ".join(_short(test.law) for test in tests if test.why == why)
        sentences.append(f"Not tested against {names}: {why}.")
    return sentences


def _against_baselines(found: Comparison, tests: list[Paired]) -> list[str]:
    if not tests:
        return []
    order = {name: k for k, name in enumerate(found.scores)}
    nearest = min(tests, key=lambda test: order[test.law])
    name, error = nearest.law, _error(found, found.scores[nearest.law])
    if nearest.verdict == "worse":
        return [f"It beats the best forecast without a fit, {name}, which has {error}."]
    if nearest.verdict == "better":
        return [f"No law is as good as a forecast without a fit: {name} has {error}."]
    why = f" ({nearest.why})" if nearest.why else ""
    if nearest.verdict == "not tested":
        return [f"The best forecast without a fit, {name}, has {error}; not tested{why}."]
    return [f"It is not distinguishable from a forecast without a fit: {name} has {error}."]


def _intervals(found: Comparison, best: Any) -> list[str]:
    if math.isnan(best["coverage"]):
        why = f": {best['reason']}" if best["reason"] else "; ask for boot=200" if not found.settings["boot"] else ""
        return [f"It gave no intervals{why}."]
    part = found.forecasts(found.best)
    has = ~np.isnan(part["low"]) & ~np.isnan(part["high"])
    inside = has & (part["low"] <= part["observed"]) & (part["observed"] <= part["high"])
    share = inside.sum() / has.sum()
    # runs of one cluster are inside or outside together
    margin = 2.0 * math.sqrt(found.level * (1 - found.level) / len(set(part["cluster"][has].tolist())))
    honest = ": too few" if share < found.level - margin else ": too many" if share > found.level + margin else ""
    return [f"Its {found.level:.0%} intervals held {inside.sum()} of {has.sum()} runs ({share:.0%}){honest}."]


def _marks(found: Comparison) -> list[str]:
    """Sentences about laws whose forecasts rest on fits that say no, or that are missing."""
    sentences = []
    records = found.by_origin.to_dict(orient="records")
    for name in found.laws:
        own = [row for row in records if row["law"] == name]
        where = lambda count: f" at {count} of {len(own)} origins" if len(own) > 1 else ""  # noqa: B023, E731
        for status in REFUSED:
            such = [row for row in own if row["status"] == status]
            if such:
                none = all(math.isnan(row["coverage"]) for row in such)
                so = (
                    "its forecasts have no intervals there"
                    if none
                    else "trust neither its values nor its intervals there"
                )
                sentences.append(f"{_short(name)} is {status}{where(len(such))}: {so}.")
        for reason, count in Counter(row["reason"] for row in own if row["status"] == FAILED).items():
            sentences.append(f"{_short(name)} failed{where(count)}: {reason}.")
    return sentences


def _error(found: Comparison, row: Any) -> str:
    if math.isnan(row["are"]):
        return f"a mean error of {row['error']:.3g}"
    return f"an average error of {percent(row['are'])}"


def _gap(found: Comparison, test: Paired, sign: float = 1.0) -> str:
    """A mean difference of errors with its interval: percent for those of logarithms."""
    logs = not math.isnan(found.scores[test.law]["rmsle"])
    shown = (lambda v: f"{100 * v:.2g}") if logs else (lambda v: f"{v:.2g}")
    unit = "%" if logs else ""
    low, high = (test.low, test.high) if sign > 0 else (test.high, test.low)
    ends = ["open" if e is None or math.isinf(e) else f"{shown(sign * e)}{unit}" for e in (low, high)]
    return f"{shown(sign * test.difference)}{unit} ({ends[0]} to {ends[1]}, {_p(test)})"


def _short(name: str) -> str:
    return name if len(name) <= WIDTH else name[: WIDTH - 3].rstrip() + "..."


def _advised(found: Comparison) -> list[str]:
    """The checks that apply, those to look at first, and how many there are of each kind."""
    checks = sorted((c for c in found.advice if c.passed is not None), key=lambda check: bool(check.passed))
    said = [check.says() for check in checks]
    silent = len(found.advice) - len(checks)
    failed = sum(check.passed is False for check in checks)
    return [*said, f"{failed} to look at, {len(checks) - failed} well, {silent} not applicable"] if found.advice else []
