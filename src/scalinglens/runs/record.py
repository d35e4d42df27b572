"""One run on disk, and a folder of them.

    STORE/runs/RUN/experiment.toml     what was asked for, complete
    STORE/runs/RUN/curve.parquet       one row per evaluation
    STORE/runs/RUN/status.json         how it ended: the summary, and the experiment under dotted names
    STORE/runs/RUN/environment.json    where it ran, with what, for how long

RUN is the hash of the experiment. A run that is there is never changed. The table of a store is kept beside it as a cache,
which is compared with the folder at every reading and never believed.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from scalinglens.documents import plain
from scalinglens.errors import RunsError
from scalinglens.quantities import QUANTITIES
from scalinglens.runs.place import Place, open_place
from scalinglens.runs.raw import RawTable

__all__ = ["Record", "is_store", "read_curves", "read_record", "read_stored", "write_record"]

SCHEMA = 1
RUNS = "runs"
STATUS = "status.json"
TABLE, CURVES = "index/table.parquet", "index/curves.parquet"
STAMP = "(stamp)"  # a column of the cache: what the status file was when its row was read
TWICE = frozenset(
    {"model.width", "model.depth", "model.heads", "training.tokens", "training.learning_rate", "training.weight_decay"}
)
"""Words of an experiment that the summary has under canonical names; the table does not repeat them."""


@dataclass(frozen=True, eq=False)
class Record:
    """One run as it is kept.

    Attributes:
        run: its name, the hash of the experiment. status: "finished" or "diverged".
        summary: canonical columns and facts. experiment: all words that determine the run, under dotted names.
        curve: one row per evaluation. text: the experiment as TOML. environment: where it ran, with what, for how long.
    """

    run: str
    status: str
    summary: Mapping[str, Any]
    experiment: Mapping[str, Any]
    curve: pd.DataFrame
    text: str
    environment: Mapping[str, Any]


def write_record(place: Place, record: Record) -> bool:
    """Put a run into a store, whole or not at all.

    Returns:
        Whether it is this one that is there now; a run that was there already stays.

    Raises:
        OSError: the place refuses, with the number that says why.
    """
    import pyarrow
    import pyarrow.parquet

    curve = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pandas(record.curve, preserve_index=False), curve)
    status = {
        "schema": SCHEMA,
        "run": record.run,
        "status": record.status,
        "summary": plain(record.summary),
        "experiment": plain(record.experiment),
    }
    files = {
        "experiment.toml": record.text.encode(),
        "curve.parquet": curve.getvalue(),
        "environment.json": _json({"schema": SCHEMA, **plain(record.environment)}),
        STATUS: _json(status),
    }
    return place.publish(f"{RUNS}/{record.run}", files, last=STATUS)


def read_record(place: Place, run: str) -> Record:
    """Return one run of a store.

    Raises:
        RunsError: it is not there, or damaged.
    """
    import pyarrow.parquet

    folder = f"{RUNS}/{run}"
    try:
        status = _status(place.read(f"{folder}/{STATUS}"), f"{place.url}/{folder}/{STATUS}")
        curve = pyarrow.parquet.read_table(io.BytesIO(place.read(f"{folder}/curve.parquet"))).to_pandas()
        text = place.read(f"{folder}/experiment.toml").decode()
        environment = json.loads(place.read(f"{folder}/environment.json"))
    except FileNotFoundError:
        raise RunsError(
            f"there is no run {run} in {place.url}; list the runs with scalinglens runs {place.url}"
        ) from None
    except (ValueError, pyarrow.ArrowException) as problem:
        if isinstance(problem, RunsError):
            raise
        raise RunsError(
            f"{place.url}/{folder} is damaged ({problem}); remove the folder and make the run again"
        ) from None
    return Record(run, status["status"], _numbers(status["summary"]), status["experiment"], curve, text, environment)


def is_store(source: object) -> bool:
    """Whether a path or address is a store of runs: a folder that holds a folder `runs`, or an address of fsspec.

    >>> is_store("s3://bucket/sweep"), is_store("https://example.org/runs.csv"), is_store("runs.csv")
    (True, False, False)
    """
    if not isinstance(source, str | os.PathLike):
        return False
    text = os.fspath(source)
    if not isinstance(text, str):
        return False
    kind, sign, path = text.partition("://")
    if sign:
        return kind not in ("http", "https") and not Path(path).suffix
    return os.path.isdir(os.path.join(os.path.expanduser(text), RUNS))  # never raises, whatever the text


def read_stored(source: str | os.PathLike[str] | Place) -> RawTable:
    """Return the table of a store, one row per run in the order of their names.

    Columns: `run`, `status`, those of the summary, and the words of the experiment under dotted names (`world.nodes`).
    Where runs diverged, `learning_rate_diverged` is the smallest learning rate at which a run diverged that is the same but
    for learning rate and seed.

    Raises:
        RunsError: no run is there, or a status file is damaged.

    Cost: 10,000 runs in a second, twice that when none of them was read before.
    """
    place = open_place(source) if isinstance(source, str | os.PathLike) else source
    stamps = place.stamps(RUNS, STATUS)
    if not stamps:
        raise RunsError(f"there is no run in {place.url} yet; a store holds runs/RUN/{STATUS}")
    frame = _cached(place, TABLE, stamps, _row)
    frame = frame.drop(columns=STAMP)
    diverged = frame["status"].tolist().count("diverged")
    notes = [f"{diverged} of {len(frame)} runs diverged; they have no loss"] if diverged else []
    if diverged:
        frame["learning_rate_diverged"] = _diverged(frame)
    return RawTable(frame, tuple(notes))


def read_curves(source: str | os.PathLike[str]) -> pd.DataFrame:
    """Return the learning curves of a store: `run` and the columns of the curves, one row per evaluation.

    Raises:
        RunsError: no run is there.
    """
    place = open_place(source)
    stamps = place.stamps(RUNS, STATUS)
    if not stamps:
        raise RunsError(f"there is no run in {place.url} yet; a store holds runs/RUN/curve.parquet")
    frame = _cached(place, CURVES, stamps, _curve)
    return frame.drop(columns=STAMP)


def _cached(place: Place, name: str, stamps: Mapping[str, str], read: Any) -> pd.DataFrame:
    """The rows of all runs, of which those that are as they were come from the cache."""
    import pyarrow
    import pyarrow.parquet

    try:
        kept = pyarrow.parquet.read_table(io.BytesIO(place.read(name))).to_pandas()
        seen = dict(zip(kept["run"], kept[STAMP], strict=True))
    except (OSError, ValueError, KeyError, pyarrow.ArrowException):  # not there, or not ours: made anew
        kept, seen = None, {}
    if kept is not None and seen == stamps:
        return kept
    # a run that changed or went would leave traces in the types of the columns
    grown = kept is not None and all(stamps.get(run) == stamp for run, stamp in seen.items())
    fresh = [run for run in stamps if not (grown and run in seen)]
    new = read(place, fresh, stamps)
    frame = pd.concat([kept, new], ignore_index=True) if kept is not None and grown else new
    frame = frame.sort_values("run", kind="stable", ignore_index=True)
    try:
        packed = io.BytesIO()
        pyarrow.parquet.write_table(pyarrow.Table.from_pandas(frame, preserve_index=False), packed)
        place.write(name, packed.getvalue())
    except (OSError, pyarrow.ArrowException):  # a full or closed disk costs time, nothing else
        pass
    return frame


def _row(place: Place, runs: Sequence[str], stamps: Mapping[str, str]) -> pd.DataFrame:
    rows = []
    for run in runs:
        path = f"{RUNS}/{run}/{STATUS}"
        status = _status(place.read(path), f"{place.url}/{path}")
        experiment = {key: value for key, value in status["experiment"].items() if key not in TWICE}
        rows.append({"run": run, "status": status["status"], **experiment, **status["summary"], STAMP: stamps[run]})
    frame = pd.DataFrame(rows)
    for column in frame.columns:  # a column of numbers with gaps is one of numbers
        values = frame[column]
        if values.dtype == object and all(
            value is None or (isinstance(value, int | float) and not isinstance(value, bool)) for value in values
        ):
            frame[column] = values.astype(np.float64)
    return frame


def _curve(place: Place, runs: Sequence[str], stamps: Mapping[str, str]) -> pd.DataFrame:
    import pyarrow.parquet

    parts = []
    for run in runs:
        content = place.read(f"{RUNS}/{run}/curve.parquet")
        curve = pyarrow.parquet.read_table(io.BytesIO(content)).to_pandas()
        curve.insert(0, "run", run)
        parts.append(curve.assign(**{STAMP: stamps[run]}))
    return pd.concat(parts, ignore_index=True)


def _diverged(frame: pd.DataFrame) -> np.ndarray:
    """Smallest learning rate that diverged among the runs that are the same but for learning rate and seed."""
    same = [name for name in frame.columns if "." in name] + [
        n for n in ("width", "depth", "tokens") if n in frame.columns
    ]
    keys = frame[same].astype(str).agg("\0".join, axis=1)
    rates = frame["learning_rate"].where(frame["status"] == "diverged")
    return rates.groupby(keys).transform("min").to_numpy(dtype=np.float64)


def _status(content: bytes, path: str) -> dict[str, Any]:
    try:
        status = json.loads(content)
        if status["schema"] != SCHEMA:
            raise RunsError(f"{path} has schema {status['schema']!r}; this version reads {SCHEMA}")
        return {name: status[name] for name in ("run", "status", "summary", "experiment")}
    except (ValueError, KeyError, TypeError) as problem:
        if isinstance(problem, RunsError):
            raise
        raise RunsError(f"{path} is damaged ({problem}); remove its folder and make the run again") from None


def _numbers(summary: Mapping[str, Any]) -> dict[str, Any]:
    """A loss that is no number was written as null."""
    return {name: float("nan") if value is None and name in QUANTITIES else value for name, value in summary.items()}


def _json(content: Mapping[str, Any]) -> bytes:
    return (json.dumps(content, indent=1, allow_nan=False) + "\n").encode()
