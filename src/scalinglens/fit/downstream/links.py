"""Links from loss to accuracy, the second step of a downstream forecast.

| link | accuracy at a loss L | source |
|---|---|---|
| sigmoid | b - a/(1 + exp(-k (L - L0))), a and b in [0, 1], k and L0 not negative | Bhagia et al. 2024, section 3 |
| exponential | 1 - eps + k exp(-gamma L) | Gadre et al. 2024, eq. 5 |

Both fall with the loss, both are laws of the catalogue and are fitted by least squares on the accuracy itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from scalinglens.errors import FitError, did_you_mean
from scalinglens.fit.fit import fit
from scalinglens.fit.result import Fit
from scalinglens.laws.catalogue import law
from scalinglens.laws.domain import Domain
from scalinglens.laws.law import Law
from scalinglens.runs import read_runs

__all__ = ["LINKS", "accuracy_link", "fit_link"]

LINKS: Mapping[str, tuple[str, str]] = {
    "sigmoid": ("bhagia2024.link", "a = b - {chance}"),
    "exponential": ("gadre2024.accuracy", "eps = 1 - {chance}"),
}
"""Name of a link -> its law, and what it means that it ends at chance."""

_NEAR_ZERO = 1e-9  # a loss of zero, as a share of the smallest one: tables hold positive losses only


def accuracy_link(link: str | Law, *, floor: float | None = None) -> Law:
    """Return the law of a link.

    Args:
        link: a name in `LINKS`, or a law or formula whose only input is the loss: "accuracy = c - m*loss where c real".
        floor: accuracy at a large loss, such as that of guessing; free if None.

    Returns:
        The law, the floor tied in.

    Raises:
        FitError: no such link, inputs other than the loss, or a floor outside [0, 1).

    >>> accuracy_link("sigmoid").parameters, accuracy_link("sigmoid", floor=0.25).parameters
    (('b', 'a', 'k', 'L0'), ('b', 'k', 'L0'))
    """
    if floor is not None and not 0 <= floor < 1:
        raise FitError(f"the floor of an accuracy is a share, 0 or more and below 1, got {floor!r}")
    if isinstance(link, str) and link.strip() in LINKS:
        name, tie = LINKS[link.strip()]
        chosen = law(name)
        if floor is None:
            return chosen
        left, _, right = tie.format(chance=repr(float(floor))).partition(" = ")
        tied = chosen.with_ties({left: right})
        ceiling = (
            {"b": Domain(floor, 1.0, open=False)} if "b" in tied.parameters else {}
        )  # else it would fall with skill
        return replace(tied, domains={**tied.domains, **ceiling})
    if isinstance(link, str) and link.strip().isidentifier():
        raise FitError(
            f'there is no link "{link}"{did_you_mean(link, LINKS)}; known are {", ".join(LINKS)}, '
            'and any formula in loss can be typed: "accuracy = c - m*loss"'
        )
    chosen = law(link)
    if chosen.inputs != ("loss",):
        raise FitError(f"a link has the loss as its only input, {chosen.formula!r} has {', '.join(chosen.inputs)}")
    if floor is not None:
        raise FitError(f"only the links {', '.join(LINKS)} know where their floor is; write it into the formula")
    return chosen


def fit_link(
    loss: np.ndarray,
    accuracy: np.ndarray,
    link: str | Law = "sigmoid",
    *,
    floor: float | None = None,
    anchor: tuple[float, float] | None = None,
    groups: np.ndarray | None = None,
    boot: int = 0,
    level: float = 0.9,
    seed: int = 0,
    starts: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    **options: Any,
) -> Fit:
    """Fit a link from loss to accuracy by least squares on the accuracy.

    minimise over parameters: 1/2 sum_rows ( link(loss) - accuracy )^2

    Args:
        loss, accuracy: one number per run or checkpoint [n].
        link, floor: see `accuracy_link`.
        anchor: a further point (loss, accuracy) that counts as much as one row, (0, 1) in Bhagia et al.
        groups: label of the run of each row [n]; runs are resampled whole. Rows stand for themselves without it.
        boot, level, seed, starts, progress: as in `fit`.
        options: further options of `fit`, such as `interval` or `pin`.

    Returns:
        The `Fit` of a law with input `loss` and output `accuracy`.

    Raises:
        FitError: too few rows, an accuracy that is no share, an unknown link.

    Cost: 0.1 to 0.3 s for a thousand rows, most of it for the search.

    Source: Bhagia et al. 2024 (arXiv 2412.04403), section 3.2; Gadre et al. 2024 (arXiv 2403.08540), section 3.

    >>> loss = np.linspace(2.0, 4.0, 9)
    >>> found = fit_link(loss, 0.8 - 0.55 / (1 + np.exp(-4 * (loss - 3))))
    >>> found.status, round(found.values["L0"], 6)
    ('certified', 3.0)
    """
    loss, accuracy = np.asarray(loss, dtype=float), np.asarray(accuracy, dtype=float)
    if loss.shape != accuracy.shape or loss.ndim != 1:
        raise FitError(f"a link needs one accuracy per loss, got {accuracy.size} for {loss.size}")
    for what, values, low, high in (("loss", loss, 0.0, np.inf), ("accuracy", accuracy, -1e-9, 1 + 1e-9)):
        bad = ~np.isfinite(values) | (values < low) | (values > high)
        if bad.any():
            where = int(np.argmax(bad))
            remedy = "; divide percentages by 100" if what == "accuracy" and values[where] > 1 else ""
            raise FitError(f"the {what} of row {where} is {values[where]:g}, which is no {what}{remedy}")
    labels = (
        np.arange(len(loss)) if groups is None else np.unique(np.asarray(groups).astype(str), return_inverse=True)[1]
    )
    weights = np.ones(len(loss))
    if anchor is not None:
        # one row per run with an equal part of the weight: whatever runs a resample holds, the anchor weighs the same
        runs = np.unique(labels)
        place = max(float(anchor[0]), _NEAR_ZERO * float(loss.min()))
        loss = np.concatenate([loss, np.full(len(runs), place)])
        accuracy = np.concatenate([accuracy, np.full(len(runs), float(anchor[1]))])
        weights = np.concatenate([weights, np.full(len(runs), 1.0 / len(runs))])
        labels = np.concatenate([labels, runs])
    return fit(
        read_runs({"run": [f"run {label}" for label in labels], "loss": loss, "accuracy": accuracy}),
        accuracy_link(link, floor=floor),
        loss="squares",
        space="linear",
        target="accuracy",
        weights=weights,
        groups=labels if labels.max() > 0 else None,
        boot=boot,
        level=level,
        seed=seed,
        starts=starts,
        progress=progress,
        **options,
    )
