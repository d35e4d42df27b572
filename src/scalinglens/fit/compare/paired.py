"""Whether one law forecasts better than another, or the runs cannot tell: a paired test that flips signs by cluster.

Both laws forecast the same runs; d is the difference of their errors in each run. Runs of one cluster (checkpoints of a run,
runs of one model size) err together, so only clusters count. Were the laws equally good, the sum of d over any cluster could
as well have the other sign:

    p = share of sign patterns s with abs(sum_c s_c D_c) >= abs(sum_c D_c),  D_c = sum of d over cluster c

The interval of the mean difference holds the values that the same test does not reject. It has closed ends: pattern s does
not contradict any value between the mean of d over the clusters it flips and the mean over the others (Hartigan 1969).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

__all__ = ["FEWEST", "Paired", "all_pairs", "paired_test"]

FEWEST = 5  # clusters below which nothing is tested: 2^-4 is the smallest p they could give
EXACT = 14  # clusters up to which every pattern is looked at
PATTERNS = 9_999  # random ones beyond that, and the one observed


@dataclass(frozen=True)
class Paired:
    """The outcome of a paired test of two forecasters.

    Attributes:
        law, against: their names.
        difference: mean error of `law` less that of `against`, over the runs both forecast.
        low, high: its interval, None where nothing is tested; infinite where so few clusters exclude nothing.
        p: of no difference, None where nothing is tested.
        adjusted: p corrected for the number of pairs that were compared (Holm).
        runs, clusters: what the test rests on.
        verdict: "worse", "better", "not distinguishable" or "not tested": said of `law`.
        why: why nothing was tested, or an empty string.
    """

    law: str
    against: str
    difference: float
    low: float | None
    high: float | None
    p: float | None
    adjusted: float | None
    runs: int
    clusters: int
    verdict: str
    why: str = ""


def paired_test(
    difference: np.ndarray,
    clusters: np.ndarray,
    *,
    level: float = 0.9,
    seed: int = 0,
    names: tuple[str, str] = ("", ""),
) -> Paired:
    """Test whether a mean difference of errors is zero.

    Args:
        difference: error of the one less error of the other, run by run [n].
        clusters: label of each run's cluster [n].
        level: probability of the interval; 1 - level is the size of the test.
        seed: of the random patterns, where there are too many to look at each.
        names: of the two.

    Returns:
        The outcome; "not tested" with fewer than five clusters, or where an error is infinite.

    Cost: 10,000 sums over the clusters at most.

    Source: Hartigan 1969, Using subsample values as typical values, J. Amer. Statist. Assoc. 64.

    >>> paired_test(np.array([1.0, 1.2, 0.8, 1.1, 0.9, 1.0, 0.9, 1.3]), np.arange(8)).verdict
    'worse'
    """
    ends = _ends(difference, clusters, seed)
    return _at(ends, names, level)


def all_pairs(
    sizes: Mapping[str, np.ndarray],
    clusters: np.ndarray,
    pairs: Sequence[tuple[str, str]],
    *,
    level: float = 0.9,
    seed: int = 0,
) -> tuple[Paired, ...]:
    """Test several pairs of forecasters, so that the chance of any false difference stays 1 - level.

    Args:
        sizes: name -> error of each run [n], NaN where it forecast none.
        clusters: label of each run's cluster [n].
        pairs: names to compare.
        level, seed: as in `paired_test`.

    Returns:
        One outcome per pair, in order, with Holm's adjusted p and an interval at the level that Holm's procedure tests at.

    Source: Holm 1979, Scand. J. Statist. 6.
    """
    ends = []
    for law, against in pairs:
        d = sizes[law] - sizes[against]
        both = ~np.isnan(sizes[law]) & ~np.isnan(sizes[against])
        ends.append(_ends(d[both], clusters[both], seed))
    tested = sorted((i for i, end in enumerate(ends) if not end.why), key=lambda i: ends[i].p)
    outcomes = [_at(end, pair, level) for end, pair in zip(ends, pairs, strict=True)]
    adjusted, holds = 0.0, True
    for rank, i in enumerate(tested):
        left = len(tested) - rank
        adjusted = max(adjusted, min(1.0, left * ends[i].p))
        found = _at(ends[i], pairs[i], 1.0 - (1.0 - level) / left)
        holds = holds and found.verdict in ("worse", "better")  # Holm stops at the first pair that is not distinguished
        outcomes[i] = replace(found, adjusted=adjusted, verdict=found.verdict if holds else "not distinguishable")
    return tuple(outcomes)


@dataclass(frozen=True)
class _Ends:
    """What the sign patterns say: for each the interval of values it does not contradict."""

    difference: float
    runs: int
    clusters: int
    why: str = ""
    p: float = 1.0
    low: np.ndarray | None = None  # ascending
    high: np.ndarray | None = None  # descending


def _ends(d: np.ndarray, clusters: np.ndarray, seed: int) -> _Ends:
    labels, place = np.unique(np.asarray(clusters), return_inverse=True)
    count = len(labels)
    mean = float(np.mean(d)) if len(d) else float("nan")
    if not np.all(np.isfinite(d)):
        return _Ends(mean, len(d), count, "a forecast is infinitely wrong")
    if count < FEWEST:
        return _Ends(
            mean,
            len(d),
            count,
            f"{count} independent cluster{'s' if count != 1 else ''} of runs, and {FEWEST} are the least",
        )
    sums, sizes = np.bincount(place, d, count), np.bincount(place, minlength=count).astype(float)
    flips = _patterns(count, seed)
    flipped, sizes_flipped = flips @ sums, flips @ sizes  # over the clusters that a pattern turns round
    kept, sizes_kept = sums.sum() - flipped, sizes.sum() - sizes_flipped
    with np.errstate(invalid="ignore", divide="ignore"):
        one, other = flipped / sizes_flipped, kept / sizes_kept
    trivial = sizes_flipped == 0  # the pattern observed contradicts nothing
    low = np.where(trivial, -np.inf, np.minimum(one, other))
    high = np.where(trivial, np.inf, np.maximum(one, other))
    # a sum that is zero but for rounding has no sign
    dust = 1e-12 * float(np.sum(np.abs(sums))) / float(sizes.sum())
    p = float(np.mean((low <= dust) & (high >= -dust)))
    return _Ends(mean, len(d), count, "", p, np.sort(low), np.sort(high)[::-1])


def _patterns(count: int, seed: int) -> np.ndarray:
    """Patterns of flips [patterns, clusters] as 0 and 1; a pattern and its opposite say the same, and one of them is here."""
    if count <= EXACT:
        return (np.arange(2 ** (count - 1))[:, None] >> np.arange(count) & 1).astype(float)
    rng = np.random.default_rng([seed, 7])
    drawn = rng.integers(0, 2, (PATTERNS + 1, count), dtype=np.int8)
    drawn[0] = 0
    whole = drawn.all(axis=1)
    drawn[whole] = 0
    return drawn.astype(np.float32 if count > 1000 else float)


def _at(ends: _Ends, names: tuple[str, str], level: float) -> Paired:
    if ends.why or ends.low is None or ends.high is None:
        return Paired(*names, ends.difference, None, None, None, None, ends.runs, ends.clusters, "not tested", ends.why)
    k = int((1.0 - level) * len(ends.low) * (1 + 1e-12))
    low, high = float(ends.low[k]), float(ends.high[k])
    dust = 1e-12 * max(abs(ends.difference), 1e-300)
    verdict = "worse" if low > dust else "better" if high < -dust else "not distinguishable"
    return Paired(*names, ends.difference, low, high, ends.p, ends.p, ends.runs, ends.clusters, verdict)
