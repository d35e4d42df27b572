"""Open a file of runs: what it is follows from its content, and a name that says otherwise is noted."""

from __future__ import annotations

import gzip
import io
import os
import re
import zlib
from pathlib import Path

from scalinglens.errors import RunsError, did_you_mean
from scalinglens.runs.delimited import read_delimited
from scalinglens.runs.json_text import read_json
from scalinglens.runs.raw import RawTable, from_object

__all__ = ["read_file"]

_KINDS = {
    ".csv": "text",
    ".tsv": "text",
    ".txt": "text",
    ".json": "json",
    ".jsonl": "json",
    ".ndjson": "json",
    ".parquet": "parquet",
    ".pq": "parquet",
}
_SAYS = {"text": "a text table", "json": "JSON", "parquet": "Parquet"}
_FOREIGN = {
    b"PK\x03\x04": "a zip archive or a spreadsheet (.xlsx); export it as CSV",
    b"\xfd7zXZ": "compressed with xz; unpack it with xz -d",
    b"BZh": "compressed with bzip2; unpack it with bunzip2",
    b"\x28\xb5\x2f\xfd": "compressed with zstd; unpack it with zstd -d",
    b"\x89HDF": "an HDF5 file; export the table as CSV or Parquet",
    b"ARROW1": "an Arrow/Feather file; save it as Parquet",
    b"SQLite format 3": "a SQLite database; export the table as CSV",
    b"%PDF": "a PDF document; export the table as CSV",
    b"\x80\x04": "a Python pickle, which is never loaded because it can run code; save the table as Parquet",
    b"\x80\x05": "a Python pickle, which is never loaded because it can run code; save the table as Parquet",
}
_MAX_UNPACKED = 4 << 30  # bytes; a small file that unpacks to more is no table of runs


def read_file(path: str | os.PathLike[str]) -> RawTable:
    """Read CSV, TSV, JSON, JSON lines or Parquet, gzip around any of them.

    Raises:
        RunsError: missing, a directory, empty, damaged, or of a kind we do not read; with the remedy.

    Cost: the file is held in memory once.
    """
    name = os.fspath(path)
    content, notes = _unpacked(_bytes(name), name)
    if not content.strip():
        raise RunsError(f"{name} is empty; a table begins with a line of column names")
    for mark, says in _FOREIGN.items():
        if content.startswith(mark):
            raise RunsError(f"{name} is {says}")
    if content.startswith(b"PAR1"):
        kind, table = "parquet", _parquet(content, name)
    else:
        text = _text(content, name, notes)
        kind = "json" if text.lstrip()[:1] in ("{", "[") else "text"
        if kind == "text" and _extension(name) == "json":
            shown = text.strip()[:30]
            raise RunsError(f"{name} is not JSON: it begins with {shown!r}; if it is a text table, name it .csv")
        table = read_json(text, name) if kind == "json" else read_delimited(text, name)
    expected = _extension(name)
    if expected is not None and expected != kind:
        notes.append(f"the name of the file says {_SAYS[expected]}, the content is {_SAYS[kind]} and was read as such")
    return RawTable(table.frame, (*notes, *table.notes), table.unread)


def _bytes(name: str) -> bytes:
    if not name.strip():
        raise RunsError("the name of the file of runs is empty; pass its path, as in runs.csv")
    if re.match(r"[a-z][a-z0-9+]+://", name):
        raise RunsError(f"{name} is an address, not a file; download it first")
    path = Path(name).expanduser()
    try:
        if path.is_dir():
            inside = sorted(child.name for child in path.iterdir() if _extension(child.name))
            listed = f"; it holds {', '.join(inside[:5])}" if inside else ""
            example = f", as in {os.path.join(name, inside[0])}" if inside else ""
            raise RunsError(f"{name} is a directory{listed}; name one file{example}")
        return path.read_bytes()
    except RunsError:  # which is a ValueError, too
        raise
    except FileNotFoundError:
        siblings = [child.name for child in path.parent.iterdir()] if path.parent.is_dir() else []
        hint = did_you_mean(path.name, siblings)
        missing = "" if path.parent.is_dir() else f": there is no folder {path.parent}"
        raise RunsError(f"{name} does not exist{missing}{hint}; check the path") from None
    except (OSError, ValueError) as problem:
        reason = getattr(problem, "strerror", None) or problem
        raise RunsError(f"{name[:200]!r} cannot be opened: {reason}; pass the path of a readable file") from None


def _extension(name: str) -> str | None:
    return _KINDS.get(Path(name.lower().removesuffix(".gz")).suffix)


def _unpacked(content: bytes, name: str) -> tuple[bytes, list[str]]:
    if not content.startswith(b"\x1f\x8b"):
        if content and name.lower().endswith(".gz"):
            return content, ["the name of the file ends in .gz, but it is not compressed"]
        return content, []
    notes = [] if name.lower().endswith(".gz") else ["the file is compressed with gzip, which its name does not say"]
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(content)) as stream:
            unpacked = stream.read(_MAX_UNPACKED + 1)
    except EOFError:
        raise RunsError(
            f"{name} is cut: the compressed data end before their end mark ({len(content)} bytes are there); "
            "copy or download the file again"
        ) from None
    except (OSError, zlib.error) as problem:
        raise RunsError(f"{name} is damaged, it cannot be unpacked ({problem}); copy or download it again") from None
    if len(unpacked) > _MAX_UNPACKED:
        raise RunsError(f"{name} unpacks to more than {_MAX_UNPACKED >> 30} GiB; split it")
    return unpacked, notes


def _text(content: bytes, name: str, notes: list[str]) -> str:
    """Decode, with the byte-order mark as the first witness."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        notes.append("the file is UTF-16 text")
        try:
            return content.decode("utf-16")
        except UnicodeDecodeError:
            raise RunsError(f"{name} is cut or damaged UTF-16 text; save it as UTF-8") from None
    if b"\0" in content[:4096] or b"\0" in content:
        place = content.index(b"\0")
        line = content[:place].count(b"\n") + 1
        raise RunsError(
            f"{name} is a binary file (a zero byte at line {line}, byte {place}), not a table; "
            "pass CSV, TSV, JSON, JSON lines or Parquet"
        )
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        line = content[: problem.start].count(b"\n") + 1
        odd = sum(byte < 32 and byte not in (9, 10, 12, 13) for byte in content[:4096])
        if odd > 0.01 * len(content[:4096]):
            raise RunsError(
                f"{name} is a binary file (byte {content[problem.start]:#x} at {problem.start}), not a table; "
                "pass CSV, TSV, JSON, JSON lines or Parquet"
            ) from None
        notes.append(f"the file is not UTF-8 (line {line}); it was read as Windows-1252")
        return content.decode("cp1252", errors="replace")


def _parquet(content: bytes, name: str) -> RawTable:
    import pyarrow.parquet  # heavy, and only Parquet needs it

    if not content.endswith(b"PAR1"):
        raise RunsError(
            f"{name} is a Parquet file that is cut: its end mark is missing ({len(content)} bytes are there); "
            "copy or write it again"
        )
    try:
        frame = pyarrow.parquet.read_table(io.BytesIO(content)).to_pandas()
    except (pyarrow.ArrowException, OSError, ValueError) as problem:
        reason = " ".join(str(problem).split())[:120]
        raise RunsError(f"{name} is a damaged Parquet file ({reason}); copy or write it again") from None
    try:
        return from_object(frame)
    except RunsError as problem:
        raise RunsError(f"{name}: {problem}") from None
