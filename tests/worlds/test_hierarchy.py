"""The random hierarchy model: counts of inputs, one class for each, and rules as they must be."""

import numpy as np
import pytest

from scalinglens.errors import WorldError
from scalinglens.worlds.hierarchy import random_hierarchy


def test_number_of_different_inputs():
    """24 = 3 * 2^3 for v = 3, m = 2, L = 2, 3 classes: counted among draws and among all."""
    world = random_hierarchy(vocab=3, synonyms=2, levels=2, classes=3, seed=0)
    drawn, _ = world.sample(3000, seed=1)
    listed, labels = world.all_inputs()
    assert len(np.unique(drawn, axis=0)) == len(np.unique(listed, axis=0)) == len(listed) == world.inputs == 24
    assert np.bincount(labels).tolist() == [8, 8, 8]


@pytest.mark.parametrize(("v", "m", "levels", "s", "classes"), [(4, 4, 3, 2, 4), (3, 2, 2, 3, 5), (8, 1, 2, 2, 2)])
def test_the_input_tells_its_class(v, m, levels, s, classes):
    world = random_hierarchy(vocab=v, synonyms=m, levels=levels, branching=s, classes=classes, seed=3)
    x, y = world.sample(500, seed=4)
    assert x.shape == (500, s**levels)
    assert np.array_equal(world.classify(x), y)
    for rules in world.rules:
        assert len(np.unique(rules.reshape(-1, s), axis=0)) == rules.shape[0] * m  # no tuple belongs to two symbols


def test_every_input_is_equally_likely():
    world = random_hierarchy(vocab=3, synonyms=2, levels=2, seed=0)
    drawn, _ = world.sample(24_000, seed=5)
    counts = np.unique(drawn, axis=0, return_counts=True)[1]
    assert np.sum((counts - 1000) ** 2 / 1000) < 50  # chi-squared of 23 degrees of freedom, beyond 0.999


def test_same_seed_same_world():
    one, two, other = (random_hierarchy(vocab=6, synonyms=3, levels=2, seed=k) for k in (7, 7, 8))
    assert all(np.array_equal(a, b) for a, b in zip(one.rules, two.rules, strict=True))
    assert not np.array_equal(one.rules[0], other.rules[0])
    assert np.array_equal(one.sample(9, seed=1)[0], two.sample(9, seed=1)[0])


def test_wide_vocabularies_need_no_list_of_tuples():
    world = random_hierarchy(vocab=5000, synonyms=3, levels=2, branching=3, seed=0)
    x, y = world.sample(50, seed=0)
    assert np.array_equal(world.classify(x), y)


def test_strangers_are_refused():
    world = random_hierarchy(vocab=4, synonyms=2, levels=2, seed=0)
    known = {tuple(pair) for pair in world.rules[1].reshape(-1, 2)}
    strange = next((a, b) for a in range(4) for b in range(4) if (a, b) not in known)
    x, _ = world.sample(2, seed=0)
    x[1, :2] = strange
    with pytest.raises(WorldError, match="input 1 holds a tuple that no rule of level 2 makes"):
        world.classify(x)
    with pytest.raises(WorldError, match=r"whole numbers \[count, 4\]"):
        world.classify(x[:, :3])
    with pytest.raises(WorldError, match="symbols 0 to 9"):
        world.classify(np.array([[0, 1, 9, 2]]))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"synonyms": 5}, "4 symbols with 5 tuples each need 20 tuples of 2, and 4 symbols make 16; .* at most 4"),
        ({"classes": 9}, "9 symbols with 2 tuples"),
        ({"levels": 0}, "levels is 0; it is a whole number of at least 1"),
        ({"branching": 1}, "branching is 1"),
        ({"vocab": 2.0}, "vocab is 2.0"),
    ],
)
def test_bad_input(given, message):
    with pytest.raises(WorldError, match=message):
        random_hierarchy(**({"vocab": 4, "synonyms": 2, "levels": 2} | given))


def test_too_many_inputs_to_list():
    with pytest.raises(WorldError, match="too many to list"):
        random_hierarchy(vocab=8, synonyms=8, levels=3, seed=0).all_inputs()
