"""`Walk`: sequences of nodes visited by a random walk. Its entropy rate, and the right answer at every step, are exact.

W_uv = A_uv / sum_v A_uv,    pi W = pi,    H = sum_u pi_u H(W_u.)
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.special import entr

from scalinglens.errors import WorldError
from scalinglens.worlds.alias import alias_tables
from scalinglens.worlds.checks import choice
from scalinglens.worlds.graphs import (
    Graph,
    barabasi_albert,
    biased,
    configuration,
    dense_kernel,
    erdos_renyi,
    read_degrees,
    read_graph,
)
from scalinglens.worlds.streams import BLOCK, parts, stream
from scalinglens.worlds.world import Description

__all__ = ["Walk", "closed_parts", "kernel", "walk"]

_GRAPHS = ("er", "ba", "configuration", "file")
_DIRECT = 2048  # nodes up to which the stationary law is a solution of dense equations


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

    @property
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

        Cost: 15-40 ns per token for counts of a thousand on.
        """
        pieces = list(parts(count, seed=seed, first=first, length=length))
        out = np.empty((count, length), dtype=np.int32)
        for block, which, at in pieces:
            out[at] = self._block(stream(seed, held_out, block), length, which).T
        return out

    def _block(self, rng: np.random.Generator, length: int, which: slice) -> np.ndarray:
        """Some walks of a block [length, walks]; the random numbers of all of them are drawn, so that bits do not depend on
        which ones are asked for."""
        walks = np.empty((length, which.stop - which.start), dtype=np.int32)
        begin, step = self._steps
        here = np.searchsorted(begin, rng.random(BLOCK)[which], side="right").astype(np.int32)
        walks[0] = here
        for t in range(1, length):
            here = step(here, rng.random(BLOCK)[which])
            walks[t] = here
        return walks

    @functools.cached_property
    def _steps(self) -> tuple[np.ndarray, Callable[[np.ndarray, np.ndarray], np.ndarray]]:
        begin = np.cumsum(self.stationary)
        begin[np.flatnonzero(self.stationary)[-1] :] = 1.0  # rounding must not lead to a node without edges
        rows = self.transitions
        starts, columns = rows.indptr[:-1].astype(np.int32), rows.indices.astype(np.int32)
        many = np.diff(rows.indptr).astype(np.float64)
        if self.graph.plain:

            def step(here: np.ndarray, u: np.ndarray) -> np.ndarray:
                at = (u * many.take(here)).astype(np.int32)
                at += starts.take(here)
                return columns.take(at)
        else:
            threshold, partner = alias_tables(rows)
            edge = np.arange(rows.nnz) - np.repeat(starts, np.diff(rows.indptr)) + threshold
            either = np.stack((columns, partner), axis=1).ravel()  # one look-up for both

            def step(here: np.ndarray, u: np.ndarray) -> np.ndarray:
                x = u * many.take(here)
                at = x.astype(np.int32)
                at += starts.take(here)
                beyond = x >= edge.take(at)
                return either.take(2 * at.astype(np.intp) + beyond)

        return begin, step

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
    degrees: str = "",
    kappa: float = 0.0,
    largest: float = 100.0,
    symmetric: bool = True,
    path: str = "",
    directed: bool = False,
    seed: int = 0,
) -> Walk:
    """Return random walks on a graph.

    Args:
        graph: "er" (a fixed number of edges, placed uniformly), "ba" (preferential attachment), "configuration" (given
            degrees) or "file" (an edge list).
        nodes: How many, of "er" and "ba".
        edges: Of "er".
        attach: Edges that each new node of "ba" brings; it grows from a complete graph of as many.
        degrees: Of "configuration", such as "3x60,10x4" or "2,2,4": degree, and how many nodes have it.
        kappa: Weights of edges are drawn from k^-kappa; 0 is the unbiased walk.
        largest: Weight where kappa is not 0; the smallest is 1.
        symmetric: Whether an edge weighs the same to and fro where kappa is not 0; otherwise each way is drawn.
        path: Of the edge list of "file": two nodes per line and perhaps a weight.
        directed: Whether a line of "file" leads from the first node to the second only.
        seed: Of the graph and its weights.

    Raises:
        WorldError: an unknown graph, or one that cannot be built.

    Source: arXiv 2601.10684, section 2.

    >>> round(walk(graph="er", nodes=8192, edges=53292).entropy_rate, 1)
    2.6
    """
    choice("graph", graph, _GRAPHS)
    if graph == "file":
        if not path:
            raise WorldError('graph "file" needs a path: an edge list, two nodes per line')
        built, says = read_graph(path, directed=directed), f"file {path}{' directed' if directed else ''}"
    elif graph == "ba":
        built, says = barabasi_albert(nodes, attach, seed=seed), f"ba {nodes}/{attach}"
    elif graph == "configuration":
        built, says = configuration(read_degrees(degrees), seed=seed), f"configuration {degrees}"
    else:
        built, says = erdos_renyi(nodes, edges, seed=seed), f"er {nodes}/{edges}"
    tail = f" kappa {kappa:g} to {largest:g}{'' if symmetric else ' each way'}" if kappa else ""
    weighted = biased(built, kappa, largest=largest, symmetric=symmetric, seed=seed)
    return Walk(f"walk {says}{tail} seed {seed}", weighted)


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


def _stationary(transitions: sparse.csr_array, law: np.ndarray) -> np.ndarray:
    """Stationary law of steps that weigh differently to and fro.

    Dense equations where one closed part holds all that stays and is small; otherwise the lazy walk is iterated from `law`.
    """
    leaves, entered = np.diff(transitions.indptr) > 0, np.asarray(transitions.sum(axis=0)).ravel() > 0
    if np.any(entered & ~leaves):
        node = int(np.flatnonzero(entered & ~leaves)[0])
        raise WorldError(f"node {node} can be entered but not left; give each such node a way out")
    closed = closed_parts(transitions)
    if len(closed) == 1 and len(closed[0]) <= _DIRECT:
        inside = closed[0]
        P = transitions[inside][:, inside].toarray()
        # pi (P - I) = 0 with one equation, which the others imply, replaced by sum pi = 1
        equations = P.T - np.eye(len(inside))
        equations[0] = 1.0
        found = np.zeros(len(law))
        found[inside] = np.maximum(np.linalg.solve(equations, np.eye(len(inside))[0]), 0.0)
        return found / found.sum()
    for _ in range(100_000):
        after = (law + transitions.T @ law) / 2
        if np.abs(after - law).sum() < 1e-14:
            return after / after.sum()
        law = after
    raise WorldError(
        "the walk has not settled after 100,000 steps; the graph mixes too slowly for its floor to be known"
    )


def closed_parts(transitions: sparse.csr_array) -> list[np.ndarray]:
    """Nodes of each part that no step leaves and all of whose nodes reach each other."""
    many, part = sparse.csgraph.connected_components(transitions, directed=True, connection="strong")
    row = np.repeat(np.arange(len(part)), np.diff(transitions.indptr))
    open_parts = np.unique(part[row][part[row] != part[transitions.indices]])
    stays = np.zeros(many, dtype=bool)
    stays[part[transitions.indices]] = True  # a lone node without a loop is no place to stay
    stays[open_parts] = False
    order = np.argsort(part, kind="stable")
    cuts = np.searchsorted(part[order], np.arange(many + 1))
    return [order[cuts[k] : cuts[k + 1]] for k in np.flatnonzero(stays)]
