"""Two-point functions in closed form: the loss as a double contour integral of explicit functions of z and z'.

With dD = (D - D')/(z' - z), dV alike, d2 = D' - z dD, v2 = V' - z dV, the correlation of the residuals is

    s s' C_0 + sigma^2 = Y = P [(N - d2)(z z' dV + sigma^2) + z z' dD v2] / [(N - d2)(P - d2) - z z' dD^2]
    test loss = (2 pi i)^-2 oint oint w w' C_0,   train loss = (2 pi i)^-2 oint oint w w' R_1 R_1' Y/(s s')

where w = e^(s t) for gradient flow. The cross-correlation of two models that share features, or data, or neither, has the same
form. Derivation: docs/theory/random_features.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from scalinglens.theory.random_features.renormalised import Renormalised

__all__ = ["PARTS", "Pairs", "bilinear", "correlation", "full", "gradients", "pairs"]

PARTS = ("test", "same_data", "same_features", "bias")
"""Correlations of two models: the same one; other features on the same data; other data for the same features; neither."""


@dataclass(frozen=True, eq=False)
class Pairs:
    """Divided differences between some upper nodes (rows) and all nodes, upper then lower (columns) [batch, rows, 2n].

    Attributes:
        dD, dV, d2, v2: as in the module's formula. zz: z z'.
        inverse: 1/(z' - z), one where a node meets itself. same: where it does (rows, columns).
        rows: which of the upper nodes.
    """

    dD: np.ndarray
    dV: np.ndarray
    d2: np.ndarray
    v2: np.ndarray
    zz: np.ndarray
    inverse: np.ndarray
    same: tuple[np.ndarray, np.ndarray]
    rows: slice


def full(upper: np.ndarray) -> np.ndarray:
    """Values at the upper nodes and their conjugates at the lower ones."""
    return np.concatenate((upper, upper.conj()), axis=-1)


def pairs(at: Renormalised, rows: slice = slice(None)) -> Pairs:
    """Return the divided differences; near kappa from differences to it, so that no digits cancel."""
    delta, kappa = at.delta, at.kappa[:, None, None]
    n = delta.shape[-1]
    own = np.arange(n)[rows]
    # a real node meets itself among the lower ones too
    real = own[np.imag(at.s).reshape(-1, n)[0, rows] == 0]
    same = np.concatenate((own, real)) - own[0], np.concatenate((own, n + real))
    inverse = full(delta)[:, None, :] - delta[:, rows, None]
    inverse[:, *same] = 1.0
    np.reciprocal(inverse, out=inverse)
    size = np.abs(delta)
    near = None
    if np.any(size < at.kappa[:, None]):
        near = np.maximum(size[:, rows, None], np.concatenate((size, size), axis=-1)[:, None, :]) < kappa

    def divided(F: np.ndarray, h: np.ndarray, at_same: np.ndarray) -> np.ndarray:
        found = F[:, rows, None] - full(F)[:, None, :]
        if near is not None:
            moved = delta * h
            np.copyto(found, full(moved)[:, None, :] - moved[:, rows, None], where=near)
        found *= inverse
        found[:, *same] = at_same[:, own[same[0]]]
        return found

    dD, dV = divided(at.D, at.hD, at.dD), divided(at.V, at.hV, at.dV)
    z = at.z[:, rows, None]
    d2, v2 = full(at.D)[:, None, :] - z * dD, full(at.V)[:, None, :] - z * dV
    return Pairs(dD, dV, d2, v2, z * full(at.z)[:, None, :], inverse, same, rows)


def correlation(
    of: Pairs, features: np.ndarray, samples: np.ndarray, noise: np.ndarray, part: str = "test"
) -> np.ndarray:
    """Return s s' C_0 of one of `PARTS` [batch, rows, 2n]; without the label noise itself."""
    one_N, one_P, noise = (1.0 / features)[:, None, None], (1.0 / samples)[:, None, None], noise[:, None, None]
    top = of.zz * of.dV
    if part == "bias":
        return top
    if part == "same_data":
        per_P = of.d2 * one_P
        return (top + noise * per_P) / (1.0 - per_P)
    # numerator and denominator times 1 - d2/N, so that one division does for both; in place, as they are large
    below = of.d2 * -one_N
    below += 1.0
    mixed = of.zz * of.dD
    mixed *= one_N
    top *= below
    top += mixed * of.v2
    if part == "test":
        mixed *= of.dD
        memory = of.d2 * below
        memory += mixed
        memory *= one_P
        below -= memory
        if noise.any():
            memory *= noise
            top += memory
    top /= below
    return top


def bilinear(matrix: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return sum_ij left_i M_ij right_j over all nodes [batch, T], from rows of upper nodes: M [batch, rows, 2n].

    The left weights are those of the rows [rows, T], the right ones those of all upper nodes [n, T].
    """
    both = np.concatenate((right, right.conj()), axis=-2)
    return 2.0 * np.real(np.sum(left * np.matmul(matrix, both), axis=-2))


def gradients(
    at: Renormalised,
    of: Pairs,
    features: np.ndarray,
    samples: np.ndarray,
    noise: np.ndarray,
    by: Sequence[str] = ("features", "samples"),
) -> Mapping[str, np.ndarray]:
    """Return the derivatives of s s' C_0 by ln N and ln P, or one of them, at fixed s, s' [batch, rows, 2n].

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
    z, zc = at.z[:, of.rows, None], full(at.z)[:, None, :]
    found = {}
    for name in by:
        move = moves[name]
        a, b = move[:, of.rows, None], full(move)[:, None, :]
        dzz = a * zc + b * z
        ddD, ddV = (row * a + column * b for row, column in slopes)
        dd2 = -full(at.dD)[:, None, :] * b - a * of.dD - z * ddD
        dv2 = -full(at.dV)[:, None, :] * b - a * of.dV - z * ddV
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
    found = []
    curved = at.curvatures()
    for values, own, third in ((of.dD, at.dD, curved[0]), (of.dV, at.dV, curved[1])):
        row = (values - own[:, of.rows, None]) * of.inverse
        column = (full(own)[:, None, :] - values) * of.inverse
        row[:, *of.same] = column[:, *of.same] = -third[:, of.rows][:, of.same[0]]
        found.append((row, column))
    return found
