"""Which runs a law is fitted to and which it must forecast: hold-outs as text, and origins that roll through a table.

| text | held out |
|---|---|
| `top:flops:0.5` | the half of the runs with the largest flops, equal values together |
| `factor:flops:4` | flops above a quarter of the largest |
| `above:params:7B` | params above 7B |
| `last:params` | the largest params only |
| `is:family=opt` | the runs so named |

The origins before the stated one apply the same rule to what the later one was fitted on: the law is fitted on the smallest
runs, forecasts the next block, is fitted on both, forecasts the next, and so on. No run is forecast twice.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from scalinglens.errors import HoldoutError, QuantityError, RunsError, did_you_mean
from scalinglens.quantities import QUANTITIES, format_quantity, parse_quantity
from scalinglens.runs import Runs
from scalinglens.runs.checks import check_runs
from scalinglens.runs.table import Dropped

__all__ = ["Fold", "Holdout", "check_column", "equal_to", "parse_holdout", "roll", "subset"]

FORMS = {
    "top": "top:COLUMN:SHARE, as in top:flops:0.5",
    "factor": "factor:COLUMN:K, as in factor:flops:4",
    "above": "above:COLUMN:VALUE, as in above:params:7B",
    "last": "last:COLUMN, as in last:params",
    "is": "is:COLUMN=VALUE, as in is:family=opt",
}
MOST_ORIGINS = 3  # chosen without being asked: each costs a fit per law
DIGITS = 9  # values that agree to so many are one: products such as 6 N D carry rounding errors
EXTENTS = ("flops", "tokens", "params", "examples", "steps")  # what tells how large a run is, the best first


@dataclass(frozen=True)
class Holdout:
    """A rule that parts a table, as written and as read.

    Attributes:
        text: as written.
        kind: "top", "factor", "above", "last" or "is".
        column: the column it looks at.
        value: the share, the factor, the value, or the name; None for "last".
    """

    text: str
    kind: str
    column: str
    value: float | str | None = None


@dataclass(frozen=True, eq=False)
class Fold:
    """One origin: what is fitted and what is forecast.

    Attributes:
        origin: number of the origin, counted from 1; the largest is the hold-out as stated.
        train, test: row numbers of the table.
        extent: column that says how large a run is, "" where there is none.
        edge: the largest extent in the training part; nan without extent.
        reach: the largest extent in the test part.
        ahead: extent of each test row relative to the edge [test]; nan without extent.
    """

    origin: int
    train: np.ndarray
    test: np.ndarray
    extent: str
    edge: float
    reach: float
    ahead: np.ndarray

    @property
    def factor(self) -> float:
        """How many times further the largest forecast lies than the largest run of the fit."""
        return float(np.max(self.ahead))

    def says(self) -> str:
        """Return the fold in a sentence."""
        ends = [format_quantity(end) for end in (self.edge, self.reach)]
        fitted = f"{len(self.train)} run{_s(self.train)}" + (
            f" with {self.extent} up to {ends[0]}" if self.extent else ""
        )
        beyond = f" up to {ends[1]}" if self.extent else ""
        times = f", {self.factor:.3g} times as far" if math.isfinite(self.factor) else ""
        return f"fitted to {fitted}, forecasts {len(self.test)}{beyond}{times}"


def _s(items: np.ndarray) -> str:
    return "" if len(items) == 1 else "s"


def parse_holdout(text: str) -> Holdout:
    """Read a hold-out as written.

    Raises:
        HoldoutError: it is not in one of the forms above, or its number is outside its range.

    >>> parse_holdout("above:flops:1e21").value, parse_holdout("is:family=opt").column
    (1e+21, 'family')
    """
    if not isinstance(text, str):
        raise HoldoutError(f"a hold-out is text such as top:flops:0.5, got {type(text).__name__} {text!r}")
    kind, _, rest = text.strip().partition(":")
    if kind not in FORMS:
        raise HoldoutError(
            f'hold-out "{text}" begins with "{kind}"{did_you_mean(kind, FORMS)}; the forms are {"; ".join(FORMS.values())}'
        )
    # a column may hold a colon, a number does not
    column, sign, value = rest.partition("=") if kind == "is" else rest.rpartition(":")
    if kind == "last":
        column, sign, value = rest, ":", ""
    column, value = column.strip(), value.strip()
    if not column or not sign or (kind != "last" and not value):
        raise HoldoutError(f'hold-out "{text}" is incomplete; it is written {FORMS[kind]}')
    if kind in ("last", "is"):
        return Holdout(text.strip(), kind, column, value or None)
    try:
        number = parse_quantity(value, expect=column if kind == "above" and column in QUANTITIES else None)
    except QuantityError as problem:
        raise HoldoutError(f'hold-out "{text}": {problem}; it is written {FORMS[kind]}') from None
    if kind == "top" and not 0 < number < 1:
        percent = f"; write {number / 100:g} for {number:g} percent" if 1 < number < 100 else ""
        raise HoldoutError(f'hold-out "{text}": the share lies between 0 and 1, got {value}{percent}')
    if kind == "factor" and not number > 1:
        raise HoldoutError(f'hold-out "{text}": the factor is larger than 1, got {value}')
    return Holdout(text.strip(), kind, column, number)


def roll(
    table: Runs, holdout: Holdout, *, origins: int | None = None, enough: Callable[[np.ndarray], bool]
) -> tuple[Fold, ...]:
    """Part a table at the stated hold-out and at earlier origins.

    Args:
        table: runs without a missing value in the column of the hold-out.
        holdout: of `parse_holdout`.
        origins: how many, the stated one included; by default as many as leave enough to fit, three at most.
        enough: whether rows (their numbers) suffice for a fit; asked of earlier origins only.

    Returns:
        Folds from the smallest to the stated one; their test parts share no row.

    Raises:
        HoldoutError: nothing left to fit, nothing held out, or fewer origins possible than asked for.
        RunsError: no such column.

    Cost: a sort of the column per origin.
    """
    if origins is not None and (isinstance(origins, bool) or not isinstance(origins, int | np.integer) or origins < 1):
        raise HoldoutError(f"origins is a whole number, 1 or more, got {origins!r}")
    everything = np.arange(len(table))
    if holdout.kind == "is":
        if origins is not None and origins > 1:
            raise HoldoutError(f'hold-out "{holdout.text}" names runs, which have one origin; leave origins out')
        held = _named(table, holdout)
        return (_fold(table, 1, everything[~held], everything[held], _extent(table)),)
    values = table.column(holdout.column)
    rule = _rule(holdout, values)
    known, parts = everything, []
    while len(parts) < (origins or MOST_ORIGINS):
        held = rule(values[known])
        if parts and (not held.any() or held.all() or not enough(known[~held])):
            break
        parts.append((known[~held], known[held]))
        known = known[~held]
    if origins is not None and len(parts) < origins:
        raise HoldoutError(
            f'hold-out "{holdout.text}" has {len(parts)} origin{"s" if len(parts) > 1 else ""} that '
            f"leave{'' if len(parts) > 1 else 's'} enough runs to fit, and {origins} are asked for; hold out less"
        )
    extent = holdout.column if values.min() > 0 else _extent(table)
    return tuple(_fold(table, i + 1, train, test, extent) for i, (train, test) in enumerate(reversed(parts)))


def subset(table: Runs, rows: np.ndarray, reason: str) -> Runs:
    """Keep some rows of a table; the others are noted as dropped for that reason."""
    others = np.setdiff1d(np.arange(len(table)), rows)
    frame = table.frame.iloc[rows].reset_index(drop=True)
    gone = (Dropped(reason, tuple(int(row) for row in table.rows[others])),) if len(others) else ()
    return replace(
        table,
        frame=frame,
        rows=table.rows[rows],
        dropped=(*table.dropped, *gone),
        warnings=check_runs(frame, table.columns),
    )


def equal_to(values: np.ndarray, digits: int) -> np.ndarray:
    """Round to so many significant digits, so that values that agree to them become equal.

    >>> equal_to(np.array([123456.0, 0.0, -0.0123456]), 3)
    array([ 1.23e+05,  0.00e+00, -1.23e-02])
    """
    return np.array([float(f"{value:.{digits - 1}e}") for value in values])


def _rule(holdout: Holdout, values: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """The rule on any part of the column; refused here where it does not part the whole of it."""
    column = holdout.column
    low, high = float(values.min()), float(values.max())
    ends = f"{column} runs from {format_quantity(low)} to {format_quantity(high)}"
    if len(np.unique(equal_to(values, DIGITS))) < 2:
        raise HoldoutError(
            f'hold-out "{holdout.text}": {column} is {format_quantity(low)} in all {len(values)} runs, so no run is larger '
            "than another; name a column that varies"
        )
    if holdout.kind == "last":
        return lambda part: part >= high_end(part)
    amount = float(holdout.value or 0)
    if holdout.kind == "top":
        return lambda part: _largest(part, amount)
    if holdout.kind == "factor" and high <= 0:
        raise HoldoutError(f'hold-out "{holdout.text}": a factor needs positive values, and {ends}')
    edge = high / amount if holdout.kind == "factor" else amount
    if not np.any(values > _above(edge)):
        raise HoldoutError(f'hold-out "{holdout.text}" holds out nothing: {ends}; name a smaller value')
    if not np.any(values <= _above(edge)):
        remedy = "name a smaller factor" if holdout.kind == "factor" else "name a larger value"
        raise HoldoutError(f'hold-out "{holdout.text}" leaves nothing to fit: {ends}; {remedy}')

    def beyond(part: np.ndarray) -> np.ndarray:
        top = float(part.max())
        if top == high:
            return part > _above(edge)
        # an earlier origin looks as far ahead as the stated one, by a factor, which only positive values have
        return part > _above(top * edge / high) if edge > 0 else np.zeros(len(part), dtype=bool)

    return beyond


def _above(edge: float) -> float:
    """A value with room for rounding above it."""
    return edge + abs(edge) * 10.0**-DIGITS


def high_end(values: np.ndarray) -> float:
    """The largest value, less what rounding may have added."""
    high = float(values.max())
    return high - abs(high) * 10.0**-DIGITS


def _largest(values: np.ndarray, share: float) -> np.ndarray:
    """Mask of the share with the largest values; of the cuts between different values, the nearest to it."""
    groups = equal_to(values, DIGITS)
    distinct, counts = np.unique(groups, return_counts=True)
    if len(distinct) < 2:
        return np.zeros(len(values), dtype=bool)
    held = np.cumsum(counts[::-1])[:-1]  # rows held out by each cut, from the top
    cut = int(np.argmin(np.abs(held - share * len(values))))
    return groups >= distinct[::-1][cut]


def _named(table: Runs, holdout: Holdout) -> np.ndarray:
    labels = table.labels(holdout.column)
    wanted = str(holdout.value)
    if labels.dtype == object:
        held = labels == wanted
    else:
        try:
            number = parse_quantity(wanted)
        except QuantityError as problem:
            raise HoldoutError(f'hold-out "{holdout.text}": {holdout.column} holds numbers, and {problem}') from None
        held = equal_to(labels, DIGITS) == equal_to(np.array([number]), DIGITS)
    known = [f"{v:g}" if isinstance(v, float) else str(v) for v in dict.fromkeys(labels.tolist())]
    shown = ", ".join(known[:12]) + (", ..." if len(known) > 12 else "")
    if not held.any():
        raise HoldoutError(
            f'hold-out "{holdout.text}" holds out nothing{did_you_mean(wanted, known)}; {holdout.column} is {shown}'
        )
    if held.all():
        raise HoldoutError(
            f'hold-out "{holdout.text}" leaves nothing to fit: {holdout.column} is {shown} in all {len(table)} runs'
        )
    return held


def _extent(table: Runs) -> str:
    """The column that says how large a run is: positive, complete and varied; or an empty string."""
    for name in EXTENTS:
        if name in table.columns:
            values = table.column(name)
            if np.all(np.isfinite(values)) and values.min() > 0 and values.min() < values.max():
                return name
    return ""


def _fold(table: Runs, origin: int, train: np.ndarray, test: np.ndarray, extent: str) -> Fold:
    if not extent:
        nothing = np.full(len(test), np.nan)
        return Fold(origin, train, test, "", math.nan, math.nan, nothing)
    values = table.column(extent)
    edge = float(values[train].max())
    return Fold(origin, train, test, extent, edge, float(values[test].max()), values[test] / edge)


def check_column(table: Runs, holdout: Holdout, inputs: Sequence[str], target: str) -> None:
    """Refuse a hold-out by a column that the table lacks, or by the target itself, and say which column would do."""
    present = [name for name in dict.fromkeys((*inputs, *EXTENTS)) if name in table.columns and name != target]
    value = f":{holdout.value:g}" if isinstance(holdout.value, float) else ""
    remedy = f"; or hold out by another column, as in {holdout.kind}:{present[0]}{value}" if present else ""
    if holdout.column == target and holdout.kind != "is":
        raise HoldoutError(
            f'hold-out "{holdout.text}" parts the runs by what is forecast, which nobody knows beforehand{remedy}'
        )
    try:
        table.labels(holdout.column)
    except RunsError as problem:
        if not present or holdout.kind == "is":
            raise
        raise HoldoutError(f'hold-out "{holdout.text}": {problem}{remedy}') from None
