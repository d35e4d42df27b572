"""The planar kernel against stored digits, brute-force draws, closed forms, kernels of real features and limits."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from scalinglens.errors import TheoryError
from scalinglens.theory.joint_data_model import (
    duality_gap,
    joint_losses,
    optimal_ridge,
    planar_traces,
)
from scalinglens.theory.joint_data_power_law import isotropic_teacher, power_law_optimum, power_law_ridgeless
from scalinglens.theory.joint_data_simulation import feature_spectrum, rf_simulate
from scalinglens.theory.random_features.problem import RandomFeatures
from scalinglens.theory.random_features.solve import solve
from scalinglens.worlds.spectra import Spectrum, power_law

M, C = 1200, 10
PAPER = isotropic_teacher(1.0, M, outputs=C)
# features, samples, ridge, noise of each output, test loss, kappa (computed apart from this code)
ROWS = [
    (100, 300, 0.0, 0.0, 1.421435e-4, 2.274296e-4),
    (300, 100, 0.0, 0.0, 1.421435e-4, 2.274296e-4),
    (100, 300, 1e-3, 0.0, 1.283910e-4, 3.313051e-4),
    (200, 200, 1e-3, 0.0, 9.452578e-5, 1.684359e-4),
    (100, 300, 1e-3, 1e-3, 1.691324e-3, 3.313051e-4),
    (300, 100, 1e-3, 1e-3, 4.944836e-3, 3.313051e-4),
]


def _paper(N, T, ridge, noise):
    return joint_losses(PAPER, features=N, samples=T, ridge=ridge, noise=noise * C / 2, feature_variance=1 / M)


def test_stored_digits():
    N, T, ridge, noise, test, kappa = (np.array(column) for column in zip(*ROWS, strict=True))
    found = _paper(N, T, ridge, noise)
    assert found.test == pytest.approx(test, rel=1e-6)
    assert found.traces.kappa == pytest.approx(kappa, rel=1e-6)
    frame = found.to_frame()
    assert frame.test.to_numpy() == pytest.approx(test, rel=1e-6)
    assert frame.ridge.tolist() == list(ridge)


@pytest.mark.parametrize(
    ("row", "seed"), [*((row, 0) for row in ROWS)], ids=[f"{row[0]}-{row[1]}-{row[2]:g}-{row[3]:g}" for row in ROWS]
)
def test_real_draws_agree_within_three_percent(row, seed):
    N, T, ridge, noise, *_ = row
    theory = _paper(N, T, ridge, noise)
    drawn = rf_simulate(
        PAPER, features=N, samples=T, ridge=ridge, noise=noise * C / 2, feature_variance=1 / M, outputs=40, seed=seed
    )
    assert theory.test == pytest.approx(drawn.mean, rel=0.03)


def test_train_loss_is_the_total_times_the_free_share_of_the_samples_squared():
    # reference draws: 6.88e-5 and 1.531e-3
    N, T = np.array([100, 200]), np.array([300, 200])
    noise = np.array([0.0, 1e-3])
    found = _paper(N, T, 1e-3, noise)
    assert found.train == pytest.approx([6.88e-5, 1.531e-3], rel=0.04)
    assert found.train == pytest.approx([6.70e-5, 1.527e-3], rel=1e-3)
    assert found.train == pytest.approx((found.test + noise * C / 2) * (found.traces.free_samples / T) ** 2, rel=1e-12)
    for k in range(2):
        drawn = rf_simulate(
            PAPER,
            features=N[k],
            samples=T[k],
            ridge=1e-3,
            noise=noise[k] * C / 2,
            feature_variance=1 / M,
            outputs=40,
        )
        assert found.train[k] == pytest.approx(drawn.train.mean(), rel=0.04)


def test_traces_are_those_of_real_resolvents():
    N, T, ridge = 100, 300, 1e-3
    found = planar_traces(PAPER, features=N, samples=T, ridge=ridge, feature_variance=1 / M)
    rng = np.random.default_rng(0)
    traces = []
    for _ in range(6):
        u = rng.standard_normal((N, M)) / np.sqrt(M)
        X = np.sqrt(PAPER.eigenvalues)[:, None] * rng.standard_normal((M, T))
        values = np.linalg.eigvalsh(u @ X @ X.T @ u.T)
        traces.append((ridge / (ridge + values)).sum())
    s_N = np.mean(traces)
    assert found.free_features == pytest.approx(s_N, rel=0.02)
    assert found.free_samples == pytest.approx(s_N + T - N, rel=0.005)
    assert found.kappa * found.free_features * found.free_samples / M == pytest.approx(ridge, rel=1e-12)


def test_signal_is_symmetric_and_label_noise_is_not():
    N, T = 300, 100
    one, other = _paper(N, T, 1e-3, 1e-3), _paper(T, N, 1e-3, 1e-3)
    assert one.signal == pytest.approx(other.signal, rel=1e-12)
    assert abs(one.label_noise / other.label_noise - 1) > 1
    given = {"features": N, "samples": T, "ridge": 1e-3, "feature_variance": 1 / M}
    assert duality_gap(PAPER, **given) == pytest.approx(0, abs=1e-12 * one.signal)
    assert duality_gap(PAPER, **given, noise=1e-3 * C / 2) == pytest.approx(3.253512e-3, rel=1e-6)


def test_a_ridge_going_to_zero_is_the_ridgeless_closed_form():
    kappa = _paper(100, 300, 0.0, 0.0).traces.kappa
    closed = C / (2 * M) * kappa * 100 / (1 - 100 / 300)
    assert _paper(100, 300, 0.0, 0.0).test == pytest.approx(closed, rel=1e-12)
    assert _paper(100, 300, 1e-9, 0.0).test == pytest.approx(1.421435e-4, rel=1e-6)
    small = _paper(100, 300, np.array([1e-6, 1e-9, 1e-12]), 1e-3).test / _paper(100, 300, 0.0, 1e-3).test - 1
    assert np.all(np.diff(np.abs(small)) < 0)
    assert abs(small[-1]) < 1e-8


def test_the_form_without_cancellation_is_the_form_of_the_paper():
    rng = np.random.default_rng(1)
    N, T, ridge = 10 ** rng.uniform(1, 3, 50), 10 ** rng.uniform(1, 3, 50), 10 ** rng.uniform(-5, 0, 50)
    found = _paper(N, T, ridge, 1e-3)
    k = found.traces.kappa
    r = PAPER.eigenvalues / (PAPER.eigenvalues + k[:, None])
    z, q = r.sum(1), (r**2).sum(1)
    D = N * T - q * (N + T) + 2 * q * z - z**2
    assert k * (N - z) * (T - z) / M == pytest.approx(ridge, rel=1e-8)
    assert found.signal == pytest.approx(C / (2 * M) * k * N * T * (z - q) / D, rel=1e-8)
    assert found.label_noise == pytest.approx(C * 1e-3 / 2 * (q * (N - 2 * z) + z**2) / D, rel=1e-8)
    assert found.traces.ladder == pytest.approx(D / (N * T), rel=1e-8)


def test_without_ridge_it_is_the_late_limit_of_the_dynamical_model():
    spectrum = power_law(1.8, 1.4, 900)
    N, T = [50, 200, 300, np.inf], [200, 50, np.inf, 100]
    late = solve(RandomFeatures(spectrum, N, T, 0.1), [np.inf]).test[:, 0]
    assert joint_losses(spectrum, features=N, samples=T, noise=0.1).test == pytest.approx(late, rel=1e-9)


def test_best_ridge_in_closed_form():
    # (alpha, N, T) -> closed form and minimum at M = 200,000; the finite M cuts the tail
    for alpha, N, T, closed, least, off in (
        (1.0, 400, 400, 0.012337, 0.012279, 0.01),
        (1.0, 100, 400, 0.030843, 0.030510, 0.015),
        (1.5, 400, 400, 6.118e-4, 6.092e-4, 0.01),
        (0.5, 400, 400, None, None, 0.04),
        (0.3, 400, 400, None, None, 0.13),
    ):
        form = power_law_optimum(alpha, features=N, samples=T)
        many = 200_000
        spectrum = isotropic_teacher(alpha, many)
        found = optimal_ridge(spectrum, features=N, samples=T, feature_variance=1 / many)
        loss = found.test * 2 * many
        if closed is not None:
            assert form.test == pytest.approx(closed, rel=1e-4)
            assert loss == pytest.approx(least, rel=2e-4)  # of a coarser search
        assert form.test == pytest.approx(loss, rel=off)
        assert form.test > loss
        assert found.test <= joint_losses(
            spectrum, features=N, samples=T, ridge=form.ridge / many, feature_variance=1 / many
        ).test * (1 + 1e-12)


def test_consequences_of_the_closed_form():
    N = np.array([100.0, 400.0, 1e4])
    half = np.pi / 2
    one = power_law_optimum(1.0, features=N, samples=300.0)
    assert one.test == pytest.approx(half**2 * (1 / N + 1 / 300), rel=1e-12)
    assert one.df1 == pytest.approx(N * 300 / (N + 300), rel=1e-12)
    assert power_law_optimum(1.0, features=N, samples=N).ridge == pytest.approx(np.pi**2 / 4, rel=1e-12)
    alpha = np.array([0.3, 0.5, 1.0, 1.5])
    rho = np.pi / (1 + alpha) / np.sin(np.pi / (1 + alpha))
    even = power_law_optimum(alpha, features=400, samples=400)
    assert even.test / (rho ** (1 + alpha) * (2 / 400) ** alpha) == pytest.approx([1.103, 1.095, 1.0, 0.862], abs=6e-4)
    far = power_law_optimum(alpha, features=1e9, samples=400)
    assert far.test / (rho ** (1 + alpha) * (1 / 400) ** alpha) == pytest.approx(1.0, rel=1e-4)
    a = alpha[alpha != 1]
    known = (a + 1) * (a - np.sqrt(2 * a / (a + 1))) / ((a - 1) * (a + 2))
    assert power_law_optimum(a, features=400, samples=400).df1 / 400 == pytest.approx(known, rel=1e-10)


def test_at_fixed_product_equal_sizes_are_best_with_ridge_and_not_without():
    product = 1e6
    ratio = np.geomspace(0.01, 1, 2001)
    N, T = np.sqrt(product * ratio), np.sqrt(product / ratio)
    for alpha, worse in ((0.3, 1.150), (1.0, 1.299), (2.0, 1.392)):
        best = power_law_optimum(alpha, features=N, samples=T).test
        assert np.argmin(best) == len(ratio) - 1
        bare = power_law_ridgeless(alpha, features=N, samples=T)
        k = np.argmin(bare)
        assert ratio[k] == pytest.approx(alpha / (alpha + 2), rel=0.01)
        assert bare[k] / best[-1] == pytest.approx(worse, abs=6e-4)
        # and the same from the sums over modes, without the closed forms
        spectrum = power_law(1 + alpha, 1 + alpha)
        sums = joint_losses(spectrum, features=N[::50], samples=T[::50]).test
        assert sums[:-1] == pytest.approx(bare[::50][:-1], rel=0.02)
        assert np.isinf(sums[-1])


def test_ridge_sweep_has_its_minimum_at_the_closed_form():
    ridge = np.array([1e-3, np.pi**2 / (4 * M), 4e-3])
    swept = _paper(200, 200, ridge, 0.0).test
    assert np.argmin(swept) == 1
    assert ridge[1] == pytest.approx(2.056e-3, rel=1e-3)
    assert swept == pytest.approx([9.59e-5, 9.49e-5, 9.94e-5], rel=0.03)  # reference draws


def test_general_target():
    i = np.arange(1.0, 601.0)
    spectrum = Spectrum(i**-1.5, i**-1.8)
    found = joint_losses(spectrum, features=[80, 120, 200], samples=[200, 120, 80], ridge=[0.01, 0.03, 0.01])
    assert found.test.round(4).tolist() == [0.1522, 0.1501, 0.1272]
    for N, T, ridge, theory in zip((80, 120, 200), (200, 120, 80), (0.01, 0.03, 0.01), found.test, strict=True):
        drawn = rf_simulate(spectrum, features=N, samples=T, ridge=ridge, outputs=20)
        assert theory == pytest.approx(drawn.mean, abs=3 * drawn.stderr + 0.01 * theory)


def test_plateau_beyond_the_latent_dimension():
    spectrum = isotropic_teacher(1.0, 200)
    found = optimal_ridge(spectrum, features=[25, 100, 250, 10_000, np.inf], samples=400, noise=1e-3 / 2)
    assert (2 * 200 * found.test)[:4] == pytest.approx([0.101, 0.0443, 0.0366, 0.0328], rel=5e-3)
    assert found.test[-1] == pytest.approx(found.test[-2], rel=0.01)
    assert found.test[-1] < found.test[-2]


def test_all_is_learned_with_fewer_modes_than_sizes():
    spectrum = isotropic_teacher(1.0, 50)
    found = joint_losses(spectrum, features=80, samples=[100, 60], noise=0.1)
    assert found.signal.tolist() == [0, 0]
    assert found.label_noise == pytest.approx([0.1 * 50 / 50, 0.1 * 50 / 10], rel=1e-12)  # noise M/(T - M)
    assert found.train == pytest.approx([0.05, 0.1 / 6], rel=1e-12)
    drawn = rf_simulate(spectrum, features=80, samples=100, ridge=0.0, noise=0.1, outputs=40, repeats=20)
    assert drawn.mean == pytest.approx(0.1, abs=4 * drawn.stderr + 0.003)  # exactly M/(T - M - 1)
    near = joint_losses(spectrum, features=80, samples=100, noise=0.1, ridge=1e-10)
    assert near.test == pytest.approx(found.test[0], rel=1e-4)


def test_endless_features_are_the_limit():
    spectrum = power_law(1.6, 1.3)
    near = joint_losses(spectrum, features=1e9, samples=200, ridge=0.01, noise=0.1)
    assert joint_losses(spectrum, features=np.inf, samples=200, ridge=0.01, noise=0.1).test == pytest.approx(
        near.test, rel=1e-6
    )
    all_data = joint_losses(spectrum, features=200, samples=np.inf, ridge=0.01)
    assert all_data.test == pytest.approx(joint_losses(spectrum, features=200, samples=1e9).test, rel=1e-6)


@pytest.mark.parametrize("noise", [0.0, 0.2])
def test_search_for_the_best_ridge_against_another_minimiser(noise):
    spectrum = power_law(1.6, 1.3, 500)
    found = optimal_ridge(spectrum, features=60, samples=90, noise=noise)
    other = minimize_scalar(
        lambda x: float(joint_losses(spectrum, features=60, samples=90, ridge=np.exp(x), noise=noise).test),
        bounds=(-12, 8),
        method="bounded",
        options={"xatol": 1e-7},
    )
    assert found.test == pytest.approx(other.fun, rel=1e-10)
    assert np.log(found.traces.ridge) == pytest.approx(other.x, abs=1e-4)


def test_batches_are_single_problems():
    spectrum = power_law(1.6, 1.3, 6000)
    N, T, ridge = np.array([[20.0], [200.0]]), np.array([30.0, 300.0, 3000.0]), 0.01
    both = joint_losses(spectrum, features=N, samples=T, ridge=ridge, noise=0.1)
    assert both.test.shape == (2, 3)
    for i, j in itertools.product(range(2), range(3)):
        one = joint_losses(spectrum, features=N[i, 0], samples=T[j], ridge=ridge, noise=0.1)
        assert both.test[i, j] == pytest.approx(one.test, rel=1e-12)


@pytest.mark.slow
def test_finite_size_error_falls_with_the_size():
    off = []
    for N, T in ((40, 120), (400, 1200)):
        theory = _paper(N, T, 1e-3, 0.0).test
        drawn = rf_simulate(
            PAPER, features=N, samples=T, ridge=1e-3, feature_variance=1 / M, outputs=40, repeats=100 if N < 100 else 20
        )
        off.append(abs(float(theory) / drawn.mean - 1))
        assert off[-1] < 0.03 + 3 * drawn.stderr / drawn.mean
    theory = _paper(400, 800, 1e-3, 0.0).test
    drawn = rf_simulate(PAPER, features=400, samples=800, ridge=1e-3, feature_variance=1 / M, outputs=40)
    assert theory == pytest.approx(drawn.mean, rel=0.02)


def _slope(values, low, high):
    k = np.arange(low, high)
    return np.polyfit(np.log(k), np.log(values[low - 1 : high - 1]), 1)[0]


def test_an_activation_extends_the_spectrum():
    i = np.arange(1.0, 129.0)
    latents = Spectrum(i**-2, np.ones(128))
    given = {"features": 512, "samples": 2000, "seed": 1}
    assert len(feature_spectrum(latents, **given, activation="linear")) == 128
    assert len(feature_spectrum(latents, **given, activation="tanh", feature_variance=1.0)) == 512
    values = feature_spectrum(latents, **given, activation="relu")
    assert len(values) == 512
    # the exponent is not kept (-2), but it goes on as it is
    assert abs(_slope(values, 128, 256) - _slope(values, 4, 64)) < 0.1


@pytest.mark.slow
def test_an_activation_extends_the_spectrum_at_the_reference_size():
    i = np.arange(1.0, 129.0)
    latents = Spectrum(i**-2, np.ones(128))
    values = feature_spectrum(latents, features=2048, samples=6000, activation="relu", seed=1)
    assert len(values) == 2048
    below, beyond = _slope(values, 4, 64), _slope(values, 128, 1024)
    assert below == pytest.approx(-1.64, abs=0.05)
    assert abs(beyond - below) < 0.1


@pytest.mark.slow
def test_real_relu_features_within_thirty_percent():
    """Spectrum and target from a kernel matrix of 2,000 points; the theory takes the features for Gaussian."""
    d, n = 12, 2000
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, d)) / np.sqrt(d)
    beta = rng.standard_normal(d)

    def target(points):
        return np.tanh(2 * points @ beta / np.linalg.norm(beta) * np.sqrt(d)) + np.abs(points[:, 0]) * np.sqrt(d) / 2

    # E relu(w x) relu(w x') over standard normal w
    norms = np.linalg.norm(X, axis=1)
    angle = np.arccos(np.clip(X @ X.T / np.outer(norms, norms), -1, 1))
    kernel = np.outer(norms, norms) * (np.sin(angle) + (np.pi - angle) * np.cos(angle)) / (2 * np.pi)
    values, vectors = np.linalg.eigh(kernel / n)
    y = target(X)
    power = (vectors.T @ y) ** 2 / n
    keep = values > 1e-9
    spectrum = Spectrum(values[keep], power[keep])
    for N, T, ridge in ((100, 200, 0.1), (200, 100, 0.1), (150, 150, 0.3)):
        theory = float(joint_losses(spectrum, features=N, samples=T, ridge=ridge).test)
        losses = []
        for _ in range(8):
            W = rng.standard_normal((N, d))
            rows, fresh = rng.standard_normal((T, d)) / np.sqrt(d), rng.standard_normal((4000, d)) / np.sqrt(d)
            Phi, tested = np.maximum(rows @ W.T, 0) / np.sqrt(N), np.maximum(fresh @ W.T, 0) / np.sqrt(N)
            theta = np.linalg.solve(Phi.T @ Phi + ridge * np.eye(N), Phi.T @ target(rows))
            losses.append(((tested @ theta - target(fresh)) ** 2).mean())
        assert theory == pytest.approx(np.mean(losses), rel=0.3)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"features": 0.5}, "features must be 1 or more, got 0.5"),
        ({"ridge": -1.0}, "ridge must be 0 or more, got -1"),
        ({"noise": np.nan}, "noise must be 0 or more, got nan"),
        ({"features": np.inf, "feature_variance": 1.0}, "leave it out for endless features"),
        ({"features": [1, 2], "samples": [1, 2, 3]}, "shapes do not go together"),
        ({"samples": "many"}, "samples is 'many'"),
        ({"ridge": np.inf}, "it is finite"),
    ],
)
def test_bad_input(given, says):
    with pytest.raises(TheoryError, match=says):
        joint_losses(PAPER, **{"features": 10, "samples": 10, **given})


def test_more_bad_input():
    with pytest.raises(TheoryError, match="one feature variance"):
        duality_gap(PAPER, features=3, samples=4, feature_variance=None)
    with pytest.raises(TheoryError, match="whole number"):
        isotropic_teacher(1.0, 2.5)  # type: ignore[arg-type]
    with pytest.raises(TheoryError, match='did you mean "relu"'):
        rf_simulate(PAPER, features=3, samples=4, ridge=0.1, activation="rellu")
    with pytest.raises(TheoryError, match="exact modes"):
        rf_simulate(power_law(1.5, 1.5), features=3, samples=4, ridge=0.1)
    with pytest.raises(TheoryError, match="pass power_law"):
        joint_losses([1.0], features=3, samples=4)  # type: ignore[arg-type]
