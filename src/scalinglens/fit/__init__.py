"""How to estimate: robust fits with a certificate, and intervals. The package is callable: `scalinglens.fit(runs, law)`."""

from scalinglens.fit.estimate import Estimate
from scalinglens.fit.fit import fit
from scalinglens.fit.forecast import Forecast
from scalinglens.fit.result import Fit
from scalinglens.verbs import make_callable

__all__ = ["Estimate", "Fit", "Forecast", "fit"]

make_callable(__name__, lambda: fit)
