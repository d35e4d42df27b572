"""Evidence as a question with files and plain numbers: how many features, how wide a prior, how many layers."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np

from scalinglens.errors import TheoryError
from scalinglens.figures.figure import ACCENT, Axis, Figure, Line, Panel, series
from scalinglens.theory.answer import Answer
from scalinglens.theory.evidence import gp_evidence, linear_evidence, nngp_kernel
from scalinglens.theory.numbers import amounts, counts, read_array

__all__ = ["evidence"]

Amount = float | str
_LYLE = (
    "Lyle, Schut, Ru, Gal and van der Wilk 2020, A Bayesian Perspective on Training Speed and Model Selection, "
    "arXiv 2010.14499"
)
_MADE, _TRUE, _COLUMNS, _NEW = 120, 15, 30, 1000  # examples, features that count, features, fresh examples


def evidence(
    *,
    features_file: str = "",
    targets: str = "",
    sizes: str = "",
    depths: str = "",
    prior_variance: Amount = 1.0,
    noise_variance: float = 1.0,
    samples: int = 10,
    draws: int = 200,
    seed: int = 0,
) -> Answer:
    """Which model the data favour, from how well each next example is predicted by those before: no validation set.

    Args:
        features_file: file .npy of features, one row per example; without it 120 made examples, where 15 of 30 features count.
        targets: file .npy of y, one number per example.
        sizes: linear models of that many first columns, a list A,B,C; up to ten sizes if left out.
        depths: instead, infinitely wide ReLU networks of that many hidden layers on all columns, a list such as 0,1,2.
        prior_variance: of each weight, or the factor of a network's kernel; a list or a range.
        noise_variance: of the label noise.
        samples: k of the bound L_k; below 10 it prefers priors that are too narrow.
        draws: how many sets of k samples L_k is averaged over.
        seed: of the draws, and of the made examples.

    Returns:
        For each model log evidence and the bounds L and L_k, in nats; for made examples also the error on new ones.

    Raises:
        TheoryError: files that cannot be read, one without the other, sizes beyond the columns, variances that are not positive.

    Source: Lyle et al. 2020 (arXiv 2010.14499).

    >>> found = evidence(sizes="5,15,30")
    >>> found.table["features"][found.table["log_evidence"].argmax()].item()
    15
    """
    if bool(features_file) != bool(targets):
        raise TheoryError("give --features-file and --targets together, or neither")
    if sizes and depths:
        raise TheoryError("both --sizes and --depths are given; keep one of them")
    new = None
    if features_file:
        phi, y = read_array("--features-file", features_file), read_array("--targets", targets)
        if phi.ndim != 2 or not phi.size:
            raise TheoryError(f"--features-file {features_file} has shape {phi.shape}; it has a row for each example")
    else:
        phi, y, new = _made(seed)
    kind = "layers" if depths else "features"
    if depths:
        models = counts("depths", depths, least=0)
    else:
        most = phi.shape[1]
        models = (
            counts("sizes", sizes, most=most)
            if sizes
            else np.unique(np.ceil(np.linspace(most / 10, most, 10) - 1e-9)).tolist()
        )
    rows = []
    options: dict[str, Any] = {"noise_variance": noise_variance, "samples": samples, "draws": draws, "seed": seed}
    for model, prior in itertools.product(map(int, models), amounts("prior_variance", prior_variance).tolist()):
        if depths:
            if not 0 < prior < np.inf:
                raise TheoryError(f"prior_variance is {prior!r}; it is a positive number")
            found = gp_evidence(prior * nngp_kernel(phi, depth=model), y, **options)
        else:
            found = linear_evidence(phi[:, :model], y, prior_variance=prior, **options)
        row = {
            kind: model,
            "prior_variance": prior,
            "log_evidence": found.log_evidence,
            "bound": found.bound,
            "sampled": found.sampled,
            "stderr": found.stderr,
        }
        if new is not None:
            every = np.vstack([phi, new[0]])
            kernel = nngp_kernel(every, depth=model) if depths else every[:, :model] @ every[:, :model].T
            row["new_error"] = _new_error(prior * kernel, y, new[1], noise_variance)
        rows.append(row)
    table = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    problem = {"examples": len(y), "noise_variance": noise_variance, "samples": samples, "draws": draws}
    source = (
        Path(features_file).name if features_file else f"{_MADE} made examples, {_TRUE} of {_COLUMNS} features count"
    )
    title = f"evidence, {source}, noise variance {noise_variance:g}"
    return Answer(title, table, {**problem, "made": not features_file, "rows": table}, _notes(table, kind, samples),
                  _warnings(table, samples), (_LYLE,), _figure(table, kind, samples, title))  # fmt: skip


def _made(seed: int) -> tuple[np.ndarray, np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """Linear data with unit noise, and noise-free values of fresh examples."""
    rng = np.random.default_rng(seed)
    phi, weights = rng.normal(size=(_MADE + _NEW, _COLUMNS)), rng.normal(size=_TRUE)
    clean = phi[:, :_TRUE] @ weights
    return phi[:_MADE], clean[:_MADE] + rng.normal(size=_MADE), (phi[_MADE:], clean[_MADE:])


def _new_error(kernel: np.ndarray, y: np.ndarray, clean: np.ndarray, noise: float) -> float:
    """Mean squared error of the posterior mean on fresh examples, without their noise."""
    n = len(y)
    mean = kernel[n:, :n] @ np.linalg.solve(kernel[:n, :n] + noise * np.eye(n), y)
    return float(np.mean((mean - clean) ** 2))


def _says(table: dict[str, np.ndarray], kind: str, row: int) -> str:
    return f"{table[kind][row]} {kind}, prior variance {table['prior_variance'][row]:g}"


def _notes(table: dict[str, np.ndarray], kind: str, samples: int) -> list[str]:
    order = np.argsort(table["log_evidence"])[::-1]
    notes = [f"most evidence: {_says(table, kind, order[0])}"]
    if len(order) > 1:
        lead = table["log_evidence"][order[0]] - table["log_evidence"][order[1]]
        notes[0] += f"; {lead:.3g} nats before {_says(table, kind, order[1])}"
    if "new_error" in table:
        notes.append(f"least error on new examples: {_says(table, kind, int(table['new_error'].argmin()))}")
    notes.append(
        f"bound is L, of one posterior sample per example; sampled is L_k, k = {samples}; both lie below the evidence"
    )
    return notes


def _warnings(table: dict[str, np.ndarray], samples: int) -> list[str]:
    warnings = []
    best = table["log_evidence"].argmax()
    if table["bound"].argmax() != best:
        warnings.append("L alone would choose another model: it fines the spread of wide posteriors")
    if samples < 10 and table["sampled"].argmax() != best:
        warnings.append(f"so would L_k with k = {samples}; take 10 or more")
    return warnings


def _figure(table: dict[str, np.ndarray], kind: str, samples: int, title: str) -> Figure | None:
    """Evidence and bounds along the models where one prior is given, along the priors otherwise."""
    models, priors = np.unique(table[kind]), np.unique(table["prior_variance"])
    if len(models) == len(priors) == 1:
        return None
    name = "hidden layers" if kind == "layers" else kind
    if len(priors) == 1:
        names = {"log_evidence": "evidence", "sampled": f"L_k, k = {samples}"}
        order = np.argsort(table[kind])
        x = table[kind][order]
        lines = tuple(
            Line(x, table[key][order], series(k), label=label) for k, (key, label) in enumerate(names.items())
        )
        panels = [Panel("Evidence and its bound", Axis(name), Axis("nats"), lines)]
        if "new_error" in table:
            error = Line(x, table["new_error"][order], ACCENT)
            panels.append(Panel("Error on new examples", Axis(name), Axis("mean square", "log"), (error,)))
        return Figure("Evidence", tuple(panels), title)
    lines = []
    for k, model in enumerate(models):
        own = np.flatnonzero(table[kind] == model)
        own = own[np.argsort(table["prior_variance"][own])]
        lines.append(Line(table["prior_variance"][own], table["log_evidence"][own], series(k), label=f"{model} {kind}"))
    panel = Panel("Evidence", Axis("prior variance", "log", "power"), Axis("nats"), tuple(lines))
    return Figure("Evidence", (panel,), title)
