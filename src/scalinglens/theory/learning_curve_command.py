"""The learning curve of a data set as a question with files and plain numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from scalinglens.errors import TheoryError
from scalinglens.figures.figure import ACCENT, Axis, Figure, Line, Panel, Points, series
from scalinglens.theory.answer import Answer
from scalinglens.theory.learning_curve import LearningCurve, learning_curve_of
from scalinglens.theory.numbers import amounts, read_array
from scalinglens.theory.random_features.commands import optimizer_of
from scalinglens.worlds.measured import HALVES, measure_features, measure_kernel

__all__ = ["learning_curve"]

_SOURCES = (
    "Bordelon, Atanasov and Pehlevan 2024, A Dynamical Model of Neural Scaling Laws, arXiv 2402.01092",
    "Atanasov, Zavatone-Veth and Pehlevan 2024, Scaling and renormalization in high-dimensional regression, arXiv 2405.00592",
)


def learning_curve(
    *,
    targets: str,
    features_file: str = "",
    kernel_file: str = "",
    features: str = "inf",
    samples: str = "inf",
    times: str = "1:1e4:9",
    optimizer: str = "gradient-flow",
    lr: float | None = None,
    momentum: float | None = None,
    schedule: str | None = None,
    inertia: float | None = None,
    decay: float | None = None,
    halves: int = HALVES,
    seed: int = 0,
) -> Answer:
    """Test loss of random-feature students of your own data, from the spectrum that the data show.

    Args:
        targets: file .npy of y, one number or one row per sample.
        features_file: file .npy of features, one row per sample; their kernel is F F^T.
        kernel_file: file .npy of a kernel matrix, instead of features.
        features: N, the sizes of the students, a list A,B,C; inf for the kernel itself.
        samples: P, the sizes of the training sets, a list A,B,C; inf is allowed.
        times: list A,B,C or range LOW:HIGH:COUNT; steps for a discrete optimizer, learning rate times steps otherwise.
        optimizer: gradient-flow, gd, scheduled-gd, heavy-ball, nesterov, momentum-flow or weight-decay.
        lr: learning rate, of gd, heavy-ball and nesterov.
        momentum: of heavy-ball and nesterov.
        schedule: of scheduled-gd, such as "cosine(0.3, steps=1000, warmup=100)".
        inertia: beta of momentum-flow, beta v'' + v' = -K v.
        decay: of weight-decay.
        halves: half-samples behind the intervals of a and b; 0 for none.
        seed: of the half-samples.

    Returns:
        features, samples, time, loss (with the noise) and train_loss; the measured a, b and noise in the notes.

    Raises:
        TheoryError, WorldError: files that cannot be read, data that show no spectrum, sizes that are not possible.

    Source: Bordelon, Atanasov and Pehlevan 2024 (arXiv 2402.01092).

    >>> learning_curve(targets="y.npy")
    Traceback (most recent call last):
    ...
    scalinglens.errors.TheoryError: no data: give --features-file X.npy, or --kernel-file K.npy
    """
    if not features_file and not kernel_file:
        raise TheoryError("no data: give --features-file X.npy, or --kernel-file K.npy")
    if features_file and kernel_file:
        raise TheoryError("both --features-file and --kernel-file are given; keep one of them")
    given: dict[str, Any] = {"lr": lr, "momentum": momentum, "schedule": schedule, "inertia": inertia, "decay": decay}
    method = None if optimizer == "sgd" else optimizer_of(optimizer, **given)
    if method is None:
        raise TheoryError("the learning curve of a data set is that of full-batch training; sgd is not offered here")
    sizes, sets, at = amounts("features", features), amounts("samples", samples), amounts("times", times)
    measure, file = (measure_kernel, kernel_file) if kernel_file else (measure_features, features_file)
    measured = measure(read_array("--kernel-file" if kernel_file else "--features-file", file), read_array("--targets", targets),
                       halves=halves, seed=seed)  # fmt: skip
    found = learning_curve_of(measured, at, features=sizes, samples=sets, optimizer=method)
    frame = found.to_frame()
    low, high = measured.window
    notes = [
        f"measured on {measured.samples} samples: a = {measured.source.says()}, b = {measured.capacity.says()}, "
        f"ranks {low:.3g} to {high:.3g}",
        f"{measured.noise:.4g} of the loss is noise, or too fine for these samples",
    ]
    return Answer(
        f"learning curve of {Path(file).name}, {optimizer}",
        {str(name): frame[name].to_numpy() for name in frame},
        {name: value for name, value in found.to_dict().items() if name != "schema"},
        notes,
        found.warnings,
        _SOURCES,
        _figure(found),
    )


def _figure(found: LearningCurve) -> Figure:
    """Loss over time for each N at the largest P, and the power by rank that it rests on."""
    shown = np.isfinite(found.times) & (found.times > 0)
    x = found.times[shown]
    lines = tuple(
        Line(x, found.loss[i, -1][shown], series(i), 1.6, label=f"N = {N:g}") for i, N in enumerate(found.features)
    )
    measured = found.measured
    tail = measured.residuals - measured.noise
    known = (tail > 0) & (measured.ranks >= 1)
    spectrum = (Points(measured.ranks[known], tail[known], ACCENT, label="power beyond"),)
    return Figure(
        "Learning curve from a measured spectrum",
        (
            Panel(f"Loss, P = {found.samples[-1]:g}", Axis("time", "log", "power"), Axis("test loss", "log"), lines),
            Panel("Target power beyond a rank", Axis("rank", "log"), Axis("power", "log"), spectrum),
        ),
    )
