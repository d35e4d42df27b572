"""How fast each bottleneck relaxes, by regime: the table of exponents of the dynamical model and of its relatives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from scalinglens.errors import TheoryError

__all__ = ["Exponents", "exponents", "feature_learning_exponents", "phase"]


@dataclass(frozen=True)
class Exponents:
    """Predicted exponents of a power law with source a and capacity b; each is positive where its quantity falls.

    Attributes:
        source, capacity: a, b.
        regime: "hard" (a - 1 < b), "easy", or "super-easy" (a - 1 > 2b - 1, where SGD noise can dominate).
        time, features, samples: of the loss where that resource is short.
        bias_features: of the bias in N, the loss of an infinite ensemble; what the paper prints for one model.
        early_features, early_samples, gap: powers of t in front of 1/N, 1/P and 1/P in L(t, N) - L(t), L(t, P) - L(t) and
            test - train at early times; positive where they grow.
        compute: of L*(C); compute_features, compute_time: of N*(C) and t*(C).
        published_compute: exponent by the published formula, which holds where a - 1 < b.
    """

    source: float
    capacity: float
    regime: str
    time: float
    features: float
    samples: float
    bias_features: float
    early_features: float
    early_samples: float
    gap: float
    compute: float
    compute_features: float
    compute_time: float
    published_compute: float


def exponents(source: float, capacity: float) -> Exponents:
    """Return the exponents of the dynamical model under gradient flow.

    Args:
        source: a > 1. capacity: b > 1.

    Raises:
        TheoryError: exponents whose sums diverge.

    Source: Bordelon, Atanasov and Pehlevan 2024 (arXiv 2402.01092), eqs. 12-17, with the width exponent of one model and the
        compute exponents corrected for a - 1 > b (docs/theory/random_features.md, section 6; there also Paquette et al. 2024).

    >>> found = exponents(3, 1.25)
    >>> found.features, found.bias_features, round(found.compute, 3), round(found.published_compute, 3)
    (1.25, 2.0, 0.667, 0.889)
    """
    a, b = _checked(source, capacity)
    hard = a - 1 < b
    width, data = min(a - 1, b), min(a - 1, 2 * b)
    if hard:
        compute, size = (a - 1) / (1 + b), 1 / (1 + b)
    else:  # the feature variance N^-1 t^(-1 + 1/b) is what a larger model buys
        compute, size = (a - 1) / a, (a - b) / a
    return Exponents(
        source=a,
        capacity=b,
        regime="hard" if hard else "super-easy" if a > 2 * b else "easy",
        time=(a - 1) / b,
        features=width,
        samples=data,
        bias_features=data,
        early_features=(1 - width) / b,
        early_samples=(1 - data) / b,
        gap=(2 - a) / b,
        compute=compute,
        compute_features=size,
        compute_time=1 - size,
        published_compute=(a - 1) * data / (a - 1 + b * data),
    )


def feature_learning_exponents(source: float, capacity: float) -> dict[str, float]:
    """Return exponents where the features move too: a two-layer linear network, online.

    beta = (a-1)/b: the loss falls as t^(-beta max(1, 2/(1 + beta))), so hard tasks (beta < 1) speed up and easy ones do not.

    Args:
        source: a > 1. capacity: b > 1.

    Returns:
        "time", "features", "compute", and the "lazy_time", "lazy_compute" of frozen features.

    Source: Bordelon, Atanasov and Pehlevan 2024 (arXiv 2409.17858); compute exponent by balancing time with width.

    >>> found = feature_learning_exponents(1.5, 1.25)
    >>> round(found["time"], 4), round(found["lazy_time"], 4)
    (0.5714, 0.4)
    """
    a, b = _checked(source, capacity)
    beta = (a - 1) / b
    time = beta * max(1.0, 2 / (1 + beta))
    lazy = exponents(a, b)
    width = b * min(beta, 1.0)
    compute = width * time / (width + time) if beta < 1 else lazy.compute
    return {
        "time": time,
        "features": width,
        "compute": compute,
        "lazy_time": beta,
        "lazy_compute": lazy.compute,
    }


def phase(alpha: float, beta: float) -> Mapping[str, float | str]:
    """Return the phase of one-pass SGD with batch 1, and its compute-optimal exponents.

    loss ~ f^-compute at d* ~ f^size for f = steps x d FLOP; spectrum j^(-2 alpha), target coefficients j^(-beta)

    Args:
        alpha, beta: exponents of Paquette et al.: 2 alpha = b, 2 alpha + 2 beta - 1 = a - 1 where 2 alpha > 1.

    Returns:
        "phase", "compute" and "size".

    Raises:
        TheoryError: outside the phases, where the loss does not fall.

    Source: Paquette, Paquette, Xiao and Pennington 2024 (arXiv 2405.15074), table 2; the split of IVa and IVb at
        alpha = 1 - 1/sqrt(2) is derived in docs/theory/random_features.md.

    >>> phase(0.625, 0.125)["phase"], round(phase(0.625, 0.125)["compute"], 4)
    ('Ia', 0.2222)
    """
    for name, value in (("alpha", alpha), ("beta", beta)):
        if not value > 0:
            raise TheoryError(f"{name} is {value!r}; it is a positive exponent")
    if alpha + beta <= 0.5:
        raise TheoryError(f"alpha + beta is {alpha + beta:g}; the loss falls only above 1/2")
    total = 2 * alpha + 2 * beta - 1
    if 2 * alpha > 1:
        if 2 * beta < 1:
            return {"phase": "Ia", "compute": total / (2 * alpha + 1), "size": 1 / (2 * alpha + 1)}
        if beta < alpha:
            return {"phase": "II", "compute": total / (2 * (alpha + beta)), "size": beta / (alpha + beta)}
        return {"phase": "III", "compute": (4 * alpha - 1) / (4 * alpha), "size": 0.5}
    if 2 * beta < 1:
        return {"phase": "Ib", "compute": alpha + beta - 0.5, "size": 0.5}
    if alpha < 0.25:
        below = alpha * (2 * beta - 3) - 2 * beta + 1
        return {"phase": "Ic", "compute": -alpha * total / below, "size": (1 - 2 * (alpha + beta)) / (2 * below)}
    if alpha > 1 - 2**-0.5:
        return {"phase": "IVa", "compute": alpha, "size": 0.5}
    below = 2 * alpha * beta + alpha - 2 * beta
    return {"phase": "IVb", "compute": (2 * alpha - 1) * total / (2 * below), "size": (alpha - beta) / below}


def _checked(source: float, capacity: float) -> tuple[float, float]:
    for name, value in (("source", source), ("capacity", capacity)):
        if isinstance(value, bool) or not isinstance(value, int | float) or not 1 < value < float("inf"):
            raise TheoryError(f"{name} is {value!r}; it is an exponent above 1, such as 1.5")
    return float(source), float(capacity)
