"""The optimum of a question at budgets: of the estimate and of every draw, in closed form where there is one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from scalinglens.plan.optimum.closed_form import ClosedForm, closed_form
from scalinglens.plan.optimum.optimum import Model, Optimum, Problem, ends_along, slack_of, solve
from scalinglens.plan.optimum.problem import Stated
from scalinglens.plan.optimum.smooth import over_budgets
from scalinglens.plan.source import Head

__all__ = ["PRICE", "VALUE", "Solver"]

_BLOCK = 200_000  # draws x budgets that the numeric solver holds at once
_TIGHT = 1e-6  # of ln inputs of draws, relative: a kink is bisected no further
_GRID = 65  # points along a budget for draws of a forecast without a law
VALUE, PRICE = "value of the draws", "price of the draws"  # beside the inputs, where draws are solved numerically
_FAR = 690.0  # ln of an input that stands for an endless one


@dataclass(frozen=True, eq=False)
class Solver:
    """Solves one question at many budgets.

    Attributes:
        stated: the question; its problem is not None.
        closed: whether closed forms may be used.
    """

    stated: Stated
    closed: bool = True

    @property
    def problem(self) -> Problem:
        assert self.stated.problem is not None
        return self.stated.problem

    @cached_property
    def forms(self) -> tuple[ClosedForm | None, ...]:
        """The closed form of each head's estimate; empty for a forecast without a law."""
        return tuple(self.form_of(head, head.values[None]) for head in self.stated.source.heads)

    @property
    def how(self) -> str:
        """The method of the estimate."""
        if not self.problem.outer:
            return "the budget alone"
        return "closed form" if len(self.forms) == 1 and self.forms[0] is not None else "equal elasticities"

    def form_of(self, head: Head, natural: np.ndarray) -> ClosedForm | None:
        """The optimum under parameters [draws, p] in closed form, or None."""
        source = self.stated.source
        if not self.closed or not (source.falls or source.link) or len(self.problem.free) != 2:
            return None
        return closed_form(head.law, natural, self.stated.cost.law, self.problem.free, self.stated.fixed)

    # ---- the estimate -----------------------------------------------------------------------------------------------

    def estimate(self, log_budgets: np.ndarray) -> Optimum:
        """The optimum of the forecast itself at ln budgets [n]; arrays are [n]."""
        source = self.stated.source
        best = self._best(source.model(), self.forms[0] if len(self.forms) == 1 else None, log_budgets[None])
        flat = lambda a: np.broadcast_to(a, (1, len(log_budgets)))[0]  # noqa: E731
        return Optimum(
            {k: flat(v) for k, v in best.logs.items()}, flat(best.value), flat(best.price), flat(best.status)
        )

    def _best(self, model: Model, form: ClosedForm | None, log_budgets: np.ndarray) -> Optimum:
        near = None if form is None else form.logs(log_budgets)
        if near is not None and not np.all(np.isfinite(near[self.problem.free[0]])):
            near = None
        return solve(model, self.problem, log_budgets, near)

    # ---- the draws --------------------------------------------------------------------------------------------------

    def drawn(self, log_budgets: np.ndarray, best: Optimum) -> dict[str, np.ndarray]:
        """ln of the outer inputs [n, draws] under every draw, spread about the estimate; no columns without draws.

        Where draws are solved numerically, the least value and its price stand beside them, under `VALUE` and `PRICE`.
        """
        source, n = self.stated.source, len(log_budgets)
        if not self.problem.outer or not source.draws:
            return {name: np.empty((n, 0)) for name in self.problem.outer}
        if not source.heads:
            return self._on_grid(log_budgets)
        parts: dict[str, list[np.ndarray]] = {}
        for head, form in zip(source.heads, self.forms, strict=True):
            if not len(head.draws):
                continue
            single = len(source.heads) == 1
            centre = best if single else self._flat(self._best(head.model(), form, log_budgets[None]))
            found = self._of_head(head, form, log_budgets, centre)
            for name, logs in found.items():
                middle = centre.logs[name][:, None] if name in centre.logs else logs
                spread = logs if head.widening == 1.0 else middle + head.widening * (logs - middle)
                parts.setdefault(name, []).append(spread)
        whole = {name: np.concatenate(arrays, axis=1) for name, arrays in parts.items()}
        # a pool may have closed forms for some of its laws only
        return {name: a for name, a in whole.items() if a.shape[1] == source.draws}

    @staticmethod
    def _flat(best: Optimum) -> Optimum:
        return Optimum({k: v[0] for k, v in best.logs.items()}, best.value[0], best.price[0], best.status[0])

    def _of_head(
        self, head: Head, estimated: ClosedForm | None, log_budgets: np.ndarray, centre: Optimum
    ) -> dict[str, np.ndarray]:
        form = self.form_of(head, head.draws)
        name = self.problem.outer[0]
        if form is not None:
            logs = form.start[name].T + form.exponents[name].T * log_budgets[:, None]
            if not form.proper.all():
                logs = np.where(form.proper.T, logs, np.nan)
            return {name: self._kept(name, logs, log_budgets)}
        middle = {**{key: centre.logs[key] for key in self.problem.outer}, VALUE: centre.value, PRICE: centre.price}

        def about(at: np.ndarray) -> dict[str, np.ndarray]:
            """Draws less the estimate [k, draws] at ln budgets [k]."""
            best = self._flat(self._best(head.model(), estimated, at[None]))
            found = self._solved(head, at, best)
            here = {**best.logs, VALUE: best.value, PRICE: best.price}
            return {key: values - here[key][:, None] for key, values in found.items()}

        able = centre.status != 3
        found = {key: np.full((len(log_budgets), len(head.draws)), np.nan) for key in middle}
        if able.any():
            for key, values in over_budgets(about, log_budgets[able], self.problem.outer).items():
                found[key][able] = values + middle[key][able][:, None]
        return found

    def _solved(self, head: Head, log_budgets: np.ndarray, centre: Optimum) -> dict[str, np.ndarray]:
        """The optimum of every draw at every budget [n, draws], by the numeric solver."""
        step = max(_BLOCK // max(len(log_budgets), 1), 1)
        pieces: dict[str, list[np.ndarray]] = {name: [] for name in self.problem.outer}
        pieces |= {VALUE: [], PRICE: []}
        for start in range(0, len(head.draws), step):
            part = head.draws[start : start + step]
            found = solve(
                head.model(part),
                self.problem,
                np.broadcast_to(log_budgets, (len(part), len(log_budgets))),
                {name: centre.logs[name][None] for name in self.problem.outer},
                tight=_TIGHT,
            )
            for key in self.problem.outer:
                pieces[key].append(found.logs[key].T)
            pieces[VALUE].append(found.value.T)
            pieces[PRICE].append(found.price.T)
        return {key: np.concatenate(arrays, axis=1) for key, arrays in pieces.items()}

    def _kept(self, name: str, logs: np.ndarray, log_budgets: np.ndarray) -> np.ndarray:
        """Optima [n, draws] inside the bounds: what lies beyond is best at the bound, the loss being convex along it."""
        if not self.problem.bounds:
            return logs
        first, last = ends_along(self.problem, log_budgets, name)
        return np.clip(logs, first[:, None], last[:, None])

    def _on_grid(self, log_budgets: np.ndarray) -> dict[str, np.ndarray]:
        """Draws of a forecast without a law: the least of a grid along each budget, refined by a parabola."""
        source, problem = self.stated.source, self.problem
        n = len(log_budgets)
        if len(problem.outer) != 1 or source.forecast is None:
            return {name: np.empty((n, 0)) for name in problem.outer}
        name = problem.outer[0]
        first, last = ends_along(problem, log_budgets, name)
        sign, found = 1.0 if source.falls else -1.0, []
        for low, high, budget in zip(first, last, log_budgets, strict=True):
            if not low < high:
                found.append(np.full(source.draws, np.nan))
                continue
            t = np.linspace(low, high, _GRID)
            y, _ = slack_of(problem, {**problem.fixed, name: t}, np.full(_GRID, budget))
            logs = {**problem.fixed, name: t, problem.slack: y}
            at = {key: np.broadcast_to(np.exp(logs[key]), t.shape) for key in source.inputs}
            values = sign * source.sampled(at)
            values = np.where(np.isfinite(values), values, np.inf)
            if not len(values):
                found.append(np.empty(0))
                continue
            i = values.argmin(axis=1)
            j = np.clip(i, 1, _GRID - 2)
            a, b, c = (values[np.arange(len(values)), j + k] for k in (-1, 0, 1))
            with np.errstate(all="ignore"):
                bend = a - 2 * b + c
                shift = np.where((i == j) & (bend > 0) & np.isfinite(bend), 0.5 * (a - c) / bend, 0.0)
            found.append(np.where(np.isfinite(values.min(axis=1)), t[i] + shift * (t[1] - t[0]), np.nan))
        return {name: np.stack(found)}

    # ---- the floor --------------------------------------------------------------------------------------------------

    def floors(self) -> tuple[float, np.ndarray]:
        """The value at endless budgets: of the estimate, and of the draws [draws]; NaN where it has no limit."""
        source = self.stated.source
        if not source.heads or source.link or not source.falls:
            return float("nan"), np.empty(0)
        centre = float(self._floor(source.model(), 1)[0])
        drawn = [self._floor(head.model(head.draws), len(head.draws)) for head in source.heads if len(head.draws)]
        return centre, np.concatenate(drawn) if drawn else np.empty(0)

    def _floor(self, model: Model, count: int) -> np.ndarray:
        high = {name: min(self.problem.bounds.get(name, (0.0, _FAR))[1], _FAR) for name in self.problem.free}
        logs: Mapping[str, np.ndarray] = {k: np.array([[v]]) for k, v in {**self.problem.fixed, **high}.items()}
        with np.errstate(all="ignore"):
            value = np.asarray(model(logs)[0], dtype=float)
        return np.where(np.isfinite(value), value, np.nan).ravel() if value.size == count else np.full(count, np.nan)
