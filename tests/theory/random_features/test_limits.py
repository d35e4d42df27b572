"""What must hold for every problem: limits, symmetries, batches."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from scalinglens.theory.random_features.optimizers import (
    ContinuousMomentum,
    GradientDescent,
    GradientFlow,
    WeightDecay,
)
from scalinglens.theory.random_features.problem import RandomFeatures
from scalinglens.theory.random_features.solve import solve
from scalinglens.theory.random_features.static import static_loss
from scalinglens.worlds.spectra import Spectrum, power_law

sources = st.floats(1.05, 4)
capacities = st.floats(1.05, 3)
sizes = st.one_of(st.just(np.inf), st.floats(1, 3e4).map(round))
noises = st.one_of(st.just(0.0), st.floats(1e-3, 5))
moments = st.floats(-1, 5).map(lambda x: 10.0**x)
few = settings(max_examples=40, deadline=None)


# exponents and number of modes, so that a failing case is told in a line
spectra = st.tuples(sources, capacities, st.one_of(st.just(np.inf), st.integers(2, 2000)))


@few
@given(law=spectra, N=sizes, P=sizes, noise=noises)
def test_it_starts_from_the_signal_and_ends_in_the_closed_form(law, N, P, noise):
    spectrum = power_law(*law)
    problem = RandomFeatures(spectrum, N, P, noise)
    curves = solve(problem, [0, np.inf])
    test, train = static_loss(problem)
    assert curves.test[0] == spectrum.signal
    assert curves.train[0] == spectrum.signal + noise
    assert [curves.test[1], curves.train[1]] == [test, train]
    assert curves.error.tolist() == [0, 0]
    # just after the start the loss falls by 2 t sum lambda^2 w^2: the mean of K is Lambda, whatever N and P
    slope = 2 * float((spectrum.weights[1] * spectrum.eigenvalues).sum())
    early = float(solve(problem, 1e-7, digits=11).test[0])
    assert (spectrum.signal - early) / (1e-7 * slope) == pytest.approx(1, rel=2e-2, abs=1e-3)


@few
@given(law=spectra, noise=noises, time=moments, P=sizes)
def test_very_large_sizes_are_endless_ones(law, noise, time, P):
    spectrum = power_law(*law)
    endless = solve(RandomFeatures(spectrum, np.inf, P, noise), time)
    wide = solve(RandomFeatures(spectrum, 1e13, P, noise), time)
    assert wide.test == pytest.approx(endless.test, rel=1e-5, abs=1e-9)
    assert wide.train == pytest.approx(endless.train, rel=1e-5, abs=1e-9)
    many = solve(RandomFeatures(spectrum, P, 1e13, noise), time)
    assert many.test == pytest.approx(solve(RandomFeatures(spectrum, P, np.inf, noise), time).test, rel=1e-5, abs=1e-9)


@few
@given(law=spectra, N=sizes, P=sizes, noise=noises, time=moments, scale=st.floats(1e-3, 1e3))
def test_only_the_product_of_eigenvalue_and_time_counts(law, N, P, noise, time, scale):
    spectrum = power_law(*law)
    scaled = Spectrum(scale * spectrum.eigenvalues, spectrum.target_power, spectrum.multiplicity)
    one = solve(RandomFeatures(spectrum, N, P, noise), time)
    other = solve(RandomFeatures(scaled, N, P, noise), time / scale)
    room = {"rel": 1e-6, "abs": 1e-10 * spectrum.signal}
    assert other.test == pytest.approx(one.test, **room)
    assert other.train == pytest.approx(one.train, **room)


@few
@given(law=spectra, N=sizes, P=sizes, time=moments, noise=noises)
def test_signal_and_noise_add_up(law, N, P, time, noise):
    spectrum = power_law(*law)
    silent = Spectrum(spectrum.eigenvalues, np.zeros_like(spectrum.eigenvalues), spectrum.multiplicity)
    parts = [solve(RandomFeatures(s, N, P, n), time) for s, n in ((spectrum, 0.0), (silent, noise), (spectrum, noise))]
    room = {"rel": 1e-6, "abs": 1e-9 * (spectrum.signal + noise)}
    assert parts[2].test == pytest.approx(parts[0].test + parts[1].test, **room)
    assert parts[2].train == pytest.approx(parts[0].train + parts[1].train, **room)


@few
@given(law=spectra, N=st.integers(1, 3000), P=st.integers(1, 3000), time=moments)
def test_features_and_samples_are_dual_in_the_bias(law, N, P, time):
    """s = z (1 - D/P)(1 - D/N) does not tell N from P, and the bias knows nothing else."""
    spectrum = power_law(*law)
    one = solve(RandomFeatures(spectrum, N, P), time, parts=True).parts["bias"]
    other = solve(RandomFeatures(spectrum, P, N), time, parts=True).parts["bias"]
    assert other == pytest.approx(one, rel=1e-7, abs=1e-12)


@few
@given(law=spectra, n=st.integers(1, 1500))
def test_the_static_signal_is_dual_for_one_bottleneck(law, n):
    """kappa is the same for n features and n samples; L(N) = kappa sum v/(v + kappa) is dL(P)-like: t0/(1 - g) below it."""
    spectrum = power_law(*law)
    assume(n < spectrum.modes)
    late = [float(static_loss(p)[0]) for p in (RandomFeatures(spectrum, n), RandomFeatures(spectrum, np.inf, n))]
    lam, (trace, power) = spectrum.eigenvalues, spectrum.weights
    low, high = 0.0, spectrum.trace / n + 1
    for _ in range(200):
        kappa = (low + high) / 2
        low, high = (kappa, high) if (trace / (lam + kappa)).sum() > n else (low, kappa)
    h = kappa / (lam + kappa)
    g = (trace * lam / (lam + kappa) ** 2).sum() / n
    assert late[0] == pytest.approx((power * h).sum(), rel=1e-6, abs=1e-14)
    assert late[1] == pytest.approx((power * h**2).sum() / (1 - g), rel=1e-6, abs=1e-14)


@few
@given(law=spectra, time=moments)
def test_more_features_and_longer_training_help_where_data_are_endless(law, time):
    spectrum = power_law(*law)
    widths = solve(RandomFeatures(spectrum, [2, 8, 32, 128, 512, np.inf]), [time, 3 * time, np.inf])
    loss, room = widths.test, 1e-7 * widths.test + 1e-11 * spectrum.signal
    assert np.all(np.diff(loss, axis=0) <= room[1:])
    assert np.all(np.diff(loss, axis=1) <= room[:, 1:])
    # the train loss of a fixed training set never rises under gradient flow
    seen = solve(RandomFeatures(spectrum, 50, [5, 50, 500], 0.5), [time, 3 * time, 10 * time])
    assert np.all(np.diff(seen.train, axis=1) <= 1e-7 * seen.train[:, 1:] + 1e-11 * (spectrum.signal + 0.5))


@few
@given(law=spectra, N=sizes, P=sizes, noise=noises, time=moments)
def test_parts_are_ordered(law, N, P, noise, time):
    """Averaging over students never hurts: bias <= each cross-correlation <= test."""
    spectrum = power_law(*law)
    curves = solve(RandomFeatures(spectrum, N, P, noise), time, parts=True)
    room = 1e-6 * abs(float(curves.test[0])) + 1e-10 * (spectrum.signal + noise)
    for name in ("same_data", "same_features"):
        assert float(curves.parts["bias"][0]) <= float(curves.parts[name][0]) + room
        assert float(curves.parts[name][0]) <= float(curves.test[0]) + room
    # two students or endlessly many
    assert float(curves.ensemble(2)[0]) <= float(curves.test[0]) + room


@pytest.mark.parametrize("optimizer", [GradientFlow(), GradientDescent(0.05)])
def test_a_batch_is_its_members(optimizer):
    spectrum = power_law(1.5, 1.25, 300)
    rng = np.random.default_rng(0)
    N, P = (np.where(rng.random((3, 4)) < 0.2, np.inf, rng.integers(2, 500, (3, 4))) for _ in range(2))
    batch = RandomFeatures(spectrum, N, P, rng.random((3, 4)))
    times = [0, 1, 30, 400, np.inf]
    together = solve(batch, times, optimizer, parts=True)
    for i in np.ndindex(3, 4):
        alone = solve(RandomFeatures(spectrum, N[i], P[i], batch.noise[i]), times, optimizer, parts=True)
        assert together.test[i] == pytest.approx(alone.test, rel=1e-7)
        assert together.train[i] == pytest.approx(alone.train, rel=1e-7, abs=1e-10)
        for name, value in alone.parts.items():
            assert together.parts[name][i][1:4] == pytest.approx(value[1:4], rel=1e-7)


@few
@given(law=spectra, N=st.integers(2, 3000), P=st.integers(2, 3000), noise=noises, time=st.floats(-1, 3))
def test_slopes_are_derivatives(law, N, P, noise, time):
    spectrum = power_law(*law)
    step, time = 1e-4, 10.0**time
    curves = solve(RandomFeatures(spectrum, N, P, noise), time, slopes=True, digits=11)
    assume(float(curves.test[0]) > 1e-3 * spectrum.signal)
    up, down = np.exp(step), np.exp(-step)
    pairs = {
        "features": [(N * up, P, time), (N * down, P, time)],
        "samples": [(N, P * up, time), (N, P * down, time)],
        "times": [(N, P, time * up), (N, P, time * down)],
    }
    for name, sides in pairs.items():
        high, low = (float(solve(RandomFeatures(spectrum, n, p, noise), t, digits=11).test[0]) for n, p, t in sides)
        assert float(curves.slopes[name][0]) == pytest.approx(np.log(high / low) / (2 * step), abs=1e-5, rel=1e-4)


@pytest.mark.parametrize("optimizer", [WeightDecay(0.03), ContinuousMomentum(0.1), ContinuousMomentum(20.0)])
def test_slopes_of_other_flows_are_derivatives(optimizer):
    problem, times, step = RandomFeatures(power_law(1.5, 1.25, 300), 60, 90, 0.1), np.array([0.7, 9.0, 400.0]), 1e-4
    found = solve(problem, times, optimizer, slopes=True, digits=11)
    sides = (np.log(solve(problem, times * np.exp(side), optimizer, digits=11).test) for side in (step, -step))
    assert found.slopes["times"] == pytest.approx(np.subtract(*sides) / (2 * step), abs=1e-6)
