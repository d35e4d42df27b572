"""`Store`: where the runs of sweeps are, and how several workers share it without making a run twice.

    runs/RUN/...                 what is done; never changed (see runs/record.py)
    claims/RUN.K                 who makes a run; the highest K rules
    beats/OWNER.json             an owner writes here now and then, with how far it is, as long as it lives
    failures/RUN.json            how the last attempts ended, until one succeeds
    checkpoints/GROUP            what an interrupted training goes on from

A claim is never taken away: who finds one whose owner is dead creates the next K, which only one can. An owner on this machine
is dead when its process is; another one when it was silent for longer than the lease, by the clock of the store. Should a
silent owner wake up after all, the run that is published first stays, and both are the same bits.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scalinglens.runs.place import Folder, Place, open_place
from scalinglens.runs.record import RUNS, STATUS

__all__ = ["LEASE", "Owner", "Store", "open_store", "process"]

LEASE = 60.0  # seconds of silence after which an owner elsewhere is dead
BEATS = 6  # per lease


@dataclass(frozen=True)
class Owner:
    """Who makes runs: one call of a worker."""

    name: str
    host: str
    pid: int
    start: str

    @staticmethod
    def new() -> Owner:
        """Return an owner for this process."""
        here = process(os.getpid())
        return Owner(f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}", machine(), os.getpid(), here or "")


@dataclass(frozen=True)
class Store:
    """A store of runs.

    >>> store = open_store("memory://doctest")
    >>> store.claim(Owner.new(), ["a", "b"]), store.claim(Owner.new(), ["b"])
    ([], ['b'])
    """

    place: Place
    lease: float = LEASE

    # ---- what is done -------------------------------------------------------------------------------------------------

    def finished(self) -> set[str]:
        """Return the names of all runs that are there."""
        names = self.place.names(RUNS)
        return set(names) if isinstance(self.place, Folder) else set(self.place.stamps(RUNS, STATUS))

    def has(self, run: str) -> bool:
        """Whether a run is there."""
        return self.place.modified(f"{RUNS}/{run}/{STATUS}") is not None

    def status(self, run: str) -> dict[str, Any]:
        """Return the status file of a run that is there."""
        return json.loads(self.place.read(f"{RUNS}/{run}/{STATUS}"))

    # ---- who is at it -------------------------------------------------------------------------------------------------

    def claim(self, owner: Owner, runs: Iterable[str]) -> list[str]:
        """Claim all of these runs or none.

        Returns:
            Runs that another living owner has; none if they are ours now.
        """
        self.beat(owner, {})
        claims = self._claims()
        ours: list[str] = []
        for run in sorted(runs):  # in one order, so that two who want the same ones do not block each other
            number, holder = self._top(run, claims)
            free = holder is None or not self.alive(holder)
            if free and self.place.create(f"claims/{run}.{number + 1}", _json({"owner": owner.name})):
                ours.append(run)
                continue
            self.release(owner, ours)
            return [run]
        return []

    def release(self, owner: Owner, runs: Iterable[str]) -> None:
        """Give back claims of ours; those of runs that are there now are removed."""
        claims = self._claims()
        for run in runs:
            if self.has(run):
                for number in claims.get(run, ()):
                    self.place.remove(f"claims/{run}.{number}")
            else:
                number, holder = self._top(run, claims)
                if holder == owner.name:
                    # not removed: who has just seen it may be about to create the next number
                    self.place.write(f"claims/{run}.{number}", _json({"owner": None}))

    def beat(self, owner: Owner, how_far: Mapping[str, Any]) -> None:
        """Say that an owner lives, and how far it is."""
        self.place.write(f"beats/{owner.name}.json", _json({**owner.__dict__, **how_far}))

    def gone(self, owner: Owner) -> None:
        """Say that an owner has ended."""
        self.place.remove(f"beats/{owner.name}.json")

    @contextlib.contextmanager
    def living(self, owner: Owner, how_far: Mapping[str, Any]):
        """Beat in the background as long as the context lasts; `how_far` may change meanwhile."""
        stop = threading.Event()

        def run() -> None:
            while not stop.wait(min(self.lease / BEATS, 2.0 if isinstance(self.place, Folder) else 10.0)):
                with contextlib.suppress(OSError):  # a full disk is for the trainer to report
                    self.beat(owner, dict(how_far))

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def alive(self, name: str) -> bool:
        """Whether an owner lives."""
        try:
            beat = json.loads(self.place.read(f"beats/{name}.json"))
            host, pid, start = beat["host"], beat["pid"], beat["start"]
        except (FileNotFoundError, ValueError, KeyError):
            return False
        if host == machine():
            return process(pid) == start
        written = self.place.modified(f"beats/{name}.json")
        return written is not None and self._now() - written < self.lease

    def running(self) -> list[dict[str, Any]]:
        """Return the last words of all living owners."""
        found = []
        for file in self.place.names("beats"):
            name = file.removesuffix(".json")
            with contextlib.suppress(FileNotFoundError, ValueError):
                beat = json.loads(self.place.read(f"beats/{file}"))
                if beat.get("runs") and self.alive(name):
                    found.append(beat)
        return found

    def tidy(self) -> None:
        """Remove what dead owners left: beats, and folders that were never renamed."""
        for file in self.place.names("beats"):
            if not self.alive(file.removesuffix(".json")):
                self.place.remove(f"beats/{file}")
        if isinstance(self.place, Folder):
            for part in self.place.path.glob("*/.*.part"):
                with contextlib.suppress(FileNotFoundError):
                    if time.time() - part.stat().st_mtime > max(self.lease, 600):
                        self.place.remove(str(part.relative_to(self.place.path)))

    def _claims(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for name in self.place.names("claims"):
            run, _, number = name.rpartition(".")
            if number.isdigit():
                found.setdefault(run, []).append(int(number))
        return found

    def _top(self, run: str, claims: Mapping[str, Sequence[int]]) -> tuple[int, str | None]:
        """Number of the claim that rules, and who has it; -1 and nobody if there is none."""
        number = max(claims.get(run, ()), default=-1)
        if number < 0:
            return -1, None
        try:
            return number, json.loads(self.place.read(f"claims/{run}.{number}"))["owner"]
        except (FileNotFoundError, ValueError, KeyError):  # removed just now, because the run is there
            return number, None

    def _now(self) -> float:
        """The time by the clock of the store, where another machine may have another one."""
        name = f"beats/now-{uuid.uuid4().hex[:8]}"
        try:
            self.place.write(name, b"")
            return self.place.modified(name) or time.time()
        except OSError:  # a store that can only be read
            return time.time()
        finally:
            with contextlib.suppress(OSError):
                self.place.remove(name)

    # ---- what went wrong ----------------------------------------------------------------------------------------------

    def fail(self, runs: Iterable[str], status: str, error: str, attempts: int) -> None:
        """Write how attempts ended."""
        words = {"schema": 1, "status": status, "error": error, "attempts": attempts}
        for run in runs:
            self.place.write(f"failures/{run}.json", _json({"run": run, **words}))

    def failures(self) -> dict[str, dict[str, Any]]:
        """Return the failures of runs that are not there."""
        found = {}
        for file in self.place.names("failures"):
            run = file.removesuffix(".json")
            with contextlib.suppress(FileNotFoundError, ValueError):
                if not self.has(run):
                    found[run] = json.loads(self.place.read(f"failures/{file}"))
        return found

    def checkpoint(self, group: str) -> Path | None:
        """Return the file of a group's checkpoint; None where the store is elsewhere and interrupted groups begin anew."""
        if not isinstance(self.place, Folder):
            return None
        folder = self.place.path / "checkpoints"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{group}.safetensors"


def open_store(url: str | os.PathLike[str], *, lease: float = LEASE) -> Store:
    """Return the store at a path or an address of fsspec.

    Raises:
        RunsError: an address that cannot be opened.
    """
    return Store(open_place(url), lease)


@functools.cache
def machine() -> str:
    """Return what tells this machine, since it was started, from others; containers that see other processes are others."""
    parts = [socket.gethostname()]
    with contextlib.suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
        parts.append(os.readlink("/proc/self/ns/pid"))
    return " ".join(parts)


def process(pid: int) -> str | None:
    """Return when a process of this machine began, which tells it from a later one of the same number; None if it is dead."""
    try:
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return None if words[0] in "ZX" else words[19]
    except FileNotFoundError:
        if Path("/proc/self/stat").exists():
            return None
    try:  # no /proc
        os.kill(pid, 0)
        return "alive"
    except ProcessLookupError:
        return None
    except PermissionError:
        return "alive"


def _json(content: Mapping[str, Any]) -> bytes:
    return (json.dumps(content) + "\n").encode()
