"""The simulation against plain training, step by step; theory against the simulation."""

import json

import numpy as np
import pytest
from scipy.linalg import expm

from scalinglens.errors import TheoryError
from scalinglens.theory import simulate as module
from scalinglens.theory.random_features.commands import random_features
from scalinglens.theory.random_features.one_pass import one_pass
from scalinglens.theory.random_features.optimizers import (
    ContinuousMomentum,
    GradientDescent,
    GradientFlow,
    HeavyBall,
    Nesterov,
    WeightDecay,
)
from scalinglens.theory.random_features.problem import RandomFeatures
from scalinglens.theory.random_features.scheduled import ScheduledDescent
from scalinglens.theory.random_features.solve import solve
from scalinglens.theory.random_features.static import static_loss
from scalinglens.theory.random_features.transfer import transfer
from scalinglens.theory.simulate import _draw, simulate
from scalinglens.worlds.spectra import Spectrum, power_law

SMALL = power_law(1.5, 1.25, 30)
THOUSAND = power_law(1.5, 1.25, 1000)


def close(mean, stderr, theory, smallest):
    """Three standard errors, and the order of the theory: 1/min(N, P) of it."""
    return np.all(np.abs(mean - theory) < 3 * stderr + np.abs(theory) / smallest)


# ---- the simulation is what it says


def trained_plainly(problem, steps, update, seed, draws):
    """Mean losses by a loop over steps in mode space, from the same draws."""
    drawn = _draw(problem, range(draws), seed, 1, 1)
    lam, M = problem.spectrum.eigenvalues, len(problem.spectrum.eigenvalues)
    test, train = [], []
    for i in range(draws):
        B = np.eye(M) if drawn.features[0] is None else drawn.features[0][i]
        E = np.diag(np.sqrt(lam)) if drawn.data[0] is None else drawn.data[0][i]
        w_star = drawn.teachers[i, :, 0]
        y = E @ w_star + (0 if drawn.noise[0] is None else drawn.noise[0][i, :, 0])
        w = before = np.zeros(len(B))
        for _ in range(steps):
            w, before = update(w, before, lambda w, B=B, E=E, y=y: B @ E.T @ (E @ B.T @ w - y))
        v = w_star - B.T @ w
        test.append((lam * v**2).sum())
        train.append(((y - E @ B.T @ w) ** 2).sum())
    endless = float(problem.noise) if drawn.data[0] is None else 0.0
    return np.mean(test), np.mean(train) + endless


@pytest.mark.parametrize(("N", "P"), [(8, 12), (12, 8), (40, 10), (6, np.inf), (50, np.inf), (np.inf, 9), (40, 50)])
@pytest.mark.parametrize(
    ("optimizer", "update"),
    [
        (GradientDescent(0.1), lambda w, before, g: (w - 0.1 * g(w), w)),
        (HeavyBall(0.1, 0.6), lambda w, before, g: (w - 0.1 * g(w) + 0.6 * (w - before), w)),
        (Nesterov(0.1, 0.6), lambda w, before, g: ((q := w + 0.6 * (w - before)) - 0.1 * g(q), w)),
    ],
)
def test_full_batches_are_followed_step_by_step(N, P, optimizer, update):
    problem = RandomFeatures(SMALL, N, P, 0.2)
    found = simulate(problem, [0, 13], optimizer, seeds=3, seed=4)
    test, train = trained_plainly(problem, 13, update, 4, 3)
    assert found.mean[1] == pytest.approx(test, rel=1e-10)
    assert found.train_mean[1] == pytest.approx(train, rel=1e-10)
    assert found.mean[0] == pytest.approx(SMALL.signal, rel=1e-12)


@pytest.mark.parametrize("decay", [0.0, 0.3])
@pytest.mark.parametrize(("N", "P"), [(8, 12), (40, 10), (np.inf, 9)])
def test_flows_are_matrix_exponentials(decay, N, P):
    problem = RandomFeatures(SMALL, N, P, 0.2)
    found = simulate(problem, [3.7], WeightDecay(decay) if decay else GradientFlow(), seeds=2, seed=1)
    drawn = _draw(problem, range(2), 1, 1, 1)
    losses = []
    for i in range(2):
        B = np.eye(30) if drawn.features[0] is None else drawn.features[0][i]
        F, w_star = drawn.data[0][i] @ B.T, drawn.teachers[i, :, 0]
        y = drawn.data[0][i] @ w_star + drawn.noise[0][i, :, 0]
        n = F.shape[1]
        # dw/dt = -(F^T F + rho) w + F^T y, as one exponential of n + 1 variables
        system = np.zeros((n + 1, n + 1))
        system[:n, :n], system[:n, n] = -(F.T @ F + decay * np.eye(n)), F.T @ y
        w = expm(3.7 * system)[:n, n]
        losses.append((SMALL.eigenvalues * (w_star - B.T @ w) ** 2).sum())
    assert found.losses[:, 0] == pytest.approx(losses, rel=1e-9)


def test_late_times_are_least_squares():
    for N, P in ((8, 12), (20, 9)):
        problem = RandomFeatures(SMALL, N, P, 0.2)
        found = simulate(problem, np.inf, seeds=2)
        drawn = _draw(problem, range(2), 0, 1, 1)
        for i in range(2):
            B, E, w_star = drawn.features[0][i], drawn.data[0][i], drawn.teachers[i, :, 0]
            w = np.linalg.lstsq(E @ B.T, E @ w_star + drawn.noise[0][i, :, 0])[0]
            loss = (SMALL.eigenvalues * (w_star - B.T @ w) ** 2).sum()
            assert found.losses[i, 0] == pytest.approx(loss, rel=1e-8)


def test_one_pass_with_the_modes_left_out_is_one_pass_with_all_modes():
    """The simulation draws N + 1 numbers per sample; here every mode of every sample is drawn."""
    problem, steps, eta, batch = RandomFeatures(power_law(1.5, 1.25, 20), 6, noise=0.3), 12, 0.15, 3
    reduced = simulate(problem, [4, steps], lr=eta, batch=batch, seeds=1500, seed=3)
    drawn = _draw(problem, range(1500), 77, 1, 1)
    B, w_star, root = drawn.features[0], drawn.teachers[..., 0], np.sqrt(problem.spectrum.eigenvalues)
    rng, w, losses = np.random.default_rng(8), np.zeros((1500, 6)), []
    for step in range(steps + 1):
        v = w_star - np.einsum("snm,sn->sm", B, w)
        if step in (4, steps):
            losses.append(((root * v) ** 2).sum(-1))
        psi = rng.standard_normal((1500, batch, 20)) * root
        left = np.einsum("sbm,sm->sb", psi, v) + np.sqrt(0.3) * rng.standard_normal((1500, batch))
        w = w + eta / batch * np.einsum("snm,sbm,sb->sn", B, psi, left)
    full = np.array(losses).T
    error = np.hypot(reduced.stderr, full.std(0) / np.sqrt(1500))
    assert np.all(abs(reduced.mean - full.mean(0)) < 4 * error)
    assert np.all(error < 0.03 * reduced.mean)  # so that the comparison says something
    # the spread of single runs is that of runs with all modes, too
    assert reduced.losses.std(0) == pytest.approx(full.std(0), rel=0.2)


def test_a_draw_is_the_same_in_any_company(monkeypatch):
    problem = RandomFeatures(SMALL, 8, 12, 0.1)
    many = simulate(problem, [1, 5], seeds=7, seed=2)
    monkeypatch.setattr(module, "_BLOCK", 1)  # every draw in a block of its own
    alone = simulate(problem, [1, 5], seeds=4, seed=2)
    assert many.losses[:4] == pytest.approx(alone.losses, rel=1e-13)
    assert abs(simulate(problem, [1, 5], seeds=4, seed=3).losses / alone.losses - 1).max() > 1e-3


def test_nonlinear_features_are_trained_on_their_activations():
    problem = RandomFeatures(SMALL, 10, 14, 0.1)
    found = simulate(problem, [20], GradientDescent(0.05), seeds=2, activation="relu")
    drawn = _draw(problem, range(2), 0, 1, 1)
    for i in range(2):
        psi = drawn.data[0][i] * np.sqrt(14)
        phi = np.maximum(psi @ (drawn.features[0][i] * np.sqrt(10)).T, 0) / np.sqrt(10)
        y = psi @ drawn.teachers[i, :, 0] + drawn.noise[0][i, :, 0] * np.sqrt(14)
        w = np.zeros(10)
        for _ in range(20):
            w -= 0.05 * phi.T @ (phi @ w - y) / 14
        assert found.train_losses[i, 0] == pytest.approx(np.mean((y - phi @ w) ** 2), rel=1e-10)
    # where the inputs are small tanh is linear: the same losses, up to the sampling of the test set
    tiny = Spectrum(1e-6 * SMALL.eigenvalues, SMALL.target_power)
    curved = simulate(RandomFeatures(tiny, 10, 14), [1e6, 1e7], seeds=40, activation="tanh")
    straight = simulate(RandomFeatures(SMALL, 10, 14), [1, 10], seeds=40)
    assert curved.train_mean == pytest.approx(straight.train_mean, rel=1e-3)
    assert curved.mean == pytest.approx(straight.mean, rel=0.03)


def test_torch_gives_the_same_numbers():
    pytest.importorskip("torch")
    problem = RandomFeatures(SMALL, 8, 12, 0.1)
    for options in ({"parts": True, "modes": [1, 3]}, {"activation": "tanh"}, {"activation": "relu"}):
        here = simulate(problem, [1, 10, np.inf], seeds=3, **options)
        there = simulate(problem, [1, 10, np.inf], seeds=3, device="cpu", **options)
        assert there.losses == pytest.approx(here.losses, rel=1e-9)
        assert there.train_losses == pytest.approx(here.train_losses, rel=1e-9)
    assert there.parts == {}


# ---- theory and simulation


def test_flow_agrees_with_theory():
    problem = RandomFeatures(THOUSAND, 128, 256)
    times = [1, 10, 100, 1e3]
    theory, drawn = solve(problem, times), simulate(problem, times, seeds=40)
    assert close(drawn.mean, drawn.stderr, theory.test, 128)
    assert close(drawn.train_mean, drawn.train_stderr, theory.train, 128)
    # negative control: the theory of half the size is far off
    assert not close(drawn.mean, drawn.stderr, solve(RandomFeatures(THOUSAND, 64, 128), times).test, 128)


@pytest.mark.parametrize(
    ("optimizer", "steps"),
    [
        (GradientDescent(0.2), [5, 50, 500]),
        (HeavyBall(0.2, 0.8), [5, 20, 100]),
        (Nesterov(0.2, 0.8), [5, 20, 100]),
        (WeightDecay(0.01), [1, 10, 1e3, 1e5]),
        (ContinuousMomentum(5.0), [1, 5, 20, 300]),
        (ScheduledDescent("cosine(0.4, steps=400, warmup=30)"), [5, 50, 400]),
        (ScheduledDescent("wsd(0.4, steps=100, decay_from=80, end=0.01, warmup=5)"), [100]),
    ],
)
def test_other_optimizers_agree_with_theory(optimizer, steps):
    problem = RandomFeatures(power_law(1.5, 1.25, 400), 96, 160, 0.1)
    drawn = simulate(problem, steps, optimizer, seeds=60, targets=4)
    theory = solve(problem, steps, optimizer)
    assert close(drawn.mean, drawn.stderr, theory.test, 96)
    assert close(drawn.train_mean, drawn.train_stderr, theory.train, 96)


def test_parts_and_transfer_functions_agree_with_theory():
    problem = RandomFeatures(power_law(1.5, 1.25, 400), 64, 128, 0.2)
    drawn = simulate(problem, [3, 30], seeds=40, parts=True, modes=[1, 10], targets=4)
    theory = solve(problem, [3, 30], parts=True)
    assert close(drawn.mean, drawn.stderr, theory.test, 64)
    for name, value in theory.parts.items():
        assert close(drawn.parts[name], drawn.parts_stderr[name], value, 64), name
    H = transfer(problem, [1, 10], [3, 30])
    # H_1 is a small difference of large numbers, so the order of the theory is that of 1, not of H
    assert np.all(abs(drawn.transfer - H) < 3 * drawn.transfer_stderr + 0.5 / 64)


def test_one_pass_agrees_with_theory():
    problem = RandomFeatures(THOUSAND, 128)
    steps = [10, 50, 150, 300]
    drawn = simulate(problem, steps, lr=0.1, batch=32, seeds=40)
    theory = one_pass(problem, steps, learning_rate=0.1, batch=32)
    assert theory.test.round(6).tolist() == [1.304462, 0.706132, 0.488903, 0.403342]
    assert theory.descent.round(6).tolist() == [1.300325, 0.702735, 0.486199, 0.400983]
    assert close(drawn.mean, drawn.stderr, theory.test, 128)
    # a batch whose noise matters: descent alone is excluded
    noisy = RandomFeatures(power_law(1.5, 1.25, 200), 32, noise=0.5)
    drawn = simulate(noisy, [30, 200], lr=0.3, batch=4, seeds=400)
    theory = one_pass(noisy, [30, 200], learning_rate=0.3, batch=4)
    # (B + 1)/B of the exact second moment of Gaussian data: up to a quarter of the noise of the batches
    assert np.all(
        abs(drawn.mean - theory.test) < 3 * drawn.stderr + theory.test / 32 + (theory.test - theory.descent) / 4
    )
    assert np.all(drawn.mean - theory.descent > 10 * drawn.stderr)


PUBLISHED = [  # N, P, optimizer, times, test, train: 800 and 3000 draws of another program
    (128, 256, GradientFlow(), [1, 10, 100, 1e3, 1e5], [1.3285, 0.5875, 0.4033, 0.5001, 0.5846], 800),
    (64, np.inf, GradientFlow(), [1, 10, 1e3], [1.3472, 0.6358, 0.4653], 3000),
    (128, 256, GradientDescent(0.2), [5, 50, 500], [1.303, 0.5911, 0.4049], 800),
    (128, 256, HeavyBall(0.2, 0.8), [5, 20, 100], None, 800),
]
PUBLISHED_ERRORS = {
    0: [0.0033, 0.0016, 0.0011, 0.0017, 0.0024],
    1: [0.0019, 0.0011, 0.0008],
    2: [0.013, 0.0053, 0.0040],
}


@pytest.mark.slow
@pytest.mark.parametrize("number", range(len(PUBLISHED)))
def test_many_draws(number):
    N, P, optimizer, times, known, seeds = PUBLISHED[number]
    problem = RandomFeatures(THOUSAND, N, P)
    drawn, theory = simulate(problem, times, optimizer, seeds=seeds), solve(problem, times, optimizer)
    order = np.full(len(times), float(N))
    if P == 256:
        order[np.array(times) > 1e4] = 80  # late times near N = P: 1.1 percent was seen
    assert close(drawn.mean, drawn.stderr, theory.test, order)
    assert close(drawn.train_mean, drawn.train_stderr, theory.train, order)
    if known is not None:
        assert np.all(abs(drawn.mean - known) < 3.5 * np.hypot(drawn.stderr, PUBLISHED_ERRORS[number]))


@pytest.mark.slow
def test_many_draws_of_ensembles():
    problem = RandomFeatures(THOUSAND, 64, 128)
    drawn = simulate(problem, [3, 30], seeds=800, parts=True, modes=[1, 10])
    theory = solve(problem, [3, 30], parts=True)
    assert close(drawn.mean, drawn.stderr, theory.test, 64)
    for name, value in theory.parts.items():
        assert close(drawn.parts[name], drawn.parts_stderr[name], value, 64), name
    other = {"test": [0.9368, 0.6249], "same_data": [0.8704, 0.4346], "same_features": [0.9139, 0.5317]}
    other["bias"] = [0.8552, 0.4005]
    spread = {"test": [0.0034, 0.0022], "same_data": [0.0029, 0.0019], "same_features": [0.0030, 0.0018]}
    spread["bias"] = [0.0025, 0.0016]
    for name, value in other.items():
        assert np.all(abs(drawn.parts[name] - value) < 3.5 * np.hypot(drawn.parts_stderr[name], spread[name])), name
    H, errors = [[0.1027, 0.0286], [0.8518, 0.4321]], [[0.0034, 0.0024], [0.0074, 0.0118]]
    assert np.all(abs(drawn.transfer - H) < 3.5 * np.hypot(drawn.transfer_stderr, errors))
    assert np.all(abs(drawn.transfer - transfer(problem, [1, 10], [3, 30])) < 3 * drawn.transfer_stderr + 0.5 / 64)


@pytest.mark.slow
def test_the_excess_over_theory_is_of_order_one_over_n():
    sizes = np.array([8, 16, 32, 64])
    excess, error = [], []
    for n in sizes.tolist():
        problem = RandomFeatures(THOUSAND, n)
        drawn = simulate(problem, 10, seeds=1500, targets=8)
        theory = solve(problem, 10).test
        excess.append(float(n * (drawn.mean / theory - 1)[0]))
        error.append(float((n * drawn.stderr / theory)[0]))
    assert np.all(np.array(excess) > 2 * np.array(error) * [1, 1, 1, 0])  # it is there
    assert np.all(np.array(excess) < 0.6 + 3 * np.array(error))


@pytest.mark.slow
def test_label_noise_and_late_times():
    problem = RandomFeatures(THOUSAND, 128, 256, 0.25)
    drawn = simulate(problem, 1e4, seeds=200)
    assert abs(drawn.mean[0] - 0.8199) < 3.5 * np.hypot(drawn.stderr[0], 0.0118)
    assert drawn.train_mean[0] == pytest.approx(0.26785, rel=0.03)
    assert close(drawn.mean, drawn.stderr, static_loss(problem)[0], 60)


# ---- the command, and bad input


def test_the_command_draws_beside_the_theory():
    words = {"a": 1.5, "b": 1.25, "features": 24, "modes": 60, "times": "5,40", "simulate": 30, "seed": 3}
    found = random_features(**words, samples=40)
    document = json.loads(json.dumps(found.to_dict()))
    drawn = simulate(RandomFeatures(power_law(1.5, 1.25, 60), 24, 40), [5, 40], seeds=30, seed=3)
    assert document["simulation"]["mean"] == drawn.mean.tolist()
    assert document["simulation"]["stderr"] == drawn.stderr.tolist()
    found = random_features(**words, optimizer="sgd", lr=0.1, batch=8)
    drawn = simulate(RandomFeatures(power_law(1.5, 1.25, 60), 24), [5, 40], lr=0.1, batch=8, seeds=30, seed=3)
    assert found.to_dict()["simulation"]["mean"] == drawn.mean.tolist()
    assert close(drawn.mean, drawn.stderr, np.asarray(found.table["test_loss"]), 24)


@pytest.mark.parametrize(
    ("problem", "options", "message"),
    [
        (RandomFeatures(power_law(1.5, 1.25), 8, 8), {}, "inf modes are summed by quadrature"),
        (RandomFeatures(power_law(1.5, 1.25, 9000), 8, 8), {}, "9000 modes are summed by quadrature"),
        (RandomFeatures(SMALL, [8, 9], 8), {}, "one problem at a time"),
        (RandomFeatures(SMALL, 8.5, 8), {}, "features is 8.5; a simulation needs a whole number"),
        (RandomFeatures(SMALL, 8, 8), {"seeds": 1}, "seeds is 1; a mean with a standard error needs 2"),
        (RandomFeatures(SMALL, 8, 8), {"targets": 0}, "targets is 0"),
        (RandomFeatures(SMALL, 8, 8), {"modes": [31]}, "mode 31 is not one of 1 to 30"),
        (RandomFeatures(SMALL, 8, 8), {"activation": "gelu"}, "known are linear, relu, tanh"),
        (RandomFeatures(SMALL, 8), {"activation": "relu"}, "relu features need finite features and samples"),
        (RandomFeatures(SMALL, 8, 8), {"lr": 0.1, "batch": 4}, "fresh, so samples must be inf"),
        (RandomFeatures(SMALL, 8), {"lr": 0.1}, "needs both lr and batch"),
        (RandomFeatures(SMALL, 8), {"lr": 0.1, "batch": 2.5}, "batch is 2.5"),
        (RandomFeatures(SMALL, 8), {"lr": 0.1, "batch": 2, "parts": True}, "leave parts out"),
        (RandomFeatures(SMALL, 8), {"lr": 9.0, "batch": 2}, "of 4 draws diverged, the first at time"),
        (RandomFeatures(SMALL, 8, 8), {"optimizer": GradientDescent(9.0)}, "diverged"),
        (RandomFeatures(SMALL, 8, 8), {"optimizer": GradientDescent(0.1), "batch": 2}, "has its own, leave them out"),
    ],
)
def test_bad_questions_are_refused(problem, options, message):
    times = options.pop("times", [1, 300])
    with pytest.raises(TheoryError, match=message):
        simulate(problem, times, **{"seeds": 4, **options})


def test_torch_that_is_missing_is_said(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    with pytest.raises(
        TheoryError, match="needs PyTorch, which is not installed: pip install torch, or leave the device"
    ):
        simulate(RandomFeatures(SMALL, 8, 8), 1, seeds=2, device="cpu")
