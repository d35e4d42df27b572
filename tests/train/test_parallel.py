"""Data-parallel training on two real processes is the run of one."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from scalinglens.errors import ExperimentError
from scalinglens.train.loop import train_runs
from scalinglens.train.parallel import train_parallel
from scalinglens.train.settings import Model, Settings, Training
from scalinglens.worlds.walks import walk

HOW = Training(tokens=32_000, batch=16, sequence_length=20, learning_rate=0.01, evaluations=3, evaluation_tokens=400)
SETTINGS = Settings(model=Model(width=32), training=HOW)

SCRIPT = """
import json, sys, os, torch
torch.set_num_threads(1)
from pathlib import Path
from tests_train_settings import SETTINGS, WORLD
from scalinglens.train.parallel import train_parallel
outcome = train_parallel(WORLD, SETTINGS, weights=Path(sys.argv[1] + ".model"))
if os.environ["RANK"] == "0":
    Path(sys.argv[1]).write_text(json.dumps([outcome.status, outcome.curve.to_dict("list")]))
"""
SHARED = """
from scalinglens.train.settings import *
from scalinglens.worlds.walks import walk
WORLD = walk(graph="er", nodes=64, edges=256)
SETTINGS = Settings(model=Model(width=32), training=Training(tokens=32_000, batch={batch}, sequence_length=20,
    learning_rate=0.01, evaluations=3, evaluation_tokens=400))
"""


def torchrun(folder, batch):
    (folder / "script.py").write_text(SCRIPT)
    (folder / "tests_train_settings.py").write_text(SHARED.format(batch=batch))
    words = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(folder / "script.py")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    environment["PYTHONPATH"] = os.pathsep.join([str(folder), *filter(None, sys.path)])
    return subprocess.run(
        [sys.executable, *words, str(folder / "out.json")], env=environment, capture_output=True, text=True, timeout=300
    )


@pytest.mark.slow
def test_two_processes_train_as_one(tmp_path):
    done = torchrun(tmp_path, 16)
    assert done.returncode == 0, done.stderr[-2000:]
    status, curve = json.loads((tmp_path / "out.json").read_text())
    (alone,) = train_runs(walk(graph="er", nodes=64, edges=256), [SETTINGS])
    assert status == alone.status
    assert curve["step"] == alone.curve["step"].tolist()
    assert curve["loss"] == pytest.approx(alone.curve["loss"].tolist(), rel=1e-5)
    assert curve["train_loss"] == pytest.approx(alone.curve["train_loss"].tolist(), rel=1e-4)
    assert (tmp_path / "out.json.model").is_file()


@pytest.mark.slow
def test_a_batch_that_two_cannot_share(tmp_path):
    done = torchrun(tmp_path, 15)
    assert done.returncode != 0
    assert "training.batch = 15 cannot be shared by 2 processes; 14, 16 can" in done.stderr


def test_it_says_how_to_start_it(monkeypatch):
    monkeypatch.delenv("RANK", raising=False)
    with pytest.raises(ExperimentError, match="runs under torchrun"):
        train_parallel(walk(), SETTINGS)
