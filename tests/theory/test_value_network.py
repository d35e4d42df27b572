"""Value networks at the logits: transfer between softmax models of 8, 16 and 32 features, and when the penalty helps."""

import numpy as np
import pytest
from scipy.special import log_softmax, softmax

from scalinglens.errors import TheoryError
from scalinglens.theory.value_network import Base, ValueNetwork, apply_value, fit_value, transfer_report

VOCAB, FEATURES, SIZES = 20, 32, (8, 16, 32)


def world(seed, demonstrations):
    """Bases that see the first 8, 16 or 32 features, each also fine-tuned on a skill that sits in the first 8."""
    rng = np.random.default_rng(seed)
    language = rng.normal(size=(FEATURES, VOCAB)) * np.arange(1, FEATURES + 1)[:, None] ** -0.5
    skill = np.zeros((FEATURES, VOCAB))
    skill[:8] = rng.normal(size=(8, VOCAB))

    def draw(count, weights):
        x = rng.normal(size=(count, FEATURES))
        return x, (softmax(x @ weights, axis=1).cumsum(1) > rng.random((count, 1))).argmax(1)

    x, y = draw(3000, language)
    known, labels = draw(demonstrations, language + skill)
    new, new_labels = draw(3000, language + skill)
    bases, tests = {}, {}
    for size in SIZES:
        weights = fit_value(np.zeros((len(x), VOCAB)), x[:, :size], y, ridge=1e-4).weights
        bases[size] = known[:, :size] @ weights
        shift = fit_value(bases[size], known[:, :size], labels, ridge=1e-4).weights
        tests[str(size)] = Base(new[:, :size] @ weights, new[:, :size] @ (weights + shift))
    return bases, known, labels, tests, new, new_labels


def closed(one, source, seen, penalty):
    bases, known, labels, tests, new, new_labels = one
    value = fit_value(bases[source], known[:, :seen], labels, penalty=penalty, ridge=1e-4)
    return transfer_report(tests, value, new[:, :seen], new_labels)["gap_closed"].to_numpy()


@pytest.fixture(scope="module")
def rich():
    return [world(seed, 3000) for seed in range(2)]


def test_transfer_across_sizes(rich):
    """Recorded with other draws: 8 -> 8/16/32 1.000/0.986/0.838, 16 -> 8/16/32 0.938/1.000/0.918; at least 0.8 asked for."""
    for source in (8, 16):
        found = np.mean([closed(one, source, source, 0.0) for one in rich], axis=0)
        assert np.all(found > 0.8), (source, found)
        assert found[SIZES.index(source)] == pytest.approx(1.0, abs=1e-4)  # on its own base V is fine-tuning


def test_the_penalty_hurts_a_matched_value_network(rich):
    found = [np.mean([closed(one, 8, 8, penalty)[2] for one in rich]) for penalty in (0.0, 0.3, 1.0)]
    assert found[0] > found[1] > found[2]


def test_the_penalty_helps_where_v_sees_more_than_its_base():
    """Recorded: 0.511 without, 0.641 at 0.1, 0.577 at 0.3; a gain of 0.08 and a best value inside are asked for."""
    scarce = [world(seed, 700) for seed in range(2)]
    penalties = (0.0, 0.1, 0.3, 1.5)
    found = [np.mean([closed(one, 8, FEATURES, penalty)[2] for one in scarce]) for penalty in penalties]
    assert max(found) > found[0] + 0.08
    assert 0 < np.argmax(found) < len(penalties) - 1


def test_slope_of_the_objective_vanishes_at_the_optimum():
    rng = np.random.default_rng(0)
    base, phi, y = rng.normal(size=(50, 4)), rng.normal(size=(50, 3)), rng.integers(4, size=50)
    found = fit_value(base, phi, y, penalty=0.2, ridge=1e-3)

    def loss(weights):
        value = phi @ weights
        smooth = np.sqrt(value**2 + 1e-6) - 1e-3
        picked = log_softmax(base + value, axis=1)[np.arange(50), y]
        return -picked.mean() + 0.2 * smooth.mean() + 5e-4 * np.sum(weights**2)

    least = loss(found.weights)
    for _ in range(30):
        assert loss(found.weights + 0.01 * rng.normal(size=found.weights.shape)) > least
    assert found.gradient < 1e-4


def test_a_one_hot_map_moves_shared_tokens_exactly():
    rng = np.random.default_rng(1)
    value = ValueNetwork(rng.normal(size=(3, 5)), 0.0, 0.0, 0, 0.0)
    base, phi = rng.normal(size=(7, 6)), rng.normal(size=(7, 3))
    place = np.array([4, 0, 2, 5, 1])
    moved = np.zeros((5, 6))
    moved[np.arange(5), place] = 1
    found = apply_value(base, value, phi, vocab_map=moved)
    assert np.array_equal(found[:, place], apply_value(base[:, place], value, phi))
    assert np.array_equal(found[:, 3], base[:, 3])


def test_no_gap_is_no_number():
    value = ValueNetwork(np.zeros((1, 2)), 0.0, 0.0, 0, 0.0)
    same = Base(np.zeros((2, 2)), np.zeros((2, 2)))
    assert transfer_report({"same": same}, value, np.ones((2, 1)), [0, 1])["gap_closed"].isna().all()


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda: fit_value(np.zeros((2, 3)), np.ones((2, 1)), [0, 3]), "labels go from 0 to 3; the base has tokens 0 to 2"),
        (lambda: fit_value(np.zeros((2, 3)), np.ones((1, 1)), [0, 1]), "base_logits have 2 rows, features 1, labels 2"),
        (lambda: fit_value(np.zeros((2, 3)), np.ones((2, 1)), [0, 1], penalty=-1.0), "penalty is -1.0"),
        (lambda: fit_value(np.zeros((2, 3)), np.ones((2, 1)), [0.5, 1]), "list of whole numbers"),
        (lambda: apply_value(np.zeros((2, 3)), ValueNetwork(np.zeros((1, 2)), 0, 0, 0, 0), np.ones((2, 1))), "give a vocab_map"),
    ],
)  # fmt: skip
def test_bad_input(ask, message):
    with pytest.raises(TheoryError, match=message):
        ask()
