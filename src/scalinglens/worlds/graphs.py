"""Graphs to walk on: built by networkx, kept as compressed rows.

erdos_renyi        a fixed number of edges, placed uniformly
barabasi_albert    preferential attachment, grown from a complete graph
configuration      given degrees
dense_kernel       every pair weighted, log-weights with a power-law spectrum
read_graph         an edge list of the user, with or without weights
"""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from scalinglens.errors import WorldError
from scalinglens.worlds.checks import located, number, whole

__all__ = [
    "Graph",
    "barabasi_albert",
    "biased",
    "configuration",
    "dense_kernel",
    "erdos_renyi",
    "from_networkx",
    "read_degrees",
    "read_graph",
]


@dataclass(frozen=True, eq=False)
class Graph:
    """Weights of directed edges, row by row; an undirected edge stands in both of its rows.

    Attributes:
        weights: [nodes, nodes] compressed rows without zeros; entry (u, v) weighs the step from u to v.
        plain: whether all weights are one.

    >>> triangle = Graph(sparse.csr_array(np.ones((3, 3)) - np.eye(3)))
    >>> triangle.nodes, triangle.edges, triangle.symmetric, triangle.plain
    (3, 3, True, True)
    """

    weights: sparse.csr_array

    def __post_init__(self) -> None:
        rows = sparse.csr_array(self.weights, dtype=np.float64)
        shape: tuple[int, ...] = self.weights.shape  # type: ignore[assignment]
        if len(shape) != 2 or shape[0] != shape[1]:
            raise WorldError(f"the weights of a graph are square, one row and column per node; these are {shape}")
        rows.eliminate_zeros()
        rows.sort_indices()
        if not np.all(np.isfinite(rows.data)) or np.any(rows.data < 0):
            bad = rows.data[~(np.isfinite(rows.data) & (rows.data >= 0))][0]
            raise WorldError(f"an edge has weight {bad}; weights are finite and not negative")
        if not rows.nnz:
            raise WorldError("the graph has no edge, so that there is no step to take; add edges")
        object.__setattr__(self, "weights", rows)

    @property
    def nodes(self) -> int:
        """Number of nodes, isolated ones included."""
        return len(self.weights.indptr) - 1

    @functools.cached_property
    def plain(self) -> bool:
        """Whether all edges weigh the same."""
        return bool(np.all(self.weights.data == self.weights.data[0]))

    @functools.cached_property
    def symmetric(self) -> bool:
        """Whether each edge weighs the same in both directions."""
        apart = self.weights - self.weights.T
        return bool(np.all(apart.data == 0)) if apart.nnz else True

    @property
    def edges(self) -> int:
        """Number of undirected edges if symmetric (a loop counts as one), of directed edges otherwise."""
        loops = int(np.count_nonzero(self.weights.diagonal()))
        return (self.weights.nnz + loops) // 2 if self.symmetric else self.weights.nnz


def from_networkx(graph: Any) -> Graph:
    """Return a graph of networkx, with its weights where it has any; nodes are numbered in its own order.

    >>> import networkx
    >>> from_networkx(networkx.path_graph(4)).edges
    3
    """
    networkx = _networkx()
    if not len(graph):
        raise WorldError("the graph has no node; add nodes and edges")
    return Graph(sparse.csr_array(networkx.to_scipy_sparse_array(graph, dtype=np.float64, format="csr")))


def erdos_renyi(nodes: int, edges: int, *, seed: int = 0) -> Graph:
    """Return a graph with exactly that many edges, placed uniformly at random.

    Args:
        nodes, edges: how many. seed: of the placing.

    Raises:
        WorldError: more edges than pairs of nodes, or fewer than one.

    >>> erdos_renyi(64, 256).edges
    256
    """
    whole("nodes", nodes, 2)
    whole("seed", seed)
    whole("edges", edges, 1, nodes * (nodes - 1) // 2, f"the pairs of {nodes} nodes")
    return from_networkx(_networkx().gnm_random_graph(nodes, edges, seed=seed))


def barabasi_albert(nodes: int, attach: int, *, seed: int = 0) -> Graph:
    """Return a graph grown by preferential attachment from a complete graph of `attach` nodes.

    It has attach (attach - 1)/2 + (nodes - attach) attach edges.

    >>> barabasi_albert(8192, 6).edges
    49131
    """
    whole("nodes", nodes, 3)
    whole("seed", seed)
    whole("attach", attach, 1, nodes - 1, f"{nodes} nodes less one")
    networkx = _networkx()
    start = networkx.complete_graph(attach) if attach > 1 else None
    return from_networkx(networkx.barabasi_albert_graph(nodes, attach, seed=seed, initial_graph=start))


def configuration(degrees: Sequence[int], *, seed: int = 0) -> Graph:
    """Return a random graph of given degrees; parallel edges weigh as many times, loops stay.

    Raises:
        WorldError: degrees that no graph has (an odd sum, a negative one).

    >>> graph = configuration([3] * 100)
    >>> float(graph.weights.sum())
    300.0
    """
    networkx = _networkx()
    whole("seed", seed)
    counts = [int(d) for d in degrees]
    if any(c < 0 or c != d for c, d in zip(counts, degrees, strict=True)) or sum(counts) % 2 or not sum(counts):
        raise WorldError(f"degrees are whole numbers with an even sum above zero; these sum to {sum(degrees)}")
    multi = networkx.configuration_model(counts, seed=seed)
    rows = sparse.csr_array(networkx.to_scipy_sparse_array(multi, dtype=np.float64, format="csr"))
    return Graph(rows + sparse.diags_array(rows.diagonal()))  # a loop uses two of its node's degrees


def dense_kernel(nodes: int, *, spread: float = 1.5, seed: int = 0) -> Graph:
    """Return S(n): every pair is an edge, and the log-weights S have a power-law spectrum.

    A = exp(S), S = Q diag(+-(k + 3)^-1) Q^T with Q random orthogonal, scaled to entries of standard deviation `spread`: what a
    model of width d cannot represent falls with d like a power, where sparse graphs have a threshold.

    Source: the dense kernels of study-random-walks 8.2.

    >>> dense_kernel(64).edges == 64 * 65 // 2
    True
    """
    whole("nodes", nodes, 2, 8192, "what memory holds")
    number("spread", spread, 0, 20)
    if spread == 0:
        raise WorldError("spread = 0 makes all weights equal; the log-weights need a spread above 0")
    whole("seed", seed)
    rng = np.random.default_rng(np.random.SeedSequence([seed, 0x5E]))
    Q, R = np.linalg.qr(rng.standard_normal((nodes, nodes)))
    Q *= np.sign(np.diag(R))  # uniform over the orthogonal matrices
    eigenvalues = rng.choice([-1.0, 1.0], nodes) / (np.arange(nodes) + 4.0)
    S = (Q * eigenvalues) @ Q.T
    S = (S + S.T) / 2
    return Graph(sparse.csr_array(np.exp(S * spread / S.std())))


def biased(graph: Graph, kappa: float, *, largest: float = 100.0, symmetric: bool = True, seed: int = 0) -> Graph:
    """Return the graph with weights drawn from P(k) ~ k^-kappa on [1, largest].

    Args:
        graph: symmetric, unless each way is drawn. kappa: 0 leaves the graph as it is. largest: weight.
        symmetric: whether both directions of an edge weigh the same, so that row sums are the stationary law; otherwise each is
            drawn. seed: of the weights.

    Source: arXiv 2601.10684, section 2; the range and the symmetry are ours, for the paper gives neither.

    >>> walkable = biased(erdos_renyi(64, 256), 1.0)
    >>> walkable.symmetric, walkable.plain
    (True, False)
    """
    number("kappa", kappa, 0)
    whole("seed", seed)
    if kappa == 0:
        return graph
    if not (np.isfinite(largest) and largest > 1):
        raise WorldError(f"largest weight {largest} must be above 1, the smallest one")
    if symmetric and not graph.symmetric:
        raise WorldError("the graph leads one way only along some edges; draw each way's weight with symmetric = false")
    drawn = sparse.triu(graph.weights, format="coo") if symmetric else graph.weights.tocoo()
    u = np.random.default_rng(np.random.SeedSequence([seed, 0xB1A5])).random(drawn.nnz)
    power = 1 - kappa
    factor = largest**u if power == 0 else (1 + u * (largest**power - 1)) ** (1 / power)
    found = sparse.coo_array((drawn.data * factor, (drawn.row, drawn.col)), shape=drawn.shape)
    return Graph(sparse.csr_array(found + sparse.triu(found, k=1).T if symmetric else found))


def read_degrees(text: str) -> list[int]:
    """Read degrees such as "3x60,10x4" (60 nodes of degree 3, 4 of degree 10) or "2,2,4".

    Raises:
        WorldError: not so written.

    >>> read_degrees("3x2,1x4")
    [3, 3, 1, 1, 1, 1]
    """
    found: list[int] = []
    for part in text.split(","):
        degree, _, many = part.strip().partition("x")
        if not (degree.isdecimal() and (many or "1").isdecimal()) or part.strip().endswith("x"):
            raise WorldError(f'degrees = {text!r} holds {part.strip()!r}; write degrees as in "3x60,10x4" or "2,2,4"')
        found += [int(degree)] * int(many or 1)
    return found


def read_graph(path: str | os.PathLike[str], *, directed: bool = False) -> Graph:
    """Read an edge list: two node names per line and a weight if wanted; # begins a comment.

    Args:
        path: of the file. directed: whether a line leads from its first node to its second only.

    Raises:
        WorldError: the file cannot be read, a line is no edge, or an edge stands there twice.
    """
    networkx = _networkx()
    name = os.fspath(path)
    graph = networkx.DiGraph() if directed else networkx.Graph()
    try:
        with open(located(path), encoding="utf-8") as lines:
            for at, line in enumerate(lines, 1):
                words = line.split("#")[0].replace(",", " ").split()
                if words:
                    u, v, weight = _edge(words, f"{name}, line {at}")
                    if graph.has_edge(u, v):
                        raise WorldError(
                            f"{name}, line {at}: the edge {u} {v} stands here for the second time; keep one"
                        )
                    graph.add_edge(u, v, weight=weight)
    except (OSError, UnicodeDecodeError) as problem:
        raise WorldError(f"cannot read {name}: {getattr(problem, 'strerror', None) or problem}") from None
    if not graph:
        raise WorldError(f"{name} has no edge; each line names two nodes")
    return from_networkx(graph)


def _edge(words: list[str], where: str) -> tuple[str, str, float]:
    if len(words) not in (2, 3):
        raise WorldError(f"{where}: an edge is two nodes and perhaps a weight, not {' '.join(words)!r}")
    try:
        weight = float(words[2]) if len(words) == 3 else 1.0
    except ValueError:
        raise WorldError(f"{where}: {words[2]!r} is no weight") from None
    if not (np.isfinite(weight) and weight > 0):
        raise WorldError(f"{where}: weight {words[2]} is not a finite number above 0")
    return words[0], words[1], weight


def _networkx() -> Any:
    try:
        import networkx
    except ImportError:
        raise WorldError("graphs need networkx, which is not installed: pip install 'scalinglens[train]'") from None
    return networkx
