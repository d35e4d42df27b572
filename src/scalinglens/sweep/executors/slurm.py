"""Jobs of SLURM, through submitit. Its "local" and "debug" clusters run the same jobs without a SLURM, to try things out."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scalinglens.errors import ExperimentError, did_you_mean
from scalinglens.sweep.executors.executor import Ended
from scalinglens.sweep.job import run_job

__all__ = ["Slurm", "SlurmJob", "open_executor"]

CLUSTERS = ("slurm", "local", "debug")


class SlurmJob:
    """What SLURM runs; when it is preempted or out of time, it goes on later from its checkpoint."""

    def __call__(self, job: Mapping[str, Any]) -> dict[str, Any]:
        return run_job(job)

    def checkpoint(self, job: Mapping[str, Any]) -> Any:
        """Return what to submit again, as submitit asks."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self, job)


@dataclass
class Slurm:
    """Jobs of SLURM.

    Attributes:
        engine: the executor of submitit. workers: jobs in the queue at once. threads: of each.
    """

    engine: Any
    workers: int
    threads: int = 1
    _open: dict[str, Any] = field(default_factory=dict)
    _count: int = 0

    @property
    def slots(self) -> int:
        return self.workers

    def submit(self, job: Mapping[str, Any]) -> str:
        self._count += 1
        token = str(self._count)
        self._open[token] = self.engine.submit(SlurmJob(), {**job, "threads": self.threads})
        return token

    def poll(self) -> list[Ended]:
        ended = []
        for token, job in list(self._open.items()):
            if not job.done():
                continue
            del self._open[token]
            try:
                ended.append(Ended(token, job.result()))
            except Exception as problem:
                ended.append(_lost(token, job, problem))
        return ended

    def cancel(self, *tokens: str) -> None:
        for token in tokens or tuple(self._open):
            job = self._open.pop(token, None)
            if job is not None:
                with contextlib.suppress(Exception):  # it may have ended
                    job.cancel()


def open_executor(
    *, folder: Path, workers: int | None = None, threads: int = 1, cluster: str = "slurm", **parameters: Any
) -> Slurm:
    """Return jobs of SLURM.

    Args:
        folder: for the files of submitit; every node must see it. workers: jobs in the queue at once. threads: of each job.
        cluster: "slurm", or "local" and "debug" to try without one. parameters: of submitit, such as slurm_partition,
        timeout_min, mem_gb.

    Raises:
        ExperimentError: submitit is not installed, there is no SLURM here, or it does not know a parameter.
    """
    try:
        import submitit
    except ImportError:
        raise ExperimentError("the executor slurm needs submitit; pip install 'scalinglens[slurm]'") from None
    if cluster not in CLUSTERS:
        raise ExperimentError(
            f'there is no cluster "{cluster}"{did_you_mean(cluster, CLUSTERS)}; there are slurm, local, debug'
        )
    try:
        engine = submitit.AutoExecutor(folder=folder, cluster=cluster)
        engine.update_parameters(
            **{"cpus_per_task": threads, "timeout_min": 24 * 60, "name": "scalinglens", **parameters}
        )
    except (RuntimeError, NameError, TypeError) as problem:
        raise ExperimentError(f"submitit cannot use {cluster}: {' '.join(str(problem).split())[:300]}") from None
    return Slurm(engine, workers or 16, threads)


def _lost(token: str, job: Any, problem: BaseException) -> Ended:
    state = str(getattr(job, "state", "")) or type(problem).__name__
    text = " ".join(str(problem).split())[:300]
    end = "failed" if type(problem).__name__ == "FailedJobError" else "killed"  # the other kind has no result at all
    end = "out of memory" if "OUT_OF_ME" in state or "oom" in text.lower() else end
    return Ended.lost(token, end, f"job {job.job_id}: {state}; {text}")
