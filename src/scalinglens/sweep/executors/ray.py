"""Tasks of a Ray cluster. Ray places them, and tells when a node or a worker is lost; trying again is the driver's business."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from scalinglens.errors import ExperimentError
from scalinglens.sweep.executors.executor import Ended
from scalinglens.sweep.job import run_job

__all__ = ["RayTasks", "open_executor"]


@dataclass
class RayTasks:
    """Tasks of Ray.

    Attributes:
        workers: how many at once. cpus, gpus: of each task. own: whether the cluster ends with us.
    """

    workers: int
    cpus: float = 1
    gpus: float = 0
    own: bool = False
    _open: dict[str, Any] = field(default_factory=dict)
    _count: int = 0

    @property
    def slots(self) -> int:
        return self.workers

    def submit(self, job: Mapping[str, Any]) -> str:
        import ray

        threads = max(1, int(self.cpus))  # Ray itself sets OMP_NUM_THREADS to the processors of a task
        task = ray.remote(run_job).options(num_cpus=self.cpus, num_gpus=self.gpus, max_retries=0, name="scalinglens")
        self._count += 1
        token = str(self._count)
        self._open[token] = task.remote({**job, "threads": threads})
        return token

    def poll(self) -> list[Ended]:
        import ray
        from ray import exceptions

        gone = (exceptions.WorkerCrashedError, exceptions.NodeDiedError, exceptions.ObjectLostError)
        ended = []
        if not self._open:
            return ended
        tokens = {ref: token for token, ref in self._open.items()}
        ready, _ = ray.wait(list(tokens), num_returns=len(tokens), timeout=0)
        for ref in ready:
            token = tokens[ref]
            del self._open[token]
            try:
                ended.append(Ended(token, ray.get(ref)))
            except exceptions.OutOfMemoryError as problem:
                ended.append(Ended.lost(token, "out of memory", _first(problem)))
            except gone as problem:
                ended.append(Ended.lost(token, "killed", f"Ray lost the task: {_first(problem)}"))
            except Exception as problem:
                ended.append(Ended.lost(token, "failed", f"{type(problem).__name__}: {_first(problem)}"))
        return ended

    def cancel(self, *tokens: str) -> None:
        import ray

        for token in tokens or tuple(self._open):
            if token in self._open:
                with contextlib.suppress(Exception):  # it may have ended, or its node
                    ray.cancel(self._open.pop(token), force=True)
        if not tokens and self.own:
            ray.shutdown()


def open_executor(*, workers: int | None = None, cpus: float = 1, gpus: float = 0, address: str = "") -> RayTasks:
    """Return tasks on a cluster; on one of our own, on this machine, where there is none.

    Args:
        workers: tasks at once; by default as many as the cluster has processors for. cpus, gpus: of each.
        address: of the cluster, such as "auto"; otherwise RAY_ADDRESS, otherwise this machine.

    Raises:
        ExperimentError: Ray is not installed, or there is no cluster at the address.
    """
    try:
        import ray
    except ImportError:
        raise ExperimentError("the executor ray needs Ray; pip install 'scalinglens[ray]'") from None
    own = not ray.is_initialized()
    if own:
        import os

        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        options: dict[str, Any] = {"include_dashboard": False, "log_to_driver": False, "logging_level": logging.ERROR}
        where = address or os.environ.get("RAY_ADDRESS", "")
        try:
            if where:
                ray.init(address=where, log_to_driver=False, logging_level=logging.ERROR)
            else:
                ray.init(num_cpus=workers, **options)
        except (ConnectionError, ValueError, RuntimeError) as problem:
            raise ExperimentError(f"there is no Ray cluster at {where or 'this machine'}: {_first(problem)}") from None
    able = int(ray.cluster_resources().get("CPU", 1) // cpus) if cpus else 1
    return RayTasks(workers or max(1, able), cpus, gpus, own)


def _first(problem: BaseException) -> str:
    text = str(problem).strip() or type(problem).__name__
    return " ".join(text.split())[:300]
