"""Learning curves of a Zipf tail: items of falling frequency, each learned at once when there is room and it has been seen.

Items of frequency p_k = k^-(1+a)/zeta(1+a), k = 1, 2, ...; the error is the frequency of those that are not known.

    memoriser (Hutter):  E(n) = sum_k p_k (1 - p_k)^n ~ zeta(1+a)^(-1/(1+a)) Gamma(b)/(1+a) n^-b,   b = a/(1+a)
    quanta (Michaud):    the first n are known:  L(n) - L_inf = sum_{k>n} p_k ~ n^-a/(a zeta(1+a))

A quantum is learned where the capacity holds it and where it has been met tau times. Either by its expected count, D p_k >= tau,
which cuts the list at one place, or by chance, P(Poisson(D p_k) >= tau); the memoriser is the second with tau = 1.

Sources: Hutter 2021 (arXiv 2102.04074); Michaud, Liu, Girit and Tegmark 2023 (arXiv 2303.13506).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import gamma, gammainc, gammaincc, zeta

from scalinglens.errors import TheoryError, did_you_mean
from scalinglens.figures.figure import ACCENT, MUTED, Axis, Band, Figure, Line, Panel, series
from scalinglens.theory.answer import Answer
from scalinglens.theory.numbers import amount, amounts
from scalinglens.worlds.spectra import power_law

__all__ = ["COUNTING", "LearningCurve", "QuantaCurve", "hutter", "hutter_curve", "quanta", "quanta_curve"]

COUNTING = ("expected", "drawn")
Amount = float | str
_HUTTER = "Hutter 2021, Learning Curve Theory, arXiv 2102.04074"
_MICHAUD = "Michaud, Liu, Girit and Tegmark 2023, The Quantization Model of Neural Scaling, arXiv 2303.13506"


@dataclass(frozen=True, eq=False)
class LearningCurve:
    """Error of a memoriser.

    Attributes:
        samples: n. mean: expected error. sd: its standard deviation over draws of the data, an upper form.
        asymptotic: the power law that the mean tends to.
        exponent: b = a/(1+a).
    """

    samples: np.ndarray
    mean: np.ndarray
    sd: np.ndarray
    asymptotic: np.ndarray
    exponent: float


@dataclass(frozen=True, eq=False)
class QuantaCurve:
    """Loss above the floor in the quantization model, as a share of what all quanta together remove.

    Attributes:
        loss: of capacity and data together, in the shape of both. learned: quanta known, expected number.
        params_exponent: a. data_exponent: a/(1+a), of samples and of steps alike.
    """

    loss: np.ndarray
    learned: np.ndarray
    params_exponent: float
    data_exponent: float


def hutter_curve(a: float, samples: Any, *, modes: float = math.inf) -> LearningCurve:
    """Return the learning curve of a memoriser on items whose frequencies fall as a power.

    E(n) = sum_k p_k (1-p_k)^n,   sd^2 = sum_k p_k^2 [(1-p_k)^n - (1-p_k)^(2n)],   p_k ~ k^-(1+a)

    Args:
        a: tail exponent, above 0. samples: n, of any shape, 0 or more.
        modes: how many items there are; inf for all.

    Returns:
        The `LearningCurve`. The deviation leaves out the covariances between items, which are negative: it is an upper form.

    Raises:
        TheoryError: a or samples outside their domain.

    Cost: some 170 items per n where there are endless ones (a quadrature, right to about five digits).

    Source: Hutter 2021 (arXiv 2102.04074).

    >>> found = hutter_curve(1.0, [1e2, 1e3, 1e4])
    >>> found.mean.round(5).tolist(), found.asymptotic.round(5).tolist()
    ([0.06884, 0.02184, 0.00691], [0.0691, 0.02185, 0.00691])
    """
    a, n = _exponent(a), _amounts("samples", samples, 0.0)
    p, many = _frequencies(a, modes)
    log_missed = np.log1p(-np.minimum(p, 1 - 1e-16))
    missed = np.exp(n[..., None] * log_missed)
    mean = missed @ (many * p)
    # 1 - (1-p)^n without cancellation where an item is hardly ever met
    variance = (missed * -np.expm1(n[..., None] * log_missed)) @ (many * p * p)
    b = a / (1 + a)
    with np.errstate(divide="ignore"):
        limit = zeta(1 + a) ** (-1 / (1 + a)) * gamma(b) / (1 + a) * n**-b
    return LearningCurve(n, mean, np.sqrt(variance), limit, b)


def quanta_curve(
    a: float, *, capacity: Any = math.inf, data: Any = math.inf, tau: float = 1.0, counting: str = "expected"
) -> QuantaCurve:
    """Return the loss above its floor of a network that learns quanta of knowledge in the order of their use.

    L - L_inf = sum_{k > n} p_k,   n = min(capacity, (D/(tau zeta(1+a)))^(1/(1+a)))          (counting "expected")
    L - L_inf = sum_k p_k [k > capacity or Poisson(D p_k) < tau]                              (counting "drawn")

    Args:
        a: tail exponent, above 0. capacity: quanta that the parameters hold; parameters / (parameters per quantum).
        data: D, samples seen once each, or steps times the batch. tau: how often a quantum must be met.
        counting: whether a quantum is learned by its expected count or by the count that was drawn.

    Returns:
        The `QuantaCurve`; capacity and data are combined element by element.

    Raises:
        TheoryError: numbers outside their domain, or an unknown counting.

    Cost: O(1) for each point with expected counts (a Hurwitz zeta function), some 170 items with drawn ones.

    Source: Michaud et al. 2023 (arXiv 2303.13506), sections 2 and 3.

    >>> quanta_curve(0.4, capacity=[10, 100, 1000]).loss.round(4).tolist()
    [0.3142, 0.1273, 0.0508]
    >>> quanta_curve(0.4, data=[1e4, 1e6]).loss.round(4).tolist()
    [0.0801, 0.0215]
    """
    a = _exponent(a)
    if counting not in COUNTING:
        raise TheoryError(
            f'there is no counting "{counting}"{did_you_mean(counting, COUNTING)}; take expected or drawn'
        )
    if not (isinstance(tau, int | float | np.number) and 0 < tau < math.inf):
        raise TheoryError(f"tau is {tau!r}; it is how often a quantum must be met, a positive number")
    held, seen = np.broadcast_arrays(_amounts("capacity", capacity, 0.0), _amounts("data", data, 0.0))
    total = zeta(1 + a)
    if counting == "expected":
        # what is left over of a quantum is left out: with n + 1/2 in its place the sum would be smooth
        met = np.floor((seen / (tau * total)) ** (1 / (1 + a)) * (1 + 1e-12))
        learned = np.minimum(np.floor(held), met)
        known = np.isfinite(learned)
        loss = np.where(known, zeta(1 + a, np.where(known, learned, 0.0) + 1) / total, 0.0)
    else:
        learned, loss = _drawn(a, np.floor(held), seen, tau)
    return QuantaCurve(loss, learned, a, a / (1 + a))


def hutter(*, a: float, samples: str = "1e2:1e6:9", modes: Amount = "inf") -> Answer:
    """Learning curve of a memoriser on items whose frequencies fall as k^-(1+a).

    Args:
        a: tail exponent, above 0.
        samples: list A,B,C or range LOW:HIGH:COUNT of data sizes.
        modes: how many items there are, or inf.

    Returns:
        samples, error, its standard deviation over data sets, and the power law it tends to.

    Raises:
        TheoryError: numbers outside their domain.

    Source: Hutter 2021 (arXiv 2102.04074).

    >>> hutter(a=1, samples="1000").table["error"].round(5).tolist()
    [0.02184]
    """
    found = hutter_curve(a, amounts("samples", samples), modes=amount("modes", modes))
    table = {"samples": found.samples, "error": found.mean, "sd": found.sd, "asymptotic": found.asymptotic}
    x = found.samples
    marks = (
        Band(x, np.maximum(found.mean - found.sd, found.mean * 0.1), found.mean + found.sd, ACCENT),
        Line(x, found.asymptotic, MUTED, label="power law"),
        Line(x, found.mean, ACCENT, 1.8, label="exact"),
    )
    panel = Panel("Error of a memoriser", Axis("samples", "log", "power"), Axis("error", "log"), marks)
    return Answer(
        f"memoriser, a = {a:g}",
        table,
        {"a": a, "modes": amount("modes", modes), "exponent": found.exponent, **table},
        [f"error ~ n^-{found.exponent:.4g}; the deviation leaves out negative covariances, so it is an upper one"],
        (),
        (_HUTTER,),
        Figure("Learning a Zipf tail", (panel,), f"a = {a:g}"),
    )


def quanta(
    *, a: float, capacity: str = "inf", data: str = "1e2:1e8:13", tau: float = 1.0, counting: str = "expected"
) -> Answer:
    """Loss above its floor in the quantization model, over capacity and data.

    Args:
        a: tail exponent of the quanta's use, above 0.
        capacity: quanta the network holds; list, range LOW:HIGH:COUNT or inf.
        data: samples; list, range LOW:HIGH:COUNT or inf.
        tau: how often a quantum must be met to be learned.
        counting: expected or drawn: by which count it is met.

    Returns:
        each capacity with each amount of data, the loss above the floor and the number of quanta learned.

    Raises:
        TheoryError: numbers outside their domain.

    Source: Michaud et al. 2023 (arXiv 2303.13506).

    >>> quanta(a=0.4, capacity="10,100", data="inf").table["loss"].round(4).tolist()
    [0.3142, 0.1273]
    """
    held, seen = np.meshgrid(amounts("capacity", capacity), amounts("data", data), indexing="ij")
    found = quanta_curve(a, capacity=held.ravel(), data=seen.ravel(), tau=tau, counting=counting)
    table = {"capacity": held.ravel(), "data": seen.ravel(), "loss": found.loss, "learned": found.learned}
    exponents = {"params_exponent": found.params_exponent, "data_exponent": found.data_exponent}
    over_data = held.shape[1] > 1
    x, label = (seen, "data") if over_data else (held.T, "capacity")
    y = found.loss.reshape(held.shape) if over_data else found.loss.reshape(held.shape).T
    shown = np.isfinite(x) & (x > 0) & (y > 0)
    names = [f"capacity {value:g}" for value in held[:, 0]] if over_data else [f"data {value:g}" for value in seen[0]]
    lines = tuple(
        Line(p[k], q[k], series(i), label=name)
        for i, (p, q, k, name) in enumerate(zip(x, y, shown, names, strict=True))
        if k.any()
    )
    panel = Panel("Loss above the floor", Axis(label, "log", "power"), Axis("share of all quanta", "log"), lines)
    return Answer(
        f"quanta, a = {a:g}, tau = {tau:g}, {counting} counts",
        table,
        {"a": a, "tau": tau, "counting": counting, **exponents, **table},
        [f"loss ~ capacity^-{a:.4g} and data^-{found.data_exponent:.4g}; parameters and capacity are proportional"],
        (),
        (_MICHAUD,),
        Figure("Quantization model", (panel,), f"a = {a:g}") if lines else None,
    )


def _frequencies(a: float, modes: float) -> tuple[np.ndarray, np.ndarray]:
    """Frequency of each item and how many items it stands for; they add up to one."""
    known = power_law(1 + a, 1 + a, modes)
    return known.eigenvalues / known.trace, np.asarray(known.multiplicity)


def _drawn(a: float, held: np.ndarray, seen: np.ndarray, tau: float) -> tuple[np.ndarray, np.ndarray]:
    """Quanta learned and loss where the count of each is a Poisson number."""
    if tau != int(tau):
        raise TheoryError(f"tau is {tau:g}; with drawn counts it is a whole number, since counts are")
    learned, loss = np.zeros(held.shape), np.zeros(held.shape)
    total = zeta(1 + a)
    for most in np.unique(held):
        at = held == most
        rest = 0.0 if math.isinf(most) else zeta(1 + a, most + 1) / total
        if most >= 1:
            modes = power_law(1 + a, 1 + a, most)  # a quadrature that ends where the capacity does
            p, many = modes.eigenvalues / total, np.asarray(modes.multiplicity)
            expected = seen[at][:, None] * p
            endless = np.isinf(expected)
            expected = np.where(endless, 1.0, expected)
            learned[at] = np.where(endless, 1.0, gammainc(tau, expected)) @ many
            loss[at] = np.where(endless, 0.0, gammaincc(tau, expected)) @ (many * p)
        loss[at] += rest
    return np.where(np.isinf(held) & np.isinf(seen), np.inf, learned), loss


def _exponent(a: Any) -> float:
    if isinstance(a, bool) or not isinstance(a, int | float | np.number) or not 0 < a < math.inf:
        raise TheoryError(f"a is {a!r}; it is the exponent of the tail, a positive number such as 0.5")
    return float(a)


def _amounts(name: str, values: Any, low: float) -> np.ndarray:
    array = np.asarray(values, dtype=float)
    wrong = ~(array >= low)
    if wrong.any():
        raise TheoryError(
            f"{name} has {int(wrong.sum())} values below {low:g}, the first is {array[wrong].flat[0]:g}; drop them"
        )
    return array
