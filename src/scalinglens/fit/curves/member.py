"""One law on a curve, fitted already, as a `Fit` like any other."""

from __future__ import annotations

import numpy as np

from scalinglens.fit.certificate import certify
from scalinglens.fit.covariance import absorbed_by_groups
from scalinglens.fit.objective import Design
from scalinglens.fit.refits import Refits
from scalinglens.fit.result import Fit
from scalinglens.fit.search import Search
from scalinglens.runs import Runs

__all__ = ["member_fit"]


def member_fit(
    design: Design,
    ends: Refits,
    table: Runs,
    target: str,
    *,
    draws: np.ndarray | None = None,
    groups: np.ndarray | None = None,
    level: float = 0.9,
    seed: int = 0,
) -> Fit:
    """Return the first of the ends as a `Fit`, certified like any other."""
    draws = np.empty((0, len(design.law.parameters))) if draws is None else draws
    groups = np.arange(len(design.observed)) if groups is None else groups
    u = ends.u[0]
    found = Search(
        u=u,
        value=float(design.loss.value(design.residuals(u[None]), design.weights[None])[0]),
        decrement=0.0,
        converged=bool(ends.converged[0]),
        starts=int(ends.starts),
        agree=int(ends.agree[0]),
        basins=(),
        iterations=0,
    )
    status, certificate = certify(design, found)
    values = {n: float(v) for n, v in zip(design.law.parameters, design.to_natural(u[None])[0], strict=True)}
    prediction = design.law.value(values, {"x": design.inputs[0]})
    return Fit(
        law=design.law,
        loss=design.loss,
        status=status,
        values=values,
        pinned=(),
        certificate=certificate,
        value=found.value,
        scale=None,
        points={"x": design.inputs[0]},
        observed=design.observed,
        residuals=np.log(prediction / design.observed),
        ratios=True,
        weights=design.weights,
        groups=groups,
        absorbed=absorbed_by_groups(design, u, groups),
        draws=draws,
        left_out=None,
        covariance=None,
        profile=None,
        level=level,
        interval_method="percentile",
        target=target,
        table=table.described(),
        settings={"boot": len(draws), "groups": None, "resample": "rows", "seed": seed, "weights": "given", "tie": {}},
        warnings=tuple(f"{status}: {reason}" for reason in certificate.reasons),
    )
