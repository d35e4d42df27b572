"""`Design`: the runs to make next, what they cost, and the interval that they will buy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from scalinglens.files import written_whole
from scalinglens.fit.estimate import Estimate

__all__ = ["SWEEPS", "Design"]

SWEEPS = (".toml",)


@dataclass(frozen=True, eq=False)
class Design:
    """Which runs to make next.

    Attributes:
        runs: one row per run in the order to make them: inputs, seed, cost, cumulative, batch, and what is left of the
            standard deviation of the decision once it and those above are made (`left`, 1 before the first).
        cost: of all runs. unit: of the cost. budget: that was given.
        decision: what is decided: "loss", "params", "difference of loss", or the formula.
        at: input -> value of the target.
        before, after: the decision with its interval now, and with the one expected after the runs. The value is that of
            today; runs will move it, within the interval of `before`.
        sd_before, sd_after: standard deviation of the decision (of its logarithm, where it has one).
        share: part of the information of all candidates together that the design has.
        alternatives: one row per input and run: the range of candidates that do nearly as well in its place.
        made: how many runs the design builds on.
        first: whether it is a first ladder, with no run made.
        question: goal, target, level, and the settings.
        assumptions, warnings: what a reader should know, in sentences.
        sources: papers that the design rests on.
    """

    runs: pd.DataFrame
    cost: float
    unit: str
    budget: float
    decision: str
    at: Mapping[str, float]
    before: Estimate
    after: Estimate
    sd_before: float
    sd_after: float
    share: float
    alternatives: pd.DataFrame
    made: int
    first: bool
    question: Mapping[str, Any]
    assumptions: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    sources: tuple[str, ...] = field(default=())

    def __len__(self) -> int:
        return len(self.runs)

    def to_frame(self) -> pd.DataFrame:
        """Return the runs."""
        return self.runs.copy()

    def to_dict(self) -> dict[str, Any]:
        """Return the design as plain data: the JSON of the command line."""
        return {
            "schema": 1,
            "question": _plain(self.question),
            "runs": [_plain(row) for row in self.runs.to_dict("records")],
            "cost": self.cost,
            "unit": self.unit,
            "budget": self.budget,
            "decision": self.decision,
            "at": _plain(self.at),
            "before": _ends(self.before),
            "after": _ends(self.after),
            "sd_before": self.sd_before,
            "sd_after": self.sd_after,
            "share_of_information": self.share,
            "alternatives": [_plain(row) for row in self.alternatives.to_dict("records")],
            "made": self.made,
            "first_ladder": self.first,
            "assumptions": list(self.assumptions),
            "warnings": list(self.warnings),
            "sources": list(self.sources),
        }

    def to_toml(self, path: str | Path | None = None) -> str:
        """Return the runs as a sweep file for the experiment runner, and write it where a path is given.

        One [[run]] per run, with its inputs as whole numbers (or width and depth, where the candidates have them) and a seed.

        Raises:
            OutputError: the file cannot be written.
        """
        from scalinglens.plan.design.text import as_toml

        text = as_toml(self)
        if path is not None:
            with written_whole(path, SWEEPS) as part:
                part.write_text(text)
        return text

    def citations(self) -> tuple[str, ...]:
        """Return the papers that the design rests on."""
        return self.sources

    def __repr__(self) -> str:
        from scalinglens.plan.design.text import as_text

        return as_text(self)

    def _repr_html_(self) -> str:
        from scalinglens.plan.design.text import as_html

        return as_html(self)


def _ends(estimate: Estimate) -> dict[str, Any]:
    return {"value": estimate.value, "low": estimate.low, "high": estimate.high, "level": estimate.level}


def _plain(words: Mapping[Any, Any]) -> dict[str, Any]:
    """A mapping with plain Python values, NaN as None."""
    found = {}
    for name, value in words.items():
        value = value.item() if isinstance(value, np.generic) else value
        found[str(name)] = None if isinstance(value, float) and not np.isfinite(value) else value
    return found
