"""`Methods`: what every method says of one question, side by side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from scalinglens.documents import plain
from scalinglens.files import PICTURES, written_whole
from scalinglens.fit.estimate import Estimate
from scalinglens.plan.methods.task import REFUSALS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["SCHEMA", "Methods", "Row"]

SCHEMA = 1

CITATIONS = {
    "approach1": "Hoffmann et al. 2022, Training compute-optimal large language models, arXiv 2203.15556",
    "approach2": "Hoffmann et al. 2022, Training compute-optimal large language models, arXiv 2203.15556",
    "approach3": "Hoffmann et al. 2022, Training compute-optimal large language models, arXiv 2203.15556",
    "akima": "Porian et al. 2024, Resolving discrepancies in compute-optimal scaling, arXiv 2406.19146",
    "varpro": "Czech et al. 2026, Problems with Chinchilla approach 2, arXiv 2603.22339",
    "kaplan": "Kaplan et al. 2020, Scaling laws for neural language models, arXiv 2001.08361",
    "network": "Barkeshli, Alfarano and Gromov 2026, arXiv 2601.10684",
    "kernel": "Barkeshli, Alfarano and Gromov 2026, arXiv 2601.10684",
}
_ESTIMATES = ("a", "b", "params", "tokens", "loss", "excess", "waste")


@dataclass(frozen=True)
class Row:
    """One method's answer, or why it has none.

    Attributes:
        method: its name.
        status: "ok", or a name in `REFUSALS`.
        reason: why it gives no answer, or "".
        a, b: exponents of the best params and tokens in compute.
        params, tokens: at the budget.
        loss: at that allocation, where the method predicts one.
        excess: loss of its size at the budget above the least loss there, both by the reference.
        waste: share of the budget that this loss did not need.
        bias: its size relative to the truth minus one where the certified law holds exactly at these runs, without noise; None
            where it has no answer then.
        resampled: what its draws draw anew; "" without intervals. draws: how many.
        notes: what a reader should know.
    """

    method: str
    status: str
    reason: str = ""
    a: Estimate | None = None
    b: Estimate | None = None
    params: Estimate | None = None
    tokens: Estimate | None = None
    loss: Estimate | None = None
    excess: Estimate | None = None
    waste: Estimate | None = None
    bias: float | None = None
    resampled: str = ""
    draws: int = 0
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the row as plain data."""
        each = lambda e: None if e is None else {"value": e.value, "low": e.low, "high": e.high}  # noqa: E731
        return {
            "method": self.method,
            "status": self.status,
            "reason": self.reason or None,
            **{name: each(getattr(self, name)) for name in _ESTIMATES},
            "bias": self.bias,
            "resampled": self.resampled or None,
            "draws": self.draws,
            "notes": list(self.notes),
        }


@dataclass(frozen=True, eq=False)
class Methods:
    """The result of `compare_methods`.

    Attributes:
        rows: one per method, in the order asked for.
        flops: the budget.
        reference: what prices the allocations; "" where nothing does.
        given: whether the reference was given, and not fitted to the runs.
        level: of the intervals.
        decades: powers of ten by which the budget lies beyond the largest run; NaN where compute is not known.
        table: what is known of the table.
        settings: options.
        warnings: what a reader should know.
    """

    rows: tuple[Row, ...]
    flops: float
    reference: str
    given: bool
    level: float
    decades: float
    table: Mapping[str, Any]
    settings: Mapping[str, Any]
    warnings: tuple[str, ...] = ()

    def __getitem__(self, method: str) -> Row:
        """The row of a method."""
        return next(row for row in self.rows if row.method == method)

    def to_frame(self) -> pd.DataFrame:
        """Return one row per method: status, and value, _low and _high of exponents, sizes, loss and regret."""
        rows = []
        for row in self.rows:
            cells: dict[str, Any] = {"method": row.method, "status": row.status}
            for name in _ESTIMATES:
                e = getattr(row, name)
                ends = (None, None, None) if e is None else (e.value, e.low, e.high)
                cells |= dict(zip((name, f"{name}_low", f"{name}_high"), ends, strict=True))
            rows.append(cells | {"bias": row.bias})
        frame = pd.DataFrame(rows)
        return frame.astype({name: float for name in frame.columns if name not in ("method", "status")})

    def to_dict(self) -> dict[str, Any]:
        """Return the comparison as the JSON object of `scalinglens plan --methods`, numbers unrounded."""
        return plain(
            {
                "schema": SCHEMA,
                "flops": self.flops,
                "decades": self.decades,
                "level": self.level,
                "reference": self.reference or None,
                "reference_given": self.given,
                "methods": [row.to_dict() for row in self.rows],
                "refusals": {row.status: REFUSALS[row.status] for row in self.rows if row.status != "ok"},
                "rows": {name: self.table[name] for name in ("read", "used", "dropped")},
                "columns": self.table["columns"],
                "settings": self.settings,
                "data": {"origin": self.table["origin"], "sha256": self.table["sha256"]},
                "citations": self.citations(),
                "warnings": self.warnings,
            }
        )

    def citations(self) -> tuple[str, ...]:
        """Return the papers of the methods."""
        return tuple(dict.fromkeys(CITATIONS[row.method] for row in self.rows))

    def plot(self, path: str | Path | None = None) -> Figure:
        """Draw sizes and what they cost; write the picture where a path is given."""
        from scalinglens.figures.matplotlib import draw
        from scalinglens.plan.methods.figures import methods_figure

        figure = draw(methods_figure(self))
        if path is not None:
            with written_whole(path, PICTURES) as part:
                figure.savefig(part, format=Path(path).suffix[1:].lower())
        return figure

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        from scalinglens.plan.methods.text import as_text

        return as_text(self)

    def _repr_html_(self) -> str:
        from scalinglens.plan.methods.text import as_html

        return as_html(self)
