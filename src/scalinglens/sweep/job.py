"""What a worker does, wherever it runs: claim a group, train it, publish its runs. Plain data in, plain data out.

A job never raises: its answer says what became of the group, in one of `ENDS`.
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import os
import platform
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from scalinglens.errors import OutputError, ScalingLensError
from scalinglens.runs.record import Record, write_record
from scalinglens.sweep.experiment import Experiment
from scalinglens.sweep.store import LEASE, Owner, Store, open_store
from scalinglens.sweep.sweep import Group

__all__ = ["ENDS", "TRAINER", "describe", "job_of", "run_job", "why"]

ENDS: Mapping[str, str] = {
    "done": "its runs are in the store",
    "busy": "another worker makes one of its runs",
    "wrong": "the experiment cannot be made as it is written",
    "failed": "an exception ended it",
    "out of memory": "it asked for more memory than there is",
    "killed": "its process was ended from outside",
    "disk full": "the store has no room left",
    "read-only": "the store cannot be written",
}
"""How a job may end, and what that means."""

TRAINER = "scalinglens.train.loop:train_runs"
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_CLOSED = (errno.EROFS, errno.EACCES, errno.EPERM)


def job_of(group: Group, store: Store, *, device: str = "cpu", trainer: str = TRAINER, **more: Any) -> dict[str, Any]:
    """Return a group as plain data that any worker understands.

    Args:
        group: it. store: where its runs go. device: of torch. trainer: MODULE:FUNCTION with the signature of `train_runs`.
        more: threads, compile, every (seconds between checkpoints).
    """
    words = [one.to_dict() for one in group.experiments]
    return {
        "store": store.place.url,
        "lease": store.lease,
        "group": words,
        "device": device,
        "trainer": trainer,
        **more,
    }


def run_job(job: Mapping[str, Any], watch: Callable[[int, int], None] | None = None) -> dict[str, Any]:
    """Make the runs of a group that are not there yet.

    Args:
        job: from `job_of`. watch: called with (step, steps) about once a second.

    Returns:
        `end` (of `ENDS`), `error` (a text), `published` (names), `flops` and `seconds` spent.
    """
    began = time.monotonic()
    try:
        answer = _made(job, watch)
    except Exception as problem:
        answer = {"end": why(problem), "error": describe(problem), "published": [], "flops": 0.0}
    return {**answer, "seconds": time.monotonic() - began}


def _made(job: Mapping[str, Any], watch: Callable[[int, int], None] | None) -> dict[str, Any]:
    group = Group(tuple(Experiment.from_dict(words) for words in job["group"]))
    store = open_store(job["store"], lease=job.get("lease", LEASE))
    missing = [run for run in group.runs if not store.has(run)]
    if not missing:
        return {"end": "done", "error": "", "published": [], "flops": 0.0}
    owner = Owner.new()
    try:
        if taken := store.claim(owner, missing):
            return {"end": "busy", "error": f"run {taken[0]} is made by another", "published": [], "flops": 0.0}
        try:
            return _trained(job, group, store, owner, watch)
        finally:
            with contextlib.suppress(OSError):
                store.release(owner, missing)
    finally:
        with contextlib.suppress(OSError):
            store.gone(owner)


def _trained(
    job: Mapping[str, Any], group: Group, store: Store, owner: Owner, watch: Callable[[int, int], None] | None
) -> dict[str, Any]:
    missing = [run for run in group.runs if not store.has(run)]  # one may have been published before we claimed it
    if not missing:
        return {"end": "done", "error": "", "published": [], "flops": 0.0}
    how_far: dict[str, Any] = {"group": group.name, "runs": missing, "step": 0, "steps": 0, "since": time.time()}
    store.beat(owner, how_far)

    def progress(step: int, steps: int, losses: np.ndarray) -> None:
        how_far.update(step=int(step), steps=int(steps))
        if watch is not None:
            watch(int(step), int(steps))

    with store.living(owner, how_far):
        module, _, function = str(job["trainer"]).partition(":")
        train = getattr(importlib.import_module(module), function)
        threads = int(job.get("threads", 1))
        _pin(threads)
        world = group.experiments[0].world.build()
        started = time.time()
        outcomes = train(
            world,
            [one.settings for one in group.experiments],
            device=job.get("device", "cpu"),
            compile=bool(job.get("compile", False)),
            checkpoint=store.checkpoint(group.name),
            every=float(job.get("every", 60.0)),
            progress=progress,
        )
        where = _environment(job, group, started, threads)
        published, flops = [], 0.0
        for one, outcome in zip(group.experiments, outcomes, strict=True):
            if one.hash not in missing:
                continue
            record = Record(one.hash, outcome.status, outcome.summary, one.flat(), outcome.curve, one.to_toml(), where)
            if write_record(store.place, record):
                published.append(one.hash)
                flops += float(outcome.summary.get("flops") or 0.0)
            store.place.remove(f"failures/{one.hash}.json")
    return {"end": "done", "error": "", "published": published, "flops": flops}


def why(problem: BaseException) -> str:
    """Return which of `ENDS` an exception means."""
    chain: list[BaseException] = []
    while problem is not None and problem not in chain:
        chain.append(problem)
        problem = problem.__cause__ or problem.__context__  # type: ignore[assignment]
    for each in chain:
        if isinstance(each, MemoryError) or type(each).__name__ == "OutOfMemoryError" or "allocate memory" in str(each):
            return "out of memory"
        if isinstance(each, OSError) and each.errno == errno.ENOMEM:
            return "out of memory"
        if isinstance(each, OSError) and each.errno in _FULL:
            return "disk full"
        if isinstance(each, OSError) and each.errno in _CLOSED:
            return "read-only"
    wrong = isinstance(chain[0], ScalingLensError) and not isinstance(chain[0], OutputError)
    return "wrong" if wrong else "failed"


def describe(problem: BaseException) -> str:
    """Return an exception in one line, with the place where it came from if it is not one of ours."""
    text = f"{type(problem).__name__}: {problem}" if not isinstance(problem, ScalingLensError) else str(problem)
    frames = traceback.extract_tb(problem.__traceback__)
    if frames and not isinstance(problem, ScalingLensError):
        text += f" (in {os.path.basename(frames[-1].filename)}, line {frames[-1].lineno})"
    return " ".join(text.split())


def _pin(threads: int) -> None:
    torch = sys.modules.get("torch")
    if torch is not None and torch.get_num_threads() != threads:
        torch.set_num_threads(threads)


def _environment(job: Mapping[str, Any], group: Group, started: float, threads: int) -> dict[str, Any]:
    versions = {}
    for name in ("scalinglens", "torch", "numpy", "scipy"):
        with contextlib.suppress(PackageNotFoundError):
            versions[name] = version(name)
    iso = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started))
    return {
        "group": group.name,
        "members": list(group.runs),
        "device": job.get("device", "cpu"),
        "threads": threads,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "versions": versions,
        "host": platform.node(),
        "started": iso,
        "seconds": time.time() - started,
    }
