"""`IsoFlop`: the best size of each budget, and the frontier through them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from scalinglens.errors import PredictionError
from scalinglens.fit.estimate import Estimate, check_level
from scalinglens.fit.isoflop.optima import STATUSES, Optimum
from scalinglens.numerics.bootstrap import percentile_interval
from scalinglens.quantities import format_number, format_quantity, parse_quantity

__all__ = ["IsoFlop"]

_CITATIONS = {
    "akima": "Porian et al. 2024, Resolving discrepancies in compute-optimal scaling, arXiv 2406.19146",
    "parabola": "Hoffmann et al. 2022, Training compute-optimal large language models, arXiv 2203.15556, approach 2",
    "envelope": "Hoffmann et al. 2022, Training compute-optimal large language models, arXiv 2203.15556, approach 1",
}


@dataclass(frozen=True, eq=False)
class IsoFlop:
    """The result of `isoflop`.

    Attributes:
        method: "akima", "parabola" or "envelope".
        size: column of sizes.
        status: "ok"; "too_few_budgets" where fewer than three have an optimum, "no_bend" where the losses of all budgets
            together do not bend upwards by more than their noise. Without "ok" there are no exponents.
        optima: one per budget, rising in compute.
        a: exponent of the best size, size ~ flops^a, or None.
        b: exponent of the tokens at the best size, or None.
        lines: (ln compute at the middle, ln size there, a, ln tokens there, b), or None.
        drawn: the same under each draw [draws, 4], without the middle.
        noise: standard deviation of single losses that the draws carry; NaN where it is not known.
        near: tolerance of the near-optimal ranges.
        level: of the intervals.
        table: what is known of the table.
        settings: options.
        warnings: what a reader should know.
    """

    method: str
    size: str
    status: str
    optima: tuple[Optimum, ...]
    a: Estimate | None
    b: Estimate | None
    lines: tuple[float, float, float, float, float] | None
    drawn: np.ndarray
    noise: float
    near: float
    level: float
    table: Mapping[str, Any]
    settings: Mapping[str, Any]
    warnings: tuple[str, ...]

    @property
    def refusal(self) -> str:
        """Why there are no exponents, or an empty string."""
        if self.status == "ok":
            return ""
        if self.status == "no_bend":
            return (
                "no exponents, because the losses do not bend upwards around their minima by more than their noise, "
                f"{self.noise:.3g}"
            )
        counts = {status: sum(o.status == status for o in self.optima) for status in STATUSES}
        says = "; ".join(f"{n} budgets: {STATUSES[status]}" for status, n in counts.items() if n and status != "ok")
        return f"no exponents, because only {counts['ok']} of {len(self.optima)} budgets have an optimum ({says})"

    def predict(self, flops: Any, level: float | None = None) -> pd.DataFrame:
        """Extend the frontier to other budgets.

        Args:
            flops: one or more budgets, numbers or texts such as "1e24".
            level: probability of the intervals, by default that of the result.

        Returns:
            A frame with flops, the size with `_low` and `_high`, tokens likewise, and `decades`: how many powers of ten the
            budget lies outside those that the frontier was fitted to (0 inside). Intervals are NaN without draws.

        Raises:
            PredictionError: there are no exponents, or a budget is impossible.

        >>> import numpy as np
        >>> from scalinglens.fit.isoflop import isoflop
        >>> size, flops = map(np.ravel, np.meshgrid(10.0 ** np.arange(6, 10, 0.25), 10.0 ** np.arange(17, 21)))
        >>> loss = 1.8 + 400 / size**0.34 + 2000 / (flops / 6 / size) ** 0.34
        >>> found = isoflop({"params": size, "flops": flops, "loss": loss}, "parabola")
        >>> found.predict("1e22")[["decades"]].to_numpy().tolist()
        [[2.0]]
        """
        level = self.level if level is None else level
        check_level(level)
        if self.lines is None:
            raise PredictionError(self.refusal + "; give budgets with sizes on both sides of the best one")
        texts = [flops] if isinstance(flops, str) else np.atleast_1d(flops)
        values = np.array([parse_quantity(c, expect="flops") if isinstance(c, str) else float(c) for c in texts])
        if not np.all(np.isfinite(values) & (values > 0)):
            raise PredictionError(f"flops must be positive and finite, got {values[~(values > 0)][:1]}")
        x = np.log(values) - self.lines[0]
        used = np.log([o.flops for o in self.optima if o.size is not None])
        outside = np.maximum(np.log(values) - used.max(), used.min() - np.log(values)) / math.log(10)
        columns: dict[str, np.ndarray] = {"flops": values}
        for name, k in ((self.size, 0), ("tokens", 2)):
            columns[name] = np.exp(self.lines[1 + k] + self.lines[2 + k] * x)
            low = high = np.full(len(values), np.nan)
            if len(self.drawn):
                low, high = np.exp(percentile_interval(self.drawn[:, k, None] + self.drawn[:, k + 1, None] * x, level))
            columns |= {f"{name}_low": low, f"{name}_high": high}
        return pd.DataFrame({**columns, "decades": np.round(np.maximum(outside, 0.0), 12)})

    def to_frame(self) -> pd.DataFrame:
        """Return one row per budget: status, size, tokens and loss with their intervals, near-optimal range."""
        rows = []
        for optimum in self.optima:
            row: dict[str, Any] = {"flops": optimum.flops, "status": optimum.status, "sizes": optimum.sizes}
            for name, found in ((self.size, optimum.size), ("tokens", optimum.tokens), ("loss", optimum.loss)):
                ends = (None, None, None) if found is None else (found.value, found.low, found.high)
                row |= dict(zip((name, f"{name}_low", f"{name}_high"), ends, strict=True))
            rows.append(row | {"near_low": optimum.near[0], "near_high": optimum.near[1]})
        frame = pd.DataFrame(rows)
        texts = ("status",)
        return frame.astype({name: float for name in frame.columns if name not in (*texts, "sizes")})

    def to_dict(self) -> dict[str, Any]:
        """Return the result as plain data: the JSON of the command line."""
        each = lambda e: None if e is None else {"value": e.value, "low": e.low, "high": e.high}  # noqa: E731
        return {
            "schema": 1,
            "method": self.method,
            "size": self.size,
            "status": self.status,
            "refusal": self.refusal or None,
            "exponents": {"a": each(self.a), "b": each(self.b)},
            "level": self.level,
            "near": self.near,
            "noise": None if math.isnan(self.noise) else self.noise,
            "budgets": [
                {
                    "flops": o.flops,
                    "status": o.status,
                    "reason": o.reason,
                    "sizes": o.sizes,
                    self.size: each(o.size),
                    "tokens": each(o.tokens),
                    "loss": each(o.loss),
                    "near": list(o.near),
                }
                for o in self.optima
            ],
            "rows": {"read": self.table["read"], "used": self.table["used"], "dropped": list(self.table["dropped"])},
            "columns": dict(self.table["columns"]),
            "settings": dict(self.settings),
            "data": {"origin": self.table["origin"], "sha256": self.table["sha256"]},
            "citations": list(self.citations()),
            "warnings": list(self.warnings),
        }

    def citations(self) -> tuple[str, ...]:
        """Return the paper of the method."""
        return (_CITATIONS[self.method],)

    def __repr__(self) -> str:
        good = sum(o.size is not None for o in self.optima)
        lines = [
            f"{self.method} over {self.table['used']} runs of {self.table['origin']}: {good} of {len(self.optima)} budgets "
            "have an optimum"
        ]
        shown = self.optima if len(self.optima) <= 20 else self.optima[:: -(-len(self.optima) // 12)]
        rows = [
            ["flops", "sizes", self.size, f"{self.level:.0%} interval", "tokens", "loss", f"within {self.near:.1%}"]
        ]
        for o in shown:
            if o.size is None or o.tokens is None or o.loss is None:
                rows.append([format_quantity(o.flops), str(o.sizes), o.status, "", "", "", ""])
                continue
            spread = "-" if o.size.low is None else _range(o.size.low, o.size.high)
            rows.append(
                [
                    format_quantity(o.flops), str(o.sizes), format_quantity(o.size.value), spread,
                    format_quantity(o.tokens.value), f"{o.loss.value:.4g}", _range(*o.near),
                ]
            )  # fmt: skip
        widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
        lines += ["  " + "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows]
        if len(shown) < len(self.optima):
            lines.append(f"  ({len(self.optima) - len(shown)} more budgets between these)")
        for name, what, estimate in (("a", self.size, self.a), ("b", "tokens", self.b)):
            if estimate is not None:
                value = format_number(estimate.value, estimate.low, estimate.high)
                ends = [
                    format_number(e, estimate.low, estimate.high)
                    for e in (estimate.low, estimate.high)
                    if e is not None
                ]
                lines.append(f"  {name}  {value}  {' to '.join(ends) or '-'}   {what} ~ flops^{name}")
        return "\n".join(lines + [f"  ! {line}" for line in (self.refusal, *self.warnings) if line])


def _range(low: float | None, high: float | None) -> str:
    ends = ["beyond" if end is None else format_quantity(end) for end in (low, high)]
    return f"{ends[0]} to {ends[1]}"
