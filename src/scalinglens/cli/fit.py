"""`scalinglens fit`: a table of runs and a law in, a certified fit out."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from tyro.conf import Positional, UseAppendAction, arg

from scalinglens.cli.options import number_pairs, pairs, parsed
from scalinglens.cli.progress import bar
from scalinglens.errors import OptionError
from scalinglens.files import PICTURES, SAVED, check_writable

__all__ = ["Fit", "parse"]

Column = Annotated[str, arg(metavar="COLUMN", help_behavior_hint="")]
File = Annotated[str, arg(metavar="FILE", help_behavior_hint="")]
Flag = Annotated[bool, arg(help_behavior_hint="")]
Words = UseAppendAction[tuple[str, ...]]


@dataclass(frozen=True)
class Fit:
    """Fit a law to a table of training runs, certify the optimum, and say how sure the numbers are.

    scalinglens fit runs.csv --law besiroglu2024 --boot 1000 --groups params --save fit.json --plot fit.png
    """

    runs: Annotated[Positional[str], arg(metavar="RUNS")]
    """Table of runs: CSV, TSV, JSON, JSON lines or Parquet, also gzipped."""

    law: Annotated[str, arg(metavar="NAME|FORMULA")] = "hoffmann2022"
    """Law to fit: a name (see scalinglens laws) or a formula such as "E + A/params^alpha"."""

    map: Annotated[Words, arg(metavar="NAME=COLUMN")] = ()
    """Column, or formula over columns, that holds a quantity: --map params="Model Size" --map tokens="D * 1e9"."""

    x: Column = ""
    """Column that is the x of a one-variable law; short for --map x=COLUMN."""

    where: Annotated[str, arg(metavar="EXPR", help_behavior_hint="")] = ""
    """Keep the runs for which this holds, as in "loss < 3.44 and params > 1B"."""

    duplicates: Annotated[str, arg(metavar="keep|drop")] = "keep"
    """Whether runs that repeat an earlier one in every column stay."""

    checkpoints: Annotated[str, arg(metavar="all|final|constant_rate|schedule")] = "all"
    """Which losses along a run are used: all, the final one, those at constant learning rate, or all with their schedule."""

    warmup: Annotated[str, arg(metavar="RULE", help_behavior_hint="")] = ""
    """Leave out the start of each run: "10B tokens", "2000 steps" or "0.1 of run"."""

    by: Column = ""
    """Columns, with commas between, that tell one run from another; run if the table has it."""

    target: Column = ""
    """Column to fit; by default what the law returns, mostly loss."""

    loss: Annotated[str, arg(metavar="huber|squares|lad|likelihood")] = "huber"
    """Penalty on residuals."""

    delta: float = 1e-3
    """Residual at which Huber's loss turns linear."""

    space: Annotated[str, arg(metavar="log|linear|log1p")] = "log"
    """Residuals of ln loss, of loss, or of ln(1 + loss)."""

    asymmetry: float = 1.0
    """Factor on the penalty where the prediction lies above a run."""

    weights: Column = ""
    """Column of row weights."""

    pin: Annotated[Words, arg(metavar="NAME=VALUE")] = ()
    """Hold a parameter at a value: --pin E=1.8."""

    tie: Annotated[Words, arg(metavar="NAME=FORMULA")] = ()
    """Write a parameter as a formula in the others: --tie beta=alpha."""

    boot: int = 0
    """Bootstrap refits for intervals; 1000 is a good number, 0 means none."""

    groups: Column = ""
    """Column of the groups of runs that share noise, as in run or params; single runs by default."""

    resample: Annotated[str, arg(metavar="parametric|rows|wild")] = "parametric"
    """What each refit sees: noise as estimated, resampled runs (or groups), or residuals with random signs."""

    interval: Annotated[str, arg(metavar="percentile|bca|profile|delta")] = "percentile"
    """How intervals are made; profile and delta need no bootstrap."""

    level: float = 0.9
    """Probability of the intervals."""

    starts: Annotated[int | None, arg(metavar="INT", help_behavior_hint="")] = None
    """Independent starts of the search; chosen by the difficulty of the law if not given."""

    seed: int = 0
    """Seed of starts and resamples; the same seed gives the same numbers."""

    save: File = ""
    """Write the fit here, a .json file; scalinglens predict reads it."""

    plot: File = ""
    """Draw the fit here: .png, .pdf or .svg."""

    json: Flag = False
    """Print JSON and nothing else on stdout."""

    strict: Flag = False
    """End with status 3 unless the fit is certified."""

    def run(self) -> int:
        """Do what the options say and return the exit status."""
        mapping = _mapping(self.map, self.x)
        pin = number_pairs("pin", self.pin, "E=1.8")
        tie = pairs("tie", self.tie, "beta=alpha")
        if self.save:
            check_writable(self.save, SAVED)
        if self.plot:
            check_writable(self.plot, PICTURES)

        from scalinglens.fit import fit
        from scalinglens.runs import read_runs

        runs = read_runs(self.runs, where=self.where or None, duplicates=self.duplicates, **mapping)  # type: ignore[arg-type]
        if self.checkpoints != "all" or self.warmup:
            from scalinglens.fit.curves.checkpoints import checkpoints

            runs = checkpoints(runs, self.checkpoints, warmup=self.warmup or None, by=self.by or None)  # type: ignore[arg-type]
        screen = sys.stderr if self.json else sys.stdout
        print(runs.summary(), file=screen, end="\n\n", flush=True)
        with bar("fitting") as progress:
            result = fit(
                runs,
                self.law,
                loss=self.loss,
                delta=self.delta,
                space=self.space,
                asymmetry=self.asymmetry,
                weights=self.weights or None,
                pin=pin,
                tie=tie,
                target=self.target or None,
                boot=self.boot,
                groups=self.groups or None,
                resample=self.resample,
                interval=self.interval,
                level=self.level,
                starts=self.starts,
                seed=self.seed,
                progress=progress,
            )
        print(json.dumps(result.to_dict(), indent=1) if self.json else result, flush=True)
        if self.save:
            result.save(self.save)
            print(f"\nfit written to {self.save}", file=screen)
        if self.plot:
            with bar("drawing"):
                result.plot(self.plot)
            print(f"picture written to {self.plot}", file=screen)
        return 3 if self.strict and result.status != "certified" else 0


def parse(words: Sequence[str]) -> Fit:
    """Read the words after `scalinglens fit`."""
    return parsed(Fit, "fit", words)


def _mapping(words: Sequence[str], x: str) -> dict[str, str]:
    mapping = pairs("map", words, 'params="Model Size"')
    if x and "x" in mapping:
        raise OptionError(f"--x {x} and --map x={mapping['x']} both say what x is; keep one")
    for name in ("source", "where", "duplicates"):
        if name in mapping:
            raise OptionError(f'--map {name}=...: "{name}" is no quantity; write for example --map params="Model Size"')
    return mapping | ({"x": x} if x else {})
