"""From text to tokens and back: bytes, characters, or byte pairs through the package `tokenizers`."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from scalinglens.errors import WorldError
from scalinglens.worlds.checks import whole

__all__ = ["KINDS", "BytePairs", "Bytes", "Characters", "Tokenizer", "learned"]

KINDS = ("byte", "character", "bpe")
LEARNED = 20_000_000  # characters from which byte pairs are learned
_DOCUMENT = 20_000  # characters given to the package at once


class Tokenizer(Protocol):
    """Tokens of texts."""

    @property
    def vocab(self) -> int:
        """How many tokens there are."""
        ...

    def encode(self, text: Any) -> np.ndarray:
        """Return the tokens of a text."""
        ...

    def decode(self, tokens: np.ndarray) -> str:
        """Return the text of tokens."""
        ...


@dataclass(frozen=True)
class Bytes:
    """Bytes as they are, of any file.

    >>> Bytes().encode("né".encode()).tolist()
    [110, 195, 169]
    """

    vocab: int = 256

    def encode(self, text: bytes) -> np.ndarray:
        """Return the bytes [n]."""
        return np.frombuffer(text, dtype=np.uint8)

    def decode(self, tokens: np.ndarray) -> str:
        """Return the text; bytes that are none are shown as such."""
        return np.asarray(tokens).astype(np.uint8).tobytes().decode("utf-8", errors="backslashreplace")


@dataclass(frozen=True)
class Characters:
    """Characters by falling frequency; token 0 is every other one.

    >>> letters = Characters("ab")
    >>> letters.encode("abc").tolist(), letters.decode(np.array([2, 0]))
    ([1, 2, 0], 'b\\ufffd')
    """

    known: str

    @property
    def vocab(self) -> int:
        """How many tokens there are."""
        return len(self.known) + 1

    def encode(self, text: str) -> np.ndarray:
        """Return the tokens [characters]."""
        table = np.zeros(0x110000, dtype=np.uint32)
        table[[ord(c) for c in self.known]] = np.arange(1, self.vocab)
        return table[_points(text)]

    def decode(self, tokens: np.ndarray) -> str:
        """Return the text."""
        return "".join(("\ufffd" + self.known)[token] for token in np.asarray(tokens))


@dataclass(frozen=True, eq=False)
class BytePairs:
    """Byte-level byte-pair encoding; `package` is the tokenizer of the package `tokenizers`."""

    package: Any

    @property
    def vocab(self) -> int:
        """How many tokens there are."""
        return self.package.get_vocab_size()

    def encode(self, text: str) -> np.ndarray:
        """Return the tokens [n]; a text is cut into documents at line ends, so that words stay whole."""
        found = self.package.encode_batch_fast(list(_documents(text)), add_special_tokens=False)
        return np.fromiter(itertools.chain.from_iterable(each.ids for each in found), dtype=np.uint32)

    def decode(self, tokens: np.ndarray) -> str:
        """Return the text."""
        return self.package.decode([int(t) for t in tokens])


def learned(kind: str, texts: Iterable[str], vocab: int) -> Tokenizer:
    """Return the tokenizer of a kind, learned from texts where there is something to learn.

    Args:
        kind: "byte", "character" or "bpe". texts: to learn from. vocab: tokens at most; bytes are always 256.

    Raises:
        WorldError: a vocabulary too small, or the package is missing.

    >>> learned("character", ["abracadabra"], 4).known
    'abr'
    """
    if kind == "byte":
        return Bytes()
    if kind == "character":
        whole("vocab", vocab, 2, 0x110000, "what Unicode holds")
        counts = np.zeros(0x110000, dtype=np.int64)
        for text in texts:
            counts += np.bincount(_points(text), minlength=len(counts))
        order = np.argsort(-counts, kind="stable")[: min(np.count_nonzero(counts), vocab - 1)]
        return Characters("".join(map(chr, order)))
    return BytePairs(_byte_pairs(texts, whole("vocab", vocab, 257)))


def package() -> Any:
    """Return the package `tokenizers`.

    Raises:
        WorldError: it is not installed.
    """
    try:
        import tokenizers
    except ImportError:
        raise WorldError(
            "tokenizer = bpe needs the package tokenizers: pip install 'scalinglens[train]'; or use byte or character"
        ) from None
    return tokenizers


def _byte_pairs(texts: Iterable[str], vocab: int) -> Any:
    tokenizers = package()
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=vocab,
        initial_alphabet=sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet()),
        special_tokens=[],
        show_progress=False,
    )
    tokenizer.train_from_iterator(_first(texts, LEARNED), trainer)
    return tokenizer


def _first(texts: Iterable[str], characters: int) -> Iterable[str]:
    for text in texts:
        if characters <= 0:
            return
        yield from _documents(text[:characters])
        characters -= len(text)


def _points(text: str) -> np.ndarray:
    return np.frombuffer(text.encode("utf-32-le", errors="surrogatepass"), dtype=np.uint32)


def _documents(text: str) -> Iterable[str]:
    low = 0
    while low < len(text):
        high = text.find("\n", low + _DOCUMENT) + 1 or len(text)
        yield text[low:high]
        low = high
