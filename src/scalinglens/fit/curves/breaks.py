"""How many breaks a curve has: broken laws with more and more of them, as long as the evidence grows.

    y = a + b x^(-c0) prod_i (1 + (x/d_i)^(1/f_i))^(-c_i f_i)

One break more costs three parameters and always fits better, also where there is none: its place is chosen after the fact, so
the threshold of a likelihood ratio (7.8 for three parameters at 5%) does not apply. The one here is measured on made power laws
with a floor (benchmarks/breaks.py), for the statistic

    T = (n - p) ln(RSS_j/RSS_k) > 12 (k - j),   p the parameters of the law with k breaks, j the count accepted so far.

A count is compared with the last accepted one, not with one less: double descent needs two breaks, and one of them explains
nothing. A break has at least three different x on either side: what bends beyond them is not seen.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from scalinglens.errors import FitError
from scalinglens.fit.curves.curve import curve_of
from scalinglens.fit.curves.member import member_fit
from scalinglens.fit.inputs import with_curve_input
from scalinglens.fit.objective import Design, Loss
from scalinglens.fit.refits import Refits, refits
from scalinglens.fit.result import Fit
from scalinglens.laws.catalogue import law as find_law
from scalinglens.laws.domain import Domain
from scalinglens.laws.law import Law
from scalinglens.numerics.processes import single_threaded_blas
from scalinglens.runs import Runs, read_runs

__all__ = ["Breaks", "choose_breaks"]

SIDE = 3  # different x on either side of a break
THRESHOLD = 12.0  # of T for each break; see the header
SHARPNESS = (0.02, 5.0)  # of f
PLACES = 8  # of a new break that are tried
STARTS = 6


@dataclass(frozen=True, eq=False)
class Breaks:
    """The choice of `choose_breaks`.

    Attributes:
        count: how many breaks the evidence supports.
        fits: the laws with 0, 1, ... breaks, as far as the rows allow.
        evidence: one row per law: breaks, parameters, rss, aicc, bic, statistic, threshold, chosen.
    """

    count: int
    fits: tuple[Fit, ...]
    evidence: pd.DataFrame

    @property
    def fit(self) -> Fit:
        """The fit with as many breaks as the evidence supports."""
        return self.fits[self.count]

    @property
    def places(self) -> tuple[float, ...]:
        """Where the breaks are, in x."""
        return tuple(sorted(self.fit.values[f"d{i + 1}"] for i in range(self.count)))

    def __repr__(self) -> str:
        words = "no break" if not self.count else f"{self.count} break{'s' if self.count > 1 else ''} at x = "
        words += ", ".join(f"{place:.3g}" for place in self.places)
        return words + "\n" + self.evidence.to_string(float_format=lambda v: f"{v:.4g}")


def choose_breaks(
    runs: Any, *, x: str | None = None, target: str | None = None, most: int = 3, seed: int = 0
) -> Breaks:
    """Choose the number of breaks of a curve by evidence inside its range.

    Args:
        runs: `Runs`, or anything `read_runs` takes.
        x: column that the curve runs over.
        target: column to fit, by default `loss`.
        most: breaks to try at most, 0 to 3.
        seed: of the starts.

    Returns:
        The fits with their evidence. Fewer breaks are tried where the rows do not suffice.

    Raises:
        FitError: too few rows for a power law with a floor, values that are not positive, or `most` out of range.

    Cost: about a tenth of a second for one break and fifty rows.

    Source: broken laws of Caballero et al. 2022; threshold measured, see the header.

    >>> x = np.geomspace(1, 1e4, 30)
    >>> choose_breaks({"x": x, "loss": 1 + x**-0.3 * np.exp(0.002 * np.cos(3 * np.arange(30)))}).count
    0
    """
    if isinstance(most, bool) or not isinstance(most, int) or not 0 <= most <= 3:
        raise FitError(f"most is a number of breaks, 0 to 3, got {most!r}")
    table = runs if isinstance(runs, Runs) else read_runs(runs)
    goal = target or next((n for n in ("loss", "error", "y") if n in table.frame), "loss")
    table = with_curve_input(table, find_law("caballero2022.n1"), x, goal).complete("x", goal)
    curve = curve_of(table, goal, falls=True)
    rows, different = len(curve.x), np.unique(curve.x)
    fits, found, evidence = [], [], []
    count = 0
    with single_threaded_blas():
        for breaks in range(most + 1):
            law = _law(breaks, different)
            free = len(law.parameters)
            if rows < free + 2 or (breaks and len(different) < 2 * SIDE + breaks):
                break
            design = Design.build(law, Loss("squares"), (curve.x,), curve.y, np.ones(rows), {})
            ends = _followed(design, breaks, found[-1] if found else None, different, seed)
            rss = 2 * float(ends.value[0])
            fit = member_fit(design, ends, table, goal, seed=seed)
            statistic = threshold = np.nan
            if fits:
                before = evidence[count]["rss"]
                statistic = (rows - free) * np.log(max(before, 1e-300) / max(rss, 1e-300))
                threshold = THRESHOLD * (breaks - count)
                count = breaks if statistic > threshold else count
            evidence.append(
                {
                    "breaks": breaks,
                    "parameters": free,
                    "rss": rss,
                    "aicc": rows * np.log(max(rss, 1e-300) / rows) + 2 * free * rows / max(rows - free - 1, 1),
                    "bic": rows * np.log(max(rss, 1e-300) / rows) + free * np.log(rows),
                    "statistic": statistic,
                    "threshold": threshold,
                }
            )
            fits.append(fit)
            found.append(dict(zip(law.parameters, design.to_natural(ends.u)[0], strict=True)))
    if not fits:
        raise FitError(
            f"{rows} runs of {table.origin} are too few for a power law with a floor: 5 are needed; add runs"
        )
    frame = pd.DataFrame(evidence).set_index("breaks")
    frame["chosen"] = frame.index == count
    return Breaks(count, tuple(fits), frame)


def _law(breaks: int, different: np.ndarray) -> Law:
    if not breaks:
        return Law("no break", "a + b*x^(-c0)", output="y", domains={"c0": Domain(-np.inf, np.inf)})
    found = replace(find_law(f"caballero2022.n{breaks}"), constants={}, tags={})
    low, high = float(different[SIDE - 1]), float(different[-SIDE])
    places = {f"d{i + 1}": Domain(low, high, False) for i in range(breaks)}
    sharp = {f"f{i + 1}": Domain(*SHARPNESS, False) for i in range(breaks)}
    return replace(found, domains={**dict(found.domains), **places, **sharp})


def _followed(design: Design, breaks: int, before: dict[str, float] | None, different: np.ndarray, seed: int) -> Refits:
    """The best fit from starts of its own and from the law with one break less, a new one put in at several places."""
    also = None
    if before is not None:
        inside = different[SIDE - 1 : len(different) - SIDE + 1]
        places = np.exp(np.quantile(np.log(inside), np.linspace(0, 1, PLACES)))
        starts = [
            [{**before, f"d{breaks}": d, f"f{breaks}": 0.3, f"c{breaks}": c}[name] for name in design.law.parameters]
            for d in places
            for c in (0.1, -0.1)
        ]
        also = design.to_coordinates(np.array(starts))
    return refits(
        design, np.ones((1, len(design.observed))), starts=STARTS, pool=400, seed=seed, also=also, iterations=80
    )
