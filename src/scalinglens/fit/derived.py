"""Quantities that follow from the parameters of a law: exponents of the compute-optimal frontier.

For E + A/N^alpha + B/D^beta with C = 6 N D (Hoffmann et al. 2022, eq. 4):
a = beta/(alpha+beta), b = alpha/(alpha+beta), N* = G (C/6)^a, D* = (C/6)^b/G, G = (alpha A/(beta B))^(1/(alpha+beta)),
reducible loss ~ C^-gamma with gamma = alpha beta/(alpha+beta).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from scalinglens.laws.formula import Add, Mul, Node, Num, Pow, Sym
from scalinglens.laws.law import Law

__all__ = ["derived_quantities"]


def derived_quantities(law: Law, parameters: Mapping[str, np.ndarray | float]) -> dict[str, np.ndarray]:
    """Return what follows from the parameters of a law, or an empty dictionary where nothing standard does.

    Args:
        law: any law; those of the form [E +] A/N^alpha + B/D^beta have frontier quantities.
        parameters: parameter -> value or draws.

    Cost: a few vector operations.

    >>> from scalinglens.laws.catalogue import law
    >>> chinchilla = law("besiroglu2024")
    >>> round(float(derived_quantities(chinchilla, chinchilla.constants)["a"]), 4)
    0.5126
    """
    roles = _two_powers(law)
    if roles is None:
        return {}
    A, alpha, B, beta = (np.asarray(parameters[name], dtype=float) for name in roles)
    with np.errstate(all="ignore"):
        total = alpha + beta
        found = {
            "a": beta / total,
            "b": alpha / total,
            "gamma": alpha * beta / total,
            "G": (alpha * A / (beta * B)) ** (1 / total),
        }
    # a typed law may have a parameter of the same name
    return {f"{name}_frontier" if name in law.parameters else name: value for name, value in found.items()}


def _two_powers(law: Law) -> tuple[str, str, str, str] | None:
    """The names of A, alpha, B, beta in [E +] A/params^alpha + B/tokens^beta (any parameter count), in any order."""
    if law.between or not isinstance(law.tree, Add) or law.output != "loss" or len(law.inputs) != 2:
        return None
    found: dict[str, tuple[str, str]] = {}
    for term in law.tree.terms:
        match term:
            case Sym():
                continue
            case Mul((Sym(amplitude), Pow(Sym(of), exponent))) | Mul((Pow(Sym(of), exponent), Sym(amplitude))):
                name = _minus(exponent)
                kind = "params" if of.startswith("params") else of
                if name is None or of not in law.inputs or kind not in ("params", "tokens") or kind in found:
                    return None
                found[kind] = (amplitude, name)
            case _:
                return None
    if set(found) != {"params", "tokens"} or any(n not in law.parameters for pair in found.values() for n in pair):
        return None
    return (*found["params"], *found["tokens"])


def _minus(exponent: Node) -> str | None:
    match exponent:
        case Mul((Num(value), Sym(name))) if value == -1.0:
            return name
    return None
