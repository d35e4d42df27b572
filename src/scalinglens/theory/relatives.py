"""The relatives of the dynamical model as questions with plain numbers: joint data model, regimes, manifold, information."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from scalinglens.errors import TheoryError, did_you_mean
from scalinglens.figures.figure import ACCENT, INK, Axis, Figure, Line, Mark, Panel, Points, Rule, series
from scalinglens.theory.answer import Answer
from scalinglens.theory.information import info_bound, info_optimal_allocation
from scalinglens.theory.joint_data_model import (
    JointLosses,
    duality_gap,
    joint_losses,
    optimal_ridge,
)
from scalinglens.theory.joint_data_power_law import isotropic_teacher, power_law_optimum
from scalinglens.theory.manifold import manifold_exponent, two_nn
from scalinglens.theory.numbers import amount, amounts
from scalinglens.theory.regimes import regimes as local_regimes
from scalinglens.worlds.spectra import Spectrum, power_law

__all__ = ["information", "joint_data_model", "manifold", "regimes"]

Amount = float | str
_MALONEY = "Maloney, Roberts and Sully 2022, A Solvable Model of Neural Scaling Laws, arXiv 2210.16859"
_ZHANG = "Zhang 2024, Neural Scaling Laws from Large-N Field Theory: Solvable Model Beyond the Ridgeless Limit, arXiv 2405.19398"
_BAHRI = "Bahri, Dyer, Kaplan, Lee and Sharma 2021, Explaining Neural Scaling Laws, arXiv 2102.06701"
_SHARMA = "Sharma and Kaplan 2020, A Neural Scaling Law from the Dimension of the Data Manifold, arXiv 2004.10802"
_TWO_NN = "Facco, d'Errico, Rodriguez and Laio 2017, Estimating the intrinsic dimension of datasets, arXiv 1803.06992"
_JEON = (
    "Jeon and Van Roy 2022, An Information-Theoretic Analysis of Compute-Optimal Neural Scaling Laws, arXiv 2212.01365"
)
_CONVENTIONS = ("paper", "normalised")


def joint_data_model(
    *,
    alpha: float,
    features: Amount,
    samples: Amount,
    ridge: Amount = "best",
    noise: float = 0.0,
    modes: Amount = 1000,
    outputs: int = 1,
    source: float | None = None,
    convention: str = "paper",
    simulate: int = 0,
    activation: str = "linear",
    seed: int = 0,
) -> Answer:
    """Loss of ridge regression on random features at any size, any number of samples and any ridge.

    lambda_I = I^-(1 + alpha) up to the latent dimension; the peak at features = samples, the plateau beyond it, the best ridge.

    Args:
        alpha: positive; the eigenvalues of the data fall as I^-(1 + alpha).
        features: N, a list A,B,C or a range LOW:HIGH:COUNT.
        samples: T, a list or a range; every pair with N is answered.
        ridge: a list or a range, in units of a sum of squares over samples; or best.
        noise: variance of the label noise of each output.
        modes: M, the latent dimension; inf with the normalised convention.
        outputs: C, of the teacher; the paper's loss is a sum over them.
        source: the target's power falls as I^-source, of the normalised convention; by default 1 + alpha.
        convention: paper (half a sum of squares, weights and features of variance 1/M) or normalised (mean squares, I^-source,
            features of variance 1/N).
        simulate: how many random draws to solve beside the theory.
        activation: linear, relu or tanh, of the draws.
        seed: of the draws.

    Returns:
        features, samples, ridge, test (without the noise of fresh labels), signal, label_noise, train, kappa, df1.

    Raises:
        TheoryError, WorldError: what is not positive or does not go together.

    Source: Maloney, Roberts and Sully 2022 (arXiv 2210.16859); Zhang 2024 (arXiv 2405.19398).

    >>> found = joint_data_model(alpha=1, features=100, samples=300, ridge=1e-3, modes=1200, outputs=10)
    >>> found.table["test"].round(10).tolist()
    [0.000128391]
    """
    if convention not in _CONVENTIONS:
        hint = did_you_mean(convention, _CONVENTIONS)
        raise TheoryError(f'there is no convention "{convention}"{hint}; there are {", ".join(_CONVENTIONS)}')
    M, alpha = amount("modes", modes), _exponent(alpha)
    if convention == "paper":
        if source is not None:
            raise TheoryError(
                "the paper's teacher has no source; take --convention normalised, or leave the source out"
            )
        spectrum = isotropic_teacher(alpha, M, outputs=outputs)  # type: ignore[arg-type]
        variance, size = 1.0 / M, outputs / 2
    else:
        spectrum = power_law(1 + alpha if source is None else source, 1 + alpha, M)
        variance, size = None, 1.0
    N, T = amounts("features", features), amounts("samples", samples)
    best = isinstance(ridge, str) and ridge.strip().lower() == "best"
    given = [N, T] if best else [N, T, amounts("ridge", ridge)]
    grid = [part.ravel() for part in np.meshgrid(*given, indexing="ij")]
    common: dict[str, Any] = {
        "features": grid[0],
        "samples": grid[1],
        "noise": noise * size,
        "feature_variance": variance,
    }
    found = optimal_ridge(spectrum, **common) if best else joint_losses(spectrum, **common, ridge=grid[2])
    known = found.to_frame()
    names = ("features", "samples", "ridge", "test", "signal", "label_noise", "train", "kappa", "df1")
    table: dict[str, Any] = {name: known[name].to_numpy() for name in names}
    notes, warnings = _joint_notes(found, alpha, M, noise, best, convention, source)
    if convention == "paper" and noise and len(grid[0]) == 1:
        gap = duality_gap(spectrum, **{**common, "ridge": found.traces.ridge})
        notes.append(
            f"with features and samples exchanged the loss is {gap.item():.6g} less; without noise it is the same"
        )
    if simulate:
        table |= _joint_draws(spectrum, found, noise * size, variance, activation, simulate, seed)
    document = {
        "problem": {
            "alpha": alpha,
            "modes": M,
            "noise": noise,
            "outputs": outputs,
            "source": source,
            "convention": convention,
            "ridge": "best" if best else None,
        },
        "rows": {**table, "df2": found.traces.df2, "ladder": found.traces.ladder},
    }
    title = (
        f"joint data model, alpha = {alpha:g}, M = {M:g}, noise {noise:g}, {'best ridge' if best else 'ridge given'}"
    )
    return Answer(title, table, document, notes, warnings, (_MALONEY, _ZHANG), _joint_figure(table, given, title))


def _joint_notes(
    found: JointLosses, alpha: float, M: float, noise: float, best: bool, convention: str, source: float | None
) -> tuple[list[str], list[str]]:
    N, T = found.traces.features, found.traces.samples
    notes = ["theory of leading order: real draws differ by a relative 1/min(N, T) or so, more near N = T"]
    warnings = []
    if best and not noise and source is None and N.size == 1 and np.isfinite(N + T).all():
        closed = power_law_optimum(alpha, features=N, samples=T).test.item()
        unit = ", in units of C/(2M)" if convention == "paper" else ""
        notes.append(f"closed form for endless modes: loss {closed:.6g}{unit}")
    if np.isinf(found.test).any():
        warnings.append("features = samples without ridge is the peak of double descent: the loss has no bound there")
    if np.any(np.minimum(N, T) >= M):
        warnings.append(f"features and samples beyond the latent dimension {M:g}: the power law ends there")
    return notes, warnings


def _joint_draws(
    spectrum: Spectrum,
    found: JointLosses,
    noise: float,
    variance: float | None,
    activation: str,
    repeats: int,
    seed: int,
) -> dict[str, np.ndarray]:
    from scalinglens.theory.joint_data_simulation import rf_simulate

    rows = []
    for N, T, ridge in zip(*(getattr(found.traces, name) for name in ("features", "samples", "ridge")), strict=True):
        drawn = rf_simulate(
            spectrum,
            features=N,
            samples=T,
            ridge=float(ridge),
            noise=noise,
            feature_variance=variance,
            activation=activation,
            repeats=repeats,
            seed=seed,
        )
        rows.append((drawn.mean, drawn.stderr))
    mean, stderr = np.array(rows).T
    return {"simulated": mean, "stderr": stderr}


def _joint_figure(table: dict[str, Any], given: Sequence[np.ndarray], title: str) -> Figure | None:
    """Loss against the first of features, samples and ridge that has several values, a line for each of the others."""
    names = ("features", "samples", "ridge")
    axis = next((k for k, values in enumerate(given) if len(values) > 1), None)
    if axis is None:
        return None
    name = names[axis]
    frame = pd.DataFrame(table)
    frame = frame[np.isfinite(frame.test) & (frame.test > 0) & (frame[name] > 0)]
    others = [names[k] for k in range(len(given)) if k != axis and len(given[k]) > 1]
    marks: list[Mark] = []
    groups = frame.groupby(others, sort=True) if others else [((), frame)]
    for number, (key, part) in enumerate(groups):
        part = part.iloc[np.argsort(np.asarray(part[name]))]
        values = key if isinstance(key, tuple) else (key,)
        label = ", ".join(f"{other} {value:g}" for other, value in zip(others, values, strict=True))
        colour = series(number) if others else ACCENT
        marks.append(Line(part[name].to_numpy(), part.test.to_numpy(), colour, label=label))
        if "simulated" in part:
            marks.append(Points(part[name].to_numpy(), part.simulated.to_numpy(), colour))
    panel = Panel("Test loss", Axis(name, "log", "power"), Axis("loss", "log", "power"), tuple(marks))
    return Figure("Joint data model", (panel,), title)


def regimes(*, alpha: float, features: Amount, samples: Amount, noise: float = 0.0) -> Answer:
    """Local exponents of the four regimes: resolution- or variance-limited, by model size or by data.

    Args:
        alpha: positive; the spectrum of the data falls as I^-(1 + alpha), and so does the target's power.
        features: N, a list A,B,C or a range LOW:HIGH:COUNT.
        samples: T, as many as there are of N, or one.
        noise: variance of the label noise.

    Returns:
        Exponents of the loss by N and T, and of each regime, at the best ridge.

    Raises:
        TheoryError, WorldError: what is not positive or does not go together.

    Source: Bahri et al. 2021 (arXiv 2102.06701), by the kernel of the joint data model.

    >>> regimes(alpha=1, features="1e4", samples="1e7").table["by_features"].round(3).tolist()
    [0.999]
    """
    N, T, alpha = amounts("features", features), amounts("samples", samples), _exponent(alpha)
    if len(N) != len(T) and min(len(N), len(T)) > 1:
        raise TheoryError(f"there are {len(N)} features and {len(T)} samples; give as many of both, or one of either")
    found = local_regimes(power_law(1 + alpha, 1 + alpha), features=N, samples=T, noise=noise)
    table = {str(name): values.to_numpy() for name, values in found.to_frame().items()}
    notes = [
        f"predicted without noise: {alpha:g} where the resource is short (resolution-limited), 1 for what is above the loss of "
        "an endless amount of it where it is plentiful (variance-limited)"
    ]
    figure = None
    x, label = (N, "features N") if len(N) > 1 else (T, "samples T")
    if len(x) > 1:
        lines = tuple(
            Line(x, table[name], series(k), label=name.replace("_", " "))
            for k, name in enumerate(("by_features", "by_samples"))
        )
        panel = Panel(
            "Local exponents at the best ridge", Axis(label, "log", "power"), Axis("exponent"), (*lines, Rule(alpha))
        )
        figure = Figure("Regimes", (panel,), f"rule: alpha = {alpha:g}, the exponent of a resource that is short")
    document = {"alpha": alpha, "noise": noise, "rows": table}
    return Answer(
        f"regimes, alpha = {alpha:g}, noise {noise:g}", table, document, notes, (), (_BAHRI, _MALONEY), figure
    )


def manifold(
    *, points: str = "", dimension: Amount | None = None, pieces: str = "linear", discard: float = 0.1
) -> Answer:
    """Exponent of the loss from the dimension of the data, given or estimated from points.

    Args:
        points: file of points, one a row: .npy, or .csv with a header.
        dimension: d, a list or a range, instead of points.
        pieces: linear (4/d) or constant (2/d), of the fit.
        discard: share of the largest ratios of neighbours' distances left out of the estimate.

    Returns:
        dimension, exponent; with points also the standard errors.

    Raises:
        TheoryError: neither or both of points and dimension, an unreadable file, too few points.

    Source: Sharma and Kaplan 2020 (arXiv 2004.10802); Facco et al. 2017 (arXiv 1803.06992).

    >>> manifold(dimension="2,8").table["exponent"].tolist()
    [2.0, 0.5]
    """
    if bool(points) == (dimension is not None):
        raise TheoryError("give points or dimension, one of them")
    if dimension is not None:
        d = amounts("dimension", dimension)
        table = {"dimension": d, "exponent": manifold_exponent(d, pieces=pieces)}
        notes = [f"piecewise {pieces} fits; a bound from below for models that adapt"]
        return Answer("exponents from dimensions", table, {"pieces": pieces, "rows": table}, notes, (), (_SHARMA,))
    found = two_nn(_points(points), discard=discard)
    exponent = float(manifold_exponent(found.value, pieces=pieces))
    table = {
        "dimension": [found.value],
        "stderr": [found.stderr],
        "exponent": [exponent],
        "exponent_stderr": [exponent * found.stderr / found.value],
        "points": [found.points],
    }
    warnings = []
    if found.value > 6:
        warnings.append("above 6 or so the estimate is low, as the edge of the cloud is near to most points")
    return Answer(
        f"dimension of {Path(points).name}",
        table,
        {"pieces": pieces, "rows": table},
        [f"piecewise {pieces} fits; a bound from below for models that adapt"],
        warnings,
        (_SHARMA, _TWO_NN),
    )


def _exponent(alpha: float) -> float:
    if not 0 < alpha < np.inf:
        raise TheoryError(f"alpha is {alpha!r}; it is a positive exponent, such as 0.5")
    return alpha


def _points(file: str) -> np.ndarray:
    path = Path(file)
    if path.suffix not in (".npy", ".csv"):
        raise TheoryError(f"{file} is neither .npy nor .csv; save the points as one of them, one a row")
    try:
        if path.suffix == ".npy":
            return np.load(path, allow_pickle=False)
        return pd.read_csv(path).to_numpy(dtype=float)
    except (OSError, ValueError) as problem:
        raise TheoryError(f"{file} cannot be read as a table of points: {problem}") from None


def information(
    *,
    dimension: float,
    complexity: float,
    flops: Amount = "1e8:1e20:7",
    params: Amount | None = None,
    samples: Amount | None = None,
    a: float = 0.5,
    b: float = 1.0,
) -> Answer:
    """Bound on the excess log-loss by information theory, and the best model size and data at each compute p T.

    Args:
        dimension: d, of the input.
        complexity: K, of the teacher.
        flops: budgets, parameters times samples, a list A,B,C or a range LOW:HIGH:COUNT.
        params: p, a list or a range, with samples: the bound there instead of the best split.
        samples: T, as many, or one.
        a: constant of what the model misses.
        b: constant of what the data leave unknown.

    Returns:
        flops, params, samples, bound (nats per sample), d ln params/d ln flops, params/samples.

    Raises:
        TheoryError: what is not positive, params without samples.

    Source: Jeon and Van Roy 2022 (arXiv 2212.01365); constants and form are this project's derivation.

    >>> information(dimension=10, complexity=10, flops="1e8,1e20").table["slope"].round(3).tolist()
    [0.396, 0.473]
    """
    document: dict[str, Any] = {"dimension": dimension, "complexity": complexity, "a": a, "b": b}
    title = f"information bound, d = {dimension:g}, K = {complexity:g}"
    notes = ["a and b are constants the derivation does not fix; exponents and trends rest on it, sizes on them"]
    if (params is None) != (samples is None):
        raise TheoryError("give params and samples together, or neither")
    if params is not None:
        p, T = amounts("params", params), amounts("samples", samples)
        if len(p) != len(T) and min(len(p), len(T)) > 1:
            raise TheoryError(f"there are {len(p)} params and {len(T)} samples; give as many of both, or one of either")
        p, T = np.broadcast_arrays(p, T)
        bound = info_bound(p, T, dimension=dimension, complexity=complexity, a=a, b=b)
        table = {
            "params": p,
            "samples": T,
            "bound": bound.total,
            "misspecification": bound.misspecification,
            "estimation": bound.estimation,
        }
        return Answer(title, table, {**document, "rows": table}, notes, (), (_JEON,))
    found = info_optimal_allocation(amounts("flops", flops), dimension=dimension, complexity=complexity, a=a, b=b)
    table = {name: getattr(found, name) for name in ("flops", "params", "samples", "bound", "slope")}
    table["ratio"] = found.params / found.samples
    notes.append("the slope tends to 1/2 only logarithmically; the model's share rises with d and K")
    x = found.flops
    panels = (
        Panel("Best split", Axis("compute p T", "log", "power"), Axis("amount", "log", "power"), (
            Line(x, found.params, ACCENT, label="parameters p"), Line(x, found.samples, INK, label="samples T"))),
        Panel("Bound", Axis("compute p T", "log", "power"), Axis("nats per sample", "log", "power"), (
            Line(x, found.bound, ACCENT),)),
    )  # fmt: skip
    figure = Figure("Information bound", panels, f"d = {dimension:g}, K = {complexity:g}") if len(x) > 1 else None
    return Answer(title, table, {**document, "rows": table}, notes, (), (_JEON,), figure)
