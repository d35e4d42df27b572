"""A curve of one variable, and the laws that are tried on it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from scalinglens.errors import FitError
from scalinglens.fit.compare.pool import LINKS
from scalinglens.laws.catalogue import law as find_law
from scalinglens.laws.domain import Domain
from scalinglens.laws.law import Law
from scalinglens.runs import Runs

__all__ = ["LEAST", "Curve", "break_range", "curve_laws", "curve_of", "early", "exact_laws", "late"]

LEAST = 5  # runs, and different x, that a curve needs


@dataclass(frozen=True, eq=False)
class Curve:
    """Rows of a curve in the order of x, with what is fitted in place of the column."""

    x: np.ndarray
    y: np.ndarray
    link: str
    order: np.ndarray  # row numbers of the table

    @property
    def size(self) -> np.ndarray:
        return np.log(self.x)


def curve_laws(x: np.ndarray, y: np.ndarray) -> dict[str, Law]:
    """Return the laws of the rule with the bounds that the data give; the broken law needs seven runs, M4 and two powers six.

    Args:
        x, y: the curve [rows], y falling.

    >>> list(curve_laws(np.arange(1.0, 7.0), 1 / np.arange(1.0, 7.0)))
    ['M1', 'M2', 'M3', 'M4', 'two powers']
    """
    form = lambda name: replace(find_law(name), constants={}, tags={})  # noqa: E731
    found = {name: form(f"alabdulmohsin2022.{name}") for name in ("M1", "M2")}
    # c at -20 is an exponential in 1/x, which would run away otherwise
    found["M3"] = _bounded(form("alabdulmohsin2022.M3"), c=Domain(-20.0, 0.0))
    if len(x) >= 6:
        found["M4"] = _bounded(
            form("alabdulmohsin2022.M4"), a=Domain(0.0, 20.0, False), e0=Domain(0.0, 20.0 * float(y.max()))
        )
        steep = Domain(0.0, 4.0, False)
        text = "E + A*x^(-alpha) + B*x^(-beta)"
        found["two powers"] = Law(text, text, domains={"alpha": steep, "beta": steep})
    if len(x) >= 7:
        broken = _bounded(
            form("caballero2022.n1"),
            c0=Domain(0.0, np.inf, False),
            c1=Domain(0.0, np.inf, False),
            f1=Domain(0.1, 5.0, False),
        )
        low, high = break_range(x)
        found["broken"] = _bounded(broken, d1=Domain(low, high, False))
    return found


def exact_laws(x: np.ndarray) -> dict[str, Law]:
    """Return further laws that are believed where they explain the runs and have no say otherwise: they end too soon.

    >>> list(exact_laws(np.arange(1.0, 7.0)))
    ['stretched']
    """
    if len(x) < 6:
        return {}
    stretched = replace(find_law("controls.stretched"), constants={}, tags={})
    scale = Domain(1e-3 * float(x.min()), 1e3 * float(x.max()), False)
    return {"stretched": _bounded(stretched, g=Domain(0.15, 2.0, False), s=scale)}


def curve_of(table: Runs, target: str, falls: bool = False) -> Curve:
    """Read a curve from the columns x and `target`; what rises is turned round, unless it is taken as it is (`falls`).

    Raises:
        FitError: values that are not positive, or fewer than five different x.
    """
    x, y = table.column("x"), table.column(target)
    for name, values in (("x", x), (target, y)):
        if np.any(values <= 0):
            row = int(np.argmax(values <= 0))
            raise FitError(
                f"column {name} of {table.origin} is {values[row]:g} in {int(np.sum(values <= 0))} runs, first at run {row}; "
                f'the laws of curves need positive values; drop them with where="{name} > 0"'
            )
    different = len(np.unique(x))
    if different < LEAST:
        raise FitError(
            f"{len(x)} runs with {different} different x of {table.origin} show no curve: {LEAST} are needed; "
            "add runs, or fit one law with fewer parameters"
        )
    order = np.argsort(x, kind="stable")
    x, y = x[order], y[order]
    # a column that rises is fitted as what it lacks to one, or upside down: both fall, as the laws do
    rising = not falls and np.ptp(y) > 0 and np.corrcoef(np.log(x), y)[0, 1] > 0.0 and late(y) > early(y)
    link = "" if not rising else "1 - y" if y.max() < 1.0 else "1/y"
    return Curve(x, LINKS[link][0](y), link, order)


def early(y: np.ndarray) -> float:
    return float(np.median(y[: max(len(y) // 4, 1)]))


def late(y: np.ndarray) -> float:
    return float(np.median(y[-max(len(y) // 4, 1) :]))


def _bounded(law: Law, **domains: Domain) -> Law:
    return replace(law, domains={**dict(law.domains), **domains})


def break_range(x: np.ndarray) -> tuple[float, float]:
    """Where a break has three different x on either side (two of fewer than twelve)."""
    different = np.unique(x)
    side = 3 if len(different) >= 12 else 2
    return float(different[side - 1]), float(different[-side])
