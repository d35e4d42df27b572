"""`scalinglens compare`: several laws fitted to the smaller runs of a table, scored on the larger ones."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from tyro.conf import Positional, UseAppendAction, arg

from scalinglens.cli.options import number_pairs, pairs, parsed
from scalinglens.cli.progress import bar
from scalinglens.errors import OptionError
from scalinglens.files import PICTURES, SAVED, check_writable

__all__ = ["Compare", "parse", "split_laws"]

Column = Annotated[str, arg(metavar="COLUMN", help_behavior_hint="")]
File = Annotated[str, arg(metavar="FILE", help_behavior_hint="")]
Flag = Annotated[bool, arg(help_behavior_hint="")]
Words = UseAppendAction[tuple[str, ...]]

OPENING, CLOSING = "([{", ")]}"
_DOMAIN = re.compile(r"[A-Za-z_]\w*\s*([<>]|(in|is|real|positive|nonnegative|negative)\b)")


@dataclass(frozen=True)
class Compare:
    """Compare laws by what they forecast: fit them to the smaller runs, score them on the larger ones.

    scalinglens compare runs.csv --laws hoffmann2022,auto,"E + A/params^alpha" --holdout top:flops:0.5
    """

    runs: Annotated[Positional[str], arg(metavar="RUNS")]
    """Table of runs: CSV, TSV, JSON, JSON lines or Parquet, also gzipped."""

    laws: Annotated[str, arg(metavar="LAW,LAW,...")] = "hoffmann2022,auto"
    """Names (see scalinglens laws), formulas and auto; commas inside brackets and after "where" belong to a formula."""

    holdout: Annotated[str, arg(metavar="TEXT")] = "top:flops:0.5"
    """What is forecast: top:COLUMN:SHARE, factor:COLUMN:K, above:COLUMN:VALUE, last:COLUMN or is:COLUMN=VALUE."""

    origins: Annotated[int | None, arg(metavar="INT", help_behavior_hint="")] = None
    """Origins to forecast from, the hold-out included; as many as leave enough runs, three at most, if not given."""

    map: Annotated[Words, arg(metavar="NAME=COLUMN")] = ()
    """Column, or formula over columns, that holds a quantity: --map params="Model Size" --map tokens="D * 1e9"."""

    x: Column = ""
    """Column that is the x of one-variable laws."""

    where: Annotated[str, arg(metavar="EXPR", help_behavior_hint="")] = ""
    """Keep the runs for which this holds, as in "loss < 3.44 and params > 1B"."""

    duplicates: Annotated[str, arg(metavar="keep|drop")] = "keep"
    """Whether runs that repeat an earlier one in every column stay."""

    target: Column = ""
    """Column to forecast; by default what the laws return, mostly loss."""

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
    """Hold a parameter at a value in every law that has it: --pin E=1.8."""

    boot: int = 200
    """Bootstrap refits for the intervals of each fit; 0 means no intervals."""

    groups: Column = ""
    """Column whose groups of runs are resampled whole and tested together; in tests, runs of one size by default."""

    resample: Annotated[str, arg(metavar="parametric|rows|wild", help_behavior_hint="")] = ""
    """What each refit sees: simulated noise, resampled runs, or signs of residuals drawn anew; as in fit if not given."""

    interval: Annotated[str, arg(metavar="percentile|bca|profile|delta")] = "percentile"
    """How intervals are made."""

    starts: Annotated[int | None, arg(metavar="INT", help_behavior_hint="")] = None
    """Independent starts of each search; chosen by the difficulty of the law if not given."""

    level: float = 0.9
    """Probability of the intervals; tests have size 1 - level."""

    seed: int = 0
    """Seed of starts, resamples and tests; the same seed gives the same numbers."""

    no_baselines: Flag = False
    """Leave out the forecasts that need no fit."""

    save: File = ""
    """Write the comparison here, a .json file."""

    plot: File = ""
    """Draw the comparison here: .png, .pdf or .svg."""

    json: Flag = False
    """Print JSON and nothing else on stdout."""

    def run(self) -> int:
        """Do what the options say and return the exit status."""
        laws = split_laws(self.laws)
        mapping = _mapping(self.map)
        pin = number_pairs("pin", self.pin, "E=1.8")
        if self.save:
            check_writable(self.save, SAVED)
        if self.plot:
            check_writable(self.plot, PICTURES)

        from scalinglens.fit.compare import compare
        from scalinglens.fit.compare.contenders import contenders
        from scalinglens.fit.compare.holdout import parse_holdout
        from scalinglens.runs import read_runs

        contenders(laws)  # mistakes in the words are told before a large table is read
        parse_holdout(self.holdout)
        runs = read_runs(self.runs, where=self.where or None, duplicates=self.duplicates, **mapping)  # type: ignore[arg-type]
        screen = sys.stderr if self.json else sys.stdout
        print(runs.summary(), file=screen, end="\n\n", flush=True)
        with bar("comparing") as progress:
            found = compare(
                runs,
                laws,
                holdout=self.holdout,
                origins=self.origins,
                x=self.x or None,
                target=self.target or None,
                boot=self.boot,
                level=self.level,
                seed=self.seed,
                baselines=not self.no_baselines,
                progress=progress,
                loss=self.loss,
                delta=self.delta,
                space=self.space,
                asymmetry=self.asymmetry,
                weights=self.weights or None,
                pin=pin,
                groups=self.groups or None,
                **({"resample": self.resample} if self.resample else {}),
                interval=self.interval,
                starts=self.starts,
            )
        print(json.dumps(found.to_dict(), indent=1) if self.json else found, flush=True)
        if self.save:
            found.save(self.save)
            print(f"\ncomparison written to {self.save}", file=screen)
        if self.plot:
            with bar("drawing"):
                found.plot(self.plot)
            print(f"picture written to {self.plot}", file=screen)
        return 0


def parse(words: Sequence[str]) -> Compare:
    """Read the words after `scalinglens compare`."""
    return parsed(Compare, "compare", words)


def split_laws(text: str) -> list[str]:
    """Split laws at commas that stand outside brackets; the domains after `where` belong to their law.

    Raises:
        OptionError: a bracket that is not closed, or nothing between two commas.

    >>> split_laws("hoffmann2022, E + A*max(params, tokens)^(-a)")
    ['hoffmann2022', 'E + A*max(params, tokens)^(-a)']
    >>> split_laws("a + b*x^c where c < 0, a in [0, 1], auto")
    ['a + b*x^c where c < 0, a in [0, 1]', 'auto']
    """
    parts, depth = [""], 0
    for sign in text:
        depth += (sign in OPENING) - (sign in CLOSING)
        if depth < 0:
            raise OptionError(f"--laws {text!r} closes a bracket that is not open")
        if sign == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += sign
    if depth:
        raise OptionError(f"--laws {text!r} has a bracket that is not closed")
    laws: list[str] = []
    for part in (part.strip() for part in parts):
        if not part:
            raise OptionError(f"--laws {text!r} has nothing between two commas; write --laws hoffmann2022,auto")
        if laws and " where " in laws[-1] and _is_domain(part):
            laws[-1] += f", {part}"
        else:
            laws.append(part)
    return laws


def _is_domain(part: str) -> bool:
    """Whether a part is a domain such as `c < 0`, `c real`, `E in [0, 3]`, and no law of its own."""
    return " where " not in part and bool(_DOMAIN.match(part))


def _mapping(words: Sequence[str]) -> dict[str, str]:
    mapping = pairs("map", words, 'params="Model Size"')
    for name in ("source", "where", "duplicates"):
        if name in mapping:
            raise OptionError(f'--map {name}=...: "{name}" is no quantity; write for example --map params="Model Size"')
    return mapping
