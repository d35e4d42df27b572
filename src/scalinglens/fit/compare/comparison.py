"""`Comparison`: the scores of several forecasters, whether the runs can tell them apart, and every forecast behind that."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scalinglens.files import PICTURES, SAVED, written_whole
from scalinglens.fit.compare.check import Check
from scalinglens.fit.compare.contenders import FAILED, Trial
from scalinglens.fit.compare.holdout import Fold
from scalinglens.fit.compare.paired import Paired
from scalinglens.fit.compare.scores import SCORES, score

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["SCHEMA", "Comparison", "ranked"]

SCHEMA = 1


@dataclass(frozen=True, eq=False)
class Comparison:
    """The result of `compare`.

    Attributes:
        laws: names of what was compared, as asked for.
        target: column that was forecast.
        holdout: the hold-out as written.
        folds: origins, from the smallest to the stated one: which rows were fitted, which forecast, how far ahead.
        level: probability of the intervals; 1 - level is the size of the tests.
        table: one row per law and baseline, best first: kind, runs, origins, scores over all held-out runs, aicc on the
            training part of the last origin, status of the fits, reason of a failure.
        by_origin: the same for every origin.
        predictions: one row per forecaster and held-out run: law, origin, row of the source, cluster, inputs, ahead (how
            many times larger than the largest run of the fit), observed, predicted, low, high.
        tests: every other law, then every baseline, against the best law.
        clusters: what runs share that err together in the tests ("run", "params", ...), "" where each counts by itself.
        best: the law with the least mean error; a law that forecast every held-out run comes before one that did not.
        advice: what to change in the table or the design, see `advice`.
        warnings: what a reader should know of the table.
        data: where the table comes from.
        settings: boot, seed, origins, x and the options of the fits.
    """

    laws: tuple[str, ...]
    target: str
    holdout: str
    folds: tuple[Fold, ...]
    level: float
    table: pd.DataFrame
    by_origin: pd.DataFrame
    predictions: pd.DataFrame
    tests: tuple[Paired, ...]
    clusters: str
    best: str
    advice: tuple[Check, ...]
    warnings: tuple[str, ...]
    data: Mapping[str, Any]
    settings: Mapping[str, Any]

    @cached_property
    def verdict(self) -> tuple[str, ...]:
        """What the comparison says, in sentences."""
        from scalinglens.fit.compare.text import verdict

        return verdict(self)

    @cached_property
    def scores(self) -> dict[str, dict[str, Any]]:
        """The table as plain data: law -> column -> value, best first."""
        return {str(name): row for name, row in self.table.to_dict(orient="index").items()}

    def forecasts(self, law: str) -> dict[str, np.ndarray]:
        """Return what one law or baseline forecast, column -> values [n]: observed, predicted, low, high, ahead, ..."""
        part: Any = self.predictions[self.predictions["law"] == law]
        return {str(name): part[name].to_numpy() for name in part.columns if name != "law"}

    def test(self, law: str) -> Paired | None:
        """Return the test of a law against the best one; None for the best itself and for one that forecast nothing."""
        return next((found for found in self.tests if found.law == law), None)

    def to_frame(self) -> pd.DataFrame:
        """Return a copy of the table of scores, best first."""
        return self.table.copy()

    def to_dict(self) -> dict[str, Any]:
        """Return the comparison as plain data: the JSON of the command line."""
        folds = [
            {
                "origin": fold.origin,
                "train": len(fold.train),
                "test": len(fold.test),
                "extent": fold.extent,
                "edge": fold.edge,
                "reach": fold.reach,
                "factor": fold.factor,
                "says": fold.says(),
            }
            for fold in self.folds
        ]
        return _finite(
            {
                "schema": SCHEMA,
                "target": self.target,
                "holdout": self.holdout,
                "level": self.level,
                "laws": list(self.laws),
                "best": self.best,
                "verdict": list(self.verdict),
                "origins": folds,
                "scores": _records(self.table.reset_index()),
                "by_origin": _records(self.by_origin),
                "tests": [asdict(found) for found in self.tests],
                "clusters": self.clusters,
                "advice": [check.to_dict() for check in self.advice],
                "warnings": list(self.warnings),
                "settings": dict(self.settings),
                "data": dict(self.data),
                "predictions": _records(self.predictions),
            }
        )

    def save(self, path: str | Path) -> None:
        """Write the comparison to a JSON file, whole or not at all."""
        with written_whole(path, SAVED) as part:
            part.write_text(json.dumps(self.to_dict(), indent=1) + "\n", encoding="utf-8")

    def plot(self, path: str | Path | None = None) -> Figure:
        """Draw forecasts over observations against the reach of the extrapolation; write the picture where a path is given."""
        from scalinglens.figures.matplotlib import draw
        from scalinglens.fit.compare.figures import compare_figure

        figure = draw(compare_figure(self))
        if path is not None:
            with written_whole(path, PICTURES) as part:
                figure.savefig(part, format=Path(path).suffix[1:].lower())
        return figure

    def __repr__(self) -> str:
        from scalinglens.fit.compare.text import as_text

        return as_text(self)

    def _repr_html_(self) -> str:
        from scalinglens.fit.compare.text import as_html

        return as_html(self)


def ranked(
    laws: Sequence[str],
    trials: Sequence[Trial],
    predictions: pd.DataFrame,
    folds: Sequence[Fold],
    *,
    level: float,
    logs: bool,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Score forecasters over all origins, best first, and origin by origin.

    Args:
        laws: names of the laws; every other forecaster is a baseline.
        trials: what each forecast from each origin.
        predictions: of `Comparison`.
        folds: the origins.
        level: of the intervals. logs: whether errors are those of logarithms.
    """
    by_fold = {fold.origin: fold for fold in folds}
    parts: dict[Any, Any] = dict(iter(predictions.groupby(["law", "origin"], sort=False)))
    rows = []
    for trial in sorted(trials, key=lambda trial: trial.origin):
        fold = by_fold[trial.origin]
        part: Any = parts.get((trial.name, trial.origin), predictions.iloc[:0])
        rows.append(
            {
                "law": trial.name,
                "origin": trial.origin,
                "kind": "law" if trial.name in laws else "baseline",
                "train": len(fold.train),
                "runs": len(part),
                "factor": fold.factor,
                **_scores(part, level, logs),
                "aicc": trial.aicc,
                "status": trial.status,
                "reason": trial.reason,
                "warnings": "; ".join(trial.warnings),
            }
        )
    pooled = []
    for name in dict.fromkeys(trial.name for trial in trials):
        part: Any = predictions[predictions["law"] == name]
        own = [trial for trial in sorted(trials, key=lambda trial: trial.origin) if trial.name == name]
        counts = Counter(trial.status for trial in own)
        pooled.append(
            {
                "law": name,
                "kind": "law" if name in laws else "baseline",
                "runs": len(part),
                "origins": sum(trial.status != FAILED for trial in own),
                **_scores(part, level, logs),
                "aicc": own[-1].aicc,
                "status": " ".join(f"{status} {count}" if len(own) > 1 else status for status, count in counts.items()),
                "reason": next((trial.reason for trial in reversed(own) if trial.reason), ""),
            }
        )
    # a law that forecast all runs comes before one that left some out, whose mean may be of the easier ones
    pooled.sort(key=lambda row: (-row["origins"], math.isnan(row["error"]), row["error"]))
    return pd.DataFrame(pooled).set_index("law"), pd.DataFrame(rows)


def _scores(part: Any, level: float, logs: bool) -> dict[str, float]:
    columns = (part[name].to_numpy(dtype=float) for name in ("observed", "predicted", "low", "high"))
    found = score(*columns, level=level, logs=logs)
    return {name: found[name] for name in SCORES}


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return frame.to_dict(orient="records")  # type: ignore[return-value]


def _finite(value: Any) -> Any:
    """JSON has no NaN and no infinity: None in their place."""
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
