"""Size and time as one resource, as questions with plain numbers: in solved subspaces, in your runs, in linear regression."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from scalinglens.errors import TheoryError, did_you_mean
from scalinglens.figures.figure import Axis, Figure, Line, Mark, Panel, series
from scalinglens.theory.answer import Answer
from scalinglens.theory.numbers import amount, amounts
from scalinglens.theory.scale_time import Collapse, linear_gd_risk, scale_time_collapse, subspace_risk
from scalinglens.worlds.spectra import power_law

__all__ = ["collapse", "linear_gd", "scale_time"]

Amount = float | str
_BOOPATHY = "Boopathy and Fiete 2024, Unified Neural Network Scaling Laws and Scale-time Equivalence, arXiv 2409.05782"


def scale_time(
    *,
    source: float = 1.5,
    capacity: float = 1.5,
    modes: Amount = 800,
    sizes: Amount = "40,150,300,1200",
    samples: Amount = 150,
    noise: float = 0.05,
    scaled_times: str = "0.1:1e5:61",
    tolerance: float = 0.1,
) -> Answer:
    """Whether size and time are one resource for random subspaces: where losses are a function of p t, and where not.

    Args:
        source: the target's power falls as k^-source.
        capacity: the eigenvalues fall as k^-capacity.
        modes: how many.
        sizes: p, a list or a range.
        samples: n.
        noise: variance of the label noise.
        scaled_times: p t, a range.
        tolerance: of ln loss, within which a size agrees with the largest.

    Returns:
        For each size the p t up to which it follows the largest; the exponent a that brings the curves of p^a t closest.

    Raises:
        TheoryError, WorldError: what is not positive or does not go together.

    Source: Boopathy and Fiete 2024 (arXiv 2409.05782), solved by the dynamical model of Bordelon et al. 2024.

    >>> scale_time(scaled_times="0.1:10:21").table["holds"].tolist()
    [False, True, True, True]
    """
    p, tau = np.sort(amounts("sizes", sizes)), amounts("scaled_times", scaled_times)
    n = amount("samples", samples)
    spectrum = power_law(source, capacity, amount("modes", modes))
    losses = subspace_risk(spectrum, sizes=p, scaled_times=tau, samples=n, noise=noise)
    found = scale_time_collapse(p, tau / p[:, None], losses=losses, tolerance=tolerance)
    problem = {"source": source, "capacity": capacity, "modes": spectrum.modes, "samples": n, "noise": noise}
    title = f"size and time, {len(p)} random subspaces, n = {n:g}, noise {noise:g}"
    return _collapse_answer(found, title, {"problem": problem})


def collapse(
    *,
    runs: str,
    size: str = "params",
    time: str = "steps",
    loss: str = "loss",
    floor: float = 0.0,
    power: float = 1.0,
    tolerance: float = 0.1,
) -> Answer:
    """Whether size and time are one resource in your runs: loss = f(p^a t), with where it holds and where it fails.

    Args:
        runs: file of losses over time at several sizes, .csv with a header.
        size: its column of sizes.
        time: its column of times.
        loss: its column of losses.
        floor: known lowest loss, taken off.
        power: the effective size is the size to this power; 1/3 is the authors' choice for networks.
        tolerance: of ln loss, within which a size agrees with the largest.

    Returns:
        For each size the p t up to which it follows the largest; the exponent a that brings the curves of p^a t closest.

    Raises:
        TheoryError: an unreadable file, an absent column, sizes that share no p t.

    Source: Boopathy and Fiete 2024 (arXiv 2409.05782).
    """
    try:
        frame = pd.read_csv(runs)
    except (OSError, ValueError) as problem:
        raise TheoryError(f"{runs} cannot be read: {problem}") from None
    for name in (size, time, loss):
        if name not in frame:
            raise TheoryError(
                f'{runs} has no column "{name}"{did_you_mean(name, frame.columns)}; it has {", ".join(frame)}'
            )
    try:
        values = frame[[size, time, loss]].astype(float).set_axis(["size", "time", "loss"], axis=1)
    except ValueError as problem:
        raise TheoryError(f"{runs} has cells that are no numbers: {problem}") from None
    mean = values.groupby(["size", "time"], as_index=False).loss.mean()  # seeds
    groups = [(float(key), part.sort_values("time")) for key, part in mean.groupby("size")]  # type: ignore[arg-type]
    found = scale_time_collapse(
        [key for key, _ in groups],
        [part.time.to_numpy() for _, part in groups],
        losses=[part.loss.to_numpy() - floor for _, part in groups],
        effective=lambda p: p**power,
        tolerance=tolerance,
    )
    return _collapse_answer(found, f"size and time in {Path(runs).name}", {"floor": floor, "power": power})


def _collapse_answer(found: Collapse, title: str, document: dict[str, Any]) -> Answer:
    frame = found.to_frame()
    table = {str(name): frame[name].to_numpy() for name in frame}
    notes = [
        f"closest as a function of p^a t with a = {found.exponent:.3f}: spread of ln loss {found.residual:.3g}; "
        f"with a = 1 {found.residual_at_one:.3g}, of time alone {found.residual_apart:.3g}",
        f"holds: ln loss within {found.tolerance:g} of the largest size's at the same p t",
    ]
    failing = found.sizes[~found.holds]
    warnings = []
    if len(failing):
        listed = ", ".join(f"{size:g}" for size in failing)
        warnings.append(
            f"size and time are not one resource for sizes {listed}: capacity or fitted noise, not p t, sets their loss"
        )
    x = found.scaled_time
    marks = tuple(
        Line(x[known], row[known], series(k), label=f"p = {size:g}")
        for k, (size, row) in enumerate(zip(found.sizes, found.losses, strict=True))
        if (known := np.isfinite(row)).any()
    )
    panel = Panel("Loss against size times time", Axis("p t", "log", "power"), Axis("loss", "log"), marks)
    document = {
        **document,
        "exponent": found.exponent,
        "residual": found.residual,
        "residual_at_one": found.residual_at_one,
        "residual_apart": found.residual_apart,
        "tolerance": found.tolerance,
        "sizes": table,
        "scaled_time": x,
        "losses": found.losses,
    }
    return Answer(
        title, table, document, notes, warnings, (_BOOPATHY,), Figure("Scale-time equivalence", (panel,), title)
    )


def linear_gd(
    *, features: Amount, samples: Amount, times: str = "0.1:1e4:11", signal: float = 1.0, noise: float = 0.0
) -> Answer:
    """Excess risk of linear regression by gradient flow on isotropic data: double descent in time, size and data.

    Args:
        features: d, a list or a range.
        samples: n, a list or a range.
        times: list A,B,C or range LOW:HIGH:COUNT; inf is allowed in a list.
        signal: the target's norm squared.
        noise: variance of the label noise.

    Returns:
        features, samples, time, risk (without the noise of fresh labels); every combination.

    Raises:
        TheoryError: what is not positive.

    Source: the linear analysis of Boopathy and Fiete 2024 (arXiv 2409.05782).

    >>> linear_gd(features=50, samples=100, times="10", noise=0.25).table["risk"].round(4).tolist()
    [0.2108]
    """
    given = amounts("features", features), amounts("samples", samples), amounts("times", times)
    d, n, t = (part.ravel() for part in np.meshgrid(*given, indexing="ij"))
    risk = linear_gd_risk(d, n, time=t, signal=signal, noise=noise)
    table = {"features": d, "samples": n, "time": t, "risk": risk}
    frame = pd.DataFrame(table)
    shown = frame[np.isfinite(frame.time) & (frame.time > 0) & np.isfinite(frame.risk) & (frame.risk > 0)]
    marks: list[Mark] = []
    for k, ((own, count), part) in enumerate(shown.groupby(["features", "samples"])):  # type: ignore[misc]
        marks.append(Line(part.time.to_numpy(), part.risk.to_numpy(), series(k), label=f"d = {own:g}, n = {count:g}"))
    panel = Panel("Excess risk", Axis("time", "log", "power"), Axis("risk", "log"), tuple(marks))
    notes = ["limit of large sizes: near features = samples real draws differ by 10% or so"]
    document = {"signal": signal, "noise": noise, "rows": table}
    figure = Figure("Linear regression by gradient flow", (panel,)) if len(given[2]) > 1 else None
    return Answer(f"linear regression, noise {noise:g}", table, document, notes, (), (_BOOPATHY,), figure)
