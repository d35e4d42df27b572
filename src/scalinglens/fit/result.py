"""`Fit`: a law with estimated parameters, a certificate of the optimum, and draws that carry the uncertainty everywhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scalinglens.errors import FitError, PredictionError, did_you_mean
from scalinglens.files import PICTURES, written_whole
from scalinglens.fit.certificate import Certificate
from scalinglens.fit.derived import derived_quantities
from scalinglens.fit.objective import Loss
from scalinglens.laws.law import Law
from scalinglens.numerics.bootstrap import bca_interval, percentile_interval
from scalinglens.quantities import format_quantity, parse_quantity

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Estimate", "Fit"]

REFUSED = ("not_identified", "not_converged")
MOST_FAILED = 0.05  # share of refits without an optimum from which on the others say little
FAR = 10.0  # how many times outside the data a point is called far


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with its interval; the ends are None where an interval was not asked for, is refused, or is open."""

    value: float
    low: float | None = None
    high: float | None = None


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
        draws: bootstrap parameters [draws, parameters] in natural units, NaN rows where a refit failed; may be empty.
        left_out: leave-one-out parameters [groups, parameters] for BCa intervals, or None.
        profile: parameter -> ends of its profile interval, or None.
        level: of the intervals.
        interval_method: "percentile", "bca" or "profile".
        target: column the law was fitted to.
        table: what is known of the table: origin, digest, rows read, dropped, columns.
        settings: boot, groups, seed, weights, starts, tie, and the iterations of the search.
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
    draws: np.ndarray
    left_out: np.ndarray | None
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
        names = self.law.parameters
        low, high = self._ends(np.array([self.values[name] for name in names]), self.draws, self.left_out, self.level)
        found = {}
        for i, name in enumerate(names):
            endless = np.isinf(self.certificate.bounds.get(name, 0.0))  # any large value is as good
            if name in self.pinned or self.refusal or endless:
                found[name] = Estimate(self.values[name])
            elif self.interval_method == "profile":
                found[name] = Estimate(self.values[name], *(self.profile or {}).get(name, (None, None)))
            else:
                found[name] = Estimate(self.values[name], _plain(low[i]), _plain(high[i]))
        return found

    @cached_property
    def derived(self) -> dict[str, Estimate]:
        """What follows from the parameters (frontier exponents a, b, gamma and G), with the interval of the draws."""
        best = derived_quantities(self.law, self.values)
        if not best:
            return {}
        columns = lambda rows: dict(zip(self.law.parameters, rows.T, strict=True))  # noqa: E731
        drawn = np.stack(list(derived_quantities(self.law, columns(self.draws)).values()), axis=-1)
        left = None
        if self.left_out is not None:
            left = np.stack(list(derived_quantities(self.law, columns(self.left_out)).values()), axis=-1)
        low, high = self._ends(np.array(list(best.values())), drawn, left, self.level)
        if self.refusal:
            low = high = np.full(len(best), np.nan)
        return {name: Estimate(float(v), _plain(low[i]), _plain(high[i])) for i, (name, v) in enumerate(best.items())}

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

    def interval(self, name: str, level: float | None = None) -> tuple[float | None, float | None]:
        """Return the interval of a parameter or derived quantity.

        Args:
            name: as in `parameters` or `derived`.
            level: probability; by default that of the fit. A profile interval has the level it was made with.

        Returns:
            Its ends; None for an end that is open, refused, or was not asked for.

        Raises:
            FitError: no such name, or another level of a profile interval.

        Cost: one sort of the draws.
        """
        known = {**self.parameters, **self.derived}
        if name not in known:
            raise FitError(f'the fit has no "{name}"{did_you_mean(name, known)}; it has {", ".join(known)}')
        if level is None or level == self.level:
            return known[name].low, known[name].high
        check_level(level)
        if self.interval_method == "profile":
            raise FitError(f"the profile intervals have level {self.level:g}; fit again with level={level:g}")
        again = replace(self, level=level)
        found = {**again.parameters, **again.derived}[name]
        return found.low, found.high

    def _ends(
        self, value: np.ndarray, draws: np.ndarray, left_out: np.ndarray | None, level: float
    ) -> tuple[np.ndarray, np.ndarray]:
        if len(draws) == 0 or not np.any(np.isfinite(draws)):
            return np.full(len(value), np.nan), np.full(len(value), np.nan)
        if self.interval_method == "bca" and left_out is not None:
            return bca_interval(draws, value, left_out, level)
        return percentile_interval(draws, level)

    # ---- prediction -------------------------------------------------------------------------------------------------

    def predict(
        self,
        points: pd.DataFrame | Mapping[str, Any] | None = None,
        level: float | None = None,
        noise: bool = False,
        **columns: Any,
    ) -> pd.DataFrame:
        """Predict the law's output, with the interval that the draws give.

        Args:
            points: a frame, `Runs`, or mapping with the law's inputs; keyword arrays or numbers are added to it.
            level: probability of the interval, by default that of the fit.
            noise: let the interval hold a single new run rather than the law: residuals of the fit are added to the draws.
            columns: inputs by name, `params=70e9, tokens=1.4e12`.

        Returns:
            A frame with the inputs and `loss`, `low`, `high` (NaN where the fit has no draws or refuses intervals). A fit
            to another column has that in place of `loss`. The interval is BCa for a fit with those, else of percentiles.

        Raises:
            PredictionError: an input is missing or impossible.

        Cost: draws x points evaluations of the law.
        """
        level = self.level if level is None else level
        check_level(level)
        where = self._where(points, columns)
        value = self.law.value(self.values, where)
        low = high = np.full(value.shape, np.nan)
        if not self.refusal and len(self.draws):
            drawn = self._evaluated(self.draws, where, value.shape)
            left = None if self.left_out is None or noise else self._evaluated(self.left_out, where, value.shape)
            if noise:
                rng = np.random.default_rng([int(self.settings.get("seed", 0)), 1])
                scatter = -rng.choice(self.residuals, size=drawn.shape)
                drawn = drawn * np.exp(scatter) if self.ratios else drawn + scatter
            low, high = self._ends(value, drawn, left, level)
        return pd.DataFrame({**where, self.target: value, "low": low, "high": high})

    def extrapolation(self, points: pd.DataFrame | Mapping[str, Any] | None = None, **columns: Any) -> tuple[str, ...]:
        """Return a sentence for each input that lies far outside the runs of the fit (more than ten times).

        Args: as `predict`.
        """
        found = []
        for name, asked in self._where(points, columns).items():
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
        points = {} if points is None else points
        frame = getattr(points, "frame", points)
        present = list(getattr(frame, "columns", frame))
        given: dict[str, Any] = {name: np.asarray(frame[name]) for name in present if name in self.law.inputs}
        given |= {k: parse_quantity(v) if isinstance(v, str) else np.asarray(v) for k, v in columns.items()}
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

    def _evaluated(self, draws: np.ndarray, where: Mapping[str, np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
        """The law at points under each draw [draws, points]; NaN where the refit failed."""
        good = np.all(np.isfinite(draws), axis=1)
        parameters = {name: draws[good, i : i + 1] for i, name in enumerate(self.law.parameters)}
        inputs = {name: array[None, :] for name, array in where.items()}
        values = np.full((len(draws), *shape), np.nan)
        values[good] = self.law.value(parameters, inputs)
        return values

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
        if len(self.draws):
            found.append("Efron 1979, Bootstrap methods: another look at the jackknife, Ann. Statist. 7")
        if self.interval_method == "bca":
            found.append("Efron 1987, Better bootstrap confidence intervals, J. Amer. Statist. Assoc. 82")
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


def check_level(level: float) -> None:
    """Refuse a probability of intervals outside (0, 1), with the remedy for one given in percent."""
    if not isinstance(level, int | float | np.number) or not 0 < level < 1:
        percent = isinstance(level, int | float) and 1 < level < 100
        remedy = f"write {level / 100:g} for {level:g} percent" if percent else "write for example 0.9"
        raise FitError(f"the level of an interval lies between 0 and 1, got {level!r}; {remedy}")


def _plain(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
