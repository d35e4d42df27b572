"""`scalinglens downstream`: the accuracy of a task at larger runs, by way of its loss."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import Positional, UseAppendAction, arg

from scalinglens.cli.options import pairs, parsed, split_points, values
from scalinglens.cli.progress import bar
from scalinglens.errors import OptionError, PredictionError, did_you_mean

if TYPE_CHECKING:
    import pandas as pd

    from scalinglens.fit.downstream import TwoStep

__all__ = ["Downstream", "parse"]

Column = Annotated[str, arg(metavar="COLUMN", help_behavior_hint="")]
Flag = Annotated[bool, arg(help_behavior_hint="")]
Words = UseAppendAction[tuple[str, ...]]

FLAGS = ("--law-only", "--json", "--strict", "--help")
OWN = tuple(
    f"--{name}"
    for name in (
        *(
            "at",
            "task",
            "loss-column",
            "map",
            "where",
            "law",
            "link",
            "chance",
            "floor",
            "items",
            "run-column",
            "final",
        ),
        *("smooth", "skip", "anchor", "boot", "resample", "level", "seed"),
    )
)


@dataclass(frozen=True)
class Downstream:
    """Forecast the accuracy of a task in two steps: a law for its loss, and a link from the loss to the accuracy.

    Every input of the law is an option: a quantity, a list (one point each) or a geometric range LOW:HIGH:COUNT.

    scalinglens downstream runs.csv --task arc_easy --loss-column arc_easy_bpb --chance 0.25 --params 7B --tokens 4T
    """

    runs: Annotated[Positional[str], arg(metavar="RUNS")]
    """Table of runs, one row each, or with several checkpoints of each (see --run-column)."""

    task: Annotated[str, arg(metavar="COLUMN")]
    """Column with the share of right answers."""

    at: Annotated[Words, arg(metavar="NAME=VALUE")] = ()
    """Value of an input of the law; --NAME VALUE is short for it, as in --params 7B --tokens 4T."""

    loss_column: Column = ""
    """Column with the loss of the task, or of a validation text; by default the one recognised as loss."""

    map: Annotated[Words, arg(metavar="NAME=COLUMN")] = ()
    """Column, or formula over columns, that holds a quantity: --map params="Model Size"."""

    where: Annotated[str, arg(metavar="EXPR", help_behavior_hint="")] = ""
    """Keep the runs for which this holds."""

    law: Annotated[str, arg(metavar="NAME|FORMULA")] = "hoffmann2022"
    """Law of step 1, from the inputs to the loss."""

    link: Annotated[str, arg(metavar="sigmoid|exponential|FORMULA")] = "sigmoid"
    """Link of step 2, from the loss to the accuracy."""

    chance: Annotated[float | None, arg(metavar="FLOAT", help_behavior_hint="")] = None
    """Accuracy of guessing, 0.25 for four choices; some checks need it."""

    floor: Annotated[str, arg(metavar="free|chance|FLOAT")] = "free"
    """Accuracy of the link at a large loss."""

    items: Annotated[int | None, arg(metavar="INT", help_behavior_hint="")] = None
    """Questions of the benchmark, for its own noise."""

    run_column: Column = ""
    """Column that names the run of a row, for tables with several checkpoints per run in the order of training."""

    final: int = 1
    """Checkpoints at the end of a run that step 1 averages."""

    smooth: int = 1
    """Checkpoints of the trailing mean for step 2."""

    skip: float = 0.0
    """Share of a run that step 2 leaves out at its beginning."""

    anchor: Annotated[str, arg(metavar="LOSS,ACCURACY", help_behavior_hint="")] = ""
    """A further point of step 2, such as 0,1."""

    boot: int = 0
    """Bootstrap refits for intervals; 1000 is a good number, 0 means none."""

    resample: Annotated[str, arg(metavar="rows|parametric")] = "rows"
    """What a refit sees: resampled runs, or noise about the fits where resamples determine no law."""

    level: float = 0.9
    """Probability of the intervals."""

    seed: int = 0
    """Seed of starts and resamples; the same seed gives the same numbers."""

    law_only: Flag = False
    """Make the intervals those of the laws themselves, and not of a single new run with its scatter."""

    json: Flag = False
    """Print JSON and nothing else on stdout."""

    strict: Flag = False
    """End with status 3 where the forecast is refused."""

    def run(self) -> int:
        """Do what the options say and return the exit status."""
        from scalinglens.fit.downstream import Checkpoints, two_step
        from scalinglens.laws.catalogue import law
        from scalinglens.runs import read_runs

        mapping = pairs("map", self.map, 'params="Model Size"')
        if self.loss_column and "loss" in mapping:
            raise OptionError(
                f"--loss-column {self.loss_column} and --map loss={mapping['loss']} both say what the loss is"
            )
        if self.loss_column:
            mapping["loss"] = self.loss_column
        points = _points(law(self.law).inputs, pairs("at", self.at, "params=7B"))
        runs = read_runs(self.runs, where=self.where or None, **mapping)  # type: ignore[arg-type]
        screen = sys.stderr if self.json else sys.stdout
        print(runs.summary(), file=screen, end="\n\n", flush=True)
        reading = Checkpoints(self.run_column, self.final, self.smooth, self.skip) if self.run_column else None
        if reading is None and (self.final, self.smooth, self.skip) != (1, 1, 0.0):
            raise OptionError(
                "--final, --smooth and --skip count checkpoints of a run; name its column with --run-column"
            )
        with bar("fitting") as progress:
            forecast = two_step(
                runs,
                task=self.task,
                loss_law=self.law,
                link=self.link,
                chance=self.chance,
                floor=_floor(self.floor),
                items=self.items,
                checkpoints=reading,
                anchor=_anchor(self.anchor),
                boot=self.boot,
                resample=self.resample,
                level=self.level,
                seed=self.seed,
                progress=progress,
            )
        print(forecast, file=screen, flush=True)
        words: dict[str, Any] = forecast.to_dict()
        frame = None
        if points:
            frame = forecast.steps(points, noise=not self.law_only)
            words["warnings"] = [*forecast.extrapolation(points), *words["warnings"]]
            words["noise"] = not self.law_only
            words["predictions"] = _rows(frame, forecast)
            for warning in forecast.extrapolation(points):
                print(f"  ! {warning}", file=screen)
        if self.json:
            print(json.dumps(words, indent=1))
        elif frame is not None:
            print(f"\n{_table(frame, forecast)}")
        return 3 if self.strict and forecast.refusal else 0


def parse(words: Sequence[str]) -> Downstream:
    """Read the words after `scalinglens downstream`; options it does not know are inputs of the law."""
    rest, points = split_points(words, OWN, FLAGS)
    at = (word for pair in points.items() for word in ("--at", "=".join(pair)))
    return parsed(Downstream, "downstream", [*rest, *at])


def _floor(text: str) -> str | float:
    if text in ("free", "chance"):
        return text
    try:
        return float(text)
    except ValueError:
        raise OptionError(f"--floor {text} is neither free nor chance nor a number") from None


def _anchor(text: str) -> tuple[float, float] | None:
    if not text:
        return None
    try:
        loss, accuracy = (float(part) for part in text.split(","))
    except ValueError:
        raise OptionError(f"--anchor {text} is not LOSS,ACCURACY; write it as in --anchor 0,1") from None
    return loss, accuracy


def _points(inputs: tuple[str, ...], texts: dict[str, str]) -> dict[str, list[float]]:
    for name in texts:
        if name not in inputs:
            known = ", ".join(f"--{word.replace('_', '-')}" for word in inputs)
            near = did_you_mean(name, [*inputs, *(option[2:].replace("-", "_") for option in OWN)])
            raise PredictionError(f"the law of step 1 has no input {name!r}{near}; it needs {known}")
    return {name: values(name, text) for name, text in texts.items()}


def _rows(frame: pd.DataFrame, forecast: TwoStep) -> list[dict[str, Any]]:
    plain = lambda value: float(value) if math.isfinite(value) else None  # noqa: E731
    found = []
    for row in frame.to_dict("records"):
        inputs = {name: plain(row[name]) for name in forecast.inputs}
        loss = {"value": plain(row["loss"]), "low": plain(row["loss_low"]), "high": plain(row["loss_high"])}
        task = {"value": plain(row[forecast.task]), "low": plain(row["low"]), "high": plain(row["high"])}
        found.append({**inputs, "loss": loss, forecast.task: task})
    return found


def _table(frame: pd.DataFrame, forecast: TwoStep) -> str:
    from scalinglens.cli.table import aligned
    from scalinglens.quantities import format_number, format_quantity

    def cells(value: float, low: float, high: float) -> list[str]:
        ends = [end if math.isfinite(end) else None for end in (low, high)]
        shown = [format_number(number, *ends) for number in (value, *ends) if number is not None]
        return [shown[0], " to ".join(shown[1:]) or "-"]

    rows = [[*forecast.inputs, "loss", "interval", forecast.task, "interval"]]
    for row in frame.to_dict("records"):
        inputs = [format_quantity(row[name], digits=6) for name in forecast.inputs]
        loss = cells(row["loss"], row["loss_low"], row["loss_high"])
        rows.append([*inputs, *loss, *cells(row[forecast.task], row["low"], row["high"])])
    return aligned(rows)
