"""`Fit`: a law with estimated parameters, a certificate of the optimum, and draws that carry the uncertainty everywhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scalinglens.errors import FitError, PredictionError
from scalinglens.files import PICTURES, written_whole
from scalinglens.fit.certificate import Certificate
from scalinglens.fit.derived import derived_quantities
from scalinglens.fit.objective import Loss
from scalinglens.laws.law import Law
from scalinglens.numerics.bootstrap import bca_interval, percentile_interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Estimate", "Fit"]

REFUSED = ("not_identified", "not_converged")


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
        residuals: ln(prediction) - ln(observed) [n]; prediction - observed where those are not positive.
        weights: row weights [n].
        draws: bootstrap parameters [draws, parameters] in natural units, NaN rows where a refit failed; may be empty.
        left_out: leave-one-out parameters [groups, parameters] for BCa intervals, or None.
        profile: parameter -> ends of its profile interval, or None.
        level: of the intervals. interval: "percentile", "bca" or "profile".
        target: column the law was fitted to.
        table: what is known of the table: origin, digest, rows read, dropped, columns.
        settings: boot, groups, seed, weights, starts.
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
    weights: np.ndarray
    draws: np.ndarray
    left_out: np.ndarray | None
    profile: Mapping[str, tuple[float | None, float | None]] | None
    level: float
    interval: str
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
            if name in self.pinned or self.refusal:
                found[name] = Estimate(self.values[name])
            elif self.interval == "profile":
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
        if self.status not in REFUSED:
            return ""
        return f"no intervals, because the fit is {self.status}: " + "; ".join(self.certificate.reasons)

    def _ends(
        self, value: np.ndarray, draws: np.ndarray, left_out: np.ndarray | None, level: float
    ) -> tuple[np.ndarray, np.ndarray]:
        if len(draws) == 0 or not np.any(np.isfinite(draws)):
            return np.full(len(value), np.nan), np.full(len(value), np.nan)
        if self.interval == "bca" and left_out is not None:
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
            A frame with the inputs and `loss`, `low`, `high` (NaN where the fit has no draws or refuses intervals). A law
            with another output has that in place of `loss`.

        Raises:
            PredictionError: an input is missing or impossible.

        Cost: draws x points evaluations of the law.
        """
        level = self.level if level is None else level
        check_level(level)
        frame = getattr(points, "frame", points)
        given = (
            {} if frame is None else {str(name): np.asarray(frame[name]) for name in frame if name in self.law.inputs}
        )
        given |= {name: np.asarray(value) for name, value in columns.items()}
        arrays = [np.atleast_1d(a) for a in self.law.input_arrays(given)]
        try:
            arrays = [a.ravel() for a in np.broadcast_arrays(*arrays)] if arrays else []
        except ValueError:
            sizes = ", ".join(f"{name} {len(a)}" for name, a in zip(self.law.inputs, arrays, strict=True))
            raise PredictionError(
                f"the points have different lengths: {sizes}; give one value or as many everywhere"
            ) from None
        where = dict(zip(self.law.inputs, arrays, strict=True))
        value = self.law.value(self.values, where)
        low = high = np.full(value.shape, np.nan)
        draws = self.draws[np.all(np.isfinite(self.draws), axis=1)] if len(self.draws) else self.draws
        if not self.refusal and len(draws):
            drawn = self._drawn(draws, where, value.shape)
            if noise:
                rng = np.random.default_rng([int(self.settings.get("seed", 0)), 1])
                scatter = -rng.choice(self.residuals, size=drawn.shape)
                drawn = drawn * np.exp(scatter) if self._ratios else drawn + scatter
            low, high = percentile_interval(drawn, level)
        name = "loss" if self.law.output in ("loss", "y") else self.law.output
        return pd.DataFrame({**where, name: value, "low": low, "high": high})

    def _drawn(self, draws: np.ndarray, where: Mapping[str, np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
        parameters = {name: draws[:, i : i + 1] for i, name in enumerate(self.law.parameters)}
        inputs = {name: array[None, :] for name, array in where.items()}
        return np.broadcast_to(self.law.value(parameters, inputs), (len(draws), *shape)).copy()

    @property
    def _ratios(self) -> bool:
        """Whether residuals are log ratios."""
        return bool(np.all(self.observed > 0))

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
        if self.interval == "bca":
            found.append("Efron 1987, Better bootstrap confidence intervals, J. Amer. Statist. Assoc. 82")
        if self.interval == "profile":
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
