"""A law on a table of inputs, in the shape the minimiser wants.

Two models share one interface. `GeneralModel` runs the law's compiled derivatives. `LogSumExpModel` serves laws whose
logarithm is a log-sum-exp of affine functions of the coordinates,

    m = ln sum_k exp(c_k + a_k . u)    (E + A/N^alpha + B/D^beta in ln E, ln A, ln B, alpha, beta),

for which dm = sum_k s_k a_k and d2m = sum_k s_k a_k a_k' - dm dm' with s_k = exp(term_k - m). The a_k depend on the rows
alone, so every sum over rows is a product of [lanes, rows] weights with a fixed matrix, done for all lanes by one call.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from scalinglens.laws.compiled import Compiled
from scalinglens.laws.law import Law

__all__ = ["GeneralModel", "LogSumExpModel", "build_model", "lanes_at_a_time"]

MEMORY = 1_000_000  # numbers held at once
FEW = 16  # lanes up to which fewer, larger array operations are faster (measured for 240 rows)


def build_model(law: Law, inputs: tuple[np.ndarray, ...]) -> GeneralModel | LogSumExpModel:
    """Return the fastest model for a law on given inputs (one array [rows] per input of the law)."""
    compiled = law.compiled("fit")
    terms = law.affine_terms()
    if terms is not None:
        return LogSumExpModel(len(law.parameters), terms(inputs))
    return GeneralModel(len(law.parameters), compiled, inputs)


def lanes_at_a_time(rows: int, arrays: int) -> int:
    """How many lanes to evaluate together: fewer pay for Python, more for fetching memory page by page.

    An evaluation holds about `arrays` arrays [lanes, rows] at once; 8 MB of them are reused from call to call.
    """
    return int(np.clip(MEMORY // (rows * arrays), 8, 160))


class GeneralModel:
    """Any law, through its compiled first and second derivatives."""

    def __init__(self, size: int, compiled: Compiled, inputs: tuple[np.ndarray, ...]):
        self.size = size
        self.log = compiled.log
        self.rows = len(inputs[0]) if inputs else 1
        self.block = lanes_at_a_time(self.rows, compiled.operations)
        self._compiled = compiled
        pairs = np.array(compiled.hessian, dtype=int).reshape(-1, 2)
        self._pairs = pairs @ [size, 1]  # places in a flat matrix of the second derivatives that are not zero
        self._aside = np.flatnonzero(pairs[:, 0] != pairs[:, 1])
        self._mirrored = pairs[self._aside] @ [1, size]
        with np.errstate(all="ignore"):
            self._fixed = compiled.prepare(inputs)

    def evaluate(self, u: np.ndarray) -> tuple[np.ndarray, Any]:
        coordinates = tuple(u[:, i : i + 1] for i in range(self.size))
        value, *derivatives = self._compiled.run(coordinates, self._fixed)
        shape = (len(u), self.rows)
        return np.broadcast_to(value, shape), (shape, derivatives)

    def assemble(
        self, state: Any, first: np.ndarray, gauss: np.ndarray, curve: np.ndarray, majorant: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        (lanes, rows), derivatives = state
        places = self._compiled.gradient
        # one row per coordinate, of zeros where it has no influence: whole matrices are cheaper than picking from them
        slopes = np.zeros((lanes, self.size, rows))
        for place, slope in zip(places, derivatives[: len(places)], strict=True):
            slopes[:, place] = slope
        gradient = np.matmul(slopes, first[:, :, None])[:, :, 0]
        across = slopes.transpose(0, 2, 1)
        hessian = np.matmul(slopes * gauss[:, None], across)
        scale = np.matmul(slopes * majorant[:, None], across)
        bends = np.empty((lanes, len(self._pairs), rows))
        for k, bend in enumerate(derivatives[len(places) :]):
            bends[:, k] = bend
        if len(self._pairs):
            totals = np.matmul(bends, curve[:, :, None])[:, :, 0]
            flat = hessian.reshape(lanes, -1)
            flat[:, self._pairs] += totals
            flat[:, self._mirrored] += totals[:, self._aside]
        return gradient, hessian, scale


class LogSumExpModel:
    """ln of a sum of exponentials of affine functions of the coordinates.

    Args:
        size: number of coordinates p.
        terms: per term the constant c_k [rows] and the dictionary coordinate -> a_k [rows].
    """

    log = True

    def __init__(self, size: int, terms: list[tuple[np.ndarray, dict[int, np.ndarray]]]):
        self.size = size
        self.rows = len(terms[0][0])
        self.block = lanes_at_a_time(self.rows, 4 * len(terms) + 12)
        self._constants = [constant for constant, _ in terms]
        self._places = [sorted(slopes) for _, slopes in terms]
        # each [q_k, rows]; a term without parameters has q_k = 0
        self._slopes = [np.array([slopes[i] for i in sorted(slopes)]).reshape(-1, self.rows) for _, slopes in terms]
        self._pairs = []
        for k, left in enumerate(self._slopes):
            for other in range(k, len(self._slopes)):
                right = self._slopes[other]
                products = (left[:, None, :] * right[None, :, :]).reshape(-1, self.rows).T
                flat = np.add.outer(
                    np.array(self._places[k], dtype=int) * size, np.array(self._places[other], dtype=int)
                )
                if products.size:
                    self._pairs.append((k, other, np.ascontiguousarray(products), flat.ravel()))
        self._prepare_dense()

    def evaluate(self, u: np.ndarray) -> tuple[np.ndarray, Any]:
        shares = np.empty((len(self._constants), len(u), self.rows))
        for k, (constant, places, slopes) in enumerate(zip(self._constants, self._places, self._slopes, strict=True)):
            np.matmul(u[:, places], slopes, out=shares[k])
            shares[k] += constant
        top = shares.max(axis=0)
        shares -= top
        np.exp(shares, out=shares)
        total = shares.sum(axis=0)
        shares /= total
        return top + np.log(total), shares

    def assemble(
        self, state: Any, first: np.ndarray, gauss: np.ndarray, curve: np.ndarray, majorant: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        few = len(first) <= FEW
        return (self._assemble_dense if few else self._assemble_pairs)(state, first, gauss - curve, curve, majorant)

    def _assemble_pairs(
        self, shares: np.ndarray, first: np.ndarray, outer: np.ndarray, curve: np.ndarray, majorant: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Many lanes: sum_r w s_k s_l (a_k a_l') as a product of [lanes, rows] with a fixed [rows, q_k q_l]."""
        lanes, p = len(first), self.size
        gradient = np.zeros((lanes, p))
        hessian, scale = (np.zeros((lanes, p * p)) for _ in range(2))
        bent = [outer * share for share in shares]
        wide = [majorant * share for share in shares]
        for k, other, products, flat in self._pairs:
            first_part = (bent[k] * shares[other]) @ products
            second_part = (wide[k] * shares[other]) @ products
            if k == other:
                first_part += (curve * shares[k]) @ products
                gradient[:, self._places[k]] += (first * shares[k]) @ self._slopes[k].T
                hessian[:, flat] += first_part
                scale[:, flat] += second_part
            else:
                mirrored = (flat % p) * p + flat // p
                hessian[:, flat] += first_part
                hessian[:, mirrored] += first_part
                scale[:, flat] += second_part
                scale[:, mirrored] += second_part
        return gradient, hessian.reshape(lanes, p, p), scale.reshape(lanes, p, p)

    def _prepare_dense(self) -> None:
        """Lay all (term, coordinate) pairs side by side; `_gather` sums those that share a coordinate."""
        self._term = np.array([k for k, places in enumerate(self._places) for _ in places], dtype=int)
        place = np.array([i for places in self._places for i in places], dtype=int)
        self._all_slopes = np.concatenate(self._slopes)
        self._same_term = (self._term[:, None] == self._term).astype(float)
        self._gather = np.zeros((len(place), self.size))
        self._gather[np.arange(len(place)), place] = 1.0

    def _assemble_dense(
        self, shares: np.ndarray, first: np.ndarray, outer: np.ndarray, curve: np.ndarray, majorant: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Few lanes: form s_k a_k [lanes, pairs, rows] once and multiply; fewer calls, more memory."""
        pulls = shares.transpose(1, 0, 2)[:, self._term] * self._all_slopes
        across = pulls.transpose(0, 2, 1)
        hessian = np.matmul(pulls * outer[:, None], across)
        hessian += np.matmul(pulls * curve[:, None], self._all_slopes.T) * self._same_term
        scale = np.matmul(pulls * majorant[:, None], across)
        gradient = np.matmul(pulls, first[:, :, None])[:, :, 0]
        gather = self._gather
        return gradient @ gather, gather.T @ hessian @ gather, gather.T @ scale @ gather
