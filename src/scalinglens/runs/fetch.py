"""Download the files of public tables into the cache: whole and with the right checksum, or not at all."""

from __future__ import annotations

import hashlib
import http.client
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from scalinglens.errors import FetchError, OutputError
from scalinglens.files import written_whole
from scalinglens.runs.published import PublishedFile, cache_folder, published, sha256

__all__ = ["Fetched", "download", "fetch_published"]

CHUNK = 1 << 16
SLOWEST = 2_000  # bytes per second that a whole download must reach, beyond its timeout
PAUSE = 0.5  # seconds before the second attempt; doubled before each further one
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Fetched:
    """What became of one file: "fetched", "here" (already, with the right checksum) or "derived" (cannot be fetched)."""

    file: PublishedFile
    outcome: str
    path: Path | None
    says: str


def fetch_published(
    name: str, *, base: str = "", timeout: float = 30.0, attempts: int = 3, progress: Progress | None = None
) -> tuple[Fetched, ...]:
    """Fetch the files of a public table, or one of them, into the cache.

    Args:
        name: "table", or "table/file".
        base: address of a mirror that serves `table/file`, which can hold derived files, too; the origin by default.
        timeout: seconds without an answer after which an attempt is given up.
        attempts: how often a failing network is asked; a wrong checksum and "not found" are final.
        progress: called with (bytes done, bytes in all).

    Returns:
        One `Fetched` per file. A file of the cache with the right checksum is not fetched again.

    Raises:
        RunsError: no such table or file.
        FetchError: no file could be fetched because all are derived from their origin; or one failed, with the reason.
        OutputError: the cache cannot be written.

    Cost: the network's; at most one file is held open, none in memory.
    """
    table, _, rest = name.partition("/")
    files = (published(table).file(rest),) if rest else published(table).files
    if not base and all(file.derived for file in files):
        reasons = "; ".join(f"{file.key}: {file.derived}" for file in files)
        raise FetchError(
            f"{name} cannot be fetched, because its origin does not serve these files as they are ({reasons}); "
            "set SCALINGLENS_DATA to a folder that holds them, or name a mirror with --from"
        )
    total = sum(file.size for file in files if base or not file.derived)
    found: list[Fetched] = []
    before = 0
    for file in files:
        if file.derived and not base:
            found.append(
                Fetched(file, "derived", file.found(), f"not fetched, it was made from its origin: {file.derived}")
            )
            continue
        place = cache_folder() / file.table / file.name
        if place.is_file() and sha256(place) == file.sha256:
            found.append(Fetched(file, "here", place, "already in the cache"))
        else:
            url = f"{base.rstrip('/')}/{urllib.parse.quote(file.key)}" if base else file.url
            told = (lambda done, _, start=before: progress(start + done, total)) if progress else None
            download(url, place, size=file.size, digest=file.sha256, timeout=timeout, attempts=attempts, progress=told)
            found.append(Fetched(file, "fetched", place, f"from {url}"))
        before += file.size
        if progress:
            progress(before, total)
    return tuple(found)


def download(
    url: str,
    place: Path,
    *,
    size: int,
    digest: str,
    timeout: float = 30.0,
    attempts: int = 3,
    progress: Progress | None = None,
) -> None:
    """Download one file; it appears at `place` when its size and checksum are right, and nothing is left otherwise.

    Args:
        url: http or https. place: where to write; its folder is made.
        size: bytes expected; no more are read. digest: SHA-256 expected.
        timeout: seconds without an answer; the whole may take this and `size / 2000` seconds more.
        attempts: how often a failing network is asked.

    Raises:
        FetchError: what went wrong, with the address and the remedy.
        OutputError: the folder cannot be made or written.
    """
    if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
        raise FetchError(f"{url!r} is no address of the web; write http://... or https://...")
    made = not place.parent.is_dir()
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise OutputError(
            f"cannot make the folder {place.parent}: {problem.strerror or problem}; name another with SCALINGLENS_CACHE"
        ) from None
    try:
        for attempt in range(1, attempts + 1):
            try:
                with written_whole(place) as part:
                    _stream(url, part, size, digest, timeout, progress)
                return
            except _Passing as problem:  # written_whole has removed the part
                if attempt == attempts:
                    asked = f" (asked {attempts} times)" if attempts > 1 else ""
                    raise FetchError(f"{url} {problem}{asked}; try again later, or name a mirror with --from") from None
                time.sleep(PAUSE * 2 ** (attempt - 1))
    finally:
        if made:
            with suppress(OSError):  # only an empty folder goes
                place.parent.rmdir()


class _Passing(Exception):
    """A failure that another attempt may not meet; never leaves this file."""


def _stream(url: str, part: Path, size: int, digest: str, timeout: float, progress: Progress | None) -> None:
    """Write the answer to `part` while its size is right, and check its sum."""
    end = time.monotonic() + timeout + size / SLOWEST
    request = urllib.request.Request(url, headers={"User-Agent": "scalinglens", "Accept-Encoding": "identity"})
    seen, done = hashlib.sha256(), 0
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer, part.open("wb") as stream:
            # read1 returns what has arrived: a server that trickles cannot hold us in one read
            while chunk := answer.read1(CHUNK):
                done += len(chunk)
                if done > size:
                    raise FetchError(
                        f"{url} sends more than the {size:,} bytes of the indexed file; it has changed: {_CHANGED}"
                    )
                stream.write(chunk)
                seen.update(chunk)
                if progress:
                    progress(done, size)
                if time.monotonic() > end:
                    raise _Passing(f"is too slow: {done:,} of {size:,} bytes in {timeout + size / SLOWEST:.0f} s")
    except urllib.error.HTTPError as problem:
        with problem:
            if problem.code < 500 and problem.code != 429:
                raise FetchError(
                    f"{url} answers {problem.code} {problem.reason}: the file is not there any more, or not for everyone; "
                    "look for it at the origin, or name a mirror with --from"
                ) from None
            raise _Passing(f"answers {problem.code} {problem.reason}") from None
    except TimeoutError:
        raise _Passing(f"did not answer for {timeout:g} s") from None
    except urllib.error.URLError as problem:
        if isinstance(problem.reason, TimeoutError):
            raise _Passing(f"did not answer for {timeout:g} s") from None
        raise _Passing(f"cannot be reached ({problem.reason}); is there a network?") from None
    except (http.client.HTTPException, ConnectionError) as problem:
        raise _Passing(f"broke off after {done:,} of {size:,} bytes ({type(problem).__name__})") from None
    if done < size:
        raise _Passing(f"broke off after {done:,} of {size:,} bytes")
    if seen.hexdigest() != digest:
        raise FetchError(
            f"{url} is not the indexed file: its sha256 begins with {seen.hexdigest()[:8]}, not {digest[:8]}; {_CHANGED}"
        )


_CHANGED = "nothing was kept; see the origin for what changed, or name a mirror with --from"


def outcomes(found: Sequence[Fetched]) -> list[dict[str, str | None]]:
    """Return what became of each file as plain data."""
    return [
        {"file": one.file.key, "outcome": one.outcome, "path": str(one.path) if one.path else None, "says": one.says}
        for one in found
    ]
