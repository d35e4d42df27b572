"""The compute-optimal frontier from runs of equal compute, without a law. The package is callable: `isoflop(runs)`."""

from scalinglens.fit.isoflop.isoflop import isoflop
from scalinglens.fit.isoflop.optima import STATUSES, Optimum
from scalinglens.fit.isoflop.result import IsoFlop
from scalinglens.verbs import make_callable

__all__ = ["STATUSES", "IsoFlop", "Optimum", "isoflop"]

make_callable(__name__, lambda: isoflop)
