"""Certify an optimum: is it stationary, a minimum, reached from several starts, inside its bounds, and determined by the data?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scalinglens.fit.objective import Design
from scalinglens.fit.profile import unbounded_above
from scalinglens.fit.search import Basin, Search
from scalinglens.numerics.kernel import robust_scale, share_within
from scalinglens.numerics.newton import expand

__all__ = ["STATUSES", "Certificate", "certify", "quadratic_half_width"]

STATUSES = ("certified", "at_bound", "not_identified", "not_converged")

STATIONARY = 1e-4  # scaled gradient
CONDITION = 1e13  # of the correlation matrix of the parameters
UNKNOWN_LOG = 5.0  # standard error of a logarithm beyond which a magnitude counts as unknown (a factor of 150)
DOUBTFUL_LOG = 1.0  # standard error of a logarithm from which an upper end is looked for
UNKNOWN_EXPONENT = 0.75  # standard error of an exponent, absolute and relative, beyond which it counts as unknown
VANISHED = 1e-4  # influence of a parameter on the residuals, relative to their scatter


@dataclass(frozen=True)
class Certificate:
    """What is known about an optimum.

    Attributes:
        gradient: length of the gradient in the metric of reweighted squares, relative to the square root of the objective.
        hessian_positive: whether the exact Hessian is positive definite in the free parameters.
        smallest_eigenvalue: of the Hessian, relative to the metric.
        condition: condition number of the correlation matrix of the estimates.
        starts, starts_agree: starts followed, and those that ended at the best objective.
        bounds: parameters at a bound of their domain, with the bound.
        basins: distinct optima within 1% of the best objective, best first.
        coordinate_errors: parameter -> standard error of its coordinate (of its logarithm where estimated in logs).
        reasons: why the status is not `certified`, in sentences.
    """

    gradient: float
    hessian_positive: bool
    smallest_eigenvalue: float
    condition: float
    starts: int
    starts_agree: int
    bounds: dict[str, float]
    basins: tuple[Basin, ...]
    coordinate_errors: dict[str, float]
    reasons: tuple[str, ...]


def certify(design: Design, found: Search) -> tuple[str, Certificate]:
    """Return the status of an optimum and its certificate.

    Cost: two evaluations of the law with derivatives.
    """
    names = design.law.parameters
    u = found.u[None]
    threshold = quadratic_half_width(design, found.u)
    here = expand(design.objective(threshold), u)
    gram = expand(design.objective(np.inf), u).majorant[0]
    bounds = _bounds_hit(design, found.u, here.gradient[0])
    residuals = design.residuals(u)[0]
    errors = _standard_errors(design, residuals, gram, threshold)
    influence = np.sqrt(np.diag(gram) / design.weights.sum())
    scatter = max(robust_scale(residuals), 1e-6)
    for i, name in enumerate(names):
        if name not in design.held and design.in_logs[i] and influence[i] < VANISHED * scatter and name not in bounds:
            bounds[name] = 0.0 if found.u[i] < 0 or influence[i] == 0 else float("inf")
    free = design.free & np.array([name not in bounds for name in names])
    metric, hessian, gradient = (
        here.majorant[0][np.ix_(free, free)],
        here.hessian[0][np.ix_(free, free)],
        here.gradient[0][free],
    )
    length, smallest = _scaled(metric, hessian, gradient, max(float(here.value[0]), 1e-300))
    condition = _condition(gram[np.ix_(free, free)])
    standard = {name: float(e) for name, e in zip(names, errors, strict=True) if name not in design.held}
    positive = bool(smallest > 1e-12)
    exact = float(here.value[0]) <= 1e-20 * len(residuals)  # the law passes through every run

    unconverged, undetermined = [], []
    if not np.isfinite(found.value):
        unconverged.append("no start gave a finite objective; the law may not suit these inputs")
    elif not (found.converged or length <= STATIONARY or exact):
        unconverged.append(f"the scaled gradient is {length:.1e} at the best point, above {STATIONARY:.0e}")
    if found.agree < 2 and found.starts > 1:
        unconverged.append(
            f"only {found.agree} of {found.starts} starts reached the best objective; ask for more starts"
        )
    if np.any(free) and not unconverged:
        if len(residuals) <= int(design.free.sum()):
            undetermined.append(
                f"{len(residuals)} rows for {int(design.free.sum())} parameters leave nothing to check them by"
            )
        if not condition < CONDITION:
            undetermined.append(
                f"the condition number of the parameters is {condition:.1e}: some combination has no effect"
            )
        if not positive and not exact:
            undetermined.append(
                "the Hessian is not positive definite: the objective is flat or falls in some direction"
            )
        undetermined += [] if exact else _unknown(design, found, standard, bounds)
        undetermined += [
            f"{name} has no influence on any prediction; drop its term"
            for i, name in enumerate(names)
            if design.free[i] and not design.in_logs[i] and influence[i] < VANISHED * scatter
        ]
    held_back = [f"{name} is at the bound {value:g} of its domain" for name, value in bounds.items()]
    status = (
        "not_converged"
        if unconverged
        else "not_identified"
        if undetermined
        else "at_bound"
        if held_back
        else "certified"
    )
    certificate = Certificate(
        length, positive, smallest, condition, found.starts, found.agree, bounds, found.basins, standard,
        tuple(unconverged + undetermined + held_back),
    )  # fmt: skip
    return status, certificate


def quadratic_half_width(design: Design, u: np.ndarray) -> float:
    """The half-width of the quadratic part of the loss at the optimum, in units of the residual."""
    loss = design.loss
    if loss.name == "huber":
        return loss.delta
    if loss.name == "squares":
        return np.inf
    size = np.abs(design.residuals(u[None])[0])
    if loss.name == "likelihood":
        return loss.delta * float(loss.scale(size[None], design.weights[None])[0])
    return float(np.median(size)) * 1e-6 + 1e-15


def _bounds_hit(design: Design, u: np.ndarray, gradient: np.ndarray) -> dict[str, float]:
    hit = {}
    for i, name in enumerate(design.law.parameters):
        if name in design.held:
            continue
        room = 1e-9 * (1.0 + abs(u[i]))
        for bound in (design.lower[i], design.upper[i]):
            if np.isfinite(bound) and abs(u[i] - bound) <= room:
                hit[name] = float(np.exp(bound)) if design.in_logs[i] else float(bound)
    return hit


def _scaled(metric: np.ndarray, hessian: np.ndarray, gradient: np.ndarray, value: float) -> tuple[float, float]:
    """Length of the gradient, and smallest eigenvalue of the Hessian, in the metric."""
    if not len(gradient):
        return 0.0, np.inf
    scale = 1.0 / np.sqrt(np.maximum(np.diag(metric), 1e-300))
    unit = metric * np.outer(scale, scale) + 1e-14 * np.eye(len(gradient))
    if not np.all(np.isfinite(unit)) or not np.all(np.isfinite(hessian)):
        return np.inf, -np.inf
    eigenvalues, vectors = np.linalg.eigh(unit)
    root = vectors / np.sqrt(np.maximum(eigenvalues, 1e-14))
    g = root.T @ (gradient * scale)
    h = root.T @ (hessian * np.outer(scale, scale)) @ root
    return float(np.sqrt(g @ g / value)), float(np.linalg.eigvalsh(0.5 * (h + h.T))[0])


def _condition(gram: np.ndarray) -> float:
    if not len(gram):
        return 1.0
    scale = 1.0 / np.sqrt(np.maximum(np.diag(gram), 1e-300))
    unit = gram * np.outer(scale, scale)
    if not np.all(np.isfinite(unit)):
        return np.inf
    eigenvalues = np.linalg.eigvalsh(unit)
    return float(eigenvalues[-1] / eigenvalues[0]) if eigenvalues[0] > 0 else np.inf


def _standard_errors(design: Design, residuals: np.ndarray, gram: np.ndarray, threshold: float) -> np.ndarray:
    """Asymptotic standard errors of an M-estimate: tau^2 (J'WJ)^-1, tau^2 = E psi^2 / (E psi')^2, rows independent."""
    errors = np.full(len(gram), np.nan)
    free = design.free
    rows, count = len(residuals), int(free.sum())
    if rows <= count or not np.all(np.isfinite(gram)):
        return errors
    weights = design.weights
    if np.isinf(threshold):
        tau2 = float(np.sum(weights * residuals**2) / weights.sum())
    else:
        force = np.clip(residuals, -threshold, threshold)
        inside = share_within(residuals, threshold, weights)
        tau2 = float(np.sum(weights * force**2) / weights.sum()) / max(inside, 1e-12) ** 2
    tau2 *= rows / (rows - count)
    part = gram[np.ix_(free, free)]
    scale = 1.0 / np.sqrt(np.maximum(np.diag(part), 1e-300))
    inverse = np.linalg.pinv(part * np.outer(scale, scale), rcond=1e-15, hermitian=True)
    errors[free] = np.sqrt(np.maximum(tau2 * np.diag(inverse), 0.0)) * scale
    return errors


def _unknown(design: Design, found: Search, errors: dict[str, float], bounds: dict[str, float]) -> list[str]:
    """Sentences about parameters that the data leave open."""
    sentences = []
    suspects = []
    for i, name in enumerate(design.law.parameters):
        if name in design.held or name in bounds or not np.isfinite(errors[name]):
            continue
        value, error = found.u[i], errors[name]
        if design.in_logs[i] and error > UNKNOWN_LOG:
            sentences.append(
                f"{name} is unknown by a factor of 10^{error / np.log(10):.0f} either way; pin it or drop its term"
            )
        elif design.in_logs[i] and error > DOUBTFUL_LOG:
            suspects.append(i)
        if not design.in_logs[i] and error > UNKNOWN_EXPONENT * max(1.0, abs(value)):
            sentences.append(
                f"{name} = {value:.2g} has a standard error of {error:.2g}; pin it or widen the range of the runs"
            )
    for i in unbounded_above(design, found.u, found.value, suspects):
        sentences.append(
            f"{design.law.parameters[i]} could be a million times larger and fit as well; pin it or drop its term"
        )
    return sentences
