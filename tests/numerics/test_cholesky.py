"""Systems solved over lanes against LAPACK, one at a time."""

import numpy as np
import pytest

from scalinglens.numerics.cholesky import solve_positive_definite


def systems(lanes, size, smallest, seed=0):
    """Symmetric matrices of unit diagonal and a smallest eigenvalue of about the given size and sign."""
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(lanes):
        q = np.linalg.qr(rng.normal(size=(size, size)))[0]
        spectrum = np.exp(rng.uniform(-2, 2, size))
        spectrum[0] = smallest
        matrix = (q * spectrum) @ q.T
        scale = 1 / np.sqrt(np.abs(np.diag(matrix)))
        made.append(matrix * np.outer(scale, scale))
    return np.array(made), rng.normal(size=(lanes, size))


@pytest.mark.parametrize("lanes", [1, 3, 40, 300])
@pytest.mark.parametrize("size", [1, 2, 5, 9])
def test_positive_definite_systems_are_solved_as_by_lapack(lanes, size):
    matrices, right = systems(lanes, size, 0.05)
    x, good = solve_positive_definite(matrices.copy(), right.copy())
    assert np.all(good)
    # relative error about condition (some hundreds) times rounding
    np.testing.assert_allclose(x, np.linalg.solve(matrices, right[:, :, None])[:, :, 0], rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("lanes", [2, 60])
def test_the_mask_says_what_the_eigenvalues_say_and_no_lane_spoils_another(lanes):
    good_ones, right = systems(lanes, 4, 0.1)
    bad_ones, _ = systems(lanes, 4, -0.1, seed=1)
    mixed = good_ones.copy()
    odd = np.arange(lanes) % 2 == 1
    mixed[odd] = bad_ones[odd]
    x, good = solve_positive_definite(mixed.copy(), right.copy())
    assert good.tolist() == (np.linalg.eigvalsh(mixed)[:, 0] > 0).tolist()
    np.testing.assert_allclose(x[good], np.linalg.solve(mixed[good], right[good][:, :, None])[:, :, 0], rtol=1e-9)


@pytest.mark.parametrize("lanes", [2, 60])
def test_matrices_that_are_not_numbers_are_masked(lanes):
    matrices, right = systems(lanes, 3, 0.2)
    matrices[0, 1, 1] = np.nan
    x, good = solve_positive_definite(matrices.copy(), right.copy())
    assert not good[0]
    assert np.all(good[1:])
    np.testing.assert_allclose(x[1:], np.linalg.solve(matrices[1:], right[1:, :, None])[:, :, 0], rtol=1e-9)


def test_the_right_sides_are_left_alone():
    matrices, right = systems(50, 4, 0.1)
    before = matrices.copy(), right.copy()
    solve_positive_definite(matrices, right)
    assert np.array_equal(matrices, before[0])
    assert np.array_equal(right, before[1])
