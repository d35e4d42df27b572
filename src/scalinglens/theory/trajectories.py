"""Training trajectories across sizes: which tokens still fall, whether two runs agree on them, and what predicts a metric.

Source of the method: Xia et al. 2022, Training Trajectories of Language Models Across Scales (arXiv 2212.09803), and its code.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import spearmanr
from scipy.stats import t as student

from scalinglens.errors import TheoryError

__all__ = ["TREND_NAMES", "TokenTrends", "contrastive_score", "matched_overlap", "predictor_table", "token_trends"]

TREND_NAMES = ("falling", "stagnated", "rising")


@dataclass(frozen=True, eq=False)
class TokenTrends:
    """How the perplexity of each token moves.

    Attributes:
        labels: "falling", "stagnated" or "rising" [tokens].
        slopes: of the perplexity over its first value, per unit of ln step [tokens].
        p_values: of the slopes being zero [tokens].
        steps: of the checkpoints used.
    """

    labels: np.ndarray
    slopes: np.ndarray
    p_values: np.ndarray
    steps: np.ndarray

    def shares(self) -> dict[str, float]:
        """Return the share of tokens of each label."""
        return {name: float(np.mean(self.labels == name)) for name in TREND_NAMES}


def token_trends(perplexity: Any, steps: Any, *, start: float = 0.1, level: float = 0.05) -> TokenTrends:
    """Return whether each token's perplexity falls, rises or stagnates over training.

    Least squares of ppl/ppl_first on ln step over the checkpoints from `start` of the training on; two-sided t test of the slope.

    Args:
        perplexity: of each token at each checkpoint, exp of its loss in nats [tokens, checkpoints].
        steps: of the checkpoints, rising [checkpoints].
        start: share of the last step from which on checkpoints count.
        level: a slope whose p-value is below it is a trend. Of the tokens without a trend this share is called
            falling or rising.

    Returns:
        The `TokenTrends`.

    Raises:
        TheoryError: shapes that do not fit, values that are not positive, fewer than 3 checkpoints left.

    Cost: one pass over the table, all tokens at once.

    Source: the released code of Xia et al. 2022 (arXiv 2212.09803).

    >>> found = token_trends([[8.0, 4.1, 2.0, 1.0], [2.0, 2.2, 1.9, 2.05]], [10, 20, 40, 80])
    >>> found.labels.tolist()
    ['falling', 'stagnated']
    """
    table, at = _trajectories("perplexity", perplexity, steps)
    if not 0 <= start < 1:
        raise TheoryError(f"start is {start!r}; it is the share of training that is left out, from 0 to below 1")
    if not 0 < level < 1:
        raise TheoryError(f"level is {level!r}; it is a probability such as 0.05")
    if not np.all(table > 0):
        raise TheoryError(
            f"perplexity has {int((table <= 0).sum())} values that are not positive; it is exp of a loss in nats"
        )
    kept = at >= start * at[-1]
    if kept.sum() < 3:
        raise TheoryError(
            f"{int(kept.sum())} checkpoints are left from {start:g} of training on; a trend needs 3, lower start"
        )
    x, y = np.log(at[kept]), table[:, kept] / table[:, kept][:, :1]
    x = x - x.mean()
    spread, freedom = x @ x, len(x) - 2
    slopes = y @ x / spread
    left = y - y.mean(1, keepdims=True) - slopes[:, None] * x
    error = np.sqrt((left**2).sum(1) / freedom / spread)
    # a straight line without noise has an error of rounding: its slope counts where it exceeds that
    error = np.maximum(error, 1e-13 / math.sqrt(spread))
    p = 2 * student.sf(np.abs(slopes) / error, freedom)
    labels = np.where(p >= level, "stagnated", np.where(slopes < 0, "falling", "rising"))
    return TokenTrends(labels, slopes, p, at[kept])


def matched_overlap(
    losses_a: Any, losses_b: Any, *, progress_a: Any, progress_b: Any, between: tuple[float, float], margin: float = 0.0
) -> float:
    """Return how far two runs agree on the tokens that fall over the same stretch of progress.

    J = |A and B| / |A or B|,   A: tokens whose loss in run a falls by more than `margin` over the stretch

    Give perplexities as progress to compare runs where they are equally good, or steps or FLOPs to compare them at equal effort.

    Args:
        losses_a, losses_b: of the same tokens, nats [tokens, checkpoints of the run].
        progress_a, progress_b: positive and in order, one for each checkpoint: perplexities fall, steps rise.
        between: the stretch, from and to, within the progress of both runs; between checkpoints a token's loss is linear
            in ln progress.
        margin: nats that a loss must fall to count.

    Returns:
        The Jaccard index, from 0 to 1; 1 where no token falls in either run.

    Raises:
        TheoryError: shapes that do not fit, or a stretch outside a run.

    Source: Xia et al. 2022 (arXiv 2212.09803), where trends at equal perplexity are compared.

    >>> small = [[3.0, 2.0, 1.5], [3.0, 2.9, 3.1]]
    >>> large = [[3.0, 1.0], [3.0, 2.5]]
    >>> matched_overlap(small, large, progress_a=[20, 12, 10], progress_b=[20, 10], between=(20, 10))
    0.5
    """
    falls = []
    for name, losses, progress in (("a", losses_a, progress_a), ("b", losses_b, progress_b)):
        table, at = _trajectories(f"losses_{name}", losses, progress, f"progress_{name}", "in order")
        ends = [_at(table, at, value, name) for value in between]
        falls.append(ends[0] - ends[1] > margin)
    if len(falls[0]) != len(falls[1]):
        raise TheoryError(
            f"losses_a has {len(falls[0])} tokens, losses_b {len(falls[1])}; the runs must share their tokens"
        )
    either = np.sum(falls[0] | falls[1])
    return float(np.sum(falls[0] & falls[1]) / either) if either else 1.0


def predictor_table(metric: Any, predictors: Mapping[str, Any], *, degree: int = 2) -> pd.DataFrame:
    """Return how well each predictor, and each pair of them, explains a metric over many checkpoints.

    metric ~ polynomial of ln predictor;   partial R^2 = (R^2_pair - R^2_first)/(1 - R^2_first)

    Args:
        metric: accuracy or another number of each checkpoint [rows].
        predictors: name -> positive values [rows], such as perplexity, params and flops.
        degree: of the polynomial in each; no products between predictors.

    Returns:
        one row for each predictor and each ordered pair: first, then, R2 of both, gain of the second over the first, partial
        R2, and Spearman's rank correlation of a single one. The rows of one run are not independent: no p-values are given.

    Raises:
        TheoryError: lengths that differ, values that are not positive, too few rows.

    Source: the question is that of Xia et al. 2022 (arXiv 2212.09803), section 5; the table is ours.

    >>> size = np.array([1.0, 1, 1, 10, 10, 10]); flops = size * np.array([1, 2, 4, 1, 2, 4])
    >>> predictor_table(np.log(flops), {"flops": flops, "params": size}, degree=1).round(3)["R2"].tolist()
    [1.0, 0.805, 1.0, 1.0]
    """
    y = np.asarray(metric, dtype=float)
    if y.ndim != 1 or not np.all(np.isfinite(y)):
        raise TheoryError(
            f"metric has shape {y.shape} and {int((~np.isfinite(y)).sum())} values that are not finite; drop those rows"
        )
    if degree < 1 or degree != int(degree):
        raise TheoryError(f"degree is {degree!r}; it is a whole number of at least 1")
    if len(y) <= 2 * degree + 1:
        raise TheoryError(
            f"{len(y)} rows are too few for two predictors of degree {degree}; give more than {2 * degree + 1}"
        )
    columns = {}
    for name, values in predictors.items():
        x = np.asarray(values, dtype=float)
        if x.shape != y.shape or not np.all((x > 0) & np.isfinite(x)):
            raise TheoryError(
                f"{name} has shape {x.shape}; it is one positive number for each of the {len(y)} rows of metric"
            )
        logs = np.log(x)
        scale = np.std(logs) or 1.0  # a predictor that never changes explains nothing
        columns[name] = ((logs - logs.mean()) / scale)[:, None] ** np.arange(1, degree + 1)
    if np.ptp(y) == 0:
        raise TheoryError(f"metric is {y[0]:g} in every row; there is nothing to explain")
    alone = {name: _r2(y, [x]) for name, x in columns.items()}
    rows = []
    for name in columns:
        rank = float(np.asarray(spearmanr(columns[name][:, 0], y))[0]) if np.ptp(columns[name][:, 0]) > 0 else math.nan
        rows.append(
            {
                "first": name,
                "then": "",
                "R2": alone[name],
                "gain": alone[name],
                "partial_R2": alone[name],
                "spearman": rank,
            }
        )
    for first, then in itertools.permutations(columns, 2):
        both = _r2(y, [columns[first], columns[then]])
        gain = both - alone[first]
        left = 1 - alone[first]
        share = gain / left if left > 1e-12 else math.nan
        rows.append({"first": first, "then": then, "R2": both, "gain": gain, "partial_R2": share, "spearman": math.nan})
    return pd.DataFrame(rows)


def contrastive_score(log_p_a: Any, log_p_b: Any) -> np.ndarray:
    """Return by how many nats per token model a likes each text better than model b does.

    score = mean over tokens of ln p_a - ln p_b

    Args:
        log_p_a, log_p_b: log probability of each token, nats [..., tokens]; NaN beyond the end of a text in both.

    Returns:
        scores [...]; negative where b likes it better.

    Raises:
        TheoryError: shapes that differ, or texts without a token.

    Source: Xia et al. 2022 (arXiv 2212.09803), section 4: texts that the difference of two sizes prefers.

    >>> contrastive_score([[-1.0, -2.0], [-3.0, np.nan]], [[-2.0, -2.0], [-1.0, np.nan]]).tolist()
    [0.5, -2.0]
    """
    a, b = np.asarray(log_p_a, dtype=float), np.asarray(log_p_b, dtype=float)
    if a.shape != b.shape or not a.ndim or not np.array_equal(np.isnan(a), np.isnan(b)):
        raise TheoryError(
            f"log_p_a has shape {a.shape}, log_p_b {b.shape}; both hold the same tokens of the same texts"
        )
    known = ~np.isnan(a)
    if not known.any(-1).all():
        raise TheoryError("a text has no token; leave it out")
    return np.where(known, a - b, 0.0).sum(-1) / known.sum(-1)


def _r2(y: np.ndarray, parts: list[np.ndarray]) -> float:
    design = np.hstack([np.ones((len(y), 1)), *parts])
    left = y - design @ np.linalg.lstsq(design, y, rcond=None)[0]
    return float(1 - left @ left / np.sum((y - y.mean()) ** 2))


def _trajectories(
    name: str, table: Any, along: Any, axis: str = "steps", order: str = "rising"
) -> tuple[np.ndarray, np.ndarray]:
    values, at = np.asarray(table, dtype=float), np.asarray(along, dtype=float)
    if values.ndim != 2 or at.ndim != 1 or values.shape[1] != len(at) or len(at) < 2:
        raise TheoryError(
            f"{name} has shape {values.shape}, {axis} {at.shape}; it is a row for each token, a column for each checkpoint"
        )
    if not np.all(np.isfinite(values)):
        raise TheoryError(
            f"{name} has {int((~np.isfinite(values)).sum())} values that are not finite; drop those tokens"
        )
    steps = np.diff(at)
    if not (np.all(at > 0) and (np.all(steps > 0) or (order != "rising" and np.all(steps < 0)))):
        raise TheoryError(f"{axis} must be positive and {order}; sort the checkpoints and drop those out of order")
    return values, at


def _at(table: np.ndarray, at: np.ndarray, value: float, name: str) -> np.ndarray:
    """Losses of all tokens where the progress has that value."""
    low, high = min(at), max(at)
    if not low <= value <= high:
        raise TheoryError(
            f"between holds {value:g}, but run {name} goes from {at[0]:g} to {at[-1]:g}; take a stretch within both"
        )
    x = np.log(at) if at[0] < at[-1] else -np.log(at)
    place = math.log(value) if at[0] < at[-1] else -math.log(value)
    k = int(np.clip(np.searchsorted(x, place, side="right") - 1, 0, len(x) - 2))
    share = (place - x[k]) / (x[k + 1] - x[k])
    return (1 - share) * table[:, k] + share * table[:, k + 1]
