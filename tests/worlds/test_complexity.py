"""Measures of complexity against what is exact for walks, and for texts that have none."""

import numpy as np
import pytest

from scalinglens.errors import WorldError
from scalinglens.worlds.complexity import correlations, entropies, measured, rank_law
from scalinglens.worlds.walks import walk


def test_entropies_of_a_walk_are_its_exact_ones():
    world = walk(nodes=24, edges=60)
    found = entropies(world.sample(20_000, length=50), world.vocab, contexts=3)
    exact = [world.unigram_entropy, *[world.entropy_rate] * 3]  # the present node tells all that the past can
    np.testing.assert_allclose(found.values, exact, atol=0.004)
    assert found.resolved.all()


def test_the_correction_takes_most_of_the_bias_away():
    uniform = np.random.default_rng(0).integers(100, size=2000)
    counts = np.bincount(uniform, minlength=100) / 2000
    plain = -counts @ np.log(np.where(counts > 0, counts, 1))
    corrected = entropies(uniform, 100, contexts=0).values[0]
    assert np.log(100) - plain > 0.02  # (K - 1)/2N = .025
    assert abs(np.log(100) - corrected) < 0.006


def test_contexts_that_are_too_rare_are_not_believed():
    uniform = np.random.default_rng(0).integers(30, size=5000)
    found = entropies(uniform, 30, contexts=3)
    assert found.resolved.tolist() == [True, False, False, False]
    assert found.values[3] < 2  # the truth is ln 30 = 3.4: that is why
    assert len(measured(uniform, 30).values["conditional_entropies"]) == 1


def test_correlations_of_a_walk_are_those_of_its_transitions():
    world = walk(nodes=12, edges=20, seed=1)
    P, pi = world.transitions.toarray(), world.stationary
    found = correlations(world.sample(40_000, length=40, seed=2), world.vocab, lags=[1, 2, 4, 8])
    for lag, norm in zip(found.lags, found.norms, strict=True):
        exact = np.linalg.norm(np.diag(pi) @ np.linalg.matrix_power(P, int(lag)) - np.outer(pi, pi))
        assert norm == pytest.approx(exact, rel=0.05)


def test_tokens_without_memory_show_no_correlation():
    skewed = np.minimum(np.random.default_rng(1).geometric(0.2, size=300_000), 20) - 1
    found = correlations(skewed, 20)
    assert np.isnan(found.norms).sum() >= len(found.norms) - 1
    assert np.isnan(found.exponent)


def test_rank_laws():
    ba = rank_law(walk(graph="ba", nodes=8192, attach=6).stationary, low=10, high=2000)
    assert ba is not None
    assert ba.exponent == pytest.approx(0.5, abs=0.06)  # 1/(3 - 1), study-random-walks 1.1
    pairs = walk(graph="er", nodes=512, edges=4096, kappa=3.0, largest=1e6).graph.weights.data
    law = rank_law(pairs, low=10, high=4000)
    assert law is not None
    assert law.exponent == pytest.approx(1 / 2, abs=0.04)  # 1/(kappa - 1)
    assert law.misfit < 0.1
    assert rank_law([3, 2]) is None


@pytest.mark.parametrize(
    ("tokens", "says"),
    [
        (np.ones(9), "float64"),
        (np.array([], dtype=int), "are not whole numbers"),
        (np.array([0, 7]), "tokens 0 to 7 are not all in 0 to 4"),
    ],
)
def test_bad_input(tokens, says):
    with pytest.raises(WorldError, match=says):
        entropies(tokens, 5)
    with pytest.raises(WorldError, match="lag 4 is not between 1 and 3"):
        correlations(np.zeros((3, 4), dtype=int), 2, lags=[4])
