"""`Corpus`: sequences cut from given tokens, in a random order keyed by the seed; what comes after the last one is another epoch.

A window of T tokens shares its last one with the next window, so that each token is predicted once in an epoch.
"""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from scalinglens.errors import WorldError, did_you_mean
from scalinglens.files import written_whole
from scalinglens.runs.published import sha256
from scalinglens.worlds.checks import located, number, whole
from scalinglens.worlds.complexity import measured
from scalinglens.worlds.order import places
from scalinglens.worlds.world import Description, World

__all__ = ["Corpus", "tokens", "write_sample"]

_WRITTEN = 1 << 14  # sequences at once; a whole number of the blocks that worlds draw
_KINDS = {"uint8": np.uint8, "uint16": np.uint16, "uint32": np.uint32, "int32": np.int32, "int64": np.int64}


@dataclass(frozen=True, eq=False)
class Corpus:
    """Tokens that are there, mapped into memory.

    Attributes:
        name: with a part of the checksum of what it was made from. vocab: tokens are 0 .. vocab-1.
        train, kept_back: tokens [n], or sequences [n, T] that are used from their start.
        entropy_rate: of the source of the tokens where it is known [nats/token], with its standard error.
        tokenizer: how they were made of text, if they were.

    >>> world = Corpus("count", 10, np.arange(10), np.arange(10))
    >>> sorted(world.sample(3, length=4, seed=1).tolist())
    [[0, 1, 2, 3], [3, 4, 5, 6], [6, 7, 8, 9]]
    """

    name: str
    vocab: int
    train: np.ndarray
    kept_back: np.ndarray
    entropy_rate: float | None = None
    entropy_error: float | None = None
    tokenizer: Any = None

    def sample(self, count: int, *, length: int, seed: int = 0, first: int = 0, held_out: bool = False) -> np.ndarray:
        """Return the windows number first .. first+count-1: int32 [count, length].

        Raises:
            WorldError: sequences longer than there are.
        """
        whole("length", length, 1)
        known = self.kept_back if held_out else self.train
        size = self.windows(length, held_out=held_out)
        at = places(count, size, seed=seed, first=first, held_out=held_out)
        if known.ndim == 2:
            return known[at, :length].astype(np.int32)
        view = np.lib.stride_tricks.sliding_window_view(known, length)
        return view[at * max(length - 1, 1)].astype(np.int32)

    def windows(self, length: int, *, held_out: bool = False) -> int:
        """Return how many windows an epoch has.

        Raises:
            WorldError: there is not one of that length.
        """
        known = self.kept_back if held_out else self.train
        longest = known.shape[-1]
        if length > longest:
            part = "held-out tokens" if held_out else "tokens"
            each = "sequences of" if known.ndim == 2 else "only"
            raise WorldError(f"length = {length}: {self.name} has {each} {longest:,} {part}; ask for shorter sequences")
        return len(known) if known.ndim == 2 else (longest - 1) // (length - 1) if length > 1 else longest

    def next_token(self, tokens: np.ndarray) -> None:
        """Nobody knows the right answer."""

    def describe(self) -> Description:
        """Return sizes and entropies estimated from the first tokens."""
        values: dict[str, Any] = {
            "vocab": self.vocab,
            "tokens": int(self.train.size),
            "held_out_tokens": int(self.kept_back.size),
            "entropy_rate": self.entropy_rate,
        }
        says = {"tokens": "one epoch", "entropy_rate": "nats/token: the lowest loss of any model"}
        if self.entropy_error is not None:
            values["entropy_error"] = self.entropy_error
            says["entropy_error"] = "its standard error"
        known = measured(self.train[: 1 + (1 << 22) // max(math.prod(self.train.shape[1:]), 1)], self.vocab)
        return Description(self.name, {**values, **known.values}, {**says, **known.says})


def tokens(*, path: str, vocab: int = 0, reserved: float = 0.05, sha256: str = "") -> Corpus:
    """Return the world of a file of tokens, such as one sampled from a trained model.

    Args:
        path: Of a .npy array of whole numbers [n] or [sequences, T], or a .bin file. PATH.json beside it may hold
            vocab, entropy_rate, entropy_error [nats/token] and, for .bin, dtype and length T.
        vocab: How many tokens there are where no PATH.json says so.
        reserved: Share at the end that is held out.
        sha256: First digits of the file's checksum; a file of other content is then refused.

    Raises:
        WorldError: the file cannot be read, is no array of tokens, or holds more tokens than the vocabulary.
    """
    number("reserved", reserved, 0, 1, open=True)
    place = located(path)
    beside = place.with_name(f"{place.name}.json")
    known = _sidecar(beside)
    array = _mapped(place, known)
    digest = _digest(place, sha256)
    claimed = known.get("vocab") or vocab
    if vocab and known.get("vocab") and vocab != known["vocab"]:
        raise WorldError(f"vocab = {vocab}, but {beside} says {known['vocab']}")
    if not claimed:
        raise WorldError(f"vocab = 0: give the size of the vocabulary; {beside} does not say it")
    low, high = int(array.min()), int(array.max())
    if low < 0 or high >= claimed:
        raise WorldError(f"{path} holds tokens {low} to {high}, but vocab = {claimed} allows 0 to {claimed - 1}")
    held = math.ceil(reserved * len(array))
    if held >= len(array):
        raise WorldError(f"{path} has {len(array)} entries, too few to hold out reserved = {reserved:g} of them")
    name = f"tokens {place.name} {digest[:12]} reserved {reserved:g}"
    return Corpus(
        name, int(claimed), array[:-held], array[-held:], known.get("entropy_rate"), known.get("entropy_error")
    )


def write_sample(world: World, path: str, *, tokens: int, length: int, seed: int = 0) -> int:
    """Write sequences of a world that `tokens` can read again, and return how many.

    Args:
        world: it. path: .npy, of int32 [sequences, length]; PATH.json beside it tells vocab, entropy rate and name.
        tokens: at least as many. length: of a sequence. seed: of the sample.

    Raises:
        OutputError: the disk refuses.
    """
    whole("length", length, 1)
    count = -(-tokens // length)
    world.sample(1, length=length, seed=seed)  # complains before a file is made
    with written_whole(path) as part, open(part, "wb") as stream:
        header = {"descr": "<i4", "fortran_order": False, "shape": (count, length)}
        np.lib.format.write_array_header_1_0(stream, header)
        for first in range(0, count, _WRITTEN):
            many = min(_WRITTEN, count - first)
            stream.write(world.sample(many, length=length, seed=seed, first=first).astype("<i4").tobytes())
    facts = {"schema": 1, "name": world.name, "vocab": world.vocab, "entropy_rate": world.entropy_rate, "seed": seed}
    with written_whole(f"{path}.json") as part:
        part.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    return count


def _digest(place: Path, wanted: str) -> str:
    digest = sha256(place)
    if not digest.startswith(wanted.lower()):
        raise WorldError(
            f"{place} has the checksum {digest[: max(len(wanted), 12)]}, not sha256 = {wanted}; it has changed"
        )
    return digest


def _sidecar(place: Path) -> dict[str, Any]:
    if not place.exists():
        return {}
    try:
        known = json.loads(place.read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        raise WorldError(f"cannot read {place}: {problem}") from None
    if not isinstance(known, dict):
        raise WorldError(f"{place} holds no keys; it needs at least vocab")
    for name, value in known.items():
        if name in ("vocab", "length") and value is not None:
            whole(f"{place}: {name}", value, 1)
        elif name in ("entropy_rate", "entropy_error") and value is not None and value == value:
            number(f"{place}: {name}", value, 0)
        elif name == "dtype" and value not in _KINDS:
            raise WorldError(
                f"{place}: dtype {value!r}{did_you_mean(str(value), _KINDS)} is not one of {', '.join(_KINDS)}"
            )
    return {name: None if value != value else value for name, value in known.items()}  # NaN is not known


def _mapped(place: Path, known: dict[str, Any]) -> np.ndarray:
    try:
        if place.suffix == ".npy":
            array = np.load(place, mmap_mode="r", allow_pickle=False)
        elif place.suffix == ".bin":
            if "dtype" not in known:
                raise WorldError(f"{place}: {place.name}.json beside it must name the dtype")
            array = np.memmap(place, dtype=_KINDS[known["dtype"]], mode="r")
            if length := known.get("length"):
                if array.size % length:
                    raise WorldError(f"{place} has {array.size} tokens, no whole number of sequences of {length}")
                array = array.reshape(-1, length)
        else:
            raise WorldError(f"path = {os.fspath(place)!r} must end in .npy or .bin")
    except (OSError, ValueError) as problem:
        if isinstance(problem, WorldError):
            raise
        raise WorldError(f"cannot read {place}: {getattr(problem, 'strerror', None) or problem}") from None
    if array.ndim not in (1, 2) or not np.issubdtype(array.dtype, np.integer) or not array.size:
        raise WorldError(
            f"{place} holds {array.dtype} of shape {array.shape}; tokens are whole numbers [n] or [sequences, T]"
        )
    return array
