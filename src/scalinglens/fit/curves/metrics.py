"""The log of a job that is still running: read again and again, only what is new, whatever state the file is in.

CSV with a header or JSON lines. A last line without its end is left for the next reading; a header that comes again after
a restart is skipped; where the step goes back, as after resuming from a checkpoint, the later rows win; a file that was
truncated or replaced is read anew; losses that are no numbers are counted and left out.
"""

from __future__ import annotations

import bisect
import csv
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from scalinglens.errors import RunsError, did_you_mean
from scalinglens.runs.recognise import normalise, read_header

__all__ = ["MetricsLog"]

QUANTITIES = ("steps", "tokens", "loss", "learning_rate")
BAD_IN_A_ROW = 3
# of several columns that could be the loss: the plain one, then that of training, which is logged most often
_FAVOURED = ("loss", "train_loss", "training_loss", "loss_train", "val_loss", "eval_loss", "validation_loss")


class MetricsLog:
    """A metrics file and what has been read of it so far.

    Args:
        path: the file; it need not exist yet.
        columns: quantity ("steps", "tokens", "loss", "learning_rate") -> column, where names do not tell.

    Attributes:
        columns: quantity -> column in use, filled in as columns appear.
        resumes, repeats, unread, not_numbers, restarts: how often the step went back, a header came again, a line could not
            be read, a loss was no number, the file was replaced.
    """

    def __init__(self, path: str | Path, columns: Mapping[str, str] | None = None):
        for name in columns or {}:
            if name not in QUANTITIES:
                raise RunsError(
                    f'a metrics log has no "{name}"{did_you_mean(name, QUANTITIES)}; map one of {", ".join(QUANTITIES)}'
                )
        self.path = Path(path)
        self._asked = dict(columns or {})
        self.restarts = 0
        self._identity: tuple[int, int] | None = None
        self._forget()

    def _forget(self) -> None:
        self.columns: dict[str, str] = dict(self._asked)
        self.resumes = self.repeats = self.unread = self.not_numbers = 0
        self._bad: list[float] = []
        self._names: dict[str, None] = {}
        self._delimiter = ","
        self._offset = 0
        self._rest = b""
        self._header: list[str] | None = None
        self._json: bool | None = None
        self._rows: dict[str, list[float]] = {name: [] for name in QUANTITIES}

    def __len__(self) -> int:
        return len(self._rows["loss"])

    def column(self, name: str) -> np.ndarray | None:
        """Return a column [rows], or None where the log has none; NaN where single rows lack it."""
        values = np.array(self._rows[name])
        return values if len(values) and np.isfinite(values).any() else None

    @property
    def diverged(self) -> float | None:
        """Progress since which all losses are no numbers, where at least three in a row are not."""
        return self._bad[0] if len(self._bad) >= BAD_IN_A_ROW else None

    @property
    def exists(self) -> bool:
        """Whether the file is there."""
        return self.path.is_file()

    def read(self) -> bool:
        """Read what was added since the last time and return whether there is anything new.

        Raises:
            RunsError: the file is a folder, compressed, no text, or its columns do not tell step and loss.

        Cost: linear in what was added.
        """
        try:
            with self.path.open("rb") as file:
                state = os.fstat(file.fileno())
                identity = (state.st_dev, state.st_ino)
                if self._identity not in (None, identity) or state.st_size < self._offset:
                    self._forget()
                    self.restarts += 1
                self._identity = identity
                file.seek(self._offset)
                fresh = file.read()
        except FileNotFoundError:
            return False
        except OSError as problem:
            raise RunsError(f"cannot read {self.path}: {problem.strerror}; give the metrics file of a run") from None
        if not fresh:
            return False
        if self._offset == 0:
            self._check(fresh)
        self._offset += len(fresh)
        *lines, self._rest = (self._rest + fresh).split(b"\n")
        before = len(self), self.resumes
        for line in lines:
            text = line.decode("utf-8", errors="replace").strip().lstrip("\ufeff")
            if text:
                self._line(text)
        if self._json and len(self._names) and not len(self) and not self.not_numbers and len(lines) >= 5:
            self._recognise(list(self._names), final=True)  # says what is missing
        return (len(self), self.resumes) != before or bool(lines)

    def _check(self, start: bytes) -> None:
        if start[:2] == b"\x1f\x8b" or b"\0" in start[:4096]:
            kind = "compressed" if start[:2] == b"\x1f\x8b" else "no text"
            raise RunsError(f"{self.path} is {kind}, so it cannot be followed line by line; give CSV or JSON lines")

    def _line(self, text: str) -> None:
        if self._json is None:
            self._json = text.startswith("{")
        if self._json:
            try:
                cells = json.loads(text)
            except json.JSONDecodeError:
                self.unread += 1
                return
            if isinstance(cells, dict):
                self._row(_flat(cells))
            else:
                self.unread += 1
            return
        if self._header is None:
            self._delimiter = max(",\t;", key=text.count)
        cells = next(csv.reader([text], delimiter=self._delimiter))
        if self._header is None:
            self._header = [cell.strip() for cell in cells]
            self._recognise(self._header, final=True)
        elif [cell.strip() for cell in cells] == self._header:
            self.repeats += 1
        elif len(cells) != len(self._header):
            self.unread += 1
        else:
            self._row(dict(zip(self._header, cells, strict=True)))

    def _recognise(self, names: list[str], *, final: bool) -> None:
        """Find the column of each quantity by its name, or by the last part of it as in train/loss."""
        for quantity in QUANTITIES:
            asked = self._asked.get(quantity)
            if asked is not None:
                if final and asked not in names:
                    raise RunsError(
                        f"{self.path} has no column {asked!r}{did_you_mean(asked, names)}; it has {', '.join(names)}"
                    )
                continue
            if quantity in self.columns:
                continue
            found = [name for name in names if _quantity(name) == quantity]
            if found:
                self.columns[quantity] = min(found, key=_rank)
        if final and ("loss" not in self.columns or not {"steps", "tokens"} & set(self.columns)):
            missing = "loss" if "loss" not in self.columns else "steps or tokens"
            raise RunsError(
                f"{self.path} has no column of {missing}; it has {', '.join(names)}. Name it: "
                f"--map {missing.split()[0]}=COLUMN"
            )

    def _row(self, cells: Mapping[str, Any]) -> None:
        if self._json:
            self._names.update(dict.fromkeys(cells))
            self._recognise(list(cells), final=False)
        values = {name: _number(cells.get(column)) for name, column in self.columns.items()}
        place = "steps" if "steps" in self.columns else "tokens"
        at, loss = values.get(place), values.get("loss")
        if at is None or loss is None or not math.isfinite(at):
            if "loss" in self.columns and self.columns["loss"] in cells and at is None:
                self.unread += 1
            return  # a row of other metrics, as of an evaluation
        known = self._rows[place]
        if known and at <= known[-1]:
            if at < known[-1]:
                self.resumes += 1
            keep = bisect.bisect_left(known, at)
            for column in self._rows.values():
                del column[keep:]
        if not math.isfinite(loss):
            self.not_numbers += 1
            self._bad.append(at)
            return
        self._bad = []
        for name, column in self._rows.items():
            value = values.get(name)
            column.append(math.nan if value is None else value)


def _flat(cells: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested objects as names with slashes."""
    found: dict[str, Any] = {}
    for name, value in cells.items():
        if isinstance(value, dict):
            found |= _flat(value, f"{prefix}{name}/")
        else:
            found[f"{prefix}{name}"] = value
    return found


def _quantity(name: str) -> str | None:
    for part in (name, name.replace("\\", "/").rsplit("/", 1)[-1], name.rsplit(".", 1)[-1]):
        if normalise(part) in ("_step", "step", "iteration", "iter", "global_step"):
            return "steps"
        header = read_header(part)
        if header is not None and not header.transform and header.scale == 1.0:
            return header.name
    return None


def _rank(name: str) -> tuple[int, int]:
    plain = normalise(name)
    return next((i for i, known in enumerate(_FAVOURED) if plain == known), len(_FAVOURED)), len(name)


def _number(cell: Any) -> float | None:
    """A number, NaN where one was meant and failed, None where there is none."""
    if isinstance(cell, bool) or cell is None:
        return None
    if isinstance(cell, int | float):
        return float(cell)
    text = str(cell).strip()
    if not text:
        return None
    try:
        return float(text)
    except ValueError:
        return None
