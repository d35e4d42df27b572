"""`Fit`: a law with estimated parameters, a certificate of the optimum, and draws that carry the uncertainty everywhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scalinglens.errors import FitError, PredictionError, did_you_mean
from scalinglens.files import PICTURES, written_whole
from scalinglens.fit.certificate import Certificate
from scalinglens.fit.curves.schedule import schedule_points
from scalinglens.fit.derived import derived_quantities
from scalinglens.fit.estimate import Estimate, check_level
from scalinglens.fit.intervals import Method
from scalinglens.fit.noise import Noise, estimate_noise
from scalinglens.fit.objective import Loss
from scalinglens.laws.law import Law
from scalinglens.quantities import format_quantity, parse_quantity

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Fit"]

REFUSED = ("not_identified", "not_converged")
MOST_FAILED = 0.05  # share of refits without an optimum from which on the others say little
FAR = 10.0  # how many times outside the data a point is called far


@dataclass(frozen=True, eq=False)
class Fit:
    """The result of `fit`.

    Attributes:
        law: the law as fitted, ties written in.
        loss: the loss that was minimised.
        status: "certified", "at_bound", "not_identified" or "not_converged"; intervals are refused for the last two.
        values: parameter -> value, pinned ones included.
        pinned: names of parameters that were held.
        certificate: what is known about the optimum.
        value: objective, summed over rows.
        scale: scale of the residuals where the loss has one (likelihood), else None.
        points: input -> values [n] in the order of the rows used.
        observed: output values [n].
        residuals: ln(prediction) - ln(observed) [n], or prediction - observed where some are not positive.
        ratios: whether residuals are those of logarithms.
        weights: row weights [n].
        groups: group number of each row [n], all different where rows are taken as independent.
        absorbed: how many parameters the means of the groups determine, see `absorbed_by_groups`.
        draws: parameters [draws, parameters] in natural units, NaN rows where a refit failed; may be empty.
        left_out: leave-one-out parameters [groups, parameters] for BCa intervals, or None.
        covariance: of the coordinates [parameters, parameters] for the delta method, or None.
        profile: parameter -> ends of its profile interval, or None.
        level: of the intervals.
        interval_method: "percentile", "bca", "profile" or "delta".
        target: column the law was fitted to.
        table: what is known of the table: origin, digest, rows read, dropped, columns.
        settings: boot, groups, resample, seed, weights, starts, tie, and the iterations of the search.
        warnings: what a reader should know, in sentences.
    """

    law: Law
    loss: Loss
    status: str
    values: Mapping[str, float]
    pinned: tuple[str, ...]
    certificate: Certificate
    value: float
    scale: float | None
    points: Mapping[str, np.ndarray]
    observed: np.ndarray
    residuals: np.ndarray
    ratios: bool
    weights: np.ndarray
    groups: np.ndarray
    absorbed: float
    draws: np.ndarray
    left_out: np.ndarray | None
    covariance: np.ndarray | None
    profile: Mapping[str, tuple[float | None, float | None]] | None
    level: float
    interval_method: str
    target: str
    table: Mapping[str, Any]
    settings: Mapping[str, Any]
    warnings: tuple[str, ...] = field(default=())

    # ---- estimates --------------------------------------------------------------------------------------------------

    @cached_property
    def parameters(self) -> dict[str, Estimate]:
        """Parameter -> value with its interval at `level`."""
        low, high = self._method.interval(lambda natural: natural, self._best, self.level)
        found = {}
        for i, name in enumerate(self.law.parameters):
            endless = np.isinf(self.certificate.bounds.get(name, 0.0))  # any large value is as good
            if name in self.pinned or self.refusal or endless:
                found[name] = Estimate(self.values[name])
            elif self.interval_method == "profile":
                found[name] = self._estimate(self.values[name], *(self.profile or {}).get(name, (None, None)))
            else:
                found[name] = self._estimate(self.values[name], low[i], high[i])
        return found

    @cached_property
    def derived(self) -> dict[str, Estimate]:
        """What follows from the parameters (frontier exponents a, b, gamma and G), with the interval of the draws."""
        best = derived_quantities(self.law, self.values)
        if not best:
            return {}

        def quantities(natural: np.ndarray) -> np.ndarray:
            named = dict(zip(self.law.parameters, natural.T, strict=True))
            return np.stack(list(derived_quantities(self.law, named).values()), axis=-1)

        low, high = self._method.interval(quantities, self._best, self.level)
        if self.refusal:
            low = high = np.full(len(best), np.nan)
        return {name: self._estimate(float(v), low[i], high[i]) for i, (name, v) in enumerate(best.items())}

    def _estimate(self, value: float, low: float | None, high: float | None) -> Estimate:
        low, high = (None if end is None or not np.isfinite(end) else float(end) for end in (low, high))
        if low is None and high is None:
            return Estimate(value)
        return Estimate(value, low, high, self.level, self.interval_method)

    @cached_property
    def _best(self) -> np.ndarray:
        return np.array([self.values[name] for name in self.law.parameters])

    @cached_property
    def _method(self) -> Method:
        return Method(
            name=self.interval_method,
            draws=self.draws,
            left_out=self.left_out,
            covariance=self.covariance,
            in_logs=np.array([self.law.coordinates[name] == "log" for name in self.law.parameters]),
            rows=len(self.observed),
            groups=int(self.groups.max()) + 1,
            free=len(self.law.parameters) - len(self.pinned),
            absorbed=self.absorbed,
        )

    @cached_property
    def noise(self) -> Noise:
        """The scatter of single runs about the law; it may grow with the loss."""
        prediction = self.law.value(self.values, self.points)
        free = len(self.law.parameters) - len(self.pinned)
        return estimate_noise(-self.residuals, prediction, self.groups, free, self.absorbed, grows=self.ratios)

    @property
    def refusal(self) -> str:
        """Why intervals are refused, or an empty string."""
        if self.status in REFUSED:
            return f"no intervals, because the fit is {self.status}: " + "; ".join(self.certificate.reasons)
        if self._failed > MOST_FAILED * len(self.draws):
            return (
                f"no intervals, because {self._failed} of {len(self.draws)} refits found no optimum: the resamples do not "
                "determine the parameters; pin some, or take a law with fewer"
            )
        return ""

    @cached_property
    def _failed(self) -> int:
        """How many bootstrap refits did not converge."""
        return int(np.sum(~np.all(np.isfinite(self.draws), axis=1)))

    def interval(self, name: str, level: float | None = None) -> Estimate:
        """Return a parameter or derived quantity with its interval.

        Args:
            name: as in `parameters` or `derived`.
            level: probability; by default that of the fit. A profile interval has the level it was made with.

        Returns:
            The estimate; None for an end that is open, refused, or was not asked for.

        Raises:
            FitError: no such name, or another level of a profile interval.

        Cost: one sort of the draws.
        """
        known = {**self.parameters, **self.derived}
        if name not in known:
            raise FitError(f'the fit has no "{name}"{did_you_mean(name, known)}; it has {", ".join(known)}')
        if level is None or level == self.level:
            return known[name]
        check_level(level)
        if self.interval_method == "profile" and name in self.parameters:
            raise FitError(f"the profile intervals have level {self.level:g}; fit again with level={level:g}")
        again = replace(self, level=level)
        return {**again.parameters, **again.derived}[name]

    # ---- prediction -------------------------------------------------------------------------------------------------

    @property
    def inputs(self) -> tuple[str, ...]:
        """The columns that predictions need."""
        return self.law.inputs

    def predict(
        self,
        points: pd.DataFrame | Mapping[str, Any] | None = None,
        level: float | None = None,
        noise: bool = True,
        **columns: Any,
    ) -> pd.DataFrame:
        """Predict the law's output, with an interval for a single new run.

        Args:
            points: a frame, `Runs`, or mapping with the law's inputs; keyword arrays or numbers are added to it.
            level: probability of the interval, by default that of the fit.
            noise: let the interval hold a new run, with the scatter of the runs (see `Noise`); without it the interval is
                that of the law itself, the mean of many such runs.
            columns: inputs by name, `params=70e9, tokens=1.4e12`.

        Returns:
            A frame with the inputs and `loss`, `low`, `high` (NaN where the fit has no intervals or refuses them). A fit to
            another column has that in place of `loss`.

        Raises:
            PredictionError: an input is missing or impossible.

        Cost: draws x points evaluations of the law.
        """
        level = self.level if level is None else level
        check_level(level)
        where = self._where(points, columns)
        value = self.law.value(self.values, where)
        low = high = np.full(value.shape, np.nan)
        if not self.refusal:
            rng = np.random.default_rng([int(self.settings.get("seed", 0)), 1])
            scatter = (self.noise, rng, self.ratios) if noise and self._method.able else None
            low, high = self._method.interval(self._evaluator(where), self._best, level, scatter)
        return pd.DataFrame({**where, self.target: value, "low": low, "high": high})

    def sample(
        self, points: pd.DataFrame | Mapping[str, Any] | None = None, noise: bool = False, **columns: Any
    ) -> np.ndarray:
        """Draw predictions [draws, points]: of the law, or with `noise` of a single new run.

        Args: as `predict`.

        Returns:
            Draws without failed refits; no rows where intervals are refused or were not asked for.
        """
        where = self._where(points, columns)
        if self.refusal or not len(self.draws):
            return np.empty((0, len(next(iter(where.values())))))
        drawn = self._method.drawn(self._evaluator(where), self._best, self.level)
        drawn = drawn[np.isfinite(drawn).all(axis=1)]
        if noise:
            scatter = self.noise.sample(drawn, np.random.default_rng([int(self.settings.get("seed", 0)), 1]))
            drawn = drawn * np.exp(scatter) if self.ratios else drawn + scatter
        return drawn

    def extrapolation(self, points: pd.DataFrame | Mapping[str, Any] | None = None, **columns: Any) -> tuple[str, ...]:
        """Return a sentence for each input that lies far outside the runs of the fit (more than ten times).

        Args: as `predict`.
        """
        found = []
        for name, asked in self._where(points, columns).items():
            if name == "schedule":  # compared by its steps
                continue
            low, high = float(self.points[name].min()), float(self.points[name].max())
            for far, edge, ratio, words in (
                (asked.min(), low, low / asked.min() if asked.min() > 0 else 1.0, "below the smallest"),
                (asked.max(), high, asked.max() / high if high > 0 else 1.0, "above the largest"),
            ):
                if ratio > FAR:
                    shown = format_quantity(float(far)), format_quantity(edge)
                    found.append(f"{name} {shown[0]} is {ratio:.3g} times {words} of the fit, {shown[1]}")
        return tuple(found)

    def _where(self, points: Any, columns: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """Input -> values, all of one length."""
        points = {} if points is None else schedule_points(points, self.law)
        frame = getattr(points, "frame", points)
        present = list(getattr(frame, "columns", frame))
        given: dict[str, Any] = {name: np.asarray(frame[name]) for name in present if name in self.law.inputs}
        numbers = {k: parse_quantity(v) if isinstance(v, str) and k != "schedule" else v for k, v in columns.items()}
        given |= {k: np.asarray(v) for k, v in numbers.items()}
        arrays = [np.atleast_1d(a) for a in self.law.input_arrays(given)]
        try:
            arrays = [a.ravel() for a in np.broadcast_arrays(*arrays)]
        except ValueError:
            sizes = ", ".join(f"{name} {len(a)}" for name, a in zip(self.law.inputs, arrays, strict=True))
            raise PredictionError(
                f"the points have different lengths: {sizes}; give one value or as many everywhere"
            ) from None
        if not len(arrays[0]):
            raise PredictionError(f"there are no points to predict at; give values of {', '.join(self.law.inputs)}")
        return dict(zip(self.law.inputs, arrays, strict=True))

    def _evaluator(self, where: Mapping[str, np.ndarray]) -> Callable[[np.ndarray], np.ndarray]:
        """The law at points, as a function of natural parameters [k, p]; NaN where these are not finite."""
        inputs = {name: array[None, :] for name, array in where.items()}
        points = len(next(iter(where.values())))

        def evaluate(natural: np.ndarray) -> np.ndarray:
            good = np.all(np.isfinite(natural), axis=1)
            values = np.full((len(natural), points), np.nan)
            values[good] = self.law.value(
                {name: natural[good, i : i + 1] for i, name in enumerate(self.law.parameters)}, inputs
            )
            return values

        return evaluate

    # ---- views ------------------------------------------------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """Return the fit as plain data: the JSON of the command line (see `docs` there)."""
        from scalinglens.fit.saved import to_dict

        return to_dict(self)

    def to_frame(self) -> pd.DataFrame:
        """Return a frame with one row per parameter and derived quantity: value, low, high, how."""
        rows = [
            {"name": name, "value": e.value, "low": e.low, "high": e.high, "how": how}
            for how, part in (("parameter", self.parameters), ("derived", self.derived))
            for name, e in part.items()
        ]
        frame = pd.DataFrame(rows).astype({"low": float, "high": float})
        frame.loc[frame["name"].isin(self.pinned) & (frame["how"] == "parameter"), "how"] = "pinned"
        return frame.set_index("name")

    def save(self, path: str | Path) -> None:
        """Write the fit to one JSON file, written to a temporary name first and renamed."""
        from scalinglens.fit.saved import save

        save(self, path)

    @classmethod
    def load(cls, path: str | Path) -> Fit:
        """Read a fit that `save` wrote."""
        from scalinglens.fit.saved import load

        return load(path)

    def citations(self) -> tuple[str, ...]:
        """Return the papers that the fit rests on: the law, and the methods of estimation and uncertainty."""
        found = [self.law.about.get("citation") or self.law.source] if self.law.source else []
        if self.loss.name in ("huber", "likelihood"):
            found.append("Huber 1964, Robust estimation of a location parameter, Ann. Math. Statist. 35")
        if len(self.draws) and self.interval_method in ("percentile", "bca"):
            found.append("Efron 1979, Bootstrap methods: another look at the jackknife, Ann. Statist. 7")
        if self.interval_method == "bca":
            found.append("Efron 1987, Better bootstrap confidence intervals, J. Amer. Statist. Assoc. 82")
        if self.settings.get("resample") == "wild":
            found.append("Wu 1986, Jackknife, bootstrap and other resampling methods in regression, Ann. Statist. 14")
        if self.covariance is not None:
            found.append(
                "Liang and Zeger 1986, Longitudinal data analysis using generalized linear models, Biometrika 73"
            )
        if self.interval_method == "profile":
            found.append("Venzon and Moolgavkar 1988, Profile-likelihood-based confidence intervals, Appl. Statist. 37")
        return tuple(found)

    def plot(self, path: str | Path | None = None) -> Figure:
        """Draw data, curves, extrapolation band and residuals with matplotlib; write the picture where a path is given."""
        from scalinglens.figures.matplotlib import draw
        from scalinglens.fit.figures import fit_figure

        figure = draw(fit_figure(self, level=self.level))
        if path is not None:
            with written_whole(path, PICTURES) as part:
                figure.savefig(part, format=Path(path).suffix[1:].lower())
        return figure

    def __repr__(self) -> str:
        from scalinglens.fit.text import as_text

        return as_text(self)

    def _repr_html_(self) -> str:
        from scalinglens.fit.text import as_html

        return as_html(self)
