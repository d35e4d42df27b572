"""Real training of random-feature regression: every row of the ladder is one model trained by gradient descent.

With f(x) = w . A psi(x) / sqrt(N) and test loss <(w* . psi - f)^2> + sigma^2, the loss is exactly quadratic in w,

    L(w) = sigma^2 + sum_k k^-a - 2 h.w + w.G w,   G = A Lambda A^T / N,   h = A Lambda w* / sqrt(N),

so a step of full-batch gradient descent on the population, w <- w + eta (h - G w), costs N^2 and needs no samples.
Each model learns several targets at once (columns of w, random signs of w*): its loss is their mean, which removes most
of the luck of a single target. What remains, the luck of the features A, is the scatter between seeds.
Source: arXiv 2402.01092 section 2, in the limit of unlimited data.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from scalinglens.errors import ScalingLensError
from scalinglens.theory.random_features.problem import RandomFeatures
from scalinglens.worlds.spectra import power_law

__all__ = ["HELD_OUT", "LENGTHS", "SIZES", "default_problem", "train", "train_ladder", "train_runs"]

SIZES = (24, 30, 38, 49, 62, 78, 99, 125, 159, 201, 254, 320)
"""Default model sizes: 12 from 24 to 320, equal ratios."""

LENGTHS = (8, 13, 22, 36, 60, 99, 165, 273, 451, 747, 1237, 2048)
"""Default training lengths: 12 from 8 to 2048 steps, equal ratios."""

HELD_OUT = ((320, 8192), (512, 2048), (512, 8192))
"""Larger (params, steps) than any run of the default ladder: the test of an extrapolation."""

LEARNING_RATE = 0.4  # stable for every width here: the largest eigenvalue of G is below 2, the limit is 2 / 0.4 = 5
TARGETS = 16
CACHE_BYTES = (
    2**20
)  # a batch of matrices G that stays in the second-level cache while it is multiplied thousands of times


def default_problem(modes: int = 3072) -> RandomFeatures:
    """Return the problem of the demo: a = 2.25, b = 2, label noise 0.2; widths beyond a quarter of the modes feel their number.

    >>> default_problem().width_exponent, default_problem().time_exponent
    (1.25, 0.625)
    """
    return RandomFeatures(power_law(2.25, 2.0, modes), noise=0.2)


def _start(problem: RandomFeatures) -> float:
    """The loss of weights zero."""
    return float(problem.noise) + problem.spectrum.signal


def train_ladder(
    problem: RandomFeatures | None = None,
    *,
    sizes: Sequence[int] = SIZES,
    lengths: Sequence[int] = LENGTHS,
    replicates: int = 2,
    seed: int = 0,
    learning_rate: float = LEARNING_RATE,
    targets: int = TARGETS,
    progress: Callable[[int, int], None] | None = None,
) -> pd.DataFrame:
    """Train one model for every size, length and replicate: 288 independent runs by default.

    Args:
        problem: the world to be learned, of single modes; by default `default_problem()`.
        sizes: model sizes N [params].
        lengths: training lengths [gradient steps].
        replicates: number of independent draws of features and targets for each (size, length).
        seed: everything random follows from it; same seed, same bits, with any number of threads.
        learning_rate: eta, the constant step size.
        targets: number of targets each model learns at once.
        progress: called as progress(runs done, runs in all) while training goes on.

    Returns:
        One row for each run: params, steps, loss [squared error], seed (replicate), run (its name).

    Raises:
        ScalingLensError: a size or length is not positive, or the learning rate makes the descent diverge.

    Cost: sum over runs of 2 targets params^2 steps + 2 modes params^2 operations; by default 6 s on one core.

    >>> frame = train_ladder(default_problem(64), sizes=(4, 8), lengths=(2, 4, 8), replicates=1)
    >>> list(frame.columns), len(frame)
    (['params', 'steps', 'loss', 'seed', 'run'], 6)
    """
    plan = [(size, length, copy) for size in sizes for length in lengths for copy in range(replicates)]
    return train_runs(problem, plan, seed=seed, learning_rate=learning_rate, targets=targets, progress=progress)


def train_runs(
    problem: RandomFeatures | None,
    plan: Iterable[tuple[int, int, int]],
    *,
    seed: int = 0,
    learning_rate: float = LEARNING_RATE,
    targets: int = TARGETS,
    progress: Callable[[int, int], None] | None = None,
) -> pd.DataFrame:
    """Train the runs of a plan of (params, steps, replicate) and return them as rows in the order of the plan.

    A run is determined by (problem, seed, params, steps, replicate) alone: it gives the same bits in any plan.
    Arguments, result and errors are those of `train_ladder`.

    >>> frame = train_runs(default_problem(64), [(8, 20, 0), (8, 5, 0)])
    >>> bool(frame.loss[0] < frame.loss[1])
    True
    """
    problem = default_problem() if problem is None else problem
    runs = list(plan)
    for params, steps, copy in runs:
        if params < 1 or steps < 0 or copy < 0:
            raise ScalingLensError(
                f"cannot train params={params}, steps={steps}, replicate={copy}: "
                "params must be at least 1, steps and replicate at least 0"
            )
    losses = np.empty(len(runs))
    done = 0
    # one BLAS thread: the matrices are too small to gain from more, and sums must not depend on the machine's cores
    with threadpool_limits(1, user_api="blas"):
        for batch in _batches(runs):
            losses[batch] = _train_batch(problem, [runs[i] for i in batch], seed, learning_rate, targets)
            done += len(batch)
            if progress is not None:
                progress(done, len(runs))
    diverged = ~(losses <= _start(problem))
    if diverged.any():
        params, steps, _ = runs[int(np.flatnonzero(diverged)[0])]
        raise ScalingLensError(
            f"{int(diverged.sum())} of {len(runs)} runs diverged (first: params={params}, steps={steps}) at "
            f"learning_rate={learning_rate:g}; choose it below 2 / largest eigenvalue of G, safely 0.4"
        )
    frame = pd.DataFrame(runs, columns=["params", "steps", "seed"])
    frame.insert(2, "loss", losses)
    frame["run"] = [f"n{params}-t{steps}-s{copy}" for params, steps, copy in runs]
    return frame


def train(
    problem: RandomFeatures | None = None,
    *,
    params: int,
    steps: int,
    replicate: int = 0,
    seed: int = 0,
    learning_rate: float = LEARNING_RATE,
    targets: int = TARGETS,
) -> float:
    """Train one model and return its test loss: the same number as its row in a ladder of the same seed.

    >>> problem = default_problem(64)
    >>> ladder = train_ladder(problem, sizes=(4, 8), lengths=(16,), replicates=1)
    >>> bool(train(problem, params=8, steps=16) == ladder.loss[1])
    True
    """
    plan = [(params, steps, replicate)]
    return float(train_runs(problem, plan, seed=seed, learning_rate=learning_rate, targets=targets).loss[0])


def features(
    problem: RandomFeatures, params: int, steps: int, replicate: int, *, seed: int, targets: int
) -> tuple[np.ndarray, np.ndarray]:
    """Draw the random features A [params, modes] and targets w* [modes, targets] that belong to one run.

    >>> A, w_star = features(default_problem(64), 8, 100, 0, seed=0, targets=3)
    >>> A.shape, w_star.shape
    ((8, 64), (64, 3))
    """
    rng = np.random.default_rng([seed, params, steps, replicate])
    known = problem.spectrum
    A = rng.standard_normal((params, len(known.eigenvalues)))
    signs = rng.integers(0, 2, (len(known.eigenvalues), targets)) * 2.0 - 1.0
    return A, np.sqrt(known.target_power / known.eigenvalues)[:, None] * signs


def _batches(runs: list[tuple[int, int, int]]) -> Iterator[list[int]]:
    """Indices of runs of one size, longest first, as many as share the cache; expensive batches come first."""
    order = sorted(range(len(runs)), key=lambda i: (-runs[i][0], -runs[i][1], runs[i][2]))
    for params, group in groupby(order, key=lambda i: runs[i][0]):
        members = list(group)
        count = max(1, CACHE_BYTES // (8 * params * params))
        for start in range(0, len(members), count):
            yield members[start : start + count]


def _train_batch(
    problem: RandomFeatures, runs: list[tuple[int, int, int]], seed: int, learning_rate: float, targets: int
) -> np.ndarray:
    """Losses [runs] of models of one size trained side by side; runs are sorted longest first."""
    params = runs[0][0]
    G = np.empty((len(runs), params, params))
    h = np.empty((len(runs), params, targets))
    spectrum = problem.spectrum.eigenvalues
    for i, (_, steps, copy) in enumerate(runs):
        A, w_star = features(problem, params, steps, copy, seed=seed, targets=targets)
        scaled = A * np.sqrt(spectrum / params)
        G[i] = scaled @ scaled.T
        h[i] = scaled @ (np.sqrt(spectrum)[:, None] * w_star)

    w = np.zeros_like(h)
    descent = np.empty_like(h)
    remaining = np.array([steps for _, steps, _ in runs])
    with np.errstate(over="ignore", invalid="ignore"):  # a divergence is reported by the caller, in words
        for step in range(int(remaining[0])):
            active = int(np.searchsorted(-remaining, -step))  # finished runs are at the end: a prefix is still learning
            np.matmul(G[:active], w[:active], out=descent[:active])
            np.subtract(h[:active], descent[:active], out=descent[:active])
            descent[:active] *= learning_rate
            w[:active] += descent[:active]
        # L(w) = L(0) - w.(2h - Gw), averaged over the targets
        gained = np.einsum("rnk,rnk->r", w, 2.0 * h - G @ w) / targets
    return _start(problem) - gained
