"""Run a sweep into a store: hand groups to an executor, see how they end, try again what failed once.

Interrupted at any moment, the same call goes on: what is done is in the store, and nothing else matters. Several drivers may
work on one store, here or elsewhere.
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from scalinglens.errors import OutputError, RunsError
from scalinglens.runs.record import read_stored
from scalinglens.sweep.executors.executor import Ended, Executor
from scalinglens.sweep.experiment import Experiment
from scalinglens.sweep.job import ENDS, TRAINER, job_of
from scalinglens.sweep.store import Store
from scalinglens.sweep.sweep import Group, Sweep
from scalinglens.train.counts import parameters

__all__ = ["LOSSES", "Progress", "Report", "run_sweep", "sweep_status"]

LOSSES = 5  # so often a group may lose its worker to something outside before it counts as failed
REFRESH = 1.0  # seconds between two looks at the store
PAUSE = 0.05
AGAIN = 1.0  # seconds until a group that another worker has is asked for again


@dataclass(frozen=True)
class Progress:
    """How far a sweep is, in runs; what the live table shows.

    Attributes:
        total, finished, diverged, failed, running: of runs; the rest waits. elsewhere: running under other drivers.
        seconds: since this driver began. flops: of the runs that ended since then. left: seconds to the end, if that can be
        told. at_work: last words of the living workers.
    """

    total: int
    finished: int
    diverged: int
    failed: int
    running: int
    elsewhere: int
    seconds: float
    flops: float
    left: float | None
    at_work: tuple[Mapping[str, Any], ...] = ()

    @property
    def waiting(self) -> int:
        """Runs that nobody makes yet."""
        return max(0, self.total - self.finished - self.diverged - self.failed - self.running - self.elsewhere)


@dataclass(frozen=True)
class Report:
    """How a sweep ended.

    Attributes:
        total, finished, diverged: runs of the sweep; those that diverged have no loss. made: by this call.
        failures: run -> status (of `job.ENDS`), error and attempts. waiting: runs that were not tried.
        stopped: why it was given up before the end, empty otherwise. seconds, flops: spent by this call.
    """

    total: int
    finished: int
    diverged: int
    made: int
    failures: Mapping[str, Mapping[str, Any]]
    waiting: int
    stopped: str
    seconds: float
    flops: float

    @property
    def complete(self) -> bool:
        """Whether every run has ended, well or by diverging."""
        return self.finished + self.diverged == self.total

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return {
            "schema": 1,
            "total": self.total,
            "finished": self.finished,
            "diverged": self.diverged,
            "failed": len(self.failures),
            "waiting": self.waiting,
            "made": self.made,
            "stopped": self.stopped,
            "seconds": self.seconds,
            "flops": self.flops,
            "failures": {run: dict(words) for run, words in self.failures.items()},
        }

    def __str__(self) -> str:
        counts = [(self.finished, "finished"), (self.diverged, "diverged"), (len(self.failures), "failed")]
        counts += [(self.waiting, "not made")]
        shown = ", ".join(f"{count} {says}" for count, says in counts if count or says == "finished")
        rate = f" ({self.flops / self.seconds:.3g} FLOP/s)" if self.flops and self.seconds else ""
        lines = [f"{self.total} runs: {shown}; {self.made} of them made now, in {self.seconds:.1f} s{rate}"]
        for run, words in list(self.failures.items())[:10]:
            lines.append(f"  {run}  {words['status']} after {words['attempts']} attempts: {words['error']}")
        if len(self.failures) > 10:
            lines.append(f"  and {len(self.failures) - 10} more")
        if self.stopped:
            lines.append(f"  stopped: {self.stopped}")
        return "\n".join(lines)


@dataclass
class _Task:
    """One group on its way."""

    group: Group
    work: float
    token: str = ""
    attempts: int = 0
    losses: int = 0
    not_before: float = 0.0
    settled: bool = False


@dataclass
class _Drive:
    sweep: Sweep
    store: Store
    executor: Executor
    options: Mapping[str, Any]
    retries: int
    tasks: list[_Task]
    work: Mapping[str, float]  # run -> what it costs over others
    done: dict[str, str] = field(default_factory=dict)  # run -> finished or diverged
    failures: dict[str, dict[str, Any]] = field(default_factory=dict)
    made: set[str] = field(default_factory=set)
    flops: float = 0.0
    gained: float = 0.0  # work of the runs that ended since we began
    stopped: str = ""
    at_work: tuple[Mapping[str, Any], ...] = ()
    began: float = field(default_factory=time.monotonic)


def run_sweep(
    sweep: Sweep,
    store: Store,
    *,
    executor: Executor,
    device: str = "cpu",
    retries: int = 1,
    trainer: str = TRAINER,
    show: Callable[[Progress], None] | None = None,
    **options: Any,
) -> Report:
    """Make all runs of a sweep that are not in the store.

    Args:
        sweep: it. store: where its runs go. executor: where they are made; it is closed in the end.
        device: of torch. retries: how often a group that failed is tried again. trainer: MODULE:FUNCTION in the place of
        `train_runs`. show: called with the progress about once a second. options: of `job_of`: every, compile.

    Returns:
        What is there now, and what failed. A run that failed in an earlier call is tried again.

    Raises:
        OutputError: the store cannot be written. KeyboardInterrupt: after all workers have ended.
    """
    try:
        store.place.write("beats/probe", b"")
        store.place.remove("beats/probe")
        store.tidy()
    except OSError as problem:
        reason = problem.strerror or problem
        raise OutputError(f"cannot write in {store.place.url}: {reason}; name another folder with --store") from None
    work = {one.hash: _work(one) for one in sweep.experiments}
    tasks = [_Task(group, sum(work[run] for run in group.runs)) for group in sweep.groups]
    tasks.sort(key=lambda task: -task.work)  # the longest first, so that none is left alone at the end
    options = {"device": device, "trainer": trainer, **options}
    drive = _Drive(sweep, store, executor, options, retries, tasks, work)
    try:
        _drive(drive, show)
    finally:
        executor.cancel()
    with contextlib.suppress(RunsError, OSError):
        read_stored(store.place)  # brings the table beside the runs up to date
    return _report(drive)


def sweep_status(store: Store) -> dict[str, Any]:
    """Return what is in a store and who works on it, as plain data."""
    statuses: Mapping[str, int] = {}
    flops = 0.0
    with contextlib.suppress(RunsError):
        frame = read_stored(store.place).frame
        statuses = Counter(frame["status"].tolist())
        flops = float(np.nansum(frame["flops"].to_numpy(dtype=float))) if "flops" in frame else 0.0
    at_work = store.running()
    return {
        "schema": 1,
        "store": store.place.url,
        "finished": statuses.get("finished", 0),
        "diverged": statuses.get("diverged", 0),
        "running": sum(len(beat["runs"]) for beat in at_work),
        "flops": flops,
        "at_work": at_work,
        "failures": store.failures(),
    }


def _drive(drive: _Drive, show: Callable[[Progress], None] | None) -> None:
    looked = -REFRESH
    while True:
        for ended in drive.executor.poll():
            _ended(drive, ended)
        now = time.monotonic()
        if now - looked >= REFRESH:
            looked = now
            _look(drive)
            if show is not None:
                show(_progress(drive))
        running = sum(1 for task in drive.tasks if task.token)
        open_ = [task for task in drive.tasks if not task.settled and not task.token]
        if not running and (not open_ or drive.stopped):
            _look(drive)
            if show is not None:
                show(_progress(drive))
            return
        if not drive.stopped:
            elsewhere = {run for beat in drive.at_work for run in beat["runs"]}
            for task in open_:
                if running >= drive.executor.slots:
                    break
                if task.not_before > now or elsewhere.intersection(task.group.runs):
                    continue
                task.token = drive.executor.submit(job_of(task.group, drive.store, **drive.options))
                running += 1
        time.sleep(PAUSE)


def _ended(drive: _Drive, ended: Ended) -> None:
    task = next((task for task in drive.tasks if task.token == ended.token), None)
    if task is None:
        return
    task.token = ""
    end, error = str(ended.answer["end"]), str(ended.answer["error"])
    drive.made.update(ended.answer["published"])
    drive.flops += float(ended.answer["flops"])
    if end == "done":
        task.settled = True
        return
    task.not_before = time.monotonic() + AGAIN
    if end == "busy":
        return
    if end == "killed":
        task.losses += 1
    else:
        task.attempts += 1
    final = end == "wrong" or task.attempts > drive.retries or task.losses > LOSSES
    missing = [run for run in task.group.runs if not drive.store.has(run)]
    words = {"status": end, "error": error, "attempts": task.attempts + task.losses}
    with contextlib.suppress(OSError):  # the report says it anyhow
        drive.store.fail(missing, **words)
    if end in ("disk full", "read-only") and final:
        drive.stopped = f"{ENDS[end]} ({error}); mend that and give the same command"
    if final:
        task.settled = True
        drive.failures.update(dict.fromkeys(missing, words))


def _look(drive: _Drive) -> None:
    """See what is in the store, by us or by others."""
    first = not drive.done
    there = drive.store.finished()
    for task in drive.tasks:
        for run in task.group.runs:
            if run not in there or run in drive.done:
                continue
            drive.done[run] = str(drive.store.status(run)["status"])
            drive.failures.pop(run, None)
            if not first:
                drive.gained += drive.work[run]
        if all(run in drive.done for run in task.group.runs):
            task.settled = True
    drive.at_work = tuple(drive.store.running())


def _progress(drive: _Drive) -> Progress:
    ours = {run for task in drive.tasks if task.token for run in task.group.runs} - drive.done.keys()
    work = drive.work
    others = {run for beat in drive.at_work for run in beat["runs"]} & work.keys() - ours - drive.done.keys()
    part = sum(
        work.get(run, 0.0) * beat["step"] / beat["steps"]
        for beat in drive.at_work
        if beat.get("steps")
        for run in beat["runs"]
        if run not in drive.done
    )
    seconds = time.monotonic() - drive.began
    rest = sum(amount for run, amount in work.items() if run not in drive.done and run not in drive.failures) - part
    gained = drive.gained + part
    statuses = list(drive.done.values())
    return Progress(
        total=len(work),
        finished=statuses.count("finished"),
        diverged=statuses.count("diverged"),
        failed=len(drive.failures),
        running=len(ours),
        elsewhere=len(others),
        seconds=seconds,
        flops=drive.flops,
        left=max(0.0, rest) * seconds / gained if gained > 0 else None,
        at_work=drive.at_work,
    )


def _report(drive: _Drive) -> Report:
    statuses = list(drive.done.values())
    total = len(drive.sweep)
    failures = {run: words for run, words in drive.failures.items() if run not in drive.done}
    return Report(
        total=total,
        finished=statuses.count("finished"),
        diverged=statuses.count("diverged"),
        made=len(drive.made),
        failures=failures,
        waiting=total - len(statuses) - len(failures),
        stopped=drive.stopped,
        seconds=time.monotonic() - drive.began,
        flops=drive.flops,
    )


def _work(experiment: Experiment) -> float:
    """What a run costs over others, near enough for an order and an estimate of the time; vocabularies count as 1,000."""
    return experiment.training.tokens * float(sum(parameters(experiment.model, 1000).values()))
