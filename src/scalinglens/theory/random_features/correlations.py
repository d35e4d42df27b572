"""Two-point functions in closed form: the loss as a double contour integral of explicit functions of z and z'.

With dD = (D - D')/(z' - z), dV alike, d2 = D' - z dD, v2 = V' - z dV, the correlation of the residuals is

    s s' C_0 + sigma^2 = Y = P [(N - d2)(z z' dV + sigma^2) + z z' dD v2] / [(N - d2)(P - d2) - z z' dD^2]
    test loss = (2 pi i)^-2 oint oint w w' C_0,   train loss = (2 pi i)^-2 oint oint w w' R_1 R_1' Y/(s s')

where w = e^(s t) for gradient flow. Y is symmetric and real on the real axis, so a double sum over all pairs of nodes is, up to
the error of the rule itself, four times the real part of the sum over the pairs of a set that holds one of each conjugate
couple, upper and lower in turn: a quarter of the pairs. The cross-correlation of two models that share features, or data, or
neither, has the same form. Derivation: docs/theory/random_features.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from scalinglens.theory.random_features.renormalised import Renormalised

__all__ = ["PARTS", "Pairs", "bilinear", "correlation", "gradients", "pairs"]

PARTS = ("test", "same_data", "same_features", "bias")
"""Correlations of two models: the same one; other features on the same data; other data for the same features; neither."""


@dataclass(frozen=True, eq=False)
class Pairs:
    """Divided differences between alternating nodes [batch, n, n].

    Attributes:
        dD, dV, d2, v2: as in the module's formula. zz: z z'.
        inverse: 1/(z' - z), one on the diagonal.
    """

    dD: np.ndarray
    dV: np.ndarray
    d2: np.ndarray
    v2: np.ndarray
    zz: np.ndarray
    inverse: np.ndarray


def pairs(at: Renormalised) -> Pairs:
    """Return the divided differences; near kappa from differences to it, so that no digits cancel."""
    delta, kappa = at.delta, at.kappa[:, None, None]
    diagonal = np.arange(delta.shape[-1])
    inverse = delta[:, None, :] - delta[..., None]
    inverse[:, diagonal, diagonal] = 1.0
    np.reciprocal(inverse, out=inverse)
    size = np.abs(delta)
    near = None
    if np.any(size < at.kappa[:, None]):
        near = np.maximum(size[..., None], size[:, None, :]) < kappa

    def divided(F: np.ndarray, h: np.ndarray, at_diagonal: np.ndarray) -> np.ndarray:
        found = F[..., None] - F[:, None, :]
        if near is not None:
            moved = delta * h
            np.copyto(found, moved[:, None, :] - moved[..., None], where=near)
        found *= inverse
        found[:, diagonal, diagonal] = at_diagonal
        return found

    dD, dV = divided(at.D, at.hD, at.dD), divided(at.V, at.hV, at.dV)
    z = at.z[..., None]
    d2, v2 = at.D[:, None, :] - z * dD, at.V[:, None, :] - z * dV
    return Pairs(dD, dV, d2, v2, z * at.z[:, None, :], inverse)


def correlation(
    of: Pairs, features: np.ndarray, samples: np.ndarray, noise: np.ndarray, part: str = "test"
) -> np.ndarray:
    """Return s s' C_0 of one of `PARTS` [batch, n, n]; without the label noise itself."""
    one_N, one_P, noise = (1.0 / features)[:, None, None], (1.0 / samples)[:, None, None], noise[:, None, None]
    signal = of.zz * of.dV
    if part == "bias":
        return signal
    per_P = of.d2 * one_P
    if part == "same_data":
        return (signal + noise * per_P) / (1.0 - per_P)
    mixed = of.zz * of.dD * one_N / (1.0 - of.d2 * one_N)
    if part == "same_features":
        return signal + mixed * of.v2
    memory = per_P + mixed * of.dD * one_P
    return (signal + mixed * of.v2 + noise * memory) / (1.0 - memory)


def bilinear(matrix: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return sum_ij left_i M_ij right_j over all nodes [batch, T], from alternating ones: M [batch, n, n], weights [n, T]."""
    return 4.0 * np.real(np.sum(left * np.matmul(matrix, right), axis=-2))


def gradients(
    at: Renormalised, of: Pairs, features: np.ndarray, samples: np.ndarray, noise: np.ndarray
) -> Mapping[str, np.ndarray]:
    """Return the derivatives of s s' C_0 by ln N and ln P at fixed s, s' [batch, n, n].

    z moves with N at fixed s by dz/d ln N = -(D/(N R_3)) delta/slope, and likewise with P.
    """
    N, P, sigma = features[:, None, None], samples[:, None, None], noise[:, None, None]
    one_N, one_P = 1.0 / N, 1.0 / P
    step = at.delta / at.slope
    moves = {
        "features": -at.D * (1.0 / features)[:, None] / at.R3 * step,
        "samples": -at.D * (1.0 / samples)[:, None] / at.R1 * step,
    }
    slopes = _slopes(at, of)
    keep = 1.0 - of.d2 * one_N
    mixed = of.zz * of.dD * one_N / keep
    memory = of.d2 * one_P + mixed * of.dD * one_P
    C = correlation(of, features, samples, noise)
    z, zc = at.z[..., None], at.z[:, None, :]
    found = {}
    for name, move in moves.items():
        a, b = move[..., None], move[:, None, :]
        dzz = a * zc + b * z
        ddD, ddV = (row * a + column * b for row, column in slopes)
        dd2 = -at.dD[:, None, :] * b - a * of.dD - z * ddD
        dv2 = -at.dV[:, None, :] * b - a * of.dV - z * ddV
        dmixed = (dzz * of.dD + of.zz * ddD) * one_N / keep + mixed * dd2 * one_N / keep
        if name == "features":
            dmixed = dmixed - mixed / keep
        dmemory = (dd2 + dmixed * of.dD + mixed * ddD) * one_P
        if name == "samples":
            dmemory = dmemory - memory
        top = dzz * of.dV + of.zz * ddV + dmixed * of.v2 + mixed * dv2
        found[name] = (top + (sigma + C) * dmemory) / (1.0 - memory)
    return found


def _slopes(at: Renormalised, of: Pairs) -> list[tuple[np.ndarray, np.ndarray]]:
    """Derivatives of dD and dV by the row's z and by the column's z'."""
    diagonal = np.arange(at.delta.shape[-1])
    found = []
    for values, own, third in ((of.dD, at.dD, at.tD), (of.dV, at.dV, at.tV)):
        row = (values - own[..., None]) * of.inverse
        column = (own[:, None, :] - values) * of.inverse
        row[:, diagonal, diagonal] = column[:, diagonal, diagonal] = -third
        found.append((row, column))
    return found
