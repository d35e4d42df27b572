"""Training against its brute-force twins, against theory, and as data for a scaling law."""

import numpy as np
import pytest
from scipy.optimize import least_squares
from threadpoolctl import threadpool_limits

from scalinglens.errors import ScalingLensError
from scalinglens.theory.ladder import HELD_OUT, default_problem, features, train, train_ladder, train_runs
from scalinglens.theory.random_features.optimizers import GradientDescent
from scalinglens.theory.random_features.problem import RandomFeatures
from scalinglens.theory.random_features.solve import solve
from scalinglens.theory.random_features.static import static_loss
from scalinglens.worlds.spectra import power_law


def loss_of_params(problem, params):
    """Theory of the loss after endless steps."""
    return float(static_loss(RandomFeatures(problem.spectrum, params))[0])


SMALL = RandomFeatures(power_law(1.5, 1.25, 200), noise=0.1)


def weights_error(problem, A, w_star, w):
    """Population loss from the definition, mode by mode."""
    v = w_star - A.T @ w / np.sqrt(len(A))
    return problem.noise + float(np.mean(problem.spectrum.eigenvalues @ v**2))


def test_training_equals_gradient_descent_written_from_the_definition():
    A, w_star = features(SMALL, 12, 40, 0, seed=5, targets=3)
    w = np.zeros((12, 3))
    for _ in range(40):
        v = w_star - A.T @ w / np.sqrt(12)  # what is not learned yet
        w += 0.3 * A @ (SMALL.spectrum.eigenvalues[:, None] * v) / np.sqrt(12)
    # the loss is a difference of numbers of order one: absolute rounding 1e-15, hundreds of operations
    loss = train(SMALL, params=12, steps=40, seed=5, targets=3, learning_rate=0.3)
    assert loss == pytest.approx(weights_error(SMALL, A, w_star, w), rel=1e-11)


@pytest.mark.parametrize("params", [5, 40, 150])
@pytest.mark.parametrize("steps", [0, 1, 30, 2000])
def test_training_equals_the_eigen_decomposition_of_the_linear_dynamics(params, steps):
    A, w_star = features(SMALL, params, steps, 1, seed=2, targets=4)
    G = (A * SMALL.spectrum.eigenvalues) @ A.T / params
    h = A @ (SMALL.spectrum.eigenvalues[:, None] * w_star) / np.sqrt(params)
    eigenvalues, Q = np.linalg.eigh(G)
    grown = (1 - (1 - 0.3 * eigenvalues) ** steps) / eigenvalues  # sum of the geometric series of steps
    w = Q @ (grown[:, None] * (Q.T @ h))
    loss = train(SMALL, params=params, steps=steps, replicate=1, seed=2, targets=4, learning_rate=0.3)
    assert loss == pytest.approx(weights_error(SMALL, A, w_star, w), rel=1e-10)


def test_the_population_loss_is_the_mean_over_fresh_noisy_samples():
    A, w_star = features(SMALL, 20, 50, 0, seed=1, targets=2)
    w = np.zeros((20, 2))
    for _ in range(50):
        w += 0.4 * A @ (SMALL.spectrum.eigenvalues[:, None] * (w_star - A.T @ w / np.sqrt(20))) / np.sqrt(20)
    rng = np.random.default_rng(9)
    psi = rng.standard_normal((20_000, len(SMALL.spectrum.eigenvalues))) * np.sqrt(SMALL.spectrum.eigenvalues)
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
    monkeypatch.setattr("scalinglens.theory.ladder.CACHE_BYTES", 1)  # every run in a batch of its own
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
    problem = RandomFeatures(power_law(1.5, 1.25, 400))
    losses = train_runs(problem, [(24, 1500, c) for c in range(60)]).loss
    theory = loss_of_params(problem, 24)
    error = losses.std() / np.sqrt(len(losses))
    assert abs(losses.mean() / theory - 1) < 3 * error / theory + 1 / 24


def test_the_early_time_limit_agrees_with_theory():
    # before t^(1/b) modes approach N = 300 the width costs about sqrt(2 eta t)/N of the loss: 4 percent at t = 64
    problem = RandomFeatures(power_law(2.25, 2.0, 3072))
    for steps, room in ((4, 0.03), (16, 0.04), (64, 0.06)):
        losses = train_runs(problem, [(300, steps, c) for c in range(4)], targets=64).loss
        theory = float(solve(problem, steps, GradientDescent(0.4)).test[0])
        assert losses.mean() == pytest.approx(theory, rel=room)


def test_measured_steps_exponent_agrees_with_theory():
    problem = RandomFeatures(power_law(2.25, 2.0, 2048))
    # eta t between 6 and 100 is late enough for the power law (the sum over modes has slope 0.621 there, the limit is
    # 0.625) and early enough for 512 features: their number takes another 3 percent off the slope, half of what 256 do
    runs = train_runs(problem, [(512, t, c) for t in (16, 64, 256) for c in range(3)], targets=64)
    losses = runs.groupby("steps").loss.mean()
    slope = -np.polyfit(np.log(losses.index), np.log(losses), 1)[0]
    assert slope == pytest.approx(problem.time_exponent, rel=0.05)


def test_measured_width_exponent_agrees_with_theory():
    problem = RandomFeatures(power_law(2.25, 2.0, 2048))
    # 3000 steps resolve sqrt(2 eta t) = 49 modes, more than the 32 of the widest model. A draw of 8 features scatters
    # by a quarter: 40 draws leave 4 percent of the loss, 3 percent of the slope. Theory itself has 1.15 here, not yet
    # its limit 1.25, and the excess of relative order 0.4/N steepens the simulation by 0.03
    sizes = (8, 16, 32)
    runs = train_runs(problem, [(n, 3000, c) for n in sizes for c in range(40)])
    losses = runs.groupby("params").loss.mean()
    slope = -np.polyfit(np.log(losses.index), np.log(losses), 1)[0]
    at_these_sizes = -np.polyfit(np.log(sizes), np.log([loss_of_params(problem, n) for n in sizes]), 1)[0]
    assert slope == pytest.approx(at_these_sizes, abs=0.1)
    assert slope == pytest.approx(problem.width_exponent, rel=0.12)


@pytest.mark.slow
def test_the_default_ladder_follows_the_additive_law_and_extrapolates():
    problem = default_problem()
    ladder = train_ladder(problem)
    assert len(ladder) == 288
    n, t, loss = np.log(ladder.params), np.log(ladder.steps), np.log(ladder.loss)

    def law(c, n, t):
        return np.log(np.exp(c[0]) + np.exp(c[1] - c[3] * n) + np.exp(c[2] - c[4] * t))

    found = least_squares(lambda c: law(c, n, t) - loss, [-1.5, 0.5, 0.0, 1.0, 0.5], loss="soft_l1", f_scale=0.005).x
    # the law is not exact (the theory's crossover is sharper than a sum) and exponents fitted across the crossover are
    # effective ones; with these settings floor and exponents still come close to the limits
    assert np.exp(found[0]) == pytest.approx(problem.noise, rel=0.02)
    assert found[3] == pytest.approx(problem.width_exponent, rel=0.1)
    assert found[4] == pytest.approx(problem.time_exponent, rel=0.05)
    assert np.median(np.abs(law(found, n, t) - loss)) < 0.01

    # four times the steps of any run it was fitted to, at the largest size and at one 1.6 times as large
    for params, steps in HELD_OUT:
        predicted = np.exp(law(found, np.log(params), np.log(steps)))
        assert predicted == pytest.approx(train(problem, params=params, steps=steps), rel=0.02)


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
    with pytest.raises(ScalingLensError, match=r"runs diverged .* learning_rate=9; choose it below"):
        train_ladder(SMALL, sizes=(8,), lengths=(50, 5000), learning_rate=9.0)
