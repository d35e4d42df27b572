"""Measured spectra against spectra that are known: Gaussian features, and matrices of the wrong kind."""

from __future__ import annotations

import numpy as np
import pytest

from scalinglens.errors import WorldError
from scalinglens.theory.random_features.problem import RandomFeatures
from scalinglens.theory.random_features.solve import solve
from scalinglens.worlds import measured
from scalinglens.worlds.measured import measure_features, measure_kernel
from scalinglens.worlds.spectra import Spectrum, power_law

M, n = 2000, 500
A, B, NOISE = 1.5, 1.25, 0.2


@pytest.fixture(scope="module")
def world() -> tuple[np.ndarray, np.ndarray]:
    """Features [n, M] of the power law (1.5, 1.25) and targets with noise."""
    rng = np.random.default_rng(0)
    k = np.arange(1.0, M + 1)
    psi = rng.standard_normal((n, M)) * k ** (-B / 2)
    signs = rng.choice([-1.0, 1.0], M)
    return psi, psi @ (signs * k ** ((B - A) / 2)) + np.sqrt(NOISE) * rng.standard_normal(n)


def test_sums_of_the_spectrum_are_those_of_the_truth(world: tuple[np.ndarray, np.ndarray]) -> None:
    found, true = measure_features(*world, halves=0), power_law(A, B, M)
    kappa = np.geomspace(found.resolution * 1.5, 1.0, 20)
    rank = found.spectrum.degrees_of_freedom(kappa) / true.degrees_of_freedom(kappa)
    # fluctuations of n samples: the trace of the kernel is known to about sqrt(2 sum lambda^2/n)/sum lambda, two percent here
    assert np.all(np.abs(rank - 1) < 0.06)

    def tail(spectrum: Spectrum) -> np.ndarray:
        at = spectrum.eigenvalues
        return (kappa[:, None] / (kappa[:, None] + at)) ** 2 @ spectrum.weights[1]

    left = (tail(found.spectrum) + found.noise) / (tail(true) + NOISE)
    assert np.all(np.abs(left - 1) < 0.3)
    assert np.median(np.abs(left - 1)) < 0.12


def test_the_matrix_as_it_is_has_other_sums(world: tuple[np.ndarray, np.ndarray]) -> None:
    """The control: without the correction the samples seem to have more power in few modes and no noise."""
    found = measure_features(*world, halves=0)
    as_it_is = Spectrum(found.eigenvalues, found.power)
    true = RandomFeatures(power_law(A, B, M), np.inf, 200, NOISE)
    real = solve(true, [1e4]).test[0] + NOISE
    corrected = solve(RandomFeatures(found.spectrum, np.inf, 200, found.noise), [1e4]).test[0] + found.noise
    naive = solve(RandomFeatures(as_it_is, np.inf, 200), [1e4]).test[0]
    assert abs(corrected / real - 1) < 0.1
    assert naive / real - 1 < -0.2


def test_exponents_are_the_slopes_of_the_true_sums_and_scatter_as_their_intervals_say() -> None:
    true = power_law(A, B, M)
    kappa = np.geomspace(1e-4, 1.0, 2000)
    rank = true.degrees_of_freedom(kappa)
    tail = (kappa[:, None] / (kappa[:, None] + true.eigenvalues)) ** 2 @ true.target_power
    inside = (rank >= 5) & (rank <= 75)
    x = np.log(rank[inside])
    a = 1 - np.polyfit(x, np.log(tail[inside]), 1)[0]
    b = -np.polyfit(x, np.log(kappa[inside]), 1)[0]
    values, widths = [], []
    k = np.arange(1.0, M + 1)
    for seed in range(6):
        rng = np.random.default_rng([1, seed])
        psi = rng.standard_normal((300, M)) * k ** (-B / 2)
        y = psi @ (rng.choice([-1.0, 1.0], M) * k ** ((B - A) / 2))
        found = measure_features(psi, y, halves=12, seed=seed)
        values.append((found.source.value, found.capacity.value))
        widths.append((found.source.width, found.capacity.width))
    assert np.abs(np.mean(values, axis=0) - (a, b)) == pytest.approx([0, 0], abs=0.06)
    scatter = 2 * 1.8 * np.std(values, axis=0, ddof=1)  # full width of a 90% interval of Student's t with 11 degrees
    ratio = np.mean(widths, axis=0) / scatter
    assert np.all((ratio > 0.4) & (ratio < 3))  # the scatter of six worlds is itself known to a third


def test_the_second_solver_finds_the_same_sums(
    world: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    small = world[0][:120], world[1][:120]
    first = measure_features(*small, halves=0)

    def tired(*_: object, **__: object) -> None:
        raise RuntimeError("Maximum number of iterations reached.")

    monkeypatch.setattr(measured, "nnls", tired)
    second = measure_features(*small, halves=0)
    kappa = np.geomspace(first.resolution, 1.0, 10)
    ranks = [found.spectrum.degrees_of_freedom(kappa) for found in (first, second)]
    assert ranks[1] == pytest.approx(ranks[0], rel=2e-3)


def test_few_features_are_ordinary_least_squares() -> None:
    """d features and P samples: the loss at late times is sigma^2 P/(P - d), the noise that of least squares."""
    rng = np.random.default_rng(0)
    d, P = 20, np.array([50.0, 100.0])
    F = rng.standard_normal((400, d)) * np.geomspace(1, 0.03, d)
    y = F @ (rng.standard_normal(d) / np.geomspace(1, 0.03, d)) + 0.7 * rng.standard_normal(400)
    found = measure_features(F, y, halves=4)
    left = y - F @ np.linalg.lstsq(F, y, rcond=None)[0]
    assert found.noise == pytest.approx(left @ left / (400 - d), rel=1e-2)
    assert found.spectrum.modes == pytest.approx(d, rel=1e-3)
    late = solve(RandomFeatures(found.spectrum, np.inf, P, found.noise), [1e6]).test[:, 0] + found.noise
    assert late == pytest.approx(found.noise * P / (P - d), rel=1e-3)
    assert "not known" in repr(found)
    assert any("no ranks from" in told for told in found.warnings)


def test_noise_alone_is_noise(world: tuple[np.ndarray, np.ndarray]) -> None:
    y = np.random.default_rng(3).standard_normal(n)
    found = measure_features(world[0], y, halves=0)
    assert found.noise > 0.8 * float(np.mean(y**2))


def test_outputs_add_up(world: tuple[np.ndarray, np.ndarray]) -> None:
    psi, y = world
    one, two = (measure_features(psi, targets, halves=0) for targets in (y, np.column_stack((y, y))))
    assert two.residuals == pytest.approx(2 * one.residuals, rel=1e-12)
    assert two.source.value == pytest.approx(one.source.value, abs=0.02)


def test_same_seed_same_intervals(world: tuple[np.ndarray, np.ndarray]) -> None:
    psi, y = world
    small = psi[:100], y[:100]
    first, again, other = (measure_features(*small, halves=4, seed=seed) for seed in (1, 1, 2))
    assert first.source == again.source
    assert first.source != other.source


@pytest.mark.parametrize(
    ("kernel", "targets", "says"),
    [
        (np.ones((3, 4)), np.ones(3), "square"),
        (np.triu(np.ones((50, 50))), np.ones(50), "not symmetric"),
        (-np.eye(50), np.ones(50), "none below zero"),
        (np.eye(50), np.ones(49), "49 targets for a kernel of 50"),
        (np.eye(50), np.zeros(50), "nothing to learn"),
        (np.eye(50), np.full(50, np.nan), "not finite, first at"),
        (np.eye(20), np.ones(20), "at least 40"),
        (np.eye(50), np.array(["a"] * 50), "encode classes"),
        ("K", np.ones(50), "no matrix of numbers"),
    ],
)
def test_bad_input_is_named(kernel: object, targets: object, says: str) -> None:
    with pytest.raises(WorldError, match=says):
        measure_kernel(kernel, targets)


def test_a_window_outside_the_samples_is_refused() -> None:
    with pytest.raises(WorldError, match="window"):
        measure_kernel(np.eye(50), np.ones(50), window=(5, 40))
