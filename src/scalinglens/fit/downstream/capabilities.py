"""Observational scaling laws (Ruan et al. 2024): a few principal components of the benchmark scores of public models.

    score_m = mean_m + sum_k S_k loading_km + ...          components S of the models, common to all families
    S_k = theta_fk ln C + nu_fk                            lines of each model family f in training compute C
    accuracy = h0 + h sigmoid(w.S + b)                     a task that was not among the benchmarks

Families differ in how well they turn compute into ability, not in how ability shows in a task; so models trained by others
serve to forecast a task, and no model has to be trained for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from scalinglens.errors import FitError, RunsError, did_you_mean
from scalinglens.fit.fit import fit
from scalinglens.fit.result import Fit
from scalinglens.runs import read_runs

__all__ = ["Capabilities", "EmergentTask", "FamilyLine", "capabilities", "imputed"]

ROUNDS = 50
DELTA = 0.01  # width of Huber's loss on the accuracy of an emergent task
_LAWS = {"components": "ruan2024.emergent", "compute": "ruan2024.emergent_compute"}


@dataclass(frozen=True, slots=True)
class FamilyLine:
    """One component of one model family: slope * ln(flops) + intercept.

    Attributes:
        family: name. component: its number, from 1. models: how many with known compute.
        slope, intercept: theta and nu. slope_error: standard error of the slope, NaN for two models.
        r2: share of the variance explained.
    """

    family: str
    component: int
    models: int
    slope: float
    intercept: float
    slope_error: float
    r2: float


@dataclass(frozen=True, eq=False)
class Capabilities:
    """Components of ability of a set of models, and how they grow with compute in each family.

    Attributes:
        metrics: names of the benchmarks [m].
        models, families: name and family of each model [n].
        flops: training compute of each model [n], NaN where unknown.
        filled: scores [n, m], missing ones imputed.
        missing: which were missing [n, m].
        mean: of the filled scores [m].
        loadings: of the components kept [k, m], each with a positive sum.
        explained: share of variance of every component [m].
        scores: components of the models [n, k].
        lines: of families with at least three models of known and different compute.
    """

    metrics: tuple[str, ...]
    models: tuple[str, ...]
    families: tuple[str, ...]
    flops: np.ndarray
    filled: np.ndarray
    missing: np.ndarray
    mean: np.ndarray
    loadings: np.ndarray
    explained: np.ndarray
    scores: np.ndarray
    lines: tuple[FamilyLine, ...]

    def project(self, scores: Any) -> np.ndarray:
        """Return the components [n, k] of further models from their scores [n, metrics].

        A missing score (NaN) is left out: the components are those that explain the others best.
        """
        rows = np.atleast_2d(np.asarray(scores, dtype=float))
        if rows.shape[1] != len(self.metrics):
            raise FitError(f"scores have {rows.shape[1]} columns, the components rest on {', '.join(self.metrics)}")
        found = np.empty((len(rows), len(self.loadings)))
        for i, row in enumerate(rows):
            seen = np.isfinite(row)
            if seen.sum() < len(self.loadings):
                raise FitError(
                    f"model {i} has {int(seen.sum())} scores, too few for {len(self.loadings)} components; give more"
                )
            found[i] = np.linalg.lstsq(self.loadings[:, seen].T, row[seen] - self.mean[seen], rcond=None)[0]
        return found

    def line(self, family: str, component: int = 1) -> FamilyLine:
        """Return the line of a family.

        Raises:
            FitError: no such family, or too few of its models have a known compute.
        """
        for line in self.lines:
            if line.family == family and line.component == component:
                return line
        known = sorted({line.family for line in self.lines})
        raise FitError(
            f'there is no line of "{family}"{did_you_mean(family, known)}: it takes three models with different compute; '
            f"there are lines of {', '.join(known)}"
        )

    def at(self, family: str, flops: Any) -> np.ndarray:
        """Return the components [n, k] that the lines of a family give at training computes [n]."""
        logs = np.log(np.atleast_1d(np.asarray(flops, dtype=float)))
        lines = [self.line(family, k + 1) for k in range(len(self.loadings))]
        return np.stack([line.slope * logs + line.intercept for line in lines], axis=1)

    def equivalent_flops(self, family: str) -> np.ndarray:
        """Return the compute [n] at which the family's line would have the first component of each model."""
        line = self.line(family)
        if line.slope <= 0:
            raise FitError(
                f"the first component of {family} does not rise with compute, so nothing is equivalent to it"
            )
        return np.exp((self.scores[:, 0] - line.intercept) / line.slope)

    def emergent(
        self,
        task: Any,
        *,
        on: str = "components",
        train: Any = None,
        name: str = "accuracy",
        boot: int = 0,
        level: float = 0.9,
        seed: int = 0,
    ) -> EmergentTask:
        """Fit the accuracy of a further task as a sigmoid of the first three components, or of compute alone.

        Args:
            task: accuracy of each model [n], NaN where it was not measured; a mapping or series goes by model name.
            on: "components" or "compute".
            train: which models to fit to [n]; all measured ones by default. The others are there to be forecast.
            name: of the task.
            boot, level, seed: as in `fit`.

        Returns:
            The `EmergentTask`. Its fit says whether six parameters can be had from these models.

        Raises:
            FitError: fewer than three components, an unknown predictor, no model with a score.

        Cost: 0.1 s.

        Source: Ruan et al. 2024 (arXiv 2405.10938), section 4.
        """
        if on not in _LAWS:
            raise FitError(f'a task is predicted on {" or ".join(_LAWS)}, got "{on}"{did_you_mean(str(on), _LAWS)}')
        if on == "components" and len(self.loadings) < 3:
            raise FitError("an emergent task takes three components; ask for capabilities(..., components=3)")
        observed = _aligned(task, self.models, name)
        known = np.isfinite(self.flops)
        usable = np.isfinite(observed) & (known if on == "compute" else True)
        chosen = usable & (np.ones(len(usable), dtype=bool) if train is None else np.asarray(train, dtype=bool))
        if not chosen.any():
            raise FitError(
                f"no model to fit {name} to: none has a score{' and a known compute' if on == 'compute' else ''}"
            )
        with np.errstate(invalid="ignore"):
            raw = self.scores[:, :3] if on == "components" else np.log(self.flops)[:, None]
        center, spread = raw[chosen].mean(axis=0), raw[chosen].std(axis=0)
        z = (raw - center) / np.where(spread > 0, spread, 1.0)
        inputs = ("pc1", "pc2", "pc3") if on == "components" else ("x",)
        columns = dict(zip(inputs, z[chosen].T, strict=True))
        found = fit(
            read_runs({**columns, "accuracy": observed[chosen]}),
            _LAWS[on],
            loss="huber",
            delta=DELTA,
            space="linear",
            target="accuracy",
            boot=boot,
            level=level,
            seed=seed,
        )
        about_loss = "no column is recognised as loss"  # true of the table, and no fault of it
        found = replace(found, warnings=tuple(w for w in found.warnings if not w.startswith(about_loss)))
        return EmergentTask(name, on, found, self.models, observed, chosen, z)

    def to_dict(self) -> dict[str, Any]:
        """Return components, loadings and lines as plain data."""
        number = lambda value: float(value) if np.isfinite(value) else None  # noqa: E731
        return {
            "schema": 1,
            "kind": "capabilities",
            "metrics": list(self.metrics),
            "explained": [float(share) for share in self.explained],
            "loadings": self.loadings.tolist(),
            "models": [
                {"model": model, "family": family, "flops": number(flops), "components": row.tolist()}
                for model, family, flops, row in zip(self.models, self.families, self.flops, self.scores, strict=True)
            ],
            "lines": [
                {slot: getattr(line, slot) for slot in ("family", "component", "models", "slope", "intercept", "r2")}
                for line in self.lines
            ],
            "citations": ["Ruan et al. 2024, arXiv 2405.10938"],
        }

    def __repr__(self) -> str:
        shares = ", ".join(f"{share:.1%}" for share in self.explained[: len(self.loadings)])
        filled = f", {int(self.missing.sum())} scores imputed" if self.missing.any() else ""
        head = f"{len(self.models)} models, {len(self.metrics)} benchmarks{filled}: components explain {shares}"
        first = [line for line in self.lines if line.component == 1]
        width = max((len(line.family) for line in first), default=0)
        rows = [
            f"  {line.family:<{width}}  PC1 = {line.slope:.4f} ln(flops) {line.intercept:+.3f}, "
            f"R2 {line.r2:.3f}, {line.models} models"
            for line in first
        ]
        return "\n".join([head, *rows])


@dataclass(frozen=True, eq=False)
class EmergentTask:
    """A task as a sigmoid of components or of compute.

    Attributes:
        task: name. on: "components" or "compute".
        fit: the sigmoid, in standardised predictors.
        models: all models [n]. observed: their accuracy [n], NaN where unknown. train: which were fitted to [n].
        z: standardised predictors [n, 3] or [n, 1].
    """

    task: str
    on: str
    fit: Fit
    models: tuple[str, ...]
    observed: np.ndarray
    train: np.ndarray
    z: np.ndarray

    def predict(self, level: float | None = None, noise: bool = False) -> pd.DataFrame:
        """Predict every model with known predictors: model, observed, accuracy, low, high, train."""
        known = np.all(np.isfinite(self.z), axis=1)
        points = dict(zip(self.fit.inputs, self.z[known].T, strict=True))
        frame = self.fit.predict(points, level=level, noise=noise)
        names = [self.models[i] for i in np.flatnonzero(known)]
        columns = {"observed": self.observed[known], "accuracy": frame["accuracy"].to_numpy()}
        ends = {"low": frame["low"].to_numpy(), "high": frame["high"].to_numpy()}
        return pd.DataFrame({"model": names, **columns, **ends, "train": self.train[known]})

    def mse(self, *, train: bool, among: Any = None) -> float:
        """Mean squared error on the models fitted to, or on the measured ones held out (`among` a mask [n])."""
        known = np.isfinite(self.z).all(axis=1) & np.isfinite(self.observed) & (self.train == train)
        if among is not None:
            known &= np.asarray(among, dtype=bool)
        points = dict(zip(self.fit.inputs, self.z[known].T, strict=True))
        if not known.any():
            return float("nan")
        return float(np.mean((self.fit.law.value(self.fit.values, points) - self.observed[known]) ** 2))


def capabilities(
    table: pd.DataFrame,
    metrics: Sequence[str],
    *,
    model: str = "Model",
    family: str = "Model Family",
    flops: str | None = None,
    flops_unit: float = 1.0,
    components: int = 3,
    rounds: int = ROUNDS,
) -> Capabilities:
    """Find the components of ability behind a table of benchmark scores.

    Args:
        table: one row per model.
        metrics: columns of scores, shares of right answers; missing ones are imputed by `imputed`.
        model, family: columns of names.
        flops: column of training compute, None for none. flops_unit: FLOP that one unit of it stands for (1e21).
        components: how many to keep.
        rounds: of the imputation.

    Returns:
        The `Capabilities`: principal components of the centred scores, not standardised, the sign of each such that its
        loadings have a positive sum.

    Raises:
        RunsError: a column is missing or no number, a model twice. FitError: too few models or metrics.

    Cost: `rounds` singular value decompositions of the table; 10 ms for 148 models.

    Source: Ruan et al. 2024 (arXiv 2405.10938), section 3.

    >>> rng = np.random.default_rng(0)
    >>> skill = np.linspace(-1, 1, 20)
    >>> table = pd.DataFrame({"Model": [f"m{i}" for i in range(20)], "Model Family": "one", "C": np.exp(skill)})
    >>> for k, gain in enumerate((0.2, 0.1, 0.3)):
    ...     table[f"test {k}"] = 0.5 + gain * skill
    >>> found = capabilities(table, ["test 0", "test 1", "test 2"], flops="C", components=1)
    >>> found.explained[0].round(6), round(found.line("one").r2, 6)
    (np.float64(1.0), 1.0)
    """
    wanted = [model, family, *metrics, *([flops] if flops else [])]
    for name in wanted:
        if name not in table.columns:
            raise RunsError(f'the table has no column "{name}"{did_you_mean(name, map(str, table.columns))}')
    names = tuple(str(value) for value in table[model])
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise RunsError(f'the model "{twice}" stands in two rows; keep one')
    raw = _numbers(table, metrics)
    if isinstance(components, bool) or not isinstance(components, int | np.integer) or components < 1:
        raise FitError(f"components is a positive whole number, got {components!r}")
    if len(raw) <= len(metrics) or len(metrics) < components:
        raise FitError(
            f"{len(raw)} models and {len(metrics)} metrics do not give {components} components; there must be more "
            "models than metrics, and at least as many metrics as components"
        )
    filled = imputed(raw, rounds=rounds)
    mean = filled.mean(axis=0)
    _, singular, loadings = np.linalg.svd(filled - mean, full_matrices=False)
    loadings = loadings * np.where(loadings.sum(axis=1) < 0, -1.0, 1.0)[:, None]
    kept = loadings[:components]
    scores = (filled - mean) @ kept.T
    compute = np.full(len(raw), np.nan) if flops is None else _numbers(table, [flops])[:, 0] * flops_unit
    compute = np.where(compute > 0, compute, np.nan)
    families = tuple(str(value) for value in table[family])
    return Capabilities(
        metrics=tuple(metrics),
        models=names,
        families=families,
        flops=compute,
        filled=filled,
        missing=np.isnan(raw),
        mean=mean,
        loadings=kept,
        explained=singular**2 / np.sum(singular**2),
        scores=scores,
        lines=_lines(families, compute, scores),
    )


def imputed(scores: np.ndarray, *, rounds: int = ROUNDS) -> np.ndarray:
    """Fill missing scores (NaN) [models, metrics] with those of the first principal component, found over and over.

    Starts from the means of the columns; each round replaces the missing scores by mean + first component.

    Raises:
        FitError: a metric that no model was measured on, or a model without any score.

    >>> imputed(np.array([[0.2, 0.4], [0.3, 0.6], [0.4, np.nan], [0.1, 0.2]])).round(3)[2]  # on its way to 0.8
    array([0.4  , 0.794])
    """
    filled = np.array(scores, dtype=float)
    missing = np.isnan(filled)
    for axis, what in ((0, "metric"), (1, "model")):
        if missing.all(axis=axis).any():
            raise FitError(f"{what} {int(np.argmax(missing.all(axis=axis)))} has no score at all; leave it out")
    if not missing.any():
        return filled
    filled[missing] = np.broadcast_to(np.nanmean(filled, axis=0), filled.shape)[missing]
    for _ in range(rounds):
        mean = filled.mean(axis=0)
        left, singular, right = np.linalg.svd(filled - mean, full_matrices=False)
        filled[missing] = (mean + singular[0] * np.outer(left[:, 0], right[0]))[missing]
    return filled


def _lines(families: tuple[str, ...], flops: np.ndarray, scores: np.ndarray) -> tuple[FamilyLine, ...]:
    from scipy import stats  # a slow import, of no use to most commands

    labels, found = np.array(families), []
    for name in dict.fromkeys(families):
        own = (labels == name) & np.isfinite(flops)
        logs = np.log(flops[own])
        if own.sum() < 3 or np.ptp(logs) == 0:
            continue
        for k in range(scores.shape[1]):
            line: Any = stats.linregress(logs, scores[own, k])
            found.append(
                FamilyLine(
                    family=name,
                    component=k + 1,
                    models=int(own.sum()),
                    slope=float(line.slope),
                    intercept=float(line.intercept),
                    slope_error=float(line.stderr),
                    r2=float(line.rvalue) ** 2,
                )
            )
    return tuple(found)


def _numbers(table: pd.DataFrame, names: Sequence[str]) -> np.ndarray:
    columns = []
    for name in names:
        values = np.asarray(pd.to_numeric(table[name], errors="coerce"), dtype=float)
        lost = np.isnan(values) & table[name].notna().to_numpy()
        if lost.any():
            row = int(np.argmax(lost))
            raise RunsError(f'column "{name}" holds {table[name].iloc[row]!r} at row {row}, which is no number')
        columns.append(values)
    return np.stack(columns, axis=1)


def _aligned(task: Any, models: tuple[str, ...], name: str) -> np.ndarray:
    """Scores in the order of the models."""
    if isinstance(task, Mapping | pd.Series):
        known = {str(key): float(value) for key, value in task.items()}
        if not set(known) & set(models):
            raise FitError(f"none of the models that {name} was measured on is among the {len(models)} models here")
        values = np.array([known.get(model, np.nan) for model in models])
    else:
        values = np.asarray(task, dtype=float)
    if values.shape != (len(models),):
        raise FitError(
            f"{name} has {values.size} scores for {len(models)} models; give one per model, NaN where unknown"
        )
    seen = values[np.isfinite(values)]
    if len(seen) and (seen.min() < 0 or seen.max() > 1):
        raise FitError(
            f"{name} has a score of {seen[np.argmax(np.abs(seen - 0.5))]:g}; it must be a share (divide by 100)"
        )
    return values
