"""Files we write: they are whole or not there, and whether they can be written is asked before the work begins."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from scalinglens.errors import OutputError

__all__ = ["PICTURES", "SAVED", "check_writable", "written_whole"]

PICTURES = (".png", ".pdf", ".svg")
"""Kinds of picture that a figure can be written as."""

SAVED = (".json",)
"""Kind of file that a fit is saved as."""

_SAYS = {PICTURES: "pictures end", SAVED: "a saved fit ends"}


def check_writable(path: str | os.PathLike[str], suffixes: Sequence[str] = ()) -> Path:
    """Return the path if a file can be written there, following links.

    Args:
        path: of the file.
        suffixes: how its name may end; () allows any end.

    Raises:
        OutputError: the name ends otherwise, the folder is missing or closed, or something else than a file is there.

    >>> check_writable("fit.gif", PICTURES)
    Traceback (most recent call last):
    scalinglens.errors.OutputError: cannot write fit.gif: pictures end in .png, .pdf, .svg; write fit.png
    """
    name = os.fspath(path)
    try:
        target = Path(name).expanduser()
        if target.resolve().is_dir():
            raise OutputError(f"cannot write {name}: it is a directory; name a file in it")
        if suffixes and target.suffix.lower() not in suffixes:
            says = _SAYS.get(tuple(suffixes), "its name must end")
            raise OutputError(
                f"cannot write {name}: {says} in {', '.join(suffixes)}; write {target.with_suffix(suffixes[0])}"
            )
        target = target.resolve()
        if target.exists() and not target.is_file():
            raise OutputError(f"cannot write {name}: it is a device and no file; name a file")
        folder = target.parent
        if not folder.is_dir():
            what = "is no folder" if folder.exists() else "does not exist"
            raise OutputError(f"cannot write {name}: {folder} {what}; make the folder first, or name another one")
        for place in (folder, target):
            if place.exists() and not os.access(place, os.W_OK):
                raise OutputError(f"cannot write {name}: {place} is write-protected; name another file")
    except (OSError, ValueError, RuntimeError) as problem:  # a name too long, a zero byte, a circle of links
        if isinstance(problem, OutputError):
            raise
        raise OutputError(f"cannot write {name[:100]!r}: {getattr(problem, 'strerror', None) or problem}") from None
    return target


@contextmanager
def written_whole(path: str | os.PathLike[str], suffixes: Sequence[str] = ()) -> Iterator[Path]:
    """Give a temporary name to write to; it becomes `path` when the context ends well, and is removed otherwise.

    Raises:
        OutputError: as `check_writable`, or the disk refuses.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with written_whole(f"{folder}/a.txt") as part:
    ...         _ = part.write_text("text")
    ...     os.listdir(folder)
    ['a.txt']
    """
    target = check_writable(path, suffixes)
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        yield part
        os.replace(part, target)
    except OSError as problem:
        if isinstance(problem, OutputError):
            raise
        raise OutputError(f"cannot write {os.fspath(path)}: {problem.strerror or problem}") from None
    finally:
        part.unlink(missing_ok=True)
