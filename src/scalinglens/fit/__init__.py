"""How to estimate: robust fits with a certificate, and intervals. The package is callable: `scalinglens.fit(runs, law)`."""

from scalinglens.fit.fit import fit
from scalinglens.fit.result import Estimate, Fit
from scalinglens.verbs import make_callable

__all__ = ["Estimate", "Fit", "fit"]

make_callable(__name__, lambda: fit)
