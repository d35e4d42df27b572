"""How to estimate: robust fits with a certificate, and intervals."""

from scalinglens.fit.fit import fit
from scalinglens.fit.result import Estimate, Fit

__all__ = ["Estimate", "Fit", "fit"]
