"""The public tables of the field: where each comes from, what its columns mean, what it verifies, and where it lies here.

The index is `published.toml`. The files are not part of the package: they are looked for in the folder that the variable
SCALINGLENS_DATA names, then in the cache, into which `fetch.py` downloads what its origin still serves.
"""

from __future__ import annotations

import functools
import hashlib
import os
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import Any, Literal, overload

import pandas as pd

from scalinglens.errors import RunsError, did_you_mean
from scalinglens.runs.read import read_runs
from scalinglens.runs.table import Runs

__all__ = [
    "EVIDENCE",
    "Checked",
    "PublishedFile",
    "PublishedTable",
    "as_frame",
    "cache_folder",
    "check_published",
    "find_published",
    "published",
    "read_published",
    "sha256",
]

EVIDENCE: Mapping[str, str] = {
    "size": "path, size and last rows agree with a stored copy of the repository; never fetched",
    "header": "path agrees with a stored copy of the repository, the time stamp inside is the authors'; never fetched",
    "stated": "from the notes of whoever collected the tables; never fetched",
    "": "no address: made from the origin",
}
"""What is known of the address of a file, in words; the checksum decides in any case."""

_RAW = "https://raw.githubusercontent.com/{repository}/{commit}/{path}"
_INDEX = resources.files("scalinglens.runs") / "published.toml"


@dataclass(frozen=True)
class PublishedFile:
    """One file of a public table.

    Attributes:
        table, name: the file is known as `table/name`.
        holds: what it holds, in words.
        reads: "runs" (`read` makes `Runs` of it), "table" (rows that are no runs), "json" or "text".
        size: bytes. sha256: of the file as it lies here. rows: without the header, 0 where there are none.
        mapping: what `read_runs` must be told about the columns; "" leaves a quantity unrecognised.
        where: the filter that keeps the rows of the published analysis; never applied unless asked for.
        duplicates: what `read_runs` should do with exact duplicates.
        repository, commit, path: address at the origin; path is empty for a file that was made from it.
        evidence: what is known of that address, a key of `EVIDENCE`.
        derived: how the file was made from its origin, empty if it is byte-identical to it.
    """

    table: str
    name: str
    holds: str
    reads: str
    size: int
    sha256: str
    rows: int = 0
    mapping: Mapping[str, str] = field(default_factory=dict)
    where: str = ""
    duplicates: Literal["keep", "drop"] = "keep"
    repository: str = ""
    commit: str = ""
    path: str = ""
    evidence: str = ""
    derived: str = ""

    @property
    def key(self) -> str:
        """The name in full, as in "gemstones/fit_hot.jsonl"."""
        return f"{self.table}/{self.name}"

    @property
    def url(self) -> str:
        """Address at the origin, or an empty string for a derived file."""
        if not self.path:
            return ""
        path = self.path.replace("+", "%2B").replace(" ", "%20")
        return _RAW.format(repository=self.repository, commit=self.commit, path=path)

    def found(self) -> Path | None:
        """Where the file lies here, or None."""
        return next((path for path in map(self._inside, _folders()) if path.is_file()), None)

    def _inside(self, folder: Path) -> Path:
        return folder / self.table / self.name


@dataclass(frozen=True)
class PublishedTable:
    """A public table: its paper, its files, and what they verify.

    >>> gemstones = published("gemstones")
    >>> gemstones.paper, gemstones.file("fit_hot.jsonl").rows
    ('arXiv 2502.06857', 220)
    """

    name: str
    title: str
    authors: str
    year: int
    paper: str
    host: str
    repository: str
    commit: str
    licence: str
    verifies: tuple[str, ...]
    traps: tuple[str, ...]
    laws: tuple[str, ...]
    columns: Mapping[str, str]
    files: tuple[PublishedFile, ...]

    @property
    def origin(self) -> str:
        """Address of the repository, or an empty string."""
        return f"https://{self.host}/{self.repository}" if self.repository else ""

    def file(self, name: str = "") -> PublishedFile:
        """Return a file by name; a table of one file, or of one file of runs, needs none.

        Raises:
            RunsError: no such file, or several to choose from.
        """
        names = [file.name for file in self.files]
        if name:
            found = [file for file in self.files if file.name == name]
            hint = did_you_mean(name, names)
            says = f'{self.name} has no file "{name}"{hint}'
        else:
            found = [file for file in self.files if file.reads == "runs"] or list(self.files)
            says = f"{self.name} has several files"
        if len(found) != 1:
            raise RunsError(
                f"{says}; name one of {', '.join(names)}, as in read_published({self.name + '/' + names[0]!r})"
            )
        return found[0]

    def read(self, name: str = "", *, where: str | None = None, **mapping: str | float | None) -> Runs:
        """Read one file as `Runs`; as `read_published`."""
        return read_published(self.file(name).key, where=where, **mapping)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain data, with the address of each file and where it lies here."""
        words = asdict(self)
        for file, plain in zip(self.files, words["files"], strict=True):
            found = file.found()
            plain |= {"url": file.url, "found": str(found) if found else None, "mapping": dict(file.mapping)}
        return {**words, "origin": self.origin, "columns": dict(self.columns)}

    def __str__(self) -> str:
        lines = [f"{self.name}: {self.title}", f"  {self.authors} {self.year}, {self.paper or 'no paper'}"]
        lines.append(f"  origin   {self.origin or 'none'}{f' at {self.commit[:8]}' if self.commit else ''}")
        lines.append(f"  licence  {self.licence}")
        lines += [f"  verifies {text}" for text in self.verifies]
        lines += [f"  trap     {text}" for text in self.traps]
        lines += [f"  column   {name}: {unit}" for name, unit in self.columns.items()]
        for file in self.files:
            rows = f"{file.rows:,} rows, " if file.rows else ""
            lines.append(f"  file     {file.name}: {file.holds}; {rows}{file.size:,} bytes")
            if file.mapping:
                lines.append("           read with " + ", ".join(f"{k}={v!r}" for k, v in file.mapping.items()))
            if file.where:
                lines.append(f"           published rows: where={file.where!r}")
            origin = f"derived: {file.derived}" if file.derived else f"{file.url} ({EVIDENCE[file.evidence]})"
            lines.append(f"           {origin}")
        return "\n".join(lines)


@overload
def published() -> tuple[PublishedTable, ...]: ...
@overload
def published(name: str) -> PublishedTable: ...
def published(name: str | None = None) -> tuple[PublishedTable, ...] | PublishedTable:
    """Return the public table of a name, or all of them.

    Args:
        name: as in "gemstones".

    Raises:
        RunsError: no table of that name; the nearest one is suggested.

    Cost: one TOML file is read and cached.

    >>> len(published()), published("parscale").authors
    (19, 'Chen et al.')
    """
    index = _index()
    if name is None:
        return tuple(index.values())
    if name not in index:
        raise RunsError(
            f'there is no public table "{name}"{did_you_mean(name, index)}; known are {", ".join(index)} '
            "(scalinglens data list)"
        )
    return index[name]


def read_published(name: str, *, where: str | None = None, **mapping: str | float | None) -> Runs:
    """Read a file of a public table with the mapping that it needs.

    Args:
        name: "table/file", or "table" where one file holds its runs.
        where: filter, as in `read_runs`; "published" keeps the rows of the published analysis.
        **mapping: overrides the mapping of the index, as in `read_runs`.

    Returns:
        The runs; a note says so if the file is not the indexed one.

    Raises:
        RunsError: unknown name, a file that holds no runs, or one that is neither in SCALINGLENS_DATA nor in the cache.

    Cost: as `read_runs`.
    """
    table, _, rest = name.partition("/")
    file = published(table).file(rest)
    if file.reads != "runs":
        path = find_published(name)
        raise RunsError(f"{file.key} holds no runs but {file.holds}; open {path} with pandas or json")
    if where == "published" and not file.where:
        raise RunsError(f"{file.key} has no published selection: all of its rows are used; leave where out")
    path = find_published(file.key)
    columns: dict[str, Any] = {name: column or None for name, column in file.mapping.items()} | mapping
    runs = read_runs(path, where=file.where if where == "published" else where, duplicates=file.duplicates, **columns)
    digest = sha256(path)
    if digest != file.sha256:
        note = f"{path} is not the indexed file: its sha256 begins with {digest[:8]}, not {file.sha256[:8]}"
        runs = replace(runs, notes=(*runs.notes, note))
    return runs


def find_published(name: str) -> Path:
    """Return where a file of a public table lies here.

    Args:
        name: "table/file", or "table" where there is one to choose.

    Raises:
        RunsError: it is neither in the folder SCALINGLENS_DATA nor in the cache; the message says how to get it.
    """
    table, _, rest = name.partition("/")
    file = published(table).file(rest)
    found = file.found()
    if found is not None:
        return found
    looked = " and ".join(str(folder / file.table) for folder in _folders())
    if file.derived:
        remedy = f"it cannot be fetched ({file.derived}); set SCALINGLENS_DATA to a folder that holds {file.key}"
    else:
        remedy = (
            f"fetch it with: scalinglens data fetch {file.table} (or set SCALINGLENS_DATA to a folder of the tables)"
        )
    raise RunsError(f"{file.key} is not here (looked in {looked}); {remedy}")


@dataclass(frozen=True)
class Checked:
    """One file against the index: "right", "differs" or "absent"."""

    file: PublishedFile
    outcome: str
    path: Path | None
    says: str

    def to_dict(self) -> dict[str, str | None]:
        """Return the outcome as plain data."""
        path = str(self.path) if self.path else None
        return {"file": self.file.key, "outcome": self.outcome, "path": path, "says": self.says}


def check_published(*names: str) -> tuple[Checked, ...]:
    """Compare the files of public tables with the index.

    Args:
        names: "table" or "table/file"; all tables without one.

    Returns:
        One `Checked` per file. A file that is nowhere is "absent", which is no failure.

    Raises:
        RunsError: no such table or file.

    Cost: reads every file once, about 5 ms per megabyte.
    """
    files: list[PublishedFile] = []
    for name in names or [table.name for table in published()]:
        table, _, rest = name.partition("/")
        files += [published(table).file(rest)] if rest else published(table).files
    return tuple(map(_checked, files))


def _checked(file: PublishedFile) -> Checked:
    path = file.found()
    if path is None:
        return Checked(
            file, "absent", None, "cannot be fetched" if file.derived else f"scalinglens data fetch {file.key}"
        )
    size = path.stat().st_size
    if size != file.size:
        return Checked(file, "differs", path, f"{size:,} bytes instead of {file.size:,}: {path}")
    digest = sha256(path)
    if digest != file.sha256:
        return Checked(file, "differs", path, f"sha256 begins with {digest[:8]}, not {file.sha256[:8]}: {path}")
    return Checked(file, "right", path, str(path))


def cache_folder() -> Path:
    """Return the folder that downloads go to: SCALINGLENS_CACHE, or the platform's place for caches."""
    if named := os.environ.get("SCALINGLENS_CACHE"):
        return Path(named).expanduser() / "data"
    if sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    elif sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "scalinglens" / "data"


def sha256(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 of a file's bytes.

    Raises:
        RunsError: the file cannot be read.
    """
    try:
        with open(path, "rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as problem:
        raise RunsError(f"{os.fspath(path)} cannot be read: {problem.strerror or problem}") from None


def as_frame() -> pd.DataFrame:
    """Return the index as a frame with one row per file."""
    rows = [
        {"table": t.name, "file": f.name, "rows": f.rows, "size": f.size, "paper": t.paper, "licence": t.licence,
         "reads": f.reads, "fetch": not f.derived, "found": f.found() is not None}
        for t in published() for f in t.files
    ]  # fmt: skip
    return pd.DataFrame(rows)


def _folders() -> list[Path]:
    """Where files are looked for, first place first."""
    named = os.environ.get("SCALINGLENS_DATA")
    given = [Path(named).expanduser()] if named else []
    return [*(folder for folder in given if folder.is_dir()), cache_folder()]


@functools.cache
def _index() -> dict[str, PublishedTable]:
    found = {}
    for name, words in tomllib.loads(_INDEX.read_text(encoding="utf-8")).items():
        home = {key: words[key] for key in ("repository", "commit")}
        files = []
        for entry in words.pop("files"):
            address = home | {key: entry.pop(key) for key in ("repository", "commit") if key in entry}
            files.append(PublishedFile(table=name, **address, **entry))
        for key in ("verifies", "traps", "laws"):
            words[key] = tuple(words.get(key, ()))
        found[name] = PublishedTable(name=name, files=tuple(files), **words)
    return found
