"""`simulate`: random draws of features, data and targets trained as they are, beside the theory that predicts their mean."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from scalinglens.errors import TheoryError
from scalinglens.numerics.processes import parallel_map, single_threaded_blas
from scalinglens.theory.random_features.correlations import PARTS
from scalinglens.theory.random_features.optimizers import GradientDescent, GradientFlow, Optimizer
from scalinglens.theory.random_features.problem import RandomFeatures
from scalinglens.theory.random_features.solve import checked_times
from scalinglens.theory.students import arrays, learned, train_full_batch, train_on_features, train_one_pass

__all__ = ["ACTIVATIONS", "Simulation", "simulate"]

ACTIVATIONS = ("linear", "relu", "tanh")
_BLOCK = 1 << 22  # numbers of the features and data of a block of draws
_FRESH = 1024  # test samples of a student whose loss has no closed form


@dataclass(frozen=True, eq=False)
class Simulation:
    """The result of `simulate`: means over draws, with their standard errors; arrays are by time [T].

    Attributes:
        problem, times: what was simulated.
        mean, stderr: test loss, without the label noise. train_mean, train_stderr: loss on the training set, with it.
        losses, train_losses: of each draw [seeds, T].
        parts, parts_stderr: names of `PARTS` -> correlation of the errors of two models, where asked for.
        transfer, transfer_stderr: mean of H_k(t) [modes, T], where asked for.
    """

    problem: RandomFeatures
    times: np.ndarray
    mean: np.ndarray
    stderr: np.ndarray
    train_mean: np.ndarray
    train_stderr: np.ndarray
    losses: np.ndarray
    train_losses: np.ndarray
    parts: Mapping[str, np.ndarray] = field(default_factory=dict)
    parts_stderr: Mapping[str, np.ndarray] = field(default_factory=dict)
    transfer: np.ndarray | None = None
    transfer_stderr: np.ndarray | None = None

    def to_frame(self) -> pd.DataFrame:
        """Return one row per time: time, test_loss, test_stderr, train_loss, train_stderr."""
        columns = ("times", "mean", "stderr", "train_mean", "train_stderr")
        names = ("time", "test_loss", "test_stderr", "train_loss", "train_stderr")
        return pd.DataFrame({name: getattr(self, column) for name, column in zip(names, columns, strict=True)})


def simulate(
    problem: RandomFeatures,
    times: Any,
    optimizer: Optimizer | None = None,
    *,
    seeds: int,
    seed: int = 0,
    lr: float | None = None,
    batch: float | None = None,
    targets: int = 1,
    parts: bool = False,
    modes: Sequence[int] = (),
    activation: str = "linear",
    device: str | None = None,
) -> Simulation:
    """Draw problems and train a student on each, exactly.

    Entries of A, the data and the label noise are Gaussian, the signs of w* random. Full-batch optimizers are followed through
    the eigenvectors of the smaller kernel matrix, one-pass SGD step by step.

    Args:
        problem: one problem, on a spectrum of single modes.
        times: zero or later, inf for the limit; whole numbers of steps for a discrete optimizer.
        optimizer: by default `GradientFlow()`; with lr and batch none, which is one-pass SGD.
        seeds: how many draws. seed: everything random follows from it; a draw is the same on every device, in any company.
        lr, batch: learning rate and samples per step of one-pass SGD.
        targets: teachers that each student learns at once; the loss is their mean.
        parts: also the correlations of two students that share features, data or neither, from four students a draw.
        modes: numbers k, from 1, whose transfer function H_k(t) = <v_k>/w*_k is wanted.
        activation: linear, or relu or tanh of A psi, whose test loss is the mean of 1,024 fresh samples.
        device: None for NumPy; cpu, cuda or another device of torch.

    Returns:
        The `Simulation`.

    Raises:
        TheoryError: a spectrum that stands for more modes than it has, sizes that are not whole, a step that diverges.

    Cost: per draw N P M products and an eigendecomposition of min(N, P): some 10 ms at N = 128, P = 256, M = 1,000.

    Source: Bordelon, Atanasov and Pehlevan 2024 (arXiv 2402.01092), section 2: the model itself.

    >>> from scalinglens.worlds.spectra import power_law
    >>> problem = RandomFeatures(power_law(1.5, 1.25, modes=200), 64, 96)
    >>> drawn = simulate(problem, [1, 10], seeds=40)
    >>> bool(np.all(abs(drawn.mean / [1.2796, 0.5972] - 1) < 4 * drawn.stderr + 1 / 64))    # the theory, and its order
    True
    """
    N, P, seeds, targets = _sizes(problem, seeds, targets)
    one_pass = optimizer is None and (lr is not None or batch is not None)
    if optimizer is not None and (lr is not None or batch is not None):
        raise TheoryError(
            f"lr and batch are those of one-pass SGD; {type(optimizer).__name__} has its own, leave them out"
        )
    if activation not in ACTIVATIONS:
        raise TheoryError(f"activation is {activation!r}; known are {', '.join(ACTIVATIONS)}")
    wanted = _modes(modes, problem)
    for name, asked in (("parts", parts), ("modes", bool(modes))):
        if asked and (one_pass or activation != "linear"):
            raise TheoryError(f"{name} are those of linear features and full batches; leave {name} out")
    if activation != "linear" and not (math.isfinite(N) and math.isfinite(P)):
        raise TheoryError(f"{activation} features need finite features and samples, got N = {N:g} and P = {P:g}")
    if one_pass:
        if targets > 1 or activation != "linear" or device is not None:
            raise TheoryError(
                "one-pass SGD is simulated with one target, linear features and NumPy; leave the rest out"
            )
        size, optimizer = _batch(lr, batch, P), GradientDescent(lr)  # type: ignore[arg-type]
        at = checked_times(times, optimizer)
        if not np.all(np.isfinite(at)):
            raise TheoryError("steps of one-pass SGD are finite; leave inf out")
        rate = optimizer.learning_rate

        def work(block: range) -> dict[str, np.ndarray]:
            return _one_pass(problem, at, rate, size, seed, block)

    else:
        optimizer = GradientFlow() if optimizer is None else optimizer
        at = checked_times(times, optimizer)

        def work(block: range) -> dict[str, np.ndarray]:
            with np.errstate(over="ignore", invalid="ignore"):  # what diverges is told below
                return _full_batch(problem, at, optimizer, seed, block, targets, parts, wanted, activation, device)

    M = len(problem.spectrum.eigenvalues)
    each = M * sum(int(n) for n in (N, P) if math.isfinite(n)) * (2 if parts else 1) + M * targets * len(at)
    step = max(1, min(_BLOCK // each, -(-seeds // 2)))
    blocks = [range(start, min(start + step, seeds)) for start in range(0, seeds, step)]
    if device is None:
        found = list(parallel_map(work, blocks))
    else:
        with single_threaded_blas():
            found = [work(block) for block in blocks]
    values = {name: np.concatenate([block[name] for block in found]) for name in found[0]}
    return _summary(problem, at, values, seeds, parts, bool(modes))


def _summary(
    problem: RandomFeatures, times: np.ndarray, values: dict[str, np.ndarray], seeds: int, parts: bool, modes: bool
) -> Simulation:
    with np.errstate(invalid="ignore"):
        wild = ~(values["test"] < 1e12 * (problem.spectrum.signal + float(problem.noise) + 1e-300))
    if wild.any():
        worst = times[wild.any(axis=0)].min()
        raise TheoryError(
            f"{int(wild.any(axis=1).sum())} of {seeds} draws diverged, the first at time {worst:g}: choose a smaller learning "
            "rate (a draw's largest eigenvalue may exceed that of the mean-field limit)"
        )
    mean = {name: value.mean(axis=0) for name, value in values.items()}
    spread = {name: value.std(axis=0, ddof=1) / math.sqrt(seeds) for name, value in values.items()}
    named = {name: name for name in PARTS} if parts else {}
    return Simulation(
        problem,
        times,
        mean["test"],
        spread["test"],
        mean["train"],
        spread["train"],
        values["test"],
        values["train"],
        {name: mean[name] for name in named},
        {name: spread[name] for name in named},
        mean["transfer"] if modes else None,
        spread["transfer"] if modes else None,
    )


@dataclass(frozen=True, eq=False)
class _Drawn:
    """What a block of draws starts from; lists have one entry, or two where the parts are wanted."""

    features: list[Any]
    data: list[Any]
    noise: list[Any]
    teachers: np.ndarray
    generators: list[np.random.Generator]


def _draw(
    problem: RandomFeatures, block: range, seed: int, targets: int, copies: int, *, samples: bool = True
) -> _Drawn:
    """Standard normal A/sqrt(N), Psi/sqrt(P) and label noise, and random signs; each draw has a generator of its own."""
    eigenvalues, power = problem.spectrum.eigenvalues, problem.spectrum.target_power
    N, P, sigma = float(problem.features), float(problem.samples), math.sqrt(float(problem.noise))
    M, S = len(eigenvalues), len(block)
    generators = [np.random.default_rng([seed, i]) for i in block]
    teachers = np.stack([g.integers(0, 2, (M, targets)) * 2.0 - 1.0 for g in generators])
    teachers *= np.sqrt(power / eigenvalues)[:, None]
    features: list[Any] = [None] * copies
    data: list[Any] = [None] * copies
    noise: list[Any] = [None] * copies
    for copy in range(copies):
        if math.isfinite(N):
            features[copy] = np.empty((S, int(N), M))
            for i, g in enumerate(generators):
                g.standard_normal(out=features[copy][i])
            features[copy] *= 1 / math.sqrt(N)
        if math.isfinite(P) and samples:
            data[copy] = np.empty((S, int(P), M))
            for i, g in enumerate(generators):
                g.standard_normal(out=data[copy][i])
            data[copy] *= np.sqrt(eigenvalues / P)
            if sigma:
                drawn = np.stack([g.standard_normal((int(P), targets)) for g in generators])
                noise[copy] = drawn * (sigma / math.sqrt(P))
    return _Drawn(features, data, noise, teachers, generators)


def _full_batch(
    problem: RandomFeatures,
    times: np.ndarray,
    optimizer: Optimizer,
    seed: int,
    block: range,
    targets: int,
    parts: bool,
    modes: np.ndarray,
    activation: str,
    device: str | None,
) -> dict[str, np.ndarray]:
    """Losses by draw and time of a block of draws; name -> [S, T]."""
    on = arrays(device)
    copies = 2 if parts else 1
    drawn = _draw(problem, block, seed, targets, copies)
    learn = learned(optimizer, times)
    if activation != "linear":
        return _nonlinear(problem, drawn, activation, learn, times, device)
    root = np.sqrt(problem.spectrum.eigenvalues)
    # unit teachers ride along without label noise: the error of teacher e_k in mode k is p_t(K)_kk, whose mean is H_k
    units = np.zeros((len(block), len(root), len(modes)))
    units[:, modes, np.arange(len(modes))] = 1.0
    teachers = on.to(np.concatenate((drawn.teachers, units), axis=-1))
    features, data = ([None if a is None else on.to(a) for a in many] for many in (drawn.features, drawn.data))
    silent = np.zeros((len(modes),))
    noise = [None if a is None else on.to(_widened(a, len(silent))) for a in drawn.noise]
    lam = on.to(problem.spectrum.eigenvalues)[:, None, None]
    trained = [
        [train_full_batch(on, f, d, on.to(root), teachers, e, learn, len(times)) for f in features]
        for d, e in zip(data, noise, strict=True)
    ]
    error = [[student.error[:, :, :targets] for student in row] for row in trained]

    def together(*couples: tuple[Any, Any]) -> np.ndarray:
        return on.back(sum((lam * a * b).sum(1).mean(1) for a, b in couples) / len(couples))  # type: ignore[operator]

    students = [student for row in error for student in row]
    found = {"test": together(*((v, v) for v in students))}
    if drawn.data[0] is None:
        found["train"] = found["test"] + float(problem.noise)
    else:
        left = [(student.residual[:, :, :targets] ** 2).sum(1).mean(1) for row in trained for student in row]
        found["train"] = on.back(sum(left) / len(left))
    if parts:
        (a, b), (c, d) = error  # rows share the data, columns the features
        found["same_data"] = together((a, b), (c, d))
        found["same_features"] = together((a, c), (b, d))
        found["bias"] = together((a, d), (b, c))
    if len(modes):
        own = [on.back(trained[0][0].error[:, k, targets + j]) for j, k in enumerate(modes.tolist())]
        found["transfer"] = np.stack(own, axis=1)
    return found


def _widened(noise: np.ndarray, more: int) -> np.ndarray:
    return np.concatenate((noise, np.zeros((*noise.shape[:2], more))), axis=-1)


def _nonlinear(
    problem: RandomFeatures, drawn: _Drawn, activation: str, learn: Any, times: np.ndarray, device: str | None
) -> dict[str, np.ndarray]:
    on = arrays(device)
    N, P = float(problem.features), float(problem.samples)
    eigenvalues = problem.spectrum.eigenvalues
    fresh = np.stack([g.standard_normal((_FRESH, len(eigenvalues))) for g in drawn.generators]) * np.sqrt(eigenvalues)
    noise = None if drawn.noise[0] is None else on.to(drawn.noise[0] * math.sqrt(P))
    test, train = train_on_features(
        on,
        activation,
        on.to(drawn.features[0] * math.sqrt(N)),
        on.to(drawn.data[0] * math.sqrt(P)),
        on.to(fresh),
        on.to(drawn.teachers),
        noise,
        learn,
        len(times),
    )
    return {"test": on.back(test), "train": on.back(train)}


def _one_pass(
    problem: RandomFeatures, steps: np.ndarray, rate: float, batch: int, seed: int, block: range
) -> dict[str, np.ndarray]:
    drawn = _draw(problem, block, seed, 1, 1, samples=False)
    root, sigma2 = np.sqrt(problem.spectrum.eigenvalues), float(problem.noise)
    test = train_one_pass(drawn.features[0], root, drawn.teachers[..., 0], sigma2, steps, rate, batch, drawn.generators)
    return {"test": test, "train": test + sigma2}


def _sizes(problem: RandomFeatures, seeds: int, targets: int) -> tuple[float, float, int, int]:
    spectrum = problem.spectrum
    if problem.shape != ():
        raise TheoryError(f"one problem at a time is simulated, got a batch of shape {problem.shape}")
    if not spectrum.exact:
        raise TheoryError(
            f"{spectrum.modes:g} modes are summed by quadrature, which cannot be simulated: give up to 5,000 modes, such as "
            "power_law(a, b, modes=1000), on the command line --modes 1000"
        )
    sizes = float(problem.features), float(problem.samples)
    for name, size in zip(("features", "samples"), sizes, strict=True):
        if math.isfinite(size) and size != int(size):
            raise TheoryError(f"{name} is {size:g}; a simulation needs a whole number, or inf")
    if int(seeds) != seeds or seeds < 2:
        raise TheoryError(f"seeds is {seeds!r}; a mean with a standard error needs 2 draws or more")
    if int(targets) != targets or targets < 1:
        raise TheoryError(f"targets is {targets!r}; it is a whole number of at least 1")
    return *sizes, int(seeds), int(targets)


def _modes(modes: Sequence[int], problem: RandomFeatures) -> np.ndarray:
    count = len(problem.spectrum.eigenvalues)
    wrong = [k for k in modes if int(k) != k or not 1 <= k <= count]
    if wrong:
        raise TheoryError(f"mode {wrong[0]!r} is not one of 1 to {count}")
    return np.array([int(k) - 1 for k in modes], dtype=int)


def _batch(lr: float | None, batch: float | None, samples: float) -> int:
    if lr is None or batch is None:
        raise TheoryError("one-pass SGD needs both lr and batch; give lr=0.1, batch=32")
    if math.isfinite(samples):
        raise TheoryError("each batch of one-pass SGD is fresh, so samples must be inf")
    if not (batch >= 1 and batch == int(batch)):
        raise TheoryError(f"batch is {batch!r}; a simulation needs a whole number of samples per step, 1 or more")
    return int(batch)
