"""Sample complexity of the random hierarchy model: exact probabilities against a list of all inputs, and recorded thresholds."""

import math

import numpy as np
import pytest

from scalinglens.errors import TheoryError
from scalinglens.theory.hierarchy import class_given_tuple, hierarchy, hierarchy_samples
from scalinglens.worlds.hierarchy import Hierarchy, random_hierarchy


def threshold(m, levels, draws=4):
    worlds = [random_hierarchy(vocab=m, synonyms=m, levels=levels, seed=k) for k in range(draws)]
    return float(np.exp(np.mean([np.log(hierarchy_samples(world).counting) for world in worlds])))


@pytest.mark.parametrize(("v", "m", "levels", "s", "classes"), [(3, 2, 2, 2, 3), (3, 2, 3, 2, 4), (3, 2, 2, 3, 2)])
def test_probabilities_against_all_inputs(v, m, levels, s, classes):
    world = random_hierarchy(vocab=v, synonyms=m, levels=levels, branching=s, classes=classes, seed=1)
    given, often = class_given_tuple(world)
    inputs, labels = world.all_inputs()
    for place in range(world.length // s):
        seen = inputs[:, place * s : (place + 1) * s]
        for symbol in range(v):
            for pair in world.rules[-1][symbol]:
                here = (seen == pair).all(1)
                assert here.mean() == pytest.approx(often[place, symbol] / m, abs=1e-12)
                if here.any():
                    shares = np.bincount(labels[here], minlength=classes) / here.sum()
                    np.testing.assert_allclose(shares, given[place, symbol], atol=1e-12)


def test_one_level_needs_each_tuple_once():
    found = hierarchy_samples(random_hierarchy(vocab=5, synonyms=3, levels=1, seed=0))
    assert found.counting == pytest.approx(found.deep, rel=1e-12)
    assert found.deep == found.shallow == 15


@pytest.mark.parametrize("levels", [2, 3])
def test_threshold_is_of_the_order_of_the_deep_estimate(levels):
    """Recorded: 0.90 to 1.18 times n_c m^L at L = 2, 1.5 to 2.2 at L = 3; slopes 3.29 and 3.77 in m."""
    sizes = np.array([4, 6, 8, 10])
    found = np.array([threshold(m, levels) for m in sizes])
    ratio = found / sizes.astype(float) ** (levels + 1)
    assert np.all((ratio > 1 / 2.5) & (ratio < 2.5)), ratio
    slope = np.polyfit(np.log(sizes), np.log(found), 1)[0]
    assert slope == pytest.approx(levels + 1, abs=0.4)


def test_correlations_of_a_real_sample_appear_at_the_threshold():
    """Noise of the counted P(class | tuple) is as large as its signal at P_c."""
    world = random_hierarchy(vocab=8, synonyms=8, levels=2, seed=0)
    samples = round(hierarchy_samples(world).counting)
    given, _ = class_given_tuple(world)
    signal = np.mean((given - 1 / 8) ** 2)
    errors = []
    for seed in range(40):
        x, y = world.sample(samples, seed=seed)
        code = x[:, 0] * 8 + x[:, 1]
        counts = np.zeros((64, 8))
        np.add.at(counts, (code, y), 1)
        total = counts.sum(1, keepdims=True)
        place = np.array([np.argwhere((world.rules[1] == (c // 8, c % 8)).all(2))[0, 0] for c in range(64)])
        met = total[:, 0] > 0
        errors.append(np.mean((counts[met] / total[met] - given[0][place[met]]) ** 2))
    assert 0.6 < np.mean(errors) / signal < 2.0


def test_rules_that_tell_nothing():
    """Every class can become every symbol equally often at either place: no tuple tells the class."""
    top = np.array([[[0, 0], [1, 1]], [[0, 1], [1, 0]]])
    bottom = np.array([[[0, 0], [0, 1]], [[1, 0], [1, 1]]])
    assert hierarchy_samples(Hierarchy((top, bottom), 2)).counting == math.inf


def test_answer_by_levels():
    found = hierarchy(vocab=6, synonyms=4, levels=3)
    frame = found.to_frame()
    assert frame["deep"].tolist() == [24, 96, 384]
    assert frame["shallow"].tolist() == [24, 6 * 4**3, 6 * 4**7]
    assert "6 classes" in repr(found)
    with pytest.raises(TheoryError, match="at most 6"):
        hierarchy(vocab=6, synonyms=40)
    with pytest.raises(TheoryError, match="rules is 0"):
        hierarchy(vocab=6, synonyms=4, rules=0)
    with pytest.raises(TheoryError, match="levels is 99"):
        hierarchy(vocab=6, synonyms=4, levels=99)
