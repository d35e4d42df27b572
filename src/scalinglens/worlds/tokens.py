"""`TokenFile`: a long line of tokens in a file, read where it lies. Each token is predicted once per pass, in an order of the seed.

Window i of a file of n tokens, for sequences of length T + 1, holds tokens i T .. i T + T: consecutive windows share one token,
which one of them predicts and the other only sees. The last part of the file is held out.
"""

from __future__ import annotations

import functools
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from scalinglens.errors import WorldError
from scalinglens.files import written_whole
from scalinglens.worlds.world import Description

__all__ = ["TokenFile", "tokens", "write_tokens"]

_FACTS = ".json"  # beside the file: vocab, and what is known of the tokens


@dataclass(frozen=True, eq=False)
class TokenFile:
    """Tokens of a file as a world.

    Attributes:
        name: of the world. path: of a .npy file of whole numbers. vocab: tokens are below it.
        held_out: part of the file, at its end. entropy_rate: where it is known. facts: of the sidecar.
    """

    name: str
    path: Path
    vocab: int
    held_out: float = 0.05
    entropy_rate: float | None = None
    facts: dict[str, Any] | None = None

    @functools.cached_property
    def tokens(self) -> np.ndarray:
        """All tokens, mapped into memory."""
        return _mapped(self.path)

    @property
    def learned(self) -> np.ndarray:
        """The tokens that are not held out."""
        return self.tokens[: self._cut]

    @property
    def _cut(self) -> int:
        return round(len(self.tokens) * (1 - self.held_out))

    def sample(self, count: int, *, length: int, seed: int = 0, first: int = 0, held_out: bool = False) -> np.ndarray:
        """Return the windows number first .. first+count-1 of the order that the seed determines: int32 [count, length].

        After each pass over the file the order is another one.
        """
        if count < 0 or length < 2 or first < 0:
            raise WorldError(f"count {count} and first {first} must not be negative, and length {length} is 2 or more")
        part = self.tokens[self._cut :] if held_out else self.learned
        step = length - 1
        windows = (len(part) - 1) // step
        if windows < 1:
            what = "held-out part" if held_out else "text"
            raise WorldError(f"the {what} of {self.name} has {len(part):,} tokens, less than one sequence of {length}")
        numbers = np.arange(first, first + count)
        rows = np.empty(count, dtype=np.int64)
        for epoch in range(first // windows, (first + count - 1) // windows + 1 if count else 0):
            within = numbers // windows == epoch
            rows[within] = _order(windows, seed, epoch)[numbers[within] - epoch * windows]
        return part[rows[:, None] * step + np.arange(length)].astype(np.int32)

    def next_token(self, tokens: np.ndarray) -> None:
        """Nothing: what follows in a text is not known exactly."""

    def describe(self) -> Description:
        """Return sizes, the entropy of single tokens and of a token given the one before, as counted."""
        learned = np.asarray(self.learned)
        unigram = _entropy(np.bincount(learned, minlength=self.vocab))
        pairs = np.unique(learned[:-1].astype(np.int64) * self.vocab + learned[1:], return_counts=True)[1]
        values = {
            "tokens": len(self.tokens),
            "tokens_held_out": len(self.tokens) - self._cut,
            "vocab": self.vocab,
            "entropy_rate": self.entropy_rate,
            "unigram_entropy": unigram,
            "bigram_entropy": _entropy(pairs) - unigram,
            "bigrams": len(pairs),
            **(self.facts or {}),
        }
        says = {
            "entropy_rate": "nats/token",
            "unigram_entropy": "nats/token, counted",
            "bigram_entropy": "nats/token, of a token given the one before, counted (too low where bigrams are rare)",
        }
        return Description(self.name, values, says)


def tokens(*, path: str, vocab: int = 0, held_out: float = 0.05) -> TokenFile:
    """Return the tokens of a file, such as one sampled from a trained language model.

    Args:
        path: A .npy file of whole numbers in one line; NAME.npy.json beside it may hold vocab and entropy_rate.
        vocab: Tokens are below it; 0 takes it from the file beside, or one more than the largest token.
        held_out: Part of the file that is never trained on, at its end.

    Raises:
        WorldError: no such file, other content, a token beyond the vocabulary.
    """
    where = Path(path).expanduser()
    found = _mapped(where)
    facts = _facts(where)
    largest, smallest = int(found.max()), int(found.min())
    size = vocab or int(facts.get("vocab", largest + 1))
    if smallest < 0 or largest >= size:
        bad = smallest if smallest < 0 else largest
        raise WorldError(f"{path} holds the token {bad}, but tokens are 0 to {size - 1}; name a vocab above {largest}")
    _fraction("held_out", held_out)
    entropy = facts.pop("entropy_rate", None)
    facts.pop("vocab", None)
    return TokenFile(f"tokens {where.name} {len(found)}", where, size, held_out, entropy, facts)


def write_tokens(path: str | os.PathLike[str], values: np.ndarray, **facts: Any) -> Path:
    """Write tokens and what is known of them, to be read by `tokens`.

    Args:
        path: .npy. values: whole numbers in one line. facts: such as vocab and entropy_rate.
    """
    kind = np.uint16 if len(values) == 0 or int(np.max(values)) < 2**16 else np.uint32
    with written_whole(path, (".npy",)) as part, open(part, "wb") as file:
        np.save(file, np.asarray(values, dtype=kind))
    if facts:
        with written_whole(f"{os.fspath(path)}{_FACTS}") as part:
            part.write_text(json.dumps(facts, indent=1) + "\n")
    return Path(path)


@functools.lru_cache(maxsize=64)
def _order(windows: int, seed: int, epoch: int) -> np.ndarray:
    return np.random.default_rng(np.random.SeedSequence([seed, 0x70C, epoch])).permutation(windows)


def _mapped(path: Path) -> np.ndarray:
    try:
        found = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as problem:
        raise WorldError(f"cannot read tokens from {path}: {getattr(problem, 'strerror', None) or problem}") from None
    if not isinstance(found, np.ndarray) or found.dtype.kind not in "iu" or not found.size:
        raise WorldError(f"{path} holds no whole numbers; save tokens with numpy.save")
    return found.reshape(-1)


def _facts(path: Path) -> dict[str, Any]:
    beside = path.with_name(path.name + _FACTS)
    if not beside.is_file():
        return {}
    try:
        words = json.loads(beside.read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        raise WorldError(f"cannot read {beside}: {problem}") from None
    if not isinstance(words, dict):
        raise WorldError(f"{beside} must hold names and values, not {type(words).__name__}")
    return words


def _fraction(name: str, value: float) -> None:
    if not 0 < value < 1:
        raise WorldError(f"{name} = {value} must lie between 0 and 1")


def _entropy(counts: np.ndarray) -> float:
    share = counts[counts > 0] / counts.sum()
    return float(-np.sum(share * np.log(share)))
