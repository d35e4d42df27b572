"""How complex tokens are: entropies, rank-frequency exponents, what longer contexts tell, and how far correlations reach.

entropies        h_k = H(next | k tokens before), with the first correction for counts that are few
rank_law         frequency ~ rank^-z, and how badly that holds
correlations     |C(n)|_F of the covariance of tokens n apart, without the bias of finite samples
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import entr

from scalinglens.errors import WorldError
from scalinglens.worlds.grams import gram_counts
from scalinglens.worlds.world import Description

__all__ = ["Correlations", "Entropies", "RankLaw", "correlations", "entropies", "measured", "rank_law"]

_FEWEST = 10  # counts per n-gram, on average, from which an entropy is believed
_RESOLVED = 4.0  # standard deviations of the noise
_ROW = 1024  # tokens of the stretches into which one long sequence is cut


@dataclass(frozen=True, eq=False)
class Entropies:
    """Conditional entropies.

    Attributes:
        values: h_0, h_1, ... [nats/token]. grams: distinct runs of k+1 tokens. tokens: counted.
        resolved: whether each run was seen ten times on average; where not, the value is too low.
    """

    values: np.ndarray
    grams: np.ndarray
    tokens: int
    resolved: np.ndarray


def entropies(tokens: np.ndarray, vocab: int, *, contexts: int = 4) -> Entropies:
    """Return the entropy of the next token given 0 .. contexts tokens before it.

    h_k = H_(k+1) - H_k,   H_k = -sum c/N log c/N + (K - 1)/(2N)   over the K distinct runs of k tokens

    Args:
        tokens: [n] or [sequences, T]. vocab: V. contexts: the longest one; it is shortened where V^(k+1) exceeds 2^63.

    Source: Miller 1955, Note on the bias of information estimates.

    >>> bits = np.random.default_rng(0).integers(2, size=100_000)
    >>> np.round(entropies(bits, 2, contexts=2).values / np.log(2), 3).tolist()
    [1.0, 1.0, 1.0]
    """
    array = _checked(tokens, vocab)
    blocks, grams, total = [0.0], [], 0
    for order in range(1, contexts + 2):
        if vocab**order >= 2**63 or array.shape[1] < order:
            break
        counts = gram_counts(array, vocab, order)[1]
        total = int(counts.sum())
        blocks.append(float(entr(counts / total).sum()) + (len(counts) - 1) / (2 * total))
        grams.append(len(counts))
    many = np.array(grams)
    return Entropies(np.diff(blocks), many, int(array.size), many * _FEWEST <= total)


@dataclass(frozen=True)
class RankLaw:
    """Frequencies that fall with rank as rank^-exponent over a range of ranks.

    Attributes:
        exponent: z. low, high: ranks of the fit. misfit: root mean square of ln frequency about the line; a power law has little.
    """

    exponent: float
    low: int
    high: int
    misfit: float


def rank_law(frequencies: Any, *, low: int = 1, high: int | None = None) -> RankLaw | None:
    """Return the slope of ln frequency on ln rank, at equal steps of ln rank; None where fewer than three ranks are left.

    Args:
        frequencies: of things, in any order and on any scale; zeros are dropped. low, high: ranks, 1 the most frequent.

    >>> round(rank_law(np.arange(1, 1001) ** -1.3).exponent, 6)
    1.3
    """
    sizes = np.sort(np.asarray(frequencies, dtype=float).ravel())[::-1]
    sizes = sizes[sizes > 0]
    top = min(high or len(sizes), len(sizes))
    if top - low < 2:
        return None
    ranks = np.unique(np.round(np.geomspace(low, top, 60)).astype(int))
    x, y = np.log(ranks), np.log(sizes[ranks - 1])
    slope, start = np.polyfit(x, y, 1)
    return RankLaw(float(-slope), low, top, float(np.sqrt(np.mean((y - start - slope * x) ** 2))))


@dataclass(frozen=True, eq=False)
class Correlations:
    """How tokens n apart go together.

    Attributes:
        lags: n. norms: |C(n)|_F, NaN where the noise hides it. noise: what |C| the noise alone would show.
        exponent: of n^-beta through the resolved norms, NaN where fewer than three are.
    """

    lags: np.ndarray
    norms: np.ndarray
    noise: np.ndarray
    exponent: float


def correlations(tokens: np.ndarray, vocab: int, *, lags: Sequence[int] | None = None) -> Correlations:
    """Return the norm of the covariance of tokens n apart, C(n)_uv = P(x_t = u, x_(t+n) = v) - P(u) P(v).

    |C|^2 is the product of two estimates from alternating stretches of the tokens, so that their noise does not add to it.

    Args:
        tokens: [n], cut into stretches of 1,024, or [sequences, T]. vocab: V. lags: by default 1 to half a stretch.

    Source: Cagnetta et al. 2026 (arXiv 2602.07488): the decay of |C(n)| tells how much context a given number of tokens resolves.

    >>> flips = np.random.default_rng(0).random(400_000) < 0.2
    >>> found = correlations(np.cumsum(flips) % 2, 2, lags=[1, 2, 3])
    >>> np.round(found.norms[1:] / found.norms[:-1], 1).tolist()    # 1 - 2 * 0.2
    [0.6, 0.6]
    """
    array = _checked(tokens, vocab)
    if len(array) == 1:
        width = min(_ROW, array.shape[1] // 2)
        array = array[0, : array.shape[1] // width * width].reshape(-1, width) if width else array
    if len(array) < 2 or array.shape[1] < 2:
        raise WorldError(f"{array.size} tokens are too few for correlations; take at least two stretches")
    longest = array.shape[1] - 1
    spaced = np.unique(np.round(np.geomspace(1, max(array.shape[1] // 2, 1), 16)).astype(int))
    distances: list[int] = spaced.tolist() if lags is None else list(lags)
    wrong = [n for n in distances if not 1 <= n <= longest]
    if wrong:
        raise WorldError(f"lag {wrong[0]} is not between 1 and {longest}, the length of a stretch less one")
    norms, noise = np.full(len(distances), np.nan), np.empty(len(distances))
    for at, n in enumerate(distances):
        square, deviation = _product([_pairs(half, vocab, n) for half in (array[::2], array[1::2])], vocab)
        noise[at] = math.sqrt(deviation)
        if square > _RESOLVED * deviation:
            norms[at] = math.sqrt(square)
    known = np.isfinite(norms)
    far = np.asarray(distances, dtype=float)
    slope = -float(np.polyfit(np.log(far[known]), np.log(norms[known]), 1)[0]) if known.sum() > 2 else math.nan
    return Correlations(np.asarray(distances), norms, noise, slope)


def measured(tokens: np.ndarray, vocab: int, *, contexts: int = 4) -> Description:
    """Return all of these measures of a sample of tokens."""
    array = _checked(tokens, vocab)
    known = entropies(array, vocab, contexts=contexts)
    values: dict[str, Any] = {
        "measured_on": int(array.size),
        "unigram_entropy": float(known.values[0]),
        "bigram_entropy": float(known.values[1]) if len(known.values) > 1 else None,
        "conditional_entropies": known.values[known.resolved],
    }
    for order, name in ((1, "unigram_exponent"), (2, "bigram_exponent")):
        counts = gram_counts(array, vocab, order)[1]
        law = rank_law(counts[counts >= _FEWEST])
        values[name] = None if law is None else law.exponent
    if array.size >= 4 * max(vocab, 64) and array.shape[1] > 1:
        found = correlations(array, vocab)
        seen = np.isfinite(found.norms)
        values |= {"lags": found.lags[seen], "correlations": found.norms[seen], "correlation_exponent": found.exponent}
    says = {
        "measured_on": "tokens",
        "unigram_entropy": "nats/token",
        "bigram_entropy": "nats/token, given the token before",
        "conditional_entropies": "nats/token given 0, 1, ... tokens, as far as the sample resolves them",
        "unigram_exponent": "frequency ~ rank^-this, over tokens seen ten times",
        "bigram_exponent": "the same of pairs",
        "lags": "distances n at which correlations stand out of the noise",
        "correlations": "|C(n)| at those distances",
        "correlation_exponent": "|C(n)| ~ n^-this",
    }
    return Description("", values, says)


def _checked(tokens: np.ndarray, vocab: int) -> np.ndarray:
    array = np.atleast_2d(tokens)
    if array.ndim != 2 or not array.size or not np.issubdtype(array.dtype, np.integer):
        raise WorldError(
            f"tokens of {array.dtype} and shape {np.shape(tokens)} are not whole numbers [n] or [sequences, T]"
        )
    if array.min() < 0 or array.max() >= vocab:
        raise WorldError(f"tokens {array.min()} to {array.max()} are not all in 0 to {vocab - 1}")
    return array


def _pairs(rows: np.ndarray, vocab: int, lag: int) -> tuple[np.ndarray, np.ndarray]:
    """Codes u V + v of the pairs at a distance, and how often each occurs."""
    pairs = np.stack((rows[:, :-lag].ravel(), rows[:, lag:].ravel()), axis=1)
    codes, counts = gram_counts(pairs, vocab, 2)
    return codes, counts.astype(float)


def _product(halves: list[tuple[np.ndarray, np.ndarray]], base: int) -> tuple[float, float]:
    """<C1, C2> of two halves of the pairs, and its standard deviation where there is no correlation."""
    (codes, counts), (other, weights) = halves
    N1, N2 = counts.sum(), weights.sum()
    P1, P2 = counts / N1, weights / N2
    p1, q1 = np.bincount(codes // base, P1, base), np.bincount(codes % base, P1, base)
    p2, q2 = np.bincount(other // base, P2, base), np.bincount(other % base, P2, base)
    _, at, there = np.intersect1d(codes, other, assume_unique=True, return_indices=True)
    square = (
        P1[at] @ P2[there]
        - P1 @ (p2[codes // base] * q2[codes % base])
        - P2 @ (p1[other // base] * q1[other % base])
        + (p1 @ p2) * (q1 @ q2)
    )
    return float(square), math.sqrt((p1 @ p2) * (q1 @ q2) / (N1 * N2))
