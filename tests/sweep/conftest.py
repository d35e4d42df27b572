"""A sweep of 40 toy runs, and workers that find the toy trainer."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from scalinglens.sweep.experiment import Experiment, WorldWords
from scalinglens.sweep.sweep import Sweep

HERE = Path(__file__).parent
# a script that test_executors.py starts; it imports Ray, which `make test` does not install
collect_ignore = ["two_nodes.py"]


@pytest.fixture
def toys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Let worker processes import `toy_trainer`; return the file in which every training that ended leaves a line."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.syspath_prepend(str(HERE))
    monkeypatch.setenv("TOY_LOG", str(tmp_path / "toy.log"))
    return tmp_path / "toy.log"


@pytest.fixture(scope="session")
def base() -> Experiment:
    return Experiment(WorldWords("walk", {"nodes": 16, "edges": 32}))


@pytest.fixture(scope="session")
def forty(base: Experiment) -> Sweep:
    """Four shapes of ten seeds, in groups of at most four."""
    return Sweep(tuple(base.having({"seed": s, "width": w}) for w in (8, 16, 24, 32) for s in range(10)), members=4)
