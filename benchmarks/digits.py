"""Predicted and real learning curves of the handwritten digits that ship with scikit-learn.

python -m benchmarks.digits

Half of the 1,797 images measure the spectrum of a kernel; students learn from images of the other half and are tested on the
rest of it, so that no image is in a prediction and in its test. Inputs are the 64 pixels, scaled to length 1; targets are the ten
classes as 0 and 1, less 0.1; the loss is the square summed over the ten.

- gaussian: N random combinations of the features of the arc-cosine kernel (infinitely many random ReLU units), linear weights.
- relu: N random ReLU units, linear weights.
- networks: one hidden layer of ReLU units in which both layers learn, by full-batch descent; predicted as lazy students of its
  tangent kernel with as many features as each output has weights.

Students with linear weights follow gradient flow exactly, by eigendecomposition. Each is compared with the mean of its draws;
besides, the same prediction from the eigenvalues and powers of the matrix as they are. `python -m benchmarks.theory_pages` writes
the page.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np
from sklearn.datasets import load_digits

from benchmarks.__main__ import RESULTS, commit, machine
from scalinglens.theory.learning_curve import learning_curve_of
from scalinglens.theory.random_features.problem import RandomFeatures
from scalinglens.theory.random_features.solve import solve
from scalinglens.worlds.measured import MeasuredSpectrum, measure_kernel
from scalinglens.worlds.spectra import Spectrum

FEATURES = (32, 64, 128, 256, 512, np.inf)
SAMPLES = (50, 100, 200, 400)
TIMES = np.geomspace(1, 1e6, 13)
DRAWS = 8
WIDTHS, NETWORK_SAMPLES, NETWORK_DRAWS = (16, 64, 256), (100, 300), 2
NETWORK_TIMES = np.array([1.0, 3, 10, 30, 100, 300, 1000])
STEP = 0.5  # learning rate of the networks; the largest eigenvalue of their kernel is below 1.5


def data() -> tuple[np.ndarray, np.ndarray]:
    """Images of length 1 [n, 64] and targets [n, 10], shuffled."""
    pixels, classes = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(pixels))
    x = pixels[order] / np.linalg.norm(pixels[order], axis=1, keepdims=True)
    return x, np.eye(10)[classes[order]] - 0.1


def arc_cosine(x: np.ndarray) -> np.ndarray:
    """2 <relu(w.x) relu(w.x')> over normal w, for inputs of length 1 (Cho and Saul 2009)."""
    cosine = np.clip(x @ x.T, -1, 1)
    angle = np.arccos(cosine)
    return (np.sin(angle) + (np.pi - angle) * cosine) / np.pi


def tangent(x: np.ndarray) -> np.ndarray:
    """Tangent kernel of one hidden layer of ReLU units, both layers learning."""
    cosine = np.clip(x @ x.T, -1, 1)
    return arc_cosine(x) + cosine * (np.pi - np.arccos(cosine)) / np.pi


def flow(kernel: np.ndarray, seen: np.ndarray, tested: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Test losses at `TIMES` of gradient flow with this kernel."""
    P = len(seen)
    l, U = np.linalg.eigh(kernel[np.ix_(seen, seen)] / P)
    l = np.where(l > 1e-12 * l[-1], l, 0.0)
    across = kernel[np.ix_(tested, seen)] @ U / P
    known = U.T @ y[seen]
    losses = []
    for t in TIMES:
        learned = np.where(l > 0, -np.expm1(-l * t) / np.where(l > 0, l, 1.0), t)
        losses.append(((y[tested] - across @ (learned[:, None] * known)) ** 2).sum(axis=1).mean())
    return np.array(losses)


def linear(kind: str, x: np.ndarray, y: np.ndarray, progress: str) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard error over draws [N, P, T] of students on these images."""
    kernel = arc_cosine(x)
    l, U = np.linalg.eigh(kernel)
    root = U * np.sqrt(np.maximum(l, 0))
    found = np.empty((DRAWS, len(FEATURES), len(SAMPLES), len(TIMES)))
    for draw in range(DRAWS):
        print(f"\r{progress}, draw {draw + 1} of {DRAWS}   ", end="", file=sys.stderr, flush=True)
        rng = np.random.default_rng([1, draw])
        for i, N in enumerate(FEATURES):
            if np.isinf(N):
                own = kernel
            else:
                width = int(N)
                F = (
                    root @ rng.standard_normal((len(x), width)) / np.sqrt(width)
                    if kind == "gaussian"
                    else np.maximum(x @ rng.standard_normal((x.shape[1], width)), 0) * np.sqrt(2 / width)
                )
                own = F @ F.T
            for j, P in enumerate(SAMPLES):
                order = rng.permutation(len(x))
                found[draw, i, j] = flow(own, order[:P], order[P:], y)
    return found.mean(axis=0), found.std(axis=0, ddof=1) / np.sqrt(DRAWS)


def network(width: int, P: int, x: np.ndarray, y: np.ndarray, seed: int) -> np.ndarray:
    """Test losses at `NETWORK_TIMES` of a trained network, less its output before training."""
    rng = np.random.default_rng([2, width, P, seed])
    order = rng.permutation(len(x))
    seen, tested = order[:P], order[P:]
    X, Y = x[seen].astype(np.float32), y[seen].astype(np.float32)
    W = rng.standard_normal((x.shape[1], width), dtype=np.float32)
    A = rng.standard_normal((width, y.shape[1]), dtype=np.float32)
    scale = np.float32(np.sqrt(2 / width))

    def output(inputs: np.ndarray) -> np.ndarray:
        return scale * (np.maximum(inputs @ W, 0) @ A)

    first, first_tested = output(X), output(x[tested].astype(np.float32))
    losses = []
    for step in range(1, round(float(NETWORK_TIMES[-1]) / STEP) + 1):
        hidden = X @ W
        active = np.maximum(hidden, 0)
        left = (Y - (scale * (active @ A) - first)) / P
        push = (left @ A.T) * (hidden > 0)
        A += STEP * scale * (active.T @ left)
        W += STEP * scale * (X.T @ push)
        if np.any(np.isclose(step * STEP, NETWORK_TIMES)):
            wrong = y[tested] - (output(x[tested].astype(np.float32)) - first_tested)
            losses.append((wrong**2).sum(axis=1).mean())
    return np.array(losses)


def errors(predicted: np.ndarray, real: np.ndarray) -> dict[str, float]:
    """Relative errors over the grid."""
    off = np.abs(predicted / real - 1)
    return {
        "median": float(np.median(off)),
        "mean": float(off.mean()),
        "ninety_percent": float(np.quantile(off, 0.9)),
        "largest": float(off.max()),
        "mean_signed": float(np.mean(predicted / real - 1)),
    }


def as_it_is(measured: MeasuredSpectrum) -> np.ndarray:
    """Losses from the eigenvalues and powers of the matrix, not freed of their bias."""
    spectrum = Spectrum(measured.eigenvalues, measured.power)
    problem = RandomFeatures(spectrum, np.array(FEATURES)[:, None], np.array(SAMPLES)[None, :])
    return solve(problem, TIMES).test


def main() -> None:
    x, y = data()
    half = len(x) // 2 + 1
    measured = measure_kernel(arc_cosine(x[:half]), y[:half])
    print(measured)
    predicted = learning_curve_of(measured, TIMES, features=FEATURES, samples=SAMPLES).loss
    biased = as_it_is(measured)
    outcome: dict[str, Any] = {
        "measured": {name: value for name, value in measured.to_dict().items() if name != "schema"},
        "features": [None if np.isinf(N) else N for N in FEATURES],
        "samples": SAMPLES,
        "times": TIMES.tolist(),
        "draws": DRAWS,
        "predicted": predicted.tolist(),
        "students": {},
    }
    for kind in ("gaussian", "relu"):
        mean, error = linear(kind, x[half:], y[half:], kind)
        outcome["students"][kind] = {
            "loss": mean.tolist(),
            "stderr": error.tolist(),
            "errors": errors(predicted, mean),
            "errors_as_it_is": errors(biased, mean),
            "by_features": [errors(predicted[i], mean[i])["median"] for i in range(len(FEATURES))],
        }
        print(f"\n{kind}: {outcome['students'][kind]['errors']}")
    lazy = measure_kernel(tangent(x[:half]), y[:half], halves=0)
    trained = np.empty((len(WIDTHS), len(NETWORK_SAMPLES), len(NETWORK_TIMES)))
    for i, width in enumerate(WIDTHS):
        for j, P in enumerate(NETWORK_SAMPLES):
            print(f"\rnetwork of width {width}, {P} images   ", end="", file=sys.stderr, flush=True)
            runs = [network(width, P, x[half:], y[half:], seed) for seed in range(NETWORK_DRAWS)]
            trained[i, j] = np.mean(runs, axis=0)
    counts = [width * (x.shape[1] + 1) for width in WIDTHS]
    expected = learning_curve_of(lazy, NETWORK_TIMES, features=counts, samples=NETWORK_SAMPLES).loss
    outcome["networks"] = {
        "widths": WIDTHS,
        "samples": NETWORK_SAMPLES,
        "times": NETWORK_TIMES.tolist(),
        "draws": NETWORK_DRAWS,
        "loss": trained.tolist(),
        "predicted": expected.tolist(),
        "errors": errors(expected, trained),
        "by_width": [errors(expected[i], trained[i]) for i in range(len(WIDTHS))],
        "last": [errors(expected[i, :, -1], trained[i, :, -1]) for i in range(len(WIDTHS))],
    }
    print(f"\nnetworks: {outcome['networks']['errors']}")
    outcome |= {"commit": commit(), "machine": machine()}
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "digits.json").write_text(json.dumps(outcome, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
