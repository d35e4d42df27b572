"""`read_runs`: from a file or an object in memory to a checked `Runs`, saying aloud everything it decides."""

from __future__ import annotations

import keyword
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from scalinglens.errors import ExpressionError, RunsError, did_you_mean
from scalinglens.quantities import QUANTITIES, format_quantity
from scalinglens.runs.cells import is_missing, numbers
from scalinglens.runs.checks import check_runs, exact_duplicates
from scalinglens.runs.derive import derive
from scalinglens.runs.files import read_file
from scalinglens.runs.filter import evaluate_formula
from scalinglens.runs.raw import RawTable, from_object
from scalinglens.runs.recognise import CORE, LABELS, POSITIVE, Header, candidates, read_header, shell_word
from scalinglens.runs.record import is_store, read_stored
from scalinglens.runs.table import Column, Dropped, Runs

__all__ = ["read_runs"]

_TRANSFORMS = {"ln": "ln of", "2": "2 ^", "10": "10 ^", "e": "exp of"}


def read_runs(
    source: object,
    *,
    where: str | None = None,
    duplicates: Literal["keep", "drop"] = "keep",
    **mapping: str | float | None,
) -> Runs:
    """Read a table of training runs, recognise its columns by name and unit, and check it.

    Args:
        source: a path (CSV, TSV, JSON, JSON lines, Parquet, with or without gzip), the folder or fsspec address of a
            store that a sweep fills, a pandas or Polars frame, a list of dicts, a dict of arrays, or `Runs`.
        where: a filter such as "loss < 3.44 and params > 1B"; see `Runs.where`.
        duplicates: whether rows that repeat an earlier row in every column stay; they are reported in both cases.
        **mapping: a quantity = a column ("Model Size"), a formula over columns ("D * 1e9"), a constant (300e9), or None
            to leave the quantity unrecognised.

    Returns:
        The runs whose loss, size and token count can be used; every other row is in `dropped` with its reason.

    Raises:
        RunsError: unreadable source, ambiguous or unknown columns, no usable row; with file, line and remedy.
        ExpressionError: a filter or formula outside the grammar.

    Cost: linear; about 15 microseconds per row of a text table with five columns.

    >>> runs = read_runs([{"Model Size": "70B", "Training FLOP": 5.76e23, "loss": 1.94}])
    >>> print(runs.columns["tokens"].says(), runs.column("tokens").round(-10))
    tokens <- derived by tokens = flops / (6 params) [tokens] [1.37e+12]
    """
    if duplicates not in ("keep", "drop"):
        raise RunsError(f'duplicates must be "keep" or "drop", got {duplicates!r}')
    if isinstance(source, Runs):
        if not mapping and duplicates == "keep":
            return source.where(where) if where else source
        source = source.frame
    stored = is_store(source)
    if isinstance(source, str | os.PathLike):
        origin = str(os.fspath(source))
        table = read_stored(origin) if stored else read_file(source)  # type: ignore[arg-type]
    else:
        origin, table = "frame", from_object(source)
    runs = _assemble(table, origin, _checked_mapping(mapping, origin), duplicates, stored=stored)
    return runs.where(where) if where is not None and where.strip() else runs


def _checked_mapping(mapping: Mapping[str, object], origin: str) -> dict[str, str | float | None]:
    """Refuse names that are nearly, but not quite, names of the glossary."""
    checked: dict[str, str | float | None] = {}
    for name, target in mapping.items():
        if name not in QUANTITIES:
            near = get_close_matches(name, list(QUANTITIES), n=1, cutoff=0.85)
            header = read_header(name)
            known = near[0] if near else header.name if header else None
            if known:
                raise RunsError(f'there is no quantity "{name}" (did you mean "{known}"?); write {known}={target!r}')
            if not name.isidentifier() or keyword.iskeyword(name):
                raise RunsError(f'"{name}" cannot name a quantity; use letters, digits and underscores')
        if isinstance(target, bool) or not (target is None or isinstance(target, str | int | float | np.number)):
            raise RunsError(
                f"the mapping of {name} must be a column, a formula or a number, got {type(target).__name__} {target!r}"
            )
        checked[name] = target if isinstance(target, str) or target is None else float(target)
    return checked


@dataclass
class _Reading:
    """The state of one reading: what is recognised so far, and which rows fail why."""

    raw: pd.DataFrame
    origin: str
    notes: list[str]
    columns: dict[str, Column] = field(default_factory=dict)
    values: dict[str, np.ndarray] = field(default_factory=dict)  # canonical -> float64 [n], or object for labels
    bad: dict[str, dict[int, str]] = field(default_factory=dict)  # canonical -> row -> text that is no number
    consumed: set[str] = field(default_factory=set)  # source columns that live on unchanged under a canonical name
    failed: dict[str, list[int]] = field(default_factory=dict)  # reason -> rows

    def __post_init__(self) -> None:
        self.alive = np.ones(len(self.raw), dtype=bool)

    def fail(self, reason: str, rows: np.ndarray) -> None:
        rows = rows & self.alive
        if rows.any():
            self.failed.setdefault(reason, []).extend(int(row) for row in np.flatnonzero(rows))
            self.alive &= ~rows


def _assemble(
    table: RawTable, origin: str, mapping: dict[str, str | float | None], duplicates: str, *, stored: bool
) -> Runs:
    reading = _Reading(table.frame, origin, list(table.notes))
    _leave_out_index(reading)
    for reason, row in table.unread:
        reading.failed.setdefault(reason, []).append(row)
    formulas: dict[str, str | float] = {}
    for name, target in mapping.items():
        if isinstance(target, str) and target in reading.raw.columns:
            _take(reading, name, target, read_header(target), "mapped")
        elif target is not None and target != "":
            formulas[name] = target
    if stored:  # a table of ours: names are what they say
        for name in table.frame.columns:
            if name in QUANTITIES and name not in mapping and bool(table.frame[name].notna().to_numpy().any()):
                _take(reading, name, name, read_header(name), "name")
    else:
        _recognise(reading, mapping)
    for name, target in formulas.items():
        _calculate(reading, name, target)
    if not any(name not in LABELS for name in reading.columns):
        raise RunsError(_nothing(reading))
    _clean(reading, mapping)
    measured = {name: values for name, values in reading.values.items() if name not in LABELS}
    for name, (values, rule) in derive(measured).items():
        if not np.isfinite(values[reading.alive]).any():
            continue
        reading.values[name] = values
        reading.columns[name] = Column(name, "", QUANTITIES[name].unit, 1.0, "derived", rule.text)
        if name in ("params", "tokens"):
            reading.fail(f"{name} cannot be derived by {rule.text}", ~(np.isfinite(values) & (values > 0)))
    if duplicates == "drop":
        alive = np.flatnonzero(reading.alive)
        again = np.zeros(len(reading.raw), dtype=bool)
        again[alive[exact_duplicates(reading.raw.iloc[alive])]] = True
        reading.fail("exact duplicate of an earlier row", again)
    if not reading.alive.any():
        reasons = "; ".join(f"{len(rows)} for: {reason}" for reason, rows in reading.failed.items())
        raise RunsError(
            f"no run of {origin} can be used: of {table.rows_read} rows are dropped {reasons}; {_remedy(reading)}"
        )
    frame, rows = _frame(reading), np.flatnonzero(reading.alive)
    columns = {name: reading.columns[name] for name in _sorted(reading.columns)}
    dropped = tuple(Dropped(reason, tuple(sorted(rows))) for reason, rows in reading.failed.items())
    return Runs(
        frame, columns, table.rows_read, dropped, check_runs(frame, columns), origin, tuple(reading.notes), rows
    )


def _leave_out_index(reading: _Reading) -> None:
    """Drop a nameless first column that counts the rows, as pandas writes it: it would hide exact duplicates."""
    first = reading.raw.columns[0]
    if first in ("column 1", "Unnamed: 0") and len(reading.raw.columns) > 1:
        cells = reading.raw[first].to_numpy()
        if cells.dtype.kind in "iuf" and np.array_equal(cells, np.arange(len(cells)) + cells[0]) and cells[0] in (0, 1):
            reading.raw = reading.raw.drop(columns=first)
            reading.notes.append("the first column has no name and counts the rows; it was left out")


def _sorted(names: Mapping[str, object]) -> list[str]:
    order = {name: place for place, name in enumerate(QUANTITIES)}
    return sorted(names, key=lambda name: order.get(name, len(order)))


def _recognise(reading: _Reading, mapping: Mapping[str, object]) -> None:
    taken = {target for target in mapping.values() if isinstance(target, str)}
    free = [name for name in reading.raw.columns if name not in taken]
    for name, options in candidates(free).items():
        if name in mapping:
            continue
        if name not in LABELS and name != "loss":  # a loss that is all text must end in an error that shows the text
            options = [option for option in options if _has_numbers(reading, name, option[0])]
        options = _distinct(reading, name, options)
        if len(options) > 1:
            listed = ", ".join(repr(column) for column, _ in options)
            if name in CORE:
                raise RunsError(_ambiguous(reading, name, options))
            if name not in LABELS:
                reading.notes.append(f"{listed} could each be {name}; none is used, choose with --map {name}=...")
                continue
        if options:
            _take(reading, name, *options[0], "name")
            _say_rivals(reading, name, options[0][0], free)


def _has_numbers(reading: _Reading, name: str, column: str) -> bool:
    values, bad = numbers(reading.raw[column].to_numpy())
    if np.isfinite(values).any():
        return True
    if name in CORE:
        what = f"holds no numbers (first {next(iter(bad.values()))!r})" if bad else "is empty"
        reading.notes.append(f"column {column!r} has a name of {name}, but {what}; it is not used as such")
    return False


def _distinct(reading: _Reading, name: str, options: Sequence[tuple[str, Header]]) -> list[tuple[str, Header]]:
    """Leave out columns which hold the same numbers as one before them, and empty ones."""
    kept: list[tuple[str, Header]] = []
    if len(options) == 1:
        return list(options)
    arrays: list[np.ndarray] = []
    for column, header in options:
        if name in LABELS:
            return list(options[:1])
        values, bad = _convert(reading.raw[column].to_numpy(), header)
        if not np.isfinite(values).any() and not bad:
            continue
        twin = next(
            (i for i, other in enumerate(arrays) if np.allclose(values, other, rtol=1e-9, atol=0, equal_nan=True)), None
        )
        if twin is not None and not bad:
            reading.notes.append(f"columns {kept[twin][0]!r} and {column!r} hold the same numbers; the first is {name}")
            continue
        kept.append((column, header))
        arrays.append(values)
    return kept


def _say_rivals(reading: _Reading, name: str, chosen: str, free: Sequence[str]) -> None:
    """Say which other columns could have been meant, where an exact name or a loss in nats settled it."""
    told = " ".join(reading.notes)
    for column in free:
        header = read_header(column)
        rival = header is not None and header.name == name and column != chosen
        if rival and name in CORE and repr(column) not in told:
            choice = f"--map {name}={shell_word(column)}"
            reading.notes.append(f"{name} is column {chosen!r}; {column!r} could be meant too, choose it with {choice}")


def _ambiguous(reading: _Reading, name: str, options: Sequence[tuple[str, Header]]) -> str:
    medians = []
    for column, header in options:
        values, _ = _convert(reading.raw[column].to_numpy(), header)
        finite = values[np.isfinite(values)]
        shown = f"{np.median(finite):.4g}" if name == "loss" else format_quantity(float(np.median(finite)))
        medians.append(f"{column!r} (median {shown})" if len(finite) else f"{column!r} (no numbers)")
    examples = " or ".join(f"--map {name}={shell_word(column)}" for column, _ in options)
    first = options[0][0]
    return (
        f"{len(options)} columns of {reading.origin} could be {name}: {', '.join(medians)}; choose with {examples} "
        f"(in Python: read_runs(..., {name}={first!r}))"
    )


def _convert(cells: np.ndarray, header: Header | None) -> tuple[np.ndarray, dict[int, str]]:
    """Return canonical values of a column: scaled, or out of a logarithm or a perplexity."""
    scale = header.scale if header else 1.0
    counts = header is None or header.unit != QUANTITIES["loss"].unit
    values, bad = numbers(cells, scale, factor=counts)
    with np.errstate(all="ignore"):
        match header.transform if header else "":
            case "ln":
                # no perplexity is 0 or less: such a row must be reported as non-positive, not as missing
                values = np.where(values <= 0, -1.0, np.log(values))
            case "10" | "2" as base:
                values = np.power(float(base), values)
            case "e":
                values = np.exp(values)
    return values, bad


def _take(reading: _Reading, name: str, source: str, header: Header | None, how: Literal["name", "mapped"]) -> None:
    """Make a source column a canonical one."""
    cells = reading.raw[source].to_numpy()
    unit = QUANTITIES[name].unit if name in QUANTITIES else ""
    if name in LABELS:
        values, bad = numbers(cells, factor=False)
        plain = not bad and np.isfinite(values).all()
        reading.values[name] = values if plain else _texts(cells)
        reading.columns[name] = Column(name, source, unit, 1.0, how)
        reading.consumed.add(source)
        return
    if header is not None and header.name != name and not (header.unit == unit and name in QUANTITIES):
        header = None  # mapped to another quantity: the unit in its name was read for that one only
    if header is not None:
        unit = header.unit
    values, bad = _convert(cells, header)
    transform = _TRANSFORMS[header.transform] if header and header.transform else ""
    scale = header.scale if header else 1.0
    reading.values[name], reading.bad[name] = values, bad
    reading.columns[name] = Column(name, source, unit, scale, how, transform)
    if not transform and scale == 1.0 and cells.dtype.kind in "iuf":
        reading.consumed.add(source)
    if transform == "ln of":
        reading.notes.append(f"column {source!r} holds perplexities; loss = ln({source}) in nats/token")
    elif transform:
        reading.notes.append(f"column {source!r} holds logarithms; {name} = {transform} {source}")


def _texts(cells: np.ndarray) -> np.ndarray:
    return np.array([None if is_missing(cell) else str(cell) for cell in cells], dtype=object)


def _calculate(reading: _Reading, name: str, target: str | float) -> None:
    """Fill a canonical column from a formula over source columns and canonical ones, or from a constant."""
    unit = QUANTITIES[name].unit if name in QUANTITIES else ""
    known = list(dict.fromkeys([*map(str, reading.raw.columns), *reading.columns]))
    if not isinstance(target, str):
        if not np.isfinite(target):
            raise RunsError(f"the mapping {name}={target} is not a finite number")
        values = np.full(len(reading.raw), target)
        target = f"{target:g}"
    else:

        def lookup(column: str) -> np.ndarray | None:
            if column in reading.raw.columns:
                return reading.raw[column].to_numpy()
            return reading.values.get(column)

        try:
            values = evaluate_formula(target, lookup, len(reading.raw), known, f"the mapping of {name} to")
        except ExpressionError as problem:
            if near := did_you_mean(target, known):
                raise RunsError(f"{reading.origin} has no column {target!r} to map {name} to{near}") from None
            shown = ", ".join(repr(column) for column in known[:20])
            raise RunsError(
                f"{target!r} is no column of {reading.origin} ({shown}), nor a formula: {problem}"
            ) from None
    if name in LABELS:
        raise RunsError(f"{name} is a label; map it to a column, not to the formula {target!r}")
    reading.values[name], reading.bad[name] = values, {}
    reading.columns[name] = Column(name, str(target), unit, 1.0, "formula")


def _clean(reading: _Reading, mapping: Mapping[str, object]) -> None:
    """Drop rows whose core quantities cannot be used; of the others only say what is odd."""
    core = _core(reading.columns, mapping)
    for name in reading.columns:
        if name in LABELS:
            continue
        values, bad = reading.values[name], reading.bad.get(name, {})
        source = reading.columns[name].source
        where = f"column {source}" if source == name or not source else f"column {source} ({name})"
        unread = np.zeros(len(values), dtype=bool)
        unread[list(bad)] = True
        if name not in core:
            if bad:
                row, text = next(iter(bad.items()))
                reading.notes.append(
                    f"{where} is no number in {len(bad)} rows, first {text!r} at row {row}; those cells are left empty"
                )
            continue
        example = f", first {next(iter(bad.values()))!r}" if bad else ""
        reading.fail(f"text that is no number in {where}{example}", unread)
        reading.fail(f"missing value in {where}", np.isnan(values))
        reading.fail(f"infinite value in {where}", np.isinf(values))
        if name in POSITIVE:
            with np.errstate(invalid="ignore"):
                reading.fail(f"non-positive value in {where}", values <= 0)


def _core(columns: Mapping[str, Column], mapping: Mapping[str, object]) -> set[str]:
    """Return the columns without which a row is of no use: the loss, one size, the tokens or the compute."""
    sizes = [name for name in ("params", "params_nonembedding", "params_active") if name in columns]
    core = {"loss", "tokens", "x", *sizes[:1]}
    if not sizes or "tokens" not in columns:
        core.add("flops")
    core |= {name for name, target in mapping.items() if target not in (None, "")}
    return core & columns.keys()


def _frame(reading: _Reading) -> pd.DataFrame:
    """Lay out the kept rows: canonical columns first, then the rest under their own names."""
    alive = reading.alive
    parts: dict[str, object] = {}
    for name in _sorted(reading.columns):
        values = reading.values[name][alive]
        parts[name] = pd.Series(values, dtype=object) if values.dtype == object else np.array(values, dtype=np.float64)
    for column in reading.raw.columns:
        if column not in reading.consumed:
            # a source column of a canonical name that means something else keeps its numbers under a longer name
            name = column if column not in parts else f"{column} (source)"
            parts[name] = reading.raw[column].loc[alive].reset_index(drop=True)
    return pd.DataFrame(parts)


def _nothing(reading: _Reading) -> str:
    shown = ", ".join(repr(column) for column in reading.raw.columns[:20]) + (
        ", ..." if len(reading.raw.columns) > 20 else ""
    )
    name = Path(reading.origin).name
    return (
        f"no column of {reading.origin} is recognised as params, tokens, flops or loss; its columns are {shown}; name "
        f'them, as in --map loss="column of {name}" (in Python: read_runs(..., loss="..."))'
    )


def _remedy(reading: _Reading) -> str:
    first = next(iter(reading.columns.values()))
    return f"map other columns, or switch one off with {first.name}=None"
