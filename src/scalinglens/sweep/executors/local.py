"""Processes of this machine: each makes one job after another on one thread, and a lost one is replaced."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from scalinglens.errors import ExperimentError
from scalinglens.numerics.processes import available_processors
from scalinglens.sweep.executors.executor import Ended

__all__ = ["Local", "open_executor"]

_PINNED = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")


@dataclass
class _Worker:
    process: subprocess.Popen[bytes]
    answers: int  # descriptor
    log: IO[bytes]  # what it writes to stderr, to be quoted should it die
    token: str = ""
    read: bytes = b""
    kills: int = 0  # of the kernel for want of memory, before the job


@dataclass
class Local:
    """Worker processes.

    Attributes:
        workers: how many at once. threads: of each. memory: most bytes of address space of each, 0 for no limit.
    """

    workers: int = 2
    threads: int = 1
    memory: int = 0
    _crew: list[_Worker] = field(default_factory=list)
    _count: int = 0

    @property
    def slots(self) -> int:
        return self.workers

    @property
    def processes(self) -> list[int]:
        """Numbers of the worker processes."""
        return [worker.process.pid for worker in self._crew]

    def submit(self, job: Mapping[str, Any]) -> str:
        worker = next((w for w in self._crew if not w.token and w.process.poll() is None), None) or self._hired()
        self._count += 1
        worker.token, worker.kills = str(self._count), _memory_kills()
        line = json.dumps([worker.token, {**job, "threads": self.threads}]) + "\n"
        assert worker.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it has just died, which the next poll will find
            worker.process.stdin.write(line.encode())
            worker.process.stdin.flush()
        return worker.token

    def poll(self) -> list[Ended]:
        ended = []
        for worker in list(self._crew):
            status = worker.process.poll()  # before reading, so that the last answer of a dead worker is read
            with contextlib.suppress(BlockingIOError):
                while part := os.read(worker.answers, 1 << 16):
                    worker.read += part
            while b"\n" in worker.read:
                line, _, worker.read = worker.read.partition(b"\n")
                token, answer = json.loads(line)
                ended.append(Ended(token, answer))
                worker.token = ""
            if status is not None:
                if worker.token:
                    ended.append(_lost(worker, status))
                self._dismissed(worker)
        return ended

    def cancel(self, *tokens: str) -> None:
        for worker in list(self._crew):
            if not tokens or worker.token in tokens:
                worker.process.kill()
                worker.process.wait()
                self._dismissed(worker)

    def _hired(self) -> _Worker:
        read, write = os.pipe()
        os.set_blocking(read, False)
        log = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the worker
        quiet = {**os.environ, **dict.fromkeys(_PINNED, str(self.threads)), "SCALINGLENS_PARENT": str(os.getpid())}
        command = [sys.executable, "-m", "scalinglens.sweep.executors.worker", str(write), str(self.memory)]
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=log, pass_fds=(write,), env=quiet
        )
        os.close(write)
        worker = _Worker(process, read, log)
        self._crew.append(worker)
        return worker

    def _dismissed(self, worker: _Worker) -> None:
        self._crew.remove(worker)
        os.close(worker.answers)
        worker.log.close()
        if worker.process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                worker.process.stdin.close()


def open_executor(*, workers: int | None = None, threads: int = 1, memory: int = 0) -> Local:
    """Return worker processes; by default as many as there are processors for their threads.

    Raises:
        ExperimentError: a number below 1.
    """
    for name, value in (("workers", workers), ("threads", threads)):
        if value is not None and value < 1:
            raise ExperimentError(f"{name} = {value} must be a whole number from 1 on")
    return Local(workers or max(1, available_processors() // threads), threads, memory)


def _lost(worker: _Worker, status: int) -> Ended:
    worker.log.seek(0)
    last = " ".join(worker.log.read()[-2000:].decode(errors="replace").split())[-300:]
    says = f"; its last words: {last}" if last else ""
    if "MemoryError" in last or "bad_alloc" in last or "allocate memory" in last:
        return Ended.lost(worker.token, "out of memory", f"the worker ended with status {status}{says}")
    if status == -signal.SIGKILL and _memory_kills() > worker.kills:
        return Ended.lost(worker.token, "out of memory", "the kernel ended the worker for want of memory")
    if status < 0:
        return Ended.lost(worker.token, "killed", f"the worker was ended by {signal.Signals(-status).name}{says}")
    return Ended.lost(worker.token, "failed", f"the worker ended with status {status}{says}")


def _memory_kills() -> int:
    """Processes that the kernel has ended for want of memory, on the whole machine."""
    with contextlib.suppress(OSError, ValueError):
        for line in Path("/proc/vmstat").read_text().splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    return 0
