"""`advice`: is this table, and this fit, what the literature recommends? Each answer is a check with the number behind it.

Two lists are joined: the eleven recommendations of Choshen et al. 2024 (arXiv 2410.11840) and the checklist of Li et al. 2025
("(Mis)Fitting", arXiv 2502.18969).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from scalinglens.errors import FitError
from scalinglens.fit.compare.check import Check
from scalinglens.fit.compare.checklist import checklist
from scalinglens.fit.compare.recommendations import forecast_scores, recommended
from scalinglens.fit.compare.shape import Shape
from scalinglens.fit.result import Fit
from scalinglens.runs import read_runs

__all__ = ["Check", "advice", "advice_text"]


def advice(
    runs: Any, target: Mapping[str, Any] | None = None, *, fit: Fit | None = None, x: str | None = None
) -> list[Check]:
    """Check a table, and a fit to it, against what the literature recommends.

    Args:
        runs: `Runs`, or anything `read_runs` takes.
        target: the run to be forecast, as in {"params": "70B", "tokens": 1.4e12}; without it, checks of the distance to it
            do not apply.
        fit: a fit to these runs; without it, checks of the fit do not apply. With it, the law is fitted a few times
            more, without the largest size and without each size in turn.
        x: column that says how long a run is where there are no tokens, as in "examples" or "steps".

    Returns:
        The checks: the eleven recommendations first, then the checklist.

    Raises:
        FitError: a target without any of the columns, or something else than a fit.
        RunsError: unreadable runs, or no column x.

    Cost: milliseconds without a fit; with one, as many fits as there are sizes, and one more.

    Source: Choshen et al. 2024, arXiv 2410.11840; Li et al. 2025, arXiv 2502.18969.

    >>> checks = advice({"params": [1e7, 1e8, 1e9], "tokens": [2e8, 2e9, 2e10], "loss": [4.0, 3.2, 2.7]})
    >>> [(check.number, check.threshold) for check in checks if check.name == "number of sizes"]
    [(3.0, 5.0)]
    """
    if fit is not None and not isinstance(fit, Fit):
        raise FitError(f"fit is the result of fit(runs, law), got {type(fit).__name__}")
    shape = Shape.of(read_runs(runs), target, x)
    scores = forecast_scores(shape, fit)
    return [*recommended(shape, fit, scores), *checklist(shape, fit, scores)]


def advice_text(checks: Sequence[Check]) -> str:
    """Return checks as a short table: what to look at first, then what is well, then what does not apply."""
    order = {False: 0, True: 1, None: 2}
    lines = [check.says() for check in sorted(checks, key=lambda check: order[check.passed])]
    count = {kind: sum(check.passed is kind for check in checks) for kind in order}
    return "\n".join([*lines, f"{count[False]} to look at, {count[True]} well, {count[None]} not applicable"])
