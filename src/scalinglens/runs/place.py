"""Where runs are kept: a folder of this machine, or any address that fsspec knows. What is written is whole or not there.

Both places answer the same few calls. Names are relative, with slashes: "runs/0123abcd/status.json".
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from scalinglens.errors import RunsError, did_you_mean

__all__ = ["Folder", "Place", "Remote", "open_place"]


class Place(Protocol):
    """A place for files. Every call may raise OSError with the number that the system gave."""

    @property
    def url(self) -> str:
        """Text that `open_place` opens again."""
        ...

    def read(self, name: str) -> bytes:
        """Return a file; FileNotFoundError if there is none."""
        ...

    def write(self, name: str, content: bytes) -> None:
        """Write a file in the place of one that may be there."""
        ...

    def create(self, name: str, content: bytes) -> bool:
        """Write a file if none has that name; of several that try at once, one gets True."""
        ...

    def publish(self, folder: str, files: Mapping[str, bytes], *, last: str) -> bool:
        """Write a folder that appears whole, if none is there; `last` is the file without which it does not count."""
        ...

    def names(self, folder: str) -> list[str]:
        """Return the names in a folder, in order; none if there is no such folder."""
        ...

    def stamps(self, folder: str, file: str) -> dict[str, str]:
        """Return name -> text that changes with the content, for each NAME of a folder with a file NAME/`file`."""
        ...

    def modified(self, name: str) -> float | None:
        """Return when a file was written, by the clock of the place [s]; None if there is none."""
        ...

    def remove(self, name: str) -> None:
        """Remove a file or folder that may be there."""
        ...


def open_place(url: str | os.PathLike[str]) -> Place:
    """Return the place of a path, or of an address such as "s3://bucket/sweep".

    Raises:
        RunsError: fsspec or what it needs for this address is not installed, or it does not know it.

    >>> open_place("memory://sweep").url
    'memory://sweep'
    """
    text = os.fspath(url)
    if "://" not in text:
        return Folder(Path(text).expanduser().absolute())
    if text.startswith("file://"):
        return Folder(Path(text.removeprefix("file://")).absolute())
    try:
        import fsspec
    except ImportError:
        raise RunsError(f"{text} needs fsspec; pip install fsspec, or name a folder") from None
    try:
        fs, root = fsspec.core.url_to_fs(text)
    except ImportError as problem:
        raise RunsError(f"{text} cannot be opened: {problem}") from None
    except ValueError:
        kind = text.partition("://")[0]
        known = fsspec.available_protocols()
        raise RunsError(f'fsspec knows no kind of place "{kind}"{did_you_mean(kind, known)}; check {text}') from None
    return Remote(text.rstrip("/"), fs, str(root).rstrip("/"))


@dataclass(frozen=True)
class Folder:
    """A folder of this machine, or one that it mounts."""

    path: Path

    @property
    def url(self) -> str:
        return str(self.path)

    def read(self, name: str) -> bytes:
        return (self.path / name).read_bytes()

    def write(self, name: str, content: bytes) -> None:
        part = self._part(name)
        try:
            _written(part, content)
            os.replace(part, self.path / name)
        finally:
            part.unlink(missing_ok=True)

    def create(self, name: str, content: bytes) -> bool:
        part = self._part(name)
        try:
            _written(part, content)
            os.link(part, self.path / name)  # unlike a rename, a link fails where something is
            return True
        except FileExistsError:
            return False
        finally:
            part.unlink(missing_ok=True)

    def publish(self, folder: str, files: Mapping[str, bytes], *, last: str) -> bool:
        part = self._part(folder)
        try:
            part.mkdir()
            for name, content in files.items():
                _written(part / name, content)
            try:
                os.rename(part, self.path / folder)  # fails where a folder is that holds something
            except OSError:
                if (self.path / folder / last).is_file():
                    return False
                raise
            return True
        finally:
            shutil.rmtree(part, ignore_errors=True)

    def names(self, folder: str) -> list[str]:
        try:
            return sorted(name for name in os.listdir(self.path / folder) if not name.startswith("."))
        except (FileNotFoundError, NotADirectoryError):
            return []

    def stamps(self, folder: str, file: str) -> dict[str, str]:
        found = {}
        for name in self.names(folder):
            try:
                stat = os.stat(f"{self.path}/{folder}/{name}/{file}")
            except (FileNotFoundError, NotADirectoryError):
                continue
            found[name] = f"{stat.st_mtime_ns}:{stat.st_size}"
        return found

    def modified(self, name: str) -> float | None:
        try:
            return (self.path / name).stat().st_mtime
        except (FileNotFoundError, NotADirectoryError):
            return None

    def remove(self, name: str) -> None:
        target = self.path / name
        if target.is_dir():
            shutil.rmtree(target, ignore_errors=True)
        else:
            target.unlink(missing_ok=True)

    def _part(self, name: str) -> Path:
        """A name of our own beside the target; `names` does not show it."""
        target = self.path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        return target.with_name(f".{target.name}.{uuid.uuid4().hex[:12]}.part")


@dataclass(frozen=True)
class Remote:
    """A place that fsspec reaches. There is no rename: a folder counts from when its last file is there."""

    address: str
    fs: Any
    root: str

    @property
    def url(self) -> str:
        return self.address

    def read(self, name: str) -> bytes:
        return self.fs.cat_file(self._path(name))

    def write(self, name: str, content: bytes) -> None:
        path = self._path(name)
        self.fs.makedirs(path.rpartition("/")[0], exist_ok=True)
        self.fs.pipe_file(path, content)

    def create(self, name: str, content: bytes) -> bool:
        path = self._path(name)
        self.fs.makedirs(path.rpartition("/")[0], exist_ok=True)
        try:
            self.fs.pipe_file(path, content, mode="create")
        except FileExistsError:
            return False
        return True

    def publish(self, folder: str, files: Mapping[str, bytes], *, last: str) -> bool:
        if self.modified(f"{folder}/{last}") is not None:
            return False
        for name, content in files.items():
            if name != last:
                self.write(f"{folder}/{name}", content)
        return self.create(f"{folder}/{last}", files[last])

    def names(self, folder: str) -> list[str]:
        self.fs.invalidate_cache()
        try:
            found = self.fs.ls(self._path(folder), detail=False)
        except FileNotFoundError:
            return []
        return sorted(str(path).rstrip("/").rpartition("/")[2] for path in found)

    def stamps(self, folder: str, file: str) -> dict[str, str]:
        self.fs.invalidate_cache()
        try:
            found = self.fs.find(self._path(folder), maxdepth=2, detail=True)
        except FileNotFoundError:
            return {}
        stamps = {}
        for path, facts in found.items():
            *_, name, last = str(path).split("/")
            if last == file:
                when = next((facts[key] for key in ("mtime", "LastModified", "updated", "created") if key in facts), "")
                stamps[name] = f"{when}:{facts.get('size')}"
        return dict(sorted(stamps.items()))

    def modified(self, name: str) -> float | None:
        self.fs.invalidate_cache()
        path = self._path(name)
        if not self.fs.exists(path):
            return None
        return self.fs.modified(path).timestamp()

    def remove(self, name: str) -> None:
        path = self._path(name)
        if self.fs.exists(path):
            self.fs.rm(path, recursive=True)

    def _path(self, name: str) -> str:
        return f"{self.root}/{name}"


def _written(path: Path, content: bytes) -> None:
    """Write a file and see it onto the disk: a rename must not survive a power cut that its content does not."""
    with open(path, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
