"""`Walk`: sequences of nodes visited by a random walk. Its entropy rate, and the right answer at every step, are exact.

W_uv = A_uv / sum_v A_uv,    pi W = pi,    H = sum_u pi_u H(W_u.)
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.special import entr

from scalinglens.errors import WorldError
from scalinglens.worlds.graphs import Graph, barabasi_albert, biased, dense_kernel, erdos_renyi, read_graph
from scalinglens.worlds.world import Description

__all__ = ["Walk", "kernel", "walk"]

BLOCK = 2048  # sequences whose random numbers come from one stream
_GRAPHS = ("er", "ba", "file")


@dataclass(frozen=True, eq=False)
class Walk:
    """Random walks on a graph; the first node follows the stationary law, so that every position has the same floor.

    >>> world = walk(graph="er", nodes=64, edges=256)
    >>> world.vocab, world.sample(2, length=50).shape
    (64, (2, 50))
    >>> bool(np.all(world.sample(3, length=9)[1:] == world.sample(2, length=9, first=1)))
    True
    """

    name: str
    graph: Graph

    @property
    def vocab(self) -> int:
        """Number of nodes."""
        return self.graph.nodes

    @functools.cached_property
    def transitions(self) -> sparse.csr_array:
        """Probability of each step [nodes, nodes]; the row of an isolated node, where no walk comes, is empty."""
        rows = self.graph.weights.copy()
        total = np.asarray(rows.sum(axis=1)).ravel()
        rows.data /= np.repeat(np.where(total > 0, total, 1.0), np.diff(rows.indptr))
        return rows

    @functools.cached_property
    def stationary(self) -> np.ndarray:
        """How often each node is visited [nodes]: row sums if the weights are symmetric, otherwise solved for."""
        total = np.asarray(self.graph.weights.sum(axis=1)).ravel()
        law = total / total.sum()
        return law if self.graph.symmetric else _stationary(self.transitions, law)

    @functools.cached_property
    def entropy_rate(self) -> float:
        """Entropy of the next node given the present one [nats/token]."""
        return float(self.stationary @ self._row_entropy)

    @functools.cached_property
    def _row_entropy(self) -> np.ndarray:
        rows = self.transitions
        return np.asarray(sparse.csr_array((entr(rows.data), rows.indices, rows.indptr), shape=rows.shape).sum(axis=1))

    @property
    def unigram_entropy(self) -> float:
        """Entropy of a node without knowing the one before [nats/token]."""
        return float(entr(self.stationary).sum())

    @property
    def counting_coefficient(self) -> float:
        """Half the free numbers of a transition table: one that counts D steps exceeds the entropy by this over D."""
        return (self.transitions.nnz - np.count_nonzero(np.diff(self.transitions.indptr))) / 2

    def sample(self, count: int, *, length: int, seed: int = 0, first: int = 0, held_out: bool = False) -> np.ndarray:
        """Return the walks number first .. first+count-1: int32 [count, length].

        Cost: 10-50 ns per token for counts of a thousand on.
        """
        if count < 0 or length < 1 or first < 0:
            raise WorldError(f"count {count}, length {length} and first {first} must not be negative, length from 1 on")
        out = np.empty((count, length), dtype=np.int32)
        for block in range(first // BLOCK, -(-(first + count) // BLOCK)):
            low, high = max(first - block * BLOCK, 0), min(first + count - block * BLOCK, BLOCK)
            at = block * BLOCK + low - first
            out[at : at + high - low] = self._block(block, length, seed, held_out, low, high).T
        return out

    def _block(self, block: int, length: int, seed: int, held_out: bool, low: int, high: int) -> np.ndarray:
        """Walks low .. high-1 of a block [length, high-low]; all of its random numbers are drawn, so that bits do not depend on
        which of its walks are asked for."""
        rng = np.random.Generator(np.random.SFC64(np.random.SeedSequence([seed, int(held_out), block])))
        walks = np.empty((length, high - low), dtype=np.int32)
        cumulated, step = self._steps
        here = np.searchsorted(cumulated, rng.random(BLOCK)[low:high], side="right").astype(np.int32)
        walks[0] = here
        for t in range(1, length):
            here = step(here, rng.random(BLOCK)[low:high])
            walks[t] = here
        return walks

    @functools.cached_property
    def _steps(self):
        cumulated = np.cumsum(self.stationary)
        cumulated[np.flatnonzero(self.stationary)[-1] :] = 1.0  # rounding must not lead to a node without edges
        rows = self.transitions
        starts, indices = rows.indptr[:-1].astype(np.int32), rows.indices.astype(np.int32)
        degrees = np.diff(rows.indptr)
        if self.graph.plain:
            many = degrees.astype(np.float64)
            return cumulated, lambda here, u: indices[starts[here] + (u * many[here]).astype(np.int32)]
        # row u of the table ends at u + 1, so that one search finds node and step together
        table = np.repeat(np.arange(self.vocab), degrees) + _cumulated_rows(rows)
        table[rows.indptr[1:][degrees > 0] - 1] = np.flatnonzero(degrees > 0) + 1.0
        below = np.nextafter(1.0, 0.0)

        def step(here: np.ndarray, u: np.ndarray) -> np.ndarray:
            where = np.searchsorted(table, here + np.minimum(u, below - 1e-9), side="right")
            return indices[where]

        return cumulated, step

    def next_token(self, tokens: np.ndarray) -> np.ndarray:
        """Return the distribution after each node of tokens [..., T]: float32 [..., T, nodes]."""
        flat = np.asarray(tokens).ravel()
        rows = self.transitions[flat].toarray().astype(np.float32)
        return rows.reshape(*np.shape(tokens), self.vocab)

    def describe(self) -> Description:
        """Return size, entropies and the counting law."""
        degrees = np.diff(self.transitions.indptr)
        values = {
            "nodes": self.graph.nodes,
            "edges": self.graph.edges,
            "vocab": self.vocab,
            "entropy_rate": self.entropy_rate,
            "unigram_entropy": self.unigram_entropy,
            "counting_coefficient": self.counting_coefficient,
            "mean_degree": float(degrees.mean()),
            "isolated": int(np.count_nonzero(degrees == 0)),
            "components": int(sparse.csgraph.connected_components(self.transitions, directed=False)[0]),
        }
        says = {
            "entropy_rate": "nats/token, exact: the lowest loss of any model",
            "unigram_entropy": "nats/token, exact",
            "counting_coefficient": "a table of counts exceeds the entropy by this over the tokens counted",
            "isolated": "nodes without edges, where no walk comes",
            "components": "a walk stays in the one where it began; it begins by the stationary law of the whole",
        }
        return Description(self.name, values, says)


def walk(
    *,
    graph: str = "er",
    nodes: int = 64,
    edges: int = 256,
    attach: int = 6,
    kappa: float = 0.0,
    largest: float = 100.0,
    path: str = "",
    seed: int = 0,
) -> Walk:
    """Return random walks on a graph.

    Args:
        graph: "er" (a fixed number of edges, placed uniformly), "ba" (preferential attachment) or "file" (an edge list).
        nodes: How many.
        edges: Of "er".
        attach: Edges that each new node of "ba" brings; it grows from a complete graph of as many.
        kappa: Weights of edges are drawn from k^-kappa; 0 is the unbiased walk.
        largest: Weight where kappa is not 0; the smallest is 1.
        path: Of the edge list of "file": two nodes per line and perhaps a weight.
        seed: Of the graph and its weights.

    Raises:
        WorldError: an unknown graph, or one that cannot be built.

    Source: arXiv 2601.10684, section 2.

    >>> round(walk(graph="er", nodes=8192, edges=53292).entropy_rate, 1)
    2.6
    """
    if graph not in _GRAPHS:
        raise WorldError(f'there is no graph "{graph}"; graph is one of {", ".join(_GRAPHS)}')
    if graph == "file":
        if not path:
            raise WorldError('graph "file" needs a path: an edge list, two nodes per line')
        built, says = read_graph(path), f"file {path}"
    elif graph == "ba":
        built, says = barabasi_albert(nodes, attach, seed=seed), f"ba {nodes}/{attach}"
    else:
        built, says = erdos_renyi(nodes, edges, seed=seed), f"er {nodes}/{edges}"
    tail = f" kappa {kappa:g} to {largest:g}" if kappa else ""
    return Walk(f"walk {says}{tail} seed {seed}", biased(built, kappa, largest=largest, seed=seed))


def kernel(*, nodes: int = 256, spread: float = 1.5, seed: int = 0) -> Walk:
    """Return walks on S(n), a complete graph whose log-weights have a power-law spectrum.

    Args:
        nodes: How many.
        spread: Standard deviation of the log-weights.
        seed: Of the weights.

    >>> kernel(nodes=64).vocab
    64
    """
    return Walk(f"kernel {nodes} spread {spread:g} seed {seed}", dense_kernel(nodes, spread=spread, seed=seed))


def _cumulated_rows(rows: sparse.csr_array) -> np.ndarray:
    """Sum of each row's entries up to and with each entry [nnz]."""
    total = np.cumsum(rows.data)
    filled = np.flatnonzero(np.diff(rows.indptr))
    before = np.concatenate(([0.0], total))[rows.indptr[:-1][filled]]
    return total - np.repeat(before, np.diff(rows.indptr)[filled])


def _stationary(transitions: sparse.csr_array, law: np.ndarray) -> np.ndarray:
    """Stationary law of steps that weigh differently to and fro, by iterating the lazy walk."""
    if np.any((np.diff(transitions.indptr) == 0) & (np.asarray(transitions.sum(axis=0)).ravel() > 0)):
        raise WorldError("a node can be entered but not left; give each such node a way out")
    for _ in range(100_000):
        after = (law + transitions.T @ law) / 2
        if np.abs(after - law).sum() < 1e-15:
            return after / after.sum()
        law = after
    raise WorldError(
        "the walk has not settled after 100,000 steps; the graph mixes too slowly for its floor to be known"
    )
