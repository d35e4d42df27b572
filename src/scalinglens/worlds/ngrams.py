"""Tables of n-grams, counted in a text and then the whole truth: a world between a walk and a language.

With contexts c of n-1 tokens and counts C that pass the cut-off, the next token has p(v | c) = C(c v)/C(c), and the chain over
contexts has a stationary law pi, an exact entropy rate sum pi_c H(p(. | c)), and an exact answer after prefixes shorter than a
context: the mixture over the contexts that end in it.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.special import entr

from scalinglens.errors import WorldError
from scalinglens.worlds.graphs import Graph
from scalinglens.worlds.text import text
from scalinglens.worlds.walks import Walk
from scalinglens.worlds.world import Description

__all__ = ["NGrams", "count_ngrams", "ngram"]

LARGEST = 2**62  # codes of n-grams are whole numbers of 64 bits


@dataclass(frozen=True, eq=False)
class NGrams:
    """A table of n-grams as a world.

    Attributes:
        name: of the world. vocab: tokens. contexts: codes of the contexts, sorted [S]; chain: walk over them.
        order: n. left_out: part of the counted n-grams that the cut-off and dead ends removed.
    """

    name: str
    vocab: int
    order: int
    contexts: np.ndarray
    chain: Walk
    left_out: float

    @property
    def entropy_rate(self) -> float:
        """Entropy of a token given the n-1 before [nats/token]."""
        return self.chain.entropy_rate  # a step of the chain is a token

    def sample(self, count: int, *, length: int, seed: int = 0, first: int = 0, held_out: bool = False) -> np.ndarray:
        """Return the sequences number first .. first+count-1: int32 [count, length]; the first context is stationary."""
        steps = self.chain.sample(
            count, length=max(1, length - self.order + 2), seed=seed, first=first, held_out=held_out
        )
        begin = _digits(self.contexts[steps[:, 0]], self.vocab, self.order - 1)
        return np.concatenate((begin, self.contexts[steps[:, 1:]] % self.vocab), axis=1)[:, :length].astype(np.int32)

    def next_token(self, tokens: np.ndarray) -> np.ndarray:
        """Return the distribution after each prefix of tokens [..., T]: float32 [..., T, vocab]."""
        given = np.asarray(tokens)
        flat = given.reshape(-1, given.shape[-1]).astype(np.int64)
        out = np.empty((*flat.shape, self.vocab), dtype=np.float32)
        for t in range(flat.shape[1]):
            seen = min(t + 1, self.order - 1)
            codes, rows = self._answers(seen)
            code = flat[:, t - seen + 1 : t + 1] @ (self.vocab ** np.arange(seen - 1, -1, -1))
            where = np.minimum(np.searchsorted(codes, code), len(codes) - 1)
            if np.any(codes[where] != code):
                bad = flat[np.flatnonzero(codes[where] != code)[0], t - seen + 1 : t + 1]
                raise WorldError(f"the tokens {bad.tolist()} never follow one another in {self.name}")
            out[:, t] = rows[where].toarray()
        return out.reshape(*given.shape, self.vocab)

    @functools.lru_cache(maxsize=8)  # noqa: B019 - few worlds, and they live as long as the program
    def _answers(self, seen: int) -> tuple[np.ndarray, sparse.csr_array]:
        """Prefixes of so many tokens (codes, sorted) and the distribution after each."""
        steps = self.chain.transitions.tocoo()
        to_token = sparse.csr_array(
            (steps.data, (steps.row, self.contexts[steps.col] % self.vocab)), shape=(len(self.contexts), self.vocab)
        )
        if seen == self.order - 1:
            return self.contexts, to_token
        codes, group = np.unique(self.contexts % self.vocab**seen, return_inverse=True)
        weight = self.chain.stationary
        gather = sparse.csr_array((weight, (group, np.arange(len(group)))), shape=(len(codes), len(group)))
        gather = sparse.diags_array(1 / np.bincount(group, weight)) @ gather
        return codes, sparse.csr_array(gather @ to_token)

    def describe(self) -> Description:
        """Return sizes and entropies."""
        tokens = np.bincount(self.contexts % self.vocab, self.chain.stationary, minlength=self.vocab)
        values = {
            "order": self.order,
            "vocab": self.vocab,
            "contexts": len(self.contexts),
            "ngrams": self.chain.transitions.nnz,
            "left_out": self.left_out,
            "entropy_rate": self.entropy_rate,
            "unigram_entropy": float(entr(tokens).sum()),
            "counting_coefficient": self.chain.counting_coefficient,
        }
        says = {
            "left_out": "part of the counted n-grams that the cut-off and dead ends removed",
            "entropy_rate": "nats/token, exact: the lowest loss of any model",
            "unigram_entropy": "nats/token, exact",
            "counting_coefficient": "a table of counts exceeds the entropy by this over the tokens counted",
        }
        return Description(self.name, values, says)


def ngram(
    *,
    path: str,
    order: int = 2,
    least: int = 1,
    tokenizer: str = "character",
    vocab: int = 0,
    most: int = 0,
) -> NGrams:
    """Return the n-grams of a text as a world.

    Args:
        path: Of the text: a file, plain or .gz or .xz, or a folder.
        order: n; 2 is a table of pairs.
        least: How often an n-gram must occur to stay.
        tokenizer: As of the world "text": "byte", "character" or "bpe".
        vocab: As of the world "text".
        most: Characters to read at most; 0 reads all.

    Raises:
        WorldError: as of the world "text", or nothing is left to walk on.

    Source: arXiv 2601.10684, section 2 (pairs of word pieces that occur more than five times).
    """
    source = text(path=path, tokenizer=tokenizer, vocab=vocab, most=most)
    name = f"{order}-grams from {least} on of {source.name}"
    return count_ngrams(np.asarray(source.learned), source.vocab, order=order, least=least, name=name)


def count_ngrams(tokens: np.ndarray, vocab: int, *, order: int, least: int = 1, name: str = "n-grams") -> NGrams:
    """Return the n-grams of a line of tokens as a world.

    Contexts that cannot be left, or not be reached again, are removed: of what can be walked for ever, the part that the text
    visits most stays.

    >>> count_ngrams(np.array([0, 1, 0, 1, 1, 0, 1, 0, 0]), 2, order=2).vocab
    2
    """
    if not isinstance(order, int) or not 2 <= order <= 8 or vocab**order > LARGEST:
        raise WorldError(f"order {order} is a whole number from 2 to 8 with vocab^order below 2^62; vocab is {vocab}")
    if not isinstance(least, int) or least < 1:
        raise WorldError(f"least = {least!r} is a whole number from 1 on")
    if len(tokens) < order + 1:
        raise WorldError(f"{len(tokens)} tokens hold no table of order {order}")
    line = np.asarray(tokens, dtype=np.int64)
    codes = np.zeros(len(line) - order + 1, dtype=np.int64)
    for place in range(order):
        codes = codes * vocab + line[place : place + len(codes)]
    grams, counts = np.unique(codes, return_counts=True)
    stays = counts >= least
    if not stays.any():
        raise WorldError(f"no n-gram occurs {least} times (the most frequent {counts.max()}); lower least")
    before, after = grams[stays] // vocab, grams[stays] % vocab ** (order - 1)
    contexts, place = np.unique(np.concatenate((before, after)), return_inverse=True)
    size, kept = len(contexts), counts[stays].astype(float)
    steps = sparse.csr_array((kept, (place[: len(kept)], place[len(kept) :])), shape=(size, size))
    parts, part = sparse.csgraph.connected_components(steps, directed=True, connection="strong")
    inside = steps.tocoo()
    same = part[inside.row] == part[inside.col]
    visited = np.bincount(part[inside.row[same]], inside.data[same], minlength=parts)
    if not visited.any():
        raise WorldError(f"nothing that occurs {least} times can be walked for ever; lower least, or take more text")
    core = np.flatnonzero(part == np.argmax(visited))
    chain = Walk(name, Graph(steps[core][:, core]))
    return NGrams(name, vocab, order, contexts[core], chain, float(1 - visited.max() / counts.sum()))


def _digits(codes: np.ndarray, base: int, many: int) -> np.ndarray:
    """Tokens of a context [.., many]."""
    return codes[:, None] // base ** np.arange(many - 1, -1, -1) % base
