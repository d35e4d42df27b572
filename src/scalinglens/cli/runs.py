"""`scalinglens runs`: a store, or any table of runs, as one checked table in one file."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from tyro.conf import Positional, arg

from scalinglens.cli.options import parsed
from scalinglens.errors import OptionError

__all__ = ["List", "parse"]

Flag = Annotated[bool, arg(help_behavior_hint="")]
TABLES = (".parquet", ".csv")


@dataclass(frozen=True)
class List:
    """Read the runs of a store and write them as a table.

    scalinglens runs store -o runs.parquet

    scalinglens runs store --best learning_rate,seed -o best.csv
    """

    source: Annotated[Positional[str], arg(metavar="DIR|FILE")]
    """A store that a sweep fills, or a table of runs."""

    out: Annotated[str, arg(aliases=["-o"], metavar="FILE", help_behavior_hint="")] = ""
    """Write the table here: .parquet or .csv."""

    where: Annotated[str, arg(metavar="FILTER", help_behavior_hint="")] = ""
    """Keep some of the runs: "width > 16 and tokens < 1M"."""

    best: Annotated[str, arg(metavar="NAME,...", help_behavior_hint="")] = ""
    """Of the runs that differ in these columns alone, keep the best: learning_rate,seed."""

    statistic: Annotated[str, arg(metavar="min|mean|median", help_behavior_hint="")] = "min"
    """Loss of runs that differ in the seed alone, for --best."""

    curves: Annotated[str, arg(metavar="FILE", help_behavior_hint="")] = ""
    """Write the learning curves of a store here, one row per evaluation: .parquet or .csv."""

    json: Flag = False
    """Print JSON and nothing else on stdout."""

    def run(self) -> int:
        """Do what the options say and return the exit status."""
        from scalinglens.files import check_writable
        from scalinglens.runs import read_runs
        from scalinglens.runs.record import is_store, read_curves

        for file in filter(None, (self.out, self.curves)):
            check_writable(file, TABLES)
        if self.curves and not is_store(self.source):
            raise OptionError(f"--curves needs a store; {self.source} is none")
        runs = read_runs(self.source, where=self.where or None)
        if self.best:
            runs = runs.best(over=tuple(name.strip() for name in self.best.split(",")), statistic=self.statistic)  # type: ignore[arg-type]
        if self.out:
            _write(self.out, runs.frame)
        if self.curves:
            curves = read_curves(self.source)
            _write(self.curves, curves[curves["run"].isin(runs.frame["run"].tolist())].reset_index(drop=True))
        if self.json:
            document = {"schema": 1, **runs.described(), "warnings": list(runs.warnings), "notes": list(runs.notes)}
            print(json.dumps(document, indent=1))
        else:
            print(runs.summary())
        for file, count in ((self.out, len(runs)), (self.curves, len(runs))):
            if file:
                print(f"\n{count} runs written to {file}", file=sys.stderr if self.json else sys.stdout)
        return 0


def parse(words: Sequence[str]) -> List:
    """Read the words after `scalinglens runs`."""
    return parsed(List, "runs", words)


def _write(path: str, frame: Any) -> None:
    from scalinglens.files import written_whole

    with written_whole(path, TABLES) as part:
        if path.lower().endswith(".csv"):
            frame.to_csv(part, index=False)
        else:
            frame.to_parquet(part, index=False)
