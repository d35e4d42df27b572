"""`Answer`: what a solvable model says, as a table, as JSON, as text and as a picture; every model gives one."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scalinglens.documents import plain
from scalinglens.files import PICTURES, written_whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Picture

    from scalinglens.figures.figure import Figure

__all__ = ["Answer"]

_SHOWN = 24  # rows that are printed
_WIDTH = 110


@dataclass(frozen=True, eq=False)
class Answer:
    """The answer of a model.

    Attributes:
        title: the problem in a line.
        table: column -> values, all of one length.
        document: the JSON object, without its schema; numbers unrounded.
        notes: what it rests on. warnings: what a reader should know.
        sources: papers.
        figure: data of a picture, or None.
    """

    title: str
    table: Mapping[str, Any]
    document: Mapping[str, Any]
    notes: Sequence[str] = ()
    warnings: Sequence[str] = ()
    sources: Sequence[str] = ()
    figure: Figure | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the answer as plain data; endless numbers are written "inf", unknown ones null."""
        document = {"schema": 1, **self.document, "warnings": self.warnings, "citations": self.sources}
        return plain(document, endless="inf")

    def to_frame(self) -> pd.DataFrame:
        """Return the table."""
        return pd.DataFrame(dict(self.table))

    def citations(self) -> tuple[str, ...]:
        """Return the papers that the answer rests on."""
        return tuple(self.sources)

    def plot(self, path: str | Path | None = None) -> Picture:
        """Draw the answer with matplotlib; write the picture where a path is given."""
        from scalinglens.figures.matplotlib import draw

        if self.figure is None:
            raise ValueError("this answer has no picture; it has numbers only")
        picture = draw(self.figure)
        if path is not None:
            with written_whole(path, PICTURES) as part:
                picture.savefig(part, format=Path(path).suffix[1:].lower())
        return picture

    def __repr__(self) -> str:
        frame = self.to_frame()
        shown = frame
        if len(frame) > _SHOWN:
            keep = np.unique(np.linspace(0, len(frame) - 1, _SHOWN).round().astype(int))
            shown = frame.iloc[keep]
        rows = [tuple(frame.columns), *(tuple(_cell(value) for value in row) for row in shown.itertuples(index=False))]
        widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
        lines = [self.title, *("  " + "  ".join(c.rjust(w) for c, w in zip(row, widths, strict=True)) for row in rows)]
        if len(shown) < len(frame):
            lines.append(f"  ({len(shown)} of {len(frame)} shown)")
        if self.notes or self.warnings:
            lines.append("")
        for note in self.notes:
            lines += textwrap.wrap(note, _WIDTH, initial_indent="  ", subsequent_indent="  ")
        for warning in self.warnings:
            lines += textwrap.wrap(warning, _WIDTH, initial_indent="  ! ", subsequent_indent="    ")
        return "\n".join(lines)


def _cell(value: Any) -> str:
    if isinstance(value, int | float | np.number) and not isinstance(value, bool):
        number = float(value)
        if math.isnan(number):
            return "-"
        return "inf" if math.isinf(number) else f"{number:.6g}"
    return str(value)
