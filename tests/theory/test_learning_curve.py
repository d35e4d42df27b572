"""Predicted losses of data against students trained on other data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from scalinglens.errors import TheoryError, WorldError
from scalinglens.numerics.processes import single_threaded_blas
from scalinglens.theory.learning_curve import learning_curve_of, predict_learning_curve
from scalinglens.theory.learning_curve_command import learning_curve
from scalinglens.theory.random_features.optimizers import GradientDescent
from scalinglens.theory.random_features.problem import RandomFeatures
from scalinglens.theory.random_features.solve import solve
from scalinglens.worlds.measured import measure_kernel
from scalinglens.worlds.spectra import Spectrum


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, np.ndarray]:
    """900 images of length 1 through 2,000 random ReLU units [900, 2000], and their ten classes less the mean."""
    pixels, classes = load_digits(return_X_y=True)
    rng = np.random.default_rng(0)
    order = rng.permutation(len(pixels))[:900]
    x = pixels[order] / np.linalg.norm(pixels[order], axis=1, keepdims=True)
    F = np.maximum(x @ rng.standard_normal((64, 2000)), 0) * np.sqrt(2 / 2000)
    return F, np.eye(10)[classes[order]] - 0.1


def trained(F: np.ndarray, y: np.ndarray, N: int, P: int, times: np.ndarray, draws: int) -> np.ndarray:
    """Mean test loss of N random combinations of features, gradient flow on P rows, tested on the others."""
    found = []
    for draw in range(draws):
        rng = np.random.default_rng([N, P, draw])
        own = F @ rng.standard_normal((F.shape[1], N)) / np.sqrt(N)
        order = rng.permutation(len(F))
        seen, tested = order[:P], order[P:]
        U, s, V = np.linalg.svd(own[seen], full_matrices=False)
        rates = s**2 / P
        losses = []
        for t in times:
            w = V.T @ ((-np.expm1(-rates * t) / s)[:, None] * (U.T @ y[seen]))
            losses.append(((y[tested] - own[tested] @ w) ** 2).sum(axis=1).mean())
        found.append(losses)
    return np.mean(found, axis=0)


def test_digits_are_predicted_from_other_digits(digits: tuple[np.ndarray, np.ndarray]) -> None:
    """The measurement sees 450 images, the students the other 450; the matrix as it is predicts worse where it matters."""
    F, y = digits
    times = np.array([1.0, 10, 100, 1e3, 1e4])
    N, P = [40, 160], [60, 240]
    found = predict_learning_curve(F[:450], y[:450], times=times, features=N, samples=P, halves=0)
    with single_threaded_blas():
        real = np.array([[trained(F[450:], y[450:], a, b, times, 4) for b in P] for a in N])
    off = np.abs(found.loss / real - 1)
    assert np.median(off) < 0.05
    assert off.max() < 0.25
    measured = found.measured
    sizes = np.array(N)[:, None], np.array(P)[None, :]
    naive = solve(RandomFeatures(Spectrum(measured.eigenvalues, measured.power), *sizes), times).test
    assert np.median(np.abs(naive / real - 1)) > np.median(off)


def test_shuffled_targets_cannot_be_learned(digits: tuple[np.ndarray, np.ndarray]) -> None:
    F, y = digits
    shuffled = y[np.random.default_rng(1).permutation(len(y))]
    found = predict_learning_curve(F[:450], shuffled[:450], times=[10.0, 1e4], features=100, samples=200, halves=0)
    start = float((y**2).sum(axis=1).mean())
    assert np.all(found.loss > 0.95 * start)


def test_kernel_and_features_agree(digits: tuple[np.ndarray, np.ndarray]) -> None:
    F, y = digits[0][:200], digits[1][:200]
    ask = {"times": [1.0, 30.0], "features": 32, "samples": [20, 50], "halves": 0}
    by_kernel = predict_learning_curve(F @ F.T, y, given="kernel", **ask)
    by_features = predict_learning_curve(F, y, **ask)
    assert by_kernel.loss == pytest.approx(by_features.loss, rel=1e-9)


def test_small_steps_of_descent_are_the_flow(digits: tuple[np.ndarray, np.ndarray]) -> None:
    F, y = digits[0][:200], digits[1][:200]
    measured = measure_kernel(F @ F.T, y, halves=0)
    flow = learning_curve_of(measured, [10.0], features=32, samples=50)
    descent = learning_curve_of(measured, [1000], features=32, samples=50, optimizer=GradientDescent(0.01))
    assert descent.loss == pytest.approx(flow.loss, rel=1e-3)


def test_runs_and_warnings(digits: tuple[np.ndarray, np.ndarray]) -> None:
    F, y = digits[0][:200], digits[1][:200]
    measured = measure_kernel(F @ F.T, y, halves=0)
    found = learning_curve_of(measured, [1.0, 1e3], features=[32, 64], samples=[50, 400])
    assert not any("extrapolated" in told for told in found.warnings)
    runs = found.runs()
    assert runs.column("loss") == pytest.approx(found.loss.ravel(), rel=1e-12)
    beyond = learning_curve_of(measured, [1.0, 1e3], features=[32, 640], samples=[50, 400])
    assert any("1 of 4 pairs" in told for told in beyond.warnings)


def test_the_command_reads_files(tmp_path: Path, digits: tuple[np.ndarray, np.ndarray]) -> None:
    F, y = digits[0][:100], digits[1][:100]
    np.save(tmp_path / "X.npy", F)
    np.save(tmp_path / "y.npy", y)
    (tmp_path / "bad.npy").write_text("hello")
    data, goal = str(tmp_path / "X.npy"), str(tmp_path / "y.npy")
    found = learning_curve(features_file=data, targets=goal, features="8,16", samples="20,inf", times="1,10", halves=0)
    same = predict_learning_curve(F, y, times=[1, 10], features=[8, 16], samples=[20, np.inf], halves=0)
    assert np.asarray(found.table["loss"]) == pytest.approx(same.loss.ravel(), rel=1e-12)
    assert found.to_dict()["measured"]["samples"] == 100
    for wrong, says in (
        ({"features_file": str(tmp_path / "no.npy")}, "no such file"),
        ({"features_file": str(tmp_path / "bad.npy")}, "no .npy file of numbers"),
        ({"features_file": data, "kernel_file": data}, "keep one"),
        ({"features_file": data, "optimizer": "sgd"}, "full-batch"),
        ({"features_file": data, "halves": 1}, "at least 2"),
        ({"features_file": data, "features": "0"}, "at least 1"),
    ):
        with pytest.raises((TheoryError, WorldError), match=says):
            learning_curve(**{"targets": goal, "times": "1,10", "halves": 0, **wrong})
