"""`RawTable`: a table as it was found, before anything is recognised in it; and how objects in memory become one."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from scalinglens.errors import RunsError

__all__ = ["RawTable", "from_columns", "from_object", "from_records"]

_ACCEPTED = "a path, a pandas or Polars frame, a list of dicts or a dict of arrays"
_NESTING = 8  # levels of objects inside a record that are flattened to a.b.c


@dataclass(frozen=True)
class RawTable:
    """Cells under the names of the source, the notes of the reading, and the rows that could not be read at all."""

    frame: pd.DataFrame
    notes: tuple[str, ...] = ()
    unread: tuple[tuple[str, int], ...] = ()  # (reason, row number in the source) of cut last lines

    @property
    def rows_read(self) -> int:
        """Rows of the source, those that could not be read included."""
        return len(self.frame) + len(self.unread)


def from_object(source: object) -> RawTable:
    """Return the table of a pandas or Polars frame, anything with `to_pandas`, a list of dicts or a dict of arrays.

    Raises:
        RunsError: another type, columns of unequal length, a record that is none.

    >>> from_object([{"loss": 3.0}, {"loss": 2.5, "run": "a"}]).frame.columns.tolist()
    ['loss', 'run']
    """
    if isinstance(source, pd.DataFrame):
        return _from_pandas(source)
    if type(source).__module__.partition(".")[0] == "polars":  # recognised without importing Polars
        frame = source.collect() if hasattr(source, "collect") else source  # type: ignore[attr-defined]
        if not hasattr(frame, "to_dict") or not hasattr(frame, "columns"):
            raise RunsError(f"cannot read runs from a Polars {type(source).__name__}; pass a DataFrame")
        return from_columns(frame.to_dict(as_series=False), "the Polars frame")  # type: ignore[attr-defined]
    if hasattr(source, "to_pandas"):
        converted = source.to_pandas()  # type: ignore[attr-defined]
        if isinstance(converted, pd.DataFrame):
            return _from_pandas(converted)
    if isinstance(source, Mapping):
        return from_columns(source, "the dict")
    if isinstance(source, np.ndarray) and source.dtype.names:
        return from_columns({name: source[name] for name in source.dtype.names}, "the array")
    if isinstance(source, Sequence) and not isinstance(source, str | bytes | bytearray):
        return from_records(source, "the list")
    raise RunsError(f"cannot read runs from {type(source).__name__}; pass {_ACCEPTED}")


def _from_pandas(source: pd.DataFrame) -> RawTable:
    frame = source.copy()
    if any(name is not None for name in frame.index.names):
        named = [name for name in frame.index.names if name is not None and name not in frame.columns]
        frame = frame.reset_index(level=named)  # an index with a name is a column in another place
    frame.columns = [
        "/".join(str(part) for part in name) if isinstance(name, tuple) else str(name) for name in frame.columns
    ]
    frame = frame.reset_index(drop=True)
    twice = frame.columns[frame.columns.duplicated()]
    if len(twice):
        raise RunsError(f"the frame has two columns named {twice[0]!r}; rename or drop one of them")
    for name in frame.columns:
        if isinstance(frame[name].dtype, pd.CategoricalDtype):
            frame[name] = frame[name].astype(object)
        elif pd.api.types.is_extension_array_dtype(frame[name].dtype) and pd.api.types.is_numeric_dtype(frame[name]):
            frame[name] = frame[name].to_numpy(dtype=np.float64, na_value=np.nan)
    return _filled(frame, "the frame", ())


def from_columns(columns: Mapping[object, object], where: str, notes: tuple[str, ...] = ()) -> RawTable:
    """Return the table of a mapping name -> sequence, all of one length; a lone number is repeated.

    >>> from_columns({"a": [1.0, 2.0], "b": 3.0}, "the dict").frame["b"].tolist()
    [3.0, 3.0]
    """
    if not columns:
        raise RunsError(f"{where} holds no columns; write for example params, tokens and loss")
    lists: dict[str, object] = {}
    lengths: dict[str, int] = {}
    for name, values in columns.items():
        if isinstance(values, Mapping):
            values = list(values.values())  # {"loss": {"0": 3.1, "1": 2.9}}, as pandas writes JSON
        elif isinstance(values, Iterable) and not isinstance(values, str | bytes):
            values = values if isinstance(values, np.ndarray) else list(values)
        if isinstance(values, list | np.ndarray):
            if isinstance(values, np.ndarray) and values.ndim != 1:
                raise RunsError(f"column {name!r} of {where} has shape {values.shape}; a column is one-dimensional")
            lengths[str(name)] = len(values)
        lists[str(name)] = values
    if not lengths:
        example = ", ".join(f"{name!r}: {value!r}" for name, value in itertools.islice(lists.items(), 2))
        raise RunsError(
            f"{where} maps names to single values ({example}, ...), not to columns; "
            "write a list of objects, one per run, or one list per column"
        )
    if len(set(lengths.values())) > 1:
        (first, size), (other, count) = next((a, b) for a, b in itertools.pairwise(lengths.items()) if a[1] != b[1])
        raise RunsError(
            f"{where} has {size} values in column {first!r} but {count} in {other!r}; give one value per run"
        )
    length = next(iter(lengths.values()))
    whole = {name: values if name in lengths else [values] * length for name, values in lists.items()}
    return _filled(pd.DataFrame({name: tidy(values) for name, values in whole.items()}), where, notes)


def from_records(
    records: Sequence[object], where: str, notes: tuple[str, ...] = (), unread: tuple[tuple[str, int], ...] = ()
) -> RawTable:
    """Return the table of a list of mappings, one per run; objects inside a record become columns a.b.

    >>> from_records([{"config": {"lr": 0.1}, "loss": 2.0}], "the list").frame.columns.tolist()
    ['config.lr', 'loss']
    """
    columns: dict[str, list[object]] = {}
    for row, record in enumerate(records):
        if not isinstance(record, Mapping):
            raise RunsError(
                f"item {row} of {where} is {type(record).__name__} {str(record)[:40]!r}, not a record such as "
                '{"params": 7e9, "tokens": 1.4e12, "loss": 2.1}'
            )
        for name, value in _flat(record, "", 0):
            columns.setdefault(name, [None] * row).append(value)
        for values in columns.values():
            if len(values) <= row:
                values.append(None)
    frame = pd.DataFrame({name: tidy(values) for name, values in columns.items()})
    return _filled(frame, where, notes, unread)


def _flat(record: Mapping[object, object], prefix: str, depth: int) -> Iterable[tuple[str, object]]:
    for name, value in record.items():
        if isinstance(value, Mapping) and depth < _NESTING:
            yield from _flat(value, f"{prefix}{name}.", depth + 1)
        else:
            yield f"{prefix}{name}", str(value) if isinstance(value, list | tuple | Mapping) else value


def tidy(values: object) -> object:
    """Return a column as numbers where every cell is one (or missing), otherwise as the objects themselves."""
    if isinstance(values, np.ndarray) and values.dtype.kind in "iuf":
        return values
    cells = list(values)  # type: ignore[call-overload]
    kinds = {type(cell) for cell in cells}
    if kinds == {int} and all(-(2**63) <= cell < 2**63 for cell in cells):
        return np.array(cells, dtype=np.int64)
    if kinds <= {int, float, type(None)} and kinds & {int, float}:
        return np.array([np.nan if cell is None else _float(cell) for cell in cells])
    return pd.Series(cells, dtype=object)


def _float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return float("inf")  # an integer beyond a double: reported as not finite, with its row


def _filled(
    frame: pd.DataFrame, where: str, notes: tuple[str, ...], unread: tuple[tuple[str, int], ...] = ()
) -> RawTable:
    if not len(frame.columns):
        raise RunsError(f"{where} holds no columns; write for example params, tokens and loss")
    if not len(frame):
        names = ", ".join(str(name) for name in frame.columns[:8])
        raise RunsError(f"{where} holds column names ({names}) but no rows; add one row per run")
    return RawTable(frame, notes, unread)
