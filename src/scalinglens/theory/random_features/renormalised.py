"""The scalar map that the mean-field equations reduce to: s = z (1 - D(z)/P) (1 - D(z)/N), D(z) = sum_k lambda_k/(z + lambda_k).

Everything is written in delta = z - kappa, kappa = z(0): as s goes to 0 one of the factors vanishes as

    1 - D(z)/n = (delta/n) sum_k lambda_k/((kappa + lambda_k)(z + lambda_k)),   n = min(N, P),

which loses no digits. ln s is nearly linear in ln delta, so Newton's method in the logarithms, from the real axis round to the
angle of s, stays on the physical branch. Derivation: docs/theory/random_features.md.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from scalinglens.worlds.spectra import Spectrum

__all__ = ["Renormalised", "above_the_cut", "edge_of", "renormalise", "resolution"]

_TURNS = 3  # steps from the real axis to the angle of s
_OBTUSE = 0.75 * np.pi  # the cut is near from there on, and is approached step by step
_APPROACHES = 16
_POLISH = 8
_REACH = 2.0  # how far a cubic through two points is trusted, in units of their distance
_CLOSE = 1e-14
_TABLE = 64
_LAST = 1e-9  # a step of Newton's method in ln kappa after which no digit is left
_TURNS_DOWN = 4  # steps to where the descents begin
_DESCENTS = 13  # steps from above down to the cut, each by the factor
_CLOSER = 0.0625
_NEWTON = 3
_CUT_BLOCK = _ELEMENTS = 1 << 16  # nodes times modes that stay in the cache


@dataclass(frozen=True, eq=False)
class Renormalised:
    """One-point functions at the nodes s of a contour, for a batch of sizes; arrays are [batch, n] unless said otherwise.

    Attributes:
        spectrum: of the problem. s: nodes [n] or [batch, n]. z: their images. delta: z - kappa. kappa: [batch].
        D, V: sum lambda/(z + lambda), sum lambda w^2/(z + lambda).
        hD, hV: (D(kappa) - D(z))/delta, and the same of V.
        dD, dV: -dD/dz, -dV/dz.
        R1, R3: responses 1 - D/P and 1 - D/N.
        slope: d ln s/d ln delta.
        gap: largest error of ln s that Newton's method left [batch].
    """

    spectrum: Spectrum
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
    R1: np.ndarray
    R3: np.ndarray
    slope: np.ndarray
    gap: np.ndarray

    def curvatures(self) -> tuple[np.ndarray, np.ndarray]:
        """Half of the second derivatives of D and V."""
        both = np.stack(self.spectrum.weights, axis=-1)[None]
        third = _sums(self.z, self.spectrum.eigenvalues, both[..., :0], both[..., :0], both)[2]
        return third[..., 0], third[..., 1]


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
        # Newton's method squares what is left; at a root that is known to rounding, the bracket may lie on its wrong side
        last = np.abs(step) <= _LAST
        inside = last | (x - step > low) & (x - step < high)
        x = np.where(inside, x - step, (low + high) / 2)
        if last.all():
            break
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
    x, slope, gap = _followed(curve, s)
    delta = np.exp(x)
    return Renormalised(
        spectrum, s, kappa[:, None] + delta, delta, kappa, **curve.functions(delta), slope=slope, gap=gap
    )


def _followed(curve: _Curve, s: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """ln delta at the nodes [batch, n], d ln s/d ln delta there, and the largest error of ln s [batch]."""
    x = _on_real_axis(curve, s)
    size, angle = np.log(np.abs(s)), np.abs(np.angle(s))  # a minus zero must not turn pi into -pi
    size, angle = np.broadcast_to(size, x.shape), np.broadcast_to(angle, x.shape)
    # a node beyond the cut, on the real axis, is about as far from it as its neighbours are
    from_cut = np.pi - angle
    apart = np.where(from_cut > 0, from_cut, from_cut[from_cut > 0].min(initial=np.pi))
    slope, left = np.empty_like(x), np.full(x.shape, np.inf)
    before = np.full((3, *x.shape), np.nan, dtype=complex)
    going = np.arange(x.shape[1])
    for step in range(1, _TURNS + _APPROACHES + _POLISH + 1):
        there = x[:, going]
        point = curve.at(np.exp(there))
        here = _Here(there, point.log_s, 1 / point.slope)
        end = angle[:, going]
        if step <= _TURNS:
            to = np.minimum(end, _OBTUSE) * (step / _TURNS)
        else:
            near = (np.pi - _OBTUSE) * _CLOSER ** ((step - _TURNS) / 2)
            to = np.where((near < apart[:, going]) | (step >= _TURNS + _APPROACHES), end, np.pi - near)
        aim = size[:, going] + 1j * to
        x[:, going], off = _ahead(here, _Here(*before[:, :, going]), aim, apart[:, going])
        slope[:, going] = point.slope
        before[:, :, going] = here.x, here.y, here.g
        left[:, going] = np.where(to == end, off, np.inf)
        going = going[~(left[:, going] < _CLOSE).all(axis=0)]
        if not len(going):
            break
    return x, slope, left.max(axis=-1)


@dataclass(frozen=True, eq=False)
class _Here:
    """ln delta, ln s and d ln delta/d ln s."""

    x: np.ndarray
    y: np.ndarray
    g: np.ndarray


def _ahead(here: _Here, behind: _Here, aim: np.ndarray, apart: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """ln delta where ln s is `aim`, and about how far off it is: Newton's step, or the cubic through two points and slopes."""
    e = aim - here.y
    h = here.y - behind.y
    known = np.abs(e) < _REACH * np.abs(h)
    with np.errstate(all="ignore"):
        mean = (here.x - behind.x) / h
        cubic = e * e / h * ((here.g - mean) + (here.g - 2 * mean + behind.g) / h * (e + h))
    moved = here.g * e + np.where(known, cubic, 0.0)
    # the series of ln delta in ln s reaches as far as the cut, where it may branch
    left = np.abs(e) ** 2 / apart * np.where(known, np.minimum((np.abs(h) / apart) ** 2, 1.0), 1.0)
    return here.x + moved, left


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
    angles = np.concatenate((np.pi * np.linspace(0, 0.875, _TURNS_DOWN + 1)[1:], near))
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

    @functools.cached_property
    def _columns(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Weights of the sums: trace alone; trace and trace near kappa; those and the same of the power."""
        trace, power = self.spectrum.weights
        near = 1.0 / (self.kappa[:, None] + self.spectrum.eigenvalues)
        both = np.stack((trace, power), axis=-1)[None]
        same = np.broadcast_to(both, (len(near), *both.shape[1:]))
        first = np.concatenate((same, same * near[..., None]), axis=-1)
        return both, np.ascontiguousarray(first[..., ::2]), first

    def at(self, delta: np.ndarray) -> _Point:
        """ln s and its slope at delta [batch, n], real or complex."""
        both, near, _ = self._columns
        z = self.kappa[:, None] + delta
        first, second = _sums(z, self.spectrum.eigenvalues, near, both[..., :1])
        D, hD, dD = first[..., 0], first[..., 1], second[..., 0]
        R1, R3 = (self._response(size, delta, D, hD) for size in (self.samples, self.features))
        slope = delta / z + delta * dD * ((1 / self.samples)[:, None] / R1 + (1 / self.features)[:, None] / R3)
        # for z above the axis each factor is too, so the sum of their angles is the angle of s
        return _Point(z, R1, R3, _log(z) + _log(R1) + _log(R3), slope)

    def functions(self, delta: np.ndarray) -> dict[str, np.ndarray]:
        """All one-point functions at delta [batch, n]."""
        both, _, all_four = self._columns
        z = self.kappa[:, None] + delta
        first, second = _sums(z, self.spectrum.eigenvalues, all_four, both)
        found = dict(zip(("D", "V", "hD", "hV"), np.moveaxis(first, -1, 0), strict=True))
        found |= {"dD": second[..., 0], "dV": second[..., 1]}
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


def _sums(z: np.ndarray, eigenvalues: np.ndarray, *columns: np.ndarray) -> list[np.ndarray]:
    """sum_k c_k/(z + lambda_k)^j for j = 1, 2, 3 and the columns c of each, [batch or 1, K, columns]: [batch, n, columns].

    In real arithmetic, which costs a third of complex: with z = x + i y, r = x + lambda, p = 1/(r^2 + y^2) and G = 1/(r + i y)

        Re G = r p, Im G = -y p,   Re G^2 = p - 2 y^2 p^2, Im G^2 = -2 y r p^2
        Re G^3 = r p (p - 4 q^2), Im G^3 = q (4 q^2 - 3 p)

    where q = y p; y belongs to the node and comes out of the sums.
    """
    found = [np.empty((*z.shape, c.shape[-1]), dtype=z.dtype) for c in columns]
    n = z.shape[-1]
    width = max(1, min(n, _ELEMENTS // len(eigenvalues)))
    rows = max(1, _ELEMENTS // (width * len(eigenvalues)))
    for start, first in itertools.product(range(0, len(z), rows), range(0, n, width)):
        block = slice(start, start + rows), slice(first, first + width)
        parts = [c[block[0]] if len(c) > 1 else c for c in columns]
        for into, values in zip(found, _block_sums(z[block], eigenvalues, parts), strict=True):
            into[block] = values
    return found


def _block_sums(z: np.ndarray, eigenvalues: np.ndarray, columns: list[np.ndarray]) -> Iterator[np.ndarray]:
    if not np.iscomplexobj(z):
        G = power = 1.0 / (z[..., None] + eigenvalues)
        for part in columns:
            yield np.matmul(power, part)
            power = power * G
        return
    y = np.imag(z)[..., None]
    r = np.real(z)[..., None] + eigenvalues
    p = r * r
    p += y * y
    np.reciprocal(p, out=p)
    r *= p
    yield np.matmul(r, columns[0]) - 1j * y * np.matmul(p, columns[0])
    if len(columns) > 1:
        yield np.matmul(p, columns[1]) - 2 * y * (y * np.matmul(p * p, columns[1]) + 1j * np.matmul(r * p, columns[1]))
    if len(columns) > 2:
        q = y * p
        fourfold = 4 * q * q
        yield np.matmul(r * (p - fourfold), columns[2]) + 1j * np.matmul(q * (fourfold - 3 * p), columns[2])


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
