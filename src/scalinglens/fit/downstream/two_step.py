"""Accuracy of a task in two steps: a law from size and data to loss, and a link from loss to accuracy.

    loss = law(params, tokens),    accuracy = link(loss)

The accuracy of a task is no law of the compute; its loss nearly is, and given the loss the accuracy follows one curve for
models of many sizes. Each step is a `Fit` with a certificate of its own. The draws of the first are pushed through the
draws of the second, and both resample the same runs, so that what the steps err together stays together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from scalinglens.errors import FitError, did_you_mean
from scalinglens.fit.downstream.links import fit_link
from scalinglens.fit.downstream.predictability import Check, predictability
from scalinglens.fit.downstream.rows import Checkpoints, step_rows
from scalinglens.fit.estimate import check_level
from scalinglens.fit.fit import fit
from scalinglens.fit.result import REFUSED, Fit
from scalinglens.laws.catalogue import law as find_law
from scalinglens.laws.law import Law
from scalinglens.numerics.bootstrap import percentile_interval
from scalinglens.runs import Runs, read_runs

__all__ = ["TwoStep", "two_step"]

_WORST = ("certified", "at_bound", "not_identified", "not_converged")
_RESAMPLES = ("rows", "parametric")
_SECOND = 104729  # apart in seed, where the two steps have different runs and must not share their random numbers


@dataclass(frozen=True, eq=False)
class TwoStep:
    """A forecast of accuracy by way of the loss; made by `two_step`, with the interface of `Fit`.

    Attributes:
        task: column of the accuracy. loss_column: column of the loss in between.
        loss_fit: step 1, from the inputs to the loss.
        link_fit: step 2, from the loss to the accuracy.
        observed: accuracy of each run of step 1 [n], NaN where it has none.
        checks: whether the task can be forecast at all.
        paired: whether both steps resample the same runs.
        chance: accuracy of guessing, if given.
        level: of the intervals.
        settings: what was asked for.
    """

    task: str
    loss_column: str
    loss_fit: Fit
    link_fit: Fit
    observed: np.ndarray
    checks: tuple[Check, ...]
    paired: bool
    chance: float | None
    level: float
    settings: Mapping[str, Any]

    # ---- the interface of a forecast --------------------------------------------------------------------------------

    @property
    def inputs(self) -> tuple[str, ...]:
        """The columns that predictions need."""
        return self.loss_fit.inputs

    @property
    def target(self) -> str:
        """The column that is predicted."""
        return self.task

    @property
    def points(self) -> Mapping[str, np.ndarray]:
        """Input -> values of the runs of step 1 [n]."""
        return self.loss_fit.points

    @property
    def status(self) -> str:
        """The worse of the two steps'; "not_identified" where a fatal check of the task fails."""
        worst = max(self.loss_fit.status, self.link_fit.status, key=_WORST.index)
        return "not_identified" if self._fatal and worst not in REFUSED else worst

    @property
    def refusal(self) -> str:
        """Why intervals are refused, or an empty string."""
        if self._fatal:
            return f"no intervals, because {self.task} cannot be forecast from these runs: " + "; ".join(
                check.says for check in self._fatal
            )
        for step, part in (("step 1 (loss)", self.loss_fit), ("step 2 (link)", self.link_fit)):
            if part.refusal:
                return f"{step}: {part.refusal}"
        return ""

    @property
    def warnings(self) -> tuple[str, ...]:
        """Failed checks and what the two fits warn of."""
        found = [f"{check.name}: {check.says}" for check in self.checks if check.passed is False]
        for step, part in (("step 1", self.loss_fit), ("step 2", self.link_fit)):
            found += [f"{step}: {warning}" for warning in part.warnings]
        if self.link_fit.status not in REFUSED and self._falls():
            found.append("step 2: the link falls somewhere as the loss falls, so more compute would predict less")
        if not self.paired and self.settings["boot"]:
            found.append("the steps rest on different runs, so what they err together is not in the intervals")
        return tuple(found)

    @property
    def _fatal(self) -> tuple[Check, ...]:
        return tuple(check for check in self.checks if check.fatal and check.passed is False)

    def predict(
        self,
        points: pd.DataFrame | Mapping[str, Any] | None = None,
        level: float | None = None,
        noise: bool = True,
        **columns: Any,
    ) -> pd.DataFrame:
        """Predict the accuracy, with an interval for a single new run.

        Args:
            points: a frame, `Runs`, or mapping with the inputs; keyword arrays or numbers are added to it.
            level: probability of the interval, by default that of the fit.
            noise: let the interval hold a single new run: its loss scatters about the law, its accuracy about the link.
            columns: inputs by name, `params=7e9, tokens=4e12`.

        Returns:
            A frame with the inputs, the task, `low` and `high` (NaN where intervals are refused or were not asked for).

        Raises:
            PredictionError: an input is missing or impossible.

        Cost: draws x points evaluations of both steps.
        """
        frame = self.steps(points, level=level, noise=noise, **columns)
        return frame.drop(columns=["loss", "loss_low", "loss_high"])

    def steps(
        self,
        points: pd.DataFrame | Mapping[str, Any] | None = None,
        level: float | None = None,
        noise: bool = True,
        **columns: Any,
    ) -> pd.DataFrame:
        """Predict as `predict`, with the loss in between and its interval in `loss`, `loss_low`, `loss_high`."""
        level = self.level if level is None else level
        check_level(level)
        first = self.loss_fit.predict(points, level=level, noise=noise, **columns)
        loss = first[self.loss_fit.target].to_numpy()
        value = self.accuracy_at(loss)
        low = high = np.full(len(value), np.nan)
        drawn = self._drawn(first, level, noise)
        if len(drawn):
            low, high = percentile_interval(drawn, level)
        inputs = {name: first[name].to_numpy() for name in self.inputs}
        between = {"loss": loss, "loss_low": first["low"].to_numpy(), "loss_high": first["high"].to_numpy()}
        return pd.DataFrame({**inputs, **between, self.task: value, "low": low, "high": high})

    def sample(
        self, points: pd.DataFrame | Mapping[str, Any] | None = None, noise: bool = False, **columns: Any
    ) -> np.ndarray:
        """Draw accuracies [draws, points]; no rows where intervals are refused or were not asked for."""
        return self._drawn(self.loss_fit.predict(points, noise=False, **columns), self.level, noise)

    def accuracy_at(self, loss: Any) -> np.ndarray:
        """Return what the link alone gives at a loss [n]."""
        return self.link_fit.law.value(self.link_fit.values, {"loss": np.asarray(loss, dtype=float)})

    def extrapolation(self, points: pd.DataFrame | Mapping[str, Any] | None = None, **columns: Any) -> tuple[str, ...]:
        """Return a sentence for each input far outside the runs, and for a loss outside those of the link."""
        first = self.loss_fit.predict(points, noise=False, **columns)
        seen = self._link_losses
        low, high = float(seen.min()), float(seen.max())
        found = list(self.loss_fit.extrapolation(points, **columns))
        loss = first[self.loss_fit.target].to_numpy()
        for far, beyond, words in (
            (float(loss.min()), low - float(loss.min()), f"below the smallest of the link, {low:.4g}"),
            (float(loss.max()), float(loss.max()) - high, f"above the largest of the link, {high:.4g}"),
        ):
            if beyond > 0 and high > low:
                share = beyond / (high - low)
                found.append(f"the predicted loss {far:.4g} is {share:.0%} of its range {words}: the link extrapolates")
        return tuple(found)

    def split(self, runs: Any) -> pd.DataFrame:
        """Split the error on runs that were held out between the two steps.

        error = (link(predicted loss) - link(observed loss)) + (link(observed loss) - observed accuracy)

        Args:
            runs: table with the inputs, the loss column and the task of each run, one row per run.

        Returns:
            A frame with the inputs, `loss` (predicted), `loss_observed`, the task (predicted), `observed`, `error`, and
            its parts `error_loss` (step 1) and `error_link` (step 2).

        Raises:
            RunsError: a column is missing.

        Cost: one evaluation of both steps.
        """
        table = runs if isinstance(runs, Runs) else read_runs(runs)
        columns = {name: table.column(name) for name in self.inputs}
        seen, accuracy = table.column(self.loss_column), table.column(self.task)
        frame = self.steps(columns)
        predicted, linked = frame[self.task].to_numpy(), self.accuracy_at(seen)
        return pd.DataFrame(
            {
                **{name: frame[name] for name in self.inputs},
                "loss": frame["loss"],
                "loss_observed": seen,
                self.task: predicted,
                "observed": accuracy,
                "error": predicted - accuracy,
                "error_loss": predicted - linked,
                "error_link": linked - accuracy,
            }
        )

    # ---- inside -----------------------------------------------------------------------------------------------------

    @cached_property
    def _link_losses(self) -> np.ndarray:
        """Losses the link was fitted to, without the anchor."""
        return self.link_fit.points["loss"][: self.settings["link_rows"]]

    def _link_scatter(self, shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
        """Deviations of accuracies from the link [draws, points], drawn from those of the runs, with the scale uncertain."""
        count = self.settings["link_rows"]
        seen = self.link_fit.observed[:count] - self.accuracy_at(self._link_losses)
        freedom = max(count - len(self.link_fit.law.parameters), 1)
        larger = np.sqrt(count / freedom)  # residuals are smaller than the noise they show
        scale = np.sqrt(freedom / rng.chisquare(freedom, size=(shape[0], 1)))
        return larger * scale * rng.choice(seen, size=shape)

    def _falls(self) -> bool:
        grid = np.linspace(0.5 * self._link_losses.min(), self._link_losses.max(), 200)
        return bool(np.any(np.diff(self.accuracy_at(grid)) > 1e-12))

    def _drawn(self, first: pd.DataFrame, level: float, noise: bool) -> np.ndarray:
        """Accuracies [draws, points]: draw i of step 1 through draw i of step 2."""
        where = {name: first[name].to_numpy()[None, :] for name in self.inputs}
        if self.refusal or not len(self.loss_fit.draws):
            return np.empty((0, len(first)))

        def losses(natural: np.ndarray) -> np.ndarray:
            return _evaluated(self.loss_fit.law, natural, where)

        best = np.array([self.loss_fit.values[name] for name in self.loss_fit.law.parameters])
        loss = self.loss_fit._method.drawn(losses, best, level)
        good = np.isfinite(loss).all(axis=1) & np.isfinite(self.link_fit.draws).all(axis=1)
        rng = np.random.default_rng([int(self.settings["seed"]), 3])
        loss, parameters = loss[good], self.link_fit.draws[good]
        if noise:
            each = self.loss_fit.noise.sample(loss, rng)
            loss = loss * np.exp(each) if self.loss_fit.ratios else loss + each
        loss = np.maximum(loss, np.finfo(float).tiny)  # scatter may carry a draw below zero, where no link goes
        middle = self.accuracy_at(loss)
        linked = _evaluated(self.link_fit.law, parameters, {"loss": loss})
        linked = middle + self.link_fit._method.widening(level) * (linked - middle)
        if noise:
            linked = linked + self._link_scatter(linked.shape, rng)
        return np.clip(linked, 0.0, 1.0)

    # ---- views ------------------------------------------------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """Return the forecast as plain data."""
        return {
            "schema": 1,
            "kind": "two_step",
            "task": self.task,
            "loss_column": self.loss_column,
            "status": self.status,
            "refusal": self.refusal or None,
            "level": self.level,
            "chance": self.chance,
            "paired": self.paired,
            "step1": self.loss_fit.to_dict(),
            "step2": self.link_fit.to_dict(),
            "checks": [check.to_dict() for check in self.checks],
            "warnings": list(self.warnings),
            "citations": list(self.citations()),
        }

    def citations(self) -> tuple[str, ...]:
        """Return the papers that the forecast rests on."""
        return tuple(dict.fromkeys([*self.loss_fit.citations(), *self.link_fit.citations()]))

    def __repr__(self) -> str:
        from scalinglens.fit.downstream.text import two_step_text

        return two_step_text(self)


def two_step(
    runs: Any,
    *,
    task: str,
    loss_column: str = "loss",
    loss_law: str | Law = "hoffmann2022",
    link: str | Law = "sigmoid",
    chance: float | None = None,
    floor: str | float = "free",
    items: int | None = None,
    checkpoints: Checkpoints | None = None,
    anchor: tuple[float, float] | None = None,
    link_runs: Any = None,
    loss: str = "huber",
    delta: float = 1e-3,
    space: str = "log",
    boot: int = 0,
    resample: str = "rows",
    level: float = 0.9,
    starts: int | None = None,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> TwoStep:
    """Fit a law to the loss of a task and a link from that loss to its accuracy.

    Args:
        runs: `Runs`, or anything `read_runs` takes.
        task: column with the share of right answers. loss_column: column with the loss of the same task (bits per byte of
            the right answer) or of a validation text.
        loss_law: law of step 1, as in `fit`.
        link: law of step 2: "sigmoid", "exponential", or a formula in the loss.
        chance: accuracy of guessing (1/4 for four choices). It decides checks; it is the floor of the link only where
            asked for.
        floor: accuracy of the link at a large loss: "free", "chance", or a number.
        items: questions of the benchmark.
        checkpoints: how a table with several rows per run is read; without it every row is a run.
        anchor: a further point (loss, accuracy) of step 2, such as (0, 1): no loss, every answer right.
        link_runs: another table for step 2.
        loss, delta, space: penalty of step 1, as in `fit`; step 2 minimises squares of the accuracy.
        boot: bootstrap refits of both steps (0: none).
        resample: "rows" refits both steps on the same resampled runs; "parametric" to noise about the fits, for designs so
            small that resamples of them determine no law. At 16 runs and nominal 90 % the first covers 88 %, the second 82 %.
        level: probability of the intervals.
        starts, seed, progress: as in `fit`.

    Returns:
        The `TwoStep`. It refuses intervals where either fit does, and where the task is at chance or has no trend.

    Raises:
        RunsError: a column is missing. FitError: an option is impossible, or there are too few runs.

    Cost: that of two fits.

    Source: Bhagia et al. 2024 (arXiv 2412.04403), section 3; Gadre et al. 2024 (arXiv 2403.08540), section 3.

    >>> N, D = (a.ravel() for a in np.meshgrid([1e8, 3e8, 1e9], [1e10, 3e10, 1e11]))
    >>> loss = 0.5 + 40 / N**0.25 + 60 / D**0.22
    >>> table = {"params": N, "tokens": D, "loss": loss, "qa": 0.9 - 0.65 / (1 + np.exp(-9 * (loss - 1.0)))}
    >>> forecast = two_step(table, task="qa", chance=0.25)
    >>> truth = 0.9 - 0.65 / (1 + np.exp(-9 * (0.5 + 40 / 7e9**0.25 + 60 / 1e12**0.22 - 1.0)))
    >>> round(float(abs(forecast.predict(params=7e9, tokens=1e12)["qa"][0] - truth)), 5)
    0.0
    """
    if resample not in _RESAMPLES:
        raise FitError(
            f'the two steps resample "rows" or make "parametric" noise, got {resample!r}{did_you_mean(str(resample), _RESAMPLES)}'
        )
    bottom = _floor(floor, chance)
    table = runs if isinstance(runs, Runs) else read_runs(runs)
    chosen = find_law(loss_law.strip() if isinstance(loss_law, str) else loss_law)
    if task == loss_column or task in chosen.inputs:
        raise FitError(f'"{task}" cannot be the task: it is already what the task is predicted from')
    rows = step_rows(table, chosen.inputs, loss_column, task, checkpoints)
    other = rows
    if link_runs is not None:
        second = link_runs if isinstance(link_runs, Runs) else read_runs(link_runs)
        other = step_rows(second, (), loss_column, task, checkpoints)
    shares = other.accuracy[np.isfinite(other.accuracy)]
    if len(shares) and (shares.min() < 0 or shares.max() > 1):
        worst = shares[np.argmax(np.abs(shares - 0.5))]
        raise FitError(
            f"the task {task} has an accuracy of {worst:g}; it must be a share between 0 and 1 (divide by 100)"
        )
    loss_fit = fit(
        read_runs({"run": [f"run {label}" for label in rows.run], **rows.inputs, "loss": rows.loss}),
        loss_law,
        loss=loss,
        delta=delta,
        space=space,
        target="loss",
        groups="run" if boot else None,
        boot=boot,
        resample=resample,
        level=level,
        starts=starts,
        seed=seed,
        progress=progress,
    )
    paired = link_runs is None and set(map(str, rows.run)) == set(map(str, other.link_run))
    link_fit = fit_link(
        other.link_loss,
        other.link_accuracy,
        link,
        floor=bottom,
        anchor=anchor,
        groups=np.array([f"run {label}" for label in other.link_run]),
        boot=boot,
        resample=resample,
        level=level,
        seed=seed if paired else seed + _SECOND,
        starts=starts,
        progress=progress,
    )
    measured = np.isfinite(other.accuracy)
    checks = predictability(other.loss[measured], other.accuracy[measured], chance=chance, items=items)
    return TwoStep(
        task=task,
        loss_column=loss_column,
        loss_fit=loss_fit,
        link_fit=link_fit,
        observed=rows.accuracy,
        checks=checks,
        paired=paired,
        chance=chance,
        level=level,
        settings={
            "boot": boot,
            "resample": resample,
            "seed": seed,
            "link": link if isinstance(link, str) else link.name,
            "link_rows": len(other.link_loss),
            "floor": floor,
            "anchor": anchor,
            "items": items,
        },
    )


def _floor(floor: str | float, chance: float | None) -> float | None:
    if floor == "free":
        return None
    if floor == "chance":
        if chance is None:
            raise FitError('floor="chance" needs the accuracy of guessing; give chance=0.25 for four choices')
        return chance
    if isinstance(floor, str):
        raise FitError(f'floor is "free", "chance" or a number, got {floor!r}')
    return float(floor)


def _evaluated(law: Law, natural: np.ndarray, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
    """A law under each row of parameters [draws, p] at inputs [draws or 1, points]; NaN where a row is not finite."""
    good = np.isfinite(natural).all(axis=1)
    points = next(iter(inputs.values()))
    values = np.full((len(natural), points.shape[1]), np.nan)
    chosen = {
        name: array[good] if len(array) == len(natural) and len(array) > 1 else array for name, array in inputs.items()
    }
    parameters = {name: natural[good, i : i + 1] for i, name in enumerate(law.parameters)}
    values[good] = law.value(parameters, chosen)
    return values
