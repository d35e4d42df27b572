"""Training against its brute-force twins, against theory, and as data for a scaling law."""

import numpy as np
import pytest
from scipy.optimize import least_squares
from threadpoolctl import threadpool_limits

from scalinglens.errors import ScalingLensError
from scalinglens.theory.random_features import RandomFeatures
from scalinglens.theory.simulate import HELD_OUT, features, train, train_ladder, train_runs

SMALL = RandomFeatures(modes=200, capacity=1.25, source=1.5, noise=0.1)


def weights_error(problem, A, w_star, w):
    """Population loss from the definition, mode by mode."""
    v = w_star - A.T @ w / np.sqrt(len(A))
    return problem.noise + float(np.mean(problem.spectrum @ v**2))


def test_training_equals_gradient_descent_written_from_the_definition():
    A, w_star = features(SMALL, 12, 40, 0, seed=5, targets=3)
    w = np.zeros((12, 3))
    for _ in range(40):
        v = w_star - A.T @ w / np.sqrt(12)  # what is not learned yet
        w += 0.3 * A @ (SMALL.spectrum[:, None] * v) / np.sqrt(12)
    # the loss is a difference of numbers of order one: absolute rounding 1e-15, hundreds of operations
    loss = train(SMALL, params=12, steps=40, seed=5, targets=3, learning_rate=0.3)
    assert loss == pytest.approx(weights_error(SMALL, A, w_star, w), rel=1e-11)


@pytest.mark.parametrize("params", [5, 40, 150])
@pytest.mark.parametrize("steps", [0, 1, 30, 2000])
def test_training_equals_the_eigen_decomposition_of_the_linear_dynamics(params, steps):
    A, w_star = features(SMALL, params, steps, 1, seed=2, targets=4)
    G = (A * SMALL.spectrum) @ A.T / params
    h = A @ (SMALL.spectrum[:, None] * w_star) / np.sqrt(params)
    eigenvalues, Q = np.linalg.eigh(G)
    grown = (1 - (1 - 0.3 * eigenvalues) ** steps) / eigenvalues  # sum of the geometric series of steps
    w = Q @ (grown[:, None] * (Q.T @ h))
    loss = train(SMALL, params=params, steps=steps, replicate=1, seed=2, targets=4, learning_rate=0.3)
    assert loss == pytest.approx(weights_error(SMALL, A, w_star, w), rel=1e-10)


def test_the_population_loss_is_the_mean_over_fresh_noisy_samples():
    A, w_star = features(SMALL, 20, 50, 0, seed=1, targets=2)
    w = np.zeros((20, 2))
    for _ in range(50):
        w += 0.4 * A @ (SMALL.spectrum[:, None] * (w_star - A.T @ w / np.sqrt(20))) / np.sqrt(20)
    rng = np.random.default_rng(9)
    psi = rng.standard_normal((20_000, SMALL.modes)) * np.sqrt(SMALL.spectrum)
    labels = psi @ w_star + np.sqrt(SMALL.noise) * rng.standard_normal((20_000, 2))
    squares = ((labels - psi @ A.T @ w / np.sqrt(20)) ** 2).mean(1)
    loss = train(SMALL, params=20, steps=50, seed=1, targets=2)
    assert abs(squares.mean() - loss) < 4 * squares.std() / np.sqrt(len(squares))


def test_a_run_is_the_same_in_any_company_and_with_any_number_of_threads():
    plan = [(16, 9, 0), (16, 70, 1), (8, 30, 0), (16, 30, 0), (8, 30, 1)]
    together = train_runs(SMALL, plan, seed=3)
    assert list(zip(together.params, together.steps, together.seed, strict=True)) == plan
    with threadpool_limits(2):
        alone = [train(SMALL, params=n, steps=t, replicate=c, seed=3) for n, t, c in plan]
    assert together.loss.tolist() == alone
    assert train_runs(SMALL, plan[::-1], seed=3).loss.tolist() == alone[::-1]
    assert train_runs(SMALL, plan, seed=4).loss.tolist() != alone
    assert together.run.is_unique


def test_longer_training_of_the_same_draw_never_hurts_and_wide_batches_agree_with_narrow_ones(monkeypatch):
    ladder = train_ladder(SMALL, sizes=(6, 12), lengths=(4, 64), replicates=3)
    monkeypatch.setattr("scalinglens.theory.simulate.CACHE_BYTES", 1)  # every run in a batch of its own
    assert train_ladder(SMALL, sizes=(6, 12), lengths=(4, 64), replicates=3).equals(ladder)


def test_progress_counts_every_run():
    seen = []
    train_ladder(
        SMALL, sizes=(4, 200), lengths=(1, 2), replicates=2, progress=lambda done, total: seen.append((done, total))
    )
    assert seen[-1] == (8, 8)
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})


def test_the_static_limit_agrees_with_theory():
    # T3 of the dossier: simulation lies a relative 0.25/N to 0.45/N above the large-N theory, and never exactly on it
    problem = RandomFeatures(modes=400, capacity=1.25, source=1.5, noise=0.0)
    losses = train_runs(problem, [(24, 1500, c) for c in range(60)]).loss
    theory = float(problem.loss_of_params(24))
    error = losses.std() / np.sqrt(len(losses))
    assert abs(losses.mean() / theory - 1) < 3 * error / theory + 1 / 24


def test_the_early_time_limit_agrees_with_theory():
    # before t^(1/b) modes approach N = 300 the width costs about sqrt(2 eta t)/N of the loss: 4 percent at t = 64
    problem = RandomFeatures(noise=0.0)
    for steps, room in ((4, 0.03), (16, 0.04), (64, 0.06)):
        losses = train_runs(problem, [(300, steps, c) for c in range(4)], targets=64).loss
        theory = float(problem.loss_of_steps(steps, learning_rate=0.4))
        assert losses.mean() == pytest.approx(theory, rel=room)


def test_measured_exponents_agree_with_theory():
    problem = RandomFeatures(modes=2048, noise=0.0)
    # steps: params large enough not to matter; eta t between 6 and 100 is late enough for the power law
    early = train_runs(problem, [(256, t, c) for t in (16, 64, 256) for c in range(4)], targets=64)
    by_steps = early.groupby("steps").loss.mean()
    assert -np.polyfit(np.log(by_steps.index), np.log(by_steps), 1)[0] == pytest.approx(
        problem.steps_exponent, rel=0.06
    )
    # params: long enough to leave only the width (t = 3000 resolves 49 modes, above the 32 of the widest); a draw of
    # 8 features scatters by a third, so 40 draws leave 5 percent of the loss and 4 percent of the slope
    late = train_runs(problem, [(n, 3000, c) for n in (8, 16, 32) for c in range(40)], targets=16)
    by_params = late.groupby("params").loss.mean()
    slope = -np.polyfit(np.log(by_params.index), np.log(by_params), 1)[0]
    assert slope == pytest.approx(problem.width_exponent, rel=0.12)


def test_a_ladder_follows_the_additive_law_with_the_noise_as_its_floor():
    ladder = train_ladder(sizes=(24, 38, 62, 99, 159), lengths=(8, 22, 60, 165, 451, 1237), replicates=2)
    n, t, loss = np.log(ladder.params), np.log(ladder.steps), np.log(ladder.loss)

    def misses(c):
        return np.log(np.exp(c[0]) + np.exp(c[1] - c[3] * n) + np.exp(c[2] - c[4] * t)) - loss

    found = least_squares(misses, [-1.5, 0.5, 0.0, 1.0, 0.5], loss="soft_l1", f_scale=0.005)
    problem = RandomFeatures()
    assert np.exp(found.x[0]) == pytest.approx(problem.noise, rel=0.03)
    # the exponents of a law fitted across the crossover are effective ones; here they come within a fifth of the limits
    assert found.x[3] == pytest.approx(problem.width_exponent, rel=0.2)
    assert found.x[4] == pytest.approx(problem.steps_exponent, rel=0.1)
    assert np.median(np.abs(misses(found.x))) < 0.015

    params, steps = HELD_OUT[0]
    ahead = train(params=params, steps=2048)
    predicted = (
        np.exp(found.x[0]) + np.exp(found.x[1]) * params ** -found.x[3] + np.exp(found.x[2]) * 2048 ** -found.x[4]
    )
    assert predicted == pytest.approx(ahead, rel=0.02)


def test_negative_control_shuffled_losses_follow_no_law():
    ladder = train_ladder(sizes=(24, 62, 159), lengths=(8, 60, 451), replicates=2)
    shuffled = np.random.default_rng(0).permutation(ladder.loss)
    straight = np.corrcoef(np.log(ladder.steps), np.log(ladder.loss))[0, 1]
    assert straight < -0.8
    assert abs(np.corrcoef(np.log(ladder.steps), np.log(shuffled))[0, 1]) < 0.6


@pytest.mark.parametrize("plan", [(0, 5, 0), (5, -1, 0), (5, 5, -1)])
def test_impossible_runs_are_refused(plan):
    with pytest.raises(ScalingLensError, match=f"cannot train params={plan[0]}, steps={plan[1]}, replicate={plan[2]}"):
        train_runs(SMALL, [plan])


def test_a_learning_rate_beyond_stability_is_reported_in_words():
    with pytest.raises(ScalingLensError, match="runs diverged .* learning_rate=9; choose it below"):
        train_ladder(SMALL, sizes=(8,), lengths=(50, 5000), learning_rate=9.0)
