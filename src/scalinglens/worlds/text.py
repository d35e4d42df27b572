"""Text as a world: made into tokens once, kept as files that are mapped into memory, content-addressed and written whole.

The last share of each file is held out, so that neighbours of held-out text are not trained on.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from scalinglens.errors import OutputError, WorldError
from scalinglens.runs.published import cache_folder
from scalinglens.worlds.checks import choice, number, whole
from scalinglens.worlds.corpus import Corpus
from scalinglens.worlds.sources import Source, source
from scalinglens.worlds.tokenizers import KINDS, BytePairs, Bytes, Characters, Tokenizer, learned, package

__all__ = ["packed", "text"]

_VERSION = 1  # of what is kept; another one is made anew


def text(
    *,
    path: str,
    tokenizer: str = "byte",
    vocab: int = 4096,
    reserved: float = 0.05,
    limit: int = 0,
    sha256: str = "",
) -> Corpus:
    """Return the world of a text.

    Args:
        path: A file, also .xz or .gz; a folder of files; or "hf://NAME" of a data set of Hugging Face. May hold
            $NAMES of the environment.
        tokenizer: "byte" (256 tokens), "character", or "bpe" (byte pairs, learned from the first 20 million characters).
        vocab: Tokens at most, of "character" and "bpe".
        reserved: Share at the end of each file that is held out.
        limit: Bytes, or characters where they are decoded, of each file or of the data set at most; 0 for all.
        sha256: First digits of the checksum of what is read; another content is then refused.

    Raises:
        WorldError: nothing can be read there, or it is too short.
        OutputError: the cache cannot be written; SCALINGLENS_CACHE names another folder.

    Cost: once 0.1 s per million characters by bytes, 2 s by byte pairs; then what it takes to read the files' checksum.
    """
    found = source(path)
    if not found.digest.startswith(sha256.lower()):
        raise WorldError(f"{path} has the checksum {found.digest[: max(len(sha256), 12)]}, not sha256 = {sha256}")
    folder = packed(found, tokenizer=tokenizer, vocab=vocab, reserved=reserved, limit=limit)
    about = json.loads((folder / "about.json").read_text(encoding="utf-8"))
    kind = np.dtype(about["dtype"])
    train, kept_back = (np.memmap(folder / f"{part}.bin", dtype=kind, mode="r") for part in ("train", "held_out"))
    small = f" vocab {about['vocab']}" if tokenizer != "byte" else ""
    short = f" limit {limit}" if limit else ""
    name = f"text {Path(path).name} {found.digest[:12]} {tokenizer}{small} reserved {reserved:g}{short}"
    return Corpus(name, about["vocab"], train, kept_back, tokenizer=_kept(folder, tokenizer, about))


def packed(found: Source, *, tokenizer: str, vocab: int, reserved: float, limit: int) -> Path:
    """Return the folder with the tokens of a source: train.bin, held_out.bin, about.json; made if it is not there."""
    choice("tokenizer", tokenizer, KINDS)
    number("reserved", reserved, 0, 1, open=True)
    whole("limit", limit)
    if tokenizer == "byte":
        vocab = 256
    made_of = [_VERSION, found.digest, tokenizer, vocab, reserved, limit]
    key = hashlib.sha256(json.dumps(made_of).encode()).hexdigest()[:32]
    folder = cache_folder().parent / "tokens" / key
    if _complete(folder):
        return folder
    part = folder.with_name(f".{key}.{os.getpid()}.part")
    try:
        part.mkdir(parents=True)
        _pack(found, part, tokenizer, vocab, reserved, limit)
        if folder.exists() and not _complete(folder):  # cut off by a crash of the machine
            shutil.rmtree(folder)
        try:
            part.rename(folder)
        except OSError:
            if not _complete(folder):  # else another worker was first, with the same bytes
                raise
    except OSError as problem:
        raise OutputError(
            f"cannot write {folder}: {problem.strerror or problem}; name another folder with SCALINGLENS_CACHE"
        ) from None
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return folder


def _complete(folder: Path) -> bool:
    try:
        about = json.loads((folder / "about.json").read_text(encoding="utf-8"))
        size = np.dtype(about["dtype"]).itemsize
        return all((folder / f"{part}.bin").stat().st_size == size * about[part] for part in ("train", "held_out"))
    except (OSError, ValueError, KeyError):
        return False


def _pack(found: Source, folder: Path, kind: str, vocab: int, reserved: float, limit: int) -> None:
    def files() -> Iterator[Iterator[Any]]:
        for pieces in found.pieces() if kind == "byte" else found.texts():
            yield _limited(pieces, limit) if limit else pieces

    how = learned(kind, itertools.chain.from_iterable(files()) if kind != "byte" else (), vocab)
    dtype = np.uint8 if how.vocab <= 1 << 8 else np.uint16 if how.vocab <= 1 << 16 else np.uint32
    width, sizes = np.dtype(dtype).itemsize, {}
    with open(folder / "train.bin", "wb") as train, open(folder / "held_out.bin", "wb") as held_out:
        for pieces in files():
            before = train.tell()
            for piece in pieces:
                train.write(how.encode(piece).astype(dtype).tobytes())
            many = (train.tell() - before) // width
            _move_tail(train, held_out, math.ceil(reserved * many) * width)
        for name, stream in (("train", train), ("held_out", held_out)):
            stream.flush()
            os.fsync(stream.fileno())
            sizes[name] = stream.tell() // width
    if min(sizes.values()) < 2:
        raise WorldError(
            f"path = {found.name!r} has {sizes['train']} tokens to train on and {sizes['held_out']} to hold out; "
            "that is too short a text"
        )
    if isinstance(how, Characters):
        (folder / "characters.txt").write_text(how.known, encoding="utf-8", errors="surrogatepass", newline="")
    elif isinstance(how, BytePairs):
        how.package.save(str(folder / "tokenizer.json"))
    about = {"schema": _VERSION, "source": found.digest, "vocab": how.vocab, "dtype": np.dtype(dtype).name, **sizes}
    (folder / "about.json").write_text(json.dumps(about), encoding="utf-8")


def _move_tail(train: Any, held_out: Any, size: int) -> None:
    """Move the last bytes from one file to the other."""
    end = train.tell()
    train.flush()
    with open(train.name, "rb") as reader:
        reader.seek(end - size)
        shutil.copyfileobj(reader, held_out, 1 << 22)
    train.seek(end - size)
    train.truncate()


def _limited(pieces: Iterator[Any], limit: int) -> Iterator[Any]:
    left = limit
    for piece in pieces:
        yield piece[:left]
        left -= len(piece)
        if left <= 0:
            return


def _kept(folder: Path, kind: str, about: dict[str, Any]) -> Tokenizer:
    if kind == "byte":
        return Bytes()
    if kind == "character":
        known = (folder / "characters.txt").read_bytes().decode("utf-8", errors="surrogatepass")
        return Characters(known)
    return BytePairs(package().Tokenizer.from_file(str(folder / "tokenizer.json")))
