"""`Runs`: a checked table, one row per measured loss, that knows where each number came from and what was dropped."""

from __future__ import annotations

import hashlib
import html
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import pandas as pd

from scalinglens.errors import RunsError, did_you_mean
from scalinglens.quantities import QUANTITIES, format_quantity
from scalinglens.runs.cells import holds_numbers, is_missing, numbers
from scalinglens.runs.checks import check_runs
from scalinglens.runs.filter import evaluate_filter
from scalinglens.runs.recognise import LABELS, shared_stem, shell_word

__all__ = ["Column", "Dropped", "Runs"]

# counts of all parameters of a model, by different conventions: one can stand in for another, with a warning
SIZES = ("params", "params_nonembedding", "params_active", "params_dense", "params_nonzero", "params_nonvocab")


@dataclass(frozen=True)
class Column:
    """Where the numbers of one canonical column came from, and their unit.

    >>> Column("loss", "val_loss", "nats/token", 1.0, "name").says()
    "loss <- column 'val_loss' [nats/token]"
    """

    name: str
    source: str  # the column or formula as written, "" when derived
    unit: str
    scale: float
    how: Literal["name", "mapped", "formula", "derived"]
    rule: str = ""  # of a derived column: the rule; of a converted one: the conversion

    def says(self) -> str:
        """Return one sentence saying where the column came from."""
        unit = f" [{self.unit}]" if self.unit else ""
        if self.how == "derived":
            return f"{self.name} <- derived by {self.rule}{unit}"
        if self.how == "formula":
            return f"{self.name} <- formula {self.source}{unit}"
        source = f"column {self.source!r}"
        if self.rule:
            source = f"{self.rule} {source}"
        elif self.scale != 1.0:
            source += f" x {self.scale:.6g}"
        return f"{self.name} <- {source}{' as mapped' if self.how == 'mapped' else ''}{unit}"


@dataclass(frozen=True)
class Dropped:
    """Rows that are not used, and why; rows are counted from 0 in the source, without its header.

    >>> Dropped("missing value in column loss", (3, 17)).count
    2
    """

    reason: str
    rows: tuple[int, ...]

    @property
    def count(self) -> int:
        """The number of rows."""
        return len(self.rows)


@dataclass(frozen=True, eq=False)
class Runs:
    """A checked table of runs; make one with `read_runs`.

    >>> from scalinglens.runs import read_runs
    >>> runs = read_runs({"N": [1e6, 1e7, 1e8], "D": [2e7, 4e8, 1e9], "loss": [5.0, 4.0, 3.5]})
    >>> len(runs), runs.columns["params"].says()
    (3, "params <- column 'N' [parameters]")
    """

    frame: pd.DataFrame  # one row per kept run, RangeIndex; canonical columns float64, others under their own names
    columns: Mapping[str, Column]
    rows_read: int
    dropped: tuple[Dropped, ...] = ()
    warnings: tuple[str, ...] = ()  # everything suspicious about the numbers, in sentences
    origin: str = "frame"
    notes: tuple[str, ...] = ()  # what the reading had to decide: encoding, separator, conversions
    rows: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.int64))  # source row of each kept run

    def __post_init__(self) -> None:
        if len(self.rows) != len(self.frame):  # made by hand, without a source: its rows are their own
            object.__setattr__(self, "rows", np.arange(len(self.frame)))

    def __len__(self) -> int:
        return len(self.frame)

    def where(self, expression: str) -> Runs:
        """Keep the rows for which `expression` holds; the others join `dropped`.

        Args:
            expression: such as "loss < 3.44", "params > 1B and run != 'x'", "`Model Size` >= 7e9 or not (seed == 1)".

        Returns:
            A new `Runs`, checked anew.

        Raises:
            RunsError: an unknown column, or no row left.
            ExpressionError: the text is not in the grammar of filters.

        >>> from scalinglens.runs import read_runs
        >>> runs = read_runs({"N": [1e6, 1e7, 1e8], "D": [2e7, 4e8, 1e9], "loss": [5.0, 4.0, 3.5]})
        >>> len(runs.where("loss < 4.5")), runs.where("loss < 4.5").dropped[0].rows
        (2, (0,))
        """
        named: dict[str, np.ndarray] = {}

        def lookup(name: str) -> np.ndarray | None:
            cells = self._lookup(name)
            if cells is not None:
                named[name] = cells
            return cells

        keep = evaluate_filter(expression, lookup, len(self), self._names())
        condition = f"where {' '.join(expression.split())}"
        if not keep.any():
            holds = "".join(f"; {_content(name, cells)}" for name, cells in named.items())
            raise RunsError(
                f"{condition} leaves none of the {len(self)} runs of {self.origin}{holds}; loosen the filter"
            )
        return self._without(~keep, f"fails {condition}")

    def complete(self, *names: str) -> Runs:
        """Keep the rows with a finite number in every one of the named columns.

        Reading drops rows without a loss, a size or a token count; a law with further inputs needs them complete too.

        >>> from scalinglens.runs import read_runs
        >>> runs = read_runs({"N": [1e6, 1e7], "D": [2e7, 4e8], "lr": [None, 1e-3], "loss": [5.0, 4.0]})
        >>> len(runs), len(runs.complete("params", "learning_rate"))
        (2, 1)
        """
        kept = self
        for name in names:
            bad = ~np.isfinite(kept.column(name))
            if bad.all():
                raise RunsError(f"column {name} of {self.origin} is empty in all {len(kept)} runs; map another column")
            if bad.any():
                kept = kept._without(bad, f"missing value in column {name}")
        return kept

    def best(
        self,
        *,
        over: str | Sequence[str] = ("learning_rate", "seed"),
        statistic: Literal["min", "mean", "median"] = "min",
        by: Sequence[str] | None = None,
    ) -> Runs:
        """Keep the best run of each setting over what was tuned; see `runs.best.best`.

        >>> from scalinglens.runs import read_runs
        >>> runs = read_runs({"N": [1e6, 1e6], "D": [1e8, 1e8], "lr": [1e-3, 1e-2], "loss": [3.0, 2.9]})
        >>> runs.best(over="learning_rate").column("learning_rate").tolist()
        [0.01]
        """
        from scalinglens.runs.best import best

        return best(self, over=over, statistic=statistic, by=by)

    def _without(self, fails: np.ndarray, reason: str) -> Runs:
        if not fails.any():
            return self
        frame = self.frame.loc[~fails].reset_index(drop=True)
        gone = Dropped(reason, tuple(int(row) for row in self.rows[fails]))
        return replace(
            self,
            frame=frame,
            rows=self.rows[~fails],
            dropped=(*self.dropped, gone),
            warnings=check_runs(frame, self.columns),
        )

    def column(self, name: str) -> np.ndarray:
        """Return a column as float64 [n]: a canonical one, or any numeric column of the table under its own name.

        Raises:
            RunsError: no such column, with the known ones and the mapping to write; or its cells are no numbers.
        """
        cells = self._lookup(name)
        if cells is None:
            raise RunsError(self._absent(name, numeric=True))
        values, bad = numbers(cells)
        if bad:
            row = next(iter(bad))
            raise RunsError(
                f"column {name} of {self.origin} is no number in {len(bad)} of {len(self)} runs, first {bad[row]!r} at "
                f"row {self.rows[row]}; use labels({name!r}) for groups"
            )
        return values

    def labels(self, name: str) -> np.ndarray:
        """Return the group labels of a column [n]: float64 where all are numbers, otherwise text.

        Raises:
            RunsError: no such column.
        """
        found = self._lookup(name)
        if found is None:
            raise RunsError(self._absent(name, numeric=False))
        values, bad = numbers(found, factor=False)
        if not bad and not np.isnan(values).any():
            return values
        return np.array(["(missing)" if is_missing(cell) else str(cell) for cell in found], dtype=object)

    def _lookup(self, name: str) -> np.ndarray | None:
        """Return the cells of a canonical column, or of one under its name in the source, or None."""
        if name in self.frame.columns:
            return self.frame[name].to_numpy()
        for column in self.columns.values():
            if column.source == name:
                return self.frame[column.name].to_numpy()
        return None

    def _names(self) -> list[str]:
        sources = [column.source for column in self.columns.values() if column.how in ("name", "mapped")]
        return list(dict.fromkeys([*self.columns, *map(str, self.frame.columns), *sources]))

    def _absent(self, name: str, *, numeric: bool) -> str:
        """Say that a column is not there and how to name it; only a column of numbers can stand for a quantity."""
        sources = {column.source for column in self.columns.values()}
        other = [str(column) for column in self.frame.columns if column not in self.columns and column not in sources]
        if numeric:
            other = [column for column in other if holds_numbers(self.frame[column].to_numpy())]
        shown = ", ".join(repr(column) for column in other[:12]) + (", ..." if len(other) > 12 else "")
        hint = did_you_mean(name, self._names()) if name not in QUANTITIES else ""
        says = f"the runs of {self.origin} have no column {name!r}{hint}; known are {', '.join(self.columns) or 'none'}"
        if other:
            says += f"; not recognised{' but numeric' if numeric else ''}: {shown}"
        if sibling := self._sibling(name):
            return f"{says}; {self._stand_in(name, sibling)}"
        near = shared_stem(other, name)
        return f"{says}; name it with {_mapping({name: near[0] if near else 'its column'})}"

    def _sibling(self, name: str) -> str:
        """Return another parameter count that is in the table, or an empty string."""
        present = (other for other in SIZES if other in self.columns and self.columns[other].how != "derived")
        return next(present, "") if name in SIZES else ""

    def _stand_in(self, name: str, sibling: str) -> str:
        """Say how one parameter count can stand in for another, and what is then wrong with it."""
        source = self.columns[sibling].source
        tokens = self.columns.get("tokens")
        # a mapped column is no longer recognised by its name, and tokens may have been derived from what that said
        derived = tokens is not None and tokens.how == "derived" and sibling in re.findall(r"\w+", tokens.rule)
        mapping = {sibling: source, name: source} if derived else {name: source}
        return (
            f"to let {sibling} stand in for it, write {_mapping(mapping)}; the counting conventions differ "
            f"({sibling}: {QUANTITIES[sibling].description}; {name}: {QUANTITIES[name].description}), and so will the "
            "constants"
        )

    def described(self) -> dict[str, Any]:
        """Return where the table is from and what became of its rows, as every result keeps it."""
        return {
            "origin": self.origin,
            "sha256": self.digest(),
            "read": self.rows_read,
            "used": len(self),
            "dropped": [{"reason": item.reason, "count": item.count} for item in self.dropped],
            "columns": {name: column.says() for name, column in self.columns.items()},
        }

    def digest(self) -> str:
        """Return the SHA-256 of the canonical numeric columns, names and float64 bytes; the order of rows counts.

        >>> from scalinglens.runs import read_runs
        >>> read_runs({"N": [1e6], "D": [2e7], "loss": [5.0]}).digest()[:8] == read_runs(
        ...     {"loss": [5.0], "params": [1e6], "tokens": [2e7]}).digest()[:8]
        True
        """
        sha = hashlib.sha256()
        for name in sorted(self.columns):
            if name in LABELS:
                continue
            values = self.column(name) + 0.0  # -0.0 becomes 0.0
            values[np.isnan(values)] = np.nan  # one bit pattern for every nan
            sha.update(name.encode() + b"\0" + values.astype("<f8").tobytes())
        return sha.hexdigest()

    def to_frame(self) -> pd.DataFrame:
        """Return a copy of the table: one row per kept run, RangeIndex."""
        return self.frame.copy()

    def summary(self) -> str:
        """Return, in lines of text, what was read, how each column was recognised, what was dropped and what is odd."""
        lines = [self._head()]
        width = max((len(name) for name in self.columns), default=0)
        for name, column in self.columns.items():
            rest = column.says().removeprefix(f"{name} <- ")
            lines.append(f"  {name:<{width}} <- {rest}{self._range(name)}")
        lines += [f"  dropped {gone.count}: {gone.reason} ({_rows(gone.rows)})" for gone in self.dropped]
        lines += [f"  note: {note}" for note in self.notes]
        lines += [f"  warning: {warning}" for warning in self.warnings]
        return "\n".join(lines)

    def _head(self) -> str:
        counted = "; rows are counted from 0, without the header" if self.dropped else ""
        return f"{len(self)} of {self.rows_read} rows of {self.origin}{counted}"

    def _range(self, name: str) -> str:
        if name in LABELS:
            count = len(set(self.labels(name).tolist()))
            return f"  {count} different"
        values = self.column(name)
        values = values[np.isfinite(values)]
        if not len(values):
            return "  empty"
        low, high = (_shown(name, end) for end in (values.min(), values.max()))
        return f"  {low} to {high}" if low != high else f"  {low}"

    def __repr__(self) -> str:
        warned = f", {len(self.warnings)} warnings" if self.warnings else ""
        return f"Runs({len(self)} of {self.rows_read} rows of {self.origin}: {', '.join(self.columns)}{warned})"

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{html.escape(name)}</td><td>{html.escape(column.says().split(' <- ', 1)[1])}</td>"
            f"<td>{html.escape(self._range(name).strip())}</td></tr>"
            for name, column in self.columns.items()
        )
        items = [f"dropped {gone.count}: {gone.reason} ({_rows(gone.rows)})" for gone in self.dropped]
        items += [f"note: {note}" for note in self.notes] + [f"warning: {warning}" for warning in self.warnings]
        listed = "".join(f"<li>{html.escape(item)}</li>" for item in items)
        return (
            f"<p><b>{html.escape(self._head())}</b></p><table><tr><th>column</th><th>source</th><th>range</th></tr>{rows}</table>"
            + (f"<ul>{listed}</ul>" if listed else "")
        )


def _shown(name: str, value: float) -> str:
    unit = QUANTITIES[name].unit if name in QUANTITIES else ""
    counts = unit in ("parameters", "tokens", "FLOP", "examples", "steps", "tokens/step")
    return format_quantity(value) if counts else f"{value:.4g}"


def _rows(rows: tuple[int, ...]) -> str:
    listed = ", ".join(str(row) for row in rows[:5]) + (", ..." if len(rows) > 5 else "")
    return f"row{'s' if len(rows) != 1 else ''} {listed}"


def _content(name: str, cells: np.ndarray) -> str:
    """Say what a column holds: its range, or its most frequent words."""
    values, bad = numbers(cells)
    values = values[np.isfinite(values)]
    if not bad:
        return f"{name} runs from {values.min():.4g} to {values.max():.4g}" if len(values) else f"{name} is empty"
    words = Counter(str(cell) for cell in cells if not is_missing(cell))
    shown = ", ".join(repr(word[:40]) for word, _ in words.most_common(5))
    return f"{name} is {shown}" + (f" or one of {len(words) - 5} others" if len(words) > 5 else "")


def _mapping(mapping: Mapping[str, str]) -> str:
    """Return a mapping as it is written on the command line and in Python."""
    words = " ".join(f"--map {name}={shell_word(source)}" for name, source in mapping.items())
    python = ", ".join(f"{name}={source!r}" for name, source in mapping.items())
    return f"{words} (in Python: read_runs(..., {python}))"
