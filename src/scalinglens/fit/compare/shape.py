"""`Shape`: sizes, lengths, runs and checkpoints of a table, as advice needs to know them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from scalinglens.errors import FitError
from scalinglens.quantities import parse_quantity
from scalinglens.runs import Runs
from scalinglens.runs.table import SIZES

__all__ = ["Shape"]


@dataclass(frozen=True, eq=False)
class Shape:
    """What checks look at: which column holds sizes, which lengths, and which rows belong to one training run.

    Attributes:
        runs: the table.
        size: the column of sizes, "" if there is none; one that was counted comes before one that was derived.
        length: the column of tokens, or the one that was named.
        target: the run to be forecast, column -> value.
    """

    runs: Runs
    size: str
    length: str
    target: Mapping[str, float]

    @classmethod
    def of(cls, runs: Runs, target: Mapping[str, Any] | None, x: str | None) -> Shape:
        """Find the columns; a target that has none of them is refused."""
        size = next((name for name in SIZES if name in runs.columns and runs.columns[name].how != "derived"), "")
        size = size or next((name for name in SIZES if name in runs.columns), "")
        if x is not None:
            runs.column(x)
        length = x or next((name for name in ("tokens", "examples", "steps") if name in runs.columns), "")
        given = {name: float(parse_quantity(v) if isinstance(v, str) else v) for name, v in dict(target or {}).items()}
        known = {size, length} - {""}
        if given and not known & set(given):
            raise FitError(
                f"the target has {', '.join(given)}, but the runs of {runs.origin} differ in "
                f"{', '.join(sorted(known)) or 'neither'}; "
                "name one of these, as in {'params': 70e9}"
            )
        return cls(runs, size, length, given)

    def values(self, name: str) -> np.ndarray:
        """A column without what is missing or not positive."""
        if not name or (name not in self.runs.columns and name not in self.runs.frame.columns):
            return np.empty(0)
        values = self.runs.column(name)
        return values[np.isfinite(values) & (values > 0)]

    def sizes(self) -> np.ndarray:
        """The different sizes; those that agree to 1% are one."""
        return distinct(self.values(self.size))

    def pairs(self) -> tuple[np.ndarray, np.ndarray]:
        """Size and length of the rows that have both."""
        if not self.size or not self.length:
            return np.empty(0), np.empty(0)
        N, D = self.runs.column(self.size), self.runs.column(self.length)
        fine = np.isfinite(N) & np.isfinite(D) & (N > 0) & (D > 0)
        return N[fine], D[fine]

    def curves(self) -> np.ndarray | None:
        """Number of the training run that each row is a checkpoint of, or None where each row is a run of its own.

        The column `run` says so; without it, rows of one size that carry steps are taken as one run.
        """
        if "run" in self.runs.columns and self.length:
            labels = self.runs.labels("run").astype(str)
        elif "steps" in self.runs.columns and self.size:
            labels = self.runs.column(self.size)
        else:
            return None
        codes = np.unique(labels, return_inverse=True)[1]
        return codes if len(codes) > codes.max() + 1 else None

    def extent(self) -> np.ndarray:
        """How long each row was trained: tokens, or else steps."""
        name = self.length or ("steps" if "steps" in self.runs.columns else "")
        return self.runs.column(name) if name else np.full(len(self.runs), np.nan)


def distinct(values: np.ndarray) -> np.ndarray:
    """Return the different values in order; those that agree to 1% are one."""
    if not len(values):
        return values
    ordered = np.sort(values)
    fresh = np.concatenate([[True], np.diff(np.log(ordered)) > 0.01])
    return ordered[fresh]
