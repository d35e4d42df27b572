"""Tasks of vectors and sentences of the hierarchy: floors and continuations by other ways, numbered samples, bad input."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scalinglens.errors import WorldError
from scalinglens.worlds.catalogue import WORLDS, build, completed
from scalinglens.worlds.digits import digits
from scalinglens.worlds.hierarchy_worlds import hierarchy, hierarchy_classes
from scalinglens.worlds.parity import parity
from scalinglens.worlds.regression import regression
from scalinglens.worlds.teacher import teacher
from scalinglens.worlds.walks import kernel
from scalinglens.worlds.world import Task, World

TASKS = [
    parity(tasks=7, bits=9, subset=2),
    hierarchy_classes(vocab=6, synonyms=2, levels=2),
    regression(features=4, modes=12, noise=0.1),
    teacher(inputs=3, hidden=4, outputs=2),
    digits(),
]


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name.split()[0])
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_examples_are_numbered(task, data):
    first = data.draw(st.integers(0, 3000))
    cuts = [0, *sorted(data.draw(st.lists(st.integers(0, 2500), max_size=3))), 2500]
    whole = task.examples(2500, seed=4, first=first)
    parts = [task.examples(b - a, seed=4, first=first + a) for a, b in pairwise(cuts)]
    for at in (0, 1):
        np.testing.assert_array_equal(np.concatenate([part[at] for part in parts]), whole[at])


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name.split()[0])
def test_tasks_keep_the_protocol(task):
    assert isinstance(task, Task)
    assert not isinstance(task, World)
    x, y = task.examples(300, seed=1)
    assert x.dtype == np.float32
    assert x.shape == (300, task.inputs)
    if task.kind == "classification":
        assert y.shape == (300,)
        assert 0 <= y.min() <= y.max() < task.outputs
    else:
        assert y.shape == (300, task.outputs)
    others = [task.examples(300, seed=2)[0], task.examples(300, seed=1, held_out=True)[0]]
    assert not any(np.array_equal(x, other) for other in others)
    assert task.name in str(task.describe())
    assert task.describe().to_dict()["schema"] == 1


def test_tasks_of_parity_come_as_a_power_law_and_differ():
    world = parity(tasks=50, bits=20, subset=3, tail=0.5)
    assert len(np.unique(world.subsets, axis=0)) == 50
    x, y = world.examples(100_000)
    seen = x[:, :50].mean(0)
    np.testing.assert_allclose(seen, world.frequencies, atol=5 * np.sqrt(0.25 / 1e5))
    assert np.log(seen[0] / seen[9]) / np.log(10) == pytest.approx(1.5, abs=0.05)
    assert abs(y.mean() - 0.5) < 0.01
    every = parity(tasks=6, bits=4, subset=2)  # all the pairs there are
    assert len(np.unique(every.subsets, axis=0)) == 6


def test_the_floor_of_random_features_is_what_least_squares_leaves():
    world = regression(features=10, modes=40, noise=0.2, seed=3)
    x, y = world.examples(200_000)
    best = np.linalg.lstsq(x.astype(float), y.astype(float), rcond=None)[0]
    fresh_x, fresh_y = world.examples(200_000, held_out=True)
    left = np.mean((fresh_y - fresh_x @ best) ** 2)
    assert world.floor == pytest.approx(left, rel=0.02)
    assert np.mean(y.astype(float) ** 2) == pytest.approx(world.spectrum.signal + 0.04, rel=0.02)
    assert regression(features=40, modes=40, noise=0.2).floor == 0.2**2


def test_noise_is_the_floor_of_a_teacher():
    world = teacher(inputs=5, hidden=7, depth=3, noise=0.3, activation="relu")
    x, y = world.examples(50_000)
    assert np.mean((y - world.answer(x)) ** 2) == pytest.approx(0.09, rel=0.03)
    assert teacher(depth=1).answer(np.eye(16)).shape == (16, 1)


def test_digits_are_a_finite_set():
    world = digits(reserved=0.2)
    assert (len(world.train), len(world.kept_back)) == (1437, 360)
    assert not set(world.train) & set(world.kept_back)
    x, y = world.examples(1437, seed=5)
    np.testing.assert_array_equal(np.bincount(y), np.bincount(world.labels[world.train]))
    assert x.max() == 1


@pytest.mark.parametrize(("v", "m", "levels", "s", "classes"), [(4, 2, 2, 2, 3), (3, 2, 3, 2, 0), (3, 2, 1, 3, 5)])
def test_continuations_of_sentences_by_listing_all_of_them(v, m, levels, s, classes):
    world = hierarchy(vocab=v, synonyms=m, levels=levels, branching=s, classes=classes, seed=1)
    every = world.rules.all_inputs()[0]
    tokens = world.sample(20, length=2 * world.rules.length + 1, seed=2)
    known = world.next_token(tokens)
    size = world.rules.length
    for row, answers in zip(tokens, known, strict=True):
        for t in range(len(row)):
            before = (t + 1) % size
            alike = every[np.all(every[:, :before] == row[t + 1 - before : t + 1], axis=1)]
            np.testing.assert_allclose(answers[t], np.bincount(alike[:, before], minlength=v) / len(alike), atol=1e-6)
    # the chain rule: the entropies of a sentence's positions add up to that of a sentence
    inside = world.next_token(every)[:, : size - 1].astype(float)
    per_position = -np.sum(inside * np.log(np.maximum(inside, 1e-300)), axis=-1).mean(0).sum()
    begin = np.bincount(every[:, 0], minlength=v) / len(every)
    begin = -np.sum(begin * np.log(np.maximum(begin, 1e-300)))
    assert (per_position + begin) / size == pytest.approx(world.entropy_rate, rel=1e-5)


def test_sentences_are_numbered_and_of_the_world():
    world = hierarchy(vocab=8, synonyms=4, levels=3)
    whole = world.sample(3000, length=20, seed=1, first=1000)
    np.testing.assert_array_equal(world.sample(5, length=20, seed=1, first=2046), whole[1046:1051])
    np.testing.assert_array_equal(world.sample(3000, length=9, seed=1, first=1000), whole[:, :9])
    world.rules.classify(whole[:, 8:16])
    assert isinstance(world, World)


def test_every_world_is_made_by_keywords_with_plain_defaults():
    for kind in WORLDS:
        words = completed(kind, {"path": "x"} if kind in ("text", "ngram", "tokens") else {})
        assert all(type(value) in (int, float, bool, str) for value in words.values())
    made = build("parity", tasks="20", tail=1)
    assert (made.inputs, made.tail) == (70, 1.0)
    assert isinstance(kernel(nodes=8), World)


@pytest.mark.parametrize(
    ("kind", "words", "says"),
    [
        (
            "parity",
            {"tasks": 7, "bits": 4, "subset": 2},
            r"tasks = 7 is a whole number from 1 to 6 \(subsets of 2 of 4 bits\)",
        ),
        ("parity", {"subset": 60}, "subset = 60 is a whole number from 1 to 50"),
        ("parity", {"tail": 0.0}, "tail = 0.0 is a number above 0"),
        ("parity", {"tail": "much"}, "world.tail = 'much' must be a number"),
        ("parity", {"taks": 3}, r'did you mean "tasks"'),
        ("hierarchy", {"vocab": 4, "synonyms": 5}, "take fewer synonyms, at most 4"),
        ("hierarchy", {"levels": 0}, "levels is 0"),
        ("hierarchy-classes", {"classes": 300}, "take fewer synonyms"),
        ("hierarchy-classes", {"seed": -1}, "seed = -1"),
        ("regression", {"noise": -1.0}, "noise = -1.0 is a number from 0 on"),
        ("regression", {"source": 0.0}, "source is 0.0"),
        ("regression", {"modes": 10**6}, "modes = 1000000 is a whole number from 1 to 16384"),
        ("teacher", {"activation": "tan"}, r'no activation "tan" \(did you mean "tanh"\?\)'),
        ("teacher", {"depth": 0}, "depth = 0"),
        ("teacher", {"inputs": 2.5}, "world.inputs = 2.5 must be a whole number"),
        ("digits", {"reserved": 0.9999}, "leaves none of 1797 images"),
        ("digits", {"reserved": 0.0}, "reserved = 0.0 is a number between 0 and 1"),
        ("kernal", {}, r'did you mean "kernel"'),
    ],
)
def test_bad_input(kind, words, says):
    with pytest.raises(WorldError, match=says):
        build(kind, **words)


def test_bad_counts():
    for words in ({"seed": -1}, {"first": -2}):
        with pytest.raises(WorldError, match="is a whole number from 0 on"):
            TASKS[0].examples(3, **words)
    with pytest.raises(WorldError, match="count = -3"):
        TASKS[4].examples(-3)
