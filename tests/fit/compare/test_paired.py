"""The paired test keeps its size, its interval is what it inverts, and a correction covers the choice of the best law."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from scalinglens.fit.compare.paired import all_pairs, paired_test


def brute_p(d: np.ndarray, clusters: np.ndarray, shift: float = 0.0) -> float:
    """The definition: every pattern of signs, one by one."""
    labels = sorted(set(clusters.tolist()))
    sums = [float(np.sum(d[clusters == label] - shift)) for label in labels]
    seen = abs(sum(sums)) * (1 - 1e-12)
    hits = [abs(sum(s * v for s, v in zip(signs, sums, strict=True))) >= seen for signs in
            itertools.product((1, -1), repeat=len(sums))]  # fmt: skip
    return float(np.mean(hits))


@pytest.mark.parametrize("seed", range(12))
def test_p_and_interval_by_brute_force(seed: int) -> None:
    rng = np.random.default_rng(seed)
    clusters = np.concatenate([np.arange(8), rng.integers(0, 8, 15)])  # of unequal size
    d = rng.normal(0.3, 1.0, 23) + rng.normal(0, 1, 8)[clusters]
    found = paired_test(d, clusters, level=0.9)
    assert found.p == pytest.approx(brute_p(d, clusters), abs=1e-12)
    assert found.difference == pytest.approx(d.mean())
    assert (found.runs, found.clusters) == (23, 8)
    assert found.low is not None
    assert found.high is not None
    assert found.low < found.difference < found.high
    # the interval holds the shifts that the test does not reject, and no others
    for end, inwards in ((found.low, 1e-7), (found.high, -1e-7)):
        assert brute_p(d, clusters, end + inwards) > 0.1
        assert brute_p(d, clusters, end - inwards) <= 0.1
    excludes_zero = found.low > 0 or found.high < 0
    assert excludes_zero == (found.p <= 0.1)
    assert found.verdict == ("worse" if found.low > 0 else "better" if found.high < 0 else "not distinguishable")


def test_size_under_the_null() -> None:
    """Two equally good laws with errors that runs of one cluster share: at most 7% found different at a size of 5%."""
    rng = np.random.default_rng(11)
    wrong, cases = 0, 400
    for case in range(cases):
        count = int(rng.integers(6, 26))
        clusters = np.repeat(np.arange(count), rng.integers(1, 9, count))

        def law() -> np.ndarray:
            shared = rng.standard_normal(count)[clusters]  # noqa: B023
            return np.abs(0.01 * shared + 0.004 * rng.standard_normal(len(clusters)))  # noqa: B023

        wrong += paired_test(law() - law(), clusters, level=0.95, seed=case).verdict != "not distinguishable"
    assert wrong / cases <= 0.07
    assert wrong > 0  # a test that never rejects would pass as well


def test_rows_instead_of_clusters_would_find_too_much() -> None:
    rng = np.random.default_rng(12)
    wrong = 0
    for _ in range(40):
        clusters = np.repeat(np.arange(10), 10)
        d = rng.standard_normal(10)[clusters] + 0.1 * rng.standard_normal(100)
        wrong += paired_test(d, np.arange(100), level=0.95).verdict != "not distinguishable"
    assert wrong / 40 > 0.3  # which is why clusters count


def test_power() -> None:
    rng = np.random.default_rng(13)
    found = [paired_test(rng.normal(1.0, 1.0, 20), np.arange(20), level=0.95, seed=k).verdict for k in range(60)]
    assert found.count("worse") >= 54  # one standard deviation, twenty clusters: power .98 by the t-test


def test_choice_of_the_best_is_paid_for() -> None:
    """Six equally good laws: comparing the best of them with the others, uncorrected for the choice, errs too often."""
    rng = np.random.default_rng(14)
    false = {"all pairs": 0, "with the best only": 0}
    cases = 200
    for case in range(cases):
        sizes = {name: np.abs(rng.standard_normal(12)) for name in "abcdef"}
        best = min(sizes, key=lambda name: sizes[name].mean())
        others = [(name, best) for name in sizes if name != best]
        rest = list(itertools.combinations([name for name in sizes if name != best], 2))
        for which, pairs in (("all pairs", others + rest), ("with the best only", others)):
            found = all_pairs(sizes, np.arange(12), pairs, level=0.95, seed=case)
            false[which] += any(one.verdict in ("worse", "better") for one in found[: len(others)])
    assert false["all pairs"] / cases <= 0.07
    assert false["with the best only"] > false["all pairs"]


def test_holm_by_hand() -> None:
    """Adjusted p of three pairs: the smallest times three, the next times two, never falling."""
    rng = np.random.default_rng(15)
    base = np.zeros(12)
    sizes = {"best": base, "far": base + 1 + 0.1 * rng.random(12), "near": rng.normal(0.5, 1, 12), "same": base}
    pairs = [("near", "best"), ("far", "best"), ("same", "best")]
    found = {one.law: one for one in all_pairs(sizes, np.arange(12), pairs, level=0.9)}
    single = {law: paired_test(sizes[law] - base, np.arange(12)).p for law, _ in pairs}
    order = sorted(single, key=lambda law: single[law])
    expected, highest = {}, 0.0
    for left, law in zip((3, 2, 1), order, strict=True):
        highest = max(highest, min(1.0, left * single[law]))
        expected[law] = highest
    assert {law: one.adjusted for law, one in found.items()} == pytest.approx(expected)
    assert found["far"].verdict == "worse"
    assert found["same"].verdict == "not distinguishable"
    assert found["same"].difference == 0.0


def test_equal_forecasts_are_not_distinguishable() -> None:
    noise = np.random.default_rng(1).standard_normal(30)
    rounding = 1e-17 * noise
    for d in (np.zeros(30), rounding - rounding):
        found = paired_test(d, np.arange(30))
        assert (found.verdict, found.p) == ("not distinguishable", 1.0)


def test_too_few_clusters_are_not_tested() -> None:
    found = paired_test(np.ones(40), np.repeat(np.arange(4), 10))
    assert found.verdict == "not tested"
    assert found.why == "4 independent clusters of runs, and 5 are the least"
    assert (found.p, found.low, found.high, found.adjusted) == (None, None, None, None)
    assert found.difference == 1.0
    five = paired_test(np.ones(5), np.arange(5), level=0.9)
    assert five.p == 2.0**-4  # the least that five clusters can give, and enough at 10%
    assert five.verdict == "worse"
    assert paired_test(np.ones(5), np.arange(5), level=0.95).verdict == "not distinguishable"


def test_infinite_errors_and_rows_of_one_law_only() -> None:
    found = paired_test(np.array([np.inf, *np.ones(9)]), np.arange(10))
    assert (found.verdict, found.why) == ("not tested", "a forecast is infinitely wrong")
    sizes = {"a": np.arange(12.0) + 1, "b": np.where(np.arange(12) < 5, np.nan, 0.0)}
    (one,) = all_pairs(sizes, np.arange(12), [("a", "b")])
    assert (one.runs, one.clusters, one.difference) == (7, 7, 9.0)


def test_many_clusters_use_random_patterns_that_the_seed_fixes() -> None:
    d = np.random.default_rng(2).normal(0.1, 1, 60)
    one, same, other = (paired_test(d, np.arange(60), seed=seed) for seed in (4, 4, 5))
    assert one == same
    assert one.p != other.p
    assert one.p == pytest.approx(other.p, abs=0.02)
    sd = d.std(ddof=1) / np.sqrt(60)  # the normal approximation, good to a few percent here
    assert one.low == pytest.approx(d.mean() - 1.645 * sd, abs=0.1 * sd)
    assert one.high == pytest.approx(d.mean() + 1.645 * sd, abs=0.1 * sd)
