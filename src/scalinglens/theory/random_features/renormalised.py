"""The scalar map that the mean-field equations reduce to: s = z (1 - D(z)/P) (1 - D(z)/N), D(z) = sum_k lambda_k/(z + lambda_k).

Everything is written in delta = z - kappa, kappa = z(0): as s goes to 0 one of the factors vanishes as

    1 - D(z)/n = (delta/n) sum_k lambda_k/((kappa + lambda_k)(z + lambda_k)),   n = min(N, P),

which loses no digits. ln s is nearly linear in ln delta, so Newton's method in the logarithms, from the real axis round to the
angle of s, stays on the physical branch. Derivation: docs/theory/random_features.md.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scalinglens.worlds.spectra import Spectrum

__all__ = ["Renormalised", "above_the_cut", "edge_of", "renormalise", "resolution"]

_TURNS = 4  # steps from the real axis to the angle of s
_POLISH = 8
_CLOSE = 1e-14
_TABLE = 64
_DESCENTS = 13  # steps from above down to the cut, each by the factor
_CLOSER = 0.0625
_NEWTON = 3
_CUT_BLOCK = 1 << 16  # nodes times modes that stay in the cache


@dataclass(frozen=True, eq=False)
class Renormalised:
    """One-point functions at the nodes s of a contour, for a batch of sizes; arrays are [batch, n] unless said otherwise.

    Attributes:
        s: nodes [n] or [batch, n]. z: their images. delta: z - kappa. kappa: [batch].
        D, V: sum lambda/(z + lambda), sum lambda w^2/(z + lambda).
        hD, hV: (D(kappa) - D(z))/delta, and the same of V.
        dD, dV: -dD/dz, -dV/dz. tD, tV: half of their second derivatives.
        R1, R3: responses 1 - D/P and 1 - D/N.
        slope: d ln s/d ln delta.
        gap: largest error of ln s that Newton's method left [batch].
    """

    s: np.ndarray
    z: np.ndarray
    delta: np.ndarray
    kappa: np.ndarray
    D: np.ndarray
    V: np.ndarray
    hD: np.ndarray
    hV: np.ndarray
    dD: np.ndarray
    dV: np.ndarray
    tD: np.ndarray
    tV: np.ndarray
    R1: np.ndarray
    R3: np.ndarray
    slope: np.ndarray
    gap: np.ndarray


def resolution(spectrum: Spectrum, size: np.ndarray) -> np.ndarray:
    """Return kappa with sum_k lambda_k/(lambda_k + kappa) = size [batch]; zero where there are not more modes than that.

    >>> flat = Spectrum([1.0, 1.0], [1.0, 1.0])
    >>> resolution(flat, np.array([1.0, 2.0])).round(12).tolist()
    [1.0, 0.0]
    """
    size = np.asarray(size, dtype=float)
    weights, eigenvalues = spectrum.weights[0], spectrum.eigenvalues
    found = np.zeros_like(size)
    few = np.isfinite(size) & (size < spectrum.modes)
    if not few.any():
        return found
    aim = size[few]
    # D < trace/kappa, so ln(trace/size) lies above the root; ln D against ln kappa is concave and falls
    high = np.log(spectrum.trace / aim)
    low = np.full_like(high, np.log(eigenvalues.min()) - 40.0)
    x = high.copy()
    for _ in range(200):
        kappa = np.exp(x)[:, None]
        parts = weights / (eigenvalues + kappa)
        D = parts.sum(-1)
        off = np.log(D / aim)
        low, high = np.where(off > 0, x, low), np.where(off > 0, high, x)
        slope = -(parts * kappa / (eigenvalues + kappa)).sum(-1) / D
        with np.errstate(all="ignore"):
            step = off / slope
        if np.all(np.abs(step) <= 1e-15 * np.maximum(1.0, np.abs(x))):
            break
        inside = (x - step > low) & (x - step < high)
        x = np.where(inside, x - step, (low + high) / 2)
    found[few] = np.exp(x)
    return found


def renormalise(spectrum: Spectrum, features: np.ndarray, samples: np.ndarray, s: np.ndarray) -> Renormalised:
    """Solve s = z (1 - D/P)(1 - D/N) on the branch with z ~ s at large s.

    Args:
        spectrum: of the problem.
        features, samples: N and P [batch], inf allowed, not both.
        s: nodes in the upper half plane, [n] for all or [batch, n].

    Returns:
        The `Renormalised` functions.

    Cost: about 14 sums over the modes per node.
    """
    kappa = resolution(spectrum, np.minimum(features, samples))
    curve = _Curve(spectrum, features, samples, kappa)
    x = _on_real_axis(curve, s)
    size, angle = np.log(np.abs(s)), np.abs(np.angle(s))  # a minus zero must not turn pi into -pi
    for turn in range(1, _TURNS + 1):
        point = curve.at(np.exp(x))
        x = x - (point.log_s - (size + 1j * angle * (turn / _TURNS))) / point.slope
    aim = size + 1j * angle
    for _ in range(_POLISH):
        point = curve.at(np.exp(x))
        off = point.log_s - aim
        x = x - off / point.slope
        gap = np.abs(off).max(axis=-1) ** 2  # Newton's method squares what is left
        if gap.max() < _CLOSE:
            break
    delta = np.exp(x)
    return Renormalised(s, kappa[:, None] + delta, delta, kappa, **curve.functions(delta), slope=point.slope, gap=gap)


def above_the_cut(spectrum: Spectrum, features: np.ndarray, samples: np.ndarray, rates: np.ndarray) -> np.ndarray:
    """Return z at s = -u + i 0 for rates u > 0 [batch, n]; its imaginary part is positive where the dynamics has such rates.

    The edges of the bands are branch points, so the cut is approached at falling distance: what is left is about 1e-14 of u.

    >>> flat = Spectrum(np.ones(200), np.ones(200))
    >>> z = above_the_cut(flat, np.array([np.inf]), np.array([400.0]), np.array([1.0, 4.0]))
    >>> z.round(6).tolist()                                   # z^2 + (1/2 + u) z + u = 0
    [[(-0.75+0.661438j), (-3.280776+0j)]]
    """
    kappa = resolution(spectrum, np.minimum(features, samples))
    curve = _Curve(spectrum, features, samples, kappa)
    near = np.pi * (1 - 0.125 * _CLOSER ** np.arange(1.0, _DESCENTS))
    angles = np.concatenate((np.pi * np.linspace(0, 0.875, _TURNS + 1)[1:], near))
    found = np.empty((len(kappa), len(rates)), dtype=complex)
    step = max(1, _CUT_BLOCK // (len(kappa) * len(spectrum.eigenvalues)))
    for start in range(0, len(rates), step):
        block = slice(start, start + step)
        x, size = _on_real_axis(curve, rates[block]), np.log(rates[block])
        for angle in angles:
            for _ in range(_NEWTON):
                point = curve.at(np.exp(x))
                x = x - (point.log_s - (size + 1j * angle)) / point.slope
        found[:, block] = kappa[:, None] + np.exp(x)
    return found


@dataclass(frozen=True, eq=False)
class _Point:
    z: np.ndarray
    R1: np.ndarray
    R3: np.ndarray
    log_s: np.ndarray
    slope: np.ndarray


@dataclass(frozen=True, eq=False)
class _Curve:
    """s as a function of delta, for a batch of sizes."""

    spectrum: Spectrum
    features: np.ndarray
    samples: np.ndarray
    kappa: np.ndarray

    def at(self, delta: np.ndarray) -> _Point:
        """ln s and its slope at delta [batch, n], real or complex."""
        trace, _ = self.spectrum.weights
        near = trace / (self.kappa[:, None] + self.spectrum.eigenvalues)
        z = self.kappa[:, None] + delta
        first, second = _sums(z, self.spectrum.eigenvalues, _columns(trace, near), _columns(trace))
        D, hD, dD = first[..., 0], first[..., 1], second[..., 0]
        R1, R3 = (self._response(size, delta, D, hD) for size in (self.samples, self.features))
        slope = delta / z + delta * dD * ((1 / self.samples)[:, None] / R1 + (1 / self.features)[:, None] / R3)
        # for z above the axis each factor is too, so the sum of their angles is the angle of s
        return _Point(z, R1, R3, _log(z) + _log(R1) + _log(R3), slope)

    def functions(self, delta: np.ndarray) -> dict[str, np.ndarray]:
        """All one-point functions at delta [batch, n]."""
        trace, power = self.spectrum.weights
        near = 1.0 / (self.kappa[:, None] + self.spectrum.eigenvalues)
        both = _columns(trace, power)
        z = self.kappa[:, None] + delta
        first, second, third = _sums(
            z, self.spectrum.eigenvalues, _columns(trace, power, trace * near, power * near), both, both
        )
        named = zip(("D", "V", "hD", "hV"), np.moveaxis(first, -1, 0), strict=True)
        found = dict(named) | {"dD": second[..., 0], "dV": second[..., 1], "tD": third[..., 0], "tV": third[..., 1]}
        R1, R3 = (self._response(size, delta, found["D"], found["hD"]) for size in (self.samples, self.features))
        return {**found, "R1": R1, "R3": R3}

    def _response(self, size: np.ndarray, delta: np.ndarray, D: np.ndarray, hD: np.ndarray) -> np.ndarray:
        """1 - D/size, near kappa by its difference from there."""
        inverse = (1 / size)[:, None]
        at_kappa = 1.0 - np.minimum(self.features, self.samples)[:, None] * inverse
        near = np.abs(delta) < self.kappa[:, None]
        return np.where(near, at_kappa + delta * hD * inverse, 1.0 - D * inverse)


def _log(x: np.ndarray) -> np.ndarray:
    """ln x; of complex numbers cut along the negative imaginary axis, since a node may lie on the negative real one."""
    return np.log(-1j * x) + 0.5j * np.pi if np.iscomplexobj(x) else np.log(x)


def _columns(*weights: np.ndarray) -> np.ndarray:
    return np.stack(np.broadcast_arrays(*weights), axis=-1)


def _sums(z: np.ndarray, eigenvalues: np.ndarray, *columns: np.ndarray) -> list[np.ndarray]:
    """sum_k c_k/(z + lambda_k)^j for j = 1, 2, ... and the columns c of each [batch, n, columns].

    In real arithmetic: a reciprocal of complex numbers and products of complex with real matrices cost three times as much.
    """
    if not np.iscomplexobj(z):
        G = 1.0 / (z[..., None] + eigenvalues)
        found, power = [], G
        for part in columns:
            found.append(np.matmul(power, part))
            power = power * G
        return found
    real = np.real(z)[..., None] + eigenvalues
    imag = np.broadcast_to(np.imag(z)[..., None], real.shape)
    size = 1.0 / (real * real + imag * imag)
    G = np.stack((real * size, -imag * size))
    found, power = [], G
    for number, part in enumerate(columns):
        if number:
            power = np.stack((power[0] * G[0] - power[1] * G[1], power[0] * G[1] + power[1] * G[0]))
        both = np.matmul(power, part)
        found.append(both[0] + 1j * both[1])
    return found


def _on_real_axis(curve: _Curve, s: np.ndarray) -> np.ndarray:
    """ln delta [batch, n] of the positive numbers |s|, from a table of ln s against ln delta and two steps of Newton's."""
    size = np.broadcast_to(np.log(np.abs(s)), (len(curve.kappa), np.shape(s)[-1]))
    ends = size.min(axis=-1) - 12.0, size.max(axis=-1) + 2.0
    grid = np.linspace(*ends, _TABLE, axis=-1)
    table = curve.at(np.exp(grid)).log_s
    x = np.stack([np.interp(*row) for row in zip(size, table, grid, strict=True)])
    for _ in range(2):
        point = curve.at(np.exp(x))
        x = x - (point.log_s - size) / point.slope
    return x.astype(complex)


def edge_of(spectrum: Spectrum, features: np.ndarray, samples: np.ndarray) -> np.ndarray:
    """Return the largest eigenvalue of the learning dynamics [batch]: -max of s(z) over z < -max lambda.

    >>> flat = Spectrum(np.ones(200), np.ones(200))
    >>> edge_of(flat, np.array([np.inf]), np.array([400.0])).round(6)    # Marchenko-Pastur: (1 + sqrt(1/2))^2
    array([2.914214])
    """
    top = spectrum.eigenvalues.max()
    trace, eigenvalues = spectrum.weights[0], spectrum.eigenvalues
    low, high = np.full(len(features), -30.0), np.full(len(features), 12.0)

    def s_of(log_distance: np.ndarray) -> np.ndarray:
        z = -top * (1 + np.exp(log_distance))
        D = (trace / (z[:, None] + eigenvalues)).sum(-1)
        return -z * (1 - D / samples) * (1 - D / features)

    ratio = (np.sqrt(5) - 1) / 2
    for _ in range(90):  # golden section: s has one maximum on that ray
        a, b = high - ratio * (high - low), low + ratio * (high - low)
        left = s_of(a) < s_of(b)
        low, high = np.where(left, low, a), np.where(left, b, high)
    return s_of((low + high) / 2)
