"""Where jobs run: processes of this machine, a Ray cluster, or SLURM; one interface of three calls."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from scalinglens.errors import ExperimentError
from scalinglens.named import check_name
from scalinglens.sweep.executors.executor import Ended, Executor

__all__ = ["EXECUTORS", "Ended", "Executor", "executor"]

EXECUTORS: Mapping[str, str] = {
    "local": "processes of this machine, one thread each",
    "ray": "tasks of a Ray cluster, or of this machine where there is none",
    "slurm": "jobs of SLURM, through submitit",
}


def executor(name: str, **options: Any) -> Executor:
    """Return an executor by name.

    Args:
        name: of `EXECUTORS`. options: of its class, such as workers.

    Raises:
        ExperimentError: an unknown name or option, or the package it rests on is not installed.
    """
    check_name("executor", name, EXECUTORS, ExperimentError)
    module = importlib.import_module(f"scalinglens.sweep.executors.{name}")
    return module.open_executor(**options)
