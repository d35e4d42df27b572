"""Text as a world: any file or folder, cut into bytes, characters or word pieces, packed once into a token file.

The packed file lies in a folder of caches under a name made of the text's checksum and the tokenizer, and is written whole: two
processes that pack the same text at once both succeed.
"""

from __future__ import annotations

import gzip
import hashlib
import lzma
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from scalinglens.errors import WorldError
from scalinglens.files import written_whole
from scalinglens.runs.published import cache_folder
from scalinglens.worlds.tokens import TokenFile, _fraction, tokens, write_tokens

__all__ = ["TOKENIZERS", "characters", "read_text", "text"]

TOKENIZERS = ("byte", "character", "bpe")
_OPENERS = {".xz": lzma.open, ".gz": gzip.open}
_TRAINED_ON = 20_000_000  # characters that word pieces are learned from


def text(
    *, path: str, tokenizer: str = "character", vocab: int = 0, held_out: float = 0.05, most: int = 0
) -> TokenFile:
    """Return a text as a world.

    Args:
        path: A file, plain or .gz or .xz, or a folder, whose files are read in the order of their names.
        tokenizer: "byte", "character" (rare ones beyond the vocabulary become one token) or "bpe" (pieces of words, learned).
        vocab: How many tokens; 0 is every character that occurs, and 4,096 pieces.
        held_out: Part of the text that is never trained on, at its end.
        most: Characters to read at most; 0 reads all.

    Raises:
        WorldError: nothing to read, no UTF-8, an unknown tokenizer, a vocabulary that cannot be.

    Cost: once per text: seconds per 100 MB of characters, a minute of word pieces.
    """
    if tokenizer not in TOKENIZERS:
        raise WorldError(f'tokenizer "{tokenizer}" is not one of {", ".join(TOKENIZERS)}')
    if tokenizer == "byte" and vocab not in (0, 256):
        raise WorldError(f"bytes are 256 tokens, not {vocab}; leave vocab out")
    if vocab < 0 or vocab == 1:
        raise WorldError(f"vocab = {vocab} is 2 or more, or 0 for the tokenizer's own choice")
    _fraction("held_out", held_out)
    folder = cache_folder().parent / "tokens"
    how = f"{tokenizer} {vocab} {held_out} {most}"
    known = folder / f"{_seen(path, how)}.key"  # files that have not changed are not read again
    key = known.read_text() if known.is_file() else ""
    packed = folder / f"{key}.npy"
    if not packed.is_file():
        content = read_text(path)
        content = content[:most] if most else content
        key = hashlib.sha256(f"{how}\n".encode() + content.encode()).hexdigest()[:20]
        packed = folder / f"{key}.npy"
        folder.mkdir(parents=True, exist_ok=True)
        if not packed.is_file():
            values, size = _PACK[tokenizer](content, content[: round(len(content) * (1 - held_out))], vocab)
            write_tokens(packed, values, vocab=size, characters=len(content))
        with written_whole(known) as part:
            part.write_text(key)
    made = tokens(path=str(packed), held_out=held_out)
    return replace(made, name=f"text {Path(path).name} {tokenizer} {made.vocab} {key[:12]}")


def read_text(path: str | os.PathLike[str]) -> str:
    """Return the text of a file or of all files of a folder, one after the other.

    Raises:
        WorldError: nothing there, nothing in it, or no UTF-8.
    """
    where = Path(path).expanduser()
    if not where.exists():
        raise WorldError(f"there is no file or folder {path}; name a text")
    content = "\n".join(_texts(where))
    if not content.strip():
        raise WorldError(f"{path} holds no text")
    return content


def characters(content: str, learned: str, vocab: int) -> tuple[np.ndarray, int]:
    """Return a text as numbers of its characters, the most frequent first, and how many tokens there are.

    Args:
        content: the text. learned: the part whose characters count. vocab: 0 is all of them and one for any other.

    >>> characters("abcab", "aab", 0)[0].tolist()
    [0, 1, 2, 0, 1]
    """
    codes = np.frombuffer(content.encode("utf-32-le"), dtype=np.uint32)
    counts = np.bincount(np.frombuffer(learned.encode("utf-32-le"), dtype=np.uint32), minlength=int(codes.max()) + 1)
    order = np.argsort(-counts, kind="stable")
    kept = order[: np.count_nonzero(counts)]
    kept = kept[: vocab - 1] if vocab else kept
    table = np.full(len(counts), len(kept), dtype=np.int64)  # any other character is the last token
    table[kept] = np.arange(len(kept))
    return table[codes], len(kept) + 1


def _bytes(content: str, learned: str, vocab: int) -> tuple[np.ndarray, int]:
    return np.frombuffer(content.encode(), dtype=np.uint8), 256


def _pieces(content: str, learned: str, vocab: int) -> tuple[np.ndarray, int]:
    try:
        from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    except ImportError:
        raise WorldError('tokenizer "bpe" needs tokenizers, not installed: pip install "scalinglens[train]"') from None
    size = vocab or 4096
    if size < 257:
        raise WorldError(f"vocab = {size} pieces are less than the 256 bytes they are made of and one more; take more")
    maker = Tokenizer(models.BPE())
    maker.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    maker.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    maker.train_from_iterator(_lines(learned[:_TRAINED_ON]), trainer=trainer)
    found = [np.array(e.ids) for chunk in _chunks(content) for e in maker.encode_batch(chunk) if e.ids]
    return np.concatenate(found), maker.get_vocab_size()


_PACK = {"byte": _bytes, "character": characters, "bpe": _pieces}


def _seen(path: str, how: str) -> str:
    """A name for files as they lie there, by size and time of change."""
    where = Path(path).expanduser()
    if not where.exists():
        raise WorldError(f"there is no file or folder {path}; name a text")
    files = sorted(p for p in where.rglob("*") if p.is_file()) if where.is_dir() else [where]
    facts = [(str(f.resolve()), f.stat().st_size, f.stat().st_mtime_ns) for f in files]
    return hashlib.sha256(repr((how, facts)).encode()).hexdigest()[:20]


def _texts(where: Path) -> Iterator[str]:
    files = sorted(p for p in where.rglob("*") if p.is_file()) if where.is_dir() else [where]
    for file in files:
        try:
            with _OPENERS.get(file.suffix, open)(file, "rb") as stream:
                yield stream.read().decode("utf-8")
        except UnicodeDecodeError as problem:
            raise WorldError(
                f"{file} is no UTF-8 text (byte {problem.start}); convert it, or name text files only"
            ) from None
        except (OSError, EOFError, lzma.LZMAError) as problem:
            raise WorldError(f"cannot read {file}: {getattr(problem, 'strerror', None) or problem}") from None


def _lines(content: str) -> Iterator[str]:
    for chunk in _chunks(content):
        yield from chunk


def _chunks(content: str) -> Iterator[list[str]]:
    """Lines with their ends, some thousand at a time."""
    lines = content.splitlines(keepends=True)
    for first in range(0, len(lines), 5000):
        yield lines[first : first + 5000]
