"""The statistics of the design study, on errors whose answer is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benchmarks.design import SPENT, drawn, filled
from benchmarks.design_summary import cluster_error, share_of, summary

SHARES = (0.05, 0.15)


def experiments(count: int, each: int, factor: float, seed: int = 0) -> list[dict[str, Any]]:
    """Designed errors are `factor` times those of random runs in law; all of a cluster share one error."""
    rng = np.random.default_rng(seed)
    found = []
    for cluster in range(count):
        error = np.abs(rng.normal(size=(4, len(SHARES))))
        one = {
            "cluster": f"{cluster}",
            "full": 0.5,
            "designed": (0.01 * factor * error[:1]).tolist(),
            "random": (0.01 * np.abs(rng.normal(size=(3, len(SHARES))))).tolist(),
            "filled": (0.01 * error[1:]).tolist(),
            "largest": (0.01 * error[:1]).tolist(),
            "runs": [3, 9],
        }
        found += [one] * each
    return found


def test_error_of_a_mean_against_repetition() -> None:
    """Twenty clusters of five that share most of their error: the spread of the mean over repetitions is what is reported."""
    rng = np.random.default_rng(1)
    clusters = np.repeat(np.arange(20), 5)
    drawn = rng.normal(size=(400, 20))[:, clusters] + 0.3 * rng.normal(size=(400, 100))
    told = np.mean([cluster_error(x, clusters) for x in drawn])
    assert told == pytest.approx(drawn.mean(axis=1).std(), rel=0.1)
    assert told > 1.8 * np.mean([cluster_error(x, np.arange(100)) for x in drawn])  # as if all were independent


def test_copies_of_an_experiment_say_nothing_new() -> None:
    once, often = (summary(experiments(30, each, 0.5), SHARES) for each in (1, 4))
    for name in ("won", "ln_ratio", "square"):
        np.testing.assert_allclose(
            once["arms"]["random"]["against"][name], often["arms"]["random"]["against"][name], rtol=1e-12
        )
    assert (once["experiments"], often["experiments"], often["clusters"]) == (30, 120, 30)


def test_half_the_error_is_found_and_no_difference_is_not() -> None:
    better, equal = (summary(experiments(200, 1, f), SHARES)["arms"]["random"]["against"] for f in (0.5, 1.0))
    mean, error = better["ln_ratio"][0]
    assert mean == pytest.approx(np.log(0.5), abs=3 * error)
    assert mean + 3 * error < 0
    assert better["won"][0][0] > 0.6
    assert abs(equal["ln_ratio"][0][0]) < 3 * equal["ln_ratio"][0][1]
    assert abs(equal["square"][0][0]) < 3 * equal["square"][0][1]


def test_ties_count_half() -> None:
    against = summary(experiments(10, 1, 1.0), SHARES)["arms"]["largest"]["against"]
    assert against["won"] == [[0.5, 0.0], [0.5, 0.0]]
    assert against["ln_ratio"][0] == [0.0, 0.0]


def test_share_that_is_enough() -> None:
    assert share_of(np.array([3.0, 1.05]), 1.0, SHARES) == 0.15
    assert share_of(np.array([3.0, 2.0]), 1.0, SHARES) == 1.0
    arm = summary(experiments(10, 1, 1.0), SHARES)["arms"]["designed"]
    assert arm["share"] == 0.05  # the full table errs by a half, and nothing by as much
    assert arm["share_resampled"] == {"0.05": 1.0, "0.15": 0.0, "1": 0.0}


def test_runs_are_taken_while_they_fit() -> None:
    price = np.array([5.0, 1.0, 3.0, 2.0])
    assert filled(price, np.array([0, 2, 1, 3]), 6.0) == [0, 1]
    assert filled(price, np.array([2, 0, 3, 1]), 6.0) == [2, 3, 1]


def test_a_random_choice_costs_what_the_others_cost() -> None:
    """And of runs of one price every pair is as likely as any other."""
    rng = np.random.default_rng(3)
    price = np.geomspace(1.0, 1e5, 60)
    for budget in (30.0, 3e4, price.sum()):
        rows = drawn(price, rng, budget)
        assert len(set(rows)) == len(rows)
        assert SPENT * budget <= price[rows].sum() <= budget
    equal = [frozenset(drawn(np.ones(4), rng, 2.0)) for _ in range(3000)]
    counts = [equal.count(pair) for pair in set(equal)]
    assert len(counts) == 6
    assert min(counts) > 400


def test_a_budget_that_no_choice_spends_is_spent_as_far_as_it_goes() -> None:
    rng = np.random.default_rng(4)
    assert drawn(np.array([6.0, 7.0, 50.0]), rng, 10.0) == [1]  # 7 of 10, the dearest that fits
    assert drawn(np.array([6.0, 7.0]), rng, 1.0) == []
