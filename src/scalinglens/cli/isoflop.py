"""`scalinglens isoflop`: the best size of each compute budget, and the frontier through them, without a law."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from tyro.conf import Positional, UseAppendAction, arg

from scalinglens.cli.options import pairs, parsed, values
from scalinglens.errors import OptionError

__all__ = ["Isoflop", "parse"]

Column = Annotated[str, arg(metavar="COLUMN", help_behavior_hint="")]
Flag = Annotated[bool, arg(help_behavior_hint="")]


@dataclass(frozen=True)
class Isoflop:
    """Find the best model size of each compute budget, and the power law that these sizes follow.

    scalinglens isoflop runs.csv --map flops=budget --method parabola --at 1e24,1e25
    """

    runs: Annotated[Positional[str], arg(metavar="RUNS")]
    """Table of runs: CSV, TSV, JSON, JSON lines or Parquet, also gzipped."""

    method: Annotated[str, arg(metavar="akima|parabola|envelope")] = "akima"
    """Interpolate the losses, fit a parabola to them, or compare training curves."""

    map: Annotated[UseAppendAction[tuple[str, ...]], arg(metavar="NAME=COLUMN")] = ()
    """Column, or formula over columns, that holds a quantity: --map flops=budget."""

    where: Annotated[str, arg(metavar="EXPR", help_behavior_hint="")] = ""
    """Keep the runs for which this holds, as in "loss < 3.44 and params > 1B"."""

    budgets: Annotated[str, arg(metavar="COLUMN|C,C,...", help_behavior_hint="")] = ""
    """Column of compute, or the budgets themselves; flops if not given."""

    noise: Annotated[str, arg(metavar="FLOAT|COLUMN", help_behavior_hint="")] = ""
    """Standard deviation of a single loss; told from the runs if not given."""

    draws: int = 1000
    """Draws of the noise, for intervals; 0 means none."""

    near: float = 1e-3
    """Sizes whose loss is within this of the least are called near-optimal."""

    size: Column = "params"
    """Column of the sizes."""

    target: Column = "loss"
    """Column of the losses."""

    tolerance: float = 0.05
    """Relative difference up to which compute is one budget, and sizes are one size."""

    at: Annotated[str, arg(metavar="C,C,...", help_behavior_hint="")] = ""
    """Budgets to extend the frontier to: a list, or a range LOW:HIGH:COUNT."""

    level: float = 0.9
    """Probability of the intervals."""

    seed: int = 0
    """Seed of the draws; the same seed gives the same numbers."""

    json: Flag = False
    """Print JSON and nothing else on stdout."""

    def run(self) -> int:
        """Do what the options say and return the exit status."""
        mapping = pairs("map", self.map, "flops=budget")
        for name in ("source", "where", "duplicates"):
            if name in mapping:
                raise OptionError(f'--map {name}=...: "{name}" is no quantity; write for example --map flops=budget')
        at = values("at", self.at) if self.at else []
        given = bool(self.budgets) and (self.budgets[0].isdigit() or "," in self.budgets)
        budgets = values("budgets", self.budgets) if given else self.budgets or None

        from scalinglens.fit.isoflop import isoflop
        from scalinglens.runs import read_runs

        runs = read_runs(self.runs, where=self.where or None, **mapping)  # type: ignore[arg-type]
        screen = sys.stderr if self.json else sys.stdout
        print(runs.summary(), file=screen, end="\n\n", flush=True)
        found = isoflop(
            runs,
            self.method,
            budgets=budgets,  # type: ignore[arg-type]
            noise=_number_or_name(self.noise),
            draws=self.draws,
            near=self.near,
            size=self.size,
            target=self.target,
            tolerance=self.tolerance,
            level=self.level,
            seed=self.seed,
        )
        frame = found.predict(at) if at else None
        if self.json:
            rows = (
                []
                if frame is None
                else [
                    {name: value if value == value else None for name, value in row.items()}
                    for row in frame.to_dict("records")
                ]
            )
            print(json.dumps({**found.to_dict(), "predictions": rows}, indent=1))
            return 0
        print(found)
        if frame is not None:
            print("\n" + _table(frame.to_dict("records"), self.size))
        return 0


def parse(words: Sequence[str]) -> Isoflop:
    """Read the words after `scalinglens isoflop`."""
    return parsed(Isoflop, "isoflop", words)


def _number_or_name(text: str) -> float | str | None:
    try:
        return float(text) if text else None
    except ValueError:
        return text


def _table(rows: list[dict], size: str) -> str:
    from scalinglens.cli.table import aligned
    from scalinglens.quantities import format_quantity

    cells = [["flops", size, "interval", "tokens", "interval", "beyond the budgets"]]
    for row in rows:
        line = [format_quantity(row["flops"])]
        for name in (size, "tokens"):
            ends = [row[f"{name}_low"], row[f"{name}_high"]]
            known = all(end == end for end in ends)
            line += [format_quantity(row[name]), " to ".join(map(format_quantity, ends)) if known else "-"]
        cells.append([*line, f"{row['decades']:.2g} decades"])
    return aligned(cells)
