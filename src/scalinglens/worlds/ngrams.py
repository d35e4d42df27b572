"""`Ngrams`: the Markov chain whose transitions are the counts of n-grams in a text, with its statistics and an exact floor.

A state is a run of order-1 tokens, so that the chain is a walk on the graph of runs whose edges are the n-grams; what it shows is
the last token of each state. Counts at or below a cut-off are dropped, and what is left is cut down to the largest part within
which every state leads to every other.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from scalinglens.errors import WorldError
from scalinglens.files import written_whole
from scalinglens.worlds.checks import whole
from scalinglens.worlds.complexity import rank_law
from scalinglens.worlds.grams import gram_counts
from scalinglens.worlds.graphs import Graph
from scalinglens.worlds.text import text
from scalinglens.worlds.walks import Walk
from scalinglens.worlds.world import Description

__all__ = ["Ngrams", "ngram", "ngrams"]


@dataclass(frozen=True, eq=False)
class Ngrams:
    """A Markov chain of tokens.

    Attributes:
        name: of the world. vocab: V, tokens of the text, also those that the cut-off removed. order: n.
        states: code of each state, its n-1 tokens as digits of base V; ascending.
        walk: on the states.
        kept: share of the n-grams counted that the table still holds.

    >>> world = ngrams(np.array([0, 1, 2, 0, 1, 0, 2, 1, 0]), 3, order=2)
    >>> (3 * world.next_token(np.array([0]))[0]).round().tolist()    # after 0: three steps, twice to 1
    [0.0, 2.0, 1.0]
    """

    name: str
    vocab: int
    order: int
    states: np.ndarray
    walk: Walk
    kept: float = 1.0

    @property
    def entropy_rate(self) -> float:
        """Entropy of the next token given the n-1 before it [nats/token]."""
        return self.walk.entropy_rate

    @property
    def counting_coefficient(self) -> float:
        """Half the free numbers of the table: one that counts D steps exceeds the entropy by this over D."""
        return self.walk.counting_coefficient

    @functools.cached_property
    def unigram(self) -> np.ndarray:
        """How often each token is shown [V]."""
        return np.bincount(self.states % self.vocab, self.walk.stationary, self.vocab)

    def sample(self, count: int, *, length: int, seed: int = 0, first: int = 0, held_out: bool = False) -> np.ndarray:
        """Return the sequences number first .. first+count-1: int32 [count, length]."""
        span = self.order - 1
        whole("length", length, 1)
        steps = max(length - span + 1, 1)
        visited = self.walk.sample(count, length=steps, seed=seed, first=first, held_out=held_out)
        digits = self.vocab ** np.arange(span - 1, 0, -1)
        begin = self.states[visited[:, :1]] // digits % self.vocab
        shown = (self.states % self.vocab).astype(np.int32).take(visited)
        return np.concatenate((begin.astype(np.int32), shown), axis=1)[:, :length]

    def next_token(self, tokens: np.ndarray) -> np.ndarray:
        """Return the distribution after each prefix of tokens [..., T]: float32 [..., T, V].

        After fewer than n-1 tokens it is the mean over the states that end so.

        Raises:
            WorldError: tokens that the chain does not show.
        """
        rows = np.asarray(tokens, dtype=np.int64)
        flat = rows.reshape(-1, rows.shape[-1])
        found = np.empty((*flat.shape, self.vocab), dtype=np.float32)
        code = np.zeros(len(flat), dtype=np.int64)
        for t in range(flat.shape[1]):
            many = min(t + 1, self.order - 1)
            code = (code * self.vocab + flat[:, t]) % self.vocab**many
            codes, table = self._after[many - 1]
            at = np.minimum(np.searchsorted(codes, code), len(codes) - 1)
            if np.any(codes[at] != code):
                bad = int(np.argmax(codes[at] != code))
                raise WorldError(
                    f"{self.name} does not show the tokens {flat[bad, max(t + 1 - many, 0) : t + 1].tolist()}"
                )
            found[:, t] = table[at].toarray()
        return found.reshape(*rows.shape, self.vocab)

    @functools.cached_property
    def _after(self) -> list[tuple[np.ndarray, sparse.csr_array]]:
        """What may come after 1 .. n-1 tokens: their codes, and distributions [codes, V]."""
        many, pi = len(self.states), self.walk.stationary
        shows = sparse.csr_array((np.ones(many), (np.arange(many), self.states % self.vocab)), shape=(many, self.vocab))
        joint = sparse.diags_array(pi) @ (self.walk.transitions @ shows)
        found = []
        for tokens in range(1, self.order):
            codes, which = np.unique(self.states % self.vocab**tokens, return_inverse=True)
            gather = sparse.csr_array((np.ones(many), (which, np.arange(many))), shape=(len(codes), many))
            total = sparse.csr_array(gather @ joint)
            found.append((codes, sparse.csr_array(sparse.diags_array(1 / (gather @ pi)) @ total)))
        return found

    def describe(self) -> Description:
        """Return size, entropies and the counting law."""
        pi, rows = self.walk.stationary, self.walk.transitions
        pairs = np.repeat(pi, np.diff(rows.indptr)) * rows.data
        laws = [rank_law(self.unigram), rank_law(pairs)]
        frequent = self.unigram[self.unigram > 0]
        values: dict[str, Any] = {
            "vocab": self.vocab,
            "order": self.order,
            "states": len(self.states),
            "ngrams": rows.nnz,
            "kept": self.kept,
            "entropy_rate": self.entropy_rate,
            "unigram_entropy": float(-frequent @ np.log(frequent)),
            "counting_coefficient": self.counting_coefficient,
            "unigram_exponent": None if laws[0] is None else laws[0].exponent,
            "ngram_exponent": None if laws[1] is None else laws[1].exponent,
        }
        says = {
            "states": "runs of order-1 tokens",
            "kept": "share of the text's n-grams, by count, that the table holds",
            "entropy_rate": "nats/token, exact: the lowest loss of any model",
            "unigram_entropy": "nats/token, exact",
            "counting_coefficient": "a table of counts exceeds the entropy by this over the tokens counted",
            "unigram_exponent": "frequency ~ rank^-this, over all ranks",
            "ngram_exponent": "the same of n-grams",
        }
        return Description(self.name, values, says)


def ngrams(tokens: np.ndarray, vocab: int, *, order: int = 2, cutoff: int = 0, name: str = "ngrams") -> Ngrams:
    """Return the chain of the n-grams of some tokens.

    Args:
        tokens: [n] or [sequences, T]. vocab: V. order: n, from 2 on. cutoff: n-grams seen that often or less are dropped.
        name: of the world.

    Raises:
        WorldError: nothing is left, or there are too many possible n-grams to number.
    """
    whole("order", order, 2)
    return _chain(*gram_counts(tokens, vocab, order), vocab, order, cutoff, name)


def _chain(codes: np.ndarray, counts: np.ndarray, vocab: int, order: int, cutoff: int, name: str) -> Ngrams:
    whole("cutoff", cutoff)
    total = counts.sum()
    codes, counts = codes[counts > cutoff], counts[counts > cutoff]
    come, go = codes // vocab, codes % vocab ** (order - 1)
    states, at = np.unique(np.concatenate((come, go)), return_inverse=True)
    n = len(states)
    whole_graph = sparse.csr_array((counts.astype(float), (at[: len(codes)], at[len(codes) :])), shape=(n, n))
    part = sparse.csgraph.connected_components(whole_graph, directed=True, connection="strong")[1]
    row = np.repeat(np.arange(n), np.diff(whole_graph.indptr))
    inside = part[row] == part[whole_graph.indices]
    if not inside.any():
        raise WorldError(f"no {order}-gram that leads back is seen more than cutoff = {cutoff} times; lower it")
    weight = np.bincount(part[row][inside], whole_graph.data[inside])
    members = np.flatnonzero(part == np.argmax(weight))
    graph = Graph(whole_graph[members][:, members])
    return Ngrams(name, vocab, order, states[members], Walk(name, graph), float(weight.max() / total))


def ngram(
    *,
    path: str,
    tokenizer: str = "byte",
    vocab: int = 4096,
    order: int = 2,
    cutoff: int = 0,
    limit: int = 0,
    sha256: str = "",
) -> Ngrams:
    """Return the Markov chain of a text's n-grams.

    Args:
        path: A file, also .xz or .gz; a folder of files; or "hf://NAME" of a data set of Hugging Face. May hold
            $NAMES of the environment.
        tokenizer: "byte" (256 tokens), "character", or "bpe" (byte pairs, learned from the first 20 million characters).
        vocab: Tokens at most, of "character" and "bpe".
        order: 2 for bigrams, 3 for trigrams, and so on.
        cutoff: N-grams seen that often or less are dropped.
        limit: Bytes, or characters where they are decoded, of each file or of the data set at most; 0 for all.
        sha256: First digits of the checksum of what is read; another content is then refused.

    Raises:
        WorldError: nothing can be read there, or no n-gram is left.

    Source: arXiv 2601.10684, section 2 (bigrams of language, counts above 5).
    """
    whole("order", order, 2)
    known = text(path=path, tokenizer=tokenizer, vocab=vocab, limit=limit, sha256=sha256)
    name = f"ngram {order} cutoff {cutoff} of {known.name}"
    kept = Path(getattr(known.train, "filename", "")).with_name(f"ngrams-{order}.npz")
    if not kept.exists():
        codes, counts = gram_counts(known.train, known.vocab, order)
        with written_whole(kept) as part, open(part, "wb") as stream:
            np.savez(stream, codes=codes, counts=counts)
    with np.load(kept) as held:
        return _chain(held["codes"], held["counts"], known.vocab, order, cutoff, name)
