"""The dynamical model as questions with plain numbers: curves, the frontier, the exponents."""

from __future__ import annotations

from typing import Any

import numpy as np

from scalinglens.errors import TheoryError, did_you_mean
from scalinglens.figures.figure import ACCENT, INK, MUTED, Axis, Figure, Line, Mark, Panel, Points
from scalinglens.theory.answer import Answer
from scalinglens.theory.numbers import amount, amounts
from scalinglens.theory.random_features import early_stopping as stopping
from scalinglens.theory.random_features import exponents as tables
from scalinglens.theory.random_features.frontier import frontier as best
from scalinglens.theory.random_features.one_pass import one_pass
from scalinglens.theory.random_features.optimizers import (
    ContinuousMomentum,
    GradientDescent,
    GradientFlow,
    HeavyBall,
    Nesterov,
    Optimizer,
    WeightDecay,
)
from scalinglens.theory.random_features.problem import RandomFeatures
from scalinglens.theory.random_features.scheduled import ScheduledDescent
from scalinglens.theory.random_features.solve import solve
from scalinglens.worlds.spectra import power_law

__all__ = ["OPTIMIZERS", "early_stopping", "exponents", "frontier", "random_features"]

Amount = float | str
_SMOOTH = 97  # times of a curve
OPTIMIZERS = (
    "gradient-flow", "gd", "scheduled-gd", "heavy-ball", "nesterov", "momentum-flow", "weight-decay", "sgd"
)  # fmt: skip
_PAPER = "Bordelon, Atanasov and Pehlevan 2024, A Dynamical Model of Neural Scaling Laws, arXiv 2402.01092"
_PHASES = (
    "Paquette, Paquette, Xiao and Pennington 2024, 4+3 Phases of Compute-Optimal Neural Scaling Laws, arXiv 2405.15074"
)
_RICH = "Bordelon, Atanasov and Pehlevan 2024, How Feature Learning Can Improve Neural Scaling Laws, arXiv 2409.17858"


def random_features(
    *,
    a: float,
    b: float,
    features: Amount = "inf",
    samples: Amount = "inf",
    modes: Amount = "inf",
    noise: float = 0.0,
    optimizer: str = "gradient-flow",
    lr: float | None = None,
    momentum: float | None = None,
    schedule: str | None = None,
    inertia: float | None = None,
    batch: Amount | None = None,
    decay: float | None = None,
    times: str = "1:1e6:13",
    simulate: int = 0,
    seed: int = 0,
) -> Answer:
    """Test and train loss of random features learned on a power-law spectrum.

    lambda_k = k^-b, lambda_k w_k^2 = k^-a; features N, samples P, any of them inf.

    Args:
        a: source exponent, above 1: the target's power falls as k^-a.
        b: capacity exponent, above 1: the eigenvalues fall as k^-b.
        features: N, the size of the model.
        samples: P, the size of the training set.
        modes: M, the number of modes.
        noise: variance of the label noise.
        optimizer: gradient-flow, gd, scheduled-gd, heavy-ball, nesterov, momentum-flow, weight-decay or sgd (one pass over fresh
            batches).
        lr: learning rate, of gd, heavy-ball, nesterov and sgd.
        momentum: of heavy-ball and nesterov.
        schedule: of scheduled-gd, such as "cosine(0.3, steps=1000, warmup=100)" or
            "wsd(0.3, steps=1000, decay_from=800, end=0.01)".
        inertia: beta of momentum-flow, beta v'' + v' = -K v.
        batch: samples per step of sgd.
        decay: of weight-decay.
        times: list A,B,C or range LOW:HIGH:COUNT; inf is allowed in a list; steps for a discrete optimizer.
        simulate: how many random draws to train beside the theory; needs finite modes.
        seed: of the draws.

    Returns:
        times, test_loss (without the label noise), train_loss (with it), and the simulation's mean and standard error.

    Raises:
        TheoryError, WorldError: what is not positive, does not converge, or does not go together.

    Source: Bordelon, Atanasov and Pehlevan 2024 (arXiv 2402.01092).

    >>> found = random_features(a=1.5, b=1.25, features=128, samples=256, modes=1000, times="1,10,100")
    >>> found.table["test_loss"].round(6).tolist()
    [1.326912, 0.585171, 0.401612]
    """
    spectrum = power_law(a, b, amount("modes", modes))
    problem = RandomFeatures(spectrum, amount("features", features), amount("samples", samples), noise)
    at = amounts("times", times)
    method = optimizer_of(
        optimizer, lr=lr, momentum=momentum, schedule=schedule, inertia=inertia, batch=batch, decay=decay
    )
    warnings: tuple[str, ...] = ()
    if method is None:
        assert lr is not None  # `optimizer_of` refuses sgd without
        every, asked = _between(at, whole=True)
        found = one_pass(problem, every, learning_rate=lr, batch=amount("batch", batch))
        curves = {"time": every, "test_loss": found.test, "train_loss": np.full(len(every), np.nan)}
    else:
        every, asked = _between(at, whole=method.discrete)
        solved = solve(problem, every, method)
        curves = {"time": every, "test_loss": solved.test, "train_loss": solved.train}
        warnings = solved.warnings
    table: dict[str, Any] = {name: values[asked] for name, values in curves.items()}
    document: dict[str, Any] = {
        "problem": {
            "a": a,
            "b": b,
            "features": float(problem.features),
            "samples": float(problem.samples),
            "modes": spectrum.modes,
            "noise": noise,
            "optimizer": optimizer,
            "lr": lr,
            "momentum": momentum,
            "schedule": schedule,
            "inertia": inertia,
            "batch": None if batch is None else amount("batch", batch),
            "decay": decay,
        },
        "times": at,
        "test_loss": table["test_loss"],
        "train_loss": table["train_loss"],
    }
    if simulate:
        from scalinglens.theory.simulate import simulate as draw

        drawn = draw(problem, at, method, seeds=simulate, seed=seed, **({} if method else {"lr": lr, "batch": batch}))
        table |= {"simulated": drawn.mean, "stderr": drawn.stderr}
        document["simulation"] = {"mean": drawn.mean, "stderr": drawn.stderr, "seeds": simulate}
    sizes = f"N = {problem.features:g}, P = {problem.samples:g}, M = {spectrum.modes:g}"
    notes = ["theory of leading order: real draws lie a relative 0.3/min(N, P) or so above it"]
    return Answer(
        f"random features, a = {a:g}, b = {b:g}, {sizes}, noise {noise:g}, {optimizer}",
        table,
        document,
        notes,
        warnings,
        (_PAPER,),
        _curves_figure(curves, table, f"a = {a:g}, b = {b:g}, {sizes}"),
    )


def early_stopping(
    *,
    a: float,
    b: float,
    features: Amount = "inf",
    samples: Amount = "64:16384:9",
    modes: Amount = "inf",
    noise: float = 0.0,
) -> Answer:
    """When to stop the training of random features, or how much weight decay to take instead.

    Args:
        a: source exponent, above 1.
        b: capacity exponent, above 1.
        features: N, the size of the model.
        samples: P, sizes of the training set, a list A,B,C or a range LOW:HIGH:COUNT.
        modes: M, the number of modes.
        noise: variance of the label noise.

    Returns:
        For each P: time (inf where it never pays to stop), loss there, loss at the end, their ratio; decay, and loss with it.

    Source: Bordelon, Atanasov and Pehlevan 2024 (arXiv 2402.01092).

    >>> found = early_stopping(a=1.5, b=1.25, features=512, samples="128,1024")
    >>> found.table["ratio"].round(3).tolist()
    [0.916, 0.628]
    """
    sizes, N = np.round(amounts("samples", samples)), amount("features", features)
    problem = RandomFeatures(power_law(a, b, amount("modes", modes)), N, sizes, noise)
    found = stopping.early_stopping(problem)
    names = ("time", "loss", "late", "ratio", "decay", "decayed")
    table = {"samples": sizes, **{name: getattr(found, name) for name in names}}
    notes = ["late: the loss at t = inf; decayed: that with the best weight decay"]
    if np.isinf(found.late).any():
        notes.append("where N = P the loss grows without end")
    if np.isinf(found.time).any():
        notes.append("where the time is inf the loss falls to the end: it never pays to stop")
    lines = (("loss", ACCENT, "stopped"), ("decayed", INK, "weight decay"), ("late", MUTED, "late"))
    shown = {name: np.isfinite(table[name]) & np.isfinite(sizes) for name in ("time", "loss", "decayed", "late")}
    losses = tuple(
        mark
        for name, colour, label in lines
        if shown[name].any()
        for mark in (
            Line(sizes[shown[name]], table[name][shown[name]], colour, 1.8, label=label),
            Points(sizes[shown[name]], table[name][shown[name]], colour),
        )
    )
    panels = [Panel("Test loss", Axis("samples P", "log", "power"), Axis("loss", "log"), losses)]
    if shown["time"].any():
        x, y = sizes[shown["time"]], table["time"][shown["time"]]
        marks = (Line(x, y, ACCENT, 1.8), Points(x, y, ACCENT))
        panels.append(Panel("When to stop", Axis("samples P", "log", "power"), Axis("time", "log", "power"), marks))
    subtitle = f"a = {a:g}, b = {b:g}, N = {N:g}, noise {noise:g}"
    document: dict[str, Any] = {"a": a, "b": b, "features": N, "noise": noise, **table}
    figure = Figure("Early stopping", tuple(panels), subtitle)
    return Answer(f"early stopping, {subtitle}", table, document, notes, (), (_PAPER,), figure)


def frontier(*, a: float, b: float, flops: str = "1e4:1e9:11", samples: Amount = "inf", noise: float = 0.0) -> Answer:
    """Find the model size that learns best at each compute C = N t.

    Args:
        a: source exponent. b: capacity exponent.
        flops: budgets, a list A,B,C or a range LOW:HIGH:COUNT.
        samples: P, the same everywhere.
        noise: variance of the label noise.

    Returns:
        flops, features, times, loss, and their local slopes by ln C.

    Source: Bordelon, Atanasov and Pehlevan 2024 (arXiv 2402.01092), section 5.

    >>> frontier(a=1.5, b=1.25, flops="1e7,1e9").table["loss"].round(6).tolist()
    [0.090021, 0.032384]
    """
    found = best(power_law(a, b), amounts("flops", flops), samples=amount("samples", samples), noise=noise)
    known = tables.exponents(float(a), float(b))
    notes = [f"predicted: loss ~ C^-{known.compute:.4f}, N ~ C^{known.compute_features:.4f} ({known.regime} task)"]
    if known.published_compute != known.compute:
        notes.append(f"the published formula gives C^-{known.published_compute:.4f}; it holds where a - 1 < b")
    document = {name: value for name, value in found.to_dict().items() if name != "schema"}
    x = found.flops
    panels = tuple(
        Panel(title, Axis("compute N t", "log", "power"), Axis(label, "log", "power"), (Line(x, y, ACCENT),))
        for title, label, y in (("Loss", "loss", found.loss), ("Model size", "features N", found.features))
    )
    figure = Figure(f"Compute-optimal frontier, a = {a:g}, b = {b:g}", panels)
    return Answer(f"frontier, a = {a:g}, b = {b:g}", _columns(found), document, notes, (), (_PAPER,), figure)


def exponents(*, a: float, b: float) -> Answer:
    """Exponents of the dynamical model by regime, with feature learning, and the phase of one-pass SGD.

    Args:
        a: source exponent, above 1.
        b: capacity exponent, above 1.

    Returns:
        quantity and exponent; positive where the quantity falls or the optimum grows.

    Source: Bordelon, Atanasov and Pehlevan 2024 (arXiv 2402.01092, 2409.17858); Paquette et al. 2024 (arXiv 2405.15074).

    >>> dict(zip(*exponents(a=3, b=1.25).table.values()))["features"]
    1.25
    """
    known = tables.exponents(float(a), float(b))
    rich = tables.feature_learning_exponents(float(a), float(b))
    phase = tables.phase(b / 2, (a - b) / 2) if a > b else None
    values: dict[str, Any] = {name: value for name, value in vars(known).items() if name not in ("source", "capacity")}
    regime = values.pop("regime")
    values |= {f"feature_learning_{name}": rich[name] for name in ("time", "compute")}
    document: dict[str, Any] = {"a": a, "b": b, "regime": regime, "exponents": values}
    notes = [f"{regime} task"]
    if phase is not None:
        document["sgd_phase"] = dict(phase)
        notes.append(f"one-pass SGD with batch 1: phase {phase['phase']}, loss ~ C^-{phase['compute']:.4f}")
    if known.features != known.bias_features:
        notes.append(
            "a - 1 > b: the published width exponent is that of the bias, the loss of an infinite ensemble; that of one model "
            "is b"
        )
    return Answer(
        f"exponents, a = {a:g}, b = {b:g}",
        {"quantity": list(values), "exponent": list(values.values())},
        document,
        notes,
        (),
        (_PAPER, _RICH, _PHASES),
    )


def _columns(found: Any) -> dict[str, Any]:
    frame = found.to_frame()
    return {str(name): frame[name].to_numpy() for name in frame}


def optimizer_of(
    name: str,
    *,
    lr: float | None = None,
    momentum: float | None = None,
    schedule: str | None = None,
    inertia: float | None = None,
    batch: Any = None,
    decay: float | None = None,
) -> Optimizer | None:
    """The optimizer, or None for one-pass SGD; options it does not have are refused."""
    needs = {
        "gradient-flow": (),
        "gd": ("lr",),
        "scheduled-gd": ("schedule",),
        "momentum-flow": ("inertia",),
        "heavy-ball": ("lr", "momentum"),
        "nesterov": ("lr", "momentum"),
        "weight-decay": ("decay",),
        "sgd": ("lr", "batch"),
    }
    if name not in needs:
        raise TheoryError(f'there is no optimizer "{name}"{did_you_mean(name, needs)}; there are {", ".join(needs)}')
    given = {
        "lr": lr, "momentum": momentum, "schedule": schedule, "inertia": inertia, "batch": batch, "decay": decay
    }  # fmt: skip
    such = {"batch": "32", "schedule": '"cosine(0.3, steps=1000)"'}
    for option, value in given.items():
        if option in needs[name] and value is None:
            raise TheoryError(f"{name} needs {option}; give --{option} {such.get(option, '0.1')}")
        if option not in needs[name] and value is not None:
            raise TheoryError(f"{name} has no {option}; leave it out, or take another optimizer")
    made = {
        "gradient-flow": lambda: GradientFlow(),
        "gd": lambda: GradientDescent(lr),  # type: ignore[arg-type]
        "scheduled-gd": lambda: ScheduledDescent(schedule),  # type: ignore[arg-type]
        "momentum-flow": lambda: ContinuousMomentum(inertia),  # type: ignore[arg-type]
        "heavy-ball": lambda: HeavyBall(lr, momentum),  # type: ignore[arg-type]
        "nesterov": lambda: Nesterov(lr, momentum),  # type: ignore[arg-type]
        "weight-decay": lambda: WeightDecay(decay),  # type: ignore[arg-type]
        "sgd": lambda: None,
    }
    return made[name]()


def _between(times: np.ndarray, *, whole: bool) -> tuple[np.ndarray, np.ndarray]:
    """The asked times among more between them, for a smooth curve, and where they are."""
    inner = times[np.isfinite(times) & (times > 0)]
    more = np.geomspace(inner.min(), inner.max(), _SMOOTH) if len(inner) > 1 else inner
    if whole and len(inner):  # the first steps may oscillate
        first = np.ceil(inner.min())
        more = np.round(np.concatenate((more, np.arange(first, min(first + _SMOOTH, inner.max())))))
    every, where = np.unique(np.concatenate((times, more)), return_inverse=True)
    return every, where[: len(times)]


def _curves_figure(curves: dict[str, Any], asked: dict[str, Any], subtitle: str) -> Figure:
    """Smooth curves, with marks at the times that were asked for."""
    marks: list[Mark] = []
    for name, colour, label in (("test_loss", ACCENT, "test"), ("train_loss", MUTED, "train")):
        x, y = _shown(curves, name)
        if len(x):
            marks += [Line(x, y, colour, 1.8, label=label), Points(*_shown(asked, name), colour)]
    if "simulated" in asked:
        marks.append(Points(*_shown(asked, "simulated"), INK, symbol="ring", size=7.0, label="simulated"))
    panel = Panel("Loss over time", Axis("time", "log", "power"), Axis("loss", "log"), tuple(marks))
    return Figure("Random features", (panel,), subtitle)


def _shown(table: dict[str, Any], name: str) -> tuple[np.ndarray, np.ndarray]:
    x, y = np.asarray(table["time"], dtype=float), np.asarray(table[name], dtype=float)
    known = np.isfinite(x) & (x > 0) & np.isfinite(y) & (y > 0)
    return x[known], y[known]
