"""What the errors of the arms of the design study say: sizes, wins, paired differences with errors that know of clusters."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["ARMS", "CLOSE", "cluster_error", "share_of", "summary"]

ARMS = ("designed", "random", "filled", "largest")
CLOSE = 1.1
TINY = 1e-4  # of ln loss or ln N: below that an error is nothing
RESAMPLES = 2000


def cluster_error(values: np.ndarray, clusters: np.ndarray) -> float:
    """Return the standard error of a mean [n] where values of one cluster are not independent.

    sqrt(C/(C-1) sum_c (sum_{i in c} (x_i - mean))^2)/n (Liang and Zeger 1986, Biometrika 73); nan with one cluster.

    >>> x = np.array([1.0, 2.0, 3.0, 4.0])
    >>> round(cluster_error(x, np.arange(4)) - float(x.std(ddof=1)) / 2, 12)
    0.0
    >>> round(cluster_error(x, np.array([0, 0, 1, 1])), 6)
    1.0
    """
    count = int(clusters.max()) + 1
    if count < 2:
        return float("nan")
    sums = np.bincount(clusters, weights=values - values.mean(), minlength=count)
    return float(np.sqrt(count / (count - 1) * np.sum(sums**2)) / len(values))


def share_of(errors: np.ndarray, full: float, shares: tuple[float, ...]) -> float:
    """The smallest share at which the error is close to that of the full table; 1 where none is."""
    good = np.flatnonzero(errors <= CLOSE * full)
    return float(shares[good[0]]) if len(good) else 1.0


def summary(results: list[dict[str, Any]], shares: tuple[float, ...]) -> dict[str, Any]:
    """Return what became of some experiments.

    Args:
        results: one for each experiment: `full` a number, each arm [orders, shares] of absolute errors, `runs`, `cluster`.
        shares: of the compute.
    """
    clusters = np.unique([r["cluster"] for r in results], return_inverse=True)[1]
    full = np.array([r["full"] for r in results])
    errors = {arm: np.array([r[arm] for r in results]) for arm in ARMS}  # [experiments, orders, shares]
    drawn = _resampled(clusters)
    found: dict[str, Any] = {
        "experiments": len(results),
        "clusters": int(clusters.max()) + 1,
        "runs_designed": [float(np.median([r["runs"][s] for r in results])) for s in range(len(shares))],
        "full": {"rms": _rms(full), "median": float(np.median(full))},
        "arms": {arm: _arm(values, full, shares, drawn) for arm, values in errors.items()},
    }
    for arm in ARMS[1:]:
        found["arms"][arm]["against"] = _against(errors["designed"][:, 0], errors[arm], clusters)
    return found


def _arm(errors: np.ndarray, full: np.ndarray, shares: tuple[float, ...], drawn: np.ndarray) -> dict[str, Any]:
    """One arm by itself, and beside the full table."""
    needed = np.array([[share_of(e, f, shares) for e in orders] for orders, f in zip(errors, full, strict=True)])
    square, best = np.mean(errors**2, axis=1), full**2  # [experiments, shares], [experiments]
    over = np.sqrt((drawn @ square) / (drawn @ best)[:, None])  # of the root mean squares, resampled
    whole = np.concatenate([over, np.ones((len(over), 1))], axis=1) <= CLOSE
    reached = np.array([*shares, 1.0])[np.argmax(whole, axis=1)]
    ratios = np.sqrt(np.mean(square, axis=0) / np.mean(best))
    enough = np.flatnonzero(ratios <= CLOSE)
    return {
        "rms": [_rms(errors[:, :, s]) for s in range(len(shares))],
        "median": [float(np.median(errors[:, :, s])) for s in range(len(shares))],
        "over_full": [float(r) for r in ratios],
        "over_full_interval": [[float(q) for q in np.quantile(over[:, s], [0.05, 0.95])] for s in range(len(shares))],
        "share": float(shares[enough[0]]) if len(enough) else 1.0,
        "share_resampled": {f"{s:g}": float(np.mean(reached == s)) for s in (*shares, 1.0)},
        "share_single": {f"{s:g}": float(np.mean(needed == s)) for s in (*shares, 1.0)},
    }


def _against(mine: np.ndarray, other: np.ndarray, clusters: np.ndarray) -> dict[str, Any]:
    """The designed arm [experiments, shares] against another [experiments, orders, shares], pair by pair."""
    won = np.mean((mine[:, None] < other) + 0.5 * (mine[:, None] == other), axis=1)
    logs = np.log(np.hypot(mine, TINY)) - np.mean(np.log(np.hypot(other, TINY)), axis=1)
    square = mine**2 - np.mean(other**2, axis=1)
    size = np.mean(other**2, axis=(0, 1))
    each = lambda x: [[float(v.mean()), cluster_error(v, clusters)] for v in x.T]  # noqa: E731
    return {"won": each(won), "ln_ratio": each(logs), "square": each(square / size)}


def _resampled(clusters: np.ndarray) -> np.ndarray:
    """How often each experiment counts [resamples, experiments] when clusters are drawn with replacement."""
    count = int(clusters.max()) + 1
    rng = np.random.default_rng(1)
    times = rng.multinomial(count, np.full(count, 1 / count), size=RESAMPLES)
    return times[:, clusters].astype(float)


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(values))))
