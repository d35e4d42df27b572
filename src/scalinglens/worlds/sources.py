"""Where text comes from: a file, a folder of files, compressed or not, or a data set streamed from Hugging Face."""

from __future__ import annotations

import codecs
import contextlib
import functools
import gzip
import hashlib
import json
import lzma
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from scalinglens.errors import WorldError
from scalinglens.worlds.checks import located

__all__ = ["Source", "source"]

PIECE = 1 << 22  # bytes read at once
_STREAMED = "hf://"


@dataclass(frozen=True)
class Source:
    """Text or bytes to be read.

    Attributes:
        name: as given. files: to be read, in order; none where a data set is streamed.
        digest: SHA-256 of the names and contents of the files as they are, or of the name of a data set.
    """

    name: str
    files: tuple[Path, ...]
    digest: str

    def pieces(self) -> Iterator[Iterator[bytes]]:
        """Return the bytes of each file, or of a whole data set, piece by piece; pieces end where a line does if they can."""
        if self.files:
            for path in self.files:
                yield _lines_whole(_bytes(path))
        else:
            yield _lines_whole(_streamed(self.name))

    def texts(self) -> Iterator[Iterator[str]]:
        """Return the same as text.

        Raises:
            WorldError: bytes that are no UTF-8, with the file and place.
        """
        names = [str(path) for path in self.files] or [self.name]
        for name, pieces in zip(names, self.pieces(), strict=True):
            yield _decoded(name, pieces)


def source(path: str) -> Source:
    """Return the source that a path names.

    Args:
        path: of a file (.xz and .gz are unpacked), a folder (all files in it, by name, hidden ones left out), or
            "hf://NAME", "hf://NAME:CONFIG" of a data set of Hugging Face with a column "text". May hold $NAMES.

    Raises:
        WorldError: nothing there, or it cannot be read.

    >>> source("no/such.txt")
    Traceback (most recent call last):
    scalinglens.errors.WorldError: path = 'no/such.txt': there is no such file or folder
    """
    if path.startswith(_STREAMED):
        return Source(path, (), hashlib.sha256(path.encode()).hexdigest())
    place = located(path)
    if place.is_dir():
        found = sorted(
            each
            for each in place.rglob("*")
            if each.is_file() and not any(part.startswith(".") for part in each.relative_to(place).parts)
        )
        if not found:
            raise WorldError(f"path = {path!r}: the folder has no file in it")
        names = [each.relative_to(place).as_posix() for each in found]
    elif place.exists():
        found, names = [place], [""]
    else:
        raise WorldError(f"path = {path!r}: there is no such file or folder")
    return Source(path, tuple(found), _digest(found, names))


def _digest(files: list[Path], names: list[str]) -> str:
    sums = []
    for path in files:
        try:
            seen = path.stat()
            sums.append(_checksum(path, seen.st_size, seen.st_mtime_ns))
        except OSError as problem:
            raise WorldError(f"cannot read {path}: {problem.strerror or problem}") from None
    if len(sums) == 1:
        return sums[0]
    return hashlib.sha256(json.dumps([names, sums]).encode()).hexdigest()


@functools.lru_cache(maxsize=1024)
def _checksum(path: Path, size: int, modified: int) -> str:
    """SHA-256 of a file, read again only if its size or time has changed."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _bytes(path: Path) -> Iterator[bytes]:
    openers: dict[str, Any] = {".xz": lzma.open, ".gz": gzip.open}
    try:
        stream: IO[bytes] = openers.get(path.suffix, open)(path, "rb")
        with contextlib.closing(stream):
            while piece := stream.read(PIECE):
                yield piece
    except (OSError, EOFError, lzma.LZMAError) as problem:
        says = getattr(problem, "strerror", None) or problem
        raise WorldError(f"cannot read {path}: {says}; is the file whole?") from None


def _streamed(name: str) -> Iterator[bytes]:
    try:
        import datasets  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise WorldError(f"{name} needs the package datasets: pip install datasets; or name a file or folder") from None
    dataset, _, config = name.removeprefix(_STREAMED).partition(":")
    try:
        rows = iter(datasets.load_dataset(dataset, config or None, split="train", streaming=True))
        for row in rows:
            if "text" not in row:
                raise WorldError(f'{name} has no column "text", only {", ".join(row)}')
            yield (row["text"] + "\f").encode()
    except (OSError, ValueError, RuntimeError) as problem:
        if isinstance(problem, WorldError):
            raise
        first = str(problem).splitlines()[0] if str(problem) else type(problem).__name__
        raise WorldError(f"{name} cannot be streamed: {first}; is there a network? Or name a file or folder") from None


def _lines_whole(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The same bytes, cut after line ends, so that no word falls apart; a line longer than a piece is cut anywhere."""
    rest = b""
    for piece in pieces:
        whole = rest + piece
        cut = max(whole.rfind(b"\n"), whole.rfind(b"\f")) + 1
        if len(whole) < PIECE:
            rest = whole
            continue
        yield whole[: cut or len(whole)]
        rest = whole[cut:] if cut else b""
    if rest:
        yield rest


def _decoded(name: str, pieces: Iterator[bytes]) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder("utf-8")()
    passed = 0
    try:
        for piece in pieces:
            yield decoder.decode(piece)
            passed += len(piece)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as problem:
        raise WorldError(
            f"{os.fspath(name)} is no UTF-8 text at byte {passed + problem.start}; convert it, or use tokenizer = byte"
        ) from None
