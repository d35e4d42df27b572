"""`frontier`: the best model size at each compute C = N t, exactly, with local exponents."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scalinglens.errors import TheoryError
from scalinglens.numerics.roots import bracketed_root
from scalinglens.theory.random_features.problem import RandomFeatures
from scalinglens.theory.random_features.solve import solve_each
from scalinglens.worlds.spectra import Spectrum

if TYPE_CHECKING:
    from scalinglens.runs import Runs

__all__ = ["TheoryFrontier", "frontier"]

_STEP = 1e-3  # of ln N, to difference exact slopes
_EDGE = 1e-9
_ANCHORS = 5
_NEWTON = 6
_BALANCED = 1e-9  # d ln L/d ln N - d ln L/d ln t at the optimum


@dataclass(frozen=True, eq=False)
class TheoryFrontier:
    """The result of `frontier`; arrays are by budget [n].

    Attributes:
        spectrum: of the problem.
        flops: budgets C. features, times, loss: the optimum N*, t* = C/N*, L*.
        slopes: "loss", "features", "times" -> d ln of it/d ln C.
    """

    spectrum: Spectrum
    flops: np.ndarray
    features: np.ndarray
    times: np.ndarray
    loss: np.ndarray
    slopes: dict[str, np.ndarray]

    def to_frame(self) -> pd.DataFrame:
        """Return one row per budget."""
        columns = {name: getattr(self, name) for name in ("flops", "features", "times", "loss")}
        return pd.DataFrame(columns | {f"{name}_slope": value for name, value in self.slopes.items()})

    def runs(self) -> Runs:
        """Return the best runs as a table: params N*, steps t*, flops C = N* t*, loss without the label noise."""
        from scalinglens.runs import read_runs

        return read_runs({"params": self.features, "steps": self.times, "flops": self.flops, "loss": self.loss})

    def to_dict(self) -> dict[str, Any]:
        """Return the frontier as plain data."""
        plain = {name: getattr(self, name).tolist() for name in ("flops", "features", "times", "loss")}
        return {"schema": 1, **plain, "slopes": {name: value.tolist() for name, value in self.slopes.items()}}


def frontier(spectrum: Spectrum, flops: Any, *, samples: float = np.inf, noise: float = 0.0) -> TheoryFrontier:
    """Find the model size that learns best at each compute.

    N* = argmin_N L(N, C/N): d ln L/d ln N = d ln L/d ln t, and d ln L*/d ln C = d ln L/d ln t there

    Args:
        spectrum: of the problem. flops: budgets C = N t, above 1. samples, noise: P and sigma^2, the same everywhere.

    Returns:
        The `TheoryFrontier`.

    Raises:
        TheoryError: budgets that are not above 1, or a loss without least value between N = 1 and N = C.

    Cost: ten solutions a budget, 30 ms for ten budgets.

    Source: Bordelon, Atanasov and Pehlevan 2024 (arXiv 2402.01092), section 5; see `exponents` for where its exponents hold.

    >>> from scalinglens.worlds.spectra import power_law
    >>> found = frontier(power_law(1.5, 1.25), [1e7, 1e9])
    >>> found.loss.round(6).tolist()
    [0.090021, 0.032384]
    """
    budgets = np.atleast_1d(np.asarray(flops, dtype=float))
    if budgets.ndim != 1 or not budgets.size or not np.all(np.isfinite(budgets) & (budgets > 1)):
        raise TheoryError(f"flops must be finite and above 1, got {flops!r}: it is model size times time")
    logs = np.log(budgets)

    def solved(x: np.ndarray, log_budgets: np.ndarray) -> dict[str, np.ndarray]:
        problem = RandomFeatures(spectrum, np.exp(x), samples, noise)
        return solve_each(problem, np.exp(log_budgets - x))

    def balance(x: np.ndarray, log_budgets: np.ndarray) -> np.ndarray:
        at = solved(x, log_budgets)
        return at["features"] - at["times"]

    def rooted(log_budgets: np.ndarray) -> np.ndarray:
        low, high = np.full_like(log_budgets, _EDGE), log_budgets - _EDGE
        at_low, at_high = balance(low, log_budgets), balance(high, log_budgets)
        wrong = ~((at_low < 0) & (at_high > 0))
        if wrong.any():
            raise TheoryError(
                f"at {np.exp(log_budgets[wrong][0]):.4g} the loss has no least value between a model of one feature and one "
                "step of time; take a larger compute"
            )
        return bracketed_root(lambda x: balance(x, log_budgets), low, high, at_low)

    def slope_by_size(x: np.ndarray) -> np.ndarray:
        return (balance(x + _STEP, logs) - balance(x - _STEP, logs)) / (2 * _STEP)

    # ln N* is nearly linear in ln C: a few roots give the others to within Newton's reach
    order = np.unique(np.concatenate((np.linspace(logs.min(), logs.max(), _ANCHORS), logs[[0]])))
    if len(logs) > len(order):
        x = np.interp(logs, order, rooted(order))
        slope = slope_by_size(x)  # hardly moves on the way to the root
        off = balance(x, logs)
        for _ in range(_NEWTON):
            if np.all(np.abs(off) <= _BALANCED):
                break
            x = np.clip(x - off / slope, _EDGE, logs - _EDGE)
            off = balance(x, logs)
        wrong = ~(np.abs(off) <= _BALANCED)
        if wrong.any():
            x[wrong] = rooted(logs[wrong])
    else:
        x = rooted(logs)
    here = solved(x, logs)
    # by the implicit function theorem, from exact slopes at neighbours in ln N and in ln C
    by_x = slope_by_size(x)
    ahead, behind = (solved(x, logs + side) for side in (_STEP, -_STEP))
    difference = [side["features"] - side["times"] for side in (ahead, behind)]
    by_budget = (difference[0] - difference[1]) / (2 * _STEP)
    slope = -by_budget / by_x
    slopes = {"loss": here["times"], "features": slope, "times": 1 - slope}
    return TheoryFrontier(spectrum, budgets, np.exp(x), np.exp(logs - x), here["test"], slopes)
