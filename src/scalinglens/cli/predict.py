"""`scalinglens predict`: losses, with intervals where a fit has them, at the points you name."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import Positional, UseAppendAction, arg

from scalinglens.cli.options import pairs, parsed, split_points, values
from scalinglens.errors import FitError, OptionError, PredictionError, did_you_mean

if TYPE_CHECKING:
    import pandas as pd

    from scalinglens.fit import Fit
    from scalinglens.fit.compare.pool import PooledFit
    from scalinglens.laws.law import Law

__all__ = ["Predict", "parse"]

Flag = Annotated[bool, arg(help_behavior_hint="")]

OWN = ("--points", "--level", "--at")
FLAGS = ("--law-only", "--json", "--help")


@dataclass(frozen=True)
class Predict:
    """Predict from a saved fit, or from a published law with its constants.

    Every input of the law is an option: a quantity, a list (one point each) or a geometric range LOW:HIGH:COUNT.

    scalinglens predict fit.json --params 70B --tokens 1.4T

    scalinglens predict besiroglu2024 --params 1B:100B:5 --tokens 1.4T
    """

    fit: Annotated[Positional[str], arg(metavar="FIT.json|LAW")]
    """A fit that was saved, or the name of a published law."""

    at: Annotated[UseAppendAction[tuple[str, ...]], arg(metavar="NAME=VALUE")] = ()
    """Value of an input of the law; --NAME VALUE is short for it, as in --params 70B --tokens 1.4T."""

    points: Annotated[str, arg(metavar="FILE", help_behavior_hint="")] = ""
    """Table of the points to predict at, in any form that fit reads; options fill in or replace its columns."""

    level: Annotated[float | None, arg(metavar="FLOAT", help_behavior_hint="")] = None
    """Probability of the intervals; that of the fit if not given."""

    law_only: Flag = False
    """Make the interval one for the law itself, the mean of many runs, and not for a single new run with its scatter."""

    json: Flag = False
    """Print JSON and nothing else on stdout."""

    def run(self) -> int:
        """Do what the options say and return the exit status."""
        from scalinglens.laws.law import Law
        from scalinglens.runs import read_runs

        source = _fit_or_law(self.fit)
        columns = _columns(source, pairs("at", self.at, "params=70B"))
        runs = read_runs(self.points) if self.points else None
        screen = sys.stderr if self.json else sys.stdout
        if runs is not None:
            print(runs.summary(), file=screen, end="\n\n")
        table = {} if runs is None else {name: runs.column(name) for name in source.inputs if name in runs.columns}
        points = _even({**table, **columns})
        if isinstance(source, Law):
            frame, words = _published(source, points, self.level)
        else:
            frame, words = _fitted(source, points, self.level, not self.law_only)
        print(f"{_says(words)}\n{_interval(words)}", file=screen)
        print(*(f"! {warning}" for warning in words["warnings"]), "", sep="\n", file=screen, flush=True)
        print(json.dumps({**words, "predictions": _rows(frame)}, indent=1) if self.json else _table(frame))
        return 0


def parse(words: Sequence[str]) -> Predict:
    """Read the words after `scalinglens predict`; options it does not know are inputs of the law."""
    rest, points = split_points(words, OWN, FLAGS)
    return parsed(Predict, "predict", [*rest, *(word for pair in points.items() for word in ("--at", "=".join(pair)))])


def _fit_or_law(name: str) -> Fit | PooledFit | Law:
    if name.endswith(".json") or os.path.exists(name):
        from scalinglens.fit.saved import load

        return load(name)
    from scalinglens.laws.catalogue import law

    return law(name)


def _columns(source: Fit | PooledFit | Law, texts: Mapping[str, str]) -> dict[str, Any]:
    for name in texts:
        if name not in source.inputs:
            option = name.replace("_", "-")
            near = did_you_mean(
                f"--{option}", [f"--{word}" for word in (*source.inputs, "points", "level", "law-only")]
            )
            called = getattr(source, "name", "") or _name(source)[0]  # type: ignore[arg-type]
            raise PredictionError(
                f"the law {called} has no input {name!r}{near}; it needs {', '.join(f'--{n}' for n in source.inputs)}"
            )
    return {name: [text] if name == "schedule" else values(name, text) for name, text in texts.items()}


def _even(points: Mapping[str, Any]) -> dict[str, Any]:
    """Repeat the inputs given by one value, so that all have one value per point."""
    sizes = {name: len(values) for name, values in points.items()}
    count = max(sizes.values(), default=1)
    if set(sizes.values()) - {1, count}:
        said = ", ".join(f"{size} of {name}" for name, size in sizes.items())
        raise OptionError(f"the numbers of values differ: {said}; name one value of an input, or one per point")
    return {name: values if len(values) == count else [*values] * count for name, values in points.items()}


def _name(fit: Fit | PooledFit) -> tuple[str, str, dict[str, float]]:
    """The name of what was fitted, its formula, and its numbers: parameters of a law, weights of a pool."""
    from scalinglens.fit.compare.pool import PooledFit

    if isinstance(fit, PooledFit):
        members = {member.law.name: w for member, w in zip(fit.members, fit.weights, strict=True)}
        shares = ", ".join(f"{w:.0%} {name}" for name, w in members.items())
        return "auto", f"weighted {fit.how} of {shares}", members
    return fit.law.name, fit.law.formula, dict(fit.values)


def _fitted(
    fit: Fit | PooledFit, points: Mapping[str, Any], level: float | None, noise: bool
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return the predictions (inputs, output, low, high) and all else there is to say, as it stands in the JSON."""
    frame = fit.predict(points, level=level, noise=noise)
    without = bool(frame["low"].isna().all())
    refusal = fit.refusal or ("no intervals: the fit has no draws; fit again with --boot 1000" if without else "")
    name, formula, numbers = _name(fit)
    return frame, {
        "schema": 1,
        "law": name,
        "formula": formula,
        "status": fit.status,
        "level": fit.level if level is None else level,
        "refusal": refusal or None,
        "parameters": numbers,
        "runs": {word: fit.table[word] for word in ("used", "origin")},
        "noise": noise,
        "citation": "; ".join(fit.citations()) if name == "auto" else _cited(fit.law),  # type: ignore[union-attr]
        "warnings": [*fit.extrapolation(points), *fit.warnings],
    }


def _published(law: Law, points: Mapping[str, Any], level: float | None) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return the values of a law with its printed constants, in the same shape."""
    import pandas as pd

    if level is not None:
        raise FitError(
            "a published law has no intervals, so --level cannot be met; "
            "fit the law to runs with --boot 1000 --save fit.json and predict from that file"
        )
    value = law.value(None, points)  # first, because it checks the points
    inputs = {name: points[name] for name in law.inputs}
    frame = pd.DataFrame({**inputs, law.output: value, "low": math.nan, "high": math.nan}, index=range(value.size))
    return frame, {
        "schema": 1,
        "law": law.name,
        "formula": law.formula,
        "status": "published",
        "level": None,
        "refusal": "no intervals: published constants are single numbers",
        "parameters": dict(law.constants),
        "runs": None,
        "noise": False,
        "citation": _cited(law),
        "warnings": [],
    }


def _cited(law: Law) -> str | None:
    return law.about.get("citation") or law.source or None


def _says(words: Mapping[str, Any]) -> str:
    name = "the law" if " " in words["law"] else words["law"]
    if words["runs"] is None:
        constants = ", ".join(f"{key} = {value:.6g}" for key, value in words["parameters"].items())
        return f"{name} with its published constants ({constants}; {words['citation']}): {words['formula']}"
    return f"{name} fitted to {words['runs']['used']} runs of {words['runs']['origin']}, {words['status']}: {words['formula']}"


def _interval(words: Mapping[str, Any]) -> str:
    return words["refusal"] or (
        f"{100 * words['level']:.6g}% intervals of {'a single new run' if words['noise'] else 'the law'}"
    )


def _rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    plain = lambda value: float(value) if math.isfinite(value) else None  # noqa: E731
    *inputs, output, _, _ = frame.columns
    rows = []
    for row in frame.to_dict("records"):
        ends = {"value": plain(row[output]), "low": plain(row["low"]), "high": plain(row["high"])}
        rows.append(
            {**{name: str(row[name]) if name == "schedule" else plain(row[name]) for name in inputs}, output: ends}
        )
    return rows


def _table(frame: pd.DataFrame) -> str:
    from scalinglens.cli.table import aligned
    from scalinglens.quantities import format_number, format_quantity

    *inputs, output, _, _ = frame.columns
    rows = [[*inputs, output, "interval"]]
    for row in frame.to_dict("records"):
        low, high = (end if math.isfinite(end) else None for end in (row["low"], row["high"]))
        value, *ends = (format_number(number, low, high) for number in (row[output], low, high) if number is not None)
        rows.append(
            [
                *((str(row[name]) if name == "schedule" else format_quantity(row[name], digits=6)) for name in inputs),
                value,
                " to ".join(ends) or "-",
            ]
        )
    return aligned(rows)
