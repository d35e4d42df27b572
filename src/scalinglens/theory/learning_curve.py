"""`predict_learning_curve`: data in, test loss over model size, samples and time out, without training anything."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from scalinglens.errors import TheoryError
from scalinglens.theory.random_features.optimizers import Optimizer
from scalinglens.theory.random_features.problem import RandomFeatures
from scalinglens.theory.random_features.solve import Curves, solve
from scalinglens.worlds.measured import MeasuredSpectrum, measure_features, measure_kernel

if TYPE_CHECKING:
    from scalinglens.runs import Runs

__all__ = ["LearningCurve", "learning_curve_of", "predict_learning_curve"]


@dataclass(frozen=True, eq=False)
class LearningCurve:
    """Predicted losses of a data set.

    Attributes:
        measured: the spectrum they rest on.
        curves: the solution; its test loss is without the noise.
        features, samples, times: N, P, t asked for.
        loss: test loss with the noise, per sample and summed over outputs [N, P, T].
        warnings: what a reader should know.
    """

    measured: MeasuredSpectrum
    curves: Curves
    features: np.ndarray
    samples: np.ndarray
    times: np.ndarray
    loss: np.ndarray
    warnings: tuple[str, ...] = ()

    def to_frame(self) -> pd.DataFrame:
        """Return one row per N, P and t: features, samples, time, loss, train_loss."""
        frame = self.curves.to_frame().drop(columns=["noise", "error", "test_loss"])
        frame.insert(3, "loss", self.loss.ravel())
        return frame

    def runs(self) -> Runs:
        """Return the losses as a table of runs: params N, tokens_unique P, steps t, loss with the noise."""
        return self.curves.runs()

    def to_dict(self) -> dict[str, Any]:
        """Return the prediction as plain data."""
        lists = {name: getattr(self, name).tolist() for name in ("features", "samples", "times", "loss")}
        return {"schema": 1, **lists, "train_loss": self.curves.train.tolist(), "measured": self.measured.to_dict()}


def predict_learning_curve(
    data: Any,
    targets: Any,
    *,
    times: Any,
    features: Any = math.inf,
    samples: Any = math.inf,
    optimizer: Optimizer | None = None,
    given: Literal["features", "kernel"] = "features",
    **options: Any,
) -> LearningCurve:
    """Predict the test loss of random-feature students of a data set from a measurement of its spectrum.

    loss(N, P, t) = L(N, P, t) + sigma^2; a student is N random combinations of the features (of the kernel's), linear weights
    trained by full-batch descent on half the mean square over P samples, from zero.

    Args:
        data: features F [n, any], whose kernel is F F^T, or a kernel [n, n]. targets: y [n] or [n, outputs].
        times: learning rate times steps, or steps of a discrete optimizer; inf for the end of training.
        features: N, one or more, inf for the kernel itself. samples: P, one or more, inf for endless data.
        optimizer: by default `GradientFlow()`.
        given: what `data` is.
        options: of `measure_kernel`: window, halves, level, seed.

    Returns:
        The `LearningCurve` on the grid of N, P and t.

    Raises:
        WorldError: data that show no spectrum. TheoryError: sizes or times that are not possible.

    Cost: the eigendecomposition of `measure_kernel`, and some milliseconds per N and P.

    Source: Bordelon, Atanasov and Pehlevan 2024 (arXiv 2402.01092); `scalinglens.worlds.measured` for the spectrum.

    >>> rng = np.random.default_rng(0)
    >>> F = rng.standard_normal((300, 500)) / np.arange(1, 501)
    >>> found = predict_learning_curve(F, F @ np.ones(500), times=[1, 100], features=[8, 32], samples=64, halves=0)
    >>> found.loss.shape, bool(found.loss[1, 0, 1] < found.loss[0, 0, 1])
    ((2, 1, 2), True)
    """
    if given not in ("features", "kernel"):
        raise TheoryError(f'given is {given!r}; it says what the data are, "features" or "kernel"')
    measure = measure_kernel if given == "kernel" else measure_features
    measured = measure(data, targets, **options)
    return learning_curve_of(measured, times, features=features, samples=samples, optimizer=optimizer)


def learning_curve_of(
    measured: MeasuredSpectrum,
    times: Any,
    *,
    features: Any = math.inf,
    samples: Any = math.inf,
    optimizer: Optimizer | None = None,
) -> LearningCurve:
    """Predict losses from a spectrum that is measured already; arguments and result as in `predict_learning_curve`."""
    N, P = _list("features", features), _list("samples", samples)
    problem = RandomFeatures(measured.spectrum, N[:, None], P[None, :], measured.noise)
    curves = solve(problem, times, optimizer)
    told = [*measured.warnings, *curves.warnings]
    few = np.minimum(N[:, None], P[None, :])
    # beyond n, and for endless sizes from the time on that resolves what n samples do not, the spectrum is made up
    beyond = few > measured.samples
    late = np.max(curves.times, initial=0.0, where=np.isfinite(curves.times)) * measured.resolution > 1
    if beyond.any() and (late or np.isinf(curves.times).any() or np.isfinite(few[beyond]).any()):
        told.append(
            f"{int(beyond.sum())} of {beyond.size} pairs of N and P see more than the {measured.samples} samples of the "
            "measurement resolve: late losses there are extrapolated"
        )
    return LearningCurve(measured, curves, N, P, curves.times, curves.test + measured.noise, tuple(told))


def _list(name: str, values: Any) -> np.ndarray:
    try:
        array = np.atleast_1d(np.asarray(values, dtype=float))
    except (TypeError, ValueError):
        raise TheoryError(f"{name} is {values!r}; give one or more numbers, inf is allowed") from None
    if array.ndim != 1:
        raise TheoryError(f"{name} has shape {array.shape}; give a list of numbers")
    return array
